//! A real Chromium without a window, and a web server of the test's own for its pages.

mod web;

pub use web::{Page, Seen, Web};

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use super::output::Output;
use super::program::processes;
use super::wait::SOON;
use super::{find_program, require};

/// Debian's names for it; the first is the smaller package.
const NAMES: [&str; 2] = ["chromium-headless-shell", "chromium"];

/// A running browser with a profile of its own. Dropping it kills it and all its processes.
pub struct Browser {
    /// Started by a script, and with many processes of its own: they are one process group.
    child: Child,
    log: Output,
    // Behind the processes that write into it.
    _profile: TempDir,
}

impl Browser {
    /// Says whether one is installed. See [`require`].
    #[must_use]
    pub fn available() -> bool {
        program().is_some() || require(&NAMES[..1])
    }

    /// Opens `url`. All `names` are this machine, and no other name is anything: no byte leaves it.
    pub fn open(url: &str, names: &[&str]) -> Browser {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let ours: String = names.iter().map(|name| format!("MAP {name} 127.0.0.1, ")).collect();
        let mut command = Command::new("/bin/sh");
        // With a pipe for a debugger on descriptor 3 it ends when that pipe does: also when the test is killed and can
        // drop nothing.
        command.args(["-c", r#"exec "$@" 3<&0 4>/dev/null </dev/null"#, "sh"]);
        command.arg(program().expect("the test asked whether it is available"));
        command.args(["--headless", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage"]);
        // Its sandbox refuses to work for root, and needs rights that containers don't give.
        command.args(["--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-sync"]);
        command.args(["--disable-component-update", "--disable-popup-blocking"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg(format!("--host-resolver-rules={ours}MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"));
        command.arg(url).process_group(0);
        command.env("HOME", profile.path()).env("TMPDIR", profile.path());
        command.env_remove("DBUS_SESSION_BUS_ADDRESS").env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("there is a shell");
        let log = Output::read(child.stderr.take().expect("it is a pipe"));
        Browser { child, log, _profile: profile }
    }

    pub fn log(&self) -> String {
        self.log.text()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Before it is waited for: until then the id of the group can't be another's.
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        let _ = kill_process_group(group, Signal::KILL);
        // What still ends could write into the profile while it is removed.
        let end = Instant::now() + SOON;
        while processes().iter().any(|process| process.group == self.child.id()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.wait();
    }
}

fn program() -> Option<std::path::PathBuf> {
    NAMES.iter().find_map(|name| find_program(name))
}
