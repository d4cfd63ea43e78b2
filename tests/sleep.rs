//! Sleep and awakening, as logind tells of them: what came meanwhile is fetched, and the tunnel ends first.

use std::io::{ErrorKind, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::Behaviour;
use crate::support::logind::Logind;
use crate::support::mail::Mail;
use crate::support::recorder::{Recorder, Start};
use crate::support::require;
use crate::support::wait::{EVENTUALLY, holds, wait_at_most, wait_until};

/// A tunnel that never comes up; sleep waits for it all the same.
const TUNNEL: &str = "listen = \"127.0.0.1:0\"\n[tunnel]\nhost = \"mail.invalid\"\nssh = \"false\"\n";
/// Locks make no difference.
const SHOW: &str = "[pause]\nwhen_locked = \"show\"\n";
const DEBUG: &str = "[log]\nlevel = true\nmax_level = \"debug\"\n";

/// A program that sleep waits for, started on this machine.
fn start_with_tunnel(logind: &Logind) -> Running {
    Daemon::new().logind(logind).config(&format!("{TUNNEL}{DEBUG}")).start()
}

fn push(daemon: &Running) {
    daemon.push(&Mail::new("Author <a@example.org>", "s").json()).accepted();
}

fn resumes(recorder: &Recorder) -> Vec<Start> {
    recorder.starts().into_iter().filter(|start| start.trigger == "resume").collect()
}

#[test]
fn what_came_during_sleep_is_fetched_once_a_moment_after_the_first_awakening() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let logind = Logind::start();
    let recipe = Daemon::new().logind(&logind);
    let (fetch, marker) = (Recorder::new(&recipe, "fetch"), Recorder::new(&recipe, "marker"));
    // The marker comes later than a second fetch would.
    let config = format!(
        "[[handler]]\nuser = \"nobody\"\nfetch = true\ncommand = {}\n\
         [[handler]]\ndelay = \"7s\"\nfetch = false\ncommand = {}\n",
        fetch.command(&[]),
        marker.command(&[])
    );
    let daemon = recipe.config(&config).start();
    logind.wait_watched();
    logind.prepare_for_sleep(true);
    let awake = Instant::now();
    logind.prepare_for_sleep(false);
    assert_eq!(fetch.wait_starts(1)[0].trigger, "resume");
    let waited = awake.elapsed();
    assert!(waited > Duration::from_secs(3), "the network was given {waited:?} to come up");

    logind.prepare_for_sleep(true);
    logind.prepare_for_sleep(false);
    push(&daemon);
    assert_eq!(marker.wait_starts(1)[0].trigger, "event");
    assert_eq!((resumes(&fetch).len(), fetch.starts().len()), (1, 1));
    assert!(resumes(&marker).is_empty());
    // Nothing has to end before sleep.
    assert_eq!(logind.calls(), 0);
    daemon.stop();
}

