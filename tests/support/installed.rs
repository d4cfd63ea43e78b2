//! The program as if it were installed: where it was built it doesn't stay, and it won't have itself started there.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::daemon::Daemon;
use super::program::{install, install_script};
use super::skip;

/// A copy of the program outside of all temporary places, its user's own. It goes with this value.
pub struct Installed {
    directory: TempDir,
    program: PathBuf,
}

impl Installed {
    /// In a directory of this name; none where the tests have no place that stays.
    pub fn within(name: &str, daemon: &Daemon) -> Option<Installed> {
        let is_root = rustix::process::geteuid().is_root();
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|_| !is_root);
        let place = home.unwrap_or_else(|| "/var/lib".into());
        let is_temporary = ["/tmp", "/var/tmp", "/run", "/dev"].iter().any(|passing| place.starts_with(passing));
        if is_temporary || place.starts_with(std::env::temp_dir()) {
            skip(&format!("{} is no place where a program stays", place.display()));
            return None;
        }
        let directory = tempfile::Builder::new().prefix("mailknock-test-").tempdir_in(place);
        let directory = directory.expect("the place can be written");
        let program = directory.path().join(name).join("mailknock");
        let parent = program.parent().expect("it is in a directory");
        std::fs::create_dir(parent).expect("the directory is ours");
        install(Path::new(env!("CARGO_BIN_EXE_mailknock")), &program);
        for path in [directory.path(), parent, &program] {
            daemon.give(path);
        }
        Some(Installed { directory, program })
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Puts another program in its place.
    pub fn replace(&self, script: &str) {
        let new = self.directory.path().join("new");
        install_script(script, &new);
        std::fs::rename(new, &self.program).expect("the directory is ours");
    }
}
