//! When handlers run, and what their commands get.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::candidate::{Candidate, NO_LIMIT, RUN, event, handler};
use super::{compare, compare_ability};

const FOLDER: &str = "echo $IMSE_FOLDER >> done";

#[test]
fn handlers_are_for_users_and_events() {
    compare_ability("Handlers by user and event, in any case", |candidate| {
        candidate.script("echo $1 $IMSE_USER $IMSE_EVENT >> done");
        let handlers = [("mine", "me", "messagenew"), ("yours", "you", "MessageNew"), ("trash", "me", "MessageTrash")]
            .map(|(name, user, event)| {
                let keys = format!("user = \"{user}\"\nevent = \"{event}\"\n{NO_LIMIT}");
                format!("[[handler]]\n{keys}command = \"/bin/sh run {name}\"\n")
            });
        let server = candidate.start(&handlers.concat());
        let mine = event("INBOX", "");
        let pushes = [mine.replace("messageNew", "MESSAGETRASH"), mine.clone(), mine.replace("\"me\"", "\"you\"")];
        for (number, json) in pushes.iter().enumerate() {
            server.push(json).accepted();
            candidate.wait_done(number + 1);
        }
        server.end();
        candidate.done() == ["trash me MessageTrash", "mine me MessageNew", "yours you MessageNew"]
    });
}

#[test]
fn a_delay_counts_from_the_first_event() {
    let delay = Duration::from_millis(400);
    compare_ability("`delay`", |candidate| {
        candidate.script(FOLDER);
        let server = candidate.start(&handler("delay = \"400ms\"\n"));
        let started = Instant::now();
        for folder in ["first", "second"] {
            server.push(&event(folder, "")).accepted();
        }
        candidate.wait_done(1);
        let waited = started.elapsed();
        server.push(&event("third", "")).accepted();
        let lines = candidate.wait_done(2);
        server.end();
        waited >= delay && lines == ["second", "third"]
    });
}

#[test]
fn a_burst_runs_at_once_and_then_one_a_period() {
    let period = Duration::from_millis(1500);
    compare_ability("`limit_period`, `limit_burst`", |candidate| {
        candidate.script(FOLDER);
        let limit = "limit_period = \"1500ms\"\nlimit_burst = 2\n";
        let server = candidate.start(&format!("[[handler]]\nuser = \"me\"\n{limit}{RUN}"));
        let started = Instant::now();
        for number in 1..=2 {
            server.push(&event(&number.to_string(), "")).accepted();
            candidate.wait_done(number);
        }
        let burst = started.elapsed();
        for number in 3..=4 {
            server.push(&event(&number.to_string(), "")).accepted();
        }
        let lines = candidate.wait_done(3);
        let all = started.elapsed();
        server.end();
        burst < period && all >= period && lines == ["1", "2", "4"]
    });
}

#[test]
fn a_periodic_handler_needs_no_event() {
    compare_ability("`periodic`", |candidate| {
        candidate.script("echo $IMSE_USER $IMSE_EVENT >> done");
        let server = candidate.start(&format!("[[handler]]\nuser = \"me\"\nperiodic = \"200ms\"\n{RUN}"));
        let lines = candidate.wait_done(2);
        server.end();
        lines.iter().all(|line| line == "me MessageNew")
    });
}

/// The `IMSE_` variables of a run for a message with encoded headers.
#[track_caller]
fn variables(candidate: &Candidate) -> HashMap<String, String> {
    candidate.script("env | grep ^IMSE_ > new; echo end >> new; mv new done");
    let server = candidate.start(&handler(""));
    let texts =
        r#","from":"=?utf-8?Q?J=C3=B6rg?= <j@example.org>","subject":"=?utf-8?Q?Gr=C3=BC=C3=9Fe?=","snippet":"Hello""#;
    server.push(&event("INBOX", texts)).accepted();
    let lines = candidate.wait_line("end");
    server.end();
    let variables = lines.iter().filter_map(|line| line.split_once('='));
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_variables_of_imserious_are_set() {
    compare_ability("Eight `IMSE_*` variables", |candidate| {
        let variables = variables(candidate);
        let get = |name: &str| variables.get(name).map_or("", String::as_str);
        let expected = [
            ("IMSE_USER", "me"),
            ("IMSE_EVENT", "MessageNew"),
            ("IMSE_REMOTE_IP", "127.0.0.1"),
            ("IMSE_UNSEEN", "1"),
            ("IMSE_FOLDER", "INBOX"),
            ("IMSE_FROM", "=?utf-8?Q?J=C3=B6rg?= <j@example.org>"),
            ("IMSE_SNIPPET", "Hello"),
        ];
        expected.iter().all(|(name, value)| get(name) == *value) && get("IMSE_REMOTE_PORT").parse::<u16>().is_ok()
    });
}

/// Which of the two forms are there.
fn forms(raw: bool, decoded: bool) -> String {
    match (raw, decoded) {
        (false, false) => "no",
        (true, false) => "raw",
        (false, true) => "decoded",
        (true, true) => "raw and decoded",
    }
    .to_owned()
}

#[test]
fn a_command_is_told_the_subject() {
    compare("The subject, for commands", |candidate| {
        let variables = variables(candidate);
        let has = |text: &str| variables.values().any(|value| value == text);
        forms(has("=?utf-8?Q?Gr=C3=BC=C3=9Fe?="), has("Grüße"))
    });
}

#[test]
fn a_command_is_told_who_wrote() {
    compare("The sender, for commands", |candidate| {
        let variables = variables(candidate);
        let has = |text: &str| variables.values().any(|value| value == text);
        forms(has("=?utf-8?Q?J=C3=B6rg?= <j@example.org>"), has("Jörg") && has("j@example.org"))
    });
}

#[test]
fn a_run_gets_all_events_of_a_burst() {
    compare("A burst: what its one run gets", |candidate| {
        candidate.script("{ echo $IMSE_FOLDER; cat; echo end; } > new; mv new done");
        let server = candidate.start(&handler("delay = \"300ms\"\n"));
        let folders = ["first", "second", "third"];
        for folder in folders {
            server.push(&event(folder, "")).accepted();
        }
        let text = candidate.wait_line("end").concat();
        server.end();
        match folders.map(|folder| text.contains(folder)) {
            [false, false, true] => "the newest event".to_owned(),
            [true, true, true] => "all events".to_owned(),
            _ => text,
        }
    });
}

#[test]
fn handlers_may_be_for_folders_senders_and_subjects() {
    compare_ability("Filters by folder, sender and subject", |candidate| {
        candidate.script("echo $IMSE_SNIPPET >> done");
        let server = candidate.start(&handler("folder = \"Lists/*\"\nfrom = \"*bob*\"\nsubject = \"*build*\"\n"));
        for [folder, from, subject, snippet] in [
            ["INBOX", "bob", "build", "folder"],
            ["Lists/x", "alice", "build", "sender"],
            ["Lists/x", "bob", "lunch", "subject"],
            ["Lists/x", "bob", "build", "match"],
        ] {
            let texts = format!(r#","from":"{from}@example.org","subject":"{subject}","snippet":"{snippet}""#);
            server.push(&event(folder, &texts)).accepted();
        }
        let lines = candidate.wait_line("match");
        server.end();
        lines == ["match"]
    });
}
