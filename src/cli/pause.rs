//! `mailknock pause` and `mailknock resume`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::PATIENCE;
use super::telling::{Said, Telling};
use crate::clock::time_of_day;
use crate::control::{Reply, Request};

#[derive(Debug, Args)]
pub struct Arguments {
    /// How long, such as 30m or 2h; without, until resumed
    #[arg(value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Resume where notifications are paused already
    #[arg(long)]
    toggle: bool,
    #[command(flatten)]
    telling: Telling,
}

pub fn pause(arguments: &Arguments) -> ExitCode {
    let seconds = arguments.duration.map(|duration| duration.as_secs().max(1));
    let request = match arguments.toggle {
        true => Request::Toggle { seconds },
        false => Request::Pause { seconds },
    };
    arguments.telling.tell(super::answer(request, Some(PATIENCE)).map(said))
}

pub fn resume() -> ExitCode {
    Telling::default().tell(super::answer(Request::Resume, Some(PATIENCE)).map(said))
}

fn said(reply: Reply) -> Said {
    let line = reply.status.map(|status| match (status.paused, status.paused_until) {
        (false, _) => "notifications are shown".to_owned(),
        (true, None) => "notifications are paused until resumed".to_owned(),
        (true, Some(end)) => format!("notifications are paused until {}", time_of_day(end)),
    });
    Said::done(line.into_iter().collect())
}
