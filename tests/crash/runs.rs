//! Ended in the middle of a run, by whatever or whomever.

use std::fs;

use super::{assert_all_told, event, recipe, told};
use crate::commands::lines;
use crate::record::{outcome, outcomes};
use crate::support::bus::Bus;
use crate::support::daemon::Daemon;
use crate::support::desktop::Desktop;
use crate::support::http::Connection;
use crate::support::require;
use crate::support::wait::{holds, wait_until};

#[test]
fn a_run_that_outlived_us_is_ended_before_its_events_run_again() {
    // The second run says whether the first is still there; a dead one that nobody has buried isn't.
    let script = "trap '' TERM; first=$(cat pid 2>/dev/null); \
        grep -qs '^State:[[:space:]]*[^ZX[:space:]]' \"/proc/$first/status\" && echo overlap >> runs; \
        echo $$ > pid; cat >> seen; echo run >> runs; sleep 1000 & wait";
    let daemon = recipe(script).start();
    daemon.push(&event(1)).accepted();
    assert_eq!(lines(&daemon, "runs", 1), ["run"]);
    let left = daemon.descendants();
    assert!(left.len() >= 2, "the shell and what it started: {left:?}");
    let daemon = daemon.kill().start();
    assert_eq!(lines(&daemon, "runs", 2), ["run", "run"]);
    let alive = crate::support::program::processes();
    assert!(!left.iter().any(|process| alive.iter().any(|other| other.is_same(process))), "one of {left:?} lives on");
    assert_all_told(&daemon, &[1].into());
    assert_eq!(told(daemon.recipe())[1]["redelivered"], true);
    // What ended before is no reason to end anything later.
    let recipe = daemon.recipe().clone();
    daemon.stop();
    let database = rusqlite::Connection::open(crate::record::database(&recipe)).expect("it can be opened");
    let groups: i64 = database.query_row("SELECT count(*) FROM run", [], |row| row.get(0)).expect("it is ours");
    assert_eq!(groups, 0, "process groups of an earlier life are still on record");
}

#[test]
fn an_event_that_ends_us_twice_is_set_aside_and_the_others_go_on() {
    let script =
        "read -r event; case $event in *'\"subject\":\"13\"'*) kill -9 $PPID;; *) echo \"$event\" >> seen;; esac";
    let recipe = recipe(script);
    let daemon = recipe.start();
    daemon.push(&event(1)).accepted();
    assert_eq!(outcome(&recipe, "run"), "done");
    // It may be gone before it answers.
    let mut connection = Connection::open(daemon.addr());
    connection.send(&daemon.request().json(&event(13)).bytes());
    assert_eq!(daemon.finish().status.code(), None, "the first time it ends");
    assert_eq!(recipe.spawn().finish().status.code(), None, "the second time it ends");

    let mut daemon = recipe.start();
    daemon.push(&event(2)).accepted();
    assert_all_told(&daemon, &[1, 2].into());
    assert_eq!(outcome(&recipe, "run"), "done");
    assert_eq!(outcomes(&recipe, "run"), ["done", "set aside: the program ended twice while handling it", "done"]);
    daemon.wait_log("set aside");
    assert!(daemon.is_alive());
    daemon.stop();
    let daemon = recipe.start();
    daemon.push(&event(3)).accepted();
    assert_all_told(&daemon, &[1, 2, 3].into());
    assert!(!daemon.log().contains("set aside"), "said once");
    daemon.stop();
}

#[test]
fn what_our_own_end_interrupts_is_delivered_again() {
    let recipe = recipe("cat >> seen; [ -e first ] || { : > first; exec sleep 1000; }");
    for _ in 0..3 {
        let daemon = recipe.start();
        daemon.push(&event(1)).accepted();
        wait_until("the run", || holds(recipe.home().join("first").exists()));
        daemon.stop();
        assert_eq!(outcomes(&recipe, "run"), ["not finished"]);
        fs::remove_file(recipe.home().join("first")).expect("it is there");
    }
    fs::write(recipe.home().join("first"), "").expect("it is ours");
    let daemon = recipe.start();
    assert_eq!(outcome(&recipe, "run"), "done", "ends that were asked for are no crashes");
    assert_all_told(&daemon, &[1].into());
    let redelivered: Vec<_> = told(&recipe).iter().map(|event| event["redelivered"] == true).collect();
    assert_eq!(redelivered, [false, true, true, true]);
    daemon.stop();
}

#[test]
fn popups_that_nobody_could_show_come_as_one_after_a_kill() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let mut desktop = Desktop::on(&bus).without_notifications().start();
    let mut daemon = Daemon::new().bus(&bus).config("[[handler]]\nname = \"popups\"\nnotify = true\n").start();
    daemon.wait_log("no notifications for now");
    (1..=3).for_each(|number| assert_eq!(daemon.push(&event(number)).status, 200));
    let recipe = daemon.kill();
    desktop.start_notifications();
    let daemon = recipe.start();
    let summary = desktop.next_notification();
    assert_eq!(summary.summary, "3 new messages in INBOX");
    daemon.push(&event(4)).accepted();
    let next = desktop.next_notification();
    assert_eq!((next.body.as_str(), next.replaces_id), ("4", 0));
    assert_eq!(outcome(&recipe, "popups"), "shown");
    assert_eq!(outcomes(&recipe, "popups"), ["shown"; 4]);
    daemon.stop();
}
