//! What senders call the parts of an event, and what they put there.
//!
//! Dovecot's OX driver has its keys, our Lua script and `mailknock send` have more of that kind; Lua scripts that dump
//! Dovecot's own fields have other names for the same. Where an event has both, ours count.

use std::borrow::Cow;

use jiff::Timestamp;

use super::WireError;
use crate::event::{Event, EventKind, Originator};
use crate::mime;

/// A value as far as events know any.
#[derive(Debug, Default, Clone)]
pub enum Value<'de> {
    #[default]
    Absent,
    Text(Cow<'de, str>),
    Number(f64),
    /// The texts of a list.
    List(Vec<String>),
    /// Something that no key of ours holds.
    Other,
}

impl Value<'_> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.into_owned()),
            _ => None,
        }
    }

    fn filled(self) -> Option<String> {
        self.text().filter(|text| !text.trim().is_empty())
    }

    fn required(self, key: &'static str) -> Result<String, WireError> {
        match self {
            Self::Text(text) if text.trim().is_empty() => Err(WireError::Missing(key)),
            Self::Text(text) => Ok(text.into_owned()),
            Self::Absent => Err(WireError::Missing(key)),
            Self::Number(_) | Self::List(_) | Self::Other => Err(WireError::NotText(key)),
        }
    }

    /// Lua's numbers are floats: `4.0` is 4. Everything that is no number from 0 to 2³²−1 is absent.
    fn number(self) -> Option<u32> {
        let number = match self {
            Self::Number(number) => number,
            Self::Text(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        (number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number)).then_some(number as u32)
    }

    /// Lua writes an empty list as `{}`.
    fn list(self) -> Vec<String> {
        match self {
            Self::List(texts) => texts,
            Self::Text(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }

    /// Seconds since 1970, as Dovecot says it (0 where a message has no date), or as a header has it (RFC 5322
    /// section 3.3).
    fn date(self) -> Option<Timestamp> {
        match self {
            Self::Number(seconds) if seconds > 0.0 && seconds < 1e11 => Timestamp::from_second(seconds as i64).ok(),
            Self::Text(text) => jiff::fmt::rfc2822::parse(text.trim()).ok().map(|date| date.timestamp()),
            _ => None,
        }
    }
}

/// An event's values as they come.
#[derive(Debug, Default)]
pub struct Keys<'de> {
    user: Value<'de>,
    event: Value<'de>,
    folder: Value<'de>,
    old_folder: Value<'de>,
    uid: Value<'de>,
    uid_validity: Value<'de>,
    from: Value<'de>,
    from_address: Value<'de>,
    from_name: Value<'de>,
    to: Value<'de>,
    to_address: Value<'de>,
    subject: Value<'de>,
    snippet: Value<'de>,
    date: Value<'de>,
    flags: Value<'de>,
    keywords: Value<'de>,
    unseen: Value<'de>,
    messages: Value<'de>,
    message_id: Value<'de>,
    body: Value<'de>,
    /// It has names that are Dovecot's own, among which there is no user.
    is_raw: bool,
}

impl<'de> Keys<'de> {
    pub fn set(&mut self, key: &str, value: Value<'de>) {
        let (slot, is_raw) = match key {
            "user" => (&mut self.user, false),
            "event" => (&mut self.event, false),
            "folder" => (&mut self.folder, false),
            "old-folder" => (&mut self.old_folder, false),
            "imap-uid" => (&mut self.uid, false),
            "imap-uidvalidity" => (&mut self.uid_validity, false),
            "from" => (&mut self.from, false),
            "to" => (&mut self.to, false),
            "subject" => (&mut self.subject, false),
            "snippet" => (&mut self.snippet, false),
            "date" => (&mut self.date, false),
            "flags" => (&mut self.flags, false),
            "keywords" => (&mut self.keywords, false),
            "unseen" => (&mut self.unseen, false),
            "messages" => (&mut self.messages, false),
            "message-id" => (&mut self.message_id, false),
            "body" => (&mut self.body, false),
            "name" => (&mut self.event, true),
            "mailbox" => (&mut self.folder, true),
            "mailbox_old" => (&mut self.old_folder, true),
            "uid" => (&mut self.uid, true),
            "uid_validity" => (&mut self.uid_validity, true),
            "message_id" => (&mut self.message_id, true),
            "from_address" => (&mut self.from_address, true),
            "from_display_name" => (&mut self.from_name, true),
            "to_address" => (&mut self.to_address, true),
            _ => return,
        };
        self.is_raw |= is_raw && key == "name";
        if !is_raw || slot.is_absent() {
            *slot = value;
        }
    }

    /// As a form: the event is new mail, and nobody need say whose.
    pub fn into_new_mail(mut self) -> Result<Event, WireError> {
        if self.event.is_absent() {
            self.event = Value::Text(Cow::Borrowed("MessageNew"));
        }
        self.is_raw = true;
        self.into_event()
    }

    pub fn into_event(self) -> Result<Event, WireError> {
        let user = match self.user {
            Value::Absent if self.is_raw => String::new(),
            Value::Text(text) if self.is_raw && text.trim().is_empty() => String::new(),
            user => user.required("user")?,
        };
        let kind = self.event.required("event")?;
        let mut event = Event::new(EventKind::from_name(&kind), user);
        event.folder = self.folder.text();
        event.old_folder = self.old_folder.filled();
        event.uid = self.uid.number().filter(|uid| *uid > 0);
        event.uid_validity = self.uid_validity.number();
        event.from = originator(self.from.text(), self.from_address.filled(), self.from_name.filled());
        event.to = self.to.filled().or(self.to_address.filled());
        event.subject = self.subject.text().map(|raw| mime::subject(&raw));
        event.snippet = self.snippet.text();
        event.date = self.date.date();
        event.flags = self.flags.list();
        event.keywords = self.keywords.list();
        event.unseen = self.unseen.number();
        event.messages = self.messages.number();
        event.message_id = self.message_id.text();
        event.message = self.body.filled().map(String::into_boxed_str);
        Ok(event)
    }
}

/// The raw header is what we decode best; where bytes of it were lost on the way, Dovecot's own reading is better.
fn originator(raw: Option<String>, address: Option<String>, name: Option<String>) -> Option<Originator> {
    match (raw, address) {
        (Some(raw), None) => Some(mime::originator(&raw)),
        (Some(raw), Some(_)) if !raw.trim().is_empty() && !raw.contains('\u{fffd}') => Some(mime::originator(&raw)),
        (raw, Some(address)) => {
            let mut from = mime::originator(&address);
            from.name = name.as_deref().map(mime::one_line).unwrap_or_default();
            from.raw = raw.filter(|raw| !raw.trim().is_empty()).unwrap_or_else(|| match &name {
                Some(name) => format!("{name} <{address}>"),
                None => address,
            });
            Some(from)
        }
        (None, None) => None,
    }
}
