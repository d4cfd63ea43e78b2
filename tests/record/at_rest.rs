//! What is in the record's files, for whose eyes, and for how long.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::{AT_ONCE, LATER, at_rest, files, outcome, recent, subjects};
use crate::support::daemon::{Daemon, Running};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

#[test]
fn nobody_else_may_read_it() {
    // Even where the user's own files are for everybody.
    let daemon = Daemon::new().inside(&["/bin/sh", "-c", "umask 0; exec \"$0\" \"$@\""]).config(AT_ONCE).start();
    let recipe = daemon.recipe().clone();
    let private = |files: &[std::path::PathBuf]| files.iter().all(|file| mode(file) == 0o600);
    daemon.push(r#"{"user":"me","event":"messageNew"}"#).accepted();
    assert_eq!(mode(&recipe.path("state/mailknock")), 0o700);
    let while_it_runs = files(&recipe);
    assert!(while_it_runs.len() >= 2 && private(&while_it_runs), "{while_it_runs:?}");
    daemon.stop();
    recipe.command(&["recent"]).succeeded();
    assert!(private(&files(&recipe)));
}

#[test]
fn only_as_much_of_a_message_as_wanted_is_at_rest() {
    let words = ["from-4711", "subject-4711", "snippet-4711", "id-4711", "unknown-4711", "folder-4711", "user-4711"];
    let event = json!({
        "user": "user-4711", "event": "messageNew", "folder": "folder-4711", "imap-uidvalidity": 1, "imap-uid": 7,
        "from": "from-4711 <from-4711@x>", "subject": "subject-4711", "snippet": "snippet-4711",
        "message-id": "<id-4711@x>", "body": "unknown-4711",
    });
    let kept: [(&str, &[&str]); 4] = [
        ("content = \"full\"", &["from-4711", "subject-4711", "snippet-4711", "id-4711", "folder-4711", "user-4711"]),
        ("content = \"headers\"", &["from-4711", "subject-4711", "id-4711", "folder-4711", "user-4711"]),
        ("", &["from-4711", "subject-4711", "id-4711", "folder-4711", "user-4711"]),
        ("content = \"none\"", &["folder-4711", "user-4711"]),
    ];
    for (content, expected) in kept {
        let command = crate::commands::handler("name = \"run\"", "cat > seen");
        let daemon = Daemon::new().config(&format!("[history]\n{content}\n{command}{AT_ONCE}{LATER}")).start();
        let recipe = daemon.recipe().clone();
        daemon.push(&event.to_string()).accepted();
        // A repeat that knows more is written too.
        daemon
            .push(
                &json!({"user": "user-4711", "event": "messageNew", "folder": "folder-4711",
            "imap-uidvalidity": 1, "imap-uid": 7, "unseen": 3})
                .to_string(),
            )
            .accepted();
        assert_eq!(outcome(&recipe, "run"), "done");
        assert_eq!(at_rest(&recipe, &words), expected, "{content}, while it runs");
        let seen = fs::read_to_string(recipe.home().join("seen")).expect("it ran");
        assert!(seen.contains("snippet-4711") && seen.contains("subject-4711"), "a command is told all: {seen}");
        let recipe = daemon.kill();
        assert_eq!(at_rest(&recipe, &words), expected, "{content}, after its end");
    }
}

fn push_many(daemon: &Running, user: &str, kind: &str, numbers: std::ops::Range<u32>) {
    let event = |number| json!({"user": user, "event": kind, "subject": format!("{user}{number}")});
    daemon.push(&json!(numbers.map(event).collect::<Vec<_>>()).to_string()).accepted();
}

#[test]
fn what_is_finished_goes_by_number_and_what_is_not_stays() {
    let daemon = Daemon::new().config(&format!("[history]\nkeep = 5\n{AT_ONCE}{LATER}")).start();
    let recipe = daemon.recipe().clone();
    push_many(&daemon, "later", "messageNew", 0..3);
    push_many(&daemon, "me", "messageNew", 0..300);
    let left = subjects(&recipe, &["-n", "1000"]);
    assert!(left.len() <= 5 && left.ends_with(&["later2", "later1", "later0"].map(String::from)), "{left:?}");
    // Noise is counted apart: it takes no mail with it.
    push_many(&daemon, "me", "MessageRead", 300..600);
    let entries = recent(&recipe, &["-n", "1000"]);
    let mail = entries.iter().filter(|entry| entry["event"] == "MessageNew").count();
    assert_eq!((mail, entries.len() - mail), (left.len(), 5));
    let recipe = daemon.kill();
    let daemon = recipe.config(&format!("[history]\nkeep = 1\n{AT_ONCE}{LATER}")).start();
    push_many(&daemon, "me", "messageNew", 600..900);
    let left = subjects(daemon.recipe(), &["--search", "later"]);
    assert_eq!(left, ["later2", "later1", "later0"], "more than it may keep, but not finished");
    daemon.stop();
}

#[test]
fn to_keep_nothing_is_said_and_writes_no_file() {
    let mut daemon = Daemon::new().config("[history]\nkeep = 0\n[[handler]]\nlog = \"info\"\n").start();
    daemon.wait_log("`history.keep` is 0");
    daemon.push(r#"{"user":"me","event":"messageNew"}"#).accepted();
    daemon.wait_log("MessageNew");
    let recipe = daemon.recipe().clone();
    daemon.stop();
    assert_eq!(std::fs::read_dir(recipe.path("state")).expect("it is there").count(), 0);
    assert_eq!(recent(&recipe, &[]).len(), 0);
}
