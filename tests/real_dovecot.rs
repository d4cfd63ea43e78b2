//! A real Dovecot that pushes to the running program: from a delivery to the popup.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::Desktop;
use crate::support::dovecot::Dovecot;
use crate::support::recorder::Recorder;
use crate::support::require;
use crate::support::wait::{EVENTUALLY, wait_at_most};

const AUTH: &str = "[auth]\nuser = \"knock\"\npass = \"s3cret\"\n";

fn available() -> bool {
    require(&["dbus-daemon"]) && Dovecot::available()
}

/// A Dovecot that knows where the program listens, and this password.
fn dovecot_for(daemon: &Running, password: &str) -> Dovecot {
    Dovecot::start(&format!("http://knock:{password}@{}{}", daemon.addr(), daemon.url_path()))
}

fn message(from: &str, subject: &str) -> Vec<u8> {
    let headers = format!("From: {from}\nTo: alice@example.org\nSubject: {subject}\nMessage-ID: <1@example.org>\n");
    format!("{headers}MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\nGrüße aus dem Süden.\n")
        .into_bytes()
}

#[test]
fn a_delivery_becomes_a_popup_and_a_run() {
    if !available() {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let recipe = Daemon::new().bus(&bus);
    let recorder = Recorder::new(&recipe, "wake");
    let command = recorder.command(&[]);
    let daemon = recipe
        .config(&format!("{AUTH}[[handler]]\nlimit_burst = 9\ncommand = {command}\n[[handler]]\nnotify = true"))
        .start();
    let dovecot = dovecot_for(&daemon, "s3cret");

    dovecot.deliver(
        "alice",
        &message("=?utf-8?Q?J=C3=B6rg?= <j@example.org>", "=?utf-8?B?TcO8bGw=?=\n =?utf-8?Q?=26?= <b>"),
    );
    let note = desktop.next_notification();
    assert_eq!((note.summary.as_str(), note.body.as_str()), ("Jörg", "Müll&amp; &lt;b&gt;\nGrüße aus dem Süden."));
    let start = &recorder.wait_starts(1)[0];
    assert_eq!((start.trigger.as_str(), start.count.as_str()), ("event", "1"));

    dovecot.deliver_with_lda("alice", &message("Bob <bob@example.org>", "by hand"));
    let note = desktop.next_notification();
    assert_eq!((note.summary.as_str(), note.body.as_str()), ("Bob", "by hand\nGrüße aus dem Süden."));
    recorder.wait_starts(2);
    assert!(!dovecot.log().contains("rror"), "{}", dovecot.log());
    daemon.stop();
}

#[test]
fn twenty_deliveries_at_once_all_arrive() {
    if !available() {
        return;
    }
    let recipe = Daemon::new();
    let config = format!("{AUTH}[[handler]]\nlog = \"info\"\ncontent = true");
    let mut daemon = recipe.config(&config).start();
    let dovecot = dovecot_for(&daemon, "s3cret");
    std::thread::scope(|scope| {
        for number in 0..20 {
            let mail = message("Bob <bob@example.org>", &format!("number {number} of many"));
            let dovecot = &dovecot;
            scope.spawn(move || dovecot.deliver("alice", &mail));
        }
    });
    let arrived: BTreeSet<String> =
        (0..20).map(|number| daemon.wait_log(&format!("number {number} of many"))).collect();
    assert_eq!(arrived.len(), 20);
    let log = daemon.stop().stderr;
    assert_eq!(log.matches("of many").count(), 20, "{log}");
    assert!(!dovecot.log().contains("rror"), "{}", dovecot.log());
}

#[test]
fn a_wrong_password_is_refused_and_the_mail_is_delivered_all_the_same() {
    if !available() {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let daemon = Daemon::new().bus(&bus).config(AUTH).start();
    let dovecot = dovecot_for(&daemon, "wrong");
    dovecot.deliver("alice", &message("Bob <bob@example.org>", "refused"));
    let told = || dovecot.log().contains("401 Unauthorized").then_some(());
    wait_at_most(EVENTUALLY, "Dovecot to tell of the 401", || dovecot.log(), told);
    assert_eq!(dovecot.doveadm(&["search", "-u", "alice", "mailbox", "INBOX", "all"]).lines().count(), 1);

    let right = dovecot_for(&daemon, "s3cret");
    right.deliver("alice", &message("Bob <bob@example.org>", "taken"));
    assert!(desktop.next_notification().body.starts_with("taken\n"), "the one before it was refused");
    let log = daemon.stop().stderr;
    assert!(!log.contains("s3cret") && !log.contains("wrong:"), "{log}");
}

#[test]
fn a_handler_that_runs_on_and_a_program_that_restarts_hold_up_no_delivery() {
    if !available() {
        return;
    }
    let recipe = Daemon::new();
    let recorder = Recorder::held(&recipe, "slow");
    let handlers =
        format!("[[handler]]\ncommand = {}\n[[handler]]\nlog = \"info\"\ncontent = true", recorder.command(&[]));
    let mut daemon = recipe.config(&format!("{AUTH}{handlers}")).start();
    let dovecot = dovecot_for(&daemon, "s3cret");
    dovecot.deliver("alice", &message("Bob <bob@example.org>", "the first"));
    recorder.wait_starts(1);
    // Dovecot itself waits 2 s for an answer, and tries twice.
    let begin = Instant::now();
    for number in 0..5 {
        dovecot.deliver("alice", &message("Bob <bob@example.org>", &format!("meanwhile {number}")));
    }
    let each = begin.elapsed() / 5;
    assert!(each < Duration::from_secs(1), "a delivery took {each:?}");
    daemon.wait_log("meanwhile 4");
    assert_eq!(recorder.starts().len(), 1, "it still runs");

    let (listen, recipe) = (daemon.addr(), daemon.recipe().clone());
    daemon.stop();
    dovecot.deliver("alice", &message("Bob <bob@example.org>", "into the void"));
    let mut again =
        recipe.config(&format!("listen = \"{listen}\"\n{AUTH}[[handler]]\nlog = \"info\"\ncontent = true")).start();
    dovecot.deliver("alice", &message("Bob <bob@example.org>", "heard again"));
    let heard = || again.log().contains("heard again").then_some(());
    wait_at_most(EVENTUALLY, "a push after the restart", || dovecot.log(), heard);
    again.wait_log("heard again");
    again.stop();
}
