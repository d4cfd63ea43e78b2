//! The answers that senders are promised, over real connections.

use std::time::Duration;

use crate::support::daemon::{Daemon, Running};
use crate::support::http::{Connection, Request, Response};
use crate::support::wait::{SOON, wait_until};

const EVENT: &str = r#"{"user":"me","event":"MessageNew","subject":"hello"}"#;
const SUCCESS: &str = r#"{"success":true}"#;

fn start(config: &str) -> Running {
    Daemon::new().args(&["run", "--print"]).config(&format!("{config}\n[log]\nlevel = true\n")).start()
}

/// Waits until exactly these subjects were printed, in this order. The last one is the marker that proves that
/// nothing else was.
#[track_caller]
fn printed(daemon: &Running, subjects: &[&str]) {
    let last = subjects.last().expect("a marker");
    let output = wait_until("the marker", || Some(daemon.stdout()).filter(|output| output.contains(last)));
    let found: Vec<_> = output.lines().filter_map(|line| line.rsplit(": ").next()).collect();
    assert_eq!(found, subjects);
}

fn event(subject: &str) -> String {
    EVENT.replace("hello", subject)
}

/// A refusal says that the connection ends, ends it, and says why in a form that programs read.
#[track_caller]
fn assert_refused(answer: &Response, status: u16, case: &str) {
    assert_eq!(answer.status, status, "{case}: {}", answer.text());
    assert_eq!(answer.header("connection"), Some("close"), "{case}");
    assert!(answer.closed, "{case}: the connection stays open");
    assert!(answer.interim.is_empty(), "{case}: asked for a body that it then refused");
}

