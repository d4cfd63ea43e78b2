//! Which popups go.

use serde_json::json;

use super::{SETTLING, event, flags, mail, push, read_ones};
use crate::control::wait_answers;
use crate::support::bus::Bus;
use crate::support::daemon::Daemon;
use crate::support::desktop::Desktop;
use crate::support::require;

const SINGLE: &str = "[[handler]]\n[handler.notify]\nsummarise_over = 20\n";

#[test]
fn only_the_popup_of_that_message_in_that_folder_of_that_user_goes() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let daemon = Daemon::new().bus(&bus).config(SINGLE).start();
    for (uid, (kind, with)) in (1..).zip(SETTLING) {
        push(&daemon, &mail(uid));
        let popup = desktop.next_notification();
        let others = [
            ("user", json!("you")),
            ("folder", json!("Work")),
            ("imap-uidvalidity", json!(2)),
            ("imap-uid", json!(100 + uid)),
            ("imap-uid", json!(null)),
            ("imap-uidvalidity", json!(null)),
        ];
        for (key, value) in others {
            let mut other = flags(kind, uid, with);
            other[key] = value;
            push(&daemon, &other);
        }
        // Another message's popup, which goes after all of those were heard.
        push(&daemon, &mail(500 + uid));
        let marker = desktop.next_notification();
        push(&daemon, &event("MessageRead", 500 + uid));
        assert_eq!(desktop.next_close(), marker.id, "{kind}");
        assert!(desktop.shown().contains(&popup.id), "{kind}");
        push(&daemon, &flags(kind, uid, with));
        assert_eq!(desktop.next_close(), popup.id, "{kind}");
    }
    // What is no reading.
    push(&daemon, &mail(50));
    let popup = desktop.next_notification();
    let harmless =
        [flags("FlagsSet", 50, &["\\Flagged"]), flags("FlagsClear", 50, &["\\Seen"]), event("MessageAppend", 50)];
    harmless.iter().for_each(|event| push(&daemon, event));
    push(&daemon, &mail(51));
    assert!(desktop.next_notification().body.starts_with("s51"), "and nothing that is shown");
    assert!(desktop.shown().contains(&popup.id));
    daemon.stop();
}

#[test]
fn a_summary_stays_as_it_is_until_the_last_of_its_messages_is_read() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let daemon = Daemon::new().bus(&bus).start();
    let mut singles = Vec::new();
    for uid in 1..=3 {
        push(&daemon, &mail(uid));
        singles.push(desktop.next_notification().id);
    }
    push(&daemon, &mail(4));
    let summary = desktop.next_notification();
    assert_eq!(summary.summary, "4 new messages in INBOX");
    singles.iter().for_each(|single| assert_eq!(desktop.next_close(), *single));
    push(&daemon, &mail(5));
    let updated = desktop.next_notification();
    assert_eq!((updated.summary.as_str(), updated.id), ("5 new messages in INBOX", summary.id));
    for uid in [3, 1, 5, 4] {
        push(&daemon, &event("MessageRead", uid));
    }
    let mut elsewhere = event("MessageRead", 2);
    elsewhere["folder"] = "Work".into();
    push(&daemon, &elsewhere);
    // In another folder, so that it doesn't join the summary.
    let mut marker = mail(6);
    marker["folder"] = "Marker".into();
    push(&daemon, &marker);
    let marker = desktop.next_notification();
    assert!(marker.body.starts_with("s6"), "a summary that changes would come up again: {}", marker.summary);
    assert_eq!(desktop.shown(), [summary.id, marker.id]);
    push(&daemon, &event("MessageTrash", 2));
    assert_eq!(desktop.next_close(), summary.id);
    // The burst is over with it.
    push(&daemon, &mail(7));
    assert!(desktop.next_notification().body.starts_with("s7"));
    daemon.stop();
}

#[test]
fn the_summary_of_a_pause_goes_too_and_one_with_a_message_of_no_number_stays() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let daemon = Daemon::new().bus(&bus).start();
    let recipe = daemon.recipe();
    wait_answers(recipe);
    recipe.command(&["pause"]).succeeded();
    [1, 2].iter().for_each(|uid| push(&daemon, &mail(*uid)));
    recipe.command(&["resume"]).succeeded();
    let known = desktop.next_notification();
    assert_eq!(known.summary, "2 new messages in INBOX");
    recipe.command(&["pause"]).succeeded();
    let mut unknown = mail(3);
    unknown["imap-uid"] = json!(null);
    [unknown, mail(4)].iter().for_each(|mail| push(&daemon, mail));
    recipe.command(&["resume"]).succeeded();
    let partly = desktop.next_notification();
    push(&daemon, &event("MessageRead", 4));
    push(&daemon, &event("MessageRead", 1));
    push(&daemon, &event("MessageRead", 2));
    assert_eq!(desktop.next_close(), known.id);
    assert_eq!(desktop.shown(), [partly.id]);
    daemon.stop();
}

#[test]
fn popups_of_an_earlier_life_stay_and_what_was_read_is_read_in_the_next() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let mut daemon = Daemon::new().bus(&bus).config(SINGLE).start();
    let popups = [1, 2, 3].map(|uid| {
        push(&daemon, &mail(uid));
        desktop.next_notification().id
    });
    push(&daemon, &event("MessageRead", 1));
    assert_eq!(desktop.next_close(), popups[0]);
    desktop.settle();
    let recipe = daemon.recipe().clone();
    daemon.stop();
    daemon = recipe.start();
    assert_eq!(read_ones(&recipe), [1]);
    push(&daemon, &event("MessageRead", 2));
    push(&daemon, &mail(4));
    let popup = desktop.next_notification();
    assert!(popup.body.starts_with("s4"), "nothing is shown twice: {}", popup.body);
    assert_eq!(desktop.shown(), [popups[1], popups[2], popup.id], "whose they are is known to nobody any more");
    assert_eq!(read_ones(&recipe), [1, 2]);
    // In the menu the marks are those of the record, once somebody's reading has been told.
    let menu = desktop.tray().wait_menu(|labels| labels.iter().any(|label| label.ends_with("s4")));
    let mail: Vec<_> = menu.iter().filter_map(|label| Some(label.split_once("  ")?.1)).collect();
    assert_eq!(mail, ["● Unknown sender — s4", "● Unknown sender — s3", "Unknown sender — s2", "Unknown sender — s1"]);
    daemon.kill();
    let daemon = recipe.start();
    assert_eq!(read_ones(&recipe), [1, 2]);
    daemon.stop();
}
