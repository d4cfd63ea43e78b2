//! `mailknock completions SHELL`: what lets a shell complete our command line.

use std::fmt::Write;
use std::process::ExitCode;

use clap::{Args, Command, ValueEnum, ValueHint};
use clap_complete::aot::{Bash, Fish, Zsh, generate};

use super::terminal;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Which one is to complete; it does so in the next shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// `mailknock completions bash > ~/.local/share/bash-completion/completions/mailknock`
    Bash,
    /// As `_mailknock` in a directory of its `fpath`: `mailknock completions zsh > ~/.zfunc/_mailknock`
    Zsh,
    /// `mailknock completions fish > ~/.config/fish/completions/mailknock.fish`
    Fish,
}

pub fn completions(shown: Command, arguments: &Arguments) -> ExitCode {
    terminal::print_all(&script(shown, arguments.shell));
    ExitCode::SUCCESS
}

fn script(shown: Command, shell: Shell) -> String {
    let name = shown.get_name().to_owned();
    let mut command = with_hints(shown);
    let mut script = Vec::new();
    match shell {
        Shell::Bash => generate(Bash, &mut command, name, &mut script),
        Shell::Zsh => generate(Zsh, &mut command, name, &mut script),
        Shell::Fish => generate(Fish, &mut command, name, &mut script),
    }
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Fish {
        add_arguments_for_fish(&command, &mut script);
    }
    script
}

/// clap's script for fish knows options only (clap-rs/clap#6295), and fish offers files where nothing is known.
fn add_arguments_for_fish(command: &Command, script: &mut String) {
    for below in command.get_subcommands() {
        let (name, word) = (command.get_name(), below.get_name());
        let begin = format!("complete -c {name} -n \"__fish_{name}_using_subcommand {word}\" -f");
        let _ = writeln!(script, "{begin}");
        let values = below.get_positionals().flat_map(|argument| argument.get_possible_values());
        for value in values.filter(|value| !value.is_hide_set()) {
            let help = value.get_help().map(ToString::to_string).unwrap_or_default();
            let help = help.replace('\\', r"\\").replace('\'', r"\'");
            let _ = writeln!(script, "{begin} -a {} -d '{help}'", value.get_name());
        }
    }
}

/// Where nothing is known of a value, shells offer files. What is a file here is a path for clap too.
fn with_hints(command: Command) -> Command {
    let is_unknown =
        |argument: &clap::Arg| argument.get_action().takes_values() && argument.get_value_hint() == ValueHint::Unknown;
    let hinted = |argument: clap::Arg| match is_unknown(&argument) {
        true => argument.value_hint(ValueHint::Other),
        false => argument,
    };
    command.mut_args(hinted).mut_subcommands(with_hints)
}
