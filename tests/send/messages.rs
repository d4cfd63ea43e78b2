//! What is on stdin, and what becomes of it.

use serde_json::{Value, json};

use super::{NOBODY, listener, newest};
use crate::support::peer::Peer;
use crate::support::send::Send;

#[test]
fn every_kind_of_message_becomes_the_event_it_is() {
    let daemon = listener();
    let send = Send::to(daemon.url(), &["--strict", "--folder", "INBOX", "--user"]);
    let mut number = 0;
    let mut check = |message: &[u8], expected: Value| {
        number += 1;
        let user = format!("user{number}");
        let sent = send.clone().args(&[&user]).reads(message);
        assert_eq!((sent.code, sent.stderr.as_str()), (Some(0), ""), "{:?}", String::from_utf8_lossy(message));
        let mut all = json!({"event": "MessageNew", "user": user, "folder": "INBOX"});
        all.as_object_mut().expect("an object").extend(expected.as_object().expect("an object").clone());
        assert_eq!(newest(&daemon), all, "{:?}", String::from_utf8_lossy(message));
    };
    let bob = json!({"from": "Bob <b@x>", "from_name": "Bob", "from_address": "b@x", "subject": "Hello",
        "subject_text": "Hello", "snippet": "The text.", "message_id": "<1@x>"});
    let plain = "From: Bob <b@x>\nSubject: Hello\nMessage-ID: <1@x>\n\nThe\ntext.\n";
    check(plain.as_bytes(), bob.clone());
    check(plain.replace('\n', "\r\n").as_bytes(), bob.clone());
    check(format!("From bob@x Sat Nov 21 10:00:00 2026\n{plain}").as_bytes(), bob.clone());
    check(format!("From bob@x Sat Nov 21 10:00:00 2026\r\n{}", plain.replace('\n', "\r\n")).as_bytes(), bob);
    check(
        b"from: =?utf-8?Q?J=C3=B6rg?=\r\n <j@x>\r\nSUBJECT: =?utf-8?B?TcO8?=\r\n =?utf-8?B?bGw=?=\r\n\r\n",
        json!({"from": "=?utf-8?Q?J=C3=B6rg?=\n <j@x>", "from_name": "Jörg", "from_address": "j@x",
            "subject": "=?utf-8?B?TcO8?=\n =?utf-8?B?bGw=?=", "subject_text": "Müll"}),
    );
    check(b"Subject: Gr\xfc\xdfe\n\n", json!({"subject": "Grüße", "subject_text": "Grüße"}));
    check("Subject: Grüße\n\n".as_bytes(), json!({"subject": "Grüße", "subject_text": "Grüße"}));
    check(b"no header at all", json!({}));
    check(b"", json!({}));
    check(b"\n\n", json!({}));
    check(b"Subject: a\0b\n\nx\0y", json!({"subject": "a\0b", "subject_text": "ab", "snippet": "xy"}));
    check(&[0; 5000], json!({}));
    check(
        b"Subject: x\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<p>Gr=C3=BC=C3=9Fe</p>",
        json!({"subject": "x", "subject_text": "x", "snippet": "Grüße"}),
    );
    daemon.stop();
}

#[test]
fn a_great_message_is_read_to_its_end() {
    let daemon = listener();
    let mut message = b"From: b@x\nSubject: great\n\nThe beginning.\n".to_vec();
    message.resize(25 << 20, b'x');
    let sent = Send::to(daemon.url(), &["--strict", "--user", "me"]).reads(&message);
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert_eq!(newest(&daemon)["subject"], "great");
    Send::to(NOBODY, &["--user", "me"]).ends(1, &message);
    daemon.stop();
}

#[test]
fn what_cyrus_says_and_ready_bodies_are_taken_too() {
    let daemon = listener();
    let cyrus = json!({"event": "MessageNew", "user": "cass", "uri": "imap://cass@mail/INBOX;UIDVALIDITY=9/;UID=7",
        "vnd.cmu.unseenMessages": 2, "messageContent": "From: b@x\r\nSubject: s\r\n\r\n"});
    let sent = Send::to(daemon.url(), &["--strict", "--input=rfc5423"]).reads(cyrus.to_string().as_bytes());
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let expected = json!({"event": "MessageNew", "user": "cass", "folder": "INBOX", "uid": 7, "uid_validity": 9,
        "unseen": 2, "from": "b@x", "from_address": "b@x", "subject": "s", "subject_text": "s"});
    assert_eq!(newest(&daemon), expected);
    Send::to(daemon.url(), &["--input=rfc5423"]).ends(1, b"nonsense").says("no event in JSON");
    Send::to(daemon.url(), &["--input=rfc5423"]).ends(1, b"");

    let send = Send::to(daemon.url(), &["--input", "json"]);
    send.ends(0, br#"[{"user":"a","event":"MessageRead","imap-uid":3}]"#);
    assert_eq!(newest(&daemon), json!({"event": "MessageRead", "user": "a", "uid": 3}));
    send.ends(1, b"nonsense").says("refused with 400");
    send.ends(1, b"").says("refused with 400");
    daemon.stop();
}

#[test]
fn with_no_input_nothing_is_read() {
    let daemon = listener();
    let sent = Send::to(daemon.url(), &["--strict", "--input=none", "--user=cron", "--event=MailboxCreate"]).waits();
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert_eq!(newest(&daemon), json!({"event": "MailboxCreate", "user": "cron"}));
    for wrong in [&["--input=none", "--wrong"][..], &["--wrong", "--input", "none"]] {
        assert_eq!(Send::new(wrong).waits().code, Some(0));
    }
    daemon.stop();
}

#[test]
fn an_invitation_goes_along_whole() {
    let peer = Peer::answering(super::TAKEN);
    let head = "From: b@x\nContent-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\n";
    let fits = |text: &str| {
        let mut message = format!("{head}{}", text.repeat(512 * 1024 / text.len()));
        message.truncate(512 * 1024);
        message
    };
    // Each line feed is two bytes in JSON.
    for message in [head.to_owned(), fits("0123456789abcdefghi\n"), fits("\n")] {
        for arguments in [&["--strict"][..], &["--detach"]] {
            let _place = crate::support::send::place();
            let before = peer.received().len();
            let sent = Send::to(&peer.url(), arguments).args(&["--user=me"]).reads(message.as_bytes());
            assert_eq!(sent.code, Some(0), "{sent:?}");
            let request = &peer.wait_received(before + 1)[before];
            let body: Value = serde_json::from_str(request.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
            assert!(body["body"] == message.as_str(), "{} bytes", message.len());
        }
    }
    let greater = fits("x") + "x";
    Send::to(&peer.url(), &["--strict", "--user=me"]).reads(greater.as_bytes());
    assert!(!peer.received().pop().expect("a request").contains("VCALENDAR\n"), "it is too great");
}
