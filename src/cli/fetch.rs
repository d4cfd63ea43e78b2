//! `mailknock fetch`: runs the fetch handlers of the running program now.

use std::process::ExitCode;

use clap::Args;

use super::telling::{Said, Telling};
use crate::control::{Request, RunJson};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Handlers to run; without, all that fetch
    #[arg(value_name = "NAME")]
    handlers: Vec<String>,
    #[command(flatten)]
    telling: Telling,
}

/// Waits for the runs, says how each ended, and fails if one did.
pub fn fetch(arguments: Arguments) -> ExitCode {
    let fetched = super::answer(Request::Fetch { handlers: arguments.handlers }, None);
    arguments.telling.tell(fetched.map(|reply| said(reply.runs)))
}

fn said(mut runs: Vec<RunJson>) -> Said {
    // What failed first: a notification has room for a few lines only.
    runs.sort_by_key(|run| run.succeeded);
    let lines = runs.iter().map(|run| match run.last_line.as_str() {
        "" => format!("{}: {}", run.handler, run.result),
        line => format!("{}: {}: {line}", run.handler, run.result),
    });
    let code = match runs.iter().all(|run| run.succeeded) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    };
    Said { lines: lines.collect(), code }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_said_first_with_its_last_line() {
        let run = |handler: &str, succeeded, last_line: &str| RunJson {
            handler: handler.into(),
            result: if succeeded { "done".into() } else { "exit 3".into() },
            succeeded,
            last_line: last_line.into(),
        };
        let said = said(vec![run("b", true, "2 new"), run("a", true, ""), run("sad", false, "no route")]);
        assert_eq!(said.lines, ["sad: exit 3: no route", "b: done: 2 new", "a: done"]);
        assert_eq!(said.code, ExitCode::FAILURE);
    }
}
