//! What we say in JSON: one schema for what commands read on stdin, for `recent --json`, for `status --json`, for
//! `doctor --json`, and for the record on disk.
//!
//! An event is one object, by these keys; what an event doesn't say is left out. `schema` grows when the meaning of a key changes
//! or a key goes; new keys alone don't change it.
//!
//! | key | meaning |
//! | --- | --- |
//! | `schema` | 1 |
//! | `id` | number in the record |
//! | `at` | when it was accepted, RFC 3339, UTC |
//! | `event`, `user`, `folder` | as the sender said; `event` canonical |
//! | `uid`, `uid_validity`, `unseen` | numbers |
//! | `from`, `subject` | raw header values |
//! | `from_name`, `from_address`, `subject_text` | decoded, safe to show |
//! | `snippet`, `message_id` | |
//! | `to`, `date` | raw header value; when it was written, RFC 3339 |
//! | `flags`, `keywords` | of the message, or those that were set or cleared |
//! | `old_folder`, `messages` | a renamed folder's former name; messages in the folder |
//! | `invitation` | `true` where `subject_text` and `snippet` say what an invitation says |
//! | `read` | `true` where the message has been read, trashed or expunged since, and not been marked unread again |
//! | `remote` | address and port that it came from |
//! | `redelivered` | `true` where a run before a crash may have seen it |
//! | `deliveries` | in `recent`: what became of it, `[{"handler","state","outcome"}]`, state `waiting`, `running`, `finished` |

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{EntryId, Event, EventKind, Subject};
use crate::finding::Finding;
use crate::mime;
use crate::status::{HandlerStatus, Mailbox, Paused, Status, TunnelStatus, tunnel_line};

