//! Who isn't meant to knock: web pages, other networks, and who knows no password.

use super::{SECRET, assert_refused, send_raw, start, stop_unharmed};
use crate::support::http::Request;

#[test]
fn strangers_are_turned_away_on_every_path() {
    let daemon = start("");
    let push = daemon.request().json(r#"{"user":"me","event":"MessageNew","subject":"sesame-4711"}"#);
    for (name, value) in [
        ("Origin", "http://127.0.0.1:12525"),
        ("Origin", "null"),
        ("Sec-Fetch-Mode", "no-cors"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Referer", "http://evil.example/"),
        ("Cookie", "a=b"),
        ("Access-Control-Request-Method", "PUT"),
    ] {
        let paths = [push.clone(), Request::get("/healthz"), Request::new("OPTIONS", "/notify"), Request::get("/")];
        for request in paths {
            let answer = request.header(name, value).send(daemon.addr());
            assert_refused(&answer, 403, name);
            let is_cors = |(name, _): &(String, String)| name.starts_with("access-control");
            assert!(!answer.headers.iter().any(is_cors), "{name}: {:?}", answer.headers);
        }
    }
    let text = push.bytes();
    let text = String::from_utf8(text).expect("it is text");
    let with_host = |host: &str| send_raw(&daemon, text.replace("Host: 127.0.0.1", host).as_bytes());
    assert_refused(&with_host("Host: evil.example"), 403, "a foreign Host");
    assert_refused(&with_host("Host: 127.0.0.1.evil.example"), 403, "a foreign Host");
    assert_refused(&with_host("Host: 127.0.0.1\r\nHost: 127.0.0.1"), 400, "two Hosts");
    assert_refused(&with_host("X-Forwarded-Host: 127.0.0.1"), 400, "no Host");
    stop_unharmed(daemon);

    let daemon = start("allow = [\"10.0.0.2\"]");
    for request in [push, Request::get("/healthz"), Request::get("/elsewhere")] {
        let request = request.header("X-Forwarded-For", "10.0.0.2").header("Forwarded", "for=10.0.0.2");
        assert_refused(&request.send(daemon.addr()), 403, "another network");
    }
    assert_eq!(daemon.stdout(), "");
    daemon.stop();
}

#[test]
fn wrong_passwords_get_nowhere_and_never_into_the_log() {
    let daemon = start("[auth]\nuser = \"foo\"\npass = \"bar\"");
    let push = daemon.request().json(r#"{"user":"me","event":"MessageNew","subject":"sesame-4711"}"#);
    // foo: and foo:sesame-4711, then what isn't Basic.
    let long = format!("Basic {}", "QUJD".repeat(3000));
    for value in ["Basic Zm9vOg==", "Basic Zm9vOnNlc2FtZS00NzEx", "Bearer sesame-4711", "Basic =", "", &long] {
        assert_refused(&push.clone().header("Authorization", value).send(daemon.addr()), 401, value);
    }
    assert_eq!(daemon.stdout(), "");
    let finished = daemon.stop();
    let warnings: Vec<_> = finished.stderr.lines().filter(|line| line.contains("password")).collect();
    assert!(warnings.iter().filter(|line| line.contains("WARN")).count() == 1, "one a minute: {warnings:#?}");
    for secret in [SECRET, "Zm9v", "QUJD"] {
        assert!(!finished.stderr.contains(secret), "{secret} is in the log:\n{}", finished.stderr);
    }
}
