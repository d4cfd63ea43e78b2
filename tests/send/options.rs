//! Options and the server's environment.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use super::{listener, newest};
use crate::support::daemon::Running;
use crate::support::send::Send;

const MESSAGE: &[u8] = b"From: b@x\nTo: t@x\nSubject: found\nMessage-ID: <1@x>\n\nText.\n";

#[track_caller]
fn taken(daemon: &Running, send: &Send) -> Value {
    let sent = send.clone().args(&["--strict"]).reads(MESSAGE);
    assert_eq!(sent.code, Some(0), "{sent:?}");
    newest(daemon)
}

#[test]
fn every_option_overrides_what_the_message_says() {
    let daemon = listener();
    let all = ["--user=u", "--event=messageAPPEND", "--folder=F", "--from=A <a@x>", "--to=o@x", "--subject=S"];
    let send = Send::to(daemon.url(), &all);
    let send = send.args(&["--snippet=T", "--uid=3", "--uid-validity", "4", "--unseen", "5", "--message-id=<2@x>"]);
    let expected = json!({"event": "MessageAppend", "user": "u", "folder": "F", "from": "A <a@x>", "from_name": "A",
        "from_address": "a@x", "to": "o@x", "subject": "S", "subject_text": "S", "snippet": "T", "uid": 3, "uid_validity": 4,
        "unseen": 5, "message_id": "<2@x>"});
    assert_eq!(taken(&daemon, &send), expected);
    daemon.stop();
}

#[test]
fn what_a_server_left_open_says_nothing() {
    let daemon = listener();
    let names = ["--event", "--folder", "--from", "--to", "--subject", "--snippet", "--message-id"];
    let numbers = ["--uid", "--uid-validity", "--unseen", "--envelope-from", "--sender"];
    for (number, open) in ["", " ", "{address}", "{source_ip}", "{rcpts}"].iter().enumerate() {
        let user = format!("user{number}");
        let send = Send::to(daemon.url(), &[]).env("USER", &user).args(&[format!("--user={open}")]);
        let mut send = names.iter().fold(send, |send, name| send.args(&[format!("{name}={open}")]));
        for name in &numbers[..4] {
            send = send.args(&[*name, open]);
        }
        let expected = json!({"event": "MessageNew", "user": user, "from": "b@x", "from_address": "b@x",
            "to": "t@x", "subject": "found", "subject_text": "found", "snippet": "Text.", "message_id": "<1@x>"});
        assert_eq!(taken(&daemon, &send), expected, "{open:?}");
    }
    for wrong in ["-1", "x", "4294967296", "1.5"] {
        let user = format!("user{wrong}");
        let event = taken(&daemon, &Send::to(daemon.url(), &["--user", &user, "--uid", wrong, "--unseen", wrong]));
        assert!(event["uid"].is_null() && event["unseen"].is_null() && event["subject"] == "found", "{event}");
    }
    daemon.stop();
}

#[test]
fn the_sender_of_the_envelope_stands_in_for_a_missing_one_only() {
    let daemon = listener();
    let from = |send: &Send, message: &[u8]| {
        assert_eq!(send.clone().args(&["--strict"]).reads(message).code, Some(0));
        newest(&daemon)["from"].clone()
    };
    let send = |user: &str| Send::to(daemon.url(), &["--user", user]);
    assert_eq!(from(&send("1").args(&["--sender=e@x"]), MESSAGE), "b@x");
    assert_eq!(from(&send("2").args(&["--sender=e@x"]), b"Subject: x\n\n"), "e@x");
    assert_eq!(from(&send("3").args(&["--envelope-from", "e@x"]).env("SENDER", "s@x"), b""), "e@x");
    assert_eq!(from(&send("4").env("SENDER", "s@x"), b""), "s@x");
    assert_eq!(from(&send("5").env("SENDER", ""), b""), Value::Null);
    daemon.stop();
}

#[test]
fn whose_mail_it_is_stands_in_the_environment_of_each_server() {
    let daemon = listener();
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("RECIPIENT", "r"), ("USER", "vmail"), ("LOCAL_PART", "l"), ("DOMAIN", "d")], "r"),
        (&[("RECIPIENT", ""), ("ORIG_RECIPIENT", "o"), ("USER", "vmail")], "o"),
        (&[("ORIGINAL_RECIPIENT", "or"), ("LOGNAME", "l")], "or"),
        (&[("LOCAL_PART", "exim"), ("DOMAIN", "example.org"), ("USER", "mail")], "exim@example.org"),
        (&[("LOCAL", "postfix"), ("DOMAIN", "example.org"), ("USER", "mail")], "postfix@example.org"),
        (&[("LOCAL", "half"), ("USER", "whole")], "whole"),
        (&[("LOCAL_PART", ""), ("DOMAIN", "d"), ("LOCAL", "x"), ("LOGNAME", "l")], "x@d"),
        (&[("USER", "{user}"), ("LOGNAME", "log")], "log"),
        (&[("USER", "user"), ("LOGNAME", "log")], "user"),
    ];
    for (environment, expected) in cases {
        let send = environment.iter().fold(Send::to(daemon.url(), &[]), |send, (name, value)| send.env(name, value));
        assert_eq!(taken(&daemon, &send)["user"], *expected, "{environment:?}");
    }
    Send::to(daemon.url(), &[]).ends(1, MESSAGE).says("whose mailbox");
    daemon.stop();
}

#[test]
fn odd_values_are_values() {
    let daemon = listener();
    for (number, odd) in ["-n", "--strict", "--", "-", "--user=x", "a=b", "$(id)", "%s", "a'\"b"].iter().enumerate() {
        let user = format!("user{number}");
        let event = taken(&daemon, &Send::to(daemon.url(), &["--user", &user, "--subject", odd]));
        assert_eq!((&event["user"], &event["subject"]), (&json!(user), &json!(odd)));
    }
    let send = Send::to(daemon.url(), &["--user=bytes", "--subject"]).args(&[OsStr::from_bytes(b"Gr\xfc\xdfe\x1b")]);
    assert_eq!(taken(&daemon, &send)["subject_text"], "Gr��e");
    daemon.stop();
}
