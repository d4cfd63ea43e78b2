//! Who may notify, and what those can do who may not.

use std::fs::OpenOptions;

use crate::support::http::{Connection, Request};
use crate::support::output::Output;
use crate::support::wait::{holds, wait_until};

use super::candidate::{event, fate, handler};
use super::{compare, compare_ability};

#[test]
fn a_password_is_asked_for() {
    compare_ability("Basic authentication", |candidate| {
        let server = candidate.start(&format!("[auth]\nuser = \"foo\"\npass = \"bar\"\n{}", handler("")));
        // No password, foo:baz, foo:bar.
        let answers = [None, Some("Basic Zm9vOmJheg=="), Some("Basic Zm9vOmJhcg==")].map(|value| {
            let request = Request::put("/notify").json(&event("INBOX", ""));
            let request = value.map_or(request.clone(), |value| request.header("Authorization", value));
            request.send(candidate.address()).status
        });
        server.end();
        answers == [401, 401, 200]
    });
}

#[test]
fn only_listed_networks_may_notify() {
    compare_ability("Networks that may notify (`allow`)", |candidate| {
        let answers = ["127.0.0.0/8", "10.0.0.0/8"].map(|network| {
            let server = candidate.start(&format!("allow = [\"{network}\"]\n{}", handler("")));
            let status = server.push(&event("INBOX", "")).status;
            server.end();
            status
        });
        answers == [200, 403]
    });
}

/// The web page's name resolves to this machine at the second question: DNS rebinding.
#[test]
fn a_web_page_cannot_ring_under_a_name_of_its_own() {
    compare("A name that a web page chose, in `Host`", |candidate| {
        let server = candidate.start(&handler(""));
        let bytes = Request::put("/notify").json(&event("INBOX", "")).bytes();
        let text = String::from_utf8(bytes).expect("it is text").replace("Host: 127.0.0.1", "Host: evil.example");
        let mut connection = Connection::open(candidate.address());
        connection.send(text.as_bytes());
        let answer = connection.response();
        // Whoever was refused may read why for a second, and an end waits for that.
        drop(connection);
        server.end();
        fate(&answer)
    });
}

#[test]
fn eight_half_sent_requests_shut_nobody_out() {
    compare("Eight half-sent requests", |candidate| {
        let server = candidate.start(&handler(""));
        let (head, body) = Request::put("/notify").json(&event("INBOX", "")).parts();
        let half = [&head[..], &body[..5]].concat();
        let half_sent: Vec<_> = (0..8)
            .map(|_| {
                let mut connection = Connection::open(candidate.address());
                connection.send(&half);
                connection
            })
            .collect();
        let status = server.push(&event("INBOX", "")).status;
        drop(half_sent);
        server.end();
        match status {
            200 => "shut nobody out".to_owned(),
            503 => "shut everybody out".to_owned(),
            status => status.to_string(),
        }
    });
}

#[test]
fn a_half_sent_head_does_not_stay() {
    compare("A half-sent head", |candidate| {
        let server = candidate.start(&format!("timeout = \"200ms\"\n{}", handler("")));
        let mut connection = Connection::open(candidate.address());
        connection.send(b"PUT /notify HTTP/1.1\r\nHost:");
        let closed = connection.is_closed(candidate.patience());
        drop(connection);
        server.end();
        if closed { "closed at `timeout`" } else { "stays for ever" }.to_owned()
    });
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    compare("A log that nobody reads", |candidate| {
        let config = format!("[log]\nmax_level = \"debug\"\n{}", handler(""));
        // A pipe holds 64 KiB; the program gets one that is nearly full.
        let unread = "mkfifo log; exec 3<>log; head -c 61440 /dev/zero >&3; exec \"$0\" \"$@\" >log 2>&1";
        let server = candidate.start_as(&config, |recipe| recipe.inside(&["/bin/sh", "-c", unread]));
        let server = server.expect("it takes the configuration");
        let request = Request::put("/notify").header("Connection", "close").json(&event("INBOX", "")).bytes();
        let answered = (0..100).all(|_| {
            let mut connection = Connection::open(candidate.address());
            connection.try_send(&request).is_ok() && connection.is_closed(candidate.patience())
        });
        if !answered {
            return "stops it".to_owned();
        }
        let log = candidate.recipe().home().join("log");
        let log = OpenOptions::new().read(true).write(true).open(log).expect("it is in our home");
        let log = Output::read(log);
        wait_until("it to say that lines were lost", || {
            server.push(&event("INBOX", "")).accepted();
            holds(log.text().contains("lines were dropped"))
        });
        server.end();
        "loses lines".to_owned()
    });
}
