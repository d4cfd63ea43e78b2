//! `mailknock doctor`: each link in turn, from the configuration to a test event that comes through the tunnel, and
//! what to do.

mod listening;
mod programs;
mod server;
mod trial;
mod tunnels;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{Read, reply, terminal};
use crate::config::Config;
use crate::control::{AskError, Request};
use crate::desktop::{self, Wanted};
use crate::finding::{Finding, State};
use crate::mime::one_line;
use crate::paths::display;
use crate::problem::Problem;
use crate::schema::{DoctorJson, StatusJson, TunnelJson};
use crate::secret;
use crate::store::Entry;
use trial::Trial;

/// It has nothing to do but to answer.
const PATIENCE_WITH_MEMORY: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub struct Arguments {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub fn doctor(file: Option<&Path>, arguments: Arguments) -> ExitCode {
    let read = super::read(file);
    desktop::without_icon(async {
        let mut report = Report { json: arguments.json, findings: Vec::new() };
        look_at_all(&read, &mut report).await;
        report.end(read.config.is_some())
    })
}

async fn look_at_all(read: &Read, report: &mut Report) {
    report.add_all(configuration(read));
    let running = running(report);
    let config = read.config.as_ref();
    let (has_tunnel, leads_here) = ways(config, &running);
    let trial = match config {
        Some(config) if leads_here => Trial::prepare(config, report).await,
        _ => None,
    };
    let trial = trial.as_ref();
    report.add_all(match (&running, config) {
        // What comes through a tunnel comes here too.
        (Program::Runs(status), _) => listening::answers(status, config, trial, !has_tunnel).await,
        (Program::Absent, Some(config)) => listening::could_be_bound(config),
        _ => Vec::new(),
    });
    report.add_all(desktop::survey(wanted(config)).await);
    report.add_all(config.map(programs::look).unwrap_or_default());
    tunnels::look(config, &running, trial, report).await;
    report.add(server::look(config, &running));
}

/// Whether there is a tunnel, and whether anything leads to a listener that takes events.
fn ways(config: Option<&Config>, running: &Program) -> (bool, bool) {
    let is_wished = config.is_some_and(|config| !config.tunnels.is_empty());
    match running {
        Program::Runs(status) => (is_wished || !status.tunnels.is_empty(), !status.listening.is_empty()),
        Program::Absent => (is_wished, is_wished),
        Program::Broken => (is_wished, false),
    }
}

/// What is found, told as it comes.
struct Report {
    json: bool,
    findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, finding: Finding) {
        let finding = clean(finding);
        if !self.json {
            terminal::print_all(&lines(&finding));
        }
        self.findings.push(finding);
    }

    fn add_all(&mut self, findings: Vec<Finding>) {
        findings.into_iter().for_each(|finding| self.add(finding));
    }

    fn end(self, has_configuration: bool) -> ExitCode {
        if self.json {
            let json = serde_json::to_string(&DoctorJson::new(&self.findings)).unwrap_or_default();
            terminal::print_all(&format!("{json}\n"));
        }
        match self.findings.iter().any(|finding| finding.state == State::Failed) {
            _ if !has_configuration => ExitCode::from(super::WRONG_CONFIGURATION),
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        }
    }
}

/// Other programs' words may be in it.
fn clean(finding: Finding) -> Finding {
    let advice = finding.advice.map(|advice| advice.lines().map(one_line).collect::<Vec<_>>().join("\n"));
    Finding { name: one_line(&finding.name), said: one_line(&finding.said), advice, ..finding }
}

fn lines(finding: &Finding) -> String {
    let mut text = format!("{:<9}{}: {}\n", finding.state.word(), finding.name, finding.said);
    for line in finding.advice.iter().flat_map(|advice| advice.lines()) {
        text += &format!("{:9}  {line}\n", "");
    }
    text
}

