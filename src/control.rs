//! The local control socket: how the other commands talk to the running program.
//!
//! JSON lines with a version, over a Unix socket in a directory that is ours alone, or a named pipe that only this user
//! writes to. A request never carries a command or a path: whoever could speak here could at most do what a click in the
//! tray does.

mod client;
mod server;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::schema::{EventJson, StatusJson};

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

pub use client::ask;
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

    /// The pipe's name, where there are pipes in place of sockets. They all lie in one directory: the user is in the name,
    /// and what tells this place from another one of theirs.
    pub fn pipe(&self) -> String {
        let user = crate::paths::user_name().unwrap_or_default();
        let place = format!("{user}\n{}", self.directory.display());
        let hash = ring::digest::digest(&ring::digest::SHA256, place.as_bytes());
        let mark: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let user: String = user.chars().take(64).map(plain).collect();
        format!(r"\\.\pipe\mailknock-{user}-{mark}")
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

/// Whether another line is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    More,
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_a_pipe_with_a_plain_name() {
        let pipe = |directory: &str| Place::new(directory.into()).pipe();
        let name = pipe(r"C:\Users\Jörg M\run");
        let plain = name.strip_prefix(r"\\.\pipe\mailknock-").expect("where pipes are");
        assert!(plain.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{name}");
        assert!(name.len() < 256 && name == pipe(r"C:\Users\Jörg M\run"), "{name}");
        assert_ne!(name, pipe(r"C:\Users\Jörg N\run"));
    }
}
