//! `mailknock recent`: the activity on record.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use jiff::tz::TimeZone;

use crate::handler::field;
use crate::handler::notify::{what, who};
use crate::mime::one_line;
use crate::paths;
use crate::schema::{DeliveryJson, EventJson};
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
    let done = match arguments.clear {
        true => record::clear(&path).map(|gone| eprintln!("{gone} entries taken out")),
        false => record::recent(&path, arguments.number, arguments.search.as_deref())
            .map(|entries| entries.iter().for_each(|entry| print(entry, arguments.json))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("mailknock: {why} ({})", paths::display(&path));
            ExitCode::FAILURE
        }
    }
}

fn print(entry: &Entry, as_json: bool) {
    let line = if as_json { json(entry) } else { line(entry) };
    // A pager that was closed has read enough.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn json(entry: &Entry) -> String {
    let mut json = EventJson::entry(&entry.event, entry.id, entry.at);
    let delivery = |delivery: &crate::store::Delivery| {
        let (state, outcome) = match &delivery.state {
            DeliveryState::Waiting => ("waiting", None),
            DeliveryState::Running(_) => ("running", None),
            DeliveryState::Finished(outcome) => ("finished", Some(outcome.clone())),
        };
        DeliveryJson { handler: delivery.handler.to_string(), state: state.to_owned(), outcome }
    };
    json.deliveries = entry.deliveries.iter().map(delivery).collect();
    json.line()
}

/// `2026-11-21 14:05 MessageNew alice INBOX: Jörg Müller: Grüße [notify: shown; fetch: done]`.
fn line(entry: &Entry) -> String {
    let at = entry.at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string();
    let event = &entry.event;
    let folder = field(event, "folder").map(|folder| format!(" {folder}")).unwrap_or_default();
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
    format!(
        "{at} {} {}{folder}: {}: {} [{fate}]",
        one_line(event.kind.name()),
        one_line(&event.user),
        who(event),
        what(event)
    )
}
