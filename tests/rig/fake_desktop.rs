//! The private bus, and the fake notification service and tray on it.

use std::time::Duration;

use super::{NOTIFICATIONS, listen, notify};
use crate::support::bus::{Bus, Client};
use crate::support::desktop::{Behaviour, Desktop, SPEAKS_DBUS};
use crate::support::require;

#[test]
fn fake_notifications_are_recorded_numbered_and_replaced() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::on(&bus).without_tray().capabilities(&["body", "actions"]).start();
    let client = Client::connect(&bus.address());

    let capabilities: Vec<String> = client.call(NOTIFICATIONS, "GetCapabilities", &()).expect("it answers");
    assert_eq!(capabilities, ["body", "actions"]);
    assert_eq!(notify(&client, 0, "first").expect("it answers"), 1);
    assert_eq!(notify(&client, 0, "second").expect("it answers"), 2);
    assert_eq!(notify(&client, 1, "first again").expect("it answers"), 1);

    let first = desktop.next_notification();
    assert_eq!((first.id, first.summary.as_str(), first.body.as_str()), (1, "first", "a body"));
    assert_eq!((first.app_name.as_str(), first.replaces_id, first.timeout), ("rig", 0, 0));
    assert_eq!(first.action("default"), Some("Open"));
    assert_eq!(first.hint::<String>("category").as_deref(), Some("email.arrived"));
    assert_eq!(desktop.next_notification().summary, "second");
    assert_eq!(desktop.next_notification().replaces_id, 1);
    assert!(desktop.try_notification().is_none());
    assert_eq!(desktop.shown(), [1, 2]);
}

#[test]
fn fake_notifications_tell_of_clicks_and_ends() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let client = Client::connect(&bus.address());
    let next = listen(&client);
    for summary in ["clicked", "dismissed", "withdrawn"] {
        notify(&client, 0, summary).expect("it answers");
    }

    desktop.click(1, "default");
    desktop.dismiss(2);
    let () = client.call(NOTIFICATIONS, "CloseNotification", &3u32).expect("it answers");

    if SPEAKS_DBUS {
        assert_eq!(next(), "ActivationToken 1 token-1");
    }
    assert_eq!(next(), "ActionInvoked 1 default");
    assert_eq!(next(), "NotificationClosed 2 2");
    assert_eq!(next(), "NotificationClosed 3 3");
    assert_eq!(desktop.next_close(), 3);
    assert_eq!(desktop.shown(), [1]);
}

#[test]
fn fake_notifications_stop_start_and_misbehave() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let mut desktop = Desktop::start(&bus);
    let client = Client::connect(&bus.address());
    notify(&client, 0, "before").expect("it answers");

    desktop.behave(Behaviour::Refuse);
    notify(&client, 0, "refused").expect_err("it refuses");
    desktop.behave(Behaviour::Hang);
    let hasty = Client::connect_with(&bus.address(), Duration::from_millis(100));
    notify(&hasty, 0, "never answered").expect_err("it hangs until the client gives up");
    desktop.stop_notifications();
    notify(&client, 0, "nobody there").expect_err("nobody has the name");
    desktop.start_notifications();

    assert_eq!(notify(&client, 0, "after").expect("it answers"), 1, "a new service counts from 1");
    let summaries = [desktop.next_notification().summary, desktop.next_notification().summary];
    assert_eq!(summaries, ["before", "after"]);
}

#[test]
fn bus_comes_back_at_the_same_address() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let mut bus = Bus::start();
    let address = bus.address();
    assert!(Client::connect(&address).is_owned("org.freedesktop.DBus"));
    bus.stop();
    bus.restart();
    assert_eq!(bus.address(), address);
    assert!(Client::connect(&address).is_owned("org.freedesktop.DBus"));
}
