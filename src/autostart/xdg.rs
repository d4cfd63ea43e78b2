//! An autostart file of the desktop (XDG Desktop Application Autostart Specification), or a unit of systemd for the user.
//!
//! What is written is the packaged file with this program in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{Owner, exists, owner, refuse_others, remove, remove_ours, write};
use super::{Changed, Found, Refused, UNIT_NAME, Way, configuration, our_program, readable, whole};
use crate::key_file;
use crate::paths::{self, display};
use crate::process;

/// Who starts us where systemd does not.
pub const DESKTOP: &str = "the desktop";

const ENTRY: &str = include_str!("../../packaging/desktop/mailknock-autostart.desktop");
const UNIT: &str = include_str!("../../packaging/systemd/mailknock.service");
const ENTRY_NAME: &str = "mailknock.desktop";
/// What starts when the unit is enabled; its own `[Install]` says so too.
const TARGET: &str = "graphical-session.target";
/// What systemd (252) refuses in a program's path, or garbles when it reads autostart files.
const GARBLED: &[char] = &['"', '\'', '\\', '$', '`'];
/// In a program's path too: the specification writes `%` as `%%`, which GLib and systemd look for as it stands,
/// and forbids `=`.
const GARBLED_IN_PROGRAMS: &[char] = &['%', '='];
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

impl Autostart {
    /// The user's; with a configuration that is to be used in place of the usual one.
    pub fn of_user(config: Option<&Path>) -> Result<Self, Refused> {
        let settings = paths::user_settings().ok_or(Refused::NoHome)?;
        let mut autostart = Self::below(&settings, &paths::system_settings());
        autostart.config = config.map(whole);
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
        self.enable_program(way, &our_program()?)
    }

    /// All that could be refused is looked at before anything changes.
    fn enable_program(&self, way: Way, program: &Path) -> Result<Changed, Refused> {
        let mut words = vec![readable(program, &[GARBLED, GARBLED_IN_PROGRAMS])?, "run"];
        if let Some(config) = &self.config {
            words.extend(["-c", readable(configuration(config)?, &[GARBLED])?]);
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

    fn make_link(&self) -> io::Result<()> {
        fs::create_dir_all(self.link.parent().unwrap_or(&self.link))?;
        std::os::unix::fs::symlink(&self.unit, &self.link)
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

#[cfg(test)]
mod tests;
