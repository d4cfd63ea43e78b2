//! Starting at login: an autostart file of the desktop (XDG Desktop Application Autostart Specification), or a unit of
//! systemd for the user; never both.
//!
//! What is written is the packaged file with this program in it. It bears a mark by which we know it again: what has
//! none is somebody else's, and is left alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::key_file;
use crate::paths::{self, display};
use crate::process;

const ENTRY: &str = include_str!("../packaging/desktop/mailknock-autostart.desktop");
const UNIT: &str = include_str!("../packaging/systemd/mailknock.service");
const ENTRY_NAME: &str = "mailknock.desktop";
const UNIT_NAME: &str = "mailknock.service";
/// What starts when the unit is enabled; its own `[Install]` says so too.
const TARGET: &str = "graphical-session.target";
/// What systemd (252) refuses in a program's path, or garbles when it reads autostart files.
const GARBLED: &[char] = &['"', '\'', '\\', '$', '`'];
/// In a program's path too: the specification writes `%` as `%%`, which GLib and systemd look for as it stands,
/// and forbids `=`.
const GARBLED_IN_PROGRAMS: &[char] = &['%', '='];
/// The line by which a file is ours.
const MARK: &str = "X-Mailknock=";

/// Has systemd see what changed in its units; without it, that comes with the next login.
pub const TELL_SYSTEMD: [&str; 3] = ["systemctl", "--user", "daemon-reload"];

/// Who starts us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Desktop,
    Systemd,
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
    pub file: PathBuf,
    /// As the file names it; empty where it names none.
    pub program: String,
    /// Whether that is there. What is not is silently left out at login.
    pub is_there: bool,
}

/// Why nothing was changed: what, where and what to do.
#[derive(Debug, Error)]
pub enum Refused {
    #[error("start at login is not on this platform yet")]
    Platform,
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
}

/// The files that say what is started at login.
#[derive(Debug, Clone)]
pub struct Autostart {
    entry: PathBuf,
    /// Of the whole system, the most important first; a user's own counts more.
    system_entries: Vec<PathBuf>,
    unit: PathBuf,
    /// Which makes systemd start the unit.
    link: PathBuf,
    /// Named in what is written.
    config: Option<PathBuf>,
}

/// Whose a file is, as far as we care.
#[derive(Debug)]
enum Owner {
    /// There is none.
    Nobody,
    Us,
    Others(Refused),
}

