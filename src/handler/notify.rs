//! The *notify* handler: a popup for each message, and one summary for many.
//!
//! | key of `[handler.notify]` | default | meaning |
//! | --- | --- | --- |
//! | `summary` | `"{account}{from_name}"` | the title |
//! | `body` | `"{subject}\n{snippet}"` | the text |
//! | `icon` | our own | a path or the name of an icon |
//! | `urgency` | `"normal"` | `low`, `normal`, `critical` |
//! | `expire` | `"default"` | or a duration, or `never` |
//! | `summarise_over` | `3` | the next popup of a folder within 60 s turns them into one |
//! | `withdraw` | `true` | a popup goes when its message is read, trashed or expunged elsewhere; a summary with the last |
//! | `ignore_quiet` | `false` | shown in quiet hours too |

use crate::desktop::note::{Expire, Note, Urgency};
use crate::document::{Table, Value};
use crate::event::Event;
use crate::mime::{one_line, paragraph, shorten};
use crate::pattern::Patterns;
use crate::problem::Problem;
use crate::template::Template;

use super::{FIELDS, Kind, field};

const SUMMARY: &str = "{account}{from_name}";
const BODY: &str = "{subject}\n{snippet}";
/// Longer titles and texts are cut by every notification service, somewhere.
const SUMMARY_LENGTH: usize = 120;
const BODY_LENGTH: usize = 500;
/// How many messages a summary names.
const LINES: usize = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    pub summary: Template,
    pub body: Template,
    pub icon: Option<String>,
    pub urgency: Urgency,
    pub expire: Expire,
    /// So many popups of one folder stand side by side; one more makes them a summary.
    pub summarise_over: usize,
    /// A popup goes when its message is read, trashed or expunged.
    pub withdraw: bool,
    /// Shown in quiet hours too.
    pub ignore_quiet: bool,
}

impl Default for Notify {
    fn default() -> Self {
        let known = |text| Template::parse(text, FIELDS).expect("the default templates hold known fields");
        Self {
            summary: known(SUMMARY),
            body: known(BODY),
            icon: None,
            urgency: Urgency::default(),
            expire: Expire::default(),
            summarise_over: 3,
            withdraw: true,
            ignore_quiet: false,
        }
    }
}

/// All folders but those whose mail nobody waits for, wherever a server keeps them (`INBOX.Junk`, `[Gmail]/Spam`).
pub fn default_folders() -> Patterns {
    let names = ["Sent", "Drafts", "Junk", "Spam", "Trash"];
    Patterns::new(names.iter().flat_map(|name| [format!("!{name}"), format!("!*/{name}"), format!("!*.{name}")]))
}

/// `notify = false`, `notify = true` or the table.
pub(super) fn read(value: &Value<'_, '_>) -> Option<Kind> {
    if value.is_boolean() {
        return value.boolean().map(|shown| if shown { Kind::Notify(Notify::default()) } else { Kind::Silence });
    }
    value.table(|table| Kind::Notify(Notify::read(table)))
}

impl Notify {
    fn read(table: &Table<'_, '_>) -> Self {
        let default = Self::default();
        let template = |key| table.parsed(key, |text| Template::parse(text, FIELDS));
        let urgencies = [("low", Urgency::Low), ("normal", Urgency::Normal), ("critical", Urgency::Critical)];
        Self {
            summary: template("summary").unwrap_or(default.summary),
            body: template("body").unwrap_or(default.body),
            icon: table.string("icon"),
            urgency: table.choice("urgency", &urgencies).unwrap_or_default(),
            expire: read_expire(table).unwrap_or_default(),
            summarise_over: table
                .integer("summarise_over", 0..=20)
                .map_or(default.summarise_over, |over| usize::try_from(over).unwrap_or(default.summarise_over)),
            withdraw: table.boolean("withdraw").unwrap_or(default.withdraw),
            ignore_quiet: table.boolean("ignore_quiet").unwrap_or(default.ignore_quiet),
        }
    }

    /// The popup of one event.
    pub fn note(&self, event: &Event) -> Note {
        let lookup = |name: &str| field(event, name).or_else(|| fallback(event, name));
        let summary = shorten(&one_line(&self.summary.render(&lookup)), SUMMARY_LENGTH);
        let body = shorten(&paragraph(&self.body.render(&lookup)), BODY_LENGTH);
        self.dress(if summary.is_empty() { "Mail".to_owned() } else { summary }, body)
    }

    /// The popup that stands for several events, `latest` among them, the newest last.
    pub fn summary_note(&self, count: usize, folder: Option<&str>, latest: &[&Event]) -> Note {
        let messages = match count {
            1 => "1 new message".to_owned(),
            count => format!("{count} new messages"),
        };
        let summary = match folder.map(one_line).filter(|folder| !folder.is_empty()) {
            Some(folder) => format!("{messages} in {folder}"),
            None => messages,
        };
        let newest = latest.iter().rev().take(LINES);
        let lines: Vec<String> = newest.map(|event| shorten(&line(event), SUMMARY_LENGTH)).collect();
        self.dress(shorten(&summary, SUMMARY_LENGTH), lines.join("\n"))
    }

    fn dress(&self, summary: String, body: String) -> Note {
        Note {
            summary,
            body,
            icon: self.icon.clone(),
            urgency: self.urgency,
            expire: self.expire,
            open_label: "Open".to_owned(),
        }
    }
}

