//! Starting at login, by what the system has for it: an autostart file or a unit of systemd, never both, a value
//! in Windows' registry, an agent of launchd.
//!
//! What is written bears a mark by which we know it again: what has none is somebody else's, and is left alone.

#[cfg(unix)]
mod files;
#[cfg(any(target_os = "macos", all(test, unix)))]
mod launch_agent;
#[cfg(any(windows, test))]
mod run_key;
#[cfg(all(unix, not(target_os = "macos")))]
mod xdg;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::paths::{self, display};

#[cfg(target_os = "macos")]
use launch_agent as platform;
#[cfg(windows)]
use run_key::registry as platform;
#[cfg(all(unix, not(target_os = "macos")))]
use xdg as platform;

pub use platform::Autostart;

const UNIT_NAME: &str = "mailknock.service";
/// Has systemd see what changed in its units; without it, that comes with the next login.
pub const TELL_SYSTEMD: [&str; 3] = ["systemctl", "--user", "daemon-reload"];

/// Who starts us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The desktop, or the system in its place.
    Desktop,
    Systemd,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Desktop => platform::DESKTOP,
            Self::Systemd => "systemd",
        })
    }
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Changed {
    /// Then [`TELL_SYSTEMD`].
    pub units: bool,
}

/// Something that is started at login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub way: Way,
    /// Or the value in the registry.
    pub file: PathBuf,
    /// As the file names it; empty where it names none.
    pub program: String,
    /// Whether that is there. What is not is silently left out at login.
    pub is_there: bool,
}

/// Why nothing was changed: what, where and what to do.
#[derive(Debug, Error)]
pub enum Refused {
    #[error("there is no systemd here; `mailknock autostart enable` without `--systemd` does it")]
    NoSystemd,
    #[error("start at login needs a home directory; is HOME set?")]
    NoHome,
    #[error("which program this is can't be told: {0}")]
    Unknown(io::Error),
    #[error("{program} is gone: it was replaced or removed while it ran. Start Mailknock anew, and try again")]
    Gone { program: String },
    #[error(
        "{program} will not stay: it is below {directory}, where things are temporary. Install it, for example with \
         `cargo install --path .`, and do this with the installed one"
    )]
    Passing { program: String, directory: String },
    #[error("{path} {why}. What starts at login must be in nobody else's hands")]
    Unsafe { path: String, why: &'static str },
    #[error("{path:?} holds {what}, which not every desktop or systemd reads as it is; choose a plainer path")]
    Unreadable { path: PathBuf, what: String },
    #[error("failed to read {file}: {error}")]
    NoConfiguration { file: String, error: io::Error },
    #[error("{file} is a symbolic link, and stays as it is; change or remove it by hand")]
    Link { file: String },
    #[error("{file} is not by `mailknock autostart`, and stays as it is; change or remove it by hand")]
    Foreign { file: String },
    #[error("{link} is not by `mailknock autostart`, and stays; `systemctl --user disable {UNIT_NAME}` takes it away")]
    ForeignLink { link: String },
    #[error("failed to write {file}: {error}")]
    Unwritten { file: String, error: io::Error },
    #[error("failed to remove {file}: {error}")]
    Unremoved { file: String, error: io::Error },
    #[error("what starts at login has room for {longest} characters, and this is more: {line}. Choose a shorter path")]
    TooLong { line: String, longest: usize },
    #[error("failed to change the registry at {place}: {why}")]
    Registry { place: String, why: String },
}

/// Another working directory makes another file of a relative one.
fn whole(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

/// A configuration that will be read at the next login, if it can be now.
fn configuration(file: &Path) -> Result<&Path, Refused> {
    match paths::open_file(file) {
        Ok(_) => Ok(file),
        Err(error) => Err(Refused::NoConfiguration { file: display(file), error }),
    }
}

/// The program that this is, if it stays.
fn our_program() -> Result<PathBuf, Refused> {
    let program = std::env::current_exe().map_err(Refused::Unknown)?;
    staying(&program, &paths::temporary_directories())
}

/// The program's real place, if it will be there at the next login, and the same.
fn staying(program: &Path, temporary: &[PathBuf]) -> Result<PathBuf, Refused> {
    let name = display(program);
    // So Linux calls what was replaced or removed (proc(5), `/proc/PID/exe`).
    if program.as_os_str().to_string_lossy().ends_with(" (deleted)") {
        return Err(Refused::Gone { program: name });
    }
    let Ok(program) = program.canonicalize() else { return Err(Refused::Gone { program: name }) };
    let passing = program
        .ancestors()
        .skip(1)
        .find(|directory| temporary.iter().any(|temporary| temporary == directory) || is_build_directory(directory));
    if let Some(directory) = passing {
        return Err(Refused::Passing { program: name, directory: display(directory) });
    }
    for path in program.ancestors() {
        let found = path.metadata().map_err(Refused::Unknown)?;
        let why = match path == program {
            true => paths::is_unsafe(&found),
            false => paths::is_unsafe_directory(&found),
        };
        if let Some(why) = why {
            return Err(Refused::Unsafe { path: display(path), why });
        }
    }
    Ok(program)
}

/// Where cargo builds, whatever that is called. The tag alone says nothing: backups leave out what has one.
fn is_build_directory(directory: &Path) -> bool {
    let is_named = ["target/debug", "target/release"].iter().any(|name| directory.ends_with(name));
    let tag = || fs::read_to_string(directory.join("CACHEDIR.TAG")).unwrap_or_default();
    is_named || tag().contains("created by cargo")
}

/// A path as text that all readers of our files understand alike.
fn readable<'p>(path: &'p Path, garbled: &[&[char]]) -> Result<&'p str, Refused> {
    let refused = |what| Refused::Unreadable { path: path.to_owned(), what };
    let text = path.to_str().ok_or_else(|| refused("what is not UTF-8".to_owned()))?;
    match text.chars().find(|c| c.is_control() || garbled.concat().contains(c)) {
        Some(c) => Err(refused(format!("`{}`", c.escape_debug()))),
        None => Ok(text),
    }
}
