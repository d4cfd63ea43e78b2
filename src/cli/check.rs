//! `mailknock check`: every problem of the configuration, with its place.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::config::{Config, preset_names};
use crate::desktop::mail_program;
use crate::paths;
use crate::secret;

#[derive(Debug, Default, Args)]
pub struct Arguments {
    /// Also print the configuration with all defaults, without secrets
    #[arg(long)]
    print: bool,
}

pub fn check(file: Option<&Path>, arguments: &Arguments) -> ExitCode {
    let read = super::read(file);
    super::print_problems(&read.problems);
    for problem in super::standing_problems() {
        eprintln!("warning: {problem}");
    }
    let Some(config) = read.config else { return ExitCode::from(super::WRONG_CONFIGURATION) };
    if let Some(why) = config.auth.as_ref().and_then(|auth| secret::is_wrong(&auth.pass)) {
        eprintln!("warning: {why}. Nothing is let in until it is mended");
    }
    if let Some(hint) = how_to_open_messages(&config) {
        eprintln!("{hint}");
    }
    if arguments.print {
        print!("{config}");
    }
    match &read.file {
        Some(file) => eprintln!("{}: configuration OK", paths::display(file)),
        None => eprintln!("no configuration file: the built-in default is used"),
    }
    ExitCode::SUCCESS
}

/// What a click on a notification opens where nobody said what, and how it could open the message itself.
fn how_to_open_messages(config: &Config) -> Option<String> {
    if config.tray.open.is_some() || !config.shows_popups() {
        return None;
    }
    let opens = match mail_program() {
        Some(words) => format!("opens {}, the desktop's mail program", words[0]),
        None => "opens nothing: the desktop has no mail program".to_owned(),
    };
    let presets = preset_names();
    Some(format!(
        "a click on a notification {opens}; for the message itself set `open` in `[tray]` to one of {presets}"
    ))
}
