//! What is on the screen: which popup belongs to which event, and when many become one. Pure.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::desktop::note::{Expire, Note, Urgency};
use crate::desktop::{Request, Slot};
use crate::event::{EntryId, Event};
use crate::handler::notify::Notify;
use crate::store::Entry;

/// Popups within this time are one burst.
const WINDOW: Duration = Duration::from_secs(60);
/// GNOME keeps ten of a program, others more; beyond this nobody reads.
const MAX_ALIVE: usize = 20;
/// A summary remembers as many events as it can name.
const REMEMBERED: usize = 3;
/// A summary of more messages than this stays until somebody closes it.
const MAX_UNREAD: usize = 4096;

/// Whether each event gets its popup, or all of them one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Each,
    /// What waited while nothing could be shown.
    Together,
}

/// What a summary is of: one handler's popups for one folder of one user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Group {
    handler: Arc<str>,
    user: String,
    folder: Option<String>,
}

#[derive(Debug, Default)]
struct Burst {
    /// Popups of single events in the window, the oldest first.
    singles: VecDeque<(Instant, Slot, Arc<Event>)>,
    summary: Option<Summary>,
}

#[derive(Debug)]
struct Summary {
    slot: Slot,
    count: usize,
    latest: VecDeque<Arc<Event>>,
    changed: Instant,
}

#[derive(Debug, Default)]
pub struct Popups {
    last_slot: u64,
    /// With the entry that a single popup is about.
    alive: BTreeMap<Slot, Option<About>>,
    bursts: HashMap<Group, Burst>,
    /// Of each summary that goes when all its messages are read: the places of those that aren't. A message without one
    /// is `None`, and never read.
    unread: HashMap<Slot, HashSet<Option<u64>>>,
}

/// The message of a single popup.
#[derive(Debug, Clone)]
struct About {
    entry: EntryId,
    handler: Arc<str>,
    event: Arc<Event>,
    note: Note,
    /// Whether it goes when the message needs no attention any more.
    withdraw: bool,
}

/// The changes of one turn; a popup that is shown and withdrawn within it never appears.
#[derive(Debug, Default)]
struct Changes(BTreeMap<Slot, Option<Note>>);

impl Popups {
    /// Shows the entries; gives what to ask of the desktop, in order.
    pub fn present(
        &mut self,
        notify: &Notify,
        handler: &Arc<str>,
        entries: &[Entry],
        mode: Mode,
        now: Instant,
    ) -> Vec<Request> {
        let mut changes = Changes::default();
        match (mode, entries) {
            (Mode::Together, [_, _, ..]) => self.present_together(notify, entries, &mut changes),
            _ => {
                for entry in entries {
                    let event = &entry.event;
                    let group =
                        Group { handler: handler.clone(), user: event.user.clone(), folder: event.folder.clone() };
                    self.present_one(notify, group, entry, now, &mut changes);
                }
            }
        }
        while self.alive.len() > MAX_ALIVE
            && let Some((oldest, _)) = self.alive.pop_first()
        {
            self.forget(oldest);
            changes.withdraw(oldest);
        }
        self.bursts.retain(|_, burst| burst.is_going_on(now));
        changes.into_requests()
    }

    fn present_together(&mut self, notify: &Notify, entries: &[Entry], changes: &mut Changes) {
        let events: Vec<&Event> = entries.iter().map(|entry| &*entry.event).collect();
        let folder = events[0].folder.as_deref();
        let same_folder = events.iter().all(|event| event.folder.as_deref() == folder);
        let slot = self.new_slot(None);
        if notify.withdraw {
            let unread = self.unread.entry(slot).or_default();
            events.iter().for_each(|event| add_unread(unread, event));
        }
        changes.show(slot, notify.summary_note(events.len(), folder.filter(|_| same_folder), &events));
    }

