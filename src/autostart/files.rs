//! Files of ours, and those of others.

use std::fs;
use std::io;
use std::path::Path;

use super::Refused;
use crate::paths::{self, display};

/// How a line begins by which a file is ours.
const MARKS: [&str; 2] = ["X-Mailknock=", "<!-- X-Mailknock="];

/// Whose a file is, as far as we care.
#[derive(Debug)]
pub enum Owner {
    /// There is none.
    Nobody,
    Us,
    Others(Refused),
}

/// Whether something has this name, be it a link that leads nowhere.
pub fn exists(file: &Path) -> bool {
    file.symlink_metadata().is_ok()
}

pub fn owner(file: &Path) -> Owner {
    let Ok(found) = file.symlink_metadata() else { return Owner::Nobody };
    if found.is_symlink() {
        return Owner::Others(Refused::Link { file: display(file) });
    }
    let text = paths::open_file(file).and_then(io::read_to_string).unwrap_or_default();
    match text.lines().any(|line| MARKS.iter().any(|mark| line.starts_with(mark))) {
        true => Owner::Us,
        false => Owner::Others(Refused::Foreign { file: display(file) }),
    }
}

pub fn refuse_others(file: &Path) -> Result<(), Refused> {
    match owner(file) {
        Owner::Others(refused) => Err(refused),
        Owner::Us | Owner::Nobody => Ok(()),
    }
}

/// In one step: a login in between sees the old file or the new one.
pub fn write(file: &Path, text: &str) -> Result<(), Refused> {
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

pub fn remove_ours(file: &Path) -> Result<(), Refused> {
    match owner(file) {
        Owner::Nobody => Ok(()),
        Owner::Us => remove(file),
        Owner::Others(refused) => Err(refused),
    }
}

pub fn remove(file: &Path) -> Result<(), Refused> {
    fs::remove_file(file).map_err(|error| Refused::Unremoved { file: display(file), error })
}
