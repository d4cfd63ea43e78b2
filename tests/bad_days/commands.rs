//! Commands that go wrong in every way: each is on record, and none stands in anybody's way.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use super::push;
use crate::commands::{NO_LIMIT, handler, lines};
use crate::record::{outcome, outcomes};
use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Signal};
use crate::support::desktop::Desktop;
use crate::support::program::install_script;
use crate::support::wait::{EVENTUALLY, holds, wait_at_most, wait_until};
use crate::support::{program, require};

/// A handler of this name for this user, by a shell script.
fn named(name: &str, keys: &str, script: &str) -> String {
    handler(&format!("name = \"{name}\"\nuser = \"{name}\"\n{NO_LIMIT}{keys}"), script)
}

fn program(name: &str, program: &str) -> String {
    format!("[[handler]]\nname = \"{name}\"\nuser = \"{name}\"\n{NO_LIMIT}command = [\"{program}\"]\n")
}

#[test]
fn however_a_command_ends_its_end_is_on_record() {
    let recipe = Daemon::new();
    let plain = recipe.home().join("plain");
    fs::write(&plain, "no program").expect("the directory is ours");
    let strange = recipe.home().join("strange");
    install_script("no program", &strange);
    let deaf = "trap '' TERM; while :; do sleep 0.1; done";
    let config = [
        program("absent", "/nonexistent/fdm"),
        program("plain", &plain.display().to_string()),
        program("strange", &strange.display().to_string()),
        named("quick", "", "exit 0"),
        named("failing", "", "exit 3"),
        named("dying", "", "kill -9 $$"),
        named("endless", "timeout = \"200ms\"\n", "exec sleep 1000"),
        named("deaf", "timeout = \"200ms\"\n", deaf),
        named("leaving", "", "sleep 1000 & echo $! > left"),
        named("loud", "", "head -c 1G /dev/zero"),
        named("bystander", "", ":"),
    ];
    let daemon = recipe.config(&config.concat()).start();
    let event = |user: &str| format!(r#"{{"user":"{user}","event":"messageNew"}}"#);
    let expected = [
        ("absent", "could not start: `/nonexistent/fdm` not found. Is it installed"),
        ("plain", "plain` may not be executed. Is its x permission set?"),
        ("strange", "could not start: "),
        ("quick", "done"),
        ("failing", "exit 3"),
        ("dying", "killed by signal 9"),
        ("endless", "timed out after 200ms"),
        ("leaving", "done; something that it started still runs"),
        ("deaf", "timed out after 200ms"),
        ("loud", "done"),
    ];
    for (name, _) in expected {
        daemon.push(&event(name)).accepted();
    }
    // Before the slow ones are done.
    daemon.push(&event("bystander")).accepted();
    assert_eq!(outcome(daemon.recipe(), "bystander"), "done");
    for (name, words) in expected {
        let log = || daemon.log();
        let said = wait_at_most(EVENTUALLY, &format!("the end of {name}"), log, || {
            outcomes(daemon.recipe(), name).pop().filter(|outcome| outcome != "not finished")
        });
        assert!(said.contains(words), "{name}: {said}");
        push(&daemon, "an answer");
    }
    // What it left to itself is its own business, and here ours.
    let left: u32 = lines(&daemon, "left", 1)[0].parse().expect("a process id");
    program::signal(left, Signal::KILL);
    daemon.stop();
}

#[test]
fn a_command_need_not_read_what_it_is_told() {
    let script = "if [ -e first ]; then echo $IMSE_COUNT > second; else : > first; \
        while ! [ -e go ]; do sleep 0.01; done; fi";
    let daemon = Daemon::new().config(&handler(&format!("name = \"run\"\n{NO_LIMIT}"), script)).start();
    push(&daemon, "first");
    wait_until("the first run", || holds(daemon.home().join("first").exists()));
    let snippet = "x".repeat(100_000);
    for _ in 0..50 {
        let event = json!({"user": "me", "event": "messageNew", "snippet": snippet});
        daemon.push(&event.to_string()).accepted();
    }
    fs::write(daemon.home().join("go"), "").expect("the directory is ours");
    assert_eq!(lines(&daemon, "second", 1), ["50"]);
    assert_eq!(outcome(daemon.recipe(), "run"), "done");
    daemon.stop();
}

#[test]
fn handlers_with_the_same_lock_take_turns_and_a_fetch_waits_for_its_own() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let turn = |name: &str| {
        format!(
            "mkdir busy || echo overlap >> turns; : > running-{name}; while [ -e hold ]; do sleep 0.01; done; \
             sleep 0.05; echo {name} $IMSE_TRIGGER >> turns; rmdir busy"
        )
    };
    let locked = |name: &str, event: &str| {
        let keys = format!("name = \"{name}\"\nevent = \"{event}\"\nfetch = true\nlock = \"mail\"\n{NO_LIMIT}");
        handler(&keys, &turn(name))
    };
    let free = handler(&format!("name = \"free\"\nfetch = false\n{NO_LIMIT}"), "echo free >> free");
    let config = [locked("one", "MessageNew"), locked("two", "MessageRead"), free].concat();
    let daemon = Daemon::new().bus(&bus).config(&config).start();
    fs::write(daemon.home().join("hold"), "").expect("the directory is ours");
    push(&daemon, "first");
    wait_until("the first run", || holds(daemon.home().join("running-one").exists()));
    desktop.tray().choose("Fetch");
    // Who has no lock waits for nobody; and by then the choice has arrived as well.
    push(&daemon, "second");
    lines(&daemon, "free", 2);
    assert!(!daemon.home().join("running-two").exists(), "it didn't wait");
    fs::remove_file(daemon.home().join("hold")).expect("it is there");
    let turns = lines(&daemon, "turns", 3);
    assert_eq!(turns[0], "one event");
    assert!(turns.contains(&"two fetch".to_owned()) && !turns.contains(&"overlap".to_owned()), "{turns:?}");

    // And under load.
    let started = Instant::now();
    for uid in 0..30 {
        for kind in ["messageNew", "MessageRead"] {
            let event = json!({"user": "me", "event": kind, "subject": uid.to_string()});
            daemon.push(&event.to_string()).accepted();
        }
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    let all = || outcomes(daemon.recipe(), "one").iter().chain(&outcomes(daemon.recipe(), "two")).all(|o| o == "done");
    wait_at_most(EVENTUALLY, "all runs", || daemon.log(), || all().then_some(()));
    let turns = lines(&daemon, "turns", 5);
    assert!(!turns.contains(&"overlap".to_owned()), "{turns:?}");
    daemon.stop();
}