    fn present_one(&mut self, notify: &Notify, group: Group, entry: &Entry, now: Instant, changes: &mut Changes) {
        let burst = self.bursts.entry(group.clone()).or_default();
        burst.trim(now);
        let event = entry.event.clone();
        if let Some(summary) = &mut burst.summary {
            if let Some(unread) = self.unread.get_mut(&summary.slot) {
                add_unread(unread, &event);
            }
            summary.add(event, now);
            changes.show(summary.slot, summary.note(notify, &group));
            return;
        }
        if burst.singles.len() < notify.summarise_over {
            let note = notify.note(&event);
            let about = About {
                entry: entry.id,
                handler: group.handler,
                event: event.clone(),
                note: note.clone(),
                withdraw: notify.withdraw,
            };
            let slot = new_slot(&mut self.last_slot, &mut self.alive, Some(about));
            burst.singles.push_back((now, slot, event));
            changes.show(slot, note);
            return;
        }
        let slot = new_slot(&mut self.last_slot, &mut self.alive, None);
        let mut summary = Summary { slot, count: 0, latest: VecDeque::new(), changed: now };
        let mut unread = HashSet::new();
        add_unread(&mut unread, &event);
        for (_, single, event) in burst.singles.drain(..) {
            add_unread(&mut unread, &event);
            summary.add(event, now);
            if self.alive.remove(&single).is_some() {
                changes.withdraw(single);
            }
        }
        summary.add(event, now);
        if notify.withdraw {
            self.unread.insert(slot, unread);
        }
        changes.show(slot, summary.note(notify, &group));
        burst.summary = Some(summary);
    }

    /// More is known about a message: its popups say so, in their places. `notify` finds a handler by its name.
    pub fn update<'a>(&mut self, entry: &Entry, notify: impl Fn(&str) -> Option<&'a Notify>) -> Vec<Request> {
        let mut changes = Changes::default();
        for (slot, about) in &mut self.alive {
            let Some(about) = about.as_mut().filter(|about| about.entry == entry.id) else { continue };
            about.event = entry.event.clone();
            let Some(note) = notify(&about.handler).map(|notify| notify.note(&entry.event)) else { continue };
            if note != about.note {
                about.note = note.clone();
                changes.show(*slot, note);
            }
        }
        changes.into_requests()
    }

    /// A popup about ourselves; its icon is one that no handler can set.
    pub fn announce(&mut self, text: &str) -> Request {
        let slot = self.new_slot(None);
        let note = Note {
            summary: "Mailknock".to_owned(),
            body: crate::mime::paragraph(text),
            icon: Some("dialog-warning".to_owned()),
            urgency: Urgency::Normal,
            expire: Expire::Default,
            open_label: "Open".to_owned(),
        };
        Request::Show { slot, note }
    }

    /// The popup is gone; gives the entry that it was about.
    pub fn closed(&mut self, slot: Slot) -> Option<EntryId> {
        let about = self.alive.remove(&slot)?;
        self.forget(slot);
        about.map(|about| about.entry)
    }

    /// A message was read, trashed or expunged: its popups go, and a summary with the last of its messages. Until then
    /// that stays as it is: many services pop up anew what changes.
    pub fn withdraw(&mut self, event: &Event) -> Vec<Request> {
        let is_meant = |about: &About| about.withdraw && about.event.is_about_the_same_message(event);
        let mut meant: Vec<Slot> = self
            .alive
            .iter()
            .filter(|(_, about)| about.as_ref().is_some_and(is_meant))
            .map(|(slot, _)| *slot)
            .collect();
        for slot in &meant {
            self.alive.remove(slot);
            // Gone before anyone saw the burst: it doesn't count towards a summary.
            self.bursts.values_mut().for_each(|burst| burst.singles.retain(|(_, single, _)| single != slot));
        }
        let place = place(event);
        for slot in self.alive.keys().copied().collect::<Vec<_>>() {
            let is_last = |unread: &mut HashSet<_>| place.is_some() && unread.remove(&place) && unread.is_empty();
            if self.unread.get_mut(&slot).is_some_and(is_last) {
                self.alive.remove(&slot);
                self.forget(slot);
                meant.push(slot);
            }
        }
        meant.into_iter().map(|slot| Request::Withdraw { slot }).collect()
    }

    /// The screen is empty: a new notification service knows nothing of the old one's popups.
    pub fn clear(&mut self) {
        self.alive.clear();
        self.bursts.clear();
        self.unread.clear();
    }

    /// A summary that was closed is not brought back by the next message.
    fn forget(&mut self, slot: Slot) {
        self.unread.remove(&slot);
        self.bursts.retain(|_, burst| burst.summary.as_ref().is_none_or(|summary| summary.slot != slot));
    }

    fn new_slot(&mut self, about: Option<About>) -> Slot {
        new_slot(&mut self.last_slot, &mut self.alive, about)
    }
}

fn new_slot(last: &mut u64, alive: &mut BTreeMap<Slot, Option<About>>, about: Option<About>) -> Slot {
    *last += 1;
    let slot = Slot(*last);
    alive.insert(slot, about);
    slot
}

