//! What counts as new, and what is remembered of it.

use std::time::Instant;

use serde_json::{Value, json};

use super::{event, flags, mail, push, read_ones, recent, status};
use crate::control::wait_answers;
use crate::support::bus::{Bus, Client};
use crate::support::daemon::Daemon;
use crate::support::desktop::Desktop;
use crate::support::require;
use crate::support::wait::{holds, wait_until};

#[test]
fn reading_what_was_not_counted_takes_nothing_off_the_count() {
    let recipe = Daemon::new();
    let daemon = recipe.start();
    wait_answers(&recipe);
    push(&daemon, &mail(1));
    push(&daemon, &mail(2));
    let junk = |kind: &str| {
        let mut event = event(kind, 7);
        event["folder"] = "Junk".into();
        event
    };
    push(&daemon, &junk("MessageNew"));
    assert_eq!(status(&recipe)["new"], 2);
    push(&daemon, &junk("MessageRead"));
    assert_eq!(status(&recipe)["new"], 2);
    push(&daemon, &event("MessageRead", 1));
    push(&daemon, &event("MessageTrash", 1));
    assert_eq!(status(&recipe)["new"], 1, "once for each message");
    push(&daemon, &flags("MessageNew", 3, &["\\Seen"]));
    assert_eq!(status(&recipe)["new"], 1, "what comes read is not new");
    daemon.stop();
}

#[test]
fn events_that_tell_of_counts_alone_are_messages_too() {
    let recipe = Daemon::new();
    let daemon = recipe.start();
    wait_answers(&recipe);
    for unseen in 1..=3 {
        push(&daemon, &json!({"user": "me", "event": "MessageNew", "folder": "INBOX", "unseen": unseen}));
    }
    assert_eq!(status(&recipe)["new"], 3);
    assert_eq!(recent(&recipe).iter().map(|entry| entry["unseen"].as_u64()).collect::<Vec<_>>(), [3, 2, 1].map(Some));
    daemon.stop();
}

#[test]
fn however_many_came_each_that_is_read_is_one_less() {
    let recipe = Daemon::new();
    let daemon = recipe.start();
    wait_answers(&recipe);
    let all: Vec<Value> = (1..=200).map(mail).collect();
    push(&daemon, &Value::Array(all));
    assert_eq!(status(&recipe)["new"], 200);
    let read: Vec<Value> = (1..=150).map(|uid| event("MessageRead", uid)).collect();
    push(&daemon, &Value::Array(read));
    assert_eq!(status(&recipe)["new"], 50);
    assert_eq!(read_ones(&recipe), (1..=150).collect::<Vec<u64>>());
    push(&daemon, &flags("FlagsClear", 2, &["\\Seen"]));
    assert_eq!(read_ones(&recipe).len(), 149, "it counts as unread again");
    assert_eq!(status(&recipe)["new"], 50, "and as no news");
    daemon.stop();
}

#[test]
fn unseen_messages_are_told_where_only_commands_are_run() {
    let recipe = Daemon::new().config("[[handler]]\nuser = \"nobody\"\ncommand = \"true\"\n");
    let daemon = recipe.start();
    wait_answers(&recipe);
    let mut read = event("MessageRead", 1);
    read["unseen"] = 4.into();
    push(&daemon, &read);
    assert_eq!(status(&recipe)["unseen"], 4);
    // A driver that sends whole messages counts nothing.
    let invitation = json!({"user": "me", "event": "MessageNew", "folder": "INBOX", "body": "Subject: s\n\ntext\n"});
    push(&daemon, &invitation);
    assert_eq!(status(&recipe)["unseen"], 4);
    let mut uncounted = mail(2);
    uncounted["unseen"] = json!(null);
    push(&daemon, &uncounted);
    assert_eq!(status(&recipe).get("unseen"), None, "one more than nobody knows how many");
    daemon.stop();
}

#[test]
fn a_flood_of_changes_shows_nothing_and_pushes_no_mail_out() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let recipe = Daemon::new().bus(&bus).config("[history]\nkeep = 20\n[tray]\nrecent = 5\n");
    let daemon = recipe.start();
    let tray = desktop.tray();
    let client = Client::connect(&bus.address());
    let changes = client.overhear("type='signal',member='NewToolTip'");
    for uid in 1..=3 {
        push(&daemon, &mail(uid));
        desktop.next_notification();
    }
    wait_until("the tray to show them", || holds(tray.tooltip().text.starts_with("3 new messages")));
    let flood = |kind: &str| {
        let one = |uid: u32| {
            let mut change = event(kind, 1000 + uid);
            change["unseen"] = uid.into();
            change
        };
        Value::Array((1..=500).map(one).collect())
    };
    let begin = Instant::now();
    changes.try_iter().for_each(drop);
    push(&daemon, &flood("MessageRead"));
    push(&daemon, &flood("MessageExpunge"));
    // Many small requests are the same to the tray.
    for uid in 1..=300 {
        let mut change = event("MessageRead", 2000 + uid);
        change["unseen"] = uid.into();
        push(&daemon, &change);
    }
    let last = "3 new messages, 300 unseen";
    wait_until("the last count in the tray", || holds(tray.tooltip().text.starts_with(last)));
    let (count, took) = (changes.try_iter().count(), begin.elapsed());
    assert!((1..=4 * took.as_secs() + 6).contains(&(count as u64)), "{count} changes within {took:?}");
    push(&daemon, &mail(4));
    assert!(desktop.next_notification().summary.starts_with("4 new messages"), "nothing was shown but mail");

    let menu = tray.wait_menu(|labels| labels.iter().any(|label| label.ends_with("s4")));
    let lines: Vec<_> = menu.iter().filter_map(|label| Some(label.split_once("  ")?.1)).collect();
    let expected = ["s4", "s3", "s2", "s1"].map(|subject| format!("● Unknown sender — {subject}"));
    assert_eq!(lines, expected);
    // On disk noise is kept apart as well.
    let kept = wait_until("the record to be pruned", || {
        let entries = recent(&recipe);
        (entries.len() < 100).then_some(entries)
    });
    assert_eq!(kept.iter().filter(|entry| entry["event"] == "MessageNew").count(), 4);
    daemon.stop();
}