fn configuration(read: &Read) -> Vec<Finding> {
    const NAME: &str = "configuration";
    let problem = |problem: &Problem| {
        let message = match &problem.place {
            Some(place) => format!("{place}: {}", problem.message),
            None => problem.message.clone(),
        };
        let finding = match problem.is_error() {
            true => Finding::failed(NAME, message),
            false => Finding::warning(NAME, message),
        };
        Finding { advice: problem.suggestion.clone(), ..finding }
    };
    let mut found: Vec<Finding> = read.problems.iter().map(problem).collect();
    if let Some(config) = &read.config {
        let place = read.file.as_deref().map_or("no file: the built-in default".to_owned(), display);
        found.insert(0, Finding::ok(NAME, place));
        let no_password = config.auth.as_ref().and_then(|auth| secret::is_wrong(&auth.pass));
        found.extend(no_password.map(|why| Finding::failed(NAME, why).advise("until it is mended nobody is let in")));
    }
    found.extend(super::standing_problems().into_iter().map(|why| Finding::warning(NAME, why)));
    found
}

/// What is known of the running program.
enum Program {
    Runs(Box<StatusJson>),
    Absent,
    /// It is there, but doesn't answer.
    Broken,
}

fn running(report: &mut Report) -> Program {
    const NAME: &str = "running program";
    match ask(Request::Status) {
        Ok(status) => {
            report.add(Finding::ok(NAME, "answers"));
            // Those of the tunnels have lines of their own.
            let tunnels: Vec<String> = status.tunnels.iter().map(TunnelJson::line).collect();
            let own = status.problems.iter().filter(|problem| !tunnels.contains(problem));
            own.for_each(|problem| report.add(Finding::warning(NAME, problem)));
            Program::Runs(Box::new(status))
        }
        Err(AskError::NotRunning) => {
            report.add(Finding::warning(NAME, "Mailknock isn't running").advise("start it: `mailknock`"));
            Program::Absent
        }
        Err(error) => {
            report.add(Finding::failed(NAME, error.to_string()).advise("end it, and start it again"));
            Program::Broken
        }
    }
}

fn ask(request: Request) -> Result<StatusJson, AskError> {
    let status = reply(request, Some(super::PATIENCE * 2))?.status;
    status.ok_or_else(|| AskError::Broken("it does not say how it stands".to_owned()))
}

/// What the running program remembers, the newest first.
fn activity() -> Result<Vec<Entry>, AskError> {
    let entries = reply(Request::Recent, Some(PATIENCE_WITH_MEMORY))?.entries;
    Ok(entries.into_iter().filter_map(Entry::from_json).collect())
}

fn wanted(config: Option<&Config>) -> Wanted {
    let Some(config) = config else { return Wanted { tray: true, notifications: true } };
    Wanted { tray: config.tray.enabled, notifications: config.shows_popups() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_and_its_advice_stands_below_it() {
        let finding = Finding::failed("tunnel to m", "no\u{1b}[31m way\nout").advise("first\nthen\u{202e}");
        assert_eq!(lines(&clean(finding)), "failed   tunnel to m: no[31m way out\n           first\n           then\n");
        assert_eq!(lines(&Finding::ok("a", "b")), "ok       a: b\n");
        assert_eq!(lines(&Finding::unknown("a", "b")), "unknown  a: b\n");
        assert_eq!(lines(&Finding::warning("a", "b")), "warning  a: b\n");
    }

    #[test]
    fn all_problems_of_a_configuration_are_told_with_their_places() {
        let (config, problems) = Config::parse("f", "lisen = \"x\"\ntimeout = 5\n");
        let found = configuration(&Read { config, problems, file: None });
        let failed: Vec<_> = found.iter().filter(|finding| finding.state == State::Failed).collect();
        assert_eq!(failed.len(), 2, "{found:?}");
        assert_eq!(failed[0].said, "f:1:1: unknown key `lisen`");
        assert_eq!(failed[0].advice.as_deref(), Some("did you mean `listen`?"));
        assert!(!found.iter().any(|finding| finding.state == State::Ok));
    }

    #[test]
    fn only_what_the_configuration_wants_of_the_desktop_is_looked_for() {
        let config = Config::parse("f", "[tray]\nenabled = false\n[[handler]]\ncommand = \"true\"").0.unwrap();
        assert_eq!(wanted(Some(&config)), Wanted { tray: false, notifications: false });
        assert_eq!(wanted(Some(&Config::default())), Wanted { tray: true, notifications: true });
    }
}
