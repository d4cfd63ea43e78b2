//! `mailknock pause` and `mailknock resume`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::PATIENCE;
use crate::clock::time_of_day;
use crate::control::{Reply, Request};

#[derive(Debug, Args)]
pub struct Arguments {
    /// How long, such as 30m or 2h; without, until resumed
    #[arg(value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
}

pub fn pause(arguments: &Arguments) -> ExitCode {
    let seconds = arguments.duration.map(|duration| duration.as_secs().max(1));
    super::ask_once(Request::Pause { seconds }, Some(PATIENCE), say)
}

pub fn resume() -> ExitCode {
    super::ask_once(Request::Resume, Some(PATIENCE), say)
}

fn say(reply: &Reply) -> ExitCode {
    if let Some(status) = &reply.status {
        match (status.paused, status.paused_until) {
            (false, _) => println!("notifications are shown"),
            (true, None) => println!("notifications are paused until resumed"),
            (true, Some(end)) => println!("notifications are paused until {}", time_of_day(end)),
        }
    }
    ExitCode::SUCCESS
}
