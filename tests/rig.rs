//! The parts of `support` tested by themselves, without the program: a fake that doesn't do what it says would make
//! every test that stands on it worthless.

mod basics;
mod fake_desktop;
mod fake_logind;
mod real_programs;
// ksni is there in this build alone.
#[cfg(feature = "dbus")]
mod trays;

use std::collections::HashMap;

use zbus6::Variant;

use crate::support::bus::{Client, Place};
use crate::support::wait::EVENTUALLY;

const NOTIFICATIONS: Place<'static> = Place {
    service: "org.freedesktop.Notifications",
    path: "/org/freedesktop/Notifications",
    interface: "org.freedesktop.Notifications",
};

/// Shows a notification with one action, and returns its id.
fn notify(client: &Client, replaces: u32, summary: &str) -> zbus6::Result<u32> {
    let hints = HashMap::from([("category", Variant::from("email.arrived"))]);
    let actions = vec!["default", "Open"];
    client.call(NOTIFICATIONS, "Notify", &("rig", replaces, "", summary, "a body", actions, hints, 0i32))
}

/// Hears what the notification service tells this client, as lines of text.
fn listen(client: &Client) -> impl Fn() -> String {
    let signals = client.listen("type='signal',interface='org.freedesktop.Notifications'");
    move || {
        let signal = signals.recv_timeout(EVENTUALLY).expect("a signal");
        let name = signal.header().member().map(ToString::to_string).unwrap_or_default();
        let body = signal.body();
        let text = body.deserialize().map(|(id, text): (u32, String)| format!("{name} {id} {text}"));
        let number = || body.deserialize().map(|(id, number): (u32, u32)| format!("{name} {id} {number}"));
        text.or_else(|_| number()).expect("an id and something")
    }
}
