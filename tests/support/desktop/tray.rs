//! A program's tray item and its menu, used as a tray host uses them for the user.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use zbus6::Connection;
use zbus6::{OwnedVariant, Variant};

use super::SPEAKS_DBUS;
use crate::support::bus::{self, Background, Place};
use crate::support::wait::{SOON, wait_at_most, wait_until};

/// The tray item of a program, found through the watcher.
pub struct TrayItem {
    address: String,
    connection: Connection,
    background: Arc<Background>,
}

/// What a tray host shows when the pointer rests on the icon. The text is markup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tooltip {
    pub title: String,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    Plain,
    Separator,
    Check(bool),
    Radio(bool),
}

/// One line of the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MenuEntry {
    pub id: i32,
    /// As the user reads it: without the underscore that marks a letter for the keyboard.
    pub label: String,
    pub enabled: bool,
    pub visible: bool,
    pub kind: EntryKind,
    pub children: Vec<MenuEntry>,
}

/// A node of `com.canonical.dbusmenu`: id, properties, children.
type Node = (i32, HashMap<String, OwnedVariant>, Vec<OwnedVariant>);

impl TrayItem {
    pub fn new(address: String, connection: Connection, background: Arc<Background>) -> TrayItem {
        TrayItem { address, connection, background }
    }

    fn item(&self) -> Place<'_> {
        Place { service: &self.address, path: "/StatusNotifierItem", interface: "org.kde.StatusNotifierItem" }
    }

    fn menu_bar(&self) -> Place<'_> {
        Place { service: &self.address, path: "/MenuBar", interface: "com.canonical.dbusmenu" }
    }

    #[track_caller]
    fn property<T: TryFrom<OwnedVariant>>(&self, name: &str) -> T {
        let answer = self.background.wait(name, bus::property(&self.connection, self.item(), name));
        answer.unwrap_or_else(|error| panic!("failed to read `{name}` of the tray item: {error}"))
    }

    #[track_caller]
    fn act(&self, method: &str) {
        let position = (17i32, 584i32);
        let done = self.background.wait(method, bus::call(&self.connection, self.item(), method, &position));
        done.unwrap_or_else(|error| panic!("failed to call `{method}` of the tray item: {error}"))
    }

    /// A left click.
    #[track_caller]
    pub fn click(&self) {
        self.act("Activate");
    }

    #[track_caller]
    pub fn middle_click(&self) {
        self.act("SecondaryActivate");
    }

    #[track_caller]
    pub fn id(&self) -> String {
        self.property("Id")
    }

    #[track_caller]
    pub fn title(&self) -> String {
        self.property("Title")
    }

    /// `Passive`, `Active` or `NeedsAttention`.
    #[track_caller]
    pub fn status(&self) -> String {
        self.property("Status")
    }

    #[track_caller]
    pub fn tooltip(&self) -> Tooltip {
        type Wire = (String, Vec<(i32, i32, Vec<u8>)>, String, String);
        let (_, _, title, text): Wire = self.property("ToolTip");
        Tooltip { title, text }
    }

    /// Width, height and pixels (alpha, red, green, blue) for each size that the program offers.
    #[track_caller]
    pub fn icon(&self) -> Vec<(i32, i32, Vec<u8>)> {
        self.property("IconPixmap")
    }

    #[track_caller]
    pub fn attention_icon(&self) -> Vec<(i32, i32, Vec<u8>)> {
        self.property("AttentionIconPixmap")
    }

    #[track_caller]
    pub fn icon_name(&self) -> String {
        self.property("IconName")
    }

    /// The menu as it is now, read as a host does before it opens it.
    #[track_caller]
    pub fn menu(&self) -> Vec<MenuEntry> {
        let read = async {
            let _: bool = bus::call(&self.connection, self.menu_bar(), "AboutToShow", &0i32).await?;
            let everything = (0i32, -1i32, Vec::<String>::new());
            let (_, root): (u32, Node) = bus::call(&self.connection, self.menu_bar(), "GetLayout", &everything).await?;
            zbus6::Result::Ok(root)
        };
        let root = self.background.wait("reading the menu", read);
        entry(root.unwrap_or_else(|error| panic!("failed to read the menu: {error}"))).children
    }

    /// The labels of all visible entries, submenus included, in reading order.
    #[track_caller]
    pub fn labels(&self) -> Vec<String> {
        let menu = self.menu();
        visible(&menu).into_iter().map(|entry| entry.label.clone()).collect()
    }

    /// Waits until the menu's labels are as the test wants them, and returns them.
    #[track_caller]
    pub fn wait_menu(&self, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let last = RefCell::new(Vec::new());
        let log = || format!("the menu is {:#?}", last.borrow());
        wait_at_most(SOON, "the menu to have the wanted labels", log, || {
            *last.borrow_mut() = self.labels();
            wanted(&last.borrow()).then_some(())
        });
        last.take()
    }

    /// The first visible entry whose label starts with `prefix`; waits for it.
    #[track_caller]
    pub fn entry(&self, prefix: &str) -> MenuEntry {
        let last = RefCell::new(Vec::new());
        let log = || format!("the menu is {:#?}", last.borrow());
        wait_at_most(SOON, &format!("`{prefix}` in the menu"), log, || {
            let menu = self.menu();
            let found = visible(&menu).into_iter().find(|entry| entry.label.starts_with(prefix)).cloned();
            *last.borrow_mut() = menu;
            found
        })
    }

    /// The user picks the first visible entry whose label starts with `prefix`, in whatever submenu it is.
    #[track_caller]
    pub fn choose(&self, prefix: &str) {
        wait_until("the choice to be taken", || {
            let entry = self.entry(prefix);
            assert!(entry.enabled, "`{}` is greyed out", entry.label);
            let event = (entry.id, "clicked", Variant::from(0i32), 0u32);
            let sent = bus::call(&self.connection, self.menu_bar(), "Event", &event);
            let taken: zbus6::Result<()> = self.background.wait("choosing from the menu", sent);
            // The portable desktop numbers its entries anew when one comes or goes.
            let is_old = !SPEAKS_DBUS && taken.as_ref().is_err_and(|error| error.to_string().contains("id not found"));
            (!is_old).then(|| taken.expect("the program takes the click"))
        });
    }
}

