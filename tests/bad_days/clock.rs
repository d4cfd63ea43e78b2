//! Clocks that jump, and hours in which nothing happens.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{faketime, pass, push, ticks};
use crate::commands::{NO_LIMIT, handler, lines};
use crate::record::{AT_ONCE, recent};
use crate::support::daemon::Daemon;
use crate::support::desktop::SPEAKS_DBUS;
use crate::support::wait::{holds, wait_until};

#[test]
fn a_clock_that_jumps_by_years_delays_nothing_and_takes_nothing_away() {
    let Some(library) = faketime() else { return };
    let delayed =
        handler(&format!("name = \"delayed\"\nuser = \"delayed\"\ndelay = \"1500ms\"\n{NO_LIMIT}"), "cat >> seen");
    let periodic = handler("name = \"periodic\"\nuser = \"nobody\"\nperiodic = \"300ms\"\n", "echo >> periods");
    let recipe = Daemon::new().config(&format!("{AT_ONCE}{delayed}{periodic}"));
    let clock = recipe.path("temporary/clock");
    let set_clock = |by: &str| {
        fs::write(clock.with_extension("new"), by).expect("the directory is ours");
        fs::rename(clock.with_extension("new"), &clock).expect("the directory is ours");
    };
    set_clock("+0");
    let recipe = recipe
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1")
        // The other clock never jumps.
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("NO_FAKE_STAT", "1");
    let daemon = recipe.start();
    let many = |count: usize| json!(vec![json!({"user": "me", "event": "messageNew", "subject": "old"}); count]);
    daemon.push(&many(100).to_string()).accepted();
    let this_year = year(&recipe);
    for (number, (by, years)) in [("+10y", 10), ("-10y", -10), ("+0", 0)].into_iter().enumerate() {
        let started = Instant::now();
        daemon.push(r#"{"user":"delayed","event":"messageNew"}"#).accepted();
        set_clock(by);
        push(&daemon, "after the jump");
        assert!((year(&recipe) - this_year - years).abs() <= 1, "the clock is set to {by}: {}", year(&recipe));
        lines(&daemon, "seen", number + 1);
        let waited = started.elapsed();
        assert!((Duration::from_millis(1450)..Duration::from_secs(8)).contains(&waited), "{by}: {waited:?}");
        let periods = lines(&daemon, "periods", 1).len();
        lines(&daemon, "periods", periods + 3);
        // So many that old entries are looked for.
        daemon.push(&many(300).to_string()).accepted();
        let left = recent(&recipe, &["-n", "10000"]).len();
        let came = 100 + (number + 1) * 302;
        // A few at a time may go where the clock says that they are ten years old.
        assert!(left + 3 * 40 >= came.min(1000), "{by}: of {came} {left} are left");
    }
    daemon.stop();
}

/// Of the newest entry.
fn year(recipe: &Daemon) -> i64 {
    let newest = &recent(recipe, &["-n", "1"])[0];
    newest["at"].as_str().and_then(|at| at.get(..4)?.parse().ok()).expect("a time")
}

#[test]
fn in_three_idle_hours_nothing_stirs_that_need_not() {
    let Some(library) = faketime() else { return };
    let timing = "delay = \"1s\"\nlimit_period = \"60s\"\nlimit_burst = 2\n";
    let idle = handler(timing, "echo >> runs");
    let fast =
        |config: &str| Daemon::new().config(config).env("LD_PRELOAD", &library).env("FAKETIME", "+0 x600").start();
    let log = "[log]\nmax_level = \"debug\"\n";
    let idle = fast(&format!("{log}{idle}{AT_ONCE}[[handler]]\nnotify = true\n"));
    let periodic = fast(&format!("{log}{}", handler(&format!("{timing}periodic = \"300s\"\n"), "echo >> runs")));
    let unhurried = Daemon::new().config(AT_ONCE).start();
    push(&unhurried, "the last event");
    for daemon in [&idle, &periodic] {
        push(daemon, "the last event");
        lines(daemon, "runs", 1);
    }
    // A quarter of an hour later all is done that an event leaves to do.
    pass(Duration::from_secs(2));
    let before = [&idle, &periodic].map(ticks);
    let runs = lines(&periodic, "runs", 1).len();
    pass(Duration::from_secs(18));
    let used = [ticks(&idle) - before[0], ticks(&periodic) - before[1]];
    assert!(used[0] <= 1, "idle, it used {} ticks", used[0]);
    // Each run costs one or two.
    assert!(used[1] <= 150, "with a run every five minutes it used {} ticks", used[1]);
    let runs = lines(&periodic, "runs", 1).len() - runs;
    assert!((15..=37).contains(&runs), "{runs} runs in three hours");
    assert_eq!(lines(&idle, "runs", 1).len(), 1);
    // Threads wait by a clock that the library doesn't reach, so this is asked of one in our own time: what put the
    // record in order has been gone for some seconds.
    let tasks = || fs::read_dir(format!("/proc/{}/task", unhurried.pid())).expect("it runs").count();
    // The portable desktop's icon has one of its own.
    let threads = if SPEAKS_DBUS { 1 } else { 2 };
    wait_until("one thread", || holds(tasks() == threads));
    idle.stop();
    periodic.stop();
    unhurried.stop();
}
