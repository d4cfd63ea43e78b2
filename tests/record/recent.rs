//! `mailknock recent`, while the program runs and after it.

use serde_json::json;

use super::{AT_ONCE, LATER, at_rest, outcome, recent, subjects};
use crate::support::daemon::{Daemon, Running};

fn push_subjects(daemon: &Running, user: &str, subjects: &[&str]) {
    for subject in subjects {
        let event = json!({"user": user, "event": "messageNew", "folder": "INBOX", "subject": subject});
        daemon.push(&event.to_string()).accepted();
    }
}

#[test]
fn it_shows_every_key_of_the_schema() {
    let daemon = Daemon::new().config(&format!("[history]\ncontent = \"full\"\n{AT_ONCE}{LATER}")).start();
    let recipe = daemon.recipe().clone();
    let mut event = json!({
        "user": "11@3", "event": "messageNew", "folder": "INBOX", "imap-uidvalidity": 1_795_261_286, "imap-uid": 7,
        "from": "=?utf-8?Q?J=C3=B6rg?=\n <j@example.org>", "subject": "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=\n\tyou",
        "snippet": "two\nlines", "unseen": 2, "message-id": "<m@example.org>",
    });
    daemon.push(&event.to_string()).accepted();
    event["user"] = "later".into();
    daemon.push(&event.to_string()).accepted();

    let entries = recent(&recipe, &[]);
    let at = entries[1]["at"].as_str().expect("a time");
    assert!(at.ends_with('Z') && at.parse::<jiff::Timestamp>().is_ok(), "{at}");
    let remote = entries[1]["remote"].as_str().expect("an address");
    assert!(remote.starts_with("127.0.0.1:"), "{remote}");
    let expected = json!({
        "schema": 1, "id": 1, "at": at, "event": "MessageNew", "user": "11@3", "folder": "INBOX",
        "uid": 7, "uid_validity": 1_795_261_286, "unseen": 2,
        "from": "=?utf-8?Q?J=C3=B6rg?=\n <j@example.org>", "from_name": "Jörg", "from_address": "j@example.org",
        "subject": "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=\n\tyou", "subject_text": "Grüße you",
        "snippet": "two\nlines", "message_id": "<m@example.org>", "remote": remote,
        "deliveries": [{"handler": "at once", "state": "finished", "outcome": "logged"}],
    });
    assert_eq!(entries[1], expected);
    assert_eq!(entries[0]["deliveries"], json!([{"handler": "later", "state": "waiting"}]));
    daemon.push(r#"{"user":"me","event":"MailboxCreate"}"#).accepted();
    let least = &recent(&recipe, &["-n", "1"])[0];
    let mut keys: Vec<&String> = least.as_object().expect("an object").keys().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["at", "deliveries", "event", "id", "remote", "schema", "user"], "what is absent is left out");
    daemon.stop();
    assert_eq!(recent(&recipe, &[])[1..], entries[..], "the same when nobody runs");
}

