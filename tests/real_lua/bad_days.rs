//! A receiver that is frozen, gone, or wants another password: mail is delivered and flags are set all the same.

use super::{AT_ONCE, FROZEN, MESSAGE, within};
use crate::support::daemon::{Daemon, Signal};
use crate::support::dovecot::Dovecot;
use crate::support::receiver::{Frozen, Receiver};
use crate::support::wait::{EVENTUALLY, wait_at_most};

const TOO_SLOW: &str = "mailknock: 9008 no answer in time; dropped events: ";

/// What the script has warned of so far: never of what is secret, or in mails.
#[track_caller]
fn warnings(dovecot: &Dovecot) -> Vec<String> {
    let log = dovecot.log();
    let warnings = log.lines().filter_map(|line| line.split_once("Warning: "));
    let warnings: Vec<String> = warnings.map(|(_, warning)| warning.to_owned()).collect();
    let told = |warning: &String| ["s3cret", "example.org", "Grüße"].iter().any(|secret| warning.contains(secret));
    assert!(!warnings.iter().any(told) && !log.contains("s3cret") && !log.contains("Error: "), "{log}");
    warnings
}

/// Waits for so many of them: Dovecot's log is written by a process of its own.
#[track_caller]
fn wait_warnings(dovecot: &Dovecot, count: usize) -> Vec<String> {
    let enough = || Some(warnings(dovecot)).filter(|warnings| warnings.len() >= count);
    let warnings = wait_at_most(EVENTUALLY, &format!("{count} warnings"), || dovecot.log(), enough);
    assert_eq!(warnings.len(), count, "{warnings:?}");
    warnings
}

/// Delivers and sets flags while nobody answers.
fn endure(dovecot: &Dovecot, freeze: impl FnOnce()) {
    // Sessions that have sent something, so that there may be a connection to use again.
    let mut imap = dovecot.imap("alice");
    dovecot.deliver("alice", MESSAGE);
    imap.select("INBOX");
    imap.store("1", r"+FLAGS (\Seen)");
    assert_eq!(warnings(dovecot), Vec::<String>::new());
    freeze();
    let deliveries = within(FROZEN, "a delivery", || dovecot.deliver("alice", MESSAGE));
    let mut sessions = 0;
    let stores = within(FROZEN, "a STORE", || {
        // One that had to wait tries no more for a while.
        if sessions > 0 {
            imap = dovecot.imap("alice");
            imap.select("INBOX");
        }
        sessions += 1;
        imap.store("1", r"FLAGS (\Flagged)");
        imap.store("1", r"FLAGS (\Seen)");
    });
    within(AT_ONCE, "twenty more", || {
        for _ in 0..10 {
            imap.store("1", r"+FLAGS (\Seen)");
            imap.store("1", r"-FLAGS (\Seen)");
        }
    });
    imap.select("INBOX");
    assert_eq!(imap.fetch("1:*", "(UID)").len(), 1 + deliveries, "all mails are there");
    imap.logout();
    let warnings = wait_warnings(dovecot, deliveries + stores);
    assert!(warnings.iter().all(|warning| warning.starts_with(TOO_SLOW)), "{warnings:?}");
}

#[test]
fn a_desktop_that_is_frozen_holds_up_nothing_for_long() {
    if !Dovecot::lua_available() {
        return;
    }
    let daemon = Daemon::new().start();
    let dovecot = Dovecot::start_lua(&format!("http://{}{}", daemon.addr(), daemon.url_path()));
    endure(&dovecot, || daemon.signal(Signal::STOP));
    daemon.signal(Signal::CONT);
    let before = warnings(&dovecot).len();
    dovecot.deliver("alice", MESSAGE);
    assert_eq!(warnings(&dovecot).len(), before, "it listens again");
    daemon.stop();
}

#[test]
fn a_receiver_that_stops_in_the_middle_of_a_connection_holds_up_nothing_for_long() {
    if !Dovecot::lua_available() {
        return;
    }
    std::thread::scope(|scope| {
        for point in [Frozen::Reading, Frozen::Agreeing, Frozen::Answering] {
            scope.spawn(move || {
                let receiver = Receiver::start();
                let dovecot = Dovecot::start_lua(&receiver.url());
                endure(&dovecot, || receiver.freeze(point));
            });
        }
    });
}

#[test]
fn where_nobody_listens_nothing_is_held_up() {
    if !Dovecot::lua_available() {
        return;
    }
    let gone = Daemon::new().start();
    let url = format!("http://knock:s3cret@{}{}", gone.addr(), gone.url_path());
    gone.stop();
    let dovecot = Dovecot::start_lua(&url);
    let deliveries = within(AT_ONCE, "a delivery", || dovecot.deliver("alice", MESSAGE));
    let mut imap = dovecot.imap("alice");
    imap.select("INBOX");
    let mut flags = [r"+FLAGS (\Seen)", r"-FLAGS (\Seen)"].into_iter().cycle();
    let stores = within(AT_ONCE, "a STORE", || imap.store("1", flags.next().expect("it has no end")));
    assert_eq!(imap.fetch("1:*", "(FLAGS)").len(), deliveries);
    // Of the new INBOX, the delivery and the flag.
    let warnings = wait_warnings(&dovecot, 1 + deliveries + stores);
    assert!(warnings.iter().all(|warning| warning.contains("Connection refused; dropped events: ")), "{warnings:?}");
}

#[test]
fn a_wrong_password_is_only_logged() {
    if !Dovecot::lua_available() {
        return;
    }
    let daemon = Daemon::new().config("[auth]\nuser = \"knock\"\npass = \"another\"\n").start();
    let dovecot = Dovecot::start_lua(&format!("http://knock:s3cret@{}{}", daemon.addr(), daemon.url_path()));
    let deliveries = within(AT_ONCE, "a delivery", || dovecot.deliver("alice", MESSAGE));
    let mut imap = dovecot.imap("alice");
    imap.select("INBOX");
    let mut flags = [r"+FLAGS (\Seen)", r"-FLAGS (\Seen)"].into_iter().cycle();
    let stores = within(AT_ONCE, "a STORE", || imap.store("1", flags.next().expect("it has no end")));
    let warnings = wait_warnings(&dovecot, 1 + deliveries + stores);
    assert!(warnings.iter().all(|warning| warning.starts_with("mailknock: 401 Unauthorized; ")), "{warnings:?}");
    daemon.stop();
}

#[test]
fn an_address_that_is_missing_or_wrong_is_only_logged() {
    if !Dovecot::lua_available() {
        return;
    }
    // The wrong one is told of at each event.
    for (url, problem, times) in [
        ("", "mailknock: no mailknock_url is set, so nothing is sent", 1),
        (
            "knock:s3cret@nowhere",
            "mailknock: mailknock_url is no address that Dovecot understands; dropped events: 1",
            2,
        ),
    ] {
        let dovecot = Dovecot::start_lua(url);
        let mut imap = dovecot.imap("alice");
        imap.create("Work");
        imap.delete("Work");
        assert_eq!(wait_warnings(&dovecot, times), vec![problem; times]);
    }
}
