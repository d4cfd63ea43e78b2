//! The *notify* handler: a popup for each message, and one summary for many.
//!
//! | key of `[handler.notify]` | default | meaning |
//! | --- | --- | --- |
//! | `summary` | `"{account}{from_name}"` | the title |
//! | `body` | `"{subject}\n{snippet}"` | the text |
//! | `icon` | our own | a path or the name of an icon |
//! | `sound` | `false` | a sound's name, for services that make one |
//! | `actions` | `[]` | buttons: `{ label, command }` each |
//! | `urgency` | `"normal"` | `low`, `normal`, `critical` |
//! | `expire` | `"default"` | or a duration, or `never` |
//! | `summarise_over` | `3` | the next popup of a folder within 60 s turns them into one |
//! | `withdraw` | `true` | a popup goes when its message is read, trashed or expunged elsewhere; a summary with the last |
//! | `ignore_quiet` | `false` | shown in quiet hours too |

use std::sync::Arc;

use crate::desktop::note::{Expire, Note, Urgency};
use crate::document::{Table, Value};
use crate::event::Event;
use crate::mime::{one_line, paragraph, shorten};
use crate::pattern::Patterns;
use crate::problem::Problem;
use crate::template::{CommandTemplate, Template};

use super::{FIELDS, Kind, field, read_words};

const SUMMARY: &str = "{account}{from_name}";
const BODY: &str = "{subject}\n{snippet}";
/// Longer titles and texts are cut by every notification service, somewhere.
const SUMMARY_LENGTH: usize = 120;
const BODY_LENGTH: usize = 500;
const LABEL_LENGTH: usize = 40;
/// More are an interface for which a popup is no place (GNOME's guidelines; KDE's say the same).
const BUTTONS: usize = 3;
/// A long subject leaves room for what comes after it.
const FIELD_LENGTH: usize = 200;
/// How many messages a summary names.
const LINES: usize = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    pub summary: Template,
    pub body: Template,
    pub icon: Option<String>,
    pub sound: Option<String>,
    pub actions: Arc<[Action]>,
    pub urgency: Urgency,
    pub expire: Expire,
    /// So many popups of one folder stand side by side; one more makes them a summary.
    pub summarise_over: usize,
    /// A popup goes when its message is read, trashed or expunged.
    pub withdraw: bool,
    /// Shown in quiet hours too.
    pub ignore_quiet: bool,
}

/// A button: a command about the popup's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    pub label: String,
    pub command: CommandTemplate,
}

impl Action {
    fn read(table: &Table<'_, '_>) -> Option<Self> {
        let wanted = ["label", "command"];
        for key in wanted.into_iter().filter(|key| !table.has(key)) {
            table.report(Problem::error(format!("a button needs a `{key}`")));
        }
        let label = table.get("label").and_then(|value| match one_line(value.string()?) {
            empty if empty.is_empty() => value.fail(Problem::error("a button's `label` is empty")),
            label => Some(shorten(&label, LABEL_LENGTH)),
        });
        let command = table.get("command").and_then(|value| read_words(&value));
        Some(Self { label: label?, command: command? })
    }

    /// Whether it makes sense for a message: all that it says of this must be known, and where it names the message by its
    /// number, so that no other is meant.
    fn is_for(&self, event: &Event, account: Option<&str>) -> bool {
        let is_certain = event.uid.is_some_and(|uid| uid > 0) && event.uid_validity.is_some();
        self.command.fields().all(|name| match name {
            "uid" | "uid_validity" => is_certain,
            "account" => account.is_some(),
            name => field(event, name).is_some(),
        })
    }
}

impl Default for Notify {
    fn default() -> Self {
        let known = |text| Template::parse(text, FIELDS).expect("the default templates hold known fields");
        Self {
            summary: known(SUMMARY),
            body: known(BODY),
            icon: None,
            sound: None,
            actions: Arc::default(),
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
            sound: table.get("sound").and_then(|value| read_sound(&value)),
            actions: table.tables("actions", Action::read).into_iter().flatten().collect(),
            urgency: table.choice("urgency", &urgencies).unwrap_or_default(),
            expire: read_expire(table).unwrap_or_default(),
            summarise_over: table
                .integer("summarise_over", 0..=20)
                .map_or(default.summarise_over, |over| usize::try_from(over).unwrap_or(default.summarise_over)),
            withdraw: table.boolean("withdraw").unwrap_or(default.withdraw),
            ignore_quiet: table.boolean("ignore_quiet").unwrap_or(default.ignore_quiet),
        }
    }

