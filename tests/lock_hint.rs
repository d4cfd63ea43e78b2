//! A locked session, as logind tells of it: what popups say meanwhile, and when they come.

use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::{Behaviour, Desktop, Notification};
use crate::support::logind::{Logind, Origin};
use crate::support::mail::Mail;
use crate::support::require;
use crate::support::wait::{EVENTUALLY, holds, wait_at_most};

const DEBUG: &str = "[log]\nlevel = true\nmax_level = \"debug\"\n";
const COVERED: (&str, &str) = ("1 new message", "");

/// A desktop, the logind of its machine, and the program on it.
struct Screen {
    logind: Logind,
    daemon: Running,
    desktop: Desktop,
    _bus: Bus,
    /// Lines of the log that have been looked at.
    looked: usize,
}

/// A machine whose screen is locked or not when the program starts; none where there is no bus daemon.
fn start(config: &str, is_locked: bool) -> Option<Screen> {
    start_from(Origin::Service, config, is_locked)
}

fn start_from(origin: Origin, config: &str, is_locked: bool) -> Option<Screen> {
    if !require(&["dbus-daemon"]) {
        return None;
    }
    let (bus, logind) = (Bus::start(), Logind::start());
    let desktop = Desktop::start(&bus);
    logind.ask_from(origin);
    logind.set_locked(is_locked);
    let recipe = Daemon::new().bus(&bus).logind(&logind).config(&format!("{config}{DEBUG}"));
    let daemon = match origin {
        Origin::Elsewhere => recipe.env("XDG_SESSION_ID", "c1").start(),
        _ => recipe.start(),
    };
    let mut screen = Screen { logind, daemon, desktop, _bus: bus, looked: 0 };
    if is_locked {
        screen.wait_said("locked");
    }
    Some(screen)
}

impl Screen {
    /// Waits until the program says that the screen is `locked` or `unlocked`, after it last said so.
    #[track_caller]
    fn wait_said(&mut self, what: &str) {
        let line = format!("the screen is {what}");
        // Longer than a logind may be gone before it is missed.
        self.looked = wait_at_most(
            EVENTUALLY,
            &line,
            || self.daemon.log(),
            || {
                let log = self.daemon.log();
                let mut lines = log.lines().enumerate().skip(self.looked);
                lines.find(|(_, found)| found.contains(&line)).map(|(at, _)| at + 1)
            },
        );
    }

    /// Waits until the program has looked for its session so often, since logind first came.
    #[track_caller]
    fn wait_looks(&self, number: u32) {
        let log = || format!("{} looks\n{}", self.logind.looks(), self.daemon.log());
        wait_at_most(EVENTUALLY, &format!("{number} looks"), log, || holds(self.logind.looks() == number));
    }

    fn push(&self, from: &str) {
        self.daemon.push(&Mail::new(&format!("{from} <a@example.org>"), "Secret").json()).accepted();
    }

    #[track_caller]
    fn next_popup(&self) -> Notification {
        self.desktop.next_notification()
    }

    /// Ends it; it has said nothing more of locks.
    #[track_caller]
    fn stop(self) {
        let log = self.daemon.stop().stderr;
        let more: Vec<&str> = log.lines().skip(self.looked).filter(|line| line.contains("the screen is")).collect();
        assert!(more.is_empty(), "{log}");
        assert!(self.desktop.try_notification().is_none());
    }
}

#[track_caller]
fn assert_covered(note: &Notification) {
    assert_eq!((note.summary.as_str(), note.body.as_str()), COVERED);
    let all = format!("{note:?}");
    assert!(!["Alice", "Bob", "Secret", "example.org"].iter().any(|word| all.contains(word)), "{all}");
}

#[track_caller]
fn assert_told(note: &Notification, from: &str) {
    assert_eq!(note.summary, from);
    assert!(note.body.starts_with("Secret"), "{note:?}");
}

#[test]
fn while_the_session_is_locked_a_popup_says_nothing_of_the_mail_and_then_all_of_it_in_place() {
    let Some(mut screen) = start("", true) else { return };
    screen.push("Alice");
    let note = screen.next_popup();
    assert_covered(&note);
    screen.logind.set_locked(false);
    let shown = screen.next_popup();
    assert_told(&shown, "Alice");
    assert_eq!(shown.replaces_id, note.id);
    screen.wait_said("unlocked");

    screen.logind.set_locked(true);
    assert_covered(&screen.next_popup());
    screen.wait_said("locked");
    screen.push("Bob");
    assert_covered(&screen.next_popup());
    screen.stop();
}

