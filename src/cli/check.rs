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
    let loaded = match super::load(file) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if arguments.print {
        print!("{}", loaded.config);
    }
    match &loaded.file {
        Some(file) => eprintln!("{}: configuration OK", paths::display(file)),
        None => eprintln!("no configuration file: the built-in default is used"),
    }
    ExitCode::SUCCESS
}
