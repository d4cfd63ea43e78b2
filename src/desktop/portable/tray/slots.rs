//! The entries of a menu, each in its place: what changes does so there, because a menu that is open stays open then.

use tray_icon::menu::{CheckMenuItem, IsMenuItem, Menu, MenuId, MenuItem, PredefinedMenuItem, Submenu};

use crate::desktop::Choice;
use crate::desktop::menu::Entry;
use crate::desktop::note::without_nul;

/// A menu's entries, or a submenu's.
#[derive(Default)]
pub struct Slots {
    /// What the ids of the entries begin with.
    prefix: String,
    slots: Vec<Slot>,
}

struct Slot {
    entry: Entry,
    item: Item,
}

/// What an entry is on the screen.
enum Item {
    /// These menus have nothing that is there and not seen.
    Hidden,
    Plain(MenuItem),
    Check(CheckMenuItem),
    Submenu(Submenu, Slots),
    Separator(PredefinedMenuItem),
}

/// What has entries.
pub trait Holder {
    fn put(&self, item: &dyn IsMenuItem, position: usize);
    fn remove(&self, item: &dyn IsMenuItem);
}

impl Holder for Menu {
    fn put(&self, item: &dyn IsMenuItem, position: usize) {
        told(self.insert(item, position));
    }

    fn remove(&self, item: &dyn IsMenuItem) {
        told(Menu::remove(self, item));
    }
}

impl Holder for Submenu {
    fn put(&self, item: &dyn IsMenuItem, position: usize) {
        told(self.insert(item, position));
    }

    fn remove(&self, item: &dyn IsMenuItem) {
        told(Submenu::remove(self, item));
    }
}

/// The platform has no menu of it; then at least somebody can read why.
fn told(done: tray_icon::menu::Result<()>) {
    if let Err(error) = done {
        tracing::debug!("the menu could not be changed: {error}");
    }
}

impl Slots {
    /// Makes the menu show these.
    pub fn show(&mut self, menu: &dyn Holder, entries: &[Entry]) {
        for gone in self.slots.drain(entries.len().min(self.slots.len())..) {
            gone.item.leave(menu);
        }
        let mut position = 0;
        for (place, entry) in entries.iter().enumerate() {
            let id = format!("{}{place}", self.prefix);
            match self.slots.get_mut(place) {
                Some(slot) => {
                    if slot.entry != *entry && !slot.item.becomes(entry) {
                        std::mem::replace(&mut slot.item, Item::new(entry, id)).leave(menu);
                        slot.item.enter(menu, position);
                    }
                    slot.entry = entry.clone();
                }
                None => {
                    let item = Item::new(entry, id);
                    item.enter(menu, position);
                    self.slots.push(Slot { entry: entry.clone(), item });
                }
            }
            position += usize::from(self.slots[place].item.shown().is_some());
        }
    }

    /// What is to be done when the entry with this id was chosen.
    pub fn chosen(&self, id: &MenuId) -> Option<Choice> {
        self.slots.iter().find_map(|slot| match (&slot.item, &slot.entry) {
            (Item::Plain(item), Entry::Action { choice, .. }) if item.id() == id => Some(choice.clone()),
            (Item::Check(item), Entry::Check { is_on, choice, .. }) if item.id() == id => {
                // The platform has changed the mark by itself, and doesn't know what comes of the choice.
                item.set_checked(*is_on);
                Some(choice.clone())
            }
            (Item::Submenu(_, slots), _) => slots.chosen(id),
            _ => None,
        })
    }
}

impl Item {
    fn new(entry: &Entry, id: String) -> Self {
        match entry {
            Entry::Hidden => Self::Hidden,
            Entry::Separator => Self::Separator(PredefinedMenuItem::separator()),
            Entry::Label(text) => Self::Plain(MenuItem::with_id(id, label(text), false, None)),
            Entry::Action { label: text, .. } => Self::Plain(MenuItem::with_id(id, label(text), true, None)),
            Entry::Check { label: text, is_on, .. } => {
                Self::Check(CheckMenuItem::with_id(id, label(text), true, *is_on, None))
            }
            Entry::Submenu { label: text, entries } => {
                let mut slots = Slots { prefix: format!("{id}."), slots: Vec::new() };
                let submenu = Submenu::with_id(id, label(text), true);
                slots.show(&submenu, entries);
                Self::Submenu(submenu, slots)
            }
        }
    }

    /// Shows another entry in the same place; false where that needs another kind of item.
    fn becomes(&mut self, entry: &Entry) -> bool {
        match (self, entry) {
            (Self::Hidden, Entry::Hidden) | (Self::Separator(_), Entry::Separator) => {}
            (Self::Plain(item), Entry::Label(text)) => {
                item.set_text(label(text));
                item.set_enabled(false);
            }
            (Self::Plain(item), Entry::Action { label: text, .. }) => {
                item.set_text(label(text));
                item.set_enabled(true);
            }
            (Self::Check(item), Entry::Check { label: text, is_on, .. }) => {
                item.set_text(label(text));
                item.set_checked(*is_on);
            }
            (Self::Submenu(submenu, slots), Entry::Submenu { label: text, entries }) => {
                submenu.set_text(label(text));
                slots.show(submenu, entries);
            }
            _ => return false,
        }
        true
    }

