//! How things stand while somebody reads mail elsewhere: in `status`, in a bar and in the tray.

use std::cell::RefCell;

use serde_json::{Value, json};

use super::{AUTH, finish, message, push_url};
use crate::support::bus::Bus;
use crate::support::daemon::Daemon;
use crate::support::desktop::{Desktop, TrayItem};
use crate::support::dovecot::Dovecot;
use crate::support::require;
use crate::support::wait::{SOON, wait_at_most};

/// The menu's lines of mail without the clock time, the newest first.
fn mail(labels: &[String]) -> Vec<String> {
    let lines = labels.iter().filter_map(|label| label.split_once("  "));
    lines.map(|(_, text)| text.to_owned()).collect()
}

#[track_caller]
fn wait_mail(tray: &TrayItem, expected: &[&str]) {
    tray.wait_menu(|labels| mail(labels) == expected);
}

#[test]
fn counts_and_marks_follow_what_happens_to_messages() {
    if !(require(&["dbus-daemon"]) && Dovecot::lua_available()) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let daemon = Daemon::new().bus(&bus).config(AUTH).start();
    let recipe = daemon.recipe();
    let dovecot = Dovecot::start_lua(&push_url(&daemon));
    let status = || -> Value {
        let said = recipe.command(&["status", "--json"]).succeeded().stdout;
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    };
    let follower = recipe.clone().args(&["status", "--follow"]).spawn();
    let followed = RefCell::new(0);
    // Changes that come within a moment are told as one, so each step waits for its line.
    let wait_line = |expected: &str| {
        let log = || follower.stdout();
        wait_at_most(SOON, &format!("the line `{expected}`"), log, || {
            let lines = follower.stdout();
            let found = lines.lines().skip(*followed.borrow()).position(|line| line == expected)?;
            *followed.borrow_mut() += found + 1;
            Some(())
        });
    };
    // Number of new messages, and what the server says: all of it, and for the INBOX.
    let check = |new: u32, unseen: Option<u32>| {
        let status = status();
        assert_eq!((&status["new"], status.get("unseen")), (&json!(new), unseen.map(Value::from).as_ref()), "{status}");
        let inbox = unseen.map(|unseen| json!([{"user": "alice", "folder": "INBOX", "unseen": unseen}]));
        assert_eq!(status.get("mailboxes"), inbox.as_ref());
    };
    wait_line("no new messages");
    let tray = desktop.tray();
    let mut imap = dovecot.imap("alice");
    imap.select("INBOX");
    dovecot.deliver("alice", &message("one"));
    wait_line("1 new message");
    dovecot.deliver("alice", &message("two"));
    wait_line("2 new messages");
    // Nobody has read anything yet, so who knows whether that would be told.
    check(2, None);
    assert!(recipe.command(&["status"]).succeeded().stdout.starts_with("2 new messages\n"));

    imap.select("INBOX");
    imap.fetch("1", "BODY[]");
    wait_line("1 new message, 1 unseen");
    check(1, Some(1));
    wait_mail(&tray, &["● Jörg — two", "Jörg — one", "MailboxCreate — INBOX"]);
    tray.wait_menu(|labels| labels[0] == "1 new message, 1 unseen");

    // Marked unread again: it has its mark again, and is no news.
    imap.store("1", r"-FLAGS (\Seen)");
    wait_line("1 new message, 2 unseen");
    check(1, Some(2));
    wait_mail(&tray, &["● Jörg — two", "● Jörg — one", "MailboxCreate — INBOX"]);
    assert_eq!(status()["newest"], "Jörg: two", "changes of flags are not worth a line");

    // Somebody has looked at the menu, so only what comes now is new.
    dovecot.deliver("alice", &message("three"));
    wait_line("1 new message, 3 unseen");
    check(1, Some(3));

    // A deleted message is unseen until it is gone.
    imap.store("2", r"+FLAGS (\Deleted)");
    wait_mail(&tray, &["● Jörg — three", "Jörg — two", "● Jörg — one", "MailboxCreate — INBOX"]);
    check(1, Some(3));
    imap.expunge();
    wait_line("1 new message, 2 unseen");
    check(1, Some(2));

    let waybar: Value = {
        let said = recipe.command(&["status", "--format", "waybar"]).succeeded().stdout;
        serde_json::from_str(&said).expect("one JSON object")
    };
    assert_eq!((&waybar["text"], &waybar["class"]), (&json!("1"), &json!(["new", "unseen"])));
    assert!(waybar["tooltip"].as_str().is_some_and(|text| text.starts_with("1 new message, 2 unseen\n")), "{waybar}");

    imap.select("INBOX");
    imap.store("1:*", r"+FLAGS (\Seen)");
    wait_line("no new messages, 0 unseen");
    check(0, Some(0));
    wait_mail(&tray, &["Jörg — three", "Jörg — two", "Jörg — one", "MailboxCreate — INBOX"]);
    assert_eq!(tray.tooltip().text.lines().next(), Some("No new messages, 0 unseen"));

    // Of a folder whose mail is never shown nothing is told.
    imap.append("INBOX", "", &message("saved"));
    wait_line("no new messages, 1 unseen");
    imap.create("Junk");
    imap.append("Junk", "", &message("junk"));
    imap.select("Junk");
    imap.store("1", r"+FLAGS (\Seen)");
    check(0, Some(1));
    imap.logout();
    drop(follower);
    finish(&dovecot, daemon);
}
