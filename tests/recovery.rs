//! Desktops that are absent, come late, restart, freeze or go: nothing is lost and nothing spins.

use std::time::Duration;

use crate::support::bus::Bus;
use crate::support::certificate::{self, Pair};
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::{Behaviour, Desktop, SPEAKS_DBUS};
#[cfg(feature = "dbus")]
use crate::support::logind::Logind;
use crate::support::mail::Mail;
use crate::support::recorder::Recorder;
use crate::support::require;
use crate::support::wait::{EVENTUALLY, holds, wait_at_most, wait_until};

fn push(daemon: &Running, number: u32) {
    daemon.push(&Mail::new(&format!("Author {number} <a@example.org>"), "s").json()).accepted();
}

/// How many threads the program has when it rests.
const THREADS: usize = if SPEAKS_DBUS { 1 } else { 8 };

/// A bus and the program on it, with no desktop yet; `fetch` is run by clicks alone.
fn start() -> Option<(Bus, Recorder, Running)> {
    if !require(&["dbus-daemon"]) {
        return None;
    }
    let bus = Bus::start();
    let (fetch, daemon) = start_on(&bus);
    Some((bus, fetch, daemon))
}

fn start_on(bus: &Bus) -> (Recorder, Running) {
    start_from(Daemon::new().bus(bus))
}

fn start_from(recipe: Daemon) -> (Recorder, Running) {
    let fetch = Recorder::new(&recipe, "fetch");
    let handlers = "[[handler]]\nuser = \"nobody\"\nname = \"fetch\"\ncommand";
    let daemon = recipe.config(&format!("{handlers} = {}\n[[handler]]\nnotify = true", fetch.command(&[]))).start();
    (fetch, daemon)
}

/// Clicks the icon and waits for the run.
#[track_caller]
fn click_fetches(desktop: &Desktop, fetch: &Recorder) {
    let before = fetch.starts().len();
    let item = desktop.tray();
    item.click();
    fetch.wait_starts(before + 1);
    item.entry("fetch: done");
}

#[test]
fn what_comes_before_the_notification_service_is_one_summary_when_it_comes() {
    let Some((bus, _, daemon)) = start() else { return };
    let mut desktop = Desktop::on(&bus).without_notifications().start();
    for number in 1..=5 {
        push(&daemon, number);
    }
    desktop.start_notifications();
    assert_eq!(desktop.next_notification().summary, "5 new messages in INBOX");
    push(&daemon, 6);
    assert_eq!(desktop.next_notification().summary, "Author 6");
    let log = daemon.stop().stderr;
    assert_eq!(log.matches("no notifications for now").count(), 1, "{log}");
}

#[test]
fn what_comes_before_the_program_knows_its_desktop_is_not_lost() {
    for _ in 0..5 {
        if !require(&["dbus-daemon"]) {
            return;
        }
        let bus = Bus::start();
        let desktop = Desktop::start(&bus);
        let (_, daemon) = start_on(&bus);
        push(&daemon, 1);
        assert_eq!(desktop.next_notification().summary, "Author 1");
        daemon.stop();
    }
}

#[test]
fn a_notification_service_that_restarts_shows_what_came_meanwhile() {
    let Some((bus, _, mut daemon)) = start() else { return };
    let mut desktop = Desktop::start(&bus);
    for round in 0..3 {
        push(&daemon, 1);
        let before = desktop.next_notification();
        assert_eq!((before.summary.as_str(), before.id, before.replaces_id), ("Author 1", 1, 0), "round {round}");
        desktop.settle();
        let lines = daemon.log_length();
        desktop.stop_notifications();
        daemon.wait_log_after(lines, "no notifications for now");
        push(&daemon, 2);
        push(&daemon, 3);
        desktop.start_notifications();
        let summary = desktop.next_notification();
        assert_eq!((summary.summary.as_str(), summary.replaces_id), ("2 new messages in INBOX", 0));
        desktop.settle();
        desktop.start_notifications();
    }
    daemon.stop();
}

