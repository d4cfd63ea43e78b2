//! What a mail store says happened, in our words. Nothing here knows how it was sent or what becomes of it.

use std::fmt;
use std::net::SocketAddr;

use jiff::Timestamp;

/// The kinds of event of RFC 5423 that Dovecot's framework knows, and any other under its own name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EventKind {
    FlagsClear,
    FlagsSet,
    MailboxCreate,
    MailboxDelete,
    MailboxRename,
    MailboxSubscribe,
    MailboxUnsubscribe,
    MessageAppend,
    MessageExpunge,
    MessageNew,
    MessageRead,
    MessageTrash,
    /// A request of a sender of ours that could not be understood: something happened, and nobody knows what.
    Unreadable,
    /// No mail server's: `mailknock doctor` sends it to see whether it arrives. Nothing is done about it.
    MailknockTest,
    Other(String),
}

impl EventKind {
    pub const KNOWN: [EventKind; 12] = [
        Self::FlagsClear,
        Self::FlagsSet,
        Self::MailboxCreate,
        Self::MailboxDelete,
        Self::MailboxRename,
        Self::MailboxSubscribe,
        Self::MailboxUnsubscribe,
        Self::MessageAppend,
        Self::MessageExpunge,
        Self::MessageNew,
        Self::MessageRead,
        Self::MessageTrash,
    ];

    /// Names compare without case: Dovecot's OX driver says `messageNew`, its Lua driver `MessageNew`.
    pub fn from_name(name: &str) -> Self {
        Self::KNOWN
            .into_iter()
            .chain([Self::Unreadable, Self::MailknockTest])
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
            .unwrap_or_else(|| Self::Other(name.to_owned()))
    }

    /// The canonical name, as RFC 5423 writes it.
    pub fn name(&self) -> &str {
        match self {
            Self::FlagsClear => "FlagsClear",
            Self::FlagsSet => "FlagsSet",
            Self::MailboxCreate => "MailboxCreate",
            Self::MailboxDelete => "MailboxDelete",
            Self::MailboxRename => "MailboxRename",
            Self::MailboxSubscribe => "MailboxSubscribe",
            Self::MailboxUnsubscribe => "MailboxUnsubscribe",
            Self::MessageAppend => "MessageAppend",
            Self::MessageExpunge => "MessageExpunge",
            Self::MessageNew => "MessageNew",
            Self::MessageRead => "MessageRead",
            Self::MessageTrash => "MessageTrash",
            Self::Unreadable => "Unreadable",
            Self::MailknockTest => "MailknockTest",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who a message is from (RFC 5322 section 3.6.2): the header as the server sent it, and as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Originator {
    /// The raw header value, folds and encoded words included.
    pub raw: String,
    /// The decoded display name, safe to show; may be empty.
    pub name: String,
    /// The address without angle brackets, safe to show; may be empty.
    pub address: String,
}

/// A subject (RFC 5322 section 3.6.5): the header as the server sent it, and decoded, safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    pub raw: String,
    pub text: String,
}

/// The number of an event in the record; later ones are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u64);

/// One event. Only `kind` and `user` are sure to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    /// Whose mailbox. A claim of the sender: with Dovecot's `user_from_metadata` any string.
    pub user: String,
    pub folder: Option<String>,
    /// Never 0: Dovecot reports 0 for Maildir deliveries whose UID isn't known yet.
    pub uid: Option<u32>,
    pub uid_validity: Option<u32>,
    /// Unseen messages in the folder when the sender looked; jumps and runs backwards in bursts.
    pub unseen: Option<u32>,
    pub from: Option<Originator>,
    pub subject: Option<Subject>,
    /// The beginning of the text, as the server sent it.
    pub snippet: Option<String>,
    pub message_id: Option<String>,
    /// The raw header value.
    pub to: Option<String>,
    /// When the message was written, as it says itself.
    pub date: Option<Timestamp>,
    /// IMAP flags (RFC 9051 section 2.3.2): of the message, or those that were set or cleared.
    pub flags: Vec<String>,
    /// As `flags`, of those that users make up.
    pub keywords: Vec<String>,
    /// What a renamed folder was called before.
    pub old_folder: Option<String>,
    /// Messages in the folder when the sender looked.
    pub messages: Option<u32>,
    /// Whether an invitation was read from it, so that its texts are another's of the same message.
    pub is_invitation: bool,
    /// The whole message (RFC 5322), where a sender gave that and nobody has read it yet. Never kept.
    pub message: Option<Box<str>>,
    /// Who told us; absent for events that came over a Unix socket.
    pub remote: Option<SocketAddr>,
}

impl Event {
    pub fn new(kind: EventKind, user: impl Into<String>) -> Self {
        Self {
            kind,
            user: user.into(),
            folder: None,
            uid: None,
            uid_validity: None,
            unseen: None,
            from: None,
            subject: None,
            snippet: None,
            message_id: None,
            to: None,
            date: None,
            flags: Vec::new(),
            keywords: Vec::new(),
            old_folder: None,
            messages: None,
            is_invitation: false,
            message: None,
            remote: None,
        }
    }

