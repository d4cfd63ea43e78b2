//! `mailknock check`: every problem of the configuration, with its place.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::config::{Address, Config, preset_names};
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
    let is_ours = read.file.is_some() && read.file == paths::config_file();
    if let Some(file) = read.file.as_deref().filter(|file| !is_ours && Config::is_imserious(file)) {
        eprintln!("{} is IMSErious' too. Mailknock does the same with it, but for this:", paths::display(file));
        what_changes(&config).iter().for_each(|line| eprintln!("  {line}"));
    }
    match &read.file {
        Some(file) => eprintln!("{}: configuration OK", paths::display(file)),
        None => eprintln!("no configuration file: the built-in default is used"),
    }
    ExitCode::SUCCESS
}

/// For a user of IMSErious, with a configuration that it would take as well.
fn what_changes(config: &Config) -> Vec<String> {
    let mut lines = vec![
        "a tray icon shows what came and what the commands did; `enabled = false` in `[tray]` leaves it out".to_owned(),
        "no notification is shown, since the handlers are all commands. To have them, add these two lines:".to_owned(),
        "    [[handler]]".to_owned(),
        "    notify = true".to_owned(),
        "commands get all events since their last run as JSON on stdin, and end after an hour (`timeout`)".to_owned(),
        "what came is kept on disk (`[history]`): a crash loses none of it, and a message told twice counts once"
            .to_owned(),
        "the log goes to stderr; SIGHUP reads this file again, and so does a change of it".to_owned(),
    ];
    if config.listen.iter().filter_map(Address::tcp).any(|address| !address.ip().is_loopback()) {
        lines.push(
            "senders name this machine by address, by its own name or by one of its certificate; for others: `hosts`"
                .to_owned(),
        );
    }
    if let Some(file) = paths::config_file() {
        lines.push(format!("`mailknock` alone reads {}; copy it there to do without -c", paths::display(&file)));
    }
    lines
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
