//! All kinds of events, as they come from deliveries and mail programs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{MESSAGE, told};
use crate::support::bus::Bus;
use crate::support::daemon::Daemon;
use crate::support::desktop::Desktop;
use crate::support::dovecot::Dovecot;
use crate::support::receiver::Receiver;
use crate::support::require;

/// Asserts that one request came, with these events. The folders' validities are checked and left out.
#[track_caller]
fn assert_told(receiver: &Receiver, expected: Value) {
    let mut requests = told(receiver);
    assert_eq!(requests.len(), 1, "{requests:?}");
    let mut events = requests.remove(0);
    for event in &mut events {
        let fields = event.as_object_mut().expect("an event is an object");
        assert_eq!(fields.remove("user"), Some("alice".into()));
        let validity = fields.remove("imap-uidvalidity");
        let is_of_message = fields.contains_key("imap-uid");
        assert_eq!(validity.is_some_and(|validity| validity.as_u64() > Some(0)), is_of_message, "{fields:?}");
    }
    assert_eq!(Value::Array(events), expected);
}

/// What is told of [`MESSAGE`] besides where it is.
fn of_message(event: &str, folder: &str, uid: u32, counts: (u32, u32)) -> Value {
    json!({"event": event, "folder": folder, "imap-uid": uid, "from": "=?utf-8?Q?J=C3=B6rg?= <j@example.org>",
        "to": "Alice <alice@example.org>", "subject": "Grüße", "snippet": "Until tomorrow.",
        "message-id": "<1@example.org>", "date": 1_795_258_800, "tz": 60, "flags": [], "keywords": [],
        "unseen": counts.0, "messages": counts.1})
}

#[test]
fn each_kind_of_event_is_told_with_its_fields_in_one_request_for_each_command() {
    if !Dovecot::lua_available() {
        return;
    }
    let receiver = Receiver::start();
    let dovecot = Dovecot::start_lua(&receiver.url());
    let mut imap = dovecot.imap("alice");
    imap.select("INBOX");
    assert_told(&receiver, json!([{"event": "MailboxCreate", "folder": "INBOX"}]));
    dovecot.deliver("alice", MESSAGE);
    assert_told(&receiver, json!([of_message("MessageNew", "INBOX", 1, (1, 1))]));

    imap.create("Work.Sub");
    assert_told(&receiver, json!([{"event": "MailboxCreate", "folder": "Work.Sub"}]));
    imap.subscribe("Work.Sub");
    assert_told(&receiver, json!([{"event": "MailboxSubscribe", "folder": "Work.Sub"}]));
    imap.unsubscribe("Work.Sub");
    assert_told(&receiver, json!([{"event": "MailboxUnsubscribe", "folder": "Work.Sub"}]));
    imap.rename("Work.Sub", "&ZeVnLIqe- \"quoted\"");
    let folder = "日本語 \"quoted\"";
    assert_told(&receiver, json!([{"event": "MailboxRename", "folder": folder, "old-folder": "Work.Sub"}]));
    imap.rename("&ZeVnLIqe- \"quoted\"", "Work");
    assert_told(&receiver, json!([{"event": "MailboxRename", "folder": "Work", "old-folder": folder}]));

    imap.append("Work", r"\Flagged later", MESSAGE);
    let mut appended = of_message("MessageAppend", "Work", 1, (1, 1));
    appended["flags"] = json!([r"\Flagged"]);
    appended["keywords"] = json!(["later"]);
    assert_told(&receiver, json!([appended]));
    imap.copy("1", "Work");
    assert_told(&receiver, json!([of_message("MessageAppend", "Work", 2, (2, 2))]));

    let inbox = |event: &str, unseen: u32| {
        let mut event = json!({"event": event, "folder": "INBOX", "imap-uid": 1, "messages": 1});
        event["unseen"] = unseen.into();
        event
    };
    let flags = |event: &str, unseen: u32, flags: Value, keywords: Value| {
        let mut event = inbox(event, unseen);
        event["flags"] = flags;
        event["keywords"] = keywords;
        event
    };
    imap.store("1", r"+FLAGS (\Seen)");
    assert_told(&receiver, json!([flags("FlagsSet", 0, json!([r"\Seen"]), json!([])), inbox("MessageRead", 0)]));
    imap.store("1", r"-FLAGS (\Seen)");
    // Whether it is still recent depends on which session saw it first.
    let requests = told(&receiver);
    assert_eq!((requests.len(), requests[0].len()), (1, 1), "{requests:?}");
    let event = &requests[0][0];
    assert_eq!(
        (&event["event"], &event["flags"], &event["unseen"]),
        (&json!("FlagsClear"), &json!([r"\Seen"]), &json!(1))
    );
    assert!(event["flags-old"].as_array().is_some_and(|old| old.contains(&json!(r"\Seen"))), "{event}");
    imap.store("1", "+FLAGS (todo)");
    assert_told(&receiver, json!([flags("FlagsSet", 1, json!([]), json!(["todo"]))]));
    imap.store("1", "-FLAGS (todo)");
    let mut cleared = flags("FlagsClear", 1, json!([]), json!(["todo"]));
    cleared["flags-old"] = json!([]);
    cleared["keywords-old"] = json!(["todo"]);
    assert_told(&receiver, json!([cleared]));

    imap.store("1", r"+FLAGS (\Deleted)");
    assert_told(&receiver, json!([flags("FlagsSet", 1, json!([r"\Deleted"]), json!([])), inbox("MessageTrash", 1)]));
    imap.expunge();
    let expunged = json!({"event": "MessageExpunge", "folder": "INBOX", "imap-uid": 1, "unseen": 0, "messages": 0});
    assert_told(&receiver, json!([expunged]));

    // A move is both, in two transactions: one for each folder.
    imap.select("Work");
    imap.move_to("1", "INBOX");
    let moved: Vec<Value> = told(&receiver).concat();
    let kinds: Vec<_> = moved.iter().map(|event| (event["event"].as_str(), event["folder"].as_str())).collect();
    assert_eq!(kinds, [(Some("MessageAppend"), Some("INBOX")), (Some("MessageExpunge"), Some("Work"))]);

    imap.select("INBOX");
    imap.delete("Work");
    let deleted: Vec<Value> = told(&receiver).concat();
    let kinds: Vec<_> = deleted.iter().map(|event| (event["event"].as_str(), event["folder"].as_str())).collect();
    assert_eq!(kinds, [(Some("MessageExpunge"), Some("Work")), (Some("MailboxDelete"), Some("Work"))]);
    assert_eq!(imap.fetch("1", "(UID)"), ["* 1 FETCH (UID 2)"]);
    imap.logout();
    assert!(!dovecot.log().contains("mailknock:"), "{}", dovecot.log());
}

