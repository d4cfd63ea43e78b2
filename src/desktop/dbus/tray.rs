//! The tray icon: a StatusNotifierItem with a DBusMenu, carried by ksni on its own connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ksni::menu::{CheckmarkItem, MenuItem, StandardItem, SubMenu};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

use super::PATIENCE;
use crate::desktop::icons;
use crate::desktop::menu::{Entry, TrayView};
use crate::desktop::note::{escape_markup, without_nul};
use crate::desktop::{Availability, Choice, DesktopEvent};

pub struct Item {
    view: TrayView,
    events: UnboundedSender<DesktopEvent>,
    online: Arc<AtomicBool>,
}

impl Item {
    /// Registers the icon, also where no panel is yet: it appears with the panel.
    pub async fn register(view: TrayView, events: UnboundedSender<DesktopEvent>) -> Result<Icon, String> {
        use ksni::TrayMethods;
        let online = Arc::new(AtomicBool::new(true));
        let item = Self { view, events, online: online.clone() };
        match timeout(PATIENCE, item.assume_sni_available(true).spawn()).await {
            Ok(Ok(handle)) => Ok(Icon { handle, online }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the panel does not answer".to_owned()),
        }
    }

    fn tell(&self, event: DesktopEvent) {
        // Once the program has stopped listening, what is clicked no longer matters.
        let _ = self.events.send(event);
    }
}

/// A registered icon.
pub struct Icon {
    handle: ksni::Handle<Item>,
    online: Arc<AtomicBool>,
}

impl Icon {
    /// Whether a panel's watcher knows of it.
    pub fn is_online(&self) -> bool {
        self.online.load(Ordering::Relaxed)
    }

    pub async fn show(&self, view: TrayView) {
        let _ = timeout(PATIENCE, self.handle.update(|item| item.view = view)).await;
    }

    /// Dropping the handle of a service whose bus is gone panics in ksni's task; asking it to shut down does not.
    pub async fn remove(self) {
        let _ = timeout(PATIENCE, self.handle.shutdown()).await;
    }
}

impl ksni::Tray for Item {
    fn id(&self) -> String {
        "mailknock".to_owned()
    }

    fn title(&self) -> String {
        "Mailknock".to_owned()
    }

    fn category(&self) -> ksni::Category {
        ksni::Category::Communications
    }

    fn icon_pixmap(&self) -> Vec<ksni::Icon> {
        icons::tray(self.view.icon, self.view.number, self.view.theme).into_iter().map(argb).collect()
    }

    fn tool_tip(&self) -> ksni::ToolTip {
        ksni::ToolTip {
            title: "Mailknock".to_owned(),
            // Panels read it as markup; an invalid one would show nothing at all.
            description: escape_markup(&without_nul(&self.view.tooltip)),
            ..ksni::ToolTip::default()
        }
    }

    fn activate(&mut self, _x: i32, _y: i32) {
        self.tell(DesktopEvent::TrayClicked { activation_token: ksni::current_xdg_activation_token() });
    }

    fn secondary_activate(&mut self, x: i32, y: i32) {
        self.activate(x, y);
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        items(&self.view.menu)
    }

    fn menu_about_to_show(&mut self) {
        self.tell(DesktopEvent::MenuOpened);
    }

    fn watcher_online(&self) {
        self.online.store(true, Ordering::Relaxed);
        self.tell(DesktopEvent::Tray(Availability::Here));
    }

    fn watcher_offline(&self, _reason: ksni::OfflineReason) -> bool {
        self.online.store(false, Ordering::Relaxed);
        self.tell(DesktopEvent::Tray(Availability::Absent("no panel with a tray".to_owned())));
        true
    }
}

fn items(entries: &[Entry]) -> Vec<MenuItem<Item>> {
    entries.iter().map(item).collect()
}

fn item(entry: &Entry) -> MenuItem<Item> {
    match entry {
        Entry::Separator => MenuItem::Separator,
        Entry::Hidden => StandardItem { visible: false, ..StandardItem::default() }.into(),
        Entry::Label(text) => StandardItem { label: label(text), enabled: false, ..StandardItem::default() }.into(),
        Entry::Submenu { label: text, entries } => {
            SubMenu { label: label(text), submenu: items(entries), ..SubMenu::default() }.into()
        }
        Entry::Action { label: text, choice } => {
            StandardItem { label: label(text), activate: chosen(choice), ..StandardItem::default() }.into()
        }
        Entry::Check { label: text, is_on, choice } => {
            let (label, activate) = (label(text), chosen(choice));
            CheckmarkItem { label, checked: *is_on, activate, ..CheckmarkItem::default() }.into()
        }
    }
}

fn chosen(choice: &Choice) -> Box<dyn Fn(&mut Item) + Send> {
    let choice = choice.clone();
    Box::new(move |item| {
        let activation_token = ksni::current_xdg_activation_token();
        item.tell(DesktopEvent::Chosen { choice: choice.clone(), activation_token });
    })
}

/// In a menu `_` marks an access key, `__` is an underscore.
fn label(text: &str) -> String {
    without_nul(text).replace('_', "__")
}

fn argb(picture: icons::Picture) -> ksni::Icon {
    let mut data = picture.rgba;
    for pixel in data.chunks_exact_mut(4) {
        pixel.rotate_right(1);
    }
    ksni::Icon { width: picture.width.into(), height: picture.height.into(), data }
}
