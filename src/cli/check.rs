//! `mailknock check`: every problem of the configuration, with its place.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::paths;

#[derive(Debug, Default, Args)]
pub struct Arguments {
    /// Also print the configuration with all defaults, without secrets
    #[arg(long)]
    print: bool,
}

pub fn check(file: Option<&Path>, arguments: &Arguments) -> ExitCode {
    let read = super::read(file);
    super::print_problems(&read.problems);
    let Some(config) = read.config else { return ExitCode::from(super::WRONG_CONFIGURATION) };
    if arguments.print {
        print!("{config}");
    }
    match &read.file {
        Some(file) => eprintln!("{}: configuration OK", paths::display(file)),
        None => eprintln!("no configuration file: the built-in default is used"),
    }
    ExitCode::SUCCESS
}
