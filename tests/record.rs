//! The record on disk: what `recent` shows of it, what is in its files, and what it knows to be a repeat.

mod at_rest;
mod recent;
mod repeats;
mod withdrawal;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::wait::{SOON, wait_at_most};

/// A handler whose runs come long after the test: what is for it waits.
pub const LATER: &str = "[[handler]]\nname = \"later\"\nuser = \"later\"\ndelay = \"1h\"\ncommand = \"true\"\n";
/// A handler that is done with everything at once.
pub const AT_ONCE: &str = "[[handler]]\nname = \"at once\"\nuser = \"!later\"\nevent = \"*\"\nlog = \"debug\"\n";

/// What `recent --json` prints with further arguments: the newest first.
#[track_caller]
pub fn recent(daemon: &Daemon, arguments: &[&str]) -> Vec<Value> {
    let finished = daemon.command(&[&["recent", "--json"], arguments].concat()).succeeded();
    assert_eq!(finished.stderr, "");
    finished.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// The subjects of those, in that order.
#[track_caller]
pub fn subjects(daemon: &Daemon, arguments: &[&str]) -> Vec<String> {
    let text = |entry: &Value| entry["subject_text"].as_str().unwrap_or_default().to_owned();
    recent(daemon, arguments).iter().map(text).collect()
}

/// How deliveries to a handler ended, the newest first.
#[track_caller]
pub fn outcomes(daemon: &Daemon, handler: &str) -> Vec<String> {
    let deliveries = |entry: &Value| entry["deliveries"].as_array().cloned().unwrap_or_default();
    let all = recent(daemon, &["-n", "1000"]).iter().flat_map(deliveries).collect::<Vec<_>>();
    let ours = all.iter().filter(|delivery| delivery["handler"] == handler);
    ours.map(|delivery| delivery["outcome"].as_str().unwrap_or("not finished").to_owned()).collect()
}

/// Waits until the newest delivery to a handler has ended, and says how.
#[track_caller]
pub fn outcome(daemon: &Daemon, handler: &str) -> String {
    let newest = || outcomes(daemon, handler).into_iter().next().filter(|outcome| outcome != "not finished");
    wait_at_most(SOON, &format!("the end of a delivery to {handler}"), || format!("{:#?}", recent(daemon, &[])), newest)
}

/// All files below the state directory.
pub fn files(daemon: &Daemon) -> Vec<PathBuf> {
    let entries = fs::read_dir(daemon.path("state/mailknock"));
    entries.map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

/// The database itself.
#[track_caller]
pub fn database(daemon: &Daemon) -> PathBuf {
    let found = files(daemon).into_iter().find(|file| file.extension().is_some_and(|end| end == "sqlite"));
    found.expect("a record was begun")
}

/// Those of the words that any file of the state directory holds.
pub fn at_rest<'a>(daemon: &Daemon, words: &[&'a str]) -> Vec<&'a str> {
    let texts: Vec<Vec<u8>> = files(daemon).iter().map(|file| fs::read(file).expect("it is ours")).collect();
    let holds = |word: &str| texts.iter().any(|text| text.windows(word.len()).any(|part| part == word.as_bytes()));
    words.iter().copied().filter(|word| holds(word)).collect()
}
