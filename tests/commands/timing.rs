//! When runs begin, and that they stand in nobody's way.

use std::time::{Duration, Instant};

use super::{NO_LIMIT, handler, lines, push, start};
use crate::support::wait::{EVENTUALLY, wait_at_most};

#[test]
fn of_a_burst_nothing_is_lost_and_no_two_runs_overlap() {
    let script = "mkdir busy || echo overlap >> done; sleep 0.02; rmdir busy; echo $IMSE_UID $IMSE_COUNT >> done";
    let daemon = start(&handler(NO_LIMIT, script));
    (1..=200).for_each(|uid| push(&daemon, uid));
    let path = daemon.home().join("done");
    let last = || std::fs::read_to_string(&path).ok().filter(|text| text.lines().any(|line| line.starts_with("200 ")));
    let text = wait_at_most(EVENTUALLY, "a run for the last event", || daemon.log(), last);
    let runs: Vec<Vec<u32>> =
        text.lines().map(|line| line.split(' ').map(|word| word.parse().expect("no overlap")).collect()).collect();
    assert!(runs.len() >= 2, "the first event waits for nothing");
    assert!(runs.is_sorted_by_key(|run| run[0]), "{runs:?}");
    assert_eq!(runs.iter().map(|run| run[1]).sum::<u32>(), 200, "{runs:?}");
    daemon.stop();
}

#[test]
fn a_delay_gathers_what_comes_meanwhile_and_counts_from_the_first() {
    let daemon = start(&handler(&format!("delay = \"1500ms\"\n{NO_LIMIT}"), "echo $IMSE_UID $IMSE_COUNT >> done"));
    let started = Instant::now();
    (1..=3).for_each(|uid| push(&daemon, uid));
    assert_eq!(lines(&daemon, "done", 1), ["3 3"]);
    assert!(started.elapsed() >= Duration::from_millis(1500));
    push(&daemon, 4);
    assert_eq!(lines(&daemon, "done", 2), ["3 3", "4 1"]);
    daemon.stop();
}

#[test]
fn after_its_burst_a_handler_runs_once_a_period() {
    let period = Duration::from_secs(3);
    let daemon = start(&handler("limit_period = \"3s\"\nlimit_burst = 3", "echo $IMSE_UID $IMSE_COUNT >> done"));
    let started = Instant::now();
    for uid in 1..=3 {
        push(&daemon, uid);
        lines(&daemon, "done", uid as usize);
    }
    assert!(started.elapsed() < period, "the burst was held back: {:?}", started.elapsed());
    (4..=6).for_each(|uid| push(&daemon, uid));
    assert_eq!(lines(&daemon, "done", 4), ["1 1", "2 1", "3 1", "6 3"]);
    assert!(started.elapsed() >= period, "the limit was passed: {:?}", started.elapsed());
    daemon.stop();
}

#[test]
fn a_periodic_run_needs_no_event_and_knows_its_user() {
    let keys = "user = \"freaky\"\nevent = \"messagenew\"\nperiodic = \"300ms\"";
    let script = "env | grep ^IMSE_ | sort | tr '\\n' ' ' >> done; echo >> done";
    let daemon = start(&handler(keys, script));
    let expected = "IMSE_EVENT=MessageNew IMSE_TRIGGER=periodic IMSE_USER=freaky ";
    assert_eq!(lines(&daemon, "done", 3)[..3], [expected; 3]);
    daemon.stop();
}

#[test]
fn a_hung_command_blocks_neither_the_others_nor_the_listener() {
    let hung = handler(&format!("name = \"hung\"\n{NO_LIMIT}"), "echo >> hung; exec sleep 600");
    let quick = handler(&format!("name = \"quick\"\n{NO_LIMIT}"), "echo $IMSE_UID >> quick");
    let daemon = start(&format!("{hung}{quick}"));
    for uid in 1..=5 {
        push(&daemon, uid);
        assert_eq!(lines(&daemon, "quick", uid as usize).last(), Some(&uid.to_string()));
    }
    assert_eq!(lines(&daemon, "hung", 1).len(), 1, "one run at a time");
    daemon.stop();
}
