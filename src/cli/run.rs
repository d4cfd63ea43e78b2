//! `mailknock run`: the session program.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use tokio::sync::mpsc;

use crate::app::{self, Options, Signal};
use crate::autostart::Autostart;
use crate::control::{self, Instance, InstanceError, Next, Request};
use crate::desktop::{self, Wanted};
use crate::paths;
use crate::process::Signals;

#[derive(Debug, Default, Args)]
pub struct Arguments {
    /// Show no tray icon
    #[arg(long)]
    no_tray: bool,
    /// Show no notifications
    #[arg(long)]
    no_notifications: bool,
    /// Also write each event to the terminal
    #[arg(long)]
    print: bool,
}

pub fn run(file: Option<&Path>, arguments: Arguments) -> ExitCode {
    let named = file.map(Path::to_owned).or_else(paths::config_file);
    // Where there is no such thing the menu doesn't have it.
    let autostart = Autostart::of_user(file).ok();
    let loaded = super::read(file);
    if loaded.config.is_none() && !stays_up_without_configuration() {
        super::print_problems(&loaded.problems);
        return ExitCode::from(super::WRONG_CONFIGURATION);
    }
    super::log::start(&loaded.config.as_ref().map(|config| config.log).unwrap_or_default());
    for problem in loaded.problems.iter().filter(|_| loaded.config.is_some()) {
        tracing::warn!("configuration: {problem}");
    }
    let standing = super::standing_problems();
    standing.iter().for_each(|problem| tracing::warn!("{problem}"));
    let instance = match be_the_only_one() {
        Ok(instance) => instance,
        Err(code) => return code,
    };
    let record = paths::record_file();
    let welcome = match &loaded.file {
        Some(file) => {
            tracing::info!("configuration {}", paths::display(file));
            None
        }
        None => {
            tracing::info!("no configuration; using the built-in default");
            let advice = first_advice();
            advice.iter().for_each(|line| tracing::info!("{line}"));
            // Whoever has used it before knows.
            record.as_ref().is_some_and(|record| !record.exists()).then(|| advice.join("\n"))
        }
    };
    desktop::main(move |desktop| async move {
        let options = Options {
            config: loaded.config,
            config_file: named,
            problems: loaded.problems,
            standing,
            wanted: Wanted { tray: !arguments.no_tray, notifications: !arguments.no_notifications },
            print: arguments.print.then(|| -> app::Print { Box::new(super::print_entry) }),
            record,
            welcome,
            autostart,
            instance,
            bound: None,
        };
        let signals = match signals() {
            Ok(signals) => signals,
            Err(error) => return failed(&error.into()),
        };
        match app::run(options, desktop, signals).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        }
    })
}

/// What somebody who has no configuration could do about it.
fn first_advice() -> Vec<String> {
    let mut advice = Vec::new();
    if Path::new(paths::IMSERIOUS_CONFIG).exists() {
        advice.push(format!("To use IMSErious' own configuration: mailknock -c {}", paths::IMSERIOUS_CONFIG));
    }
    advice.push(
        "In a terminal, `mailknock config init` writes a configuration with a password, and says what is next."
            .to_owned(),
    );
    advice.push("`mailknock setup dovecot`, or another server's name, prints the mail server's part.".to_owned());
    advice
}

/// In a desktop session a wrong configuration is shown there, and mended there. From a terminal, or where nobody would
/// see it, the exit code says it.
fn stays_up_without_configuration() -> bool {
    use std::io::IsTerminal;
    paths::has_display() && !std::io::stderr().is_terminal() && !std::io::stdin().is_terminal()
}

/// None where there is no place for the lock: then nobody can talk to us, and the rest goes on.
fn be_the_only_one() -> Result<Option<Instance>, ExitCode> {
    let Some(place) = super::control_place() else {
        tracing::warn!("there is no runtime directory: `status`, `fetch` and the like can't reach this program");
        return Ok(None);
    };
    match Instance::take(place) {
        Ok(instance) => Ok(Some(instance)),
        Err(InstanceError::Running) => {
            eprintln!("mailknock: Mailknock is running already; see `mailknock status`");
            if let Some(place) = super::control_place() {
                // Started from a menu, nobody reads what is printed.
                let _ = control::ask(&place, Request::Present, Some(super::PATIENCE), |_| Next::Stop);
            }
            Err(ExitCode::FAILURE)
        }
        Err(error) => {
            tracing::warn!("`status`, `fetch` and the like can't reach this program: {error}");
            Ok(None)
        }
    }
}

pub(super) fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("mailknock: {error:#}");
    ExitCode::FAILURE
}

/// What the system tells us, from the call on.
pub(super) fn signals() -> std::io::Result<mpsc::Receiver<Signal>> {
    let mut told = Signals::new()?;
    let (tell, signals) = mpsc::channel(4);
    tokio::spawn(async move { while tell.send(told.next().await).await.is_ok() {} });
    Ok(signals)
}
