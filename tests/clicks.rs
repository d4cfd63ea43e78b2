//! Clicks on popups, and many popups that become one.

use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::{Behaviour, Desktop};
use crate::support::mail::Mail;
use crate::support::recorder::Recorder;
use crate::support::require;
use crate::support::wait::{holds, wait_until};

/// A desktop and the program on it; what opens mail writes down its arguments, filled from these fields.
fn start(fields: &[&str], more: &str) -> Option<(Bus, Desktop, Recorder, Running)> {
    if !require(&["dbus-daemon"]) {
        return None;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let recipe = Daemon::new().bus(&bus);
    let opened = Recorder::new(&recipe, "open");
    let config = format!("[tray]\nopen = {}\n{more}", opened.command(fields));
    let daemon = recipe.config(&config).start();
    Some((bus, desktop, opened, daemon))
}

/// Waits until what was opened has ended, and stops the program.
#[track_caller]
fn stop(daemon: Running) {
    wait_until("what was opened to end", || holds(daemon.descendants().is_empty()));
    daemon.stop();
}

fn mail(number: u32) -> Mail {
    Mail::new(&format!("Author {number} <a{number}@example.org>"), &format!("subject {number}"))
}

#[test]
fn a_click_opens_the_mail_with_its_fields_and_the_token() {
    let fields = ["mid:{message_id}", "{from_address}", "{subject}", "{folder}/{uid}", "--user={user}"];
    let Some((_bus, desktop, opened, daemon)) = start(&fields, "") else { return };
    let subject = "$(touch x); `y` 'z' \"&\" ä";
    let mail = Mail::new("Alice <a@example.org>", subject).with("imap-uid", 7).with("message-id", "m@example.org");
    daemon.push(&mail.with("user", "-alice").json()).accepted();
    let id = desktop.next_notification().id;
    desktop.click(id, "default");
    let start = opened.wait_starts(1).remove(0);
    assert_eq!(start.arguments, ["mid:m@example.org", "a@example.org", subject, "INBOX/7", "--user=-alice"]);
    assert_eq!(start.token, format!("token-{id}"));
    assert_eq!(desktop.next_close(), id, "a popup that has done its work goes");
    stop(daemon);
}

#[test]
fn every_click_brings_its_own_token() {
    let Some((_bus, desktop, opened, daemon)) = start(&["{subject}"], "") else { return };
    for number in 1..=20 {
        daemon.push(&mail(number).folder(&number.to_string()).json()).accepted();
        let id = desktop.next_notification().id;
        desktop.click(id, "default");
        let starts = opened.wait_starts(number as usize);
        let last = starts.last().expect("there is at least one");
        assert_eq!((&last.token, &last.arguments), (&format!("token-{id}"), &vec![format!("subject {number}")]));
    }
    stop(daemon);
}

#[test]
fn a_second_click_on_the_same_popup_opens_nothing() {
    let Some((_bus, desktop, opened, daemon)) = start(&["{subject}"], "") else { return };
    daemon.push(&mail(1).json()).accepted();
    let first = desktop.next_notification().id;
    // It stays on the screen, whatever the program asks.
    desktop.behave(Behaviour::Refuse);
    desktop.click(first, "default");
    desktop.click(first, "default");
    opened.wait_starts(1);
    desktop.behave(Behaviour::Answer);
    daemon.push(&mail(2).json()).accepted();
    desktop.click(desktop.next_notification().id, "default");
    wait_until("the second mail to be opened", || holds(opened.starts().iter().any(|s| s.arguments == ["subject 2"])));
    wait_until("what was opened to end", || holds(daemon.descendants().is_empty()));
    let arguments: Vec<_> = opened.starts().into_iter().flat_map(|start| start.arguments).collect();
    assert_eq!(arguments, ["subject 1", "subject 2"]);
    stop(daemon);
}

#[test]
fn a_click_counts_also_where_the_service_closes_the_popup_with_it() {
    let Some((_bus, desktop, opened, daemon)) = start(&["{subject}"], "") else { return };
    for number in 1..=20 {
        daemon.push(&mail(number).folder(&number.to_string()).json()).accepted();
        let id = desktop.next_notification().id;
        // Refusing what the program asks keeps it there for the user, who comes a moment before.
        desktop.behave(Behaviour::Refuse);
        desktop.click(id, "default");
        desktop.dismiss(id);
        desktop.behave(Behaviour::Answer);
        let starts = opened.wait_starts(number as usize);
        assert_eq!(starts.last().map(|start| start.token.as_str()), Some(format!("token-{id}").as_str()));
    }
    stop(daemon);
}

#[test]
fn a_field_that_would_be_read_as_an_option_opens_nothing() {
    let Some((_bus, desktop, opened, mut daemon)) = start(&["{subject}"], "") else { return };
    for subject in ["-display :0", "=?utf-8?Q?--config=3D/tmp/x?=", "\u{202e}-x"] {
        let lines = daemon.log_length();
        daemon.push(&Mail::new("Eve <eve@example.org>", subject).json()).accepted();
        desktop.click(desktop.next_notification().id, "default");
        daemon.wait_log_after(lines, "`tray.open` was not run: `subject` begins with `-`");
    }
    // Four in one folder would become a summary.
    daemon.push(&mail(1).folder("other").json()).accepted();
    desktop.click(desktop.next_notification().id, "default");
    assert_eq!(opened.wait_starts(1)[0].arguments, ["subject 1"]);
    stop(daemon);
}

#[test]
fn a_program_that_is_missing_is_told_and_harms_nothing() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let config = "[tray]\nopen = [\"/nonexistent/mail\", \"{subject}\"]";
    let mut daemon = Daemon::new().bus(&bus).config(config).start();
    daemon.push(&mail(1).json()).accepted();
    desktop.click(desktop.next_notification().id, "default");
    daemon.wait_log("could not open mail: `/nonexistent/mail` not found.");
    daemon.push(&mail(2).json()).accepted();
    assert_eq!(desktop.next_notification().summary, "Author 2");
    daemon.stop();
}

