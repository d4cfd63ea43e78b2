//! What comes to the port that isn't TLS, or never becomes it, and requests that are refused through it.

use std::time::{Duration, Instant};

use super::{Client, EVENT, prepared, push, start};
use crate::record::{AT_ONCE, recent};
use crate::support::certificate;
use crate::support::http::Connection;

/// The beginning of a ClientHello.
const HALF: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[test]
fn plain_http_is_told_what_to_do() {
    let Some((recipe, pair)) = prepared() else { return };
    let daemon = start(&recipe.config(&format!("{AT_ONCE}{}", pair.config(""))));
    for size in [0, 100_000] {
        let answer = daemon.push(&EVENT.replace("me", &"x".repeat(size)));
        assert!(answer.refused(400).text().contains("this port speaks TLS; the URL is https://"), "{}", answer.text());
        assert!(answer.closed);
    }
    // One byte at a time, and one that stays after its answer, while others come through.
    let mut slow = Connection::open(daemon.addr());
    slow.send(b"P");
    assert_eq!(push(&daemon, &pair.certificate), "200");
    slow.response().refused(400);
    assert_eq!(recent(daemon.recipe(), &[]).len(), 1);
    daemon.stop();
}

#[test]
fn what_is_neither_is_dropped_and_harms_nothing() {
    let Some((recipe, pair)) = prepared() else { return };
    let mut daemon = start(&recipe.config(&format!("{AT_ONCE}{}", pair.config(""))));
    let mut garbage =
        vec![HALF.to_vec(), b"\x16".repeat(70_000), vec![0xff; 4096], b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()];
    garbage.push([HALF, &[0; 600]].concat());
    // An alert and application data in the place of a greeting.
    garbage.push(b"\x15\x03\x03\x00\x02\x02\x28".to_vec());
    garbage.push([&b"\x17\x03\x03\x02\x00"[..], &[7; 512]].concat());
    for bytes in &garbage {
        let mut connection = Connection::open(daemon.addr());
        let _ = connection.try_send(bytes);
        connection.finish_sending();
        assert!(connection.is_closed(Duration::from_secs(4)), "{:?}", &bytes[..bytes.len().min(20)]);
    }
    // Clients that go in the middle of a request and behind one, without saying so.
    let (head, body) = daemon.request().json(EVENT).parts();
    for bytes in [&head[..], &head[..20], b""] {
        let mut client = Client::connect(&daemon, &[]);
        client.wait_said("CONNECTION ESTABLISHED");
        assert!(client.child.kill().is_ok(), "{}", bytes.len());
    }
    let mut client = Client::connect(&daemon, &[]);
    assert_eq!(client.request(&[head, body].concat()).0, 200);
    client.child.kill().expect("it is our child");
    assert_eq!(push(&daemon, &pair.certificate), "200");
    assert!(daemon.is_alive());
    assert_eq!(recent(daemon.recipe(), &[]).len(), 2);
    let log = daemon.stop().stderr;
    assert!(!log.contains("WARN") && !log.contains("panicked"), "{log}");
}

#[test]
fn half_a_handshake_ends_at_the_timeout() {
    let Some((recipe, pair)) = prepared() else { return };
    let daemon = start(&recipe.config(&format!("timeout = \"1s\"\n{}", pair.config(""))));
    for bytes in [HALF, b""] {
        let began = Instant::now();
        let mut half = Connection::open(daemon.addr());
        half.send(bytes);
        assert!(half.is_closed(Duration::from_secs(8)), "{bytes:?}");
        assert!(began.elapsed() >= Duration::from_millis(900), "{bytes:?}: {:?}", began.elapsed());
    }
    daemon.stop();
}

#[test]
fn a_crowd_of_half_handshakes_shuts_nobody_out() {
    let Some((recipe, pair)) = prepared() else { return };
    let daemon = start(&recipe.config(&format!("timeout = \"30s\"\n{}", pair.config(""))));
    let mut crowd = Vec::new();
    for number in 0..300 {
        let mut half = Connection::open(daemon.addr());
        half.send(if number % 2 == 0 { HALF } else { b"\x16" });
        crowd.push(half);
    }
    for number in 0..5 {
        let began = Instant::now();
        assert_eq!(push(&daemon, &pair.certificate), "200", "push {number}");
        assert!(began.elapsed() < Duration::from_secs(4), "push {number} took {:?}", began.elapsed());
    }
    let still_open =
        crowd.iter_mut().rev().take(200).filter_map(|half| (!half.is_closed(Duration::from_millis(1))).then_some(()));
    assert_eq!(still_open.count(), 200, "only the oldest had to go");
    daemon.stop();
}

#[test]
fn whoever_is_refused_through_tls_gets_to_read_why() {
    let Some((recipe, pair)) = prepared() else { return };
    let auth = "[auth]\nuser = \"foo\"\npass = \"bar\"\n";
    let daemon = start(&recipe.config(&format!("{AT_ONCE}{auth}{}", pair.config(""))));
    let large = daemon.home().join("large");
    std::fs::write(&large, "x".repeat(3 << 20)).expect("the home is ours");
    let url = daemon.url();
    let ask = |body: &str, more: &[&str]| certificate::push(url, &pair.certificate, body, more);
    let large = format!("@{}", large.display());
    let good = ["-u", "foo:bar"];
    let at_once = ["-u", "foo:bar", "-H", "Expect:"];
    assert_eq!(ask(&large, &good), "413");
    assert_eq!(ask(&large, &at_once), "413");
    assert_eq!(ask(&large, &[&at_once[..], &["-H", "Transfer-Encoding: chunked"]].concat()), "413");
    assert_eq!(ask(EVENT, &[]), "401");
    assert_eq!(ask(&large, &["-H", "Expect:"]), "401");
    assert_eq!(ask("nonsense", &good), "400");
    assert_eq!(ask(EVENT, &[&good[..], &["-H", "Origin: null"]].concat()), "403");
    assert_eq!(ask(EVENT, &good), "200");
    daemon.stop();
}
