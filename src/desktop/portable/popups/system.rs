//! On Windows (toasts) and macOS: neither can change a popup that is there, nor take it down.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

use notify_rust::{Notification, NotificationResponse};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Said;
use crate::desktop::attempts::PATIENCE;
use crate::desktop::note::{Caps, DEFAULT_ACTION, Note, Rendered};
use crate::desktop::showing::ShowError;

/// A change would be one more popup.
pub const CAN_CHANGE: bool = false;

/// How many popups are waited for, each by a thread; a click on one more does nothing.
const MOST_WAITED_FOR: usize = 32;
static WAITED_FOR: AtomicUsize = AtomicUsize::new(0);

/// What Windows and macOS know us by; there it is the bundle's identifier, in `packaging/macos/Info.plist`.
const WE: &str = if cfg!(windows) { "Mailknock.Mailknock" } else { "mailknock" };

/// Windows drops the toasts of those that it doesn't know.
#[cfg(windows)]
pub fn introduce_us() {
    let introduced = || {
        let key = windows_registry::CURRENT_USER.create(format!(r"Software\Classes\AppUserModelId\{WE}"))?;
        key.set_string("DisplayName", "Mailknock")?;
        match picture_file() {
            Some(file) => key.set_string("IconUri", file),
            None => Ok(()),
        }
    };
    if let Err(error) = introduced() {
        tracing::warn!("Windows may not show our notifications: {error}");
    }
}

/// The picture beside each toast has to be a file.
#[cfg(windows)]
fn picture_file() -> Option<String> {
    const PICTURE: &[u8] = include_bytes!("../../../../assets/icons/hicolor/128x128/apps/mailknock.png");
    let file = crate::paths::picture_file()?;
    if std::fs::read(&file).ok().as_deref() != Some(PICTURE) {
        std::fs::create_dir_all(file.parent()?).ok()?;
        std::fs::write(&file, PICTURE).ok()?;
    }
    file.to_str().map(str::to_owned)
}

/// Fails where we are no bundle; then macOS takes the terminal for the sender.
#[cfg(target_os = "macos")]
pub fn introduce_us() {
    if let Err(error) = notify_rust::set_application(WE) {
        tracing::debug!("notifications come from no bundle: {error}");
    }
}

pub struct Popup(());

pub async fn show(
    notification: Notification,
    _earlier: Option<&Popup>,
    tell: impl FnOnce(Said) + Send + 'static,
) -> Result<Popup, ShowError> {
    let (told, shown) = oneshot::channel();
    let thread = Builder::new().name("popup".to_owned()).spawn(move || match notification.show() {
        Err(error) => drop(told.send(Err(ShowError::Refused(error.to_string())))),
        Ok(handle) => {
            // Nobody waits where it took too long.
            let _ = told.send(Ok(Popup(())));
            if WAITED_FOR.fetch_add(1, Ordering::Relaxed) < MOST_WAITED_FOR {
                let mut said = Said::Closed(crate::desktop::ClosedBy::Other);
                // On macOS it is only now that it is shown.
                if let Err(error) = handle.wait_for_response(|response: &NotificationResponse| said = response.into()) {
                    said = Said::Failed(error.to_string());
                }
                tell(said);
            }
            WAITED_FOR.fetch_sub(1, Ordering::Relaxed);
        }
    });
    if let Err(error) = thread {
        return Err(ShowError::Refused(error.to_string()));
    }
    match timeout(PATIENCE, shown).await {
        Err(_) => Err(ShowError::Silent),
        Ok(shown) => shown.unwrap_or_else(|_| Err(ShowError::Refused("notify-rust gave up".to_owned()))),
    }
}

impl Popup {
    /// It stays where it is, and what is done with it no longer counts.
    pub async fn close(self) -> Result<(), ShowError> {
        Ok(())
    }
}

/// A click on the popup itself needs no button here.
pub fn has_button(action: &str) -> bool {
    action != DEFAULT_ACTION
}

#[cfg(windows)]
pub fn finish(notification: &mut Notification, note: &Note, rendered: &Rendered, _caps: &Caps) {
    notification.app_id(WE);
    // It has no sounds of our names, but one for everything.
    if rendered.sound.is_some() {
        notification.sound_name("Default");
    }
    if let Some(icon) = note.icon.as_deref().filter(|icon| std::path::Path::new(icon).is_file()) {
        notification.image_path(icon);
    }
    if rendered.urgency > 1 {
        notification.urgency(notify_rust::Urgency::Critical);
    }
}

#[cfg(target_os = "macos")]
pub fn finish(notification: &mut Notification, _note: &Note, rendered: &Rendered, _caps: &Caps) {
    if rendered.sound.is_some() {
        notification.sound_name("NSUserNotificationDefaultSoundName");
    }
}