    /// A request that could not be understood; why stands in the place of a subject.
    pub fn unreadable(why: &str) -> Self {
        let subject = Subject { raw: why.to_owned(), text: why.to_owned() };
        Self { subject: Some(subject), ..Self::new(EventKind::Unreadable, "") }
    }

    /// Whether both are about one message: the same place in the same mailbox (RFC 9051 section 2.3.1.1).
    pub fn is_about_the_same_message(&self, other: &Self) -> bool {
        self.uid.is_some()
            && (self.uid, self.uid_validity) == (other.uid, other.uid_validity)
            && (&self.user, &self.folder) == (&other.user, &other.folder)
    }

    /// Whether this says that a message needs no attention any more.
    pub fn settles_message(&self) -> bool {
        use EventKind::{FlagsSet, MessageExpunge, MessageRead, MessageTrash};
        matches!(self.kind, MessageRead | MessageTrash | MessageExpunge) || (self.kind == FlagsSet && self.has_seen())
    }

    /// Whether the message is marked as read, or just was.
    pub fn has_seen(&self) -> bool {
        self.flags.iter().any(|flag| flag.eq_ignore_ascii_case("\\Seen"))
    }

    /// Whether this says that a message that was read is to count as unread again.
    pub fn unsettles_message(&self) -> bool {
        self.kind == EventKind::FlagsClear && self.has_seen()
    }

    /// Whether this came because somebody reads mail: a server that says so once says so always.
    pub fn tells_of_reading(&self) -> bool {
        use EventKind::{FlagsClear, FlagsSet, MessageRead};
        matches!(self.kind, MessageRead | FlagsSet | FlagsClear)
    }

    /// Whether this tells how full a folder is and nothing about a message.
    pub fn is_only_counts(&self) -> bool {
        let has_counts = self.unseen.is_some() || self.messages.is_some();
        has_counts && self.from.is_none() && self.subject.is_none() && self.snippet.is_none() && self.uid.is_none()
    }

    /// Whether this is a change of flags or an end of a message, which come by the dozen, or a test: it says nothing to a
    /// person.
    pub fn is_noise(&self) -> bool {
        use EventKind::{FlagsClear, FlagsSet, MailknockTest, MessageExpunge, MessageRead, MessageTrash};
        matches!(self.kind, FlagsClear | FlagsSet | MessageRead | MessageTrash | MessageExpunge | MailknockTest)
    }

    /// Whether `mailknock doctor` sent this, and no mail server.
    pub fn is_test(&self) -> bool {
        self.kind == EventKind::MailknockTest
    }

    /// Whether this says that a message came in.
    pub fn is_new_mail(&self) -> bool {
        self.kind == EventKind::MessageNew
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case_and_print_canonically() {
        assert_eq!(EventKind::from_name("messageNew"), EventKind::MessageNew);
        assert_eq!(EventKind::from_name("MESSAGENEW").name(), "MessageNew");
        for kind in EventKind::KNOWN.into_iter().chain([EventKind::Unreadable, EventKind::MailknockTest]) {
            assert_eq!(EventKind::from_name(&kind.name().to_lowercase()), kind);
        }
    }

    #[test]
    fn a_message_is_settled_by_reading_it_however_that_is_told() {
        let check = |name: &str, flags: &[&str], expected: bool| {
            let mut event = Event::new(EventKind::from_name(name), "me");
            event.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
            assert_eq!(event.settles_message(), expected, "{name} {flags:?}");
        };
        check("MessageRead", &[], true);
        check("MessageTrash", &[], true);
        check("MessageExpunge", &[], true);
        check("FlagsSet", &["\\Flagged", "\\seen"], true);
        check("FlagsSet", &["\\Flagged"], false);
        check("FlagsClear", &["\\Seen"], false);
        check("MessageNew", &["\\Seen"], false);
    }

    #[test]
    fn an_unknown_name_is_kept_as_it_is() {
        assert_eq!(EventKind::from_name("Vacation").name(), "Vacation");
    }
}
