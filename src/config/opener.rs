//! What opens mail: a command of the user's, or a preset, one of ours for a mail program that can be told which message.
//!
//! A preset names the message by its Message-ID, which whoever wrote the mail chose. It is part of a word that begins
//! otherwise, so that no program reads it as an option. In Lisp it stands percent-encoded in a string, and holds nothing
//! that could end one.

use crate::document::Value;
use crate::handler::{FIELDS, read_words};
use crate::problem::Problem;
use crate::template::{CommandTemplate, Lookup, Refused, TemplateError};

/// A mail program that opens the very message.
#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    /// With its `@`.
    pub name: &'static str,
    /// Opens the message that an event is about.
    message: &'static [&'static str],
    /// Opens the program, where there is no event or it has no Message-ID.
    program: &'static [&'static str],
}

/// `emacsclient` that starts Emacs where it doesn't run, and evaluates what follows in a frame of its own.
macro_rules! emacs {
    ($lisp:expr) => {
        &["emacsclient", "--create-frame", "--no-wait", "--alternate-editor=", "--eval", $lisp]
    };
}

pub const PRESETS: [Preset; 5] = [
    // Not percent-encoded: older ones don't decode it, newer ones find it in either form.
    Preset { name: "@thunderbird", message: &["thunderbird", "mid:{message_id}"], program: &["thunderbird"] },
    Preset { name: "@betterbird", message: &["betterbird", "mid:{message_id}"], program: &["betterbird"] },
    Preset { name: "@evolution", message: &["evolution", "mid:{message_id:url}"], program: &["evolution"] },
    Preset {
        name: "@mu4e",
        message: emacs!(
            "(progn (require 'mu4e) (mu4e t) (mu4e-view-message-with-message-id \
             (decode-coding-string (url-unhex-string \"{message_id:url}\") 'utf-8)))"
        ),
        program: emacs!("(progn (require 'mu4e) (mu4e))"),
    },
    Preset {
        name: "@notmuch-emacs",
        message: emacs!(
            "(progn (require 'notmuch) (notmuch-show (notmuch-id-to-query \
             (decode-coding-string (url-unhex-string \"{message_id:url}\") 'utf-8))))"
        ),
        program: emacs!("(progn (require 'notmuch) (notmuch))"),
    },
];

/// The names of all presets, as people read them.
pub fn preset_names() -> String {
    PRESETS.map(|preset| preset.name).join(", ")
}

/// The key `open`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opener {
    Command(CommandTemplate),
    Preset { preset: &'static Preset, message: CommandTemplate, program: CommandTemplate },
}

impl Opener {
    pub(super) fn read(value: &Value<'_, '_>) -> Option<Self> {
        let words = if value.is_list() { value.strings()?.join(" ") } else { value.string()?.to_owned() };
        match words.trim_start().starts_with('@') {
            true => Self::read_preset(&words, value),
            false => read_words(value).map(Self::Command),
        }
    }

    fn read_preset(name: &str, value: &Value<'_, '_>) -> Option<Self> {
        let name = name.trim();
        let Some(preset) = PRESETS.iter().find(|preset| preset.name.eq_ignore_ascii_case(name)) else {
            let problem = Problem::error(format!("`{}`: there is no preset `{name}`", value.name()));
            return value.fail(problem.suggest(format!("the presets are {}", preset_names())));
        };
        match Self::of(preset) {
            Ok(opener) => Some(opener),
            Err(error) => value.fail(Problem::error(format!("`{}`: {error}", value.name()))),
        }
    }

    fn of(preset: &'static Preset) -> Result<Self, TemplateError> {
        let words = |words| CommandTemplate::from_trusted_words(words, FIELDS);
        Ok(Self::Preset { preset, message: words(preset.message)?, program: words(preset.program)? })
    }

    /// The program that is started.
    pub fn program(&self) -> &str {
        match self {
            Self::Command(command) => command.program(),
            Self::Preset { program, .. } => program.program(),
        }
    }

