//! Trays, fake and real, with a tray item of ksni's.

use std::io::Read;
use std::process::{Command, Stdio};

use ksni::TrayMethods;
use ksni::menu::{CheckmarkItem, MenuItem, StandardItem, SubMenu};
use tempfile::TempDir;

use crate::support::bus::{Background, Bus};
use crate::support::desktop::{Desktop, EntryKind};
use crate::support::program::Program;
use crate::support::real_desktop::RealDesktop;
use crate::support::require;
use crate::support::wait::{EVENTUALLY, holds, wait_at_most};

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
        command.args(["--exact", "rig::trays::tray_item_for_the_other_tests", "--nocapture"]);
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

#[test]
fn fake_tray_shows_an_item_and_clicks_it() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let mut desktop = Desktop::start(&bus);
    let program = TrayProgram::start([("DBUS_SESSION_BUS_ADDRESS", bus.address())]);
    let item = desktop.tray();

    assert_eq!((item.id().as_str(), item.title().as_str(), item.status().as_str()), ("rig", "The rig", "Active"));
    let tooltip = item.tooltip();
    assert_eq!((tooltip.title.as_str(), tooltip.text.as_str()), ("The rig", "3 &lt; 4"));
    let icon = item.icon().remove(0);
    assert_eq!((icon.0, icon.1, icon.2.len()), (22, 22, 22 * 22 * 4));
    assert_eq!(item.labels(), ["First", "Greyed", "Pause", "More", "Inner item_s"]);
    assert_eq!(item.entry("Pause").kind, EntryKind::Check(true));
    assert!(!item.entry("Greyed").enabled);

    item.click();
    program.wait_done("clicked");
    item.choose("Inner");
    program.wait_done("inner");

    // Only from here on does ksni hear that a tray comes or goes.
    program.wait_done("shown");
    desktop.stop_tray();
    desktop.start_tray();
    assert_eq!(desktop.tray().id(), "rig", "the item comes back with the tray");
    drop(program);
    desktop.wait_tray_empty();
}

#[test]
fn real_tray_is_clicked_opened_and_seen() {
    if !RealDesktop::available() {
        return;
    }
    let desktop = RealDesktop::start();
    let program = TrayProgram::start(desktop.environment());
    desktop.click_tray();
    program.wait_done("clicked");
    desktop.open_tray_menu();
    desktop.press("Down");
    desktop.press("Return");
    program.wait_done("first");
    desktop.wait_menu_closed();

    let directory = tempfile::tempdir().expect("a temporary directory");
    let picture = directory.path().join("screen.png");
    desktop.screenshot(&picture);
    assert!(std::fs::read(&picture).expect("a picture").starts_with(b"\x89PNG"));
}
