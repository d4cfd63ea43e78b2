//! A message that was read, trashed or expunged elsewhere needs no popup.

use serde_json::json;

use super::outcomes;
use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::Desktop;
use crate::support::require;

fn push(daemon: &Running, user: &str, kind: &str, uid: u32) {
    let event = json!({"user": user, "event": kind, "folder": "INBOX", "imap-uidvalidity": 1, "imap-uid": uid,
        "subject": format!("{user} {uid}")});
    daemon.push(&event.to_string()).accepted();
}

#[test]
fn the_popup_of_a_message_goes_when_the_message_is_settled() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    // Filters decide about popups, not about what a message needs.
    let handler = "[[handler]]\nfolder = \"INBOX\"\nsubject = \"me *\"\n[handler.notify]\nsummarise_over = 20\n";
    let daemon = Daemon::new().bus(&bus).config(handler).start();
    for (uid, kind) in (1..).zip(["MessageRead", "MessageTrash", "MessageExpunge"]) {
        // One by one: what comes before the service is known comes together.
        push(&daemon, "me", "messageNew", uid);
        let popup = desktop.next_notification();
        assert!(popup.body.starts_with(&format!("me {uid}")), "{}", popup.body);
        push(&daemon, "me", "messageNew", 100 + uid);
        let other = desktop.next_notification();
        let settled = json!({"user": "me", "event": kind, "folder": "INBOX", "imap-uidvalidity": 1, "imap-uid": uid});
        daemon.push(&settled.to_string()).accepted();
        assert_eq!(desktop.next_close(), popup.id, "{kind}");
        assert!(desktop.shown().contains(&other.id), "{kind}");
    }
    daemon.stop();
}

#[test]
fn a_popup_that_waits_while_paused_never_comes() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let daemon = Daemon::new().bus(&bus).config("[[handler]]\nname = \"popups\"\nnotify = true\n").start();
    let tray = desktop.tray();
    tray.choose("Until resumed");
    tray.entry("Notifications paused");
    push(&daemon, "me", "messageNew", 1);
    push(&daemon, "me", "messageNew", 2);
    push(&daemon, "me", "MessageRead", 1);
    tray.choose("Resume");
    // One alone is no summary, so the first was not among what waited.
    let popup = desktop.next_notification();
    assert!(popup.body.starts_with("me 2"), "{}: {}", popup.summary, popup.body);
    push(&daemon, "me", "messageNew", 3);
    assert!(desktop.next_notification().body.starts_with("me 3"));
    let said: Vec<_> = outcomes(daemon.recipe(), "popups");
    assert_eq!(said.last().map(String::as_str), Some("not shown: it was read or deleted before"), "{said:?}");
    daemon.stop();
}

#[test]
fn a_handler_may_leave_its_popups() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let keeps = "[[handler]]\nname = \"keeps\"\nuser = \"keeps\"\n[handler.notify]\nwithdraw = false\n";
    let daemon = Daemon::new().bus(&bus).config(&format!("{keeps}[[handler]]\nnotify = true\n")).start();
    push(&daemon, "keeps", "messageNew", 1);
    let kept = desktop.next_notification();
    push(&daemon, "me", "messageNew", 1);
    let withdrawn = desktop.next_notification();
    push(&daemon, "keeps", "MessageRead", 1);
    push(&daemon, "me", "MessageRead", 1);
    assert_eq!(desktop.next_close(), withdrawn.id);
    assert_eq!(desktop.shown(), [kept.id]);

    let tray = desktop.tray();
    tray.choose("Until resumed");
    tray.entry("Notifications paused");
    push(&daemon, "keeps", "messageNew", 2);
    push(&daemon, "keeps", "MessageRead", 2);
    tray.choose("Resume");
    assert!(desktop.next_notification().body.starts_with("keeps 2"));
    daemon.stop();
}
