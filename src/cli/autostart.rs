//! `mailknock autostart`: has Mailknock started at login, or not, or says whether it is.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::sync::watch;

use crate::autostart::{Autostart, Changed, Found, Refused, TELL_SYSTEMD, Way};
use crate::paths::display;
use crate::process::{self, Exit, Job};

/// systemd answers at once, unless there is none that would.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub struct Arguments {
    #[arg(value_enum)]
    action: Action,
    /// By a unit of systemd for the user, which starts it again after a crash, in place of the desktop's autostart file
    #[arg(long)]
    systemd: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    /// From the next login on
    Enable,
    /// Whichever way it was
    Disable,
    /// Whether, by which file, and whether its program is there
    Status,
}

/// `file` is the configuration that is to be used at login too, if not the usual one.
pub fn autostart(file: Option<&Path>, arguments: &Arguments) -> ExitCode {
    let way = if arguments.systemd { Way::Systemd } else { Way::Desktop };
    let done = Autostart::of_user(file).and_then(|autostart| match arguments.action {
        Action::Enable => autostart.enable(way).map(|changed| say(changed, &autostart)),
        Action::Disable => autostart.disable().map(|changed| say(changed, &autostart)),
        Action::Status => {
            let found = autostart.found();
            let found = found.into_iter().filter(|found| !arguments.systemd || found.way == Way::Systemd);
            Ok(status(&found.collect::<Vec<_>>()))
        }
    });
    done.unwrap_or_else(|refused: Refused| {
        eprintln!("mailknock: {refused}");
        ExitCode::FAILURE
    })
}

fn say(changed: Changed, autostart: &Autostart) -> ExitCode {
    status(&autostart.found());
    if changed.units
        && let Err(why) = tell_systemd()
    {
        eprintln!("systemd could not be told, and sees it at the next login: {why}");
    }
    ExitCode::SUCCESS
}

/// Succeeds where something will be started.
fn status(found: &[Found]) -> ExitCode {
    if found.is_empty() {
        println!("Mailknock is not started at login");
    }
    for Found { way, file, program, is_there } in found {
        let file = display(file);
        match is_there {
            true => println!("Mailknock is started at login by {way}: {file} starts {program}"),
            false => println!(
                "Mailknock is not started at login: {file} is there, but not its program `{program}`; \
                 `mailknock autostart enable` puts in the one that you run then"
            ),
        }
    }
    match found.iter().any(|found| found.is_there) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn tell_systemd() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let (_going, stop) = watch::channel(false);
    let job = Job { timeout: PATIENCE, ..Job::new(TELL_SYSTEMD.map(str::to_owned).to_vec()) };
    let ended = runtime.block_on(process::run(job, |_| {}, stop));
    match ended.exit {
        Exit::Code(0) => Ok(()),
        Exit::NotStarted(why) => Err(why),
        exit => Err(format!("{exit}: {}", ended.stderr.trim())),
    }
}
