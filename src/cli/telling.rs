//! What a command has to say at its end: on the terminal, and where that is wanted in a notification.

use std::process::ExitCode;

use clap::Args;

use super::terminal::print_all;
use crate::desktop;
use crate::mime::{one_line, shorten};

/// More of them, or longer ones, hide what else is on the screen.
const MAX_LINES: usize = 8;
const LINE_LENGTH: usize = 160;

#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Telling {
    /// Also say the result in a notification, for where no terminal is
    #[arg(long)]
    notify: bool,
}

/// What came of a command that could be done.
#[derive(Debug)]
pub struct Said {
    pub lines: Vec<String>,
    pub code: ExitCode,
}

impl Said {
    pub fn done(lines: Vec<String>) -> Self {
        Self { lines, code: ExitCode::SUCCESS }
    }
}

impl Telling {
    /// Tells what came of it, or why nothing did, and gives the exit code, which no notification changes.
    pub fn tell(self, said: Result<Said, String>) -> ExitCode {
        let (lines, code) = match said {
            Ok(Said { lines, code }) => {
                print_all(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
                (lines, code)
            }
            Err(why) => {
                eprintln!("mailknock: {why}");
                (vec![why], ExitCode::FAILURE)
            }
        };
        if !self.notify {
            return code;
        }
        let text = in_a_popup(&lines);
        desktop::without_icon(async move {
            if let Err(why) = desktop::say(&text).await {
                eprintln!("mailknock: the notification could not be shown: {why}");
            }
            code
        })
    }
}

/// The first lines, and how many are left out.
fn in_a_popup(lines: &[String]) -> String {
    let shown = if lines.len() > MAX_LINES { MAX_LINES - 1 } else { lines.len() };
    let mut text: Vec<String> = lines[..shown].iter().map(|line| shorten(&one_line(line), LINE_LENGTH)).collect();
    if shown < lines.len() {
        text.push(format!("and {} more", lines.len() - shown));
    }
    text.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_popup_has_room_for_eight_lines() {
        let lines = |count: usize| (1..=count).map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(in_a_popup(&lines(0)), "");
        assert_eq!(in_a_popup(&lines(8)), "1\n2\n3\n4\n5\n6\n7\n8");
        assert_eq!(in_a_popup(&lines(9)), "1\n2\n3\n4\n5\n6\n7\nand 2 more");
    }

    #[test]
    fn a_line_of_a_popup_is_one_and_short() {
        let text = in_a_popup(&["a\nb\0".to_owned(), "x".repeat(9_999)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (2, "a b"));
        assert!(lines[1].ends_with("x…") && lines[1].chars().count() <= LINE_LENGTH, "{}", lines[1]);
    }
}
