//! What mails hold is the business of those who write them; what the script sends is JSON all the same.

use std::net::SocketAddr;

use serde_json::Value;

use super::told;
use crate::support::daemon::Daemon;
use crate::support::dovecot::Dovecot;
use crate::support::http::Connection;
use crate::support::receiver::Receiver;

fn deliver_to(receiver: &Receiver, mails: &[Vec<u8>]) -> Vec<Value> {
    let dovecot = Dovecot::start_lua(&receiver.url());
    let mut events = Vec::new();
    for mail in mails {
        dovecot.deliver("alice", mail);
        events.extend(told(receiver).concat().into_iter().filter(|event| event["event"] == "MessageNew"));
    }
    assert!(!dovecot.log().contains("mailknock:"), "{}", dovecot.log());
    events
}

#[test]
fn odd_mail_makes_valid_json() {
    if !Dovecot::lua_available() {
        return;
    }
    let long = format!("Subject: {}\n\nlong\n", "x".repeat(100_000));
    let many: String = (0..3000).map(|number| format!("Ü{number} <{number}@example.org>,\n ")).collect();
    let mails: Vec<Vec<u8>> = vec![
        b"\nno headers at all\n".to_vec(),
        b"From: J\xf6rg <j@example.org>\nTo: \xe4\xff\xc3\n\
            Subject: \xfc\xed\xa0\x80 \xf4\x90\x80\x80 \xc0\xaf end\n\n\xe4\n"
            .to_vec(),
        b"From: =?iso-2022-jp?B?GyRCOzNFRBsoQg==?= <y@example.org>\n\
            Subject: =?utf-8?B?w7w=?= =?x-none?Q?=E4?= =?utf-8?Q?=01?=\n\nb\n"
            .to_vec(),
        b"From: a\x01b\x1b[31m\"\\\x7f <c@example.org>\nSubject: a\x02\x1f\tb\"\\/\n\n\x01\x1b\"\\\n".to_vec(),
        b"From:\nTo:\nSubject:\nDate: never\nMessage-ID:\n\n\n".to_vec(),
        long.into_bytes(),
        format!("From: {many}last@example.org\nSubject: many\n\nb\n").into_bytes(),
    ];
    let receiver = Receiver::start();
    let events = deliver_to(&receiver, &mails);
    assert_eq!(events.len(), mails.len(), "{events:?}");
    let absent = |event: &Value, keys: &[&str]| keys.iter().all(|key| event.get(key).is_none());
    assert!(absent(&events[0], &["from", "to", "subject", "message-id", "date", "tz"]), "{}", events[0]);
    assert_eq!(events[0]["snippet"], "no headers at all");
    assert_eq!(events[1]["from"], "J\u{fffd}rg <j@example.org>");
    assert_eq!(events[1]["to"], "\u{fffd}\u{fffd}\u{fffd}");
    assert!(events[1]["subject"].as_str().is_some_and(|subject| subject.ends_with(" end")), "{}", events[1]);
    assert_eq!(events[2]["from"], "=?iso-2022-jp?B?GyRCOzNFRBsoQg==?= <y@example.org>");
    assert!(events[2]["subject"].as_str().is_some_and(|subject| subject.starts_with('ü')), "{}", events[2]);
    assert_eq!(events[3]["from"], "a\u{1}b\u{1b}[31m\"\\\u{7f} <c@example.org>");
    assert!(events[3]["subject"].as_str().is_some_and(|subject| subject.ends_with("b\"\\/")), "{}", events[3]);
    assert!(absent(&events[4], &["from", "to", "date", "tz"]), "{}", events[4]);
    assert_eq!(events[5]["subject"].as_str().map(str::len), Some(16 * 1024), "texts are cut");
    assert!(events[6]["from"].as_str().is_some_and(|from| from.starts_with("Ü0 <0@example.org>,")), "{}", events[6]);
}

#[test]
fn what_is_sent_of_odd_mail_is_understood() {
    if !Dovecot::lua_available() {
        return;
    }
    let receiver = Receiver::start();
    let dovecot = Dovecot::start_lua(&receiver.url());
    dovecot.deliver("alice", b"\nno headers at all\n");
    dovecot.deliver("alice", b"From: J\xf6rg <j@example.org>\nSubject: a\x02b\n\n\xe4\n");
    let mut imap = dovecot.imap("alice");
    imap.select("INBOX");
    imap.store("1:*", r"+FLAGS (\Seen \Deleted later)");
    imap.expunge();
    let requests = receiver.take();
    assert_eq!(requests.len(), 5, "{requests:?}");

    let daemon = Daemon::new().config("[auth]\nuser = \"knock\"\npass = \"s3cret\"\n").start();
    let address: SocketAddr = daemon.addr();
    for request in &requests {
        let mut connection = Connection::open(address);
        connection.send(&request.bytes());
        connection.response().accepted();
    }
    let recent = daemon.recipe().command(&["recent", "--json", "-n", "100"]).succeeded().stdout;
    let events: usize = requests.iter().map(|request| request.events().len()).sum();
    assert_eq!(recent.lines().count(), events, "{recent}");
    daemon.stop();
}
