//! Where Dovecot is installed: in this system, or in another one below a directory of its own.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::{find_program, skip};

/// Debian's ids of `nobody` and `nogroup`: Dovecot refuses to handle mail as root.
const NOBODY: u32 = 65534;

/// Names the root directory of a system with another Dovecot, for example a newer one. Only root can use it.
const ROOT: &str = "MAILKNOCK_TESTS_DOVECOT_ROOT";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 2.3, with the number after it.
    V2_3(u32),
    V2_4,
}

pub struct Installation {
    root: Option<PathBuf>,
}

impl Installation {
    pub fn current() -> Installation {
        Installation { root: std::env::var_os(ROOT).map(PathBuf::from) }
    }

    pub fn is_this_system(&self) -> bool {
        self.root.is_none()
    }

    /// Says whether these programs are there. See [`crate::support::require`].
    pub fn require(&self, programs: &[&str]) -> bool {
        let missing: Vec<_> = programs.iter().copied().filter(|name| self.find(name).is_none()).collect();
        missing.is_empty() || skip(&format!("not installed: {}", missing.join(", ")))
    }

    /// Says whether Dovecot can run Lua scripts when something happens.
    pub fn require_lua(&self) -> bool {
        let plugin = "dovecot/modules/lib22_push_notification_lua_plugin.so";
        let triplet = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let directories = ["usr/lib", "usr/lib64", &triplet];
        directories.iter().any(|directory| self.outside(Path::new("/")).join(directory).join(plugin).exists())
            || skip("this Dovecot has no Lua plugin for notifications")
    }

    pub fn version(&self) -> Option<Version> {
        let output = self.command("dovecot").arg("--version").output().expect("it was found just now");
        let text = String::from_utf8_lossy(&output.stdout);
        let mut numbers = text.trim().split(['.', '-', ' ']).map(str::parse::<u32>);
        match (numbers.next()?, numbers.next()?, numbers.next()?) {
            (Ok(2), Ok(3), Ok(patch)) => Some(Version::V2_3(patch)),
            (Ok(2), Ok(4), Ok(_)) => Some(Version::V2_4),
            _ => None,
        }
    }

    /// One of Dovecot's programs, to be run as the owner of the mail.
    pub fn command(&self, name: &str) -> Command {
        let program = self.find(name).unwrap_or_else(|| PathBuf::from(name));
        let mut command = match &self.root {
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(format!("--userspec={NOBODY}:{NOBODY}")).arg("--groups=").arg(root).arg(program);
                command
            }
            None => {
                let mut command = Command::new(program);
                if is_root() {
                    command.uid(NOBODY).gid(NOBODY);
                }
                command
            }
        };
        // The directory that the tests run in may be closed to nobody.
        command.current_dir("/");
        command
    }

    /// A new directory that Dovecot can use.
    pub fn directory(&self) -> TempDir {
        let builder = tempfile::Builder::new();
        let directory = match &self.root {
            Some(root) => builder.tempdir_in(root.join("tmp")),
            None => builder.tempdir(),
        };
        directory.expect("a temporary directory")
    }

    /// What Dovecot calls a path of ours.
    pub fn inside(&self, path: &Path) -> PathBuf {
        let below = self.root.as_ref().and_then(|root| path.strip_prefix(root).ok());
        below.map_or_else(|| path.to_owned(), |below| Path::new("/").join(below))
    }

    fn outside(&self, path: &Path) -> PathBuf {
        let below = path.strip_prefix("/").unwrap_or(path);
        self.root.as_deref().unwrap_or(Path::new("/")).join(below)
    }

    /// Where Dovecot finds its own program.
    fn find(&self, name: &str) -> Option<PathBuf> {
        if self.root.is_none() {
            return find_program(name);
        }
        let directories = ["/usr/sbin", "/usr/bin", "/usr/lib/dovecot"].map(Path::new);
        let mut candidates = directories.iter().map(|directory| directory.join(name));
        candidates.find(|program| self.outside(program).is_file())
    }
}

/// Whose mail it is: the tests' own user, or where that is root, nobody.
pub struct Account {
    pub user: String,
    pub group: String,
}

impl Account {
    pub fn current() -> Account {
        if is_root() {
            return Account { user: "nobody".to_owned(), group: "nogroup".to_owned() };
        }
        let name = |what: &str| {
            let output = Command::new("id").arg(what).output().expect("every system has `id`");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        Account { user: name("-un"), group: name("-gn") }
    }

    /// Gives a directory and those in it away to the mail's owner, and lets everybody in.
    pub fn take(top: &Path, names: &[&str]) {
        if !is_root() {
            return;
        }
        for path in names.iter().map(|name| top.join(name)).chain([top.to_owned()]) {
            chown(&path, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
        }
        std::fs::set_permissions(top, std::fs::Permissions::from_mode(0o755)).expect("the directory exists");
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
