//! The real mail server and the real desktop.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use super::{listen, notify};
use crate::support::bus::Client;
use crate::support::dovecot::Dovecot;
use crate::support::real_desktop::RealDesktop;
use crate::support::wait::EVENTUALLY;

/// A mail server's counterpart: takes one request, answers it with success, and returns its head and body.
fn take_one_request() -> (SocketAddr, JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let taking = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(EVENTUALLY)).expect("the bound isn't zero");
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).expect("a head") > 0, "the head ends in the middle: {head}");
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
        stream.read_exact(&mut body).expect("the whole body");
        let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        stream.get_mut().write_all(answer).expect("the other side listens");
        (head, body)
    });
    (address, taking)
}

const MESSAGE: &[u8] = b"From: Bob <bob@example.org>\nSubject: Hello\n\n.a line with a dot\n";

#[test]
fn dovecot_pushes_what_lmtp_and_lda_deliver() {
    if !Dovecot::available() {
        return;
    }
    let (address, taking) = take_one_request();
    let dovecot = Dovecot::start(&format!("http://user:secret@{address}/notify"));
    dovecot.deliver("alice", MESSAGE);
    let (head, body) = taking.join().expect("a request");
    assert!(head.starts_with("PUT /notify HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nAuthorization: Basic dXNlcjpzZWNyZXQ=\r\n"), "{head}");
    let event: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((&event["event"], &event["user"]), (&"messageNew".into(), &"alice".into()), "{event}");
    assert_eq!((&event["subject"], &event["snippet"]), (&"Hello".into(), &".a line with a dot".into()));

    // Its receiver is gone now: mail is still taken, and the log says what went wrong.
    dovecot.deliver_with_lda("alice", MESSAGE);
    assert!(dovecot.log().contains("Error when sending notification"), "{}", dovecot.log());
    assert_eq!(dovecot.doveadm(&["search", "-u", "alice", "mailbox", "INBOX", "all"]).lines().count(), 2);
}

#[test]
fn real_desktop_shows_notifications() {
    if !RealDesktop::available() {
        return;
    }
    let desktop = RealDesktop::start();
    let client = Client::connect(&desktop.bus().address());
    let next = listen(&client);
    let id = notify(&client, 0, "<b>shown</b>").expect("dunst answers");
    desktop.wait_displayed(1);
    desktop.dunst_action(0);
    assert_eq!(next(), format!("ActionInvoked {id} default"));
    let history = desktop.dunst_history();
    let shown = history.first().expect("it is remembered");
    assert_eq!(
        (Ok(shown.id), shown.summary.as_str(), shown.app_name.as_str()),
        (i32::try_from(id), "<b>shown</b>", "rig")
    );
}
