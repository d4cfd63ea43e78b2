//! What the tests are built from. Each part starts something real or fake, answers blocking questions about it, and
//! ends it when dropped.
#![allow(dead_code, reason = "the parts are offered whole; which of their methods are used changes with every test")]

pub mod browser;
pub mod bus;
pub mod certificate;
pub mod daemon;
pub mod desktop;
pub mod dovecot;
pub mod help;
pub mod http;
pub mod imap;
pub mod installed;
pub mod local_sshd;
pub mod logind;
pub mod machine;
pub mod mail;
pub mod network;
pub mod output;
pub mod peer;
pub mod program;
pub mod real_desktop;
pub mod receiver;
pub mod recorder;
pub mod send;
pub mod service;
pub mod sshd;
pub mod tunnel;
pub mod wait;

use std::io::Write;
use std::path::{Path, PathBuf};

/// Says whether all `programs` are installed. A test that gets `false` returns: on a laptop a missing program is a
/// printed skip, but under `tests/run` (which installs them) it is a failure.
#[must_use]
pub fn require(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().copied().filter(|name| find_program(name).is_none()).collect();
    missing.is_empty() || skip(&format!("not installed: {}", missing.join(", ")))
}

/// Prints that the current test is skipped and returns `false`, or panics where skipping isn't allowed.
pub fn skip(reason: &str) -> bool {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(std::env::var_os("MAILKNOCK_TESTS_REQUIRE_ALL").is_none(), "{test} can't be skipped here: {reason}");
    // Not eprintln!, whose output the test harness keeps to itself when a test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
    false
}

/// Where a program is: looked up in `PATH`, and where Debian keeps servers and what other programs start.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let xfce = |part: &str| format!("/usr/lib/{}-linux-gnu/xfce4/{part}", std::env::consts::ARCH);
    let (xfconf, notifyd) = (xfce("xfconf"), xfce("notifyd"));
    let generators = "/usr/lib/systemd/user-generators";
    let elsewhere =
        ["/usr/sbin", "/sbin", "/lib/systemd", "/usr/lib/dovecot", "/usr/lib/cyrus/bin", generators, &xfconf, &notifyd];
    let elsewhere = elsewhere.map(PathBuf::from);
    let mut candidates = std::env::split_paths(&path).chain(elsewhere).map(|directory| directory.join(name));
    candidates.find(|file| file.is_file())
}

/// A file of the repository, by its path from the top.
pub fn repository_file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
