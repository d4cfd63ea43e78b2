//! The icon and its menu, on the one thread that may touch them.

mod slots;

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::UnboundedSender;
use tray_icon::menu::{Menu, MenuEvent, MenuId};
use tray_icon::{Icon as Pixels, MouseButton, MouseButtonState, TrayIcon, TrayIconBuilder, TrayIconEvent};

use crate::desktop::icons::{self, Picture};
use crate::desktop::menu::TrayView;
use crate::desktop::{Availability, DesktopEvent};
use slots::Slots;

/// The crate's own ids are counted, and change with every icon.
const ID: &str = "mailknock";

/// What is to be done on the icon's thread.
#[derive(Debug)]
pub enum Errand {
    /// From now on these are told what people do.
    Tell(UnboundedSender<DesktopEvent>),
    Show(Box<TrayView>),
    Hide,
    /// The panel doesn't know of it: make it anew.
    Renew,
    /// Something in the menu was chosen.
    Chosen(MenuId),
    End,
}

/// The icon, shown or not.
pub struct Icon {
    /// How long the side of the picture should be.
    side: f64,
    events: Option<UnboundedSender<DesktopEvent>>,
    view: Option<TrayView>,
    shown: Option<Shown>,
}

struct Shown {
    icon: TrayIcon,
    menu: Menu,
    slots: Slots,
    view: TrayView,
}

impl Icon {
    pub fn new(side: f64) -> Self {
        Self { side, events: None, view: None, shown: None }
    }

    /// Has everything that people do with the icon told to this thread, by `post`, or to the program.
    fn tell(&mut self, events: UnboundedSender<DesktopEvent>, post: impl Fn(Errand) + Send + Sync + 'static) {
        self.events = Some(events.clone());
        // These are called on whatever thread the platform has for it, which must not be held up.
        MenuEvent::set_event_handler(Some(move |event: MenuEvent| post(Errand::Chosen(event.id))));
        let after_double = AtomicBool::new(false);
        TrayIconEvent::set_event_handler(Some(move |event| {
            if let Some(event) = meant(&event, &after_double) {
                // Once the program has stopped listening, what is clicked no longer matters.
                let _ = events.send(event);
            }
        }));
    }

    /// Does it; `post` is how another thread gets something done here.
    pub fn take(&mut self, errand: Errand, post: impl Fn(Errand) + Send + Sync + 'static) {
        match errand {
            Errand::Tell(events) => self.tell(events, post),
            Errand::Show(view) => {
                self.view = Some(*view);
                self.show();
            }
            Errand::Hide => (self.view, self.shown) = (None, None),
            Errand::Renew => {
                self.shown = None;
                self.show();
            }
            Errand::Chosen(id) => {
                let choice = self.shown.as_ref().and_then(|shown| shown.slots.chosen(&id));
                if let Some(choice) = choice {
                    self.say(DesktopEvent::Chosen { choice, activation_token: None });
                }
            }
            Errand::End => {}
        }
    }

    fn show(&mut self) {
        let Some(view) = &self.view else { return };
        match &mut self.shown {
            Some(shown) => shown.change(view, self.side),
            None => match Shown::new(view, self.side) {
                Ok(shown) => self.shown = Some(shown),
                Err(error) => self.say(DesktopEvent::Tray(Availability::Absent(error.to_string()))),
            },
        }
    }

    fn say(&self, event: DesktopEvent) {
        if let Some(events) = &self.events {
            let _ = events.send(event);
        }
    }
}

impl Shown {
    fn new(view: &TrayView, side: f64) -> tray_icon::Result<Self> {
        let (menu, mut slots) = (Menu::new(), Slots::default());
        slots.show(&menu, &view.menu);
        let builder = TrayIconBuilder::new().with_id(ID).with_tooltip(tooltip(&view.tooltip));
        // A left click does what the configuration says.
        let builder = builder.with_menu(Box::new(menu.clone())).with_menu_on_left_click(false);
        // On macOS a title stands beside the icon, and takes the room of others.
        #[cfg(not(target_os = "macos"))]
        let builder = builder.with_title("Mailknock");
        let icon = with_picture(builder, view, side).build()?;
        Ok(Self { icon, menu, slots, view: view.clone() })
    }

    fn change(&mut self, view: &TrayView, side: f64) {
        let look = |view: &TrayView| (view.icon, view.number, view.theme);
        // A setter fails where the icon is gone: whoever sees that has it made anew.
        if look(view) != look(&self.view) {
            let _ = set_picture(&self.icon, view, side);
        }
        if view.tooltip != self.view.tooltip {
            let _ = self.icon.set_tooltip(Some(tooltip(&view.tooltip)));
        }
        self.slots.show(&self.menu, &view.menu);
        self.view = view.clone();
    }
}

/// What somebody meant by what the mouse did.
fn meant(event: &TrayIconEvent, after_double: &AtomicBool) -> Option<DesktopEvent> {
    match event {
        TrayIconEvent::Click { button: MouseButton::Left | MouseButton::Middle, button_state, .. }
            if *button_state == MouseButtonState::Up =>
        {
            // A double click is one: its first half has done what is to be done.
            let is_second = after_double.swap(false, Ordering::Relaxed);
            (!is_second).then_some(DesktopEvent::TrayClicked { activation_token: None })
        }
        TrayIconEvent::DoubleClick { .. } => {
            after_double.store(true, Ordering::Relaxed);
            None
        }
        // It opens the menu. The panels of Linux tell nothing of that.
        TrayIconEvent::Click { button: MouseButton::Right, button_state: MouseButtonState::Down, .. } => {
            Some(DesktopEvent::MenuOpened)
        }
        _ => None,
    }
}

