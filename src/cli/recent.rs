//! `mailknock recent`: the activity on record.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use jiff::tz::TimeZone;

use crate::control::Request;
use crate::event::Event;
use crate::mime::one_line;
use crate::paths;
use crate::store::record;
use crate::store::{DeliveryState, Entry};

#[derive(Debug, Args)]
pub struct Arguments {
    /// How many, the newest first
    #[arg(short, value_name = "N", default_value_t = 20)]
    number: usize,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Only those that hold this text, in any case
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Take everything out that is finished, for good
    #[arg(long)]
    clear: bool,
}

pub fn recent(arguments: &Arguments) -> ExitCode {
    let Some(path) = paths::record_file() else {
        eprintln!("mailknock: there is no home directory, so nothing is on record");
        return ExitCode::FAILURE;
    };
    let is_wanted = |event: &Event| arguments.search.as_deref().is_none_or(|text| record::holds(event, text));
    let done = match (arguments.clear, path.exists()) {
        (true, _) => record::clear(&path).map(|gone| {
            // What runs shows its own memory in its menu.
            let _ = super::reply(Request::Forget, Some(super::PATIENCE));
            eprintln!("{gone} entries taken out");
        }),
        (false, true) => record::recent(&path, arguments.number, is_wanted)
            .map(|entries| entries.iter().for_each(|entry| print(entry, arguments.json))),
        (false, false) => {
            in_memory(arguments, is_wanted);
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("mailknock: {why} ({})", paths::display(&path));
            ExitCode::FAILURE
        }
    }
}

/// Where nothing is on disk, what the running program remembers.
fn in_memory(arguments: &Arguments, is_wanted: impl Fn(&Event) -> bool) {
    let Some(reply) = super::reply(Request::Recent, Some(super::PATIENCE)).ok() else { return };
    let entries = reply.entries.into_iter().filter_map(Entry::from_json);
    let wanted = entries.filter(|entry| is_wanted(&entry.event));
    wanted.take(arguments.number).for_each(|entry| print(&entry, arguments.json));
}

fn print(entry: &Entry, as_json: bool) {
    let line = if as_json { entry.json().line() } else { line(entry) };
    // A pager that was closed has read enough.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// `2026-11-21 14:05 MessageNew alice INBOX: Jörg Müller: Grüße [notify: shown; fetch: done]`.
fn line(entry: &Entry) -> String {
    let at = entry.at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string();
    let fates: Vec<String> = entry
        .deliveries
        .iter()
        .map(|delivery| match &delivery.state {
            DeliveryState::Waiting => format!("{}: waiting", delivery.handler),
            DeliveryState::Running(_) => format!("{}: running", delivery.handler),
            DeliveryState::Finished(outcome) => format!("{}: {}", delivery.handler, one_line(outcome)),
        })
        .collect();
    let fate = if fates.is_empty() { "no handler".to_owned() } else { fates.join("; ") };
    format!("{at} {} [{fate}]", super::in_one_line(&entry.event))
}
