//! Mailknock as it is installed on a mail server: the program, its file, its password, in a directory of the test's.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::DEADLINE;
use crate::support::program::{Process, install, processes};
use crate::support::repository_file;

/// Whose mail it is where the tests run as root.
const NOBODY: u32 = 65_534;

pub struct Installed {
    directory: TempDir,
}

impl Installed {
    pub fn new() -> Installed {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).expect("the directory is ours");
        let installed = Installed { directory };
        let program = installed.path("bin/mailknock");
        std::fs::create_dir(installed.path("bin")).expect("the directory is ours");
        // Where it was built may be closed to those who deliver mail.
        let built = env!("CARGO_BIN_EXE_mailknock");
        if std::fs::hard_link(built, &program).is_err() {
            install(Path::new(built), &program);
        }
        std::fs::create_dir(installed.path("home")).expect("the directory is ours");
        give(&installed.path("home"));
        std::fs::write(installed.path("auth"), "mailknock:a-long-random-word\n").expect("the directory is ours");
        installed
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file of the mail's owner, who can write there.
    pub fn home(&self, name: &str) -> PathBuf {
        self.path("home").join(name)
    }

    /// Says where the desktop is from now on.
    pub fn sends_to(&self, url: &str) {
        let text = self.snippet("send/send.toml").replace("http://127.0.0.1:12525/notify", url);
        let text = text.replace("\"2s\"", &format!("\"{DEADLINE}\""));
        assert!(text.contains(url) && text.contains(DEADLINE), "send.toml says something else");
        let new = self.path("send.new");
        std::fs::write(&new, text).expect("the directory is ours");
        std::fs::rename(&new, self.path("send.toml")).expect("the directory is ours");
    }

    /// Takes the file away that says where the desktop is.
    pub fn forget(&self) {
        std::fs::remove_file(self.path("send.toml")).expect("it is there");
    }

    /// A file of `packaging`, with our paths for those it names.
    pub fn snippet(&self, name: &str) -> String {
        let file = repository_file("packaging").join(name);
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let ours = |path: &str| self.path(path).display().to_string();
        text.replace("/usr/bin/mailknock", &ours("bin/mailknock"))
            .replace("/usr/lib/mailknock", &ours("bin"))
            .replace("/etc/mailknock", &self.directory.path().display().to_string())
    }

    /// What such a file says below a heading, up to the next.
    #[track_caller]
    pub fn section(&self, name: &str, heading: &str) -> String {
        let text = self.snippet(name);
        let mut sections = text.split("# == ").skip(1);
        let found = sections.find(|section| section.starts_with(heading));
        let found = found.unwrap_or_else(|| panic!("{name} has no part `{heading}`"));
        found.lines().skip(1).filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
    }

    /// Writes a file for the mail's owner alone.
    pub fn write_private(&self, name: &str, text: &str) -> PathBuf {
        let file = self.home(name);
        std::fs::write(&file, text).expect("the directory is ours");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
        give(&file);
        file
    }

    /// A program as the mail's owner starts it, whom it knows as alice.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.path("home")).env("LOGNAME", "alice");
        command.current_dir(self.path("home"));
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Those that run our program, in the background too.
    pub fn running(&self) -> Vec<Process> {
        let ours = self.path("bin/mailknock").display().to_string();
        let is_ours = |process: &Process| {
            let words = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
            String::from_utf8_lossy(&words).contains(&ours)
        };
        processes().into_iter().filter(is_ours).collect()
    }
}

/// Makes something the mail's owner's.
pub fn give(path: &Path) {
    if rustix::process::geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give it away");
    }
}
