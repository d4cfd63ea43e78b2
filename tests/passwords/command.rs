//! `pass_command` with programs that are slow, fail, hang, or say too much.

use std::time::{Duration, Instant};

use super::{EVENT, fs, holds, pass_command, problem, push, request, start, status, wait_problem, wait_until};
use crate::record::recent;
use crate::support::daemon::Daemon;
use crate::support::http::Connection;

/// Writes a line for each start, in front of this.
fn counted(script: &str) -> String {
    pass_command(&format!("echo started >>starts\n{script}"))
}

fn starts(recipe: &Daemon) -> usize {
    fs::read_to_string(recipe.home().join("starts")).unwrap_or_default().lines().count()
}

#[test]
fn requests_wait_for_a_slow_program() {
    let script = "while [ ! -e go ]; do sleep 0.01; done; echo bar";
    let recipe = Daemon::new().config(&format!("timeout = \"60s\"\n{}", counted(script)));
    let daemon = start(&recipe);
    wait_until("the program to be started", || holds(starts(&recipe) == 1));
    let send = |pass: &str| {
        let mut connection = Connection::open(daemon.addr());
        connection.send(&request(&daemon, pass).bytes());
        connection
    };
    let mut good: Vec<_> = (0..20).map(|_| send("bar")).collect();
    let mut wrong = send("baz");
    // Others are served meanwhile.
    daemon.request().json(EVENT).send(daemon.addr()).refused(401);
    assert!(status(&recipe)["listening"][0].is_string());
    assert!(!wrong.is_closed(Duration::from_millis(1)) && !good[0].is_closed(Duration::from_millis(1)));
    assert_eq!(recent(&recipe, &[]).len(), 0);
    fs::write(recipe.home().join("go"), "").expect("the home is ours");
    for connection in &mut good {
        connection.response().accepted();
    }
    wrong.response().refused(401);
    assert_eq!((recent(&recipe, &[]).len(), starts(&recipe)), (20, 1));
    daemon.stop();
}

#[test]
fn requests_that_wait_are_answered_after_a_reload_too() {
    let script = "while [ ! -e go ]; do sleep 0.01; done; echo bar";
    let recipe = Daemon::new().config(&format!("timeout = \"60s\"\n{}", counted(script)));
    let daemon = start(&recipe);
    wait_until("the program to be started", || holds(starts(&recipe) == 1));
    let mut waiting = Connection::open(daemon.addr());
    waiting.send(&request(&daemon, "bar").bytes());
    // Answered after what came before it.
    daemon.request().json(EVENT).send(daemon.addr()).refused(401);
    recipe.command(&["reload"]).succeeded();
    wait_until("the program to be started again", || holds(starts(&recipe) == 2));
    fs::write(recipe.home().join("go"), "").expect("the home is ours");
    assert_eq!(push(&daemon, "bar"), 200);
    waiting.response().accepted();
    daemon.stop();
}

#[test]
fn a_program_that_fails_lets_nobody_in_and_what_it_printed_is_not_told() {
    let recipe = Daemon::new();
    for (script, why) in [
        ("echo sesame; echo sesame >&2; exit 3", "`auth.pass_command` /bin/sh: exit 3"),
        ("echo sesame; kill -9 $$", "killed by signal 9"),
        ("echo; echo sesame", "it printed nothing"),
        ("true", "it printed nothing"),
        // A page, not a password.
        ("echo sesame; head -c 20000 /dev/zero | tr '\\0' x", "more than 4 KiB"),
    ] {
        recipe.write_config(&pass_command(script));
        let daemon = start(&recipe);
        for pass in ["sesame", "", "x"] {
            assert_eq!(push(&daemon, pass), 401, "{script}: {pass:?}");
        }
        wait_problem(&recipe, why);
        let told = [status(&recipe).to_string(), recipe.command(&["check"]).succeeded().stderr, daemon.stop().stderr];
        assert!(!told.iter().any(|told| told.contains("sesame")), "{script}: {told:#?}");
    }
    recipe.write_config(&super::auth("pass_command = \"no-such-program -x\""));
    let daemon = start(&recipe);
    assert_eq!(push(&daemon, "x"), 401);
    wait_problem(&recipe, "`no-such-program` not found");
    daemon.stop();
}

#[test]
fn after_a_failure_it_is_tried_again_when_a_request_needs_it_but_not_by_each() {
    let recipe = Daemon::new().config(&counted("cat there"));
    let daemon = start(&recipe);
    let began = Instant::now();
    wait_problem(&recipe, "exit 1");
    while began.elapsed() < Duration::from_secs(4) {
        for pass in ["bar", "baz"] {
            assert_eq!(push(&daemon, pass), 401);
        }
    }
    assert_eq!(starts(&recipe), 1);
    fs::write(recipe.home().join("there"), "bar").expect("the home is ours");
    wait_until("the second start", || holds(push(&daemon, "bar") == 200));
    assert_eq!((starts(&recipe), problem(&recipe)), (2, String::new()));
    assert!(began.elapsed() >= Duration::from_millis(4500), "{:?}", began.elapsed());
    for _ in 0..20 {
        assert_eq!([push(&daemon, "bar"), push(&daemon, "baz")], [200, 401]);
    }
    assert_eq!(starts(&recipe), 2, "it is known now");
    daemon.stop();
}

#[test]
fn a_program_that_hangs_is_ended_by_our_end_and_by_a_reload() {
    let recipe = Daemon::new();
    for script in ["sleep 1000", "sleep 1000 & sleep 1000", "trap '' TERM; echo ready >ready; sleep 1000; sleep 1000"] {
        recipe.write_config(&counted(script));
        let daemon = start(&recipe);
        let before = starts(&recipe);
        wait_until("the program to be started", || holds(!daemon.descendants().is_empty()));
        let first = daemon.descendants()[0].clone();
        recipe.command(&["reload"]).succeeded();
        let is_another = || daemon.descendants().first().is_some_and(|process| !process.is_same(&first));
        wait_until("the program to be started again", || holds(is_another() && starts(&recipe) > before));
        let left = || crate::support::program::processes().iter().any(|process| process.is_same(&first));
        wait_until("the first to be gone", || holds(!left()));
        daemon.stop();
    }
    // One that ends when it is told to is given the time.
    recipe.write_config(&pass_command("trap 'echo bye >bye; exit' TERM; echo >armed; while :; do sleep 0.01; done"));
    let daemon = start(&recipe);
    wait_until("the program", || holds(recipe.home().join("armed").exists()));
    daemon.stop();
    assert!(recipe.home().join("bye").exists());
}
