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
    let is_named = file.is_some();
    let Some(file) = file.map(Path::to_owned).or_else(paths::config_file) else {
        eprintln!("mailknock: there is no home directory to put a configuration in; set HOME, or name a file: -c FILE");
        return ExitCode::FAILURE;
    };
    match arguments.action {
        Action::Path => {
            println!("{}", file.display());
            if file.symlink_metadata().is_err() {
                eprintln!("there is none yet; `mailknock config init` writes one");
            }
            ExitCode::SUCCESS
        }
        Action::Init => init(&file, is_named),
    }
}

fn init(file: &Path, is_named: bool) -> ExitCode {
    let name = display(file);
    // Each command goes by the same file.
    let program = match is_named {
        true => format!("mailknock -c {}", shell_words::quote(&file.to_string_lossy())),
        false => "mailknock".to_owned(),
    };
    let Some(pass) = secret::random() else {
        eprintln!("mailknock: {name} was not written: the system gives no random numbers for a password");
        return ExitCode::FAILURE;
    };
    let written = starter::write(file, &starter::starter(&pass, Auth::On)).and_then(|file| file.sync_all());
    match written {
        Ok(()) => {
            println!("{name} is written, for you alone to read, with a password for the mail server.\n");
            let steps = NEXT_STEPS.map(|(command, what)| (command.replacen("mailknock", &program, 1), what));
            let width = steps.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
            steps.iter().for_each(|(command, what)| println!("{command:<width$}  {what}"));
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            eprintln!(
                "mailknock: {name} is there already, and stays as it is; `{program} check` says whether it is right"
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
    ("mailknock doctor", "tries each link, also before it is started"),
    ("mailknock autostart enable", "has it started when you log in"),
    ("mailknock", "starts it now, unless it runs already"),
];
