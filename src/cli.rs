//! The command line. Each command is a file of its own; only here is anything printed.

mod autostart;
mod check;
mod completions;
mod config;
mod demo;
mod doctor;
mod fetch;
mod log;
mod man;
mod pause;
mod recent;
mod roff;
mod run;
mod send;
mod setup;
mod status;
mod telling;
mod terminal;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{ArgAction, CommandFactory, Parser, Subcommand};

use crate::clock::time_of_day;
use crate::config::Config;
use crate::control;
use crate::event::Event;
use crate::handler::field;
use crate::handler::notify::line;
use crate::listener::Identity;
use crate::mime::one_line;
use crate::paths;
use crate::problem::Problem;
use crate::store::Entry;
use telling::{Said, Telling};

/// `EX_CONFIG` of sysexits.h: a service manager must not start us again for it.
pub const WRONG_CONFIGURATION: u8 = 78;

/// As shells say it of a program that is not there.
const NOT_STARTED: u8 = 127;

/// The running program answers at once, unless it is frozen.
const PATIENCE: Duration = Duration::from_secs(10);

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
    /// Run the fetch handlers of the running program now, and wait for their end
    Fetch(fetch::Arguments),
    /// Check each link in turn, from the configuration to what comes through the tunnel
    Doctor(doctor::Arguments),
    /// How the running program stands
    Status(status::Arguments),
    /// Show what happened lately, and what came of it
    Recent(recent::Arguments),
    /// Hold notifications; what comes meanwhile is one summary at the end
    Pause(pause::Arguments),
    /// Show notifications again
    Resume,
    /// Read the configuration again
    Reload,
    /// Make a configuration, or say where it is
    Config(config::Arguments),
    /// Have Mailknock started when you log in
    Autostart(autostart::Arguments),
    /// Report an event to a listener, from any mail server or script
    Send(Box<send::Arguments>),
    /// Print the mail server's side, filled in from the configuration
    Setup(setup::Arguments),
    /// Print what lets a shell complete the command line
    Completions(completions::Arguments),
    /// Print the manual page; to read it: mailknock man | man -l -
    Man,
    /// Run a program that ends when PARENT does; how `run` starts ssh
    #[command(hide = true)]
    Hold {
        parent: u32,
        #[arg(last = true)]
        words: Vec<String>,
    },
}

/// Whether the command line is `send`, as far as that can be told before it is understood.
pub fn is_send(words: &[std::ffi::OsString]) -> bool {
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        if word == "-c" || word == "--config" {
            words.next();
        } else if !word.to_string_lossy().starts_with('-') {
            return word == "send";
        }
    }
    false
}

/// Does what the command line says; gives the exit code.
pub fn main() -> ExitCode {
    let words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        // A mail server called, and reads our exit code.
        Err(error) if is_send(&words) => return send::misused(&error, &words),
        Err(error) => error.exit(),
    };
    let file = cli.config.as_deref();
    match cli.command {
        _ if cli.test => check::check(file, &check::Arguments::default()),
        None => run::run(file, run::Arguments::default()),
        Some(Command::Run(arguments)) => run::run(file, arguments),
        Some(Command::Setup(arguments)) => setup::setup(file, &arguments),
        Some(Command::Send(arguments)) => send::send(file, &arguments),
        Some(Command::Demo(arguments)) => demo::demo(&arguments),
        Some(Command::Check(arguments)) => check::check(file, &arguments),
        Some(Command::Fetch(arguments)) => fetch::fetch(arguments),
        Some(Command::Doctor(arguments)) => doctor::doctor(file, arguments),
        Some(Command::Status(arguments)) => status::status(&arguments),
        Some(Command::Recent(arguments)) => recent::recent(&arguments),
        Some(Command::Pause(arguments)) => pause::pause(&arguments),
        Some(Command::Resume) => pause::resume(),
        Some(Command::Config(arguments)) => config::config(file, &arguments),
        Some(Command::Autostart(arguments)) => autostart::autostart(file, &arguments),
        Some(Command::Completions(arguments)) => completions::completions(shown(&Cli::command()), &arguments),
        Some(Command::Man) => man::man(shown(&Cli::command())),
        Some(Command::Hold { parent, words }) => match crate::process::hold(parent, &words) {
            Ok(code) => ExitCode::from(code),
            Err(why) => {
                eprintln!("{why}");
                ExitCode::from(NOT_STARTED)
            }
        },
        Some(Command::Reload) => {
            let reloaded = answer(control::Request::Reload, Some(PATIENCE));
            Telling::default().tell(reloaded.map(|_| Said::done(Vec::new())))
        }
    }
}

