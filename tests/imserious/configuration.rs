//! The configuration file and what is said about it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::certificate::Pair;
use crate::support::daemon::Signal;
use crate::support::http::Request;
use crate::support::wait::{holds, wait_until};
use crate::support::{repository_file, require};

use super::candidate::{NO_LIMIT, RUN, event, handler};
use super::{compare, compare_ability};

const AUTH: &str = "[auth]\nuser = \"foo\"\npass = \"bar\"\n";

#[test]
fn the_example_of_imserious_is_right() {
    let example = fs::read_to_string(repository_file("tests/data/imserious-example.toml"));
    let example = example.expect("it is part of the repository");
    if !require(&["openssl"]) {
        return;
    }
    compare_ability("IMSErious' own example, under `-t`", |candidate| {
        let example = Pair::new(candidate.recipe(), "own", &["IP:10.0.0.1"]).in_place_of_the_examples(&example);
        candidate.check(&example).status.success() && !candidate.check("nonsense").status.success()
    });
}

#[test]
fn a_key_that_is_unknown_is_an_error() {
    compare("A misspelt key", |candidate| {
        candidate.judges(&format!("[[handler]]\nuser = \"me\"\ndealy = \"5s\"\n{RUN}"), "ignored")
    });
}

#[test]
fn a_command_may_hold_what_a_string_escapes() {
    compare("An escaped quotation mark in a command", |candidate| {
        candidate.judges("[[handler]]\nuser = \"me\"\ncommand = \"sh -c \\\"fdm fetch\\\"\"\n", "taken")
    });
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "timeout = \"soon\"\n[log]\nformat = \"jsno\"\n[[handler]]\nuser = \"me\"\nlimit_burst = 0\ncommand = \"fdm\"\n";
    compare("Three mistakes in the configuration", |candidate| {
        let finished = candidate.check(text);
        assert!(!finished.status.success());
        let said = format!("{}{}", finished.stdout, finished.stderr);
        let told = ["timeout", "format", "limit_burst"].into_iter().filter(|key| said.contains(key));
        match told.count() {
            1 => "one is told".to_owned(),
            3 => "all are told".to_owned(),
            count => format!("{count} are told"),
        }
    });
}

#[test]
fn nobody_listens_to_the_whole_world_unasked() {
    compare("Open to every network, with no password", |candidate| {
        candidate.judges(&format!("listen = \"0.0.0.0:12525\"\n[[handler]]\nuser = \"me\"\n{RUN}"), "taken")
    });
}

/// Without `[auth]` the file is one that Mailknock takes for no less than a demand.
#[test]
fn a_hangup_makes_it_read_its_file_again() {
    compare("SIGHUP", |candidate| {
        let mut server = candidate.start(&format!("{AUTH}{}", handler("")));
        server.push(&event("INBOX", "")).refused(401);
        candidate.write_config(&handler(""));
        server.running.signal(Signal::HUP);
        let open = wait_until("an end or an open door", || {
            if !server.running.is_alive() {
                return Some(false);
            }
            holds(is_open(candidate.address())).map(|()| true)
        });
        if !open {
            return "ends it".to_owned();
        }
        server.end();
        "reads the configuration again".to_owned()
    });
}

/// Whether a push with no password is taken. It may end in the middle of this.
fn is_open(address: SocketAddr) -> bool {
    let push = Request::put("/notify").header("Connection", "close").json(&event("INBOX", "")).bytes();
    let mut answer = Vec::new();
    let answered = TcpStream::connect(address).and_then(|mut stream| {
        stream.write_all(&push)?;
        stream.read_to_end(&mut answer)
    });
    answered.is_ok() && answer.starts_with(b"HTTP/1.1 200")
}

#[test]
fn the_log_is_text_or_json() {
    compare_ability("A log as text or as JSON", |candidate| {
        ["compact", "json"].into_iter().all(|format| {
            let server = candidate.start(&format!("[log]\nformat = \"{format}\"\n{}", handler("")));
            let output = wait_until("a log", || Some(server.output()).filter(|output| output.contains("listen")));
            server.end();
            let is_json = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
            output.lines().all(|line| is_json(line) == (format == "json"))
        })
    });
}

#[test]
fn users_may_be_patterns() {
    compare_ability("Patterns for users", |candidate| {
        candidate.script("echo $IMSE_FOLDER >> done");
        let server = candidate.start(&format!("[[handler]]\nuser = \"m*\"\n{NO_LIMIT}{RUN}"));
        server.push(&event("pattern", "")).accepted();
        // Both take a name that is the pattern itself.
        server.push(&event("marker", "").replace("\"me\"", "\"m*\"")).accepted();
        let lines = candidate.wait_line("marker");
        server.end();
        lines.iter().any(|line| line == "pattern")
    });
}