    /// The popup of one event, and which of the actions are its buttons. `account` is what people call its user.
    pub fn note(&self, event: &Event, account: Option<&str>) -> (Note, Vec<Action>) {
        let lookup = |name: &str| match name {
            "account" => account.map(|label| format!("{label}: ")),
            name => field(event, name).map(|text| shorten(&text, FIELD_LENGTH)).or_else(|| fallback(event, name)),
        };
        let summary = shorten(&one_line(&self.summary.render(&lookup)), SUMMARY_LENGTH);
        let body = shorten(&paragraph(&self.body.render(&lookup)), BODY_LENGTH);
        let cover = cover(&counted(1), account);
        let note = self.dress(if summary.is_empty() { "Mail".to_owned() } else { summary }, body, cover, account);
        let actions: Vec<Action> =
            self.actions.iter().filter(|action| action.is_for(event, account)).take(BUTTONS).cloned().collect();
        let buttons = actions.iter().map(|action| action.label.clone()).collect();
        (Note { buttons, ..note }, actions)
    }

    /// The popup that stands for several events, `latest` among them, the newest last.
    pub fn summary_note(&self, count: usize, folder: Option<&str>, account: Option<&str>, latest: &[&Event]) -> Note {
        let messages = counted(count);
        let summary = match folder.map(one_line).filter(|folder| !folder.is_empty()) {
            Some(folder) => cover(&format!("{messages} in {folder}"), account),
            None => cover(&messages, account),
        };
        let newest = latest.iter().rev().take(LINES);
        let lines: Vec<String> = newest.map(|event| shorten(&line(event), SUMMARY_LENGTH)).collect();
        self.dress(shorten(&summary, SUMMARY_LENGTH), lines.join("\n"), cover(&messages, account), account)
    }

    fn dress(&self, summary: String, body: String, cover: String, account: Option<&str>) -> Note {
        Note {
            summary,
            body,
            icon: self.icon.clone(),
            urgency: self.urgency,
            expire: self.expire,
            open_label: Some("Open".to_owned()),
            buttons: Vec::new(),
            sound: self.sound.clone(),
            account: account.map(str::to_owned),
            cover: Some(cover),
        }
    }
}

fn counted(count: usize) -> String {
    match count {
        1 => "1 new message".to_owned(),
        count => format!("{count} new messages"),
    }
}

