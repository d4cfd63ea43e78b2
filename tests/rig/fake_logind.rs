//! The fake logind on its system bus.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

use zbus6::{OwnedObjectPath, Variant};

use crate::support::bus::{Client, Place};
use crate::support::daemon::somebody;
use crate::support::desktop::Behaviour;
use crate::support::find_program;
use crate::support::logind::{Logind, Origin};
use crate::support::program::Program;
use crate::support::require;
use crate::support::wait::{SOON, holds, wait_until};

const LOGIND: Place<'static> = Place {
    service: "org.freedesktop.login1",
    path: "/org/freedesktop/login1",
    interface: "org.freedesktop.login1.Manager",
};

fn inhibit(client: &Client) -> zbus6::Result<OwnedFd> {
    let taken: zbus6::OwnedFd = client.call(LOGIND, "Inhibit", &("sleep", "rig", "to try it", "delay"))?;
    Ok(taken.into())
}

#[test]
fn fake_logind_hands_out_inhibitors_and_knows_when_they_are_given_up() {
    if !require(&["dbus-daemon", "systemd-inhibit"]) {
        return;
    }
    let mut logind = Logind::start();
    let client = Client::connect(&logind.bus().address());
    let directory = tempfile::tempdir().expect("a temporary directory");
    let words = ["--what=sleep", "--who=rig", "--why=to try it", "--mode=delay", "sleep", "60"];
    let mut command = Command::new("systemd-inhibit");
    command.args(words).env("DBUS_SYSTEM_BUS_ADDRESS", logind.bus().address());
    let real = Program::start(&mut command, &directory.path().join("log"));
    let inhibitor = logind.next_inhibitor();
    let said = [&inhibitor.what, &inhibitor.who, &inhibitor.why, &inhibitor.mode].map(String::as_str);
    assert_eq!(said, ["sleep", "rig", "to try it", "delay"]);
    wait_until("the inhibitor to reach the program", || holds(inhibitor.is_held_by(real.pid())));
    assert!(!inhibitor.is_released());
    drop(real);
    inhibitor.wait_until_released();

    logind.behave(Behaviour::Refuse);
    inhibit(&client).expect_err("it refuses");
    logind.behave(Behaviour::Hang);
    let hasty = Client::connect_with(&logind.bus().address(), Duration::from_millis(100));
    inhibit(&hasty).expect_err("it hangs until the client gives up");
    logind.behave(Behaviour::Answer);
    logind.next_inhibitor().wait_until_released();
    logind.go();
    inhibit(&client).expect_err("nobody has the name");
    logind.come();
    inhibit(&client).expect("it is back");
    assert_eq!(logind.calls(), 4);
}

#[test]
fn fake_logind_tells_of_sleep_and_gives_no_inhibitor_on_the_way_to_it() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let logind = Logind::start();
    let client = Client::connect(&logind.bus().address());
    let signals = client.listen("type='signal',member='PrepareForSleep',path='/org/freedesktop/login1'");
    logind.wait_watched();
    let next = || signals.recv_timeout(SOON).expect("a signal").body().deserialize::<bool>().expect("a truth value");
    logind.prepare_for_sleep(true);
    assert!(next());
    inhibit(&client).expect_err("the machine is about to sleep");
    logind.prepare_for_sleep(false);
    assert!(!next());
    inhibit(&client).expect("it answers");
}