fn visible(entries: &[MenuEntry]) -> Vec<&MenuEntry> {
    let shown = entries.iter().filter(|entry| entry.visible && entry.kind != EntryKind::Separator);
    shown.flat_map(|entry| std::iter::once(entry).chain(visible(&entry.children))).collect()
}

fn entry((id, properties, children): Node) -> MenuEntry {
    let text = |name: &str| properties.get(name).and_then(|value| String::try_from(value.try_clone().ok()?).ok());
    // What is absent has the protocol's default.
    let truth = |name: &str| properties.get(name).is_none_or(|value| bool::try_from(value).unwrap_or(true));
    let on = properties.get("toggle-state").is_some_and(|value| i32::try_from(value) == Ok(1));
    let kind = match (text("type").as_deref(), text("toggle-type").as_deref()) {
        (Some("separator"), _) => EntryKind::Separator,
        (_, Some("checkmark")) => EntryKind::Check(on),
        (_, Some("radio")) => EntryKind::Radio(on),
        _ => EntryKind::Plain,
    };
    let child = |child| Node::try_from(Variant::from(child)).map(entry).expect("children are nodes");
    MenuEntry {
        id,
        label: as_drawn(&text("label").unwrap_or_default()),
        enabled: truth("enabled"),
        visible: truth("visible"),
        kind,
        children: children.into_iter().map(child).collect(),
    }
}

/// Takes the keyboard marks out of a label: one underscore marks the next letter, two are an underscore.
fn as_drawn(label: &str) -> String {
    label.split("__").map(|part| part.replace('_', "")).collect::<Vec<_>>().join("_")
}