/// A system bus that takes connections and answers nothing, and a program that is to use it.
fn silent_bus() -> (UnixListener, Daemon) {
    let recipe = Daemon::new();
    let path = recipe.path("runtime/system-bus");
    let bus = UnixListener::bind(&path).expect("the directory is ours");
    bus.set_nonblocking(true).expect("it is a socket");
    recipe.give(&path);
    (bus, recipe.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", path.display())))
}

/// A connection that waits to be taken.
fn connection(bus: &UnixListener) -> Option<UnixStream> {
    match bus.accept() {
        Ok((stream, _)) => Some(stream),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("the listener broke: {error}"),
    }
}

#[test]
fn with_nothing_to_fetch_and_nothing_to_hide_the_system_bus_is_left_alone() {
    let (bus, recipe) = silent_bus();
    let config = format!("{SHOW}[[handler]]\nnotify = true\n[[handler]]\nfetch = false\ncommand = \"true\"\n");
    let daemon = recipe.config(&config).start();
    push(&daemon);
    daemon.stop();
    assert!(connection(&bus).is_none());
}

#[test]
fn a_reload_begins_to_watch_sleep_and_leaves_off() {
    let (bus, recipe) = silent_bus();
    let nothing = format!("{SHOW}[[handler]]\nnotify = true\n");
    let mut daemon = recipe.config(&nothing).start();
    daemon.recipe().write_config(&format!("{SHOW}[[handler]]\ncommand = \"true\"\n"));
    let mut stream = wait_until("a connection to the system bus", || connection(&bus));
    let lines = daemon.log_length();
    daemon.recipe().write_config(&nothing);
    daemon.wait_log_after(lines, "configuration reloaded");
    stream.set_nonblocking(false).expect("it is a socket");
    stream.set_read_timeout(Some(EVENTUALLY)).expect("it is a socket");
    // Its greeting, and then the end.
    stream.read_to_end(&mut Vec::new()).expect("the program ends the connection");
    daemon.stop();
    assert!(connection(&bus).is_none());
}

#[test]
fn sleep_waits_until_the_tunnel_has_ended_each_time() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let logind = Logind::start();
    let daemon = start_with_tunnel(&logind);
    for _ in 0..3 {
        let inhibitor = logind.next_inhibitor();
        let what = [&inhibitor.what, &inhibitor.who, &inhibitor.mode].map(String::as_str);
        assert_eq!(what, ["sleep", "Mailknock", "delay"]);
        assert!(inhibitor.why.contains("tunnel"), "{inhibitor:?}");
        assert!(!inhibitor.is_released());
        logind.prepare_for_sleep(true);
        inhibitor.wait_until_released();
        logind.prepare_for_sleep(false);
    }
    let inhibitor = logind.next_inhibitor();
    daemon.stop();
    inhibitor.wait_until_released();
}

#[test]
fn what_a_program_started_does_not_hold_up_sleep_in_its_place() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let logind = Logind::start();
    let recipe = Daemon::new().logind(&logind);
    let fetch = Recorder::held(&recipe, "fetch");
    let daemon = recipe.config(&format!("{TUNNEL}[[handler]]\ncommand = {}\n", fetch.command(&[]))).start();
    let inhibitor = logind.next_inhibitor();
    wait_until("the inhibitor to reach the program", || holds(inhibitor.is_held_by(daemon.pid())));
    push(&daemon);
    fetch.wait_starts(1);
    let holders: Vec<_> =
        daemon.descendants().into_iter().filter(|process| inhibitor.is_held_by(process.pid)).collect();
    assert!(holders.is_empty(), "{holders:?}");
    logind.prepare_for_sleep(true);
    inhibitor.wait_until_released();
    fetch.release();
    daemon.stop();
}

#[test]
fn a_sleep_that_is_announced_twice_or_not_at_all_confuses_nobody() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let logind = Logind::start();
    let daemon = start_with_tunnel(&logind);
    let first = logind.next_inhibitor();
    logind.prepare_for_sleep(false);
    logind.prepare_for_sleep(false);
    logind.prepare_for_sleep(true);
    logind.prepare_for_sleep(true);
    first.wait_until_released();
    logind.prepare_for_sleep(true);
    logind.prepare_for_sleep(false);
    let second = logind.next_inhibitor();
    logind.prepare_for_sleep(true);
    second.wait_until_released();
    logind.prepare_for_sleep(false);
    logind.next_inhibitor();
    // The one that was there was enough where nobody had slept.
    assert_eq!(logind.calls(), 3);
    daemon.stop();
}

#[test]
fn a_logind_that_restarts_is_held_up_anew() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let mut logind = Logind::start();
    let daemon = start_with_tunnel(&logind);
    let mut inhibitor = logind.next_inhibitor();
    for _ in 0..3 {
        logind.come();
        let next = logind.next_inhibitor();
        inhibitor.wait_until_released();
        inhibitor = next;
        assert!(!inhibitor.is_released());
    }
    logind.prepare_for_sleep(true);
    inhibitor.wait_until_released();
    // It never tells of the awakening.
    logind.come();
    let inhibitor = logind.next_inhibitor();
    logind.prepare_for_sleep(true);
    inhibitor.wait_until_released();
    daemon.stop();
}