#[test]
fn fake_logind_knows_the_session_on_the_screen_and_tells_of_its_lock() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let mut logind = Logind::start();
    let client = Client::connect(&logind.bus().address());
    let screen: OwnedObjectPath = client.call(LOGIND, "GetSession", &"c1").expect("it is on the screen");
    let session = Place { path: &screen, interface: "org.freedesktop.login1.Session", ..LOGIND };
    let is_locked = || client.property::<bool>(session, "LockedHint").expect("it answers");
    assert_eq!(client.property::<String>(session, "Id").expect("it answers"), "c1");
    assert!(!is_locked());
    let signals = client.listen("type='signal',member='PropertiesChanged',path='/org/freedesktop/login1/session/c1'");
    logind.set_locked(true);
    let signal = signals.recv_timeout(SOON).expect("a signal").body();
    let (interface, changed, _) =
        signal.deserialize::<(&str, HashMap<&str, Variant<'_>>, Vec<&str>)>().expect("the form of properties");
    assert_eq!((interface, changed), ("org.freedesktop.login1.Session", [("LockedHint", Variant::from(true))].into()));
    assert!(is_locked());
    logind.come();
    assert!(is_locked());

    let own = || client.call::<_, OwnedObjectPath>(LOGIND, "GetSessionByPID", &0u32);
    own().expect_err("it is in no session");
    for (origin, path) in [(Origin::Screen, "session/c1"), (Origin::Terminal, "session/c0")] {
        logind.ask_from(origin);
        assert!(own().expect("it is in a session").ends_with(path));
    }
    logind.ask_from(Origin::Elsewhere);
    client.call::<_, OwnedObjectPath>(LOGIND, "GetUser", &0u32).expect_err("nobody knows the user");
    assert_eq!(logind.looks(), 3);
}

#[test]
fn all_that_fake_logind_offers_real_logind_offers_in_the_same_form() {
    if !require(&["dbus-daemon", "systemd-logind"]) {
        return;
    }
    let program = find_program("systemd-logind").expect("it is installed");
    let fake = Logind::start();
    let client = Client::connect(&fake.bus().address());
    let path = |below: &str| format!("/org/freedesktop/login1{below}");
    let user = format!("/user/_{}", somebody().unwrap_or(rustix::process::getuid().as_raw()));
    for (interface, object, kind, least) in
        [("Manager", "", "", 7), ("User", user.as_str(), "/user", 1), ("Session", "/session/c1", "/session", 3)]
    {
        let interface = format!("org.freedesktop.login1.{interface}");
        let real = Command::new(&program).arg(format!("--bus-introspect={}", path(kind))).output();
        let real = offers(&String::from_utf8_lossy(&real.expect("it can be run").stdout), &interface);
        let place = Place { path: &path(object), interface: "org.freedesktop.DBus.Introspectable", ..LOGIND };
        let fake = offers(&client.call::<_, String>(place, "Introspect", &()).expect("it answers"), &interface);
        assert!(fake.len() >= least, "{fake:?}");
        fake.iter().for_each(|offer| assert!(real.contains(offer), "{interface}: {offer} is not in {real:#?}"));
    }
}

/// The methods, signals and properties of an interface, each with its types.
fn offers(introspection: &str, interface: &str) -> Vec<String> {
    let begin = format!("<interface name=\"{interface}\">");
    let (_, inside) = introspection.split_once(&begin).unwrap_or_else(|| panic!("no {interface} in {introspection}"));
    let inside = inside.split("</interface>").next().unwrap_or_default();
    let mut offers: Vec<String> = Vec::new();
    for tag in inside.split('<') {
        let attribute = |name: &str| {
            let (_, value) = tag.split_once(&format!(" {name}=\""))?;
            value.split('"').next()
        };
        let word = tag.split([' ', '>']).next().unwrap_or_default();
        match (word, offers.last_mut()) {
            ("method" | "signal" | "property", _) => {
                let rest = [attribute("name"), attribute("type"), attribute("access")];
                offers.push(rest.iter().flatten().fold(word.to_owned(), |offer, part| format!("{offer} {part}")));
            }
            ("arg", Some(offer)) => {
                // What a signal carries goes one way only, and not everybody says so.
                let direction = attribute("direction").filter(|_| !offer.starts_with("signal")).unwrap_or("out");
                *offer += &format!(" {direction}:{}", attribute("type").unwrap_or_default());
            }
            ("annotation", Some(offer)) => {
                // Whether changes are told, and with their value.
                *offer += &format!(" {}", attribute("value").unwrap_or_default());
            }
            _ => {}
        }
    }
    offers
}
