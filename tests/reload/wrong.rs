//! A wrong file: the old configuration stays, and everybody is told, once.

use super::{AUTH, RELOADED, answer, marker, wait_listens, wait_runs};
use crate::control::{start, status, wait_answers, wait_status};
use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::Desktop;
use crate::support::mail::Mail;
use crate::support::require;

const WRONG: &str = "endpoint = \"/ok\"\nlisen = \"x\"\n[tray]\nclick = \"dance\"\n";

fn push(daemon: &Running, from: &str) {
    daemon.push(&Mail::new(&format!("{from} <a@example.org>"), "s").json()).accepted();
}

#[test]
fn a_wrong_file_is_told_everywhere_and_the_old_one_stays_until_it_is_mended() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let recipe = Daemon::new().bus(&bus);
    let mut daemon = start(&recipe);
    push(&daemon, "Before");
    assert_eq!(desktop.next_notification().summary, "Before");

    let from = daemon.log_length();
    recipe.write_config(WRONG);
    let line = daemon.wait_log_after(from, "unknown key `lisen`");
    assert!(line.trim_start().starts_with("WARN") && line.contains("config.toml:3:1: "), "{line}");
    let note = desktop.next_notification();
    assert_eq!(note.summary, "Mailknock");
    assert!(note.body.contains("config.toml:3:1: unknown key `lisen`") && note.body.contains("and 1 more"), "{note:?}");
    let told = status(&recipe)["problems"].clone();
    assert_eq!(told.as_array().map(Vec::len), Some(2), "{told}");
    assert!(told[0].as_str().is_some_and(|problem| problem.contains("config.toml:3:1: unknown key `lisen`")), "{told}");
    desktop.tray().wait_menu(|labels| labels.iter().any(|label| label.starts_with("⚠ ")));

    let failed = recipe.command(&["reload"]).ended_with(1).stderr;
    assert!(failed.contains("config.toml:3:1: unknown key `lisen`") && failed.contains(":5:9: "), "{failed}");
    push(&daemon, "Meanwhile");
    assert_eq!(desktop.next_notification().summary, "Meanwhile", "the same problem is no news");

    let from = daemon.log_length();
    recipe.write_config("");
    daemon.wait_log_after(from, RELOADED);
    assert_eq!(status(&recipe)["problems"], serde_json::json!([]));
    push(&daemon, "After");
    assert_eq!(desktop.next_notification().summary, "After");
    daemon.stop();
}

#[test]
fn what_is_mended_before_it_can_be_told_is_not_told() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let mut desktop = Desktop::on(&bus).without_notifications().without_tray().start();
    let recipe = Daemon::new().bus(&bus);
    let daemon = start(&recipe);
    recipe.write_config(WRONG);
    recipe.command(&["reload"]).ended_with(1);
    recipe.write_config("");
    recipe.command(&["reload"]).succeeded();
    desktop.start_notifications();
    push(&daemon, "After");
    assert_eq!(desktop.next_notification().summary, "After");
    daemon.stop();
}

#[test]
fn a_wrong_file_at_the_start_without_a_desktop_is_an_exit_code() {
    let recipe = Daemon::new().config(WRONG);
    let finished = recipe.spawn().finish().ended_with(78);
    assert!(finished.stderr.contains("config.toml:3:1: unknown key `lisen`"), "{}", finished.stderr);
    assert!(finished.stderr.contains("config.toml:5:9: "), "{}", finished.stderr);
    recipe.command(&["status"]).ended_with(1);
}

#[test]
fn a_wrong_file_at_the_start_of_a_session_is_shown_there_and_mended_there() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    // Nothing of ours asks the display.
    let recipe = Daemon::new().bus(&bus).env("DISPLAY", ":4711").config(WRONG);
    let mut daemon = recipe.spawn();
    wait_answers(&recipe);
    let note = desktop.next_notification();
    assert_eq!(note.summary, "Mailknock");
    assert!(note.body.contains("config.toml:3:1: unknown key `lisen`"), "{note:?}");
    let text = recipe.command(&["status"]).succeeded().stdout;
    assert!(text.contains("\nlistening to nothing\n") && text.contains("\nproblem: "), "{text}");
    assert_eq!(status(&recipe)["listening"], serde_json::json!([]));
    recipe.command(&["reload"]).ended_with(1);

    recipe.write_config(&format!("{AUTH}{}[[handler]]\nnotify = true", marker("alive")));
    let address = wait_listens(&mut daemon, 0);
    assert_eq!((answer(address, "/notify", false), answer(address, "/notify", true)), (401, 200));
    assert_eq!(wait_runs(&recipe, 1), ["alive"]);
    assert_ne!(desktop.next_notification().summary, "Mailknock", "the same problem is told once");
    wait_status(&recipe, "no problem any more", |status| status["problems"] == serde_json::json!([]));
    daemon.stop();
}
