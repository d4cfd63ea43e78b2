//! Invitations: what Dovecot's Chronos driver sends becomes a line that says what, when and where.

use serde_json::{Value, json};

use crate::record::recent;
use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::Desktop;
use crate::support::mail::Mail;
use crate::support::wait::{holds, wait_until};
use crate::support::{repository_file, require};

/// A desktop and the program on it, both in New York; none where there is no bus daemon.
fn start(config: &str) -> Option<(Bus, Desktop, Running)> {
    if !require(&["dbus-daemon"]) {
        return None;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let daemon = Daemon::new().bus(&bus).config(config).env("TZ", "America/New_York").start();
    Some((bus, desktop, daemon))
}

fn sample(name: &str) -> String {
    let file = repository_file("tests/data/invitations").join(name);
    String::from_utf8_lossy(&std::fs::read(&file).expect("it is part of the repository")).into_owned()
}

/// What the driver sends: the whole message in `body`.
fn chronos(message: &str) -> String {
    json!({"user": "alice", "folder": "INBOX", "event": "messageNew", "body": message}).to_string()
}

fn message(method: &str, more: &str) -> String {
    format!(
        "From: Carol <carol@example.org>\r\nSubject: Lunch?\r\nMessage-ID: <lunch@example.org>\r\n\
         Content-Type: text/calendar; method={method}; charset=utf-8\r\n\r\n\
         BEGIN:VCALENDAR\r\nMETHOD:{method}\r\nBEGIN:VEVENT\r\nSUMMARY:Lunch\r\nDTSTART:20261123T170000Z\r\n\
         DTEND:20261123T180000Z\r\nLOCATION:Caf\u{e9} am Markt\r\nORGANIZER;CN=Carol:mailto:carol@example.org\r\n\
         {more}END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

#[test]
fn a_popup_says_what_when_where_and_who_in_local_time() {
    let Some((_bus, desktop, daemon)) = start("[[handler]]\nnotify = { summarise_over = 20 }") else { return };
    let cases = [
        ("REQUEST", "", "Invitation: Lunch\nMon 23 Nov, 12:00–13:00 · Café am Markt · Carol"),
        ("REQUEST", "SEQUENCE:2\r\n", "Updated invitation: Lunch\nMon 23 Nov, 12:00–13:00 · Café am Markt · Carol"),
        ("CANCEL", "", "Cancelled: Lunch\nMon 23 Nov, 12:00–13:00 · Café am Markt · Carol"),
        (
            "REPLY",
            "ATTENDEE;CN=\"Dave, D.\";PARTSTAT=DECLINED:MAILTO:dave@example.org\r\n",
            "Dave, D. declined: Lunch\nMon 23 Nov, 12:00–13:00 · Café am Markt",
        ),
    ];
    for (method, more, expected) in cases {
        daemon.push(&chronos(&message(method, more))).accepted();
        let note = desktop.next_notification();
        assert_eq!((note.summary.as_str(), note.body.as_str()), ("Carol", expected), "{method}");
    }
    daemon.stop();
}

#[test]
fn an_invitation_and_its_mail_are_one_popup_in_either_order() {
    for first in ["the mail", "the invitation"] {
        let Some((_bus, desktop, daemon)) = start("") else { return };
        let mail = Mail::new("Carol <carol@example.org>", "Lunch?").with("imap-uid", 7).with("imap-uidvalidity", 1);
        let mail = mail.folder("INBOX").json();
        let invitation = chronos(&message("REQUEST", ""));
        let (one, other) = if first == "the mail" { (&mail, &invitation) } else { (&invitation, &mail) };
        daemon.push(one).accepted();
        let shown = desktop.next_notification();
        desktop.settle();
        daemon.push(other).accepted();
        let shown = match first {
            "the mail" => {
                assert_eq!(shown.body, "Lunch?");
                let better = desktop.next_notification();
                assert_eq!(better.replaces_id, shown.id, "it takes the place of the first");
                better
            }
            _ => shown,
        };
        assert_eq!(shown.body, "Invitation: Lunch\nMon 23 Nov, 12:00–13:00 · Café am Markt · Carol", "{first} first");
        // It is the message's own: read elsewhere, it goes.
        let read =
            json!({"user": "alice", "event": "MessageRead", "folder": "INBOX", "imap-uid": 7, "imap-uidvalidity": 1});
        daemon.push(&read.to_string()).accepted();
        assert_eq!(desktop.next_close(), shown.id, "{first} first");
        wait_until("nothing on the screen", || holds(desktop.shown().is_empty()));
        assert!(desktop.try_notification().is_none());
        let entries = recent(daemon.recipe(), &["-n", "10"]);
        let shown: Vec<&Value> = entries.iter().filter(|entry| entry["deliveries"][0]["outcome"] == "shown").collect();
        assert_eq!(shown.len(), 1, "{first} first: {entries:#?}");
        assert_eq!((&shown[0]["subject_text"], &shown[0]["uid"]), (&json!("Invitation: Lunch"), &json!(7)));
        daemon.stop();
    }
}

#[test]
fn the_mails_of_real_calendars_are_read() {
    let Some((_bus, desktop, daemon)) = start("[[handler]]\nnotify = { summarise_over = 20 }") else { return };
    for name in ["apple", "exchange", "google", "latin1", "teams", "thunderbird-reply", "zimbra"] {
        daemon.push(&chronos(&sample(&format!("{name}.eml")))).accepted();
        let note = desktop.next_notification();
        let (title, details) = note.body.split_once('\n').unwrap_or((&note.body, ""));
        assert!(title.contains(": ") && !title.ends_with(": "), "{name}: {title}");
        assert!(details.contains("20") || details.contains(" Nov") || details.contains(" Dec"), "{name}: {details}");
    }
    daemon.stop();
}

#[test]
fn damaged_great_and_empty_ones_still_give_a_line_and_are_answered_at_once() {
    let Some((_bus, desktop, daemon)) = start("[[handler]]\nnotify = { summarise_over = 20 }") else { return };
    let whole = message("REQUEST", "");
    let begun = whole.find("BEGIN:VCALENDAR").expect("it is there");
    let great = format!("{whole}{}", "X-JUNK:\u{fffd}\r\n".repeat(100_000));
    let nested = format!("{}{whole}", "Content-Type: message/rfc822\r\n\r\n".repeat(30_000));
    for (case, text, expected) in [
        ("cut in the calendar", &whole[..begun + 60], "Invitation: Lunch"),
        ("cut before it", &whole[..begun], "Invitation: Lunch?"),
        ("a megabyte", &great, "Invitation: Lunch"),
        ("no calendar", "From: Carol <c@x>\nSubject: Just mail\n\ntext", "Just mail"),
        ("messages in messages", &nested, "(no subject)"),
        ("nothing", "\u{fffd}", "(no subject)"),
    ] {
        let started = std::time::Instant::now();
        daemon.push(&chronos(text)).accepted();
        assert!(started.elapsed() < std::time::Duration::from_secs(2), "{case}: {:?}", started.elapsed());
        let note = desktop.next_notification();
        assert_eq!(note.body.lines().next(), Some(expected), "{case}");
    }
    daemon.push(&Mail::new("Marker <m@x>", "marker").json()).accepted();
    assert_eq!(desktop.next_notification().summary, "Marker");
    daemon.stop();
}

#[test]
fn what_is_kept_is_what_it_says_and_never_the_message() {
    let Some((_bus, desktop, daemon)) = start("") else { return };
    daemon.push(&chronos(&message("REQUEST", "DESCRIPTION:sesame-4711\r\n"))).accepted();
    desktop.next_notification();
    let recipe = daemon.recipe().clone();
    wait_until("the record", || holds(recent(&recipe, &[])[0]["invitation"] == true));
    daemon.stop();
    let entry = recent(&recipe, &[])[0].clone();
    assert_eq!((&entry["subject"], &entry["subject_text"]), (&json!("Lunch?"), &json!("Invitation: Lunch")));
    assert_eq!(entry["message_id"], "<lunch@example.org>");
    for file in crate::record::files(&recipe) {
        let bytes = std::fs::read(&file).expect("it is ours");
        assert!(!bytes.windows(11).any(|part| part == b"sesame-4711"), "{}", file.display());
    }
}

#[test]
fn handlers_go_by_what_it_says() {
    let config = "[[handler]]\nfrom = \"*@spam.example\"\nnotify = false\n\
        [[handler]]\nfrom = \"carol@*\"\nsubject = \"Invitation*\"\nnotify = { summary = \"by rule\" }\n";
    let Some((_bus, desktop, daemon)) = start(config) else { return };
    let spam = message("REQUEST", "").replace("carol@example.org>", "carol@spam.example>");
    daemon.push(&chronos(&spam)).accepted();
    daemon.push(&chronos(&message("CANCEL", ""))).accepted();
    daemon.push(&chronos(&message("REQUEST", ""))).accepted();
    assert_eq!(desktop.next_notification().summary, "by rule");
    assert!(desktop.try_notification().is_none());
    daemon.stop();
}

#[test]
fn an_invitation_and_its_mail_in_one_moment_are_one_popup() {
    let Some((_bus, desktop, daemon)) = start("") else { return };
    // Long to read, so that the mail comes in the middle of it.
    let long =
        message("REQUEST", "").replace("END:VCALENDAR", &format!("{}END:VCALENDAR", "X-JUNK:x\r\n".repeat(40_000)));
    let mail = Mail::new("Carol <carol@example.org>", "Lunch?").with("imap-uid", 7).with("imap-uidvalidity", 1).json();
    daemon.push(&format!("[{},{mail}]", chronos(&long))).accepted();
    wait_until("the invitation's text", || {
        let note = desktop.next_notification();
        holds(note.body.starts_with("Invitation: Lunch\n"))
    });
    assert_eq!(desktop.shown().len(), 1);
    daemon.stop();
}