/// An event in one line: who, and what about.
pub fn line(event: &Event) -> String {
    format!("{}: {}", who(event), what(event))
}

/// Who wrote; for an event that has no author, what happened.
pub fn who(event: &Event) -> String {
    field(event, "from_name").or_else(|| fallback(event, "from_name")).unwrap_or_default()
}

/// The subject; for an event that has none, the folder.
pub fn what(event: &Event) -> String {
    field(event, "subject").or_else(|| fallback(event, "subject")).unwrap_or_default()
}

/// What stands where a message doesn't say, so that no line is empty.
fn fallback(event: &Event, name: &str) -> Option<String> {
    let text = match (name, event.is_new_mail()) {
        ("from_name" | "from", true) => "Unknown sender".to_owned(),
        ("from_name" | "from", false) => one_line(event.kind.name()),
        ("subject", true) => "(no subject)".to_owned(),
        ("subject", false) => field(event, "folder").unwrap_or_else(|| one_line(&event.user)),
        _ => return None,
    };
    Some(text)
}

fn read_expire(table: &Table<'_, '_>) -> Option<Expire> {
    let value = table.get("expire")?;
    match value.string()? {
        "default" => Some(Expire::Default),
        "never" => Some(Expire::Never),
        text => match humantime::parse_duration(text) {
            Ok(time) if !time.is_zero() => Some(Expire::After(time)),
            _ => value.fail(
                Problem::error(format!("`{}` can't be `{text}`", value.name()))
                    .suggest("write \"default\", \"never\" or a duration such as \"10s\""),
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::event::EventKind;
    use crate::mime;

    fn mail(from: &str, subject: &str, snippet: &str) -> Event {
        let mut event = Event::new(EventKind::MessageNew, "me");
        event.from = Some(mime::originator(from));
        event.subject = Some(mime::subject(subject));
        event.snippet = Some(snippet.to_owned());
        event
    }

    fn texts(note: &Note) -> (&str, &str) {
        (&note.summary, &note.body)
    }

    #[test]
    fn a_message_reads_as_its_author_wrote_it() {
        let event = mail("=?utf-8?Q?J=C3=B6rg?= <j@example.org>", "=?utf-8?B?R3LDvMOfZQ==?=", "Hallo.\n Wie geht's?");
        assert_eq!(texts(&Notify::default().note(&event)), ("Jörg", "Grüße\nHallo. Wie geht's?"));
    }

    #[test]
    fn no_line_is_ever_empty() {
        let note = Notify::default().note(&Event::new(EventKind::MessageNew, "me"));
        assert_eq!(texts(&note), ("Unknown sender", "(no subject)"));
        let mut event = Event::new(EventKind::MailboxCreate, "me");
        event.folder = Some("Work".into());
        assert_eq!(texts(&Notify::default().note(&event)), ("MailboxCreate", "Work"));
        let note = Notify::default().note(&mail("\u{202e}", "\0\u{1b}", "\n"));
        assert_eq!(texts(&note), ("Unknown sender", "(no subject)"));
    }

    #[test]
    fn hostile_lengths_are_cut() {
        let note = Notify::default().note(&mail(&"N".repeat(10_000), &"s".repeat(10_000), &"t".repeat(10_000)));
        assert!(note.summary.chars().count() <= SUMMARY_LENGTH && note.body.chars().count() <= BODY_LENGTH);
    }

    #[test]
    fn a_summary_counts_and_names_the_newest() {
        let events: Vec<Event> = (1..=5).map(|n| mail(&format!("A{n} <a@x>"), &format!("s{n}"), "")).collect();
        let note = Notify::default().summary_note(5, Some("INBOX"), &events.iter().collect::<Vec<_>>());
        assert_eq!(texts(&note), ("5 new messages in INBOX", "A5: s5\nA4: s4\nA3: s3"));
    }

    #[test]
    fn every_key_has_its_effect_and_wrong_ones_are_told() {
        let text = "notify = { summary = \"[{user}]\", body = \"{folder}\", icon = \"mail\", urgency = \"low\", expire = \"10s\", summarise_over = 5, withdraw = false, ignore_quiet = true }";
        let (kind, problems) = Document::read("f", text, |root| root.get("notify").and_then(|value| read(&value)));
        assert!(problems.is_empty(), "{problems:?}");
        let Some(Kind::Notify(notify)) = kind else { panic!("not a notify handler") };
        let note = notify.note(&Event::new(EventKind::MessageNew, "me"));
        assert_eq!((note.summary.as_str(), note.icon.as_deref()), ("[me]", Some("mail")));
        assert_eq!(note.urgency, Urgency::Low);
        assert_eq!(note.expire, Expire::After(std::time::Duration::from_secs(10)));
        assert_eq!((notify.summarise_over, notify.withdraw, notify.ignore_quiet), (5, false, true));

        let wrong = "notify = { summary = \"{fron}\", expire = \"soon\", urgency = \"huge\" }";
        let (_, problems) = Document::read("f", wrong, |root| root.get("notify").and_then(|value| read(&value)));
        assert_eq!(problems.len(), 3);
        assert!(problems[0].message.contains("unknown field `{fron}`; the fields are {account} {user}"));
    }
}
