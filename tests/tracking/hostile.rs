//! Values that no mail server sends.

use serde_json::{Value, json};

use super::{event, mail, push, recent};
use crate::support::bus::Bus;
use crate::support::daemon::Daemon;
use crate::support::desktop::Desktop;
use crate::support::require;
use crate::support::wait::wait_until;

#[test]
fn flags_of_any_type_and_length_are_taken() {
    let daemon = Daemon::new().start();
    let deep = json!([["\\Seen"], [[["x"]]]]);
    let odd = [
        (json!(5), None),
        (json!("\\Seen"), Some(json!(["\\Seen"]))),
        (json!({"a": ["\\Seen"]}), None),
        (json!({}), None),
        (json!([]), None),
        (json!([1, null, true, "\\Seen", {"b": 1}]), Some(json!(["\\Seen"]))),
        (deep, None),
        (json!(null), None),
        (json!(true), None),
    ];
    for (uid, (flags, expected)) in (1..).zip(&odd) {
        let mut change = event("FlagsSet", uid);
        change["flags"] = flags.clone();
        change["keywords"] = flags.clone();
        push(&daemon, &change);
        let entry = &recent(daemon.recipe())[0];
        assert_eq!((entry.get("flags"), entry.get("keywords")), (expected.as_ref(), expected.as_ref()), "{flags}");
    }
    let mut change = event("FlagsSet", 99);
    change["flags"] = (0..100_000).map(|number| format!("flag{number}")).collect();
    change["keywords"] = json!(["x".repeat(100_000)]);
    change["old-folder"] = "y".repeat(100_000).into();
    push(&daemon, &change);
    let entry = &recent(daemon.recipe())[0];
    assert_eq!(entry["flags"].as_array().map(Vec::len), Some(64));
    let lengths = [entry["keywords"][0].as_str(), entry["old_folder"].as_str()].map(|text| text.map(str::len));
    assert!(lengths.iter().all(|length| length.is_some_and(|length| length <= 8 * 1024)), "{lengths:?}");
    daemon.stop();
}

#[test]
fn names_of_folders_and_flags_are_clean_wherever_a_person_reads_them() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let handlers =
        "[[handler]]\nevent = \"*\"\nlog = \"info\"\ncontent = true\n[[handler]]\nevent = \"*\"\nnotify = true\n";
    let recipe = Daemon::new().bus(&bus).config(handlers).args(&["run", "--print"]);
    let daemon = recipe.start();
    let hostile = "a\u{1b}[31m\u{7}\u{202e}\0\nb\u{9b}1m<b>&_";
    let mut renamed = json!({"event": "MailboxRename"});
    for key in ["user", "folder", "old-folder", "flags", "keywords", "to", "message-id"] {
        renamed[key] = hostile.into();
    }
    push(&daemon, &renamed);
    let note = desktop.next_notification();
    let printed = wait_until("the printed line", || daemon.stdout().lines().next().map(str::to_owned));
    let menu = desktop.tray().wait_menu(|labels| labels.iter().any(|label| label.contains("MailboxRename")));
    let recent_text = recipe.command(&["recent"]).succeeded().stdout;
    let texts =
        [note.summary, note.body, printed, menu.concat(), recent_text, daemon.log(), desktop.tray().tooltip().text];
    for text in texts {
        let bad = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(bad, None, "{text:?}");
    }
    // In JSON they are what they were.
    let json = recipe.command(&["recent", "--json"]).succeeded().stdout;
    assert!(!json.trim_end().chars().any(|c| c.is_ascii_control()), "{json:?}");
    let entry: Value = serde_json::from_str(json.trim_end()).expect("one line of JSON");
    assert_eq!(entry["old_folder"], hostile);
    daemon.stop();
}

#[test]
fn a_message_that_is_read_before_anybody_was_told_of_it_is_no_harm() {
    let daemon = Daemon::new().start();
    let all = json!([event("MessageRead", 1), event("MessageExpunge", 1), mail(1), event("MessageRead", 1)]);
    push(&daemon, &all);
    let entries = recent(daemon.recipe());
    assert_eq!(entries.len(), 4);
    assert_eq!((&entries[1]["event"], &entries[1]["read"]), (&json!("MessageNew"), &json!(true)));
    daemon.stop();
}