#[test]
fn put_and_post_are_answered_with_success_at_once() {
    let daemon = start("");
    for method in ["PUT", "POST"] {
        let answer = Request::new(method, daemon.url_path()).json(&event(method)).send(daemon.addr());
        assert_eq!((answer.status, answer.text().as_str()), (200, SUCCESS), "{method}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    for media_type in ["application/json", "Application/JSON;charset=utf-8", "text/json"] {
        let request = daemon.request().header("Content-Type", media_type).body(event(media_type));
        request.send(daemon.addr()).accepted();
    }
    daemon.request().body(event("no type")).send(daemon.addr()).accepted();
    printed(&daemon, &["PUT", "POST", "application/json", "Application/JSON;charset=utf-8", "text/json", "no type"]);
    daemon.stop();
}

#[test]
fn every_refusal_has_its_status_and_closes_the_connection() {
    let daemon = start("timeout = \"1s\"\nmax_body = \"1KiB\"\n[auth]\nuser = \"foo\"\npass = \"bar\"");
    let path = daemon.url_path();
    let good = |request: Request| request.header("Authorization", "Basic Zm9vOmJhcg==");
    let check = |status: u16, case: &str, request: Request| {
        let answer = request.send(daemon.addr());
        assert_refused(&answer, status, case);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{case}");
        assert!(answer.text().starts_with(r#"{"error":"#), "{case}: {}", answer.text());
        answer
    };
    check(400, "no JSON", good(daemon.request()).json("nonsense"));
    check(400, "no user", good(daemon.request()).json(r#"{"event":"MessageNew"}"#));
    check(400, "no body", good(daemon.request()).json(""));
    let answer = check(401, "no password", daemon.request().json(EVENT));
    assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Basic realm=")));
    check(401, "a wrong password", daemon.request().header("Authorization", "Basic Zm9vOmJheg==").json(EVENT));
    check(403, "a browser", good(daemon.request()).header("Origin", "null").json(EVENT));
    check(404, "another path", good(Request::put("/")).json(EVENT));
    check(404, "below the endpoint", good(Request::put(&format!("{path}/"))).json(EVENT));
    let answer = check(405, "another method", good(Request::get(path)));
    assert_eq!(answer.header("allow"), Some("PUT, POST"));
    let answer = check(405, "a push to the health check", good(Request::put("/healthz")).json(EVENT));
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    check(408, "half a body", good(daemon.request()).header("Content-Length", "900").json("{\"user\":"));
    check(413, "too much", good(daemon.request()).json(&" ".repeat(1025)));
    let chunked = |size: usize| format!("{size:x}\r\n{}\r\n0\r\n\r\n", " ".repeat(size));
    check(
        413,
        "too much in chunks",
        good(daemon.request()).header("Transfer-Encoding", "chunked").json(&chunked(1025)),
    );
    check(415, "a web form", good(daemon.request()).header("Content-Type", "text/plain").body(EVENT));
    check(415, "compressed", good(daemon.request()).header("Content-Encoding", "gzip").json(EVENT));
    good(daemon.request()).json(&event("marker")).send(daemon.addr()).accepted();
    // What a sender of ours wanted to say is on record, though nobody knows what it was.
    let too_large = "the body is larger than 1024 bytes (`max_body`)";
    let lost = ["expected ident at line 1 column 2", "`user` is missing", "the body is empty", too_large, too_large];
    printed(&daemon, &[&lost[..], &["marker"]].concat());
    daemon.stop();
}

#[test]
fn bodies_may_come_in_chunks_and_in_pieces() {
    let daemon = start("");
    let body = event("chunks");
    let (begin, end) = body.split_at(20);
    let (begin_size, end_size) = (begin.len(), end.len());
    let chunked = format!("{begin_size:x};a=b\r\n{begin}\r\n{end_size:X}\r\n{end}\r\n0\r\nX-Trailer: y\r\n\r\n");
    let request = daemon.request().header("Transfer-Encoding", "chunked").json(&chunked);
    request.send(daemon.addr()).accepted();
    let mut connection = Connection::open(daemon.addr());
    connection.send_in_pieces(&request.bytes(), 1);
    connection.response().accepted();
    connection.send_in_pieces(&daemon.request().json(&event("pieces")).bytes(), 3);
    connection.response().accepted();
    printed(&daemon, &["chunks", "chunks", "pieces"]);
    daemon.stop();
}

#[test]
fn a_connection_takes_one_request_after_the_other_and_several_at_once() {
    let daemon = start("");
    let mut connection = Connection::open(daemon.addr());
    for subject in ["one", "two"] {
        connection.send(&daemon.request().json(&event(subject)).bytes());
        assert!(!connection.response().accepted().closed);
    }
    let pipelined = ["three", "four", "five"].map(|subject| daemon.request().json(&event(subject)).bytes());
    connection.send(&pipelined.concat());
    for _ in 0..3 {
        assert_eq!(connection.response().accepted().text(), SUCCESS);
    }
    connection.send(&daemon.request().header("Connection", "close").json(&event("six")).bytes());
    assert!(connection.response().accepted().closed);
    printed(&daemon, &["one", "two", "three", "four", "five", "six"]);
    daemon.stop();
}

#[test]
fn nothing_behind_a_refused_request_is_taken() {
    let daemon = start("");
    let mut connection = Connection::open(daemon.addr());
    let refused = Request::put("/elsewhere").json(&event("refused")).bytes();
    connection.send(&[refused, daemon.request().json(&event("behind")).bytes()].concat());
    assert_refused(&connection.response(), 404, "the first of two");
    daemon.push(&event("marker")).accepted();
    printed(&daemon, &["marker"]);
    daemon.stop();
}

#[test]
fn old_clients_and_full_targets_are_understood() {
    let daemon = start("");
    let (address, path) = (daemon.addr(), daemon.url_path().to_owned());
    let raw = |head: &str, subject: &str| {
        let body = event(subject);
        let mut connection = Connection::open(address);
        connection.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        let answer = connection.response();
        // HTTP/1.0 knows no other end of a connection than its own, and doesn't announce it.
        assert!(!head.contains("HTTP/1.0") || connection.is_closed(SOON));
        answer
    };
    raw(&format!("PUT {path} HTTP/1.0\r\nHost: {address}"), "old").accepted();
    raw(&format!("PUT http://{address}{path} HTTP/1.1\r\nHost: {address}"), "absolute").accepted();
    raw(&format!("PUT {path}?from=dovecot HTTP/1.1\r\nHost: localhost:{}", address.port()), "query").accepted();
    let answer = raw(&format!("PUT http://localhost{path} HTTP/1.1\r\nHost: {address}"), "disagrees");
    assert_refused(&answer, 400, "target and Host disagree");
    assert_refused(&raw(&format!("PUT http://evil.example{path} HTTP/1.1\r\nHost: evil.example"), "x"), 403, "foreign");
    raw(&format!("PUT {path} HTTP/1.1\r\nHost: {address}"), "marker").accepted();
    printed(&daemon, &["old", "absolute", "query", "marker"]);
    daemon.stop();
}

#[test]
fn who_asks_before_sending_a_body_is_answered_first_and_sent_away_after() {
    let daemon = start("");
    let expecting = |request: Request| request.header("Expect", "100-continue");
    let (head, body) = expecting(daemon.request()).json(&event("asked first")).parts();
    let mut connection = Connection::open(daemon.addr());
    connection.send(&head);
    assert_eq!(connection.interim(), 100);
    connection.send(&body);
    let answer = connection.response();
    assert!(answer.accepted().closed && answer.header("connection") == Some("close"));

    // Refused by its head alone: nobody wants its body.
    let (head, _) = expecting(Request::put("/elsewhere")).json(EVENT).parts();
    let mut connection = Connection::open(daemon.addr());
    connection.send(&head);
    assert_refused(&connection.response(), 404, "asked first");

    // Dovecot's client doesn't wait long.
    let answer = expecting(daemon.request()).json(&event("did not wait")).send(daemon.addr());
    assert!(answer.accepted().closed);
    printed(&daemon, &["asked first", "did not wait"]);
    daemon.stop();
}

#[test]
fn an_array_is_taken_whole_or_not_at_all() {
    let daemon = start("");
    daemon.push(&format!("[{},{}]", event("first"), event("second"))).accepted();
    daemon.push("[]").accepted();
    daemon.push(&format!("[{},{{\"user\":\"me\"}}]", event("half"))).refused(400);
    let many = vec![event("many"); 501].join(",");
    daemon.push(&format!("[{many}]")).refused(400);
    daemon.push(&event("marker")).accepted();
    printed(&daemon, &["first", "second", "`event` is missing", "more than 500 events in one request", "marker"]);
    daemon.stop();
}

#[test]
fn the_health_check_answers_without_content() {
    let daemon = start("");
    for method in ["GET", "HEAD"] {
        let answer = Request::new(method, "/healthz").send(daemon.addr());
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{method}");
    }
    daemon.stop();
}

#[test]
fn a_connection_that_only_sits_there_is_closed_without_a_word() {
    let daemon = start("timeout = \"1s\"");
    let mut silent = Connection::open(daemon.addr());
    assert!(silent.try_response().is_err_and(|error| error.kind() == std::io::ErrorKind::UnexpectedEof));
    let mut used = Connection::open(daemon.addr());
    used.send(&daemon.request().json(EVENT).bytes());
    used.response().accepted();
    assert!(used.try_response().is_err(), "an answer that nobody asked for");
    assert!(used.is_closed(Duration::from_secs(5)));
    daemon.stop();
}
