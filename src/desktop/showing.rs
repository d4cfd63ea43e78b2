//! Why a popup can fail to be shown, and which ones are shown a little later.

use std::time::Duration;

use tokio::time::Instant;

use super::Slot;
use super::note::Note;

/// Plasma takes no popup that says the same as the last one, taken less than a second ago.
#[cfg(not(any(windows, target_os = "macos")))]
const TOO_SOON: &str = "org.freedesktop.Notifications.Error.ExcessNotificationGeneration";
const SOON_ENOUGH: Duration = Duration::from_millis(1100);

/// Why a popup could not be shown.
#[derive(Debug)]
#[cfg_attr(any(windows, target_os = "macos"), expect(dead_code, reason = "there a popup is shown or refused"))]
pub enum ShowError {
    /// There is no service that could show anything.
    ServiceAbsent(String),
    /// The service is there and does not answer.
    Silent,
    /// This popup was refused.
    Refused(String),
    /// It says the same as the one before it; it would be taken a little later.
    TooSoon(String),
}

#[cfg(not(any(windows, target_os = "macos")))]
impl ShowError {
    /// From an error that the service, or the bus in its place, answered with.
    pub fn answered(name: &str, text: Option<String>) -> Self {
        let absent = ["ServiceUnknown", "NameHasNoOwner", "NoReply", "TimedOut", "Spawn."];
        let why = text.unwrap_or_else(|| name.to_owned());
        if name == TOO_SOON {
            return Self::TooSoon(why);
        }
        match name.strip_prefix("org.freedesktop.DBus.Error.") {
            Some(error) if absent.iter().any(|known| error.starts_with(known)) => Self::ServiceAbsent(why),
            _ => Self::Refused(why),
        }
    }
}

/// What somebody who waited for a popup is told of it.
pub fn in_words(shown: Result<(), ShowError>) -> Result<(), String> {
    match shown {
        // What says the same is on the screen already.
        Ok(()) | Err(ShowError::TooSoon(_)) => Ok(()),
        Err(ShowError::ServiceAbsent(why)) => Err(format!("no notification service: {why}")),
        Err(ShowError::Silent) => Err("the notification service does not answer".to_owned()),
        Err(ShowError::Refused(why)) => Err(format!("the notification service refused it: {why}")),
    }
}

/// A popup that is not asked for yet.
pub struct Later {
    due: Instant,
    pub slot: Slot,
    pub note: Note,
    pub attempt: Try,
}

/// Whether what comes too soon is tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Try {
    First,
    Last,
}

/// What came too soon, each with its time.
#[derive(Default)]
pub struct Waiting(Vec<Later>);

impl Waiting {
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn has(&self, slot: Slot) -> bool {
        self.0.iter().any(|later| later.slot == slot)
    }

    /// What the service refused as a repeat gets one more try. Each in its own time: the next may be a repeat of it.
    pub fn try_again(&mut self, slot: Slot, note: Note) {
        let last = self.0.iter().filter(|later| later.attempt == Try::Last).map(|later| later.due).max();
        let due = last.unwrap_or_else(Instant::now).max(Instant::now()) + SOON_ENOUGH;
        self.0.push(Later { due, slot, note, attempt: Try::Last });
    }

    /// Shows it when it is due, in place of what waits for that already.
    pub fn show_later(&mut self, due: Instant, slot: Slot, note: Note) {
        self.remove(slot);
        self.0.push(Later { due, slot, note, attempt: Try::First });
    }

    /// When the next of what waits is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.0.iter().map(|later| later.due).min()
    }

    pub fn take(&mut self) -> Option<Later> {
        let first = (0..self.0.len()).min_by_key(|at| self.0[*at].due)?;
        Some(self.0.remove(first))
    }

    /// Says whether it waited.
    pub fn remove(&mut self, slot: Slot) -> bool {
        let waited = self.has(slot);
        self.0.retain(|later| later.slot != slot);
        waited
    }
}
