//! On Linux and the BSDs: each popup with a connection of its own, which notify-rust keeps for its answers.

use std::sync::Arc;

use notify_rust::{Hint, Notification, NotificationHandle, Urgency};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Said;
use crate::desktop::attempts::PATIENCE;
use crate::desktop::note::{Caps, Note, Rendered, without_nul};
use crate::desktop::portable::presence::why;
use crate::desktop::showing::ShowError;

/// A popup that is on the screen can say something else.
pub const CAN_CHANGE: bool = true;

pub fn introduce_us() {}

pub struct Popup {
    handle: Arc<NotificationHandle>,
    /// Ends with the popup, where the service tells of that: one that has crashed doesn't.
    answer: JoinHandle<()>,
}

impl Drop for Popup {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

pub async fn show(
    mut notification: Notification,
    earlier: Option<&Popup>,
    tell: impl FnOnce(Said) + Send + 'static,
) -> Result<Popup, ShowError> {
    if let Some(earlier) = earlier {
        notification.id(earlier.handle.id());
    }
    let handle = match timeout(PATIENCE, notification.show_async()).await {
        Err(_) => return Err(ShowError::Silent),
        Ok(shown) => Arc::new(shown.map_err(|error| why(&error.to_string()))?),
    };
    let shown = Arc::clone(&handle);
    let answer = tokio::spawn(async move {
        shown.wait_for_action_async(|response: &notify_rust::NotificationResponse| tell(response.into())).await;
    });
    Ok(Popup { handle, answer })
}

impl Popup {
    /// Fails only where the service is silent.
    pub async fn close(self) -> Result<(), ShowError> {
        timeout(PATIENCE, self.handle.close_async()).await.map_err(|_| ShowError::Silent)
    }
}

/// Not every service has a click on the popup itself.
pub fn has_button(_action: &str) -> bool {
    true
}

pub fn finish(notification: &mut Notification, note: &Note, rendered: &Rendered, caps: &Caps) {
    notification.icon(note.icon.as_deref().unwrap_or("mailknock"));
    notification.hint(Hint::Category("email.arrived".to_owned()));
    // GNOME takes down what belongs to a program of its list as soon as who showed it leaves the bus.
    if note.open_label.is_some() {
        notification.hint(Hint::DesktopEntry("mailknock".to_owned()));
    }
    notification.urgency(match rendered.urgency {
        0 => Urgency::Low,
        1 => Urgency::Normal,
        _ => Urgency::Critical,
    });
    // Plasma writes it beside the program's name.
    if let Some(account) = &note.account {
        notification.hint(Hint::Custom("x-kde-origin-name".to_owned(), without_nul(account)));
    }
    match &rendered.sound {
        Some(sound) => drop(notification.sound_name(sound)),
        None if caps.sound => drop(notification.hint(Hint::SuppressSound(true))),
        None => {}
    }
}
