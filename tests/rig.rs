//! The parts of `support` tested by themselves, without the program: a fake that doesn't do what it says would make
//! every test that stands on it worthless. The tray item is ksni's, which registers with real hosts every day.

mod basics;
mod fake_desktop;
mod fake_logind;
mod real_programs;

use std::collections::HashMap;
use std::io::Read;
use std::process::{Command, Stdio};

use ksni::TrayMethods;
use ksni::menu::{CheckmarkItem, MenuItem, StandardItem, SubMenu};
use tempfile::TempDir;
use zbus::zvariant::Value;

use crate::support::bus::{Background, Client, Place};
use crate::support::program::Program;
use crate::support::wait::{EVENTUALLY, holds, wait_at_most};

const NOTIFICATIONS: Place<'static> = Place {
    service: "org.freedesktop.Notifications",
    path: "/org/freedesktop/Notifications",
    interface: "org.freedesktop.Notifications",
};

/// Shows a notification with one action, and returns its id.
fn notify(client: &Client, replaces: u32, summary: &str) -> zbus::Result<u32> {
    let hints = HashMap::from([("category", Value::from("email.arrived"))]);
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

/// A tray item that prints what is done to it.
#[derive(Debug)]
struct Item;

impl ksni::Tray for Item {
    fn id(&self) -> String {
        "rig".to_owned()
    }

    fn title(&self) -> String {
        "The rig".to_owned()
    }

    fn activate(&mut self, _x: i32, _y: i32) {
        println!("DONE: clicked");
    }

    fn icon_pixmap(&self) -> Vec<ksni::Icon> {
        let red = [255, 255, 0, 0].repeat(22 * 22);
        vec![ksni::Icon { width: 22, height: 22, data: red }]
    }

    fn tool_tip(&self) -> ksni::ToolTip {
        ksni::ToolTip { title: "The rig".to_owned(), description: "3 &lt; 4".to_owned(), ..Default::default() }
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        let plain = |label: &str, enabled, done: &'static str| StandardItem {
            label: label.to_owned(),
            enabled,
            activate: Box::new(move |_: &mut Item| println!("DONE: {done}")),
            ..Default::default()
        };
        let pause = CheckmarkItem { label: "Pause".to_owned(), checked: true, ..Default::default() };
        let inner = vec![plain("Inner _item__s", true, "inner").into()];
        let more = SubMenu { label: "More".to_owned(), submenu: inner, ..Default::default() };
        let (first, greyed) = (plain("First", true, "first"), plain("Greyed", false, "greyed"));
        vec![first.into(), greyed.into(), MenuItem::Separator, pause.into(), more.into()]
    }
}

/// Not a test of its own: the program that [`TrayProgram`] starts. ksni knows only the session bus of the
/// environment, which belongs to a whole process.
#[test]
fn tray_item_for_the_other_tests() {
    if std::env::var_os("RIG_SHOWS_TRAY_ITEM").is_none() {
        return;
    }
    let background = Background::start();
    let handle = background.wait("putting the item into the tray", Item.spawn());
    println!("DONE: shown");
    // The other side holds this pipe for as long as the item is wanted.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    background.wait("taking the item away", handle.expect("the bus is there").shutdown());
}

/// A program with a tray item, in a process of its own.
struct TrayProgram {
    program: Program,
    _log: TempDir,
}

impl TrayProgram {
    fn start(environment: impl IntoIterator<Item = (&'static str, String)>) -> TrayProgram {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new(std::env::current_exe().expect("we are running"));
        command.args(["--exact", "rig::tray_item_for_the_other_tests", "--nocapture"]);
        command.envs(environment).env("RIG_SHOWS_TRAY_ITEM", "1");
        let log = directory.path().join("log");
        TrayProgram { program: Program::start_reading(Stdio::piped(), &mut command, &log), _log: directory }
    }

    /// Waits until the item has printed that this was done to it.
    #[track_caller]
    fn wait_done(&self, what: &str) {
        wait_at_most(
            EVENTUALLY,
            what,
            || self.program.log(),
            || holds(self.program.log().contains(&format!("DONE: {what}\n"))),
        );
    }
}