#[test]
fn a_thousand_messages_at_once_are_several_requests() {
    if !Dovecot::lua_available() {
        return;
    }
    let receiver = Receiver::start();
    let dovecot = Dovecot::start_lua(&receiver.url());
    let mut imap = dovecot.imap("alice");
    imap.select("INBOX");
    imap.append("INBOX", "", MESSAGE);
    for _ in 0..10 {
        imap.copy("1:*", "INBOX");
    }
    receiver.take();
    imap.store("1:*", r"+FLAGS.SILENT (\Deleted)");
    let stored = told(&receiver);
    assert_eq!(stored.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 500, 500, 48], "FlagsSet and MessageTrash");

    // Dovecot makes a transaction of each thousand, in an order of its own.
    imap.expunge();
    let expunged = told(&receiver);
    assert_eq!(expunged.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 24]);
    let uids: BTreeSet<_> = expunged.concat().iter().filter_map(|event| event["imap-uid"].as_u64()).collect();
    assert!(uids.len() == 1024 && uids.last() == Some(&1024), "{} uids", uids.len());
    let wrong = |event: &&Value| event["event"] != "MessageExpunge" || event["messages"] != 0;
    assert_eq!(expunged[2].iter().find(wrong), None);
    assert!(!dovecot.log().contains("mailknock:"), "{}", dovecot.log());
}

#[test]
fn a_popup_comes_with_the_delivery_and_goes_when_the_message_is_read_elsewhere() {
    if !(require(&["dbus-daemon"]) && Dovecot::lua_available()) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let daemon = Daemon::new().bus(&bus).config("[auth]\nuser = \"knock\"\npass = \"s3cret\"\n").start();
    let dovecot = Dovecot::start_lua(&format!("http://knock:s3cret@{}{}", daemon.addr(), daemon.url_path()));
    dovecot.deliver("alice", MESSAGE);
    let popup = desktop.next_notification();
    assert_eq!((popup.summary.as_str(), popup.body.as_str()), ("Jörg", "Grüße\nUntil tomorrow."));
    let mut imap = dovecot.imap("alice");
    imap.select("INBOX");
    imap.store("1", r"+FLAGS (\Seen)");
    assert_eq!(desktop.next_close(), popup.id);
    imap.logout();
    assert!(!dovecot.log().contains("mailknock:"), "{}", dovecot.log());
    daemon.stop();
}