/// The command line without what is hidden: those who write scripts and pages from it would show all of it.
fn shown(command: &clap::Command) -> clap::Command {
    // clap wants names that stay; the program prints one thing and ends.
    let name: &'static str = command.get_name().to_owned().leak();
    clap::Command::new(name)
        .about(Resettable::from(command.get_about().cloned()))
        .long_about(Resettable::from(command.get_long_about().cloned()))
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .args(command.get_arguments().filter(|argument| !argument.is_hide_set()))
        .subcommands(command.get_subcommands().filter(|command| !command.is_hide_set()).map(shown))
}

/// A configuration and where it came from.
struct Read {
    /// None where it is wrong.
    config: Option<Config>,
    problems: Vec<Problem>,
    /// None for the built-in default.
    file: Option<PathBuf>,
}

/// The configuration named, or the user's, or the built-in one.
fn read(named: Option<&Path>) -> Read {
    let file = match named {
        Some(named) => Some(named.to_owned()),
        None => paths::config_file().filter(|file| file.exists()),
    };
    match file {
        None => Read { config: Some(Config::default()), problems: Vec::new(), file: None },
        Some(file) => {
            let (mut config, mut problems) = Config::load(&file);
            // What the file names must be there too: without its certificate nothing is listened to.
            if let Some(tls) = config.as_ref().and_then(|config| config.tls.as_ref())
                && let Err(problem) = Identity::load(tls)
            {
                problems.push(problem);
                config = None;
            }
            Read { config, problems, file: Some(file) }
        }
    }
}

/// What is wrong with how we were started, whatever the configuration says.
fn standing_problems() -> Vec<String> {
    let root = "running as root: whoever gets in here by mail gets everything; run it as the user who reads the mail";
    crate::process::is_root().then(|| root.to_owned()).into_iter().collect()
}

fn print_problems(problems: &[Problem]) {
    problems.iter().for_each(|problem| eprintln!("{problem}"));
}

/// Where the running program can be asked.
fn control_place() -> Option<control::Place> {
    paths::runtime_directory().map(control::Place::new)
}

/// Asks the running program.
fn ask(
    request: control::Request,
    patience: Option<Duration>,
    take: impl FnMut(control::Reply) -> control::Next,
) -> Result<(), control::AskError> {
    match control_place() {
        Some(place) => control::ask(&place, request, patience, take),
        None => Err(control::AskError::NotRunning),
    }
}

/// Asks for one thing.
fn reply(request: control::Request, patience: Option<Duration>) -> Result<control::Reply, control::AskError> {
    let mut reply = control::Reply::default();
    ask(request, patience, |line| {
        reply = line;
        control::Next::Stop
    })?;
    Ok(reply)
}

/// Asks for one thing; gives the reply, or why it was not done.
fn answer(request: control::Request, patience: Option<Duration>) -> Result<control::Reply, String> {
    let mut reply = reply(request, patience).map_err(|error| error.to_string())?;
    match reply.error.take() {
        Some(why) => Err(why),
        None => Ok(reply),
    }
}

/// An event on the terminal: `14:05 MessageNew 11@3 INBOX: Jörg Müller: Grüße`.
fn print_entry(entry: &Entry) {
    terminal::print(&format!("{} {}", time_of_day(entry.at), in_one_line(&entry.event)));
}

/// `MessageNew 11@3 INBOX: Jörg Müller: Grüße`, `MailboxCreate 11@3 Travel`.
fn in_one_line(event: &Event) -> String {
    let place = [Some(one_line(event.kind.name())), field(event, "user"), field(event, "folder")];
    let mut text = place.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let said = match event.from.is_some() || event.is_new_mail() {
        true => Some(line(event)),
        false => field(event, "subject"),
    };
    if let Some(said) = said {
        text = format!("{text}: {said}");
    }
    text
}
