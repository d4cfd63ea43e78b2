//! The fake logind on its system bus.

use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

use zbus::zvariant;

use crate::support::bus::{Client, Place};
use crate::support::desktop::Behaviour;
use crate::support::logind::Logind;
use crate::support::program::Program;
use crate::support::require;
use crate::support::wait::{SOON, holds, wait_until};

const LOGIND: Place<'static> = Place {
    service: "org.freedesktop.login1",
    path: "/org/freedesktop/login1",
    interface: "org.freedesktop.login1.Manager",
};

fn inhibit(client: &Client) -> zbus::Result<OwnedFd> {
    let taken: zvariant::OwnedFd = client.call(LOGIND, "Inhibit", &("sleep", "rig", "to try it", "delay"))?;
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