pub const VERSION: u32 = 1;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventJson {
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    event: String,
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid_validity: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unseen: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snippet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keywords: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_folder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    invitation: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<std::net::SocketAddr>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub redelivered: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<DeliveryJson>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveryJson {
    pub handler: String,
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

impl EventJson {
    pub fn new(event: &Event) -> Self {
        let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Self {
            schema: VERSION,
            event: event.kind.name().to_owned(),
            user: event.user.clone(),
            folder: event.folder.clone(),
            uid: event.uid,
            uid_validity: event.uid_validity,
            unseen: event.unseen,
            from: event.from.as_ref().map(|from| from.raw.clone()),
            from_name: event.from.as_ref().and_then(|from| filled(&from.name)),
            from_address: event.from.as_ref().and_then(|from| filled(&from.address)),
            subject: event.subject.as_ref().map(|subject| subject.raw.clone()),
            subject_text: event.subject.as_ref().and_then(|subject| filled(&subject.text)),
            snippet: event.snippet.clone(),
            message_id: event.message_id.clone(),
            to: event.to.clone(),
            date: event.date,
            flags: event.flags.clone(),
            keywords: event.keywords.clone(),
            old_folder: event.old_folder.clone(),
            messages: event.messages,
            invitation: event.is_invitation,
            remote: event.remote,
            ..Self::default()
        }
    }

    /// With its place in the record.
    pub fn entry(event: &Event, id: EntryId, at: Timestamp) -> Self {
        Self { id: Some(id.0), at: Some(at), ..Self::new(event) }
    }

    /// One line of JSON, without the line's end.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and lists are always JSON")
    }

    /// What is kept on disk: no decoded copies, and no text so long that a mail's author could fill the disk.
    pub fn at_rest(mut self, content: Content) -> String {
        (self.from_name, self.from_address) = (None, None);
        // An invitation's is another than what its subject says.
        self.subject_text.take_if(|_| !self.invitation);
        if content == Content::None {
            (self.from, self.to, self.subject, self.subject_text, self.message_id) = (None, None, None, None, None);
        }
        if content != Content::Full {
            self.snippet = None;
        }
        let texts = [
            &mut self.from,
            &mut self.to,
            &mut self.subject,
            &mut self.subject_text,
            &mut self.snippet,
            &mut self.folder,
            &mut self.old_folder,
            &mut self.message_id,
        ];
        texts.into_iter().flatten().chain(&mut self.flags).chain(&mut self.keywords).for_each(cut);
        cut(&mut self.user);
        cut(&mut self.event);
        self.line()
    }

    /// The event again; decoded values are made from the raw ones.
    pub fn into_event(self) -> Event {
        let mut event = Event::new(EventKind::from_name(&self.event), self.user);
        event.folder = self.folder;
        event.uid = self.uid;
        event.uid_validity = self.uid_validity;
        event.unseen = self.unseen;
        event.from = self.from.map(|raw| mime::originator(&raw));
        event.subject = self.subject.map(|raw| mime::subject(&raw));
        if let (true, Some(text)) = (self.invitation, self.subject_text) {
            let raw = event.subject.take().map(|subject| subject.raw).unwrap_or_default();
            event.subject = Some(Subject { raw, text: mime::one_line(&text) });
        }
        event.snippet = self.snippet;
        event.message_id = self.message_id;
        event.to = self.to;
        event.date = self.date;
        event.flags = self.flags;
        event.keywords = self.keywords;
        event.old_folder = self.old_folder;
        event.messages = self.messages;
        event.is_invitation = self.invitation;
        event.remote = self.remote;
        event
    }
}

/// How things stand, for `status --json`; times are RFC 3339, UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusJson {
    pub schema: u32,
    /// Messages that came since the user last looked.
    pub new: u32,
    /// Messages that nobody has seen; absent where no server tells when one is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen: Option<u32>,
    /// The same for each user and folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mailboxes: Vec<MailboxJson>,
    pub fetching: bool,
    pub paused: bool,
    /// When the pause ends; none while it lasts until resumed, or where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    /// Where new events come in.
    pub listening: Vec<String>,
    /// Whether what is accepted survives a crash.
    pub record: RecordJson,
    pub handlers: Vec<HandlerJson>,
    /// The mail servers' ways to us, as far as they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tunnels: Vec<TunnelJson>,
    pub problems: Vec<String>,
    /// The newest event that is worth a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxJson {
    pub user: String,
    pub folder: String,
    pub unseen: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordJson {
    Disk,
    #[default]
    Memory,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelJson {
    /// Absent for one that is kept up outside of us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `connecting`, `up`, `down`, `asleep`.
    pub state: String,
    pub since: Timestamp,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where the way through it can be tried, in the control socket's answer to `probe` alone: what goes in there comes
    /// out at the mail server. As a `listen` of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
}

impl TunnelJson {
    /// As among the problems, where it is one.
    pub fn line(&self) -> String {
        tunnel_line(self.host.as_deref(), &self.state, self.since, self.why.as_deref())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerJson {
    pub name: String,
    /// Whether a fetch runs it.
    pub fetch: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRunJson>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRunJson {
    pub at: Timestamp,
    pub result: String,
    pub succeeded: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_line: String,
}

impl StatusJson {
    pub fn new(status: &Status, record: RecordJson, listening: Vec<String>) -> Self {
        let handler = |handler: &HandlerStatus| HandlerJson {
            name: handler.name.clone(),
            fetch: handler.fetches,
            running_since: handler.running_since,
            last_run: handler.last.as_ref().map(|last| LastRunJson {
                at: last.at,
                result: last.result.clone(),
                succeeded: last.succeeded,
                last_line: last.last_line.clone(),
            }),
        };
        let mailbox = |mailbox: &Mailbox| MailboxJson {
            user: mailbox.user.clone(),
            folder: mailbox.folder.clone(),
            unseen: mailbox.unseen,
        };
        let tunnel = |tunnel: &TunnelStatus| TunnelJson {
            host: tunnel.name.clone(),
            state: tunnel.state.word().to_owned(),
            since: tunnel.since,
            why: tunnel.state.why().map(str::to_owned),
            probe: None,
        };
        Self {
            schema: VERSION,
            new: status.new,
            unseen: status.unseen(),
            mailboxes: status.unseen.iter().map(mailbox).collect(),
            fetching: status.is_fetching(),
            paused: status.paused.is_some(),
            paused_until: match status.paused {
                Some(Paused::Until(end) | Paused::Quiet(end)) => Some(end),
                _ => None,
            },
            listening,
            record,
            handlers: status.handlers.iter().map(handler).collect(),
            tunnels: status.tunnels.iter().map(tunnel).collect(),
            problems: status.problems.clone(),
            newest: status.recent.first().map(|recent| match recent.what.as_str() {
                "" => recent.who.clone(),
                what => format!("{}: {what}", recent.who),
            }),
        }
    }
}

/// What each look found, for `doctor --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorJson {
    pub schema: u32,
    pub checks: Vec<CheckJson>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckJson {
    /// What was looked at.
    pub name: String,
    /// `ok`, `warning`, `failed`, `unknown`.
    pub state: String,
    pub said: String,
    /// What to do, in lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl DoctorJson {
    pub fn new(findings: &[Finding]) -> Self {
        let check = |finding: &Finding| CheckJson {
            name: finding.name.clone(),
            state: finding.state.word().to_owned(),
            said: finding.said.clone(),
            advice: finding.advice.clone(),
        };
        Self { schema: VERSION, checks: findings.iter().map(check).collect() }
    }
}

/// How much of a message the record holds (`history.content`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Content {
    Full,
    /// Without snippets.
    #[default]
    Headers,
    /// Only what happened, where and to whom.
    None,
}

/// What the record keeps (`[history]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Entries of mail; changes of flags and the like are kept apart, as many again. 0: nothing on disk.
    pub keep: u32,
    pub content: Content,
    pub max_age: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep: 1000, content: Content::Headers, max_age: Duration::from_secs(90 * 24 * 3600) }
    }
}

/// Longer texts are cut at rest: a subject can have megabytes.
const MAX_AT_REST: usize = 8 * 1024;

fn cut(text: &mut String) {
    text.truncate(mime::cut(text, MAX_AT_REST).len());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        let mut event = Event::new(EventKind::MessageNew, "me");
        event.from = Some(mime::originator("=?utf-8?Q?J=C3=B6rg?= <j@x>"));
        event.subject = Some(mime::subject("a\n b"));
        event.snippet = Some("text\u{0}".into());
        event.uid = Some(7);
        event.remote = Some("127.0.0.1:9".parse().unwrap());
        event
    }

    #[test]
    fn an_event_on_stdin_is_one_line_raw_and_decoded() {
        let line = EventJson::entry(&event(), EntryId(3), Timestamp::UNIX_EPOCH).line();
        assert_eq!(
            line,
            r#"{"schema":1,"id":3,"at":"1970-01-01T00:00:00Z","event":"MessageNew","user":"me","uid":7,"from":"=?utf-8?Q?J=C3=B6rg?= <j@x>","from_name":"Jörg","from_address":"j@x","subject":"a\n b","subject_text":"a b","snippet":"text\u0000","remote":"127.0.0.1:9"}"#
        );
    }

    #[test]
    fn what_is_at_rest_comes_back() {
        let read = |content| {
            serde_json::from_str::<EventJson>(&EventJson::new(&event()).at_rest(content)).unwrap().into_event()
        };
        assert_eq!(read(Content::Full), event());
        assert_eq!(read(Content::Headers), Event { snippet: None, ..event() });
        assert_eq!(read(Content::None), Event { snippet: None, from: None, subject: None, ..event() });
    }

    #[test]
    fn no_mail_fills_the_disk() {
        let mut event = event();
        event.subject = Some(mime::subject(&"ü".repeat(1_000_000)));
        assert!(EventJson::new(&event).at_rest(Content::Full).len() < 20_000);
    }
}
