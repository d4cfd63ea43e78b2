//! What a click opens lives on when the session ends the program: it gets a systemd scope of its own.

use std::collections::HashMap;

use zbus6::OwnedVariant;

use crate::support::bus::{Bus, Client, Place};
use crate::support::daemon::Daemon;
use crate::support::desktop::Desktop;
use crate::support::mail::Mail;
use crate::support::recorder::Recorder;
use crate::support::require;
use crate::support::service::{Answer, Service};
use crate::support::wait::{holds, wait_until};

const SYSTEMD: &str = "org.freedesktop.systemd1";
/// Whom the program asks for something, and must never have started.
const ASKED: [&str; 4] = [SYSTEMD, "org.gnome.ScreenSaver", "org.freedesktop.ScreenSaver", "org.xfce.Xfconf"];

type Arguments = (String, String, Vec<(String, OwnedVariant)>, Vec<(String, Vec<(String, OwnedVariant)>)>);

#[test]
fn systemd_is_asked_once_for_a_scope_for_each_program_that_is_opened() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let systemd = Service::start(&bus, SYSTEMD, Answer::Path("/org/freedesktop/systemd1/job/1"));
    let desktop = Desktop::start(&bus);
    let recipe = Daemon::new().bus(&bus);
    let opened = Recorder::held(&recipe, "open");
    let daemon = recipe.config(&format!("[tray]\nclick = \"open\"\nopen = {}", opened.command(&[]))).start();
    for (count, answer) in (1..).zip([Answer::Path("/org/freedesktop/systemd1/job/1"), Answer::Error]) {
        // A refusal is systemd's affair.
        systemd.answers(answer);
        desktop.tray().click();
        opened.wait_starts(count);
        wait_until("systemd to be asked", || holds(systemd.calls().len() == count));
    }
    let programs = daemon.descendants();
    for call in systemd.calls() {
        let header = call.header();
        let asked = (header.path().map(|path| path.as_str()), header.interface().map(|name| name.as_str()));
        assert_eq!(asked, (Some("/org/freedesktop/systemd1"), Some("org.freedesktop.systemd1.Manager")));
        assert_eq!(header.member().map(|name| name.as_str()), Some("StartTransientUnit"));
        let body = call.body();
        let (name, mode, properties, others) = body.deserialize::<Arguments>().expect("systemd's own signature");
        let mut properties: HashMap<_, _> = properties.into_iter().collect();
        let mut property = |name: &str| properties.remove(name).expect("it is given");
        let pids = Vec::<u32>::try_from(property("PIDs")).expect("numbers");
        assert!(pids.len() == 1 && programs.iter().any(|program| program.pid == pids[0]), "{pids:?} of {programs:?}");
        assert_eq!((name, mode.as_str()), (format!("app-mailknock-open-{}.scope", pids[0]), "fail"));
        let texts = ["Slice", "CollectMode"].map(|name| String::try_from(property(name)).expect("a text"));
        assert_eq!(texts, ["app.slice", "inactive-or-failed"]);
        assert!(others.is_empty());
    }
    opened.release();
    wait_until("what was opened to end", || holds(daemon.descendants().is_empty()));
    daemon.stop();
}

#[test]
fn a_systemd_that_hangs_holds_up_nothing() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let systemd = Service::start(&bus, SYSTEMD, Answer::Never);
    let desktop = Desktop::start(&bus);
    let recipe = Daemon::new().bus(&bus);
    let opened = Recorder::new(&recipe, "open");
    let daemon = recipe.config(&format!("[tray]\nopen = {}", opened.command(&["{subject}"]))).start();
    for number in 1..=3 {
        daemon.push(&Mail::new("Alice <a@example.org>", &number.to_string()).json()).accepted();
        desktop.click(desktop.next_notification().id, "default");
        opened.wait_starts(number);
    }
    wait_until("systemd to be asked", || holds(systemd.calls().len() == 3));
    wait_until("what was opened to end", || holds(daemon.descendants().is_empty()));
    // Its bound is in there.
    daemon.stop();
}

#[test]
fn nobody_is_started_by_being_asked() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::offering(&ASKED);
    let desktop = Desktop::on(&bus).capabilities(&["actions", "body", "sound"]).start();
    let recipe = Daemon::new().bus(&bus);
    let opened = Recorder::new(&recipe, "open");
    let config = format!("[tray]\nopen = {}\n[[handler]]\nnotify = {{ sound = \"bell\" }}", opened.command(&[]));
    let daemon = recipe.config(&config).start();
    daemon.push(&Mail::new("Alice <a@example.org>", "s").json()).accepted();
    let note = desktop.next_notification();
    assert_eq!(note.hint::<String>("sound-name").as_deref(), Some("bell"), "it was asked whether to be silent");
    desktop.click(note.id, "default");
    opened.wait_starts(1);
    wait_until("what was opened to end", || holds(daemon.descendants().is_empty()));
    // What is asked of the bus in between is asked by then.
    daemon.push(&Mail::new("Bob <b@example.org>", "s").json()).accepted();
    desktop.next_notification();
    daemon.stop();
    assert_eq!(ASKED.map(|name| bus.has_started(name)), [false; 4]);

    // They can be started, by those who want that. None takes its name, so this ends in an error.
    let client = Client::connect(&bus.address());
    let _ = client.call::<_, u32>(Place::BUS, "StartServiceByName", &(SYSTEMD, 0u32));
    wait_until("it to be started", || holds(bus.has_started(SYSTEMD)));
}
