//! What is no proper HTTP, or never comes to its end.

use std::time::{Duration, Instant};

use super::{SECRET, assert_refused, send_raw, start, stop_unharmed};
use crate::support::http::Connection;
use crate::support::wait::SOON;

#[test]
fn what_is_half_sent_is_answered_and_closed_at_the_timeout() {
    let daemon = start("timeout = \"1s\"");
    let (head, body) = daemon.request().json(r#"{"user":"sesame-4711"}"#).parts();
    let chunked = daemon.request().header("Transfer-Encoding", "chunked").json("5\r\n{\"us").bytes();
    let half_head = &head[..head.len() / 2];
    let half_body = [&head[..], &body[..5]].concat();
    let cases = [("a head", half_head), ("a body", &half_body), ("no body", &head), ("a chunk", &chunked)];
    for (case, bytes) in cases {
        let started = Instant::now();
        assert_refused(&send_raw(&daemon, bytes), 408, case);
        assert!(started.elapsed() >= Duration::from_millis(900), "half of {case}: {:?}", started.elapsed());
    }
    // A sender that goes away is no reason to wait.
    for (_, bytes) in cases {
        let mut connection = Connection::open(daemon.addr());
        connection.send(bytes);
    }
    // One that sends a byte now and then is as late as one that sends nothing.
    let mut slow = Connection::open(daemon.addr());
    let started = Instant::now();
    slow.send(half_head);
    while slow.try_send(b"x").is_ok()
        && started.elapsed() < Duration::from_secs(8)
        && !slow.is_closed(Duration::from_millis(50))
    {}
    assert!(started.elapsed() < Duration::from_secs(8), "one byte now and then keeps a connection open");
    stop_unharmed(daemon);
}

#[test]
fn a_crowd_that_only_sits_there_shuts_nobody_out() {
    let daemon = start("timeout = \"30s\"");
    let (head, body) = daemon.request().json(r#"{"user":"sesame-4711"}"#).parts();
    let half = [&head[..], &body[..5]].concat();
    let half_sent: Vec<_> = (0..64)
        .map(|_| {
            let mut connection = Connection::open(daemon.addr());
            connection.send(&half);
            connection
        })
        .collect();
    let idle: Vec<_> = (0..300).map(|_| Connection::open(daemon.addr())).collect();
    for number in 0..20 {
        let started = Instant::now();
        daemon.push(&format!(r#"{{"user":"me","event":"MessageNew","subject":"good {number}"}}"#)).accepted();
        assert!(started.elapsed() < Duration::from_secs(3), "request {number} took {:?}", started.elapsed());
    }
    // Those at work are still wanted: they finish what they began.
    for mut connection in half_sent {
        connection.send(&body[5..]);
        assert!(connection.response().refused(400).text().contains("`event` is missing"));
    }
    drop(idle);
    stop_unharmed(daemon);
}

#[test]
fn what_is_no_proper_http_is_refused_or_dropped() {
    let daemon = start("");
    let body = r#"{"user":"me","event":"MessageNew","subject":"sesame-4711"}"#;
    let length = body.len();
    let raw = |head: &str| {
        send_raw(&daemon, format!("PUT /notify HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n\r\n{body}").as_bytes())
    };
    let both = format!("Content-Length: {length}\r\nTransfer-Encoding: chunked");
    assert_refused(&raw(&both), 400, "a length and chunks");
    assert_refused(&raw(&format!("Content-Length: {length}\r\nContent-Length: 3")), 400, "two lengths");
    assert_refused(&raw("Content-Length: -1"), 400, "a negative length");
    assert_refused(&raw("Content-Length: 5, 5"), 400, "a list of lengths");
    assert_refused(&raw("Transfer-Encoding: gzip"), 400, "an unknown transfer encoding");
    assert_refused(&raw("Transfer-Encoding: chunked"), 400, "chunks that are none");
    assert_refused(&raw("sesame-4711 : x"), 400, "a blank before the colon");
    assert_refused(&raw("X: a\r\n folded"), 400, "a folded header");
    assert_refused(&raw(&format!("X: {}", "x".repeat(64 << 10))), 431, "a head of 64 KiB");
    assert_refused(&raw(&"X: y\r\n".repeat(2000)), 431, "thousands of headers");
    // A ClientHello, as from a sender that was told https.
    assert_refused(&send_raw(&daemon, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03sesame-4711"), 400, "TLS");
    assert_refused(&send_raw(&daemon, b"SSH-2.0-OpenSSH_9.2\r\n"), 400, "SSH");
    assert_refused(&send_raw(&daemon, &[0xff; 4096]), 400, "garbage");
    assert_refused(
        &send_raw(&daemon, b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n"),
        403,
        "a proxy",
    );
    // Whoever speaks HTTP/2 wouldn't understand an answer.
    let mut connection = Connection::open(daemon.addr());
    connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(connection.try_response().is_err() && connection.is_closed(SOON));
    // What came as far as a body is on record as what it is.
    assert!(daemon.stdout().lines().all(|line| line.contains(" Unreadable: ")), "{}", daemon.stdout());

    // Recipients may take a line feed alone for the end of a line (RFC 9112 section 2.2).
    let bare = format!("PUT /notify HTTP/1.1\nHost: 127.0.0.1\nContent-Length: {length}\n\n{body}");
    send_raw(&daemon, bare.as_bytes()).accepted();
    stop_unharmed(daemon);
}

/// RFC 9112 section 6.1: whoever takes such a request must close the connection after it, because where it ends is in
/// doubt, and with it whose request the next one is.
#[test]
fn nothing_is_taken_behind_a_request_whose_end_is_in_doubt() {
    let daemon = start("");
    let body = r#"{"user":"me","event":"MessageNew","subject":"sesame-4711"}"#;
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let behind = daemon.request().json(&body.replace(SECRET, "smuggled")).bytes();
    let length = chunks.len().to_string();
    for [first, second] in [["Transfer-Encoding", "Content-Length"], ["Content-Length", "Transfer-Encoding"]] {
        let value = |name| if name == "Content-Length" { length.as_str() } else { "chunked" };
        let request = daemon.request().header(first, value(first)).header(second, value(second)).json(&chunks);
        let mut connection = Connection::open(daemon.addr());
        connection.send(&[request.bytes(), behind.clone()].concat());
        let answer = connection.response();
        assert!(answer.closed, "{first} first: the connection stays open after {}", answer.status);
    }
    let printed = stop_unharmed(daemon);
    assert!(!printed.contains("smuggled"), "{printed}");
}
