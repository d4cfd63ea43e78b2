//! What README.md says about IMSErious 0.2.0 and Mailknock, row by row.
//!
//! Both programs get the same configuration and the same requests. What is observed is told in the words of the
//! table, and must be what the table says. Mailknock is always tried; IMSErious too where the environment variable
//! `MAILKNOCK_TESTS_IMSERIOUS` names its program:
//!
//! ```console
//! $ cargo install imserious --version 0.2.0 --locked --root target/imserious
//! $ MAILKNOCK_TESTS_IMSERIOUS=target/imserious/bin/imserious cargo test --test mailknock imserious::
//! ```

mod candidate;
mod configuration;
mod desktop;
mod endings;
mod events;
mod handlers;
mod strangers;
mod tls;

use std::fs;

use crate::support::repository_file;
use candidate::Candidate;

/// The rows of README.md: what is compared, then what IMSErious shows and what Mailknock does. What both can comes
/// first, then what only Mailknock can, then what IMSErious does wrong.
const TABLE: [[&str; 3]; 38] = [
    ["IMSErious' own example, under `-t`", "yes", "yes"],
    ["Basic authentication", "yes", "yes"],
    ["Networks that may notify (`allow`)", "yes", "yes"],
    ["TLS", "yes", "yes"],
    ["TLS: `periodic_reload` takes a new pair, and no broken one", "yes", "yes"],
    ["Handlers by user and event, in any case", "yes", "yes"],
    ["`delay`", "yes", "yes"],
    ["`limit_period`, `limit_burst`", "yes", "yes"],
    ["`periodic`", "yes", "yes"],
    ["Eight `IMSE_*` variables", "yes", "yes"],
    ["A log as text or as JSON", "yes", "yes"],
    ["Notifications", "no", "yes"],
    ["A tray icon", "no", "yes"],
    ["What happened lately", "no", "`mailknock recent`"],
    ["Patterns for users", "no", "yes"],
    ["Filters by folder, sender and subject", "no", "yes"],
    ["The subject, for commands", "no", "raw and decoded"],
    ["The sender, for commands", "raw", "raw and decoded"],
    ["A burst: what its one run gets", "the newest event", "all events"],
    ["SIGHUP", "ends it", "reads the configuration again"],
    ["A subject of two kilobytes", "refused with 413", "taken"],
    ["An event with no `folder` or `unseen`", "refused with 422", "taken"],
    ["An event of an unknown kind", "refused with 422", "taken"],
    ["`POST`", "refused with 405", "taken"],
    ["A name that a web page chose, in `Host`", "taken", "refused with 403"],
    ["A message that is reported twice", "handled twice", "handled once"],
    ["A NUL in a mail's text", "the command doesn't run", "the command runs"],
    ["A command that hangs", "blocks its handler for ever", "ends at its `timeout`"],
    ["SIGTERM while a command hangs", "waits for the command", "ends both"],
    ["A kill while an event waits", "the event is lost", "handled after the next start"],
    ["Eight half-sent requests", "shut everybody out", "shut nobody out"],
    ["A half-sent head", "stays for ever", "closed at `timeout`"],
    ["A log that nobody reads", "stops it", "loses lines"],
    ["An hour with nothing to do", "one processor busy from then on", "idle"],
    ["A misspelt key", "ignored", "an error"],
    ["An escaped quotation mark in a command", "an error", "taken"],
    ["Three mistakes in the configuration", "one is told", "all are told"],
    ["Open to every network, with no password", "taken", "an error"],
];

/// Lets each program show what it does, and asserts that this is what the table says.
#[track_caller]
fn compare(name: &str, observe: impl Fn(&Candidate) -> String) {
    let row = TABLE.iter().find(|row| row[0] == name);
    let [_, imserious, mailknock] = row.unwrap_or_else(|| panic!("`{name}` is no row of the table"));
    assert_eq!(observe(&Candidate::mailknock()), *mailknock, "Mailknock, {name}");
    if let Some(candidate) = Candidate::imserious() {
        assert_eq!(observe(&candidate), *imserious, "IMSErious, {name}");
    }
}

/// [`compare`] for what a program can or can't.
#[track_caller]
fn compare_ability(name: &str, can: impl Fn(&Candidate) -> bool) {
    compare(name, |candidate| if can(candidate) { "yes" } else { "no" }.to_owned());
}

#[test]
fn the_readme_shows_these_rows_and_no_others() {
    let readme = fs::read_to_string(repository_file("README.md")).expect("it is part of the repository");
    let section = readme.split("\n## IMSErious and Mailknock\n").nth(1).expect("the README has the section");
    let section = section.split("\n## ").next().unwrap_or(section);
    let shown: Vec<&str> = section.lines().filter(|line| line.starts_with('|')).collect();
    let head = ["| | IMSErious 0.2.0 | Mailknock |", "| --- | --- | --- |"].map(str::to_owned);
    let rows = TABLE.iter().map(|[name, imserious, mailknock]| format!("| {name} | {imserious} | {mailknock} |"));
    assert_eq!(shown, head.into_iter().chain(rows).collect::<Vec<_>>());
}

#[test]
fn every_row_is_compared_once() {
    let directory = fs::read_dir(repository_file("tests/imserious")).expect("it is part of the repository");
    let sources = directory.flatten().map(|entry| fs::read_to_string(entry.path()).expect("sources are UTF-8"));
    let sources: String = sources.collect();
    for [name, ..] in TABLE {
        assert_eq!(sources.matches(&format!("\"{name}\"")).count(), 1, "tests that compare `{name}`");
    }
}
