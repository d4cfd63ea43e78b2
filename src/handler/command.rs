//! The *command* handler: wakes a mail retrieval agent or any other program.
//!
//! | key of `[[handler]]` | default | meaning |
//! | --- | --- | --- |
//! | `command` | | the program and its arguments: words as a shell would split them, or a list; no shell, no fields |
//! | `timeout` | `"1h"` | of one run; then its whole process group is ended |
//! | `stdin` | `"events"` | all events since the last run as lines of JSON ([`crate::schema`]); or `"none"` |
//! | `lock` | none | handlers with the same lock never run at once |
//!
//! The run sees the newest event in `IMSE_*` variables, named and filled as IMSErious does, and a few more.

use std::ffi::OsString;
use std::time::Duration;

use crate::document::{Table, Value};
use crate::event::Event;
use crate::process::Job;
use crate::schema::EventJson;

use super::{Batch, Filter, Told};

/// Linux gives a program's arguments and environment 128 KiB a string; a subject alone can be 9 MB.
const MAX_VARIABLE: usize = 8 * 1024;
const MAX_VARIABLES: usize = 96 * 1024;

/// All that a run may find set. What isn't set is taken away, so that nothing of our own environment shows through.
const VARIABLES: [&str; 18] = [
    "IMSE_USER",
    "IMSE_EVENT",
    "IMSE_REMOTE_IP",
    "IMSE_REMOTE_PORT",
    "IMSE_UNSEEN",
    "IMSE_FOLDER",
    "IMSE_FROM",
    "IMSE_SNIPPET",
    "IMSE_SUBJECT",
    "IMSE_UID",
    "IMSE_UIDVALIDITY",
    "IMSE_MESSAGE_ID",
    "IMSE_COUNT",
    "IMSE_TRIGGER",
    "IMSE_FROM_NAME",
    "IMSE_FROM_ADDRESS",
    "IMSE_SUBJECT_TEXT",
    "IMSE_TRUNCATED",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Never empty.
    pub words: Vec<String>,
    pub timeout: Duration,
    pub stdin: Stdin,
}

/// What a run can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    Events,
    Nothing,
}