impl Autostart {
    /// The user's; with a configuration that is to be used in place of the usual one.
    pub fn of_user(config: Option<&Path>) -> Result<Self, Refused> {
        if cfg!(not(all(unix, not(target_os = "macos")))) {
            return Err(Refused::Platform);
        }
        let settings = paths::user_settings().ok_or(Refused::NoHome)?;
        let mut autostart = Self::below(&settings, &paths::system_settings());
        // Another working directory makes another file of a relative one.
        autostart.config = config.map(|file| std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
        Ok(autostart)
    }

    fn below(settings: &Path, system_settings: &[PathBuf]) -> Self {
        let entry = |settings: &Path| settings.join("autostart").join(ENTRY_NAME);
        let units = settings.join("systemd/user");
        Self {
            entry: entry(settings),
            system_entries: system_settings.iter().map(|settings| entry(settings)).collect(),
            unit: units.join(UNIT_NAME),
            link: units.join(format!("{TARGET}.wants")).join(UNIT_NAME),
            config: None,
        }
    }

    /// Whether anything starts at the next login.
    pub fn is_enabled(&self) -> bool {
        self.found().iter().any(|found| found.is_there)
    }

    /// What is to be started at login, whoever said so.
    pub fn found(&self) -> Vec<Found> {
        self.found_entry().into_iter().chain(self.found_unit()).collect()
    }

    fn found_entry(&self) -> Option<Found> {
        let own = exists(&self.entry).then_some(&self.entry);
        own.map_or_else(|| self.system_entry(), |file| read_entry(file))
    }

    fn system_entry(&self) -> Option<Found> {
        read_entry(self.system_entries.iter().find(|file| exists(file))?)
    }

    fn found_unit(&self) -> Option<Found> {
        // Through the link: one that leads nowhere starts nothing.
        let text = fs::read_to_string(&self.link).ok()?;
        let program = key_file::value(&text, "Service", "ExecStart");
        let program = program.and_then(|command| key_file::unit_program(&command)).unwrap_or_default();
        let is_there = process::find(&program).is_ok();
        Some(Found { way: Way::Systemd, file: self.unit.clone(), program, is_there })
    }

    /// Has the program that this is started at login, in this way and not in the other.
    pub fn enable(&self, way: Way) -> Result<Changed, Refused> {
        let program = std::env::current_exe().map_err(Refused::Unknown)?;
        self.enable_program(way, &staying(&program, &paths::temporary_directories())?)
    }

    /// All that could be refused is looked at before anything changes.
    fn enable_program(&self, way: Way, program: &Path) -> Result<Changed, Refused> {
        let mut words = vec![readable(program, &[GARBLED, GARBLED_IN_PROGRAMS])?, "run"];
        if let Some(config) = &self.config {
            paths::open_file(config).map_err(|error| Refused::NoConfiguration { file: display(config), error })?;
            words.extend(["-c", readable(config, &[GARBLED])?]);
        }
        match way {
            Way::Desktop => {
                self.is_unit_removable()?;
                match self.system_entry() {
                    // It does the same: what hid it goes.
                    Some(found) if self.config.is_none() && Path::new(&found.program) == program => {
                        remove_ours(&self.entry)?;
                    }
                    _ => {
                        refuse_others(&self.entry)?;
                        write(&self.entry, &entry_of(&words))?;
                    }
                }
                self.remove_unit()
            }
            Way::Systemd => {
                self.is_entry_removable()?;
                refuse_others(&self.unit)?;
                self.is_link_ours()?;
                write(&self.unit, &unit_of(&words))?;
                if !exists(&self.link) {
                    self.make_link().map_err(|error| Refused::Unwritten { file: display(&self.link), error })?;
                }
                self.remove_entry()?;
                Ok(Changed { units: true })
            }
        }
    }

    /// Has nothing started at login any more.
    pub fn disable(&self) -> Result<Changed, Refused> {
        self.is_entry_removable()?;
        self.is_unit_removable()?;
        self.remove_entry()?;
        self.remove_unit()
    }

    fn is_entry_removable(&self) -> Result<(), Refused> {
        match owner(&self.entry) {
            // Theirs starts nothing: it may stay.
            Owner::Others(_) if read_entry(&self.entry).is_none() => Ok(()),
            Owner::Others(refused) => Err(refused),
            Owner::Us | Owner::Nobody => Ok(()),
        }
    }

    fn remove_entry(&self) -> Result<(), Refused> {
        match (owner(&self.entry), self.system_entry()) {
            (Owner::Others(_), _) => Ok(()),
            // What a package has put there can only be hidden.
            (_, Some(_)) => write(&self.entry, &format!("{ENTRY}Hidden=true\n")),
            (_, None) => remove_ours(&self.entry),
        }
    }

    fn is_unit_removable(&self) -> Result<(), Refused> {
        match exists(&self.link) {
            true => self.is_link_ours().and_then(|()| refuse_others(&self.unit)),
            // Whosever it is, nothing starts it.
            false => Ok(()),
        }
    }

    fn remove_unit(&self) -> Result<Changed, Refused> {
        let is_ours = matches!(owner(&self.unit), Owner::Us);
        let changed = Changed { units: is_ours || exists(&self.link) };
        if exists(&self.link) {
            remove(&self.link)?;
        }
        if is_ours {
            remove(&self.unit)?;
        }
        Ok(changed)
    }

    /// Whether the link leads to our unit, if there is one.
    fn is_link_ours(&self) -> Result<(), Refused> {
        if !exists(&self.link) {
            return Ok(());
        }
        let target = fs::read_link(&self.link).ok();
        let is_same = || Some(self.link.canonicalize().ok()? == self.unit.canonicalize().ok()?);
        match target.is_some_and(|target| target == self.unit || is_same() == Some(true)) {
            true => Ok(()),
            false => Err(Refused::ForeignLink { link: display(&self.link) }),
        }
    }

    #[cfg(unix)]
    fn make_link(&self) -> io::Result<()> {
        fs::create_dir_all(self.link.parent().unwrap_or(&self.link))?;
        std::os::unix::fs::symlink(&self.unit, &self.link)
    }

    #[cfg(not(unix))]
    fn make_link(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn entry_of(words: &[&str]) -> String {
    let exec: Vec<String> = words.iter().map(|word| key_file::exec_word(word)).collect();
    key_file::with(ENTRY, &[("TryExec", key_file::escaped(words[0])), ("Exec", exec.join(" "))])
}

fn unit_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| key_file::unit_word(word)).collect();
    key_file::with(UNIT, &[("ExecStart", words.join(" "))])
}

/// What an autostart file starts; none where it is hidden or switched off.
fn read_entry(file: &Path) -> Option<Found> {
    let text = fs::read_to_string(file).ok()?;
    let value = |key| key_file::value(&text, "Desktop Entry", key);
    let is_off =
        value("Hidden").as_deref() == Some("true") || value("X-GNOME-Autostart-enabled").as_deref() == Some("false");
    let program = key_file::exec_words(&value("Exec")?)?.swap_remove(0);
    // By this desktops tell whether the program is installed.
    let tried = value("TryExec").map_or_else(|| program.clone(), |program| key_file::plain(&program));
    let is_there = process::find(&program).is_ok() && process::find(&tried).is_ok();
    (!is_off).then(|| Found { way: Way::Desktop, file: file.to_owned(), program, is_there })
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

/// Whether something has this name, be it a link that leads nowhere.
fn exists(file: &Path) -> bool {
    file.symlink_metadata().is_ok()
}

fn owner(file: &Path) -> Owner {
    let Ok(found) = file.symlink_metadata() else { return Owner::Nobody };
    if found.is_symlink() {
        return Owner::Others(Refused::Link { file: display(file) });
    }
    let text = paths::open_file(file).and_then(io::read_to_string).unwrap_or_default();
    match text.lines().any(|line| line.starts_with(MARK)) {
        true => Owner::Us,
        false => Owner::Others(Refused::Foreign { file: display(file) }),
    }
}

fn refuse_others(file: &Path) -> Result<(), Refused> {
    match owner(file) {
        Owner::Others(refused) => Err(refused),
        Owner::Us | Owner::Nobody => Ok(()),
    }
}

/// In one step: a login in between sees the old file or the new one.
fn write(file: &Path, text: &str) -> Result<(), Refused> {
    let write = || {
        fs::create_dir_all(file.parent().unwrap_or(file))?;
        // A name that neither desktops nor systemd take for theirs.
        let new = file.with_extension(format!("new-{}", std::process::id()));
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, file));
        if written.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_file(&new);
        }
        written
    };
    write().map_err(|error| Refused::Unwritten { file: display(file), error })
}

fn remove_ours(file: &Path) -> Result<(), Refused> {
    match owner(file) {
        Owner::Nobody => Ok(()),
        Owner::Us => remove(file),
        Owner::Others(refused) => Err(refused),
    }
}

fn remove(file: &Path) -> Result<(), Refused> {
    fs::remove_file(file).map_err(|error| Refused::Unremoved { file: display(file), error })
}

#[cfg(all(test, unix))]
mod tests;