#[test]
fn mails_in_the_very_moment_of_a_restart_are_shown() {
    let Some((bus, _, daemon)) = start() else { return };
    let mut desktop = Desktop::start(&bus);
    push(&daemon, 1);
    desktop.next_notification();
    for number in 2..=11 {
        desktop.stop_notifications();
        push(&daemon, number);
        desktop.start_notifications();
        let note = desktop.next_notification();
        let alone = note.summary == format!("Author {number}");
        // The one before waits again where the service ended between showing it and saying so: rarely twice, never lost.
        assert!(alone || note.body.starts_with(&format!("Author {number}: ")), "{note:?}");
    }
    daemon.stop();
}

#[test]
fn a_notification_service_that_hangs_holds_up_itself_alone() {
    let Some((bus, fetch, mut daemon)) = start() else { return };
    let desktop = Desktop::start(&bus);
    desktop.behave(Behaviour::Hang);
    for number in 1..=3 {
        push(&daemon, number);
    }
    click_fetches(&desktop, &fetch);
    daemon.wait_log("no notifications for now: the notification service does not answer");
    push(&daemon, 4);
    desktop.behave(Behaviour::Answer);
    assert_eq!(desktop.next_notification().summary, "4 new messages in INBOX");
    push(&daemon, 5);
    assert_eq!(desktop.next_notification().summary, "Author 5");
    daemon.stop();
}

#[test]
fn a_hanging_service_does_not_freeze_the_icon() {
    let Some((bus, _, mut daemon)) = start() else { return };
    let desktop = Desktop::start(&bus);
    let item = desktop.tray();
    for number in 1..=3 {
        push(&daemon, number);
        desktop.next_notification();
    }
    desktop.behave(Behaviour::Hang);
    // The fourth withdraws three and shows one; each of these calls may be left without an answer.
    push(&daemon, 4);
    daemon.wait_log("no notifications for now: the notification service does not answer");
    wait_until("the tooltip to count on", || holds(item.tooltip().text.starts_with("4 new messages")));
    daemon.stop();
}

#[test]
fn a_service_that_refuses_is_told_in_the_log_and_asked_again() {
    let Some((bus, fetch, mut daemon)) = start() else { return };
    let desktop = Desktop::start(&bus);
    desktop.behave(Behaviour::Refuse);
    push(&daemon, 1);
    daemon.wait_log("the notification service refused a popup: not in the mood");
    desktop.behave(Behaviour::Answer);
    push(&daemon, 2);
    assert_eq!(desktop.next_notification().summary, "Author 2");
    click_fetches(&desktop, &fetch);
    daemon.stop();
}

#[test]
fn a_bus_that_comes_back_brings_everything_back() {
    let Some((mut bus, fetch, mut daemon)) = start() else { return };
    let mut desktop = Desktop::start(&bus);
    for _ in 0..2 {
        desktop.tray();
        push(&daemon, 1);
        assert_eq!(desktop.next_notification().summary, "Author 1");
        desktop.settle();
        let lines = daemon.log_length();
        bus.stop();
        daemon.wait_log_after(lines, "no notifications for now");
        push(&daemon, 2);
        push(&daemon, 3);
        bus.restart();
        desktop = Desktop::start(&bus);
        assert_eq!(desktop.next_notification().summary, "2 new messages in INBOX");
        click_fetches(&desktop, &fetch);
        desktop.settle();
        // A new service for the next round, which knows of no burst.
        desktop.start_notifications();
    }
    daemon.stop();
}