/// Where the message is, if that is told (see [`Event::is_about_the_same_message`]).
fn place(event: &Event) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    (&event.user, &event.folder, event.uid?, event.uid_validity).hash(&mut hasher);
    Some(hasher.finish())
}

fn add_unread(unread: &mut HashSet<Option<u64>>, event: &Event) {
    unread.insert(place(event).filter(|_| unread.len() < MAX_UNREAD));
}

impl Burst {
    fn trim(&mut self, now: Instant) {
        while self.singles.front().is_some_and(|(shown, ..)| now.duration_since(*shown) >= WINDOW) {
            self.singles.pop_front();
        }
        self.summary.take_if(|summary| now.duration_since(summary.changed) >= WINDOW);
    }

    fn is_going_on(&self, now: Instant) -> bool {
        let last_single = self.singles.back().map(|(shown, ..)| *shown);
        let last_change = self.summary.as_ref().map(|summary| summary.changed);
        [last_single, last_change].into_iter().flatten().any(|last| now.duration_since(last) < WINDOW)
    }
}

impl Summary {
    fn add(&mut self, event: Arc<Event>, now: Instant) {
        self.count += 1;
        self.changed = now;
        self.latest.push_back(event);
        if self.latest.len() > REMEMBERED {
            self.latest.pop_front();
        }
    }

    fn note(&self, notify: &Notify, group: &Group) -> Note {
        let latest: Vec<&Event> = self.latest.iter().map(|event| &**event).collect();
        notify.summary_note(self.count, group.folder.as_deref(), &latest)
    }
}

impl Changes {
    fn show(&mut self, slot: Slot, note: Note) {
        self.0.insert(slot, Some(note));
    }

    fn withdraw(&mut self, slot: Slot) {
        // One that was to appear in this very turn simply doesn't.
        if self.0.remove(&slot).is_none() {
            self.0.insert(slot, None);
        }
    }

