//! A disk that takes half a minute for what it should do at once.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::push;
use crate::record::{AT_ONCE, subjects};
use crate::support::daemon::Daemon;
use crate::support::require;
use crate::support::wait::{holds, wait_until};

/// Whoever asks for the disk waits while the file named by `STALL` is there; that someone did is another file.
const SHIM: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int stall(void) {
    const char *file = getenv("STALL");
    char met[4096];
    if (file == NULL || access(file, F_OK) != 0)
        return 0;
    snprintf(met, sizeof met, "%s.met", file);
    close(open(met, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    sleep(30);
    return 0;
}

int fsync(int file) { (void)file; return stall(); }
int fdatasync(int file) { (void)file; return stall(); }
"#;

fn recipe() -> Daemon {
    let daemon = Daemon::new().config(AT_ONCE);
    let (source, library) = (daemon.path("temporary/shim.c"), daemon.path("temporary/shim.so"));
    fs::write(&source, SHIM).expect("the directory is ours");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(compiled.expect("it is installed").success());
    let stall = daemon.path("temporary/stall");
    daemon.env("LD_PRELOAD", library).env("STALL", stall)
}

/// For long enough that everything which is done now and then is done.
fn push_for(daemon: &crate::support::daemon::Running, time: Duration) {
    let started = Instant::now();
    while started.elapsed() < time {
        push(daemon, "meanwhile");
    }
}

#[test]
fn a_disk_that_stalls_delays_neither_an_answer_nor_our_end() {
    if !require(&["cc"]) {
        return;
    }
    let recipe = recipe();
    let (stall, met) = (recipe.path("temporary/stall"), recipe.path("temporary/stall.met"));
    let daemon = recipe.start();
    fs::write(&stall, "").expect("the directory is ours");
    push(&daemon, "before");
    wait_until("something to wait for the disk", || holds(met.exists()));
    push_for(&daemon, Duration::from_secs(3));
    push(&daemon, "last");
    daemon.stop();
    fs::remove_file(&stall).expect("it is there");
    let daemon = recipe.start();
    push(&daemon, "after");
    assert_eq!(subjects(&recipe, &["-n", "3"]), ["after", "last", "meanwhile"]);
    daemon.stop();
}

#[test]
fn a_disk_that_stalls_from_the_start_is_no_reason_not_to_start() {
    if !require(&["cc"]) {
        return;
    }
    let recipe = recipe();
    for start in ["first", "second"] {
        fs::write(recipe.path("temporary/stall"), "").expect("the directory is ours");
        let daemon = recipe.start();
        push(&daemon, start);
        push_for(&daemon, Duration::from_secs(1));
        daemon.stop();
    }
}
