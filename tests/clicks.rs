//! Clicks on popups, and many popups that become one.

use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::{Behaviour, Desktop, SPEAKS_DBUS};
use crate::support::mail::Mail;
use crate::support::recorder::Recorder;
use crate::support::require;
#[cfg(feature = "dbus")]
use crate::support::service::{Answer, Service};
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

/// What a click on this popup hands over; the portable desktop has none to hand over.
fn token(id: u32) -> String {
    if SPEAKS_DBUS { format!("token-{id}") } else { String::new() }
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
    assert_eq!(start.token, token(id));
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
        assert_eq!((&last.token, &last.arguments), (&token(id), &vec![format!("subject {number}")]));
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
        assert_eq!(starts.last().map(|start| &start.token), Some(&token(id)));
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

/// A desktop and the program on it, whose popups have a button that writes down the subject.
fn start_with_button() -> Option<(Bus, Desktop, Recorder, Running)> {
    if !require(&["dbus-daemon"]) {
        return None;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let recipe = Daemon::new().bus(&bus);
    let done = Recorder::new(&recipe, "done");
    let command = done.command(&["{subject}"]);
    let actions = format!("[{{ label = \"Say\", command = {command} }}]");
    let daemon = recipe.config(&format!("[[handler]]\n[handler.notify]\nactions = {actions}")).start();
    Some((bus, desktop, done, daemon))
}

/// Shows one more mail, clicks its button, and asserts that nothing else was done by buttons in the meantime.
#[track_caller]
fn only_done_is(daemon: &Running, desktop: &Desktop, done: &Recorder, before: &[&str]) {
    daemon.push(&mail(99).folder("last").json()).accepted();
    desktop.click(desktop.next_notification().id, "button-0");
    let starts = done.wait_starts(before.len() + 1);
    let arguments: Vec<&str> = starts.iter().flat_map(|start| &start.arguments).map(String::as_str).collect();
    assert_eq!(arguments, [before, &["subject 99"]].concat());
}

#[test]
fn a_button_does_its_command_once_and_takes_the_popup_away() {
    let Some((_bus, desktop, done, daemon)) = start_with_button() else { return };
    daemon.push(&mail(1).json()).accepted();
    let note = desktop.next_notification();
    assert_eq!((note.action("default"), note.action("button-0")), (Some("Open"), Some("Say")));
    // Refusing what the program asks keeps it on the screen.
    desktop.behave(Behaviour::Refuse);
    desktop.click(note.id, "button-0");
    desktop.click(note.id, "button-0");
    assert_eq!(done.wait_starts(1)[0].token, token(note.id));
    desktop.behave(Behaviour::Answer);
    daemon.push(&mail(2).json()).accepted();
    let second = desktop.next_notification().id;
    // None of these is a button of it.
    desktop.click(second, "button-1");
    only_done_is(&daemon, &desktop, &done, &["subject 1"]);
    stop(daemon);
}

/// notify-rust doesn't look at who tells of a click.
#[cfg(feature = "dbus")]
#[test]
fn a_click_counts_only_from_the_service_that_shows_the_popup() {
    let Some((bus, desktop, done, daemon)) = start_with_button() else { return };
    daemon.push(&mail(1).json()).accepted();
    let note = desktop.next_notification();
    let owner = desktop.owner(note.id);
    let stranger = Service::start(&bus, "org.example.Stranger", Answer::Error);
    let (path, interface) = ("/org/freedesktop/Notifications", "org.freedesktop.Notifications");
    for to in [None, Some(owner.as_str())] {
        stranger.emit(to, path, interface, "ActionInvoked", &(note.id, "button-0"));
        stranger.emit(to, path, interface, "NotificationClosed", &(note.id, 2u32));
    }
    only_done_is(&daemon, &desktop, &done, &[]);
    desktop.click(note.id, "button-0");
    assert_eq!(done.wait_starts(2)[1].arguments, ["subject 1"], "it is still there");
    stop(daemon);
}

#[test]
fn a_click_on_what_a_crashed_service_showed_does_nothing() {
    let Some((_bus, mut desktop, done, mut daemon)) = start_with_button() else { return };
    daemon.push(&mail(1).json()).accepted();
    let note = desktop.next_notification();
    let owner = desktop.owner(note.id);
    desktop.settle();
    desktop.stop_notifications();
    daemon.wait_log("no notifications for now: the notification service is gone");
    desktop.start_notifications();
    desktop.click_nothing(&owner, note.id, "button-0");
    desktop.click_nothing(&owner, 4711, "default");
    only_done_is(&daemon, &desktop, &done, &[]);
    stop(daemon);
}

#[test]
fn five_hundred_mails_in_a_second_are_one_summary_and_few_requests() {
    let Some((_bus, desktop, _opened, daemon)) = start(&[], "") else { return };
    daemon.push(&mail(0).folder("Work").json()).accepted();
    desktop.next_notification();
    let begin = std::time::Instant::now();
    for number in 1..=500 {
        daemon.push(&mail(number).json()).accepted();
    }
    let took = begin.elapsed();
    let mut calls = 0;
    wait_until("the last of them to be counted", || {
        let note = desktop.try_notification()?;
        calls += 1;
        holds(note.summary == "500 new messages in INBOX")
    });
    assert_eq!(desktop.shown().len(), 2);
    // Four that came alone or as the first summary, then at most four changes a second.
    let bound = 6 + 4 * usize::try_from(took.as_secs() + 1).expect("it took no ages");
    assert!(calls <= bound, "{calls} calls for 500 mails in {took:?}");
    println!("{calls} calls for 500 mails in {took:?}");
    daemon.push(&mail(501).folder("Work").json()).accepted();
    assert_eq!(desktop.next_notification().summary, "Author 501", "and it goes on");
    daemon.stop();
}
