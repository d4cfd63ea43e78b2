//! Bad days: what our surroundings do to us, and that senders are answered and the record recovers whatever it is.

mod clock;
mod commands;
mod damage;
mod descriptors;
mod disk;
mod slow_disk;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::daemon::Running;
use crate::support::skip;

/// Pushes one event, which must be answered within a second.
#[track_caller]
fn push(daemon: &Running, subject: &str) {
    let started = Instant::now();
    daemon.push(&format!(r#"{{"user":"me","event":"messageNew","subject":"{subject}"}}"#)).accepted();
    assert!(started.elapsed() < Duration::from_secs(1), "the answer took {:?}", started.elapsed());
}

/// The processor time that it has used, in ticks of 10 ms.
pub fn ticks(daemon: &Running) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).expect("it runs");
    // User and system time, proc(5); the name in front may hold blanks.
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name in brackets").1.split(' ').collect();
    [fields[11], fields[12]].iter().map(|field| field.parse::<u64>().expect("a number")).sum()
}

/// Lets time go by, for tests of what happens in it: nothing is waited for.
pub fn pass(time: Duration) {
    std::thread::sleep(time);
}

/// Whether a program can be given file systems of its own here.
#[must_use]
fn can_mount() -> bool {
    let mount = "mount -t tmpfs none /tmp";
    let tried = Command::new("unshare").args(["--mount", "/bin/sh", "-c", mount]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success()) || skip("no mount namespace can be made here: root makes them")
}

/// Runs a shell script where the program sees its files; `$0` is the program itself.
#[track_caller]
fn inside(daemon: &Running, script: &str) -> String {
    let target = daemon.pid().to_string();
    let mut command = Command::new("nsenter");
    command.args(["--mount", "--root", "--target", &target, "/bin/sh", "-c", script, env!("CARGO_BIN_EXE_mailknock")]);
    command.env("HOME", daemon.home()).env("XDG_STATE_HOME", daemon.recipe().path("state")).stdin(Stdio::null());
    let output = command.output().expect("it is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{script}` ended with {}: {error}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The library that shows a program another time, where it is installed.
pub fn faketime() -> Option<PathBuf> {
    let path = format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH);
    let library = Some(PathBuf::from(path)).filter(|library| library.is_file());
    if library.is_none() {
        skip("not installed: libfaketime");
    }
    library
}
