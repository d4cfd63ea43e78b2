//! How many messages nobody has seen yet, as mail servers say it: for each user and folder what the newest event told.
//! Nothing is computed: where an event changed the number and didn't tell it, it is unknown.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Event, EventKind};

/// More folders than anyone watches.
const MAX_FOLDERS: usize = 256;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    counts: BTreeMap<(String, String), u32>,
    /// Users whose server tells when mail is read. Without that a count would only ever grow.
    tracked: BTreeSet<String>,
}

impl Unseen {
    pub fn hear(&mut self, event: &Event) {
        if event.tells_of_reading() && self.tracked.len() < MAX_FOLDERS {
            self.tracked.insert(event.user.clone());
        }
        // What a folder was called before it was renamed is no folder now.
        if let (EventKind::MailboxRename, Some(gone)) = (&event.kind, &event.old_folder) {
            self.counts.remove(&(event.user.clone(), gone.clone()));
        }
        let Some(folder) = &event.folder else { return };
        let key = (event.user.clone(), folder.clone());
        match event.unseen {
            Some(count) if self.counts.len() < MAX_FOLDERS || self.counts.contains_key(&key) => {
                self.counts.insert(key, count);
            }
            // The driver that sends whole messages counts nothing; another one tells of the same message.
            None if event.message.is_none() && changes_count(event) => {
                self.counts.remove(&key);
            }
            _ => {}
        }
    }

    /// Whether it would be told if somebody read a message of this user's.
    pub fn is_tracked(&self, user: &str) -> bool {
        self.tracked.contains(user)
    }

    /// User, folder and count, of those users whose server tells when mail is read.
    pub fn counts(&self) -> impl Iterator<Item = (&str, &str, u32)> {
        let counts = self.counts.iter().filter(|((user, _), _)| self.is_tracked(user));
        counts.map(|((user, folder), count)| (user.as_str(), folder.as_str(), *count))
    }
}

fn changes_count(event: &Event) -> bool {
    use EventKind::{
        FlagsClear, FlagsSet, MailboxDelete, MailboxRename, MessageAppend, MessageExpunge, MessageNew, MessageRead,
    };
    match event.kind {
        MessageNew | MessageAppend | MessageExpunge | MessageRead | MailboxDelete | MailboxRename => true,
        FlagsSet | FlagsClear => event.has_seen(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, folder: &str, unseen: Option<u32>) -> Event {
        Event { folder: Some(folder.to_owned()), unseen, ..Event::new(kind, "me") }
    }

    fn counts(unseen: &Unseen) -> Vec<(&str, u32)> {
        unseen.counts().map(|(_, folder, count)| (folder, count)).collect()
    }

    #[test]
    fn the_newest_event_tells_and_nothing_is_computed() {
        let mut unseen = Unseen::default();
        unseen.hear(&event(EventKind::MessageNew, "INBOX", Some(4)));
        assert_eq!(counts(&unseen), [], "nobody says when one is read");
        unseen.hear(&event(EventKind::MessageRead, "INBOX", Some(3)));
        unseen.hear(&event(EventKind::MessageNew, "lists", Some(9)));
        assert_eq!(counts(&unseen), [("INBOX", 3), ("lists", 9)]);
        unseen.hear(&event(EventKind::FlagsSet, "INBOX", None));
        assert_eq!(counts(&unseen), [("INBOX", 3), ("lists", 9)], "another flag changes no count");
        unseen.hear(&event(EventKind::MessageNew, "INBOX", None));
        assert_eq!(counts(&unseen), [("lists", 9)], "one more, of nobody knows how many");
        unseen.hear(&event(EventKind::MessageExpunge, "INBOX", Some(0)));
        assert_eq!(counts(&unseen), [("INBOX", 0), ("lists", 9)]);
        assert!(unseen.is_tracked("me") && !unseen.is_tracked("you"));
    }

    #[test]
    fn folders_that_are_no_more_have_no_count() {
        let mut unseen = Unseen::default();
        for folder in ["deleted", "renamed", "kept"] {
            unseen.hear(&event(EventKind::MessageRead, folder, Some(1)));
        }
        unseen.hear(&event(EventKind::MailboxDelete, "deleted", None));
        let renamed = event(EventKind::MailboxRename, "now", None);
        unseen.hear(&Event { old_folder: Some("renamed".to_owned()), ..renamed });
        assert_eq!(counts(&unseen), [("kept", 1)]);
    }

    #[test]
    fn a_whole_message_changes_no_count_that_another_driver_told() {
        let mut unseen = Unseen::default();
        unseen.hear(&event(EventKind::MessageRead, "INBOX", Some(3)));
        unseen.hear(&Event { message: Some("s".into()), ..event(EventKind::MessageNew, "INBOX", None) });
        assert_eq!(counts(&unseen), [("INBOX", 3)]);
    }

    #[test]
    fn it_has_an_end() {
        let mut unseen = Unseen::default();
        (0..1000).for_each(|number| unseen.hear(&event(EventKind::MessageRead, &number.to_string(), Some(1))));
        assert_eq!(unseen.counts().count(), MAX_FOLDERS);
    }
}
