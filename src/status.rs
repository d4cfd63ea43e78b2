//! How things stand: what the tray, the menu and the status command show.

use jiff::Timestamp;

use crate::clock::time_of_day;
use crate::event::EntryId;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// When that was.
    pub now: Timestamp,
    /// Messages that came since the user last looked.
    pub new: u32,
    /// Somebody looked at them, and nothing has come since.
    pub looked: bool,
    /// What servers say of messages that nobody has seen, where they say when one is.
    pub unseen: Vec<Mailbox>,
    pub paused: Option<Paused>,
    /// The newest first.
    pub recent: Vec<Recent>,
    /// How many recent lines the menu has room for.
    pub recent_slots: usize,
    pub handlers: Vec<HandlerStatus>,
    pub tunnels: Vec<TunnelStatus>,
    pub problems: Vec<String>,
    /// Whether there is a place for a configuration that the user could look at.
    pub has_configuration: bool,
    /// None where that can't be told or changed.
    pub starts_at_login: Option<bool>,
}

impl Status {
    pub fn is_fetching(&self) -> bool {
        self.handlers.iter().any(|handler| handler.fetches && handler.running_since.is_some())
    }

    /// Unseen messages in all folders; none where no server tells.
    pub fn unseen(&self) -> Option<u32> {
        let total = self.unseen.iter().fold(0_u32, |total, mailbox| total.saturating_add(mailbox.unseen));
        (!self.unseen.is_empty()).then_some(total)
    }

    pub fn can_fetch(&self) -> bool {
        self.handlers.iter().any(|handler| handler.fetches)
    }
}

/// A folder of somebody's, whose new mail is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    pub user: String,
    pub folder: String,
    pub unseen: u32,
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
    /// Whose mail it is, where people have a name for that.
    pub account: Option<String>,
    /// Who wrote, or what happened.
    pub who: String,
    /// The subject, or the folder.
    pub what: String,
    /// New mail that nobody has read, where that would be told.
    pub is_unread: bool,
}

/// The mail server's way to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelStatus {
    /// Its host; none for one that is kept up outside of us.
    pub name: Option<String>,
    pub state: TunnelState,
    pub since: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TunnelState {
    Connecting,
    Up,
    /// And why, safe to show.
    Down(String),
    /// Until the machine is awake again.
    Asleep,
}

impl TunnelStatus {
    /// `Tunnel to mail.example.org`.
    pub fn title(&self) -> String {
        title(self.name.as_deref())
    }

    /// How it stands: `Tunnel to mail.example.org: up since 14:05`.
    pub fn line(&self) -> String {
        tunnel_line(self.name.as_deref(), self.state.word(), self.since, self.state.why())
    }

    /// What is wrong with it, if anything is.
    pub fn problem(&self) -> Option<String> {
        self.state.why().map(|_| self.line())
    }
}

/// How a tunnel stands, in one line.
pub fn tunnel_line(name: Option<&str>, state: &str, since: Timestamp, why: Option<&str>) -> String {
    let why = why.map_or(String::new(), |why| format!(": {why}"));
    format!("{}: {state} since {}{why}", title(name), time_of_day(since))
}

fn title(name: Option<&str>) -> String {
    name.map_or("Tunnel".to_owned(), |name| format!("Tunnel to {name}"))
}

impl TunnelState {
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Up => "up",
            Self::Down(_) => "down",
            Self::Asleep => "asleep",
        }
    }

    /// Why it is down.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Down(why) => Some(why),
            _ => None,
        }
    }
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