#[test]
fn the_newest_come_first_and_as_many_as_asked_for() {
    let daemon = Daemon::new().config(AT_ONCE).start();
    let recipe = daemon.recipe().clone();
    let names: Vec<String> = (1..=25).map(|number| format!("s{number}")).collect();
    push_subjects(&daemon, "me", &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(subjects(&recipe, &["-n", "2"]), ["s25", "s24"]);
    let lines = recipe.command(&["recent"]).succeeded().stdout;
    assert_eq!(lines.lines().count(), 20);
    let first = lines.lines().next().expect("20 lines");
    assert!(first.ends_with(" MessageNew me INBOX: Unknown sender: s25 [at once: logged]"), "{first}");
    daemon.stop();
    assert_eq!(subjects(&recipe, &["-n", "1000"]).len(), 25);
    assert_eq!(subjects(&recipe, &["-n", "0"]).len(), 0);
}

#[test]
fn a_search_finds_text_in_any_case_and_takes_nothing_for_a_pattern() {
    let daemon = Daemon::new().config(AT_ONCE).start();
    let recipe = daemon.recipe().clone();
    let all = ["=?utf-8?Q?GR=C3=9C=C3=9FE?=", "100% *sure*?", "it's; DROP TABLE entry --", "[Gmail]", "a_b", "axb"];
    push_subjects(&daemon, "me", &all);
    let daemon_log =
        r#"{"user":"Straße","event":"messageNew","folder":"Entwürfe","subject":"elsewhere","from":"Ümit <u@x>"}"#;
    daemon.push(daemon_log).accepted();
    let expected: &[(&str, &[&str])] = &[
        ("grüße", &["GRÜßE"]),
        ("Ü", &["elsewhere", "GRÜßE"]),
        ("%", &["100% *sure*?"]),
        ("*", &["100% *sure*?"]),
        ("?", &["100% *sure*?"]),
        ("a_b", &["a_b"]),
        ("A_", &["a_b"]),
        ("[g", &["[Gmail]"]),
        ("'", &["it's; DROP TABLE entry --"]),
        ("drop table", &["it's; DROP TABLE entry --"]),
        ("' OR 1=1 --", &[]),
        ("straSSe", &[]),
        ("STRAßE", &["elsewhere"]),
        ("u@X", &["elsewhere"]),
        ("entwÜRFE", &["elsewhere"]),
        ("nowhere", &[]),
    ];
    for (words, found) in expected {
        assert_eq!(subjects(&recipe, &["--search", words]), *found, "{words}");
    }
    assert_eq!(subjects(&recipe, &["--search", "inbox", "-n", "1"]), ["axb"]);
    daemon.stop();
    assert_eq!(subjects(&recipe, &["--search", "GRÜSSE"]), [""; 0]);
    assert_eq!(subjects(&recipe, &["--search", "grüße"]), ["GRÜßE"]);
}

#[test]
fn clearing_takes_out_all_that_is_finished_for_good() {
    let daemon = Daemon::new().config(&format!("[history]\nkeep = 2\n{AT_ONCE}{LATER}")).start();
    let recipe = daemon.recipe().clone();
    push_subjects(&daemon, "later", &["still waiting"]);
    // So many that some of them are let go before.
    let event = |number| json!({"user": "me", "event": "messageNew", "subject": format!("secret{number:03}")});
    daemon.push(&json!((0..300).map(event).collect::<Vec<_>>()).to_string()).accepted();
    assert!(!at_rest(&recipe, &["secret299"]).is_empty());
    let cleared = recipe.command(&["recent", "--clear"]).succeeded();
    assert!(cleared.stderr.ends_with(" entries taken out\n"), "{cleared:?}");
    assert_eq!(subjects(&recipe, &[]), ["still waiting"]);
    assert_eq!(at_rest(&recipe, &["secret"]), [""; 0], "in {:?}", super::files(&recipe));

    push_subjects(&daemon, "me", &["after"]);
    assert_eq!(subjects(&recipe, &[]), ["after", "still waiting"]);
    assert_eq!(outcome(&recipe, "at once"), "logged");
    daemon.stop();
    assert!(recipe.command(&["recent", "--clear"]).succeeded().stderr.starts_with("1 entries"));
    assert_eq!(subjects(&recipe, &[]), ["still waiting"]);
}

#[test]
fn where_nothing_was_ever_recorded_there_is_nothing_to_show() {
    let daemon = Daemon::new();
    assert_eq!(recent(&daemon, &[]).len(), 0);
    assert!(daemon.command(&["recent", "--clear"]).succeeded().stderr.starts_with("0 entries"));
    assert_eq!(super::files(&daemon).len(), 0, "looking begins no record");

    // As it is for a moment when it is begun, or after that when the disk was full.
    let recipe = daemon.clone();
    daemon.start().stop();
    std::fs::write(super::database(&recipe), "").expect("it is ours");
    super::files(&recipe).iter().filter(|file| **file != super::database(&recipe)).for_each(|file| {
        std::fs::remove_file(file).expect("it is ours");
    });
    assert_eq!(recent(&recipe, &[]).len(), 0);
    assert!(recipe.command(&["recent", "--clear"]).succeeded().stderr.starts_with("0 entries"));
}
