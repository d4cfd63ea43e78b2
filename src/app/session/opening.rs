//! What is started for a person, and outlives us.

use std::path::Path;

use super::{ACTIVATION, Input, Session};
use crate::config::starter::{self, Auth};
use crate::desktop::{Request, editor, mail_program};
use crate::paths::display;
use crate::problem::EACH_TIME;
use crate::{process, secret};

impl Session {
    /// Starts a program; none means the desktop's mail program.
    pub(super) fn open(&self, words: Option<Vec<String>>, activation_token: Option<&str>) {
        let Some(words) = words.or_else(mail_program) else {
            tracing::warn!(target: EACH_TIME, "no mail program is known to the desktop; name one with `open` in `[tray]`");
            return;
        };
        match start(&words, activation_token) {
            Ok(pid) => self.adopt(pid),
            Err(why) => tracing::warn!(target: EACH_TIME, "could not open mail: {why}"),
        }
    }

    /// Shows the configuration's file. Where there is none it is made first, with nothing in it that changes anything:
    /// nobody asked for a password.
    pub(super) fn open_configuration(&mut self, file: &Path, activation_token: Option<&str>) {
        match make(file).and_then(|()| start(&editor(file), activation_token)) {
            Ok(pid) => self.adopt(pid),
            Err(why) => {
                let why = format!("{} could not be opened: {why}", display(file));
                self.turn([Input::NotOpened(why)]);
            }
        }
    }

    fn adopt(&self, pid: Option<u32>) {
        if let Some(pid) = pid {
            self.link.send(Request::Adopt { pid });
        }
    }
}

fn start(words: &[String], activation_token: Option<&str>) -> Result<Option<u32>, String> {
    let token = activation_token.map(|token| ACTIVATION.map(|name| (name, token)));
    process::start_detached(words, token.as_ref().map_or(&[], |token| token.as_slice()))
}

fn make(file: &Path) -> Result<(), String> {
    if file.exists() {
        return Ok(());
    }
    let pass = secret::random().ok_or("the system gives no random numbers for a password")?;
    // Mail that comes meanwhile doesn't wait for the disk.
    starter::write(file, &starter::starter(&pass, Auth::Off)).map(drop).map_err(|error| error.to_string())
}
