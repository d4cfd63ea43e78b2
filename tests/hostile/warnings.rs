//! What is said about strangers again and again doesn't fill the disk, and what the user wants to read isn't left out.

use std::fs;

use super::{LOG, start};
use crate::bad_days::faketime;
use crate::support::daemon::{Daemon, Running};
use crate::support::wait::wait_until;

const EVENT: &str = r#"{"user":"me","event":"messageNew"}"#;
const AUTH: &str = "[auth]\nuser = \"foo\"\npass = \"bar\"\n";
const WRONG: &str = "no or a wrong user or password";

fn warnings(log: &str, text: &str) -> usize {
    log.lines().filter(|line| line.trim_start().starts_with("WARN") && line.contains(text)).count()
}

/// So many wrong passwords, each from a port of its own.
#[track_caller]
fn push_wrong(daemon: &Running, count: usize) {
    for number in 0..count {
        let header = if number % 2 == 0 { "Basic Zm9vOmJheg==" } else { "Basic Zm9v" };
        daemon.request().header("Authorization", header).json(EVENT).send(daemon.addr()).refused(401);
    }
}

#[test]
fn equal_warnings_are_one_line_a_minute_and_the_next_says_how_many_there_were() {
    let Some(library) = faketime() else { return };
    let recipe = Daemon::new().config(&format!("{AUTH}{LOG}"));
    let clock = recipe.path("temporary/clock");
    let set_clock = |by: &str| {
        fs::write(clock.with_extension("new"), by).expect("the directory is ours");
        fs::rename(clock.with_extension("new"), &clock).expect("the directory is ours");
    };
    set_clock("+0");
    let recipe = recipe.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &clock);
    let mut daemon = recipe.env("FAKETIME_NO_CACHE", "1").env("NO_FAKE_STAT", "1").start();
    push_wrong(&daemon, 50);
    assert_eq!(warnings(&daemon.log(), WRONG), 1, "{}", daemon.log());
    for (number, later) in ["+61s", "+122s"].into_iter().enumerate() {
        set_clock(later);
        let from = daemon.log_length();
        push_wrong(&daemon, 50);
        daemon.wait_log_after(from, &format!("the next line was left out {} times", 49));
        daemon.wait_log_after(from, WRONG);
        assert_eq!(warnings(&daemon.log(), WRONG), number + 2, "{}", daemon.log());
    }
    assert_eq!(warnings(&daemon.log(), "was left out"), 2);
    daemon.stop();
}

#[test]
fn a_handler_writes_each_of_its_lines() {
    let daemon = start("[[handler]]\nlog = \"warn\"\n");
    for _ in 0..20 {
        daemon.push(EVENT).accepted();
    }
    wait_until("twenty lines", || (warnings(&daemon.log(), "MessageNew") >= 20).then_some(()));
    assert_eq!(warnings(&daemon.stop().stderr, "MessageNew"), 20);
}

#[test]
fn each_reload_that_somebody_asks_for_is_told_about() {
    let recipe = Daemon::new().config(LOG);
    let mut daemon = crate::control::start(&recipe);
    recipe.write_config("lisen = 1");
    daemon.wait_log("unknown key `lisen`");
    for _ in 0..3 {
        let from = daemon.log_length();
        recipe.command(&["reload"]).ended_with(1);
        daemon.wait_log_after(from, "unknown key `lisen`");
    }
    daemon.stop();
}
