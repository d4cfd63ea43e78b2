//! The command line as its own help tells it, for tests of what else tells of it.

use std::collections::BTreeSet;

use super::daemon::Daemon;

/// What one command can be given. Ordered and without doubles, to be compared.
#[derive(Default)]
pub struct Help {
    /// The words of the command, none for the program alone.
    pub words: Vec<String>,
    /// What may follow it.
    pub commands: BTreeSet<String>,
    /// The long names of its options, `--help` too.
    pub options: BTreeSet<String>,
    /// What its arguments can be, where that is a list.
    pub values: BTreeSet<String>,
    /// The same of its options.
    pub option_values: BTreeSet<String>,
}

impl Help {
    /// The program itself, and each of its commands but `help`, whose own are the same ones again.
    #[track_caller]
    pub fn of_all(daemon: &Daemon) -> Vec<Help> {
        let mut found: Vec<Help> = Vec::new();
        let mut waiting = vec![Vec::new()];
        while let Some(words) = waiting.pop() {
            let help = Help::of(daemon, words);
            for below in help.commands.iter().filter(|name| *name != "help") {
                waiting.push(help.words.iter().chain([below]).cloned().collect());
            }
            found.push(help);
        }
        assert!(found.len() > 10, "only {} commands were seen", found.len());
        found
    }

    #[track_caller]
    fn of(daemon: &Daemon, words: Vec<String>) -> Help {
        let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["-h"]).collect();
        let printed = daemon.command(&arguments).succeeded().stdout;
        let mut help = Help { words, ..Help::default() };
        let mut part = "";
        for line in printed.lines() {
            if let Some(title) = line.strip_suffix(':').filter(|title| !title.starts_with(' ')) {
                part = title;
                continue;
            }
            let mut line_words = line.split_whitespace();
            match part {
                "Commands" => help.commands.extend(line_words.next().map(str::to_owned)),
                "Options" => help.options.extend(line_words.find(|word| word.starts_with("--")).map(str::to_owned)),
                _ => {}
            }
            if let Some((_, values)) = line.split_once("[possible values: ") {
                let values = values.trim_end_matches(']').split(", ").map(str::to_owned);
                if part == "Arguments" { &mut help.values } else { &mut help.option_values }.extend(values);
            }
        }
        help
    }

    /// `mailknock config init`.
    pub fn command(&self) -> String {
        [&["mailknock".to_owned()], self.words.as_slice()].concat().join(" ")
    }
}
