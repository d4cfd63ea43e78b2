//! How runs end: badly, too late, or with us.

use std::time::{Duration, Instant};

use super::{NO_LIMIT, handler, lines, push, start};
use crate::support::daemon::Signal;
use crate::support::program;
use crate::support::wait::{holds, wait_until};

#[test]
fn at_its_timeout_a_run_ends_with_all_that_it_started() {
    let script =
        "trap '' TERM; sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo $! > new; mv new child; wait; wait";
    let mut daemon = start(&handler(&format!("timeout = \"300ms\"\n{NO_LIMIT}"), script));
    push(&daemon, 1);
    let child: u32 = lines(&daemon, "child", 1)[0].parse().expect("a process id");
    assert!(program::processes().iter().any(|process| process.pid == child));
    let line = daemon.wait_log("timed out after 300ms");
    assert!(line.trim_start().starts_with("WARN"), "{line}");
    assert_eq!(daemon.descendants(), []);
    assert!(!program::processes().iter().any(|process| process.pid == child), "the grandchild lives on");
    daemon.stop();
}

/// A shell ends at once when it is asked to; what it ran must have its time as well.
#[test]
fn who_is_asked_to_end_may_tidy_up_even_without_its_parent() {
    let script =
        "sh -c 'trap \"sleep 0.5; echo tidy > tidied; exit\" TERM; : > ready; while :; do sleep 0.1; done'; true";
    let timed_out = handler(&format!("timeout = \"1s\"\n{NO_LIMIT}"), script);
    let stopped = handler(NO_LIMIT, script);
    let mut daemon = start(&timed_out);
    push(&daemon, 1);
    daemon.wait_log("timed out after 1s");
    assert_eq!(lines(&daemon, "tidied", 1), ["tidy"]);
    daemon.stop();

    let daemon = start(&stopped);
    push(&daemon, 1);
    let (ready, tidied) = (daemon.home().join("ready"), daemon.home().join("tidied"));
    wait_until("the program to run", || holds(ready.exists()));
    let recipe = daemon.recipe().clone();
    daemon.stop();
    assert!(tidied.exists(), "{} was killed before its time", recipe.home().display());
}

#[test]
fn what_cannot_run_is_a_warning_and_the_others_run_on() {
    let quick = handler(NO_LIMIT, "echo $IMSE_UID >> quick");
    let missing = format!("[[handler]]\nname = \"gone\"\n{NO_LIMIT}command = \"/nonexistent/fdm -l fetch\"\n");
    let directory = format!("[[handler]]\nname = \"odd\"\n{NO_LIMIT}command = \"/\"\n");
    let failing = handler(&format!("name = \"failing\"\n{NO_LIMIT}"), "echo words of a program; exit 3");
    let mut daemon = start(&format!("{missing}{directory}{failing}{quick}"));
    push(&daemon, 1);
    for (handler, why) in [
        ("gone", "could not start: `/nonexistent/fdm` not found. Is it installed"),
        ("odd", "could not start: `/` may not be executed"),
        ("failing", "exit 3"),
    ] {
        let line = daemon.wait_log(why);
        assert!(line.trim_start().starts_with("WARN") && line.contains(&format!("handler={handler}")), "{line}");
    }
    lines(&daemon, "quick", 1);
    push(&daemon, 2);
    assert_eq!(lines(&daemon, "quick", 2), ["1", "2"]);
    daemon.stop();
}

#[test]
fn an_end_by_signal_leaves_no_child_however_deaf() {
    let deaf = "trap '' TERM INT HUP; sh -c 'trap \"\" TERM INT; : > ready; while :; do sleep 1; done' & wait; wait";
    for signal in [Signal::TERM, Signal::INT] {
        let daemon = start(&handler(NO_LIMIT, deaf));
        push(&daemon, 1);
        let ready = daemon.home().join("ready");
        wait_until("the command to run", || holds(ready.exists()));
        let children = daemon.descendants();
        assert!(children.len() >= 2, "{children:?}");
        let started = Instant::now();
        if signal == Signal::TERM {
            daemon.stop();
        } else {
            daemon.signal(signal);
            daemon.finish().succeeded();
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{signal:?}: {:?}", started.elapsed());
        let left: Vec<_> = program::processes()
            .into_iter()
            .filter(|process| children.iter().any(|child| child.is_same(process)))
            .collect();
        assert!(left.is_empty(), "{signal:?} left {left:?}");
    }
}