/// The picture whose side is nearest to this.
fn picture(view: &TrayView, side: f64) -> Option<Pixels> {
    let distance = |picture: &Picture| (f64::from(picture.width) - side).abs();
    let pictures = icons::tray(view.icon, view.number, theme(view)).into_iter();
    let picture = pictures.min_by(|one, other| distance(one).total_cmp(&distance(other)))?;
    Pixels::from_rgba(picture.rgba, picture.width.into(), picture.height.into()).ok()
}

/// Windows has room for this many units of UTF-16, and tray-icon leaves out the end of what is longer.
#[cfg(any(windows, test))]
fn cut(text: &str) -> String {
    const ROOM: usize = 127;
    let ends = text.chars().scan(0, |units, c| {
        *units += c.len_utf16();
        Some((*units, c))
    });
    ends.take_while(|(units, _)| *units <= ROOM).map(|(_, c)| c).collect()
}

#[cfg(not(target_os = "macos"))]
mod look {
    use super::{TrayIcon, TrayIconBuilder, TrayView, picture};
    use crate::desktop::icons::Theme;

    pub fn theme(view: &TrayView) -> Theme {
        view.theme
    }

    pub fn with_picture(builder: TrayIconBuilder, view: &TrayView, side: f64) -> TrayIconBuilder {
        match picture(view, side) {
            Some(picture) => builder.with_icon(picture),
            None => builder,
        }
    }

    pub fn set_picture(icon: &TrayIcon, view: &TrayView, side: f64) -> tray_icon::Result<()> {
        icon.set_icon(picture(view, side))
    }

    #[cfg(windows)]
    pub fn tooltip(text: &str) -> String {
        super::cut(&crate::desktop::note::without_nul(text))
    }

    /// Panels read it as markup; an invalid one would show nothing at all.
    #[cfg(not(windows))]
    pub fn tooltip(text: &str) -> String {
        use crate::desktop::note::{escape_markup, without_nul};
        escape_markup(&without_nul(text))
    }
}

/// In the menu bar an icon without colours is drawn by the system in the bar's own colour, as a template. What has a
/// mark keeps its colours: as a template a number would be a blot.
#[cfg(target_os = "macos")]
mod look {
    use super::{TrayIcon, TrayIconBuilder, TrayView, picture};
    use crate::desktop::icons::Theme;
    use crate::desktop::menu::IconState;
    use crate::desktop::note::without_nul;

    fn is_template(view: &TrayView) -> bool {
        view.theme == Theme::Auto && view.icon == IconState::Idle && view.number.is_none()
    }

    pub fn theme(view: &TrayView) -> Theme {
        // This one is an outline with nothing behind it.
        if is_template(view) { Theme::Dark } else { view.theme }
    }

    pub fn with_picture(builder: TrayIconBuilder, view: &TrayView, side: f64) -> TrayIconBuilder {
        match picture(view, side) {
            Some(picture) if is_template(view) => builder.with_icon_templated(picture),
            Some(picture) => builder.with_icon(picture),
            None => builder,
        }
    }

    pub fn set_picture(icon: &TrayIcon, view: &TrayView, side: f64) -> tray_icon::Result<()> {
        match is_template(view) {
            true => icon.set_icon_templated(picture(view, side)),
            false => icon.set_icon(picture(view, side)),
        }
    }

    pub fn tooltip(text: &str) -> String {
        without_nul(text)
    }
}

use look::{set_picture, theme, tooltip, with_picture};

#[cfg(test)]
mod tests {
    use super::*;

    fn click(button: MouseButton, button_state: MouseButtonState) -> TrayIconEvent {
        let (position, rect) = Default::default();
        TrayIconEvent::Click { id: ID.into(), position, rect, button, button_state }
    }

    #[test]
    fn a_click_counts_when_the_button_comes_up_and_a_double_click_once() {
        let clicked = Some(DesktopEvent::TrayClicked { activation_token: None });
        let after_double = AtomicBool::new(false);
        let (position, rect) = Default::default();
        let double = TrayIconEvent::DoubleClick { id: ID.into(), position, rect, button: MouseButton::Left };
        let (down, up) = (MouseButtonState::Down, MouseButtonState::Up);
        // As Windows tells of a double click and of one more.
        let told = [
            click(MouseButton::Left, down),
            click(MouseButton::Left, up),
            double,
            click(MouseButton::Left, up),
            click(MouseButton::Left, up),
        ];
        let meant = told.map(|event| meant(&event, &after_double));
        assert_eq!(meant, [None, clicked.clone(), None, None, clicked]);
    }

    #[test]
    fn a_tooltip_fits_where_windows_puts_it() {
        assert_eq!(cut("two\nlines"), "two\nlines");
        assert_eq!(cut(&"x".repeat(200)), "x".repeat(127));
        assert_eq!(cut(&"😀".repeat(200)), "😀".repeat(63));
    }

    #[test]
    fn the_right_button_opens_the_menu() {
        let after_double = AtomicBool::new(false);
        let meant = |state| meant(&click(MouseButton::Right, state), &after_double);
        assert_eq!(
            (meant(MouseButtonState::Down), meant(MouseButtonState::Up)),
            (Some(DesktopEvent::MenuOpened), None)
        );
    }
}
