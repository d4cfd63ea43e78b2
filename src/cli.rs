//! The command line. Each command is a file of its own; only here is anything printed.

mod check;
mod demo;
mod log;
mod recent;
mod run;
mod terminal;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};

use crate::clock::time_of_day;
use crate::config::Config;
use crate::handler::field;
use crate::handler::notify::{what, who};
use crate::mime::one_line;
use crate::paths;
use crate::problem::Problem;
use crate::store::Entry;

/// `EX_CONFIG` of sysexits.h: a service manager must not start us again for it.
pub const WRONG_CONFIGURATION: u8 = 78;

/// Desktop notifications, commands and a tray icon, the moment your mail server says that mail arrived.
#[derive(Debug, Parser)]
#[command(name = "mailknock", version, disable_version_flag = true)]
struct Cli {
    /// The configuration file
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration and exit
    #[arg(short, long)]
    test: bool,
    /// Print the version
    #[arg(short = 'V', short_alias = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Listen, notify, run commands, show the tray icon (what `mailknock` alone does)
    Run(run::Arguments),
    /// Show the whole thing with sample events, with no configuration and no files touched
    Demo(demo::Arguments),
    /// Check the configuration: every problem, with its place
    Check(check::Arguments),
    /// Show what happened lately, and what came of it
    Recent(recent::Arguments),
}

/// Does what the command line says; gives the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let file = cli.config.as_deref();
    match cli.command {
        _ if cli.test => check::check(file, &check::Arguments::default()),
        None => run::run(file, run::Arguments::default()),
        Some(Command::Run(arguments)) => run::run(file, arguments),
        Some(Command::Demo(arguments)) => demo::demo(&arguments),
        Some(Command::Check(arguments)) => check::check(file, &arguments),
        Some(Command::Recent(arguments)) => recent::recent(&arguments),
    }
}

/// A configuration and where it came from.
struct Loaded {
    config: Config,
    warnings: Vec<Problem>,
    /// None for the built-in default.
    file: Option<PathBuf>,
}

/// The configuration named, or the user's, or the built-in one. Problems are printed.
fn load(named: Option<&Path>) -> Result<Loaded, ExitCode> {
    let file = match named {
        Some(named) => Some(named.to_owned()),
        None => paths::config_file().filter(|file| file.exists()),
    };
    let Some(file) = file else {
        return Ok(Loaded { config: Config::default(), warnings: Vec::new(), file: None });
    };
    let (config, problems) = Config::load(&file);
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    match config {
        Some(config) => Ok(Loaded { config, warnings: problems, file: Some(file) }),
        None => Err(ExitCode::from(WRONG_CONFIGURATION)),
    }
}

/// An event on the terminal: `14:05 MessageNew 11@3 INBOX: Jörg Müller: Grüße`.
fn print_entry(entry: &Entry) {
    let event = &entry.event;
    let folder = field(event, "folder").map(|folder| format!(" {folder}")).unwrap_or_default();
    let line = format!(
        "{} {} {}{folder}: {}: {}",
        time_of_day(entry.at),
        one_line(event.kind.name()),
        one_line(&event.user),
        who(event),
        what(event)
    );
    terminal::print(&line);
}
