//! Notifications that are held, and the one that tells of them.

use serde_json::Value;

use super::{push, start, status, without_tray};
use crate::support::daemon::Daemon;
use crate::support::mail::Mail;

#[test]
fn what_comes_in_a_pause_is_one_summary_when_somebody_resumes() {
    let Some((_bus, desktop, recipe)) = without_tray() else { return };
    let daemon = start(&recipe);
    let paused = recipe.command(&["pause", "30m"]).succeeded().stdout;
    assert!(paused.starts_with("notifications are paused until ") && !paused.contains("resumed"), "{paused}");
    push(&daemon, 1);
    let paused = recipe.command(&["pause"]).succeeded().stdout;
    assert_eq!(paused, "notifications are paused until resumed\n");
    push(&daemon, 2);
    push(&daemon, 3);
    assert_eq!(status(&recipe)["paused"], true);
    assert!(desktop.try_notification().is_none());
    assert_eq!(recipe.command(&["resume"]).succeeded().stdout, "notifications are shown\n");
    assert_eq!(desktop.next_notification().summary, "3 new messages in INBOX");
    recipe.command(&["resume"]).succeeded();
    // Of another folder, so that it is no more of the same burst.
    daemon.push(&Mail::new("After <a@example.org>", "s").folder("other").json()).accepted();
    assert_eq!(desktop.next_notification().summary, "After");
    daemon.stop();
}

#[test]
fn a_pause_ends_by_itself() {
    let Some((_bus, desktop, recipe)) = without_tray() else { return };
    let daemon = start(&recipe);
    recipe.command(&["pause", "2s"]).succeeded();
    push(&daemon, 1);
    push(&daemon, 2);
    assert_eq!(desktop.next_notification().summary, "2 new messages in INBOX");
    assert_eq!(status(&recipe)["paused"], false);
    daemon.stop();
}

#[test]
fn a_pause_outlives_the_program_however_that_ends() {
    for pause in [&["pause", "30m"][..], &["pause"]] {
        let Some((_bus, desktop, recipe)) = without_tray() else { return };
        let daemon = start(&recipe);
        recipe.command(pause).succeeded();
        // To the second: finer parts are not on record.
        let end = |status: &Value| status["paused_until"].as_str().map(|end| end[..19].to_owned());
        let before = end(&status(&recipe));
        push(&daemon, 1);
        let daemon = start(&daemon.kill());
        push(&daemon, 2);
        daemon.stop();
        let daemon = start(&recipe);
        push(&daemon, 3);
        let after = status(&recipe);
        assert_eq!((&after["paused"], end(&after)), (&true.into(), before));
        recipe.command(&["resume"]).succeeded();
        assert_eq!(desktop.next_notification().summary, "3 new messages in INBOX");
        let daemon = start(&daemon.kill());
        assert_eq!(status(&recipe)["paused"], false);
        daemon.stop();
    }
}

#[test]
fn a_length_that_is_none_pauses_nothing() {
    let recipe = Daemon::new();
    let daemon = start(&recipe);
    for length in ["soon", "-1h", "30 parsecs", ""] {
        recipe.command(&["pause", "--", length]).ended_with(2);
    }
    // Beyond the end of time: until resumed.
    recipe.command(&["pause", "500000000000years"]).succeeded();
    let paused = status(&recipe);
    assert_eq!((&paused["paused"], paused.get("paused_until")), (&true.into(), None));
    daemon.stop();
}
