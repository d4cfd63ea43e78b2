//! The local control socket: how the other commands talk to the running program.
//!
//! JSON lines with a version, over a Unix socket in a directory that is ours alone. A request never carries a command
//! or a path: whoever could speak here could at most do what a click in the tray does.

#[cfg(unix)]
mod client;
#[cfg(unix)]
mod server;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::schema::{EventJson, StatusJson};

#[cfg(unix)]
pub use client::ask;
#[cfg(unix)]
pub use server::{Instance, InstanceError, Server};

pub const VERSION: u32 = 1;
/// Longer lines are no request of ours.
pub const MAX_LINE: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Request {
    Status,
    /// Tries all tunnels first, then as [`Request::Status`].
    Probe,
    /// A line for each change, until the asker goes.
    Follow,
    /// Runs the fetch handlers, or those named, and waits for their end.
    Fetch {
        #[serde(default)]
        handlers: Vec<String>,
    },
    Pause {
        /// Without: until resumed.
        seconds: Option<u64>,
    },
    Resume,
    /// As [`Request::Resume`] where notifications are paused, else as [`Request::Pause`].
    Toggle {
        seconds: Option<u64>,
    },
    Reload,
    /// What is in memory, for where nothing is on disk.
    Recent,
    /// Lets go of what is in memory and finished, as the record did.
    Forget,
    /// Says how it stands, as a popup: somebody tried to start a second one.
    Present,
}

/// A line from asker to program.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked {
    pub version: u32,
    #[serde(flatten)]
    pub request: Request,
}

/// A line from program to asker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Reply {
    pub version: u32,
    /// Why it could not be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusJson>,
    /// Of a fetch: how each handler's run ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<EventJson>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunJson {
    pub handler: String,
    pub result: String,
    pub succeeded: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_line: String,
}

impl Reply {
    pub fn done() -> Self {
        Self { version: VERSION, ..Self::default() }
    }

    pub fn failed(why: impl Into<String>) -> Self {
        Self { error: Some(why.into()), ..Self::done() }
    }

    pub fn status(status: StatusJson) -> Self {
        Self { status: Some(status), ..Self::done() }
    }
}

/// A request that waits for its reply.
#[derive(Debug)]
pub struct Ask {
    pub request: Request,
    pub reply: oneshot::Sender<Reply>,
}

/// Where the socket and its neighbours are.
#[derive(Debug, Clone)]
pub struct Place {
    directory: PathBuf,
}

impl Place {
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    pub fn lock(&self) -> PathBuf {
        self.directory.join("lock")
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Why the running program could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("Mailknock isn't running")]
    NotRunning,
    #[error("the running program can't be asked: {0}")]
    Broken(String),
}

impl From<io::Error> for AskError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Self::NotRunning,
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Broken("it does not answer".to_owned()),
            _ => Self::Broken(error.to_string()),
        }
    }
}

#[cfg(not(unix))]
pub fn ask(
    _place: &Place,
    _request: Request,
    _patience: Option<std::time::Duration>,
    _take: impl FnMut(Reply) -> Next,
) -> Result<(), AskError> {
    Err(AskError::Broken("there is no control socket on this platform yet".to_owned()))
}

/// Whether another line is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    More,
    Stop,
}