#[test]
fn four_mails_become_one_summary_that_changes_in_place() {
    let Some((_bus, desktop, opened, daemon)) = start(&["{subject}", "end"], "") else { return };
    let mut singles = Vec::new();
    for number in 1..=3 {
        daemon.push(&mail(number).json()).accepted();
        let note = desktop.next_notification();
        assert_eq!((note.summary, note.replaces_id), (format!("Author {number}"), 0));
        singles.push(note.id);
    }
    daemon.push(&mail(4).json()).accepted();
    let summary = desktop.next_notification();
    assert_eq!(summary.summary, "4 new messages in INBOX");
    assert_eq!(summary.body, "Author 4: subject 4\nAuthor 3: subject 3\nAuthor 2: subject 2");
    let closed: Vec<u32> = (0..3).map(|_| desktop.next_close()).collect();
    assert_eq!(closed, singles);

    daemon.push(&mail(5).folder("Work").json()).accepted();
    assert_eq!(desktop.next_notification().summary, "Author 5", "another folder is another burst");
    daemon.push(&mail(6).json()).accepted();
    let changed = desktop.next_notification();
    assert_eq!((changed.summary.as_str(), changed.replaces_id), ("5 new messages in INBOX", summary.id));
    assert_eq!(changed.id, summary.id);

    // A summary is of no one message: what needs one is left out.
    desktop.click(summary.id, "default");
    assert_eq!(opened.wait_starts(1)[0].arguments, ["end"]);
    daemon.push(&mail(7).json()).accepted();
    assert_eq!(desktop.next_notification().summary, "Author 7", "what was clicked doesn't come back");
    stop(daemon);
}

#[test]
fn a_summary_that_was_closed_does_not_come_back() {
    let config = "[[handler]]\nnotify = { summarise_over = 0 }";
    let Some((_bus, desktop, opened, daemon)) = start(&[], config) else { return };
    daemon.push(&mail(1).json()).accepted();
    let first = desktop.next_notification();
    assert_eq!(first.summary, "1 new message in INBOX");
    desktop.dismiss(first.id);
    // A click that comes after it shows that the program knows.
    daemon.push(&mail(1).folder("Work").json()).accepted();
    desktop.click(desktop.next_notification().id, "default");
    opened.wait_starts(1);
    daemon.push(&mail(2).json()).accepted();
    let second = desktop.next_notification();
    assert_eq!((second.summary.as_str(), second.replaces_id), ("1 new message in INBOX", 0));
    stop(daemon);
}

#[test]
fn a_flood_shows_one_popup() {
    let Some((_bus, desktop, _opened, daemon)) = start(&[], "") else { return };
    daemon.push(&mail(0).folder("Work").json()).accepted();
    desktop.next_notification();
    let flood: Vec<String> = (0..400).map(|number| mail(number).json()).collect();
    daemon.push(&format!("[{}]", flood.join(","))).accepted();
    let summary = desktop.next_notification();
    assert_eq!(summary.summary, "400 new messages in INBOX");
    daemon.push(&mail(400).json()).accepted();
    assert_eq!(desktop.next_notification().replaces_id, summary.id);
    daemon.stop();
}
