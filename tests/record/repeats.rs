//! What has been reported before.

use serde_json::{Value, json};

use super::{AT_ONCE, recent};
use crate::support::daemon::{Daemon, Running};

fn message(kind: &str, uid: u32) -> Value {
    json!({"user": "me", "event": kind, "folder": "INBOX", "imap-uidvalidity": 1, "imap-uid": uid})
}

/// Pushes it and gives how many entries there are now.
#[track_caller]
fn count_after(daemon: &Running, event: &Value) -> usize {
    daemon.push(&event.to_string()).accepted();
    recent(daemon.recipe(), &["-n", "1000"]).len()
}

#[test]
fn a_message_is_told_of_once_after_a_restart_too() {
    let mut daemon = Daemon::new().config(AT_ONCE).start();
    for kind in ["messageNew", "MessageAppend", "MessageExpunge"] {
        let before = recent(daemon.recipe(), &[]).len();
        assert_eq!(count_after(&daemon, &message(kind, 7)), before + 1, "{kind}");
        assert_eq!(count_after(&daemon, &message(kind, 7)), before + 1, "{kind} again");
    }
    let recipe = daemon.recipe().clone();
    daemon.stop();
    daemon = recipe.start();
    assert_eq!(count_after(&daemon, &message("MESSAGENEW", 7)), 3, "after a restart");
    daemon = daemon.kill().start();
    assert_eq!(count_after(&daemon, &message("messageNew", 7)), 3, "after a kill");
    assert_eq!(count_after(&daemon, &message("messageNew", 8)), 4, "another message");
    for (key, value) in [("user", json!("you")), ("folder", json!("Work")), ("imap-uidvalidity", json!(2))] {
        let mut other = message("messageNew", 7);
        other[key] = value;
        let before = recent(daemon.recipe(), &[]).len();
        assert_eq!(count_after(&daemon, &other), before + 1, "another {key}");
    }
    daemon.stop();
}

#[test]
fn what_has_no_number_or_can_happen_again_is_no_repeat() {
    let daemon = Daemon::new().config(AT_ONCE).start();
    // Maildir's 0, and none at all.
    let mut unnumbered = message("messageNew", 0);
    assert_eq!(count_after(&daemon, &unnumbered), 1);
    assert_eq!(count_after(&daemon, &unnumbered), 2);
    unnumbered.as_object_mut().expect("an object").remove("imap-uid");
    assert_eq!(count_after(&daemon, &unnumbered), 3);
    assert_eq!(count_after(&daemon, &unnumbered), 4);
    for (number, kind) in ["MessageRead", "FlagsSet", "MessageTrash"].iter().enumerate() {
        assert_eq!(count_after(&daemon, &message(kind, 7)), 5 + 2 * number);
        assert_eq!(count_after(&daemon, &message(kind, 7)), 6 + 2 * number, "{kind} twice");
    }
    daemon.stop();
}

#[test]
fn the_same_request_at_the_same_time_is_one() {
    let daemon = Daemon::new().config(AT_ONCE).start();
    let push = |body: &Value, date: Option<&str>| {
        let request = daemon.request().json(&body.to_string());
        let request = date.map_or(request.clone(), |date| request.header("Date", date));
        request.send(daemon.addr()).accepted();
        recent(daemon.recipe(), &[]).len()
    };
    let (first, second) = (message("MessageRead", 1), message("MessageRead", 2));
    let (now, next) = (Some("Sat, 21 Nov 2026 12:00:00 GMT"), Some("Sat, 21 Nov 2026 12:00:01 GMT"));
    assert_eq!(push(&first, now), 1);
    assert_eq!(push(&first, now), 1, "the sender missed our answer");
    assert_eq!(push(&first, next), 2, "a second later it is another");
    assert_eq!(push(&second, now), 3, "another body");
    assert_eq!(push(&first, None), 4);
    assert_eq!(push(&first, None), 5, "undated requests are never repeats");
    assert_eq!(push(&first, now), 5);
    // What was refused was not taken, so it isn't known.
    let refused = daemon.request().header("Date", next.expect("a date")).header("Origin", "null");
    refused.json(&second.to_string()).send(daemon.addr()).refused(403);
    assert_eq!(push(&second, next), 6);
    daemon.stop();
}

#[test]
fn a_repeat_that_knows_more_adds_it() {
    let daemon = Daemon::new().config(&format!("[history]\ncontent = \"full\"\n{AT_ONCE}")).start();
    daemon.push(&message("messageNew", 7).to_string()).accepted();
    let before = recent(daemon.recipe(), &[])[0].clone();
    let mut richer = message("messageNew", 7);
    for (key, value) in [
        ("from", json!("=?utf-8?Q?J=C3=B6rg?= <j@x>")),
        ("subject", json!("Hello")),
        ("snippet", json!("text")),
        ("message-id", json!("<m@x>")),
        ("unseen", json!(3)),
    ] {
        richer[key] = value;
        daemon.push(&richer.to_string()).accepted();
    }
    let mut expected = before;
    for (key, value) in [
        ("from", json!("=?utf-8?Q?J=C3=B6rg?= <j@x>")),
        ("from_name", json!("Jörg")),
        ("from_address", json!("j@x")),
        ("subject", json!("Hello")),
        ("subject_text", json!("Hello")),
        ("snippet", json!("text")),
        ("message_id", json!("<m@x>")),
        ("unseen", json!(3)),
    ] {
        expected[key] = value;
    }
    assert_eq!(recent(daemon.recipe(), &[]), [expected.clone()]);
    // What is known stays as it was said first.
    richer["subject"] = json!("Another");
    daemon.push(&richer.to_string()).accepted();
    assert_eq!(recent(daemon.recipe(), &[]), [expected]);
    daemon.stop();
}
