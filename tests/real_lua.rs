//! A real Dovecot that runs our Lua script: what it tells of a session, and what it does to deliveries and mail
//! programs on bad days.

mod bad_days;
mod events;
mod odd_mail;

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::http::fixture_request;
use crate::support::receiver::{Received, Receiver};
use crate::support::repository_file;

/// What the script promises of a receiver that doesn't answer, and what a busy machine may add.
const FROZEN: Duration = Duration::from_secs(2 + 2);
/// Where nothing has to be waited for.
const AT_ONCE: Duration = Duration::from_millis(1500);

const MESSAGE: &[u8] = b"From: =?utf-8?Q?J=C3=B6rg?= <j@example.org>\r\nTo: Alice <alice@example.org>\r\n\
    Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nDate: Sat, 21 Nov 2026 12:00:00 +0100\r\nMessage-ID: <1@example.org>\r\n\
    \r\nUntil tomorrow.\r\n";

/// The arrays that came since the last look, one for each request.
#[track_caller]
fn told(receiver: &Receiver) -> Vec<Vec<Value>> {
    let requests = receiver.take();
    for request in &requests {
        assert!(request.head.starts_with("PUT /notify HTTP/1.1\r\n"), "{}", request.head);
        for header in ["Content-Type: application/json; charset=utf-8", "Authorization: Basic a25vY2s6czNjcmV0"] {
            assert!(request.head.contains(&format!("\r\n{header}\r\n")), "{}", request.head);
        }
    }
    requests.iter().map(Received::events).collect()
}

/// Asserts that something is done in time, and returns how often it was done: other tests may keep the disk busy, so
/// that it is the best of three.
#[track_caller]
fn within(bound: Duration, what: &str, mut action: impl FnMut()) -> usize {
    let mut took = Duration::ZERO;
    for tries in 1..=3 {
        let begin = Instant::now();
        action();
        took = begin.elapsed();
        if took < bound {
            return tries;
        }
    }
    panic!("{what} took {took:?}, three times")
}

#[test]
fn what_was_captured_from_the_script_is_taken() {
    let daemon = Daemon::new().config("[auth]\nuser = \"pushuser\"\npass = \"pushpass\"\n").start();
    let directory = std::fs::read_dir(repository_file("tests/data/lua")).expect("it is in the repository");
    let names: Vec<_> = directory.flatten().map(|entry| entry.file_name()).collect();
    assert!(names.len() >= 12, "{names:?}");
    for name in names {
        fixture_request(&format!("tests/data/lua/{}", name.to_string_lossy()), daemon.addr()).accepted();
    }
    daemon.stop();
}
