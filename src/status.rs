//! How things stand: what the tray, the menu and the status command show.

use jiff::Timestamp;

use crate::event::EntryId;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Messages that came since the user last looked.
    pub new: u32,
    /// Somebody looked at them, and nothing has come since.
    pub looked: bool,
    pub paused: Option<Paused>,
    /// The newest first.
    pub recent: Vec<Recent>,
    /// How many recent lines the menu has room for.
    pub recent_slots: usize,
    pub handlers: Vec<HandlerStatus>,
    pub problems: Vec<String>,
    /// Where the configuration is, if it is in a file.
    pub has_configuration: bool,
}

impl Status {
    pub fn is_fetching(&self) -> bool {
        self.handlers.iter().any(|handler| handler.fetches && handler.running_since.is_some())
    }

    pub fn can_fetch(&self) -> bool {
        self.handlers.iter().any(|handler| handler.fetches)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paused {
    UntilResumed,
    Until(Timestamp),
    /// Quiet hours, which end then.
    Quiet(Timestamp),
}

/// A line of recent activity; its texts are safe to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    pub entry: EntryId,
    pub at: Timestamp,
    /// Who wrote, or what happened.
    pub who: String,
    /// The subject, or the folder.
    pub what: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerStatus {
    pub name: String,
    pub fetches: bool,
    /// Whether a person can have it run now.
    pub is_command: bool,
    pub running_since: Option<Timestamp>,
    pub last: Option<LastRun>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRun {
    pub at: Timestamp,
    /// `done`, `exit 1`, `timed out after 1h` …
    pub result: String,
    pub succeeded: bool,
    /// The last line it printed, safe to show; may be empty.
    pub last_line: String,
}