    /// The words to run for an event, or for none.
    pub fn fill(&self, lookup: Lookup<'_>) -> Result<Vec<String>, Refused> {
        match self {
            Self::Command(command) => command.fill(lookup),
            Self::Preset { message, .. } if lookup("message_id").is_some() => message.fill(lookup),
            Self::Preset { program, .. } => program.fill(lookup),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::event::{Event, EventKind};
    use crate::handler::field;

    fn read(value: &str) -> (Option<Opener>, Vec<String>) {
        let (opener, problems) =
            Document::read("f", &format!("open = {value}"), |root| Opener::read(&root.get("open")?));
        (opener, problems.iter().map(ToString::to_string).collect())
    }

    /// What a preset runs for a message with this Message-ID.
    fn words(preset: &str, message_id: Option<&str>) -> Vec<String> {
        let (opener, problems) = read(&format!("\"{preset}\""));
        let opener = opener.unwrap_or_else(|| panic!("{problems:?}"));
        let event = Event { message_id: message_id.map(str::to_owned), ..Event::new(EventKind::MessageNew, "me") };
        opener.fill(&|name| field(&event, name)).unwrap()
    }

    const EMACS: [&str; 5] = ["emacsclient", "--create-frame", "--no-wait", "--alternate-editor=", "--eval"];

    fn emacs(lisp: &str) -> Vec<String> {
        EMACS.iter().chain([&lisp]).map(ToString::to_string).collect()
    }

    #[test]
    fn each_preset_names_the_message() {
        let told = Some("<a+1=2%41@mail.example.org>");
        assert_eq!(words("@thunderbird", told), ["thunderbird", "mid:a+1=2%41@mail.example.org"]);
        assert_eq!(words("@betterbird", told), ["betterbird", "mid:a+1=2%41@mail.example.org"]);
        assert_eq!(words("@evolution", told), ["evolution", "mid:a%2B1%3D2%2541@mail.example.org"]);
        let id = "(decode-coding-string (url-unhex-string \"a%2B1%3D2%2541@mail.example.org\") 'utf-8)";
        assert_eq!(
            words("@mu4e", told),
            emacs(&format!("(progn (require 'mu4e) (mu4e t) (mu4e-view-message-with-message-id {id}))"))
        );
        assert_eq!(
            words("@notmuch-emacs", told),
            emacs(&format!("(progn (require 'notmuch) (notmuch-show (notmuch-id-to-query {id})))"))
        );
    }

    #[test]
    fn without_a_message_id_the_program_opens() {
        for told in [None, Some(""), Some("<>"), Some("\0\u{1b}"), Some("x".repeat(5000).as_str())] {
            assert_eq!(words("@thunderbird", told), ["thunderbird"], "{told:?}");
            assert_eq!(words("@betterbird", told), ["betterbird"], "{told:?}");
            assert_eq!(words("@evolution", told), ["evolution"], "{told:?}");
            assert_eq!(words("@mu4e", told), emacs("(progn (require 'mu4e) (mu4e))"), "{told:?}");
            assert_eq!(words("@notmuch-emacs", told), emacs("(progn (require 'notmuch) (notmuch))"), "{told:?}");
        }
    }

    #[test]
    fn no_message_id_is_more_than_a_part_of_its_word() {
        let hostile = [
            "\") (shell-command \"touch x\") (\"",
            "--eval",
            "-P",
            "--eval=(kill-emacs)",
            "a b@x\t--headless",
            "\\\" (shell-command \\\"x\\\")",
            "<x@y> \"(kill-emacs)\"",
            "a\r\nb\0c\u{1b}[1m@x",
            "{subject} {{}} ?`;'",
            "%22%29(kill-emacs)",
            "\u{202e}ä\u{1f600}@x",
        ];
        for preset in PRESETS.iter().map(|preset| preset.name) {
            let ordinary = words(preset, Some("<ordinary>"));
            let (before, after) = ordinary.last().unwrap().split_once("ordinary").unwrap();
            for told in hostile {
                let filled = words(preset, Some(told));
                assert_eq!(filled[..filled.len() - 1], ordinary[..ordinary.len() - 1], "{preset} {told}");
                let last = filled.last().unwrap();
                let id = last.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).unwrap();
                assert!(!before.is_empty() && !id.is_empty() && !id.chars().any(char::is_control), "{preset} {last}");
                // Nothing ends a Lisp string but a quote, and nothing in it means anything else but a backslash.
                let is_plain = id.chars().all(|c| c.is_ascii_alphanumeric() || "-._~@%".contains(c));
                assert!(is_plain || before == "mid:", "{preset} {last}");
            }
        }
    }

    #[test]
    fn an_unknown_preset_lists_those_there_are() {
        let list = "the presets are @thunderbird, @betterbird, @evolution, @mu4e, @notmuch-emacs";
        for (value, name) in [("\"@thunderbrid\"", "@thunderbrid"), ("\"@\"", "@"), ("[\"@mu4e\", \"x\"]", "@mu4e x")] {
            assert_eq!(read(value).1, [format!("f:1:8: `open`: there is no preset `{name}`; {list}")]);
        }
    }

    #[test]
    fn a_preset_may_be_a_list_of_its_name_and_case_does_not_matter() {
        let opener = read("\"@mu4e\"").0.unwrap();
        assert_eq!(read("[\"@mu4e\"]").0.unwrap(), opener);
        assert_eq!(read("\" @MU4E \"").0.unwrap(), opener);
    }

    #[test]
    fn what_the_user_writes_is_held_to_its_rules() {
        assert!(read("\"emacsclient --eval {message_id:url}\"").1[0].contains("`{message_id:sh}`"));
        assert!(read("\"{message_id}\"").1[0].starts_with("f:1:8: `open`: `{message_id}` stands where"));
        let (opener, problems) = read("\"thunderbird -P work mid:{message_id}\"");
        assert_eq!(problems, [""; 0]);
        let filled = opener.unwrap().fill(&|_| None).unwrap();
        assert_eq!(filled, ["thunderbird", "-P", "work"]);
    }
}
