//! `mailknock config`: makes the user's configuration, or says where it is looked for.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::starter::{self, Auth};
use crate::paths::{self, display};
use crate::secret;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write one with everything in it as a comment, and a random password; never over one that is there
    Init,
    /// Print where it is looked for
    Path,
}

/// `file` is the one to use in place of the usual one.
pub fn config(file: Option<&Path>, arguments: &Arguments) -> ExitCode {
    let Some(file) = file.map(Path::to_owned).or_else(paths::config_file) else {
        eprintln!("mailknock: there is no home directory to put a configuration in; set HOME, or name a file: -c FILE");
        return ExitCode::FAILURE;
    };
    match arguments.action {
        Action::Path => {
            println!("{}", file.display());
            if !file.exists() {
                eprintln!("there is none yet; `mailknock config init` writes one");
            }
            ExitCode::SUCCESS
        }
        Action::Init => init(&file),
    }
}

fn init(file: &Path) -> ExitCode {
    let name = display(file);
    let Some(pass) = secret::random() else {
        eprintln!("mailknock: {name} was not written: the system gives no random numbers for a password");
        return ExitCode::FAILURE;
    };
    match starter::write(file, &starter::starter(&pass, Auth::On)) {
        Ok(()) => {
            println!("{name} is written, for you alone to read, with a password for the mail server.\n");
            NEXT_STEPS.iter().for_each(|(command, what)| println!("{command:<26}  {what}"));
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            eprintln!(
                "mailknock: {name} is there already, and stays as it is; `mailknock check` says whether it is right"
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("mailknock: {name} was not written: {error}");
            if error.kind() != ErrorKind::StorageFull {
                eprintln!("Name a file where you may write: mailknock -c FILE config init");
            }
            ExitCode::FAILURE
        }
    }
}

/// What a new user does after the first, `mailknock config init`, and what each is for.
pub const NEXT_STEPS: [(&str, &str); 5] = [
    ("mailknock setup ssh HOST", "says how the mail server HOST gets to you, step by step"),
    ("mailknock setup dovecot", "says what the mail server needs; others: mailknock setup --help"),
    ("mailknock", "starts it, unless it runs already"),
    ("mailknock doctor", "tries each link"),
    ("mailknock autostart enable", "has it started when you log in"),
];