#[test]
fn without_any_bus_commands_run_and_the_log_says_so_once() {
    let recipe = Daemon::new();
    let recorder = Recorder::new(&recipe, "wake");
    let config =
        format!("[[handler]]\nlimit_burst = 99\ncommand = {}\n[[handler]]\nnotify = true", recorder.command(&[]));
    let daemon = recipe.config(&config).start();
    for number in 1..=5 {
        push(&daemon, number);
        recorder.wait_starts(number as usize);
    }
    let log = daemon.stop().stderr;
    for absent in ["no notifications for now: no session bus", "no tray icon for now: no session bus"] {
        assert_eq!(log.matches(absent).count(), 1, "{log}");
    }
    assert_eq!(log.matches("for now").count(), 2, "{log}");
}

#[test]
fn the_icon_comes_with_the_tray() {
    let Some((bus, fetch, mut daemon)) = start() else { return };
    let mut desktop = Desktop::on(&bus).without_tray().start();
    push(&daemon, 1);
    assert_eq!(desktop.next_notification().summary, "Author 1");
    daemon.wait_log("no tray icon for now");
    desktop.start_tray();
    let item = desktop.tray();
    wait_until("the tooltip to count it", || holds(item.tooltip().text.starts_with("1 new message")));
    click_fetches(&desktop, &fetch);
    daemon.stop();
}

#[test]
fn the_icon_comes_back_with_the_tray_and_works() {
    let Some((bus, fetch, daemon)) = start() else { return };
    let mut desktop = Desktop::start(&bus);
    click_fetches(&desktop, &fetch);
    for number in 1..=5 {
        desktop.stop_tray();
        push(&daemon, number);
        desktop.start_tray();
        click_fetches(&desktop, &fetch);
        assert_eq!(desktop.tray_items().len(), 1);
    }
    // Each look at the menu begins the count anew.
    desktop.tray().wait_menu(|labels| labels[0] == "1 new message");
    daemon.stop();
}

#[test]
fn twenty_restarts_of_the_panel_leave_nothing_behind() {
    let Some((bus, fetch, daemon)) = start() else { return };
    let mut desktop = Desktop::start(&bus);
    let count = |what: &str| std::fs::read_dir(format!("/proc/{}/{what}", daemon.pid())).expect("it runs").count();
    let mut restart = |times: u32| {
        for _ in 0..times {
            desktop.stop_tray();
            desktop.start_tray();
            desktop.tray();
            assert_eq!(desktop.tray_items().len(), 1);
        }
        click_fetches(&desktop, &fetch);
        wait_until("the run's descriptors and threads to go", || holds(count("task") <= THREADS));
    };
    restart(1);
    let before = count("fd");
    restart(20);
    // A descriptor may come and go with what it does at this moment.
    wait_until("no more descriptors than before", || holds(count("fd") <= before));
    daemon.stop();
}

#[test]
fn it_ends_in_time_whatever_the_desktop_does() {
    // Each stop has its bound in `Running::stop`.
    let Some((mut bus, _, mut daemon)) = start() else { return };
    let desktop = Desktop::start(&bus);
    desktop.tray();
    push(&daemon, 1);
    desktop.next_notification();
    desktop.settle();
    bus.stop();
    daemon.wait_log("no notifications for now");
    daemon.stop();

    let Some((bus, _, daemon)) = start() else { return };
    let desktop = Desktop::start(&bus);
    desktop.tray();
    desktop.behave(Behaviour::Hang);
    for number in 1..=3 {
        push(&daemon, number);
    }
    daemon.stop();

    let Some((bus, _, daemon)) = start() else { return };
    let desktop = Desktop::start(&bus);
    desktop.tray();
    push(&daemon, 1);
    desktop.next_notification();
    bus.freeze();
    push(&daemon, 2);
    daemon.stop();
    bus.thaw();
}

