//! `mailknock fetch`: runs the fetch handlers of the running program now.

use std::process::ExitCode;

use clap::Args;

use crate::control::Request;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Handlers to run; without, all that fetch
    #[arg(value_name = "NAME")]
    handlers: Vec<String>,
}

/// Waits for the runs, prints how each ended, and fails if one did.
pub fn fetch(arguments: Arguments) -> ExitCode {
    super::ask_once(Request::Fetch { handlers: arguments.handlers }, None, |reply| {
        for run in &reply.runs {
            match run.last_line.as_str() {
                "" => println!("{}: {}", run.handler, run.result),
                line => println!("{}: {}: {line}", run.handler, run.result),
            }
        }
        match reply.runs.iter().all(|run| run.succeeded) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    })
}