#[test]
fn wherever_the_program_was_started_the_session_on_the_screen_is_watched() {
    for origin in [Origin::Screen, Origin::Terminal, Origin::Elsewhere] {
        let Some(mut screen) = start_from(origin, "", true) else { return };
        screen.logind.set_locked(false);
        screen.wait_said("unlocked");
        screen.push("Alice");
        assert_told(&screen.next_popup(), "Alice");
        screen.stop();
    }
}

#[test]
fn held_popups_come_as_one_summary_after_the_unlock() {
    let Some(mut screen) = start("[pause]\nwhen_locked = \"hold\"\n", true) else { return };
    screen.push("Alice");
    screen.push("Bob");
    screen.logind.set_locked(false);
    assert_eq!(screen.next_popup().summary, "2 new messages in INBOX");
    screen.wait_said("unlocked");
    screen.stop();
}

#[test]
fn who_shows_everything_does_not_ask_for_the_session() {
    let show = "[pause]\nwhen_locked = \"show\"\n";
    // Sleep is watched all the same.
    let Some(mut screen) =
        start(&format!("{show}[[handler]]\nnotify = true\n[[handler]]\ncommand = \"true\"\n"), false)
    else {
        return;
    };
    screen.logind.wait_watched();
    screen.logind.set_locked(true);
    screen.push("Alice");
    assert_told(&screen.next_popup(), "Alice");
    assert_eq!(screen.logind.looks(), 0);

    // A reload begins to ask, and leaves off.
    screen.daemon.recipe().write_config(DEBUG);
    assert_covered(&screen.next_popup());
    screen.wait_said("locked");
    screen.daemon.recipe().write_config(&format!("{show}{DEBUG}"));
    assert_told(&screen.next_popup(), "Alice");
    screen.wait_said("unlocked");
    screen.stop();
}

#[test]
fn a_logind_that_restarts_uncovers_nothing_and_is_asked_again() {
    let Some(mut screen) = start("", true) else { return };
    screen.push("Alice");
    assert_covered(&screen.next_popup());
    screen.logind.come();
    screen.wait_looks(2);
    screen.push("Bob");
    assert_covered(&screen.next_popup());
    // Unlocked while nobody told of it.
    screen.logind.go();
    screen.logind.set_locked(false);
    screen.logind.come();
    assert_told(&screen.next_popup(), "Alice");
    assert_told(&screen.next_popup(), "Bob");
    screen.wait_said("unlocked");
    screen.logind.set_locked(true);
    screen.wait_said("locked");
    for _ in 0..2 {
        assert_covered(&screen.next_popup());
    }
    screen.stop();
}

#[test]
fn a_logind_or_a_bus_that_is_gone_leaves_nothing_covered() {
    let Some(mut screen) = start("", true) else { return };
    screen.push("Alice");
    assert_covered(&screen.next_popup());
    screen.logind.go();
    screen.wait_said("unlocked");
    assert_told(&screen.next_popup(), "Alice");
    screen.logind.come();
    screen.wait_said("locked");
    assert_covered(&screen.next_popup());

    screen.logind.stop_bus();
    screen.wait_said("unlocked");
    assert_told(&screen.next_popup(), "Alice");
    screen.logind.restart_bus();
    screen.logind.come();
    screen.wait_said("locked");
    assert_covered(&screen.next_popup());
    screen.stop();
}

#[test]
fn a_session_that_ends_is_unlocked_and_the_next_one_is_watched() {
    for origin in [Origin::Service, Origin::Screen] {
        let Some(mut screen) = start_from(origin, "", true) else { return };
        screen.logind.log_out();
        screen.wait_said("unlocked");
        screen.logind.log_in();
        screen.wait_looks(3);
        screen.logind.set_locked(true);
        screen.wait_said("locked");
        screen.stop();
    }
}

#[test]
fn a_change_that_is_told_without_its_value_is_asked_for() {
    let Some(mut screen) = start("", true) else { return };
    screen.logind.set_locked_silently(false);
    screen.wait_said("unlocked");
    screen.stop();
}

#[test]
fn a_frozen_logind_is_asked_again_and_a_refusal_is_taken_for_unlocked() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let Some(mut screen) = start("", true) else { return };
    screen.logind.set_locked(false);
    screen.wait_said("unlocked");
    screen.logind.behave(Behaviour::Refuse);
    screen.logind.set_locked(true);
    // Its signals come all the same.
    screen.wait_said("locked");
    screen.logind.come();
    screen.wait_said("unlocked");

    screen.logind.behave(Behaviour::Hang);
    screen.logind.come();
    screen.wait_looks(4);
    screen.logind.behave(Behaviour::Answer);
    screen.wait_said("locked");
    screen.stop();
}