#[test]
fn a_logind_that_comes_late_is_found() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let mut logind = Logind::absent();
    let mut daemon = start_with_tunnel(&logind);
    daemon.wait_log("nobody tells of sleep or locks: no logind");
    logind.come();
    let inhibitor = logind.next_inhibitor();
    logind.prepare_for_sleep(true);
    inhibitor.wait_until_released();
    let log = daemon.stop().stderr;
    assert_eq!(log.matches("nobody tells of sleep").count(), 1, "{log}");
}

#[test]
fn a_system_bus_that_comes_late_or_goes_is_found() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let mut logind = Logind::absent();
    logind.stop_bus();
    let mut daemon = start_with_tunnel(&logind);
    daemon.wait_log("nobody tells of sleep or locks: no system bus");
    logind.restart_bus();
    logind.come();
    for _ in 0..2 {
        let inhibitor = logind.next_inhibitor();
        logind.prepare_for_sleep(true);
        inhibitor.wait_until_released();
        // In the middle of it.
        logind.restart_bus();
        logind.come();
    }
    logind.next_inhibitor();
    daemon.stop();
}

#[test]
fn without_a_system_bus_nothing_is_said_above_debug() {
    let daemon = Daemon::new().config(&format!("{TUNNEL}[[handler]]\ncommand = \"true\"\n{DEBUG}")).start();
    push(&daemon);
    let log = daemon.stop().stderr;
    let told: Vec<&str> = log.lines().filter(|line| line.contains("sleep")).collect();
    assert!(told.len() == 1 && told[0].contains("DEBUG"), "{log}");
}

#[test]
fn a_refused_inhibitor_is_asked_for_again_after_the_next_sleep() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let logind = Logind::start();
    logind.behave(Behaviour::Refuse);
    let mut daemon = start_with_tunnel(&logind);
    daemon.wait_log("sleep does not wait for us");
    assert_eq!(logind.calls(), 1);
    logind.behave(Behaviour::Answer);
    logind.prepare_for_sleep(true);
    logind.prepare_for_sleep(false);
    let inhibitor = logind.next_inhibitor();
    logind.prepare_for_sleep(true);
    inhibitor.wait_until_released();
    daemon.stop();
}

#[test]
fn a_frozen_logind_is_asked_again_and_its_late_answers_hold_nothing_up() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let logind = Logind::start();
    logind.behave(Behaviour::Hang);
    let daemon = start_with_tunnel(&logind);
    wait_at_most(EVENTUALLY, "a second call", || daemon.log(), || holds(logind.calls() == 2));
    logind.behave(Behaviour::Answer);
    let both = [logind.next_inhibitor(), logind.next_inhibitor()];
    wait_until("the late one to be given up", || holds(both.iter().any(|inhibitor| inhibitor.is_released())));
    assert!(!both.iter().all(|inhibitor| inhibitor.is_released()), "{both:?}");
    logind.prepare_for_sleep(true);
    both.iter().for_each(|inhibitor| inhibitor.wait_until_released());
    daemon.stop();
}

#[test]
fn neither_a_frozen_logind_nor_a_frozen_bus_holds_up_the_end() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let logind = Logind::start();
    logind.behave(Behaviour::Hang);
    // The program gives its desktop one second to end; one of three ends is quick enough on a busy machine too.
    let ends_at_once = |calls| {
        let daemon = start_with_tunnel(&logind);
        wait_until("the call that hangs", || holds(logind.calls() == calls));
        let start = Instant::now();
        daemon.stop();
        start.elapsed() < Duration::from_millis(900)
    };
    assert!((1..=3).any(ends_at_once));

    logind.behave(Behaviour::Answer);
    let mut daemon = start_with_tunnel(&logind);
    let inhibitor = logind.next_inhibitor();
    logind.bus().freeze();
    daemon.stop();
    logind.bus().thaw();
    inhibitor.wait_until_released();

    logind.bus().freeze();
    daemon = start_with_tunnel(&logind);
    daemon.wait_log("nobody tells of sleep or locks: the system bus does not answer");
    logind.bus().thaw();
    logind.next_inhibitor();
    daemon.stop();
}