    fn shown(&self) -> Option<&dyn IsMenuItem> {
        match self {
            Self::Hidden => None,
            Self::Plain(item) => Some(item),
            Self::Check(item) => Some(item),
            Self::Submenu(submenu, _) => Some(submenu),
            Self::Separator(line) => Some(line),
        }
    }

    fn enter(&self, menu: &dyn Holder, position: usize) {
        if let Some(item) = self.shown() {
            menu.put(item, position);
        }
    }

    fn leave(&self, menu: &dyn Holder) {
        if let Some(item) = self.shown() {
            menu.remove(item);
        }
    }
}

/// In these menus `&` marks an access key, `&&` is an ampersand.
fn label(text: &str) -> String {
    without_nul(text).replace('&', "&&")
}

// On Windows and macOS a menu belongs to the main thread, which tests don't have.
#[cfg(all(test, not(any(windows, target_os = "macos"))))]
mod tests {
    use tray_icon::menu::MenuItemKind;

    use super::*;

    fn action(label: &str, choice: Choice) -> Entry {
        Entry::Action { label: label.to_owned(), choice }
    }

    fn text(items: &[MenuItemKind]) -> String {
        let line = |item: &MenuItemKind| match item {
            MenuItemKind::MenuItem(item) if item.is_enabled() => item.text(),
            MenuItemKind::MenuItem(item) => format!("({})", item.text()),
            MenuItemKind::Check(item) => format!("{} {}", if item.is_checked() { "✓" } else { "☐" }, item.text()),
            MenuItemKind::Submenu(item) => format!("{} > {}", item.text(), text(&item.items())),
            _ => "---".to_owned(),
        };
        items.iter().map(line).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn entries_come_change_and_go_in_their_places() {
        let (menu, mut slots) = (Menu::new(), Slots::default());
        let mut shows = |entries: &[Entry], expected: &str| {
            slots.show(&menu, entries);
            assert_eq!(text(&menu.items()), expected);
        };
        let (fetch, quit) = (action("Fetch", Choice::Fetch), action("Quit", Choice::Quit));
        let label = |text: &str| Entry::Label(text.to_owned());
        let more = |entries: Vec<Entry>| Entry::Submenu { label: "More".into(), entries };
        shows(&[label("a & b_c"), Entry::Hidden, Entry::Separator, quit.clone()], "(a && b_c)|---|Quit");
        shows(&[label("none"), fetch.clone(), Entry::Separator, quit.clone()], "(none)|Fetch|---|Quit");
        shows(&[fetch.clone(), label("x"), more(vec![label("y")]), quit.clone()], "Fetch|(x)|More > (y)|Quit");
        shows(
            &[fetch.clone(), label("x"), more(vec![Entry::Hidden, quit.clone()]), quit.clone()],
            "Fetch|(x)|More > Quit|Quit",
        );
        let check = |is_on| Entry::Check { label: "c".into(), is_on, choice: Choice::StartAtLogin(!is_on) };
        shows(&[check(false), Entry::Hidden, more(Vec::new())], "☐ c|More > ");
        shows(&[check(true)], "✓ c");
        shows(&[], "");
        shows(&[quit, fetch], "Quit|Fetch");
    }

    #[test]
    fn what_is_chosen_is_what_stands_there_now() {
        let (menu, mut slots) = (Menu::new(), Slots::default());
        let pauses = |choice| vec![Entry::Submenu { label: "p".into(), entries: vec![action("now", choice)] }];
        slots.show(&menu, &pauses(Choice::Resume));
        slots.show(&menu, &pauses(Choice::Fetch));
        assert_eq!(slots.chosen(&"0.0".into()), Some(Choice::Fetch));
        assert_eq!(slots.chosen(&"0".into()), None, "a submenu only opens");
        slots.show(&menu, &[Entry::Label("p".into())]);
        assert_eq!((slots.chosen(&"0".into()), slots.chosen(&"0.0".into())), (None, None));
    }

    #[test]
    fn a_mark_says_how_things_stand_and_not_that_somebody_clicked() {
        let (menu, mut slots) = (Menu::new(), Slots::default());
        slots.show(&menu, &[Entry::Check { label: "c".into(), is_on: false, choice: Choice::StartAtLogin(true) }]);
        if let [MenuItemKind::Check(item)] = menu.items().as_slice() {
            item.set_checked(true);
        }
        assert_eq!(slots.chosen(&"0".into()), Some(Choice::StartAtLogin(true)));
        assert_eq!(text(&menu.items()), "☐ c");
    }
}