    fn into_requests(self) -> Vec<Request> {
        let request = |(slot, note): (Slot, Option<Note>)| match note {
            Some(note) => Request::Show { slot, note },
            None => Request::Withdraw { slot },
        };
        self.0.into_iter().map(request).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use jiff::Timestamp;

    struct Screen {
        popups: Popups,
        begin: Instant,
        handler: Arc<str>,
        next: u64,
    }

    impl Screen {
        fn new() -> Self {
            Self { popups: Popups::default(), begin: Instant::now(), handler: "notify".into(), next: 0 }
        }

        fn entry(&mut self, folder: &str) -> Entry {
            self.next += 1;
            let mut event = Event::new(EventKind::MessageNew, "me");
            event.folder = Some(folder.to_owned());
            event.from = Some(crate::mime::originator(&format!("m{} <a@x>", self.next)));
            Entry {
                id: EntryId(self.next),
                at: Timestamp::UNIX_EPOCH,
                read: false,
                event: Arc::new(event),
                deliveries: Vec::new(),
            }
        }

        /// A mail after so many seconds; what happens on the screen, in words.
        fn mail(&mut self, seconds: u64, folder: &str) -> String {
            let entry = self.entry(folder);
            self.batch(seconds, &[entry], Mode::Each)
        }

        fn batch(&mut self, seconds: u64, entries: &[Entry], mode: Mode) -> String {
            let now = self.begin + Duration::from_secs(seconds);
            let requests = self.popups.present(&Notify::default(), &self.handler.clone(), entries, mode, now);
            let words = requests.into_iter().map(|request| match request {
                Request::Show { slot, note } => format!("{}: {}", slot.0, note.summary),
                Request::Withdraw { slot } => format!("-{}", slot.0),
                _ => unreachable!("popups ask for nothing else"),
            });
            words.collect::<Vec<_>>().join(", ")
        }
    }

    #[test]
    fn the_fourth_popup_of_a_burst_makes_one_summary_that_updates_in_place() {
        let mut screen = Screen::new();
        assert_eq!(screen.mail(0, "INBOX"), "1: m1");
        assert_eq!(screen.mail(1, "INBOX"), "2: m2");
        assert_eq!(screen.mail(2, "Work"), "3: m3");
        assert_eq!(screen.mail(3, "INBOX"), "4: m4");
        assert_eq!(screen.mail(4, "INBOX"), "-1, -2, -4, 5: 4 new messages in INBOX");
        assert_eq!(screen.mail(63, "INBOX"), "5: 5 new messages in INBOX");
        assert_eq!(screen.mail(64, "Work"), "6: m7");
        assert_eq!(screen.mail(200, "INBOX"), "7: m8", "a new burst begins after a minute");
    }

    #[test]
    fn popups_further_apart_than_the_window_stay_single() {
        let mut screen = Screen::new();
        for (at, seconds) in [0, 30, 60, 90, 120, 150].into_iter().enumerate() {
            assert_eq!(screen.mail(seconds, "INBOX"), format!("{0}: m{0}", at + 1));
        }
    }

    #[test]
    fn a_summary_that_was_closed_does_not_come_back() {
        let mut screen = Screen::new();
        (0..4).for_each(|second| drop(screen.mail(second, "INBOX")));
        assert_eq!(screen.popups.closed(Slot(4)), None);
        assert_eq!(screen.mail(5, "INBOX"), "5: m5");
        assert_eq!(screen.popups.closed(Slot(5)), Some(EntryId(5)));
    }

    #[test]
    fn a_message_read_elsewhere_takes_its_popup_down() {
        let mut screen = Screen::new();
        let mut entry = screen.entry("INBOX");
        let event = Event { uid: Some(7), uid_validity: Some(1), ..(*entry.event).clone() };
        entry.event = Arc::new(event.clone());
        screen.batch(0, &[entry], Mode::Each);
        let withdrawn = |screen: &mut Screen, uid| {
            let read = Event { uid: Some(uid), kind: EventKind::MessageRead, ..event.clone() };
            screen.popups.withdraw(&read).len()
        };
        assert_eq!(withdrawn(&mut screen, 8), 0);
        assert_eq!(withdrawn(&mut screen, 7), 1);
        assert_eq!(withdrawn(&mut screen, 7), 0, "once");
    }

    #[test]
    fn a_summary_goes_with_the_last_of_its_messages() {
        let mut screen = Screen::new();
        let mail = |screen: &mut Screen, uid: Option<u32>| {
            let mut entry = screen.entry("INBOX");
            entry.event = Arc::new(Event { uid, uid_validity: Some(1), ..(*entry.event).clone() });
            entry
        };
        let numbered: Vec<Entry> = (1..=5).map(|uid| mail(&mut screen, Some(uid))).collect();
        screen.batch(0, &numbered, Mode::Each);
        let read = |screen: &mut Screen, uid: usize| screen.popups.withdraw(&numbered[uid - 1].event);
        assert!((1..5).all(|uid| read(&mut screen, uid).is_empty()));
        assert!(matches!(read(&mut screen, 5)[..], [Request::Withdraw { slot: Slot(4) }]));
        assert!(screen.popups.unread.is_empty());
        // Nobody will ever be told that the one without a number was read.
        let together = [numbered[0].clone(), mail(&mut screen, None)];
        assert_eq!(screen.batch(1, &together, Mode::Together), "5: 2 new messages in INBOX");
        assert!(read(&mut screen, 1).is_empty());
        screen.popups.closed(Slot(5));
        assert!(screen.popups.unread.is_empty(), "what is closed is forgotten");
    }

    #[test]
    fn a_flood_in_one_turn_shows_one_popup() {
        let mut screen = Screen::new();
        let entries: Vec<Entry> = (0..500).map(|_| screen.entry("INBOX")).collect();
        assert_eq!(screen.batch(0, &entries, Mode::Each), "4: 500 new messages in INBOX");
    }

    #[test]
    fn what_waited_becomes_one_summary() {
        let mut screen = Screen::new();
        let inbox: Vec<Entry> = (0..2).map(|_| screen.entry("INBOX")).collect();
        assert_eq!(screen.batch(0, &inbox, Mode::Together), "1: 2 new messages in INBOX");
        let mixed = [screen.entry("INBOX"), screen.entry("Work")];
        assert_eq!(screen.batch(0, &mixed, Mode::Together), "2: 2 new messages");
        let one = [screen.entry("INBOX")];
        assert_eq!(screen.batch(0, &one, Mode::Together), "3: m5");
    }

    #[test]
    fn no_more_than_twenty_are_alive() {
        let mut screen = Screen::new();
        for folder in 0..20 {
            screen.mail(0, &folder.to_string());
        }
        assert_eq!(screen.mail(0, "one more"), "-1, 21: m21");
    }
}