impl Stdin {
    pub const NAMES: [(&'static str, Self); 2] = [("events", Self::Events), ("none", Self::Nothing)];
}

impl Command {
    pub(super) fn read(value: &Value<'_, '_>, table: &Table<'_, '_>) -> Option<Self> {
        let timeout = table.duration("timeout").unwrap_or(Duration::from_secs(3600));
        let stdin = table.choice("stdin", &Stdin::NAMES).unwrap_or(Stdin::Events);
        let words = value.command()?;
        Some(Self { words, timeout, stdin })
    }

    pub(super) fn job(&self, filter: &Filter, batch: &Batch) -> Job {
        let stdin = match self.stdin {
            Stdin::Events => batch.events.iter().flat_map(|told| line(told).into_bytes()).collect(),
            Stdin::Nothing => Vec::new(),
        };
        let job = Job::new(self.words.clone());
        Job { environment: environment(filter, batch), timeout: self.timeout, stdin, ..job }
    }
}

fn line(told: &Told) -> String {
    let mut json = EventJson::entry(&told.event, told.entry, told.at);
    json.redelivered = told.redelivered;
    json.line() + "\n"
}

fn environment(filter: &Filter, batch: &Batch) -> Vec<(&'static str, Option<OsString>)> {
    let mut variables = Variables::default();
    match batch.events.last() {
        Some(newest) => {
            of_event(&mut variables, &newest.event);
            variables.set("IMSE_COUNT", &batch.events.len().to_string());
        }
        // As IMSErious: a run with no event knows what its handler is for.
        None => {
            variables.set("IMSE_USER", filter.user.as_name().unwrap_or_default());
            let event = filter.event.as_name().map(crate::event::EventKind::from_name);
            variables.set("IMSE_EVENT", event.as_ref().map_or("", |event| event.name()));
        }
    }
    variables.set("IMSE_TRIGGER", batch.trigger.name());
    if variables.truncated {
        variables.set("IMSE_TRUNCATED", "1");
    }
    VARIABLES
        .into_iter()
        .map(|name| {
            let value = variables.set.iter().find(|(set, _)| *set == name).map(|(_, value)| value.into());
            (name, value)
        })
        .collect()
}

fn of_event(variables: &mut Variables, event: &Event) {
    variables.set("IMSE_USER", &event.user);
    variables.set("IMSE_EVENT", event.kind.name());
    if let Some(remote) = event.remote {
        variables.set("IMSE_REMOTE_IP", &remote.ip().to_string());
        variables.set("IMSE_REMOTE_PORT", &remote.port().to_string());
    }
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    // Set in any case, as IMSErious does.
    variables.set("IMSE_UNSEEN", &number(event.unseen).unwrap_or_default());
    variables.set("IMSE_FOLDER", event.folder.as_deref().unwrap_or_default());
    variables.set("IMSE_FROM", event.from.as_ref().map_or("", |from| &from.raw));
    variables.set("IMSE_SNIPPET", event.snippet.as_deref().unwrap_or_default());
    let subject = event.subject.as_ref();
    let from = event.from.as_ref();
    let filled = |text: &'_ str| !text.is_empty();
    let more = [
        ("IMSE_SUBJECT", subject.map(|subject| subject.raw.clone())),
        ("IMSE_SUBJECT_TEXT", subject.map(|subject| subject.text.clone())),
        ("IMSE_FROM_NAME", from.map(|from| from.name.clone()).filter(|name| filled(name))),
        ("IMSE_FROM_ADDRESS", from.map(|from| from.address.clone()).filter(|address| filled(address))),
        ("IMSE_UID", number(event.uid)),
        ("IMSE_UIDVALIDITY", number(event.uid_validity)),
        ("IMSE_MESSAGE_ID", event.message_id.clone()),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            variables.set(name, &value);
        }
    }
}

#[derive(Default)]
struct Variables {
    set: Vec<(&'static str, String)>,
    size: usize,
    truncated: bool,
}

impl Variables {
    /// A NUL can't be in the environment; what is too long is cut at a character.
    fn set(&mut self, name: &'static str, value: &str) {
        let room = MAX_VARIABLE.min(MAX_VARIABLES.saturating_sub(self.size));
        let mut kept = String::with_capacity(value.len().min(room));
        for c in value.chars().filter(|c| *c != '\0') {
            if kept.len() + c.len_utf8() > room {
                self.truncated = true;
                break;
            }
            kept.push(c);
        }
        self.size += name.len() + kept.len();
        self.set.push((name, kept));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::event::{EntryId, EventKind};
    use crate::handler::{Handler, Trigger};
    use crate::mime;
    use std::sync::Arc;

    fn handler(text: &str) -> Handler {
        let (handler, problems) = Document::read("f", text, |root| Handler::read(root, 1));
        assert!(problems.is_empty(), "{problems:?}");
        handler.unwrap()
    }

    fn variables(trigger: Trigger, events: Vec<Event>) -> Vec<(&'static str, String)> {
        let handler = handler("user = \"me\"\ncommand = \"x\"");
        let batch = Batch { trigger, events: events.into_iter().map(told).collect() };
        let set = environment(&handler.filter, &batch);
        set.into_iter().filter_map(|(name, value)| Some((name, value?.into_string().unwrap()))).collect()
    }

    fn told(event: Event) -> Told {
        Told { entry: EntryId(5), at: jiff::Timestamp::UNIX_EPOCH, event: Arc::new(event), redelivered: false }
    }

    fn get<'a>(variables: &'a [(&'static str, String)], name: &str) -> Option<&'a str> {
        variables.iter().find(|(set, _)| *set == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_run_sees_the_newest_event_raw_and_decoded() {
        let mut event = Event::new(EventKind::MessageNew, "me");
        event.from = Some(mime::originator("=?utf-8?Q?J=C3=B6rg?= <j@x>"));
        event.subject = Some(mime::subject("a\n\tb"));
        event.uid = Some(7);
        event.remote = Some("127.0.0.1:4711".parse().unwrap());
        let set = variables(Trigger::Event, vec![Event::new(EventKind::MessageNew, "old"), event]);
        assert_eq!(get(&set, "IMSE_USER"), Some("me"));
        assert_eq!(get(&set, "IMSE_EVENT"), Some("MessageNew"));
        assert_eq!(get(&set, "IMSE_FROM"), Some("=?utf-8?Q?J=C3=B6rg?= <j@x>"));
        assert_eq!(get(&set, "IMSE_FROM_NAME"), Some("Jörg"));
        assert_eq!(get(&set, "IMSE_SUBJECT"), Some("a\n\tb"));
        assert_eq!(get(&set, "IMSE_SUBJECT_TEXT"), Some("a b"));
        assert_eq!(get(&set, "IMSE_REMOTE_PORT"), Some("4711"));
        assert_eq!((get(&set, "IMSE_UNSEEN"), get(&set, "IMSE_FOLDER")), (Some(""), Some("")));
        assert_eq!((get(&set, "IMSE_UID"), get(&set, "IMSE_MESSAGE_ID")), (Some("7"), None));
        assert_eq!((get(&set, "IMSE_COUNT"), get(&set, "IMSE_TRIGGER")), (Some("2"), Some("event")));
    }

    #[test]
    fn a_periodic_run_knows_its_user_and_event_only() {
        let set = variables(Trigger::Periodic, Vec::new());
        assert_eq!(
            set,
            [("IMSE_USER", "me".to_owned()), ("IMSE_EVENT", "MessageNew".into()), ("IMSE_TRIGGER", "periodic".into())]
        );
    }

    #[test]
    fn no_event_makes_the_environment_too_large_or_unspeakable() {
        let mut event = Event::new(EventKind::MessageNew, "m\0e");
        event.subject = Some(mime::subject(&"ü".repeat(5_000_000)));
        event.from = Some(mime::originator(&"a\0b".repeat(100_000)));
        event.snippet = Some("x".repeat(100_000));
        let set = variables(Trigger::Event, vec![event]);
        assert_eq!(get(&set, "IMSE_USER"), Some("me"));
        assert_eq!(get(&set, "IMSE_TRUNCATED"), Some("1"));
        assert!(set.iter().all(|(_, value)| value.len() <= MAX_VARIABLE && !value.contains('\0')));
        assert!(set.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= MAX_VARIABLES + 64);
    }

    #[test]
    fn all_events_are_lines_on_stdin_unless_told_otherwise() {
        let batch = Batch {
            trigger: Trigger::Event,
            events: vec![
                Told { redelivered: true, ..told(Event::new(EventKind::MessageNew, "a")) },
                told(Event::new(EventKind::MessageNew, "b\n")),
            ],
        };
        let stdin = |config: &str| match handler(config).act(&batch) {
            crate::handler::Act::Run(job) => String::from_utf8(job.stdin).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            stdin("command = \"x\""),
            "{\"schema\":1,\"id\":5,\"at\":\"1970-01-01T00:00:00Z\",\"event\":\"MessageNew\",\"user\":\"a\",\"redelivered\":true}\n\
             {\"schema\":1,\"id\":5,\"at\":\"1970-01-01T00:00:00Z\",\"event\":\"MessageNew\",\"user\":\"b\\n\"}\n"
        );
        assert_eq!(stdin("command = \"x\"\nstdin = \"none\""), "");
    }

    #[test]
    fn commands_are_words_without_a_shell() {
        let Job { words, timeout, .. } = match handler("command = \"fdm -a 'two words' $HOME\"").kind {
            super::super::Kind::Command(command) => {
                command.job(&Handler::built_in().filter, &Batch { trigger: Trigger::Event, events: Vec::new() })
            }
            _ => panic!("no command"),
        };
        assert_eq!(words, ["fdm", "-a", "two words", "$HOME"]);
        assert_eq!(timeout, Duration::from_secs(3600));
        for wrong in ["command = \"\"", "command = []", "command = \"a 'b\"", "command = 5"] {
            let (_, problems) = Document::read("f", wrong, |root| Handler::read(root, 1));
            assert_eq!(problems.len(), 1, "{wrong}: {problems:?}");
        }
    }
}
