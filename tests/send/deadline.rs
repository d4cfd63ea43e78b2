//! One deadline for all of it, whoever is at the other end.

use std::net::UdpSocket;
use std::time::Duration;

use rustix::process::Signal;

use super::{NOBODY, listener};
use crate::support::peer::Peer;
use crate::support::send::{Send, Sent};
use crate::support::{daemon::Daemon, skip};

const DEADLINE: Duration = Duration::from_millis(500);
/// To start and to end, on a busy machine.
const MARGIN: Duration = Duration::from_millis(500);
const MESSAGE: &[u8] = b"From: b@x\nSubject: s\n\nText.\n";

#[track_caller]
fn fails(url: &str, why: &str) -> Sent {
    let sent = Send::to(url, &["--user=me", "--deadline=500ms"]).ends(1, MESSAGE);
    sent.says(why).within(DEADLINE + MARGIN);
    assert_eq!(sent.stderr.lines().count(), 1, "{sent:?}");
    sent
}

#[test]
fn where_nobody_listens_it_ends_at_once() {
    let sent = Send::to(NOBODY, &["--user=me"]).ends(1, MESSAGE);
    sent.says("http://127.9.9.9:9/notify can't be reached").within(Duration::from_millis(300));
}

#[test]
fn a_server_that_takes_its_time_is_given_up_at_the_deadline() {
    let peer = Peer::silent();
    let sent = fails(&peer.url(), "gave no answer within 500ms");
    assert!(sent.elapsed >= DEADLINE, "{sent:?}");
    fails(&peer.url().replace("http:", "https:"), "gave no answer within 500ms");
    let sent = Send::to(&peer.url(), &["--user=me"]).ends(1, MESSAGE);
    sent.says("gave no answer within 2s").within(Duration::from_secs(2) + MARGIN);
    // Much of it, of which the system takes a part.
    let great = Send::to(&peer.url(), &["--input=json", "--deadline=500ms"]).ends(1, &[b'x'; 8 << 20]);
    great.says("gave no answer").within(DEADLINE + MARGIN);

    let answer = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1000));
    fails(&Peer::dripping(&" ".repeat(1000)).url(), "gave no answer within 500ms");
    // What it answered is clear by then.
    let sent = Send::to(&Peer::dripping(&answer).url(), &["--user=me", "--deadline=700ms"]).ends(0, MESSAGE);
    sent.within(Duration::from_millis(700) + MARGIN);
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    for status in ["401 Unauthorized", "413 Content Too Large", "500 Internal Server Error", "302 Found", "100 x"] {
        let peer = Peer::answering(&format!("HTTP/1.1 {status}\r\nContent-Length: 17\r\n\r\n{{\"error\":\"a wall\"}}"));
        fails(&peer.url(), &format!("refused with {}: a wall", &status[..3]));
    }
    let daemon = Daemon::new().config("[auth]\nuser = \"knock\"\npass = \"s3cret\"\n").start();
    fails(daemon.url(), "refused with 401");
    daemon.stop();
}

#[test]
fn an_answer_with_a_known_end_is_not_waited_for_any_longer() {
    let peer = Peer::answering(super::TAKEN);
    let sent = Send::to(&peer.url(), &["--user=me", "--deadline=9s"]).ends(0, MESSAGE);
    sent.within(Duration::from_secs(5));
}

#[test]
fn what_is_no_answer_is_a_failure() {
    for garbage in ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 OK\r\n\r\n", "\0\0\0\0", "HTTP/1.1 200"] {
        let peer = Peer::answering(garbage);
        let sent = Send::to(&peer.url(), &["--user=me", "--deadline=300ms"]).ends(1, MESSAGE);
        sent.within(DEADLINE + MARGIN);
    }
    // More than is looked at.
    fails(&Peer::answering(&"x".repeat(1 << 20)).url(), "the answer is not HTTP");
}

#[test]
fn control_characters_of_an_answer_reach_nobody() {
    let error = "\\u001b]0;x\\u0007\\nsecond\\u202e\\u0000";
    let body = format!("{{\"error\":\"{error}\"}}");
    let peer = Peer::answering(&format!("HTTP/1.1 400 x\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("log");
    let send = Send::to(&peer.url(), &["--user=me", "--log"]).args(&[&log]);
    let sent = send.ends(1, MESSAGE);
    let log = std::fs::read_to_string(&log).expect("it was written");
    for text in [&sent.stderr, &log] {
        assert!(text.contains("second"), "{text:?}");
        assert!(!text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
    }
    assert_eq!((sent.stderr.lines().count(), log.lines().count()), (1, 2));
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Peer::answering(super::TAKEN);
    for status in [301, 302, 307, 308] {
        let answer = format!("HTTP/1.1 {status} Moved\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", elsewhere.url());
        fails(&Peer::answering(&answer).url(), &format!("refused with {status}"));
    }
    assert_eq!(elsewhere.received(), [""; 0]);
}

#[test]
fn a_name_that_nobody_knows_fails_in_time() {
    let sent = Send::to("http://nowhere.invalid/", &["--user=me", "--deadline=500ms"]).ends(1, MESSAGE);
    sent.within(DEADLINE + MARGIN);
}

#[test]
fn a_name_server_that_says_nothing_is_given_up_at_the_deadline() {
    // In its own file systems, with a name server that is ours. Its port is fixed.
    let directory = tempfile::tempdir().expect("a temporary directory");
    let Ok(_silent) = UdpSocket::bind("127.9.9.53:53") else {
        let _ = skip("no name server can be had here: root can have one");
        return;
    };
    let file = directory.path().join("resolv.conf");
    std::fs::write(&file, "nameserver 127.9.9.53\n").expect("the directory is ours");
    let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    let send = Send::to("http://mail.example.org/", &["--user=me", "--deadline=500ms"]);
    let words = ["unshare", "--mount", "/bin/sh", "-c", script, &file.display().to_string()];
    let sent = send.inside(&words).ends(1, MESSAGE);
    sent.says("gave no answer within 500ms").within(DEADLINE + MARGIN);
}

#[test]
fn a_frozen_program_holds_nobody_up() {
    let daemon = listener();
    daemon.signal(Signal::STOP);
    fails(daemon.url(), "gave no answer within 500ms");
    daemon.signal(Signal::CONT);
    Send::to(daemon.url(), &["--user=again"]).ends(0, MESSAGE);
    daemon.stop();
}

#[test]
fn no_deadline_is_too_long_or_too_short() {
    let peer = Peer::answering(super::TAKEN);
    for long in ["100000000000years", "18446744073709551615s"] {
        Send::to(&peer.url(), &["--user=me", "--deadline", long]).ends(0, MESSAGE);
    }
    Send::to(&peer.url(), &["--user=me", "--deadline=0s"]).ends(1, MESSAGE).within(MARGIN);
}
