//! Messages that are read, trashed or expunged elsewhere: exactly theirs is what changes here.

mod counts;
mod hostile;
mod popups;

use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Running};

/// What says that a message is settled: the name, and its flags.
const SETTLING: [(&str, &[&str]); 4] =
    [("FlagsSet", &["\\Flagged", "\\Seen"]), ("MessageRead", &[]), ("MessageTrash", &[]), ("MessageExpunge", &[])];

fn event(kind: &str, uid: u32) -> Value {
    json!({"user": "me", "event": kind, "folder": "INBOX", "imap-uidvalidity": 1, "imap-uid": uid})
}

/// A message whose subject is its number.
fn mail(uid: u32) -> Value {
    let mut mail = event("MessageNew", uid);
    mail["subject"] = format!("s{uid}").into();
    mail
}

fn flags(kind: &str, uid: u32, flags: &[&str]) -> Value {
    let mut event = event(kind, uid);
    event["flags"] = json!(flags);
    event
}

#[track_caller]
fn push(daemon: &Running, event: &Value) {
    daemon.push(&event.to_string()).accepted();
}

#[track_caller]
fn status(recipe: &Daemon) -> Value {
    let said = recipe.command(&["status", "--json"]).succeeded().stdout;
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// The newest first.
#[track_caller]
fn recent(recipe: &Daemon) -> Vec<Value> {
    let said = recipe.command(&["recent", "--json", "-n", "1000"]).succeeded().stdout;
    said.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// The numbers of the messages on record that count as read, the oldest first.
#[track_caller]
fn read_ones(recipe: &Daemon) -> Vec<u64> {
    let entries = recent(recipe);
    let read = entries.iter().rev().filter(|entry| entry["event"] == "MessageNew" && entry["read"] == true);
    read.filter_map(|entry| entry["uid"].as_u64()).collect()
}