fn cover(text: &str, account: Option<&str>) -> String {
    account.map_or(text.to_owned(), |label| format!("{label}: {text}"))
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

/// `false`, or a sound's name.
fn read_sound(value: &Value<'_, '_>) -> Option<String> {
    let fail = |why: &str| {
        let problem = Problem::error(format!("`{}` {why}", value.name()));
        value.fail(problem.suggest("write `false`, or a name such as \"message-new-email\""))
    };
    if value.is_boolean() {
        return match value.boolean()? {
            false => None,
            true => fail("says that there is a sound, but not which"),
        };
    }
    match value.string()? {
        name if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => {
            Some(name.to_owned())
        }
        _ => fail("is no sound's name"),
    }
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

    fn popup(event: &Event) -> Note {
        Notify::default().note(event, None).0
    }

    fn read_notify(text: &str) -> (Option<Notify>, Vec<String>) {
        let (kind, problems) = Document::read("f", text, |root| root.get("notify").and_then(|value| read(&value)));
        let notify = match kind {
            Some(Kind::Notify(notify)) => Some(notify),
            _ => None,
        };
        (notify, problems.iter().map(ToString::to_string).collect())
    }

    fn texts(note: &Note) -> (&str, &str) {
        (&note.summary, &note.body)
    }

    #[test]
    fn a_message_reads_as_its_author_wrote_it() {
        let event = mail("=?utf-8?Q?J=C3=B6rg?= <j@example.org>", "=?utf-8?B?R3LDvMOfZQ==?=", "Hallo.\n Wie geht's?");
        assert_eq!(texts(&popup(&event)), ("Jörg", "Grüße\nHallo. Wie geht's?"));
    }

    #[test]
    fn no_line_is_ever_empty() {
        let note = popup(&Event::new(EventKind::MessageNew, "me"));
        assert_eq!(texts(&note), ("Unknown sender", "(no subject)"));
        let mut event = Event::new(EventKind::MailboxCreate, "me");
        event.folder = Some("Work".into());
        assert_eq!(texts(&popup(&event)), ("MailboxCreate", "Work"));
        let note = popup(&mail("\u{202e}", "\0\u{1b}", "\n"));
        assert_eq!(texts(&note), ("Unknown sender", "(no subject)"));
    }

    #[test]
    fn hostile_lengths_are_cut() {
        let note = popup(&mail(&"N".repeat(10_000), &"s".repeat(10_000), &"t".repeat(10_000)));
        assert!(note.summary.chars().count() <= SUMMARY_LENGTH && note.body.chars().count() <= BODY_LENGTH);
        assert!(note.body.lines().last().is_some_and(|line| line.starts_with('t')), "the text is there all the same");
    }

    #[test]
    fn a_summary_counts_and_names_the_newest() {
        let events: Vec<Event> = (1..=5).map(|n| mail(&format!("A{n} <a@x>"), &format!("s{n}"), "")).collect();
        let note = Notify::default().summary_note(5, Some("INBOX"), None, &events.iter().collect::<Vec<_>>());
        assert_eq!(texts(&note), ("5 new messages in INBOX", "A5: s5\nA4: s4\nA3: s3"));
    }

    #[test]
    fn every_key_has_its_effect_and_wrong_ones_are_told() {
        let text = "notify = { summary = \"[{user}]\", body = \"{folder}\", icon = \"mail\", urgency = \"low\", expire = \"10s\", summarise_over = 5, withdraw = false, ignore_quiet = true }";
        let (kind, problems) = Document::read("f", text, |root| root.get("notify").and_then(|value| read(&value)));
        assert!(problems.is_empty(), "{problems:?}");
        let Some(Kind::Notify(notify)) = kind else { panic!("not a notify handler") };
        let note = notify.note(&Event::new(EventKind::MessageNew, "me"), None).0;
        assert_eq!((note.summary.as_str(), note.icon.as_deref()), ("[me]", Some("mail")));
        assert_eq!(note.urgency, Urgency::Low);
        assert_eq!(note.expire, Expire::After(std::time::Duration::from_secs(10)));
        assert_eq!((notify.summarise_over, notify.withdraw, notify.ignore_quiet), (5, false, true));

        let wrong = "notify = { summary = \"{fron}\", expire = \"soon\", urgency = \"huge\" }";
        let (_, problems) = Document::read("f", wrong, |root| root.get("notify").and_then(|value| read(&value)));
        assert_eq!(problems.len(), 3);
        assert!(problems[0].message.contains("unknown field `{fron}`; the fields are {account} {user}"));
    }

    #[test]
    fn an_account_is_called_by_its_name_wherever_its_mail_is_shown() {
        let event = mail("A <a@x>", "s", "");
        let notify = Notify::default();
        let (note, _) = notify.note(&event, Some("Work"));
        assert_eq!((note.summary.as_str(), note.account.as_deref()), ("Work: A", Some("Work")));
        assert_eq!(note.cover.as_deref(), Some("Work: 1 new message"));
        let summary = notify.summary_note(5, Some("INBOX"), Some("Work"), &[&event]);
        assert_eq!(summary.summary, "Work: 5 new messages in INBOX");
        assert_eq!(summary.cover.as_deref(), Some("Work: 5 new messages"), "folders have telling names");
    }

    #[test]
    fn a_button_is_there_where_everything_that_it_says_is_known() {
        let (notify, problems) = read_notify(
            "notify = { actions = [{ label = \"Read\", command = \"seen {folder} {uid}\" }, \
             { label = \"Open\", command = \"open {message_id}\" }, { label = \"Log\", command = [\"log\", \"{user}\"] }] }",
        );
        let notify = notify.unwrap_or_else(|| panic!("{problems:?}"));
        let buttons = |event: &Event| notify.note(event, None).0.buttons;
        let mut event = mail("A <a@x>", "s", "");
        assert_eq!(buttons(&event), ["Log"]);
        (event.folder, event.uid, event.message_id) = (Some("INBOX".into()), Some(7), Some("<m@x>".into()));
        assert_eq!(buttons(&event), ["Open", "Log"], "a number alone may be another message's by now");
        event.uid_validity = Some(1);
        assert_eq!(buttons(&event), ["Read", "Open", "Log"]);
        event.uid = Some(0);
        assert_eq!(buttons(&event), ["Open", "Log"]);
        assert!(notify.summary_note(2, None, None, &[&event]).buttons.is_empty(), "it would be about mail nobody saw");
    }

    #[test]
    fn wrong_buttons_and_sounds_are_told() {
        let told = |text: &str, expected: &str| {
            let (_, problems) = read_notify(&format!("notify = {{ {text} }}"));
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{text}: {problems:?}");
        };
        told("actions = [{ command = \"x\" }]", "a button needs a `label`");
        told("actions = [{ label = \"x\" }]", "a button needs a `command`");
        told("actions = [{ label = \"\", command = \"x\" }]", "`label` is empty");
        told("actions = [{ label = \"x\", command = \"ssh m rm {folder}\" }]", "{folder:sh}");
        told("actions = [{ label = \"x\", command = \"{folder} x\" }]", "must never choose a program");
        told("sound = true", "not which");
        told("sound = \"/etc/passwd\"", "is no sound's name");
        let (notify, problems) = read_notify("notify = { sound = \"message-new-email\" }");
        assert_eq!((notify.unwrap().sound.as_deref(), problems), (Some("message-new-email"), Vec::new()));
        assert_eq!(read_notify("notify = { sound = false }").0.unwrap().sound, None);
    }
}