#[test]
fn a_frozen_bus_at_the_start_holds_up_no_command() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let mut desktop = Desktop::start(&bus);
    bus.freeze();
    let recipe = Daemon::new().bus(&bus);
    let recorder = Recorder::new(&recipe, "wake");
    let handlers = format!("[[handler]]\ncommand = {}\n[[handler]]\nnotify = true", recorder.command(&[]));
    let mut daemon = recipe.config(&handlers).start();
    push(&daemon, 1);
    recorder.wait_starts(1);
    daemon.wait_log("no notifications for now: the session bus does not answer");
    bus.thaw();
    desktop.start_notifications();
    let shown = || desktop.try_notification();
    let note = wait_at_most(EVENTUALLY, "the mail that waited", || daemon.log(), shown);
    assert_eq!(note.summary, "Author 1");
    desktop.tray();
    daemon.stop();
}

/// Two connections to the bus need no more than the one thread. The portable desktop's icon has one, and its connection
/// some; nobody can tell when each of those is needed.
#[cfg(feature = "dbus")]
#[test]
fn idle_means_idle_on_one_thread() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let (bus, logind) = (Bus::start(), Logind::start());
    let (fetch, daemon) = start_from(Daemon::new().bus(&bus).logind(&logind));
    let desktop = Desktop::start(&bus);
    push(&daemon, 1);
    desktop.next_notification();
    click_fetches(&desktop, &fetch);
    assert_idle(&daemon);
    drop(desktop);
    assert_idle(&daemon);
    daemon.stop();
}

#[test]
fn a_certificate_and_a_password_to_look_after_are_no_work_either() {
    if !require(&["openssl", "curl"]) {
        return;
    }
    let recipe = Daemon::new();
    let pair = Pair::new(&recipe, "own", &["IP:127.0.0.1"]);
    let pass = recipe.home().join("pass");
    std::fs::write(&pass, "bar\n").expect("the home is ours");
    let auth = format!("[auth]\nuser = \"foo\"\npass_file = \"{}\"\n", pass.display());
    let socket = format!("unix:{}", recipe.path("runtime/push/push.sock").display());
    let listen = format!("listen = [\"127.0.0.1:0\", \"{socket}\"]\n");
    let log = "[[handler]]\nlog = \"info\"\n";
    let daemon = recipe.config(&format!("{listen}{}{auth}{log}", pair.config("periodic_reload = \"1d\"\n"))).start();
    let event = r#"{"user":"me","event":"messageNew"}"#;
    let answers =
        ["foo:bar", "foo:baz"].map(|user| certificate::push(daemon.url(), &pair.certificate, event, &["-u", user]));
    assert_eq!(answers, ["200", "401"]);
    // The record is put in order first.
    wait_idle(&daemon);
    assert_idle(&daemon);
    daemon.stop();
}

/// Asserts that the program does nothing at all for two seconds, once it has come to rest.
#[track_caller]
fn assert_idle(daemon: &Running) {
    let seen = wait_idle(daemon);
    assert!(seen.len() <= 2, "clock ticks and wake-ups in each two seconds: {seen:?}");
}

/// Waits for two seconds in which the program does nothing at all; gives what it did in each two until then.
#[track_caller]
fn wait_idle(daemon: &Running) -> Vec<(u64, u64)> {
    let threads = || std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("it runs").count();
    wait_until("one thread to be left", || holds(threads() <= THREADS));
    let window = Duration::from_secs(2);
    // What it was just asked to do, a change of the icon for one, may still be on its way: so several windows.
    let mut seen = Vec::new();
    wait_until("two idle seconds", || {
        let before = work(daemon.pid());
        std::thread::sleep(window);
        let after = work(daemon.pid());
        let (ticks, wakeups) = (after.0 - before.0, after.1 - before.1);
        seen.push((ticks, wakeups));
        holds(ticks <= 1 && wakeups <= 1)
    });
    seen
}

/// What a process has used: clock ticks of time, and how often it woke up.
fn work(pid: u32) -> (u64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = [11, 12].iter().map(|at| fields[*at].parse::<u64>().expect("a number")).sum();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).expect("Linux tells it");
    (ticks, line.trim().parse().expect("a number"))
}
