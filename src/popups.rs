//! What is on the screen: which popup belongs to which event, and when many become one. Pure.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Accounts;
use crate::desktop::note::Note;
use crate::desktop::{Request, Slot};
use crate::event::{EntryId, Event};
use crate::handler::notify::{Action, Notify};
use crate::store::Entry;

/// Popups within this time are one burst.
const WINDOW: Duration = Duration::from_secs(60);
/// GNOME keeps ten of a program, others more; beyond this nobody reads.
const MAX_ALIVE: usize = 20;
/// A summary remembers as many events as it can name.
const REMEMBERED: usize = 3;
/// However much comes, it is heard once in this time.
const BETWEEN_SOUNDS: Duration = Duration::from_secs(10);
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

/// Something that we say of ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announcement {
    News(String),
    Trouble(String),
}

#[derive(Debug, Default)]
pub struct Popups {
    last_slot: u64,
    alive: BTreeMap<Slot, Popup>,
    bursts: HashMap<Group, Burst>,
    /// Of each summary that goes when all its messages are read: the places of those that aren't. A message without one
    /// is `None`, and never read.
    unread: HashMap<Slot, HashSet<Option<u64>>>,
    accounts: Accounts,
    /// Strangers may look: what mail says is not shown.
    is_covered: bool,
    sounded: Option<Instant>,
}

/// One popup on the screen.
#[derive(Debug)]
struct Popup {
    /// As it is when nobody else looks.
    note: Note,
    /// None of a summary, and of one about ourselves.
    about: Option<About>,
}

/// The message of a single popup.
#[derive(Debug, Clone)]
struct About {
    entry: EntryId,
    handler: Arc<str>,
    event: Arc<Event>,
    /// Of its buttons, in order.
    actions: Vec<Action>,
    /// Whether it goes when the message needs no attention any more.
    withdraw: bool,
}

/// The changes of one turn; a popup that is shown and withdrawn within it never appears.
#[derive(Debug, Default)]
struct Changes {
    of: BTreeMap<Slot, Option<Note>>,
    /// The last slot of earlier turns: what has it is on the screen.
    shown_before: u64,
}

impl Popups {
    pub fn of(accounts: Accounts) -> Self {
        Self { accounts, ..Self::default() }
    }

    /// Shows the entries; gives what to ask of the desktop, in order.
    pub fn present(
        &mut self,
        notify: &Notify,
        handler: &Arc<str>,
        entries: &[Entry],
        mode: Mode,
        now: Instant,
    ) -> Vec<Request> {
        let mut changes = Changes { shown_before: self.last_slot, ..Changes::default() };
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
        self.make_room(&mut changes);
        self.bursts.retain(|_, burst| burst.is_going_on(now));
        self.requests(changes, Some(now))
    }

    /// What to ask of the desktop. Only what is new is heard, `now` and again after a while; without `now` nothing is new,
    /// and what somebody has closed in the meantime is not brought back.
    fn requests(&mut self, changes: Changes, now: Option<Instant>) -> Vec<Request> {
        let mut requests = Vec::new();
        for (slot, note) in changes.of {
            let Some(mut note) = note else {
                requests.push(Request::Withdraw { slot });
                continue;
            };
            if let Some(popup) = self.alive.get_mut(&slot) {
                popup.note = Note { sound: None, ..note.clone() };
            }
            let has_been_quiet =
                |now: Instant| self.sounded.is_none_or(|then| now.duration_since(then) >= BETWEEN_SOUNDS);
            match now.filter(|now| note.sound.is_some() && has_been_quiet(*now)) {
                Some(now) => self.sounded = Some(now),
                None => note.sound = None,
            }
            let note = if self.is_covered { note.covered() } else { note };
            requests.push(match now {
                Some(_) => Request::Show { slot, note },
                None => Request::Change { slot, note },
            });
        }
        requests
    }

    /// What people call the users of their servers, from now on.
    pub fn call(&mut self, accounts: Accounts) {
        self.accounts = accounts;
    }

    /// Whether strangers may look; what is on the screen changes with it.
    pub fn cover(&mut self, is_covered: bool) -> Vec<Request> {
        if is_covered == self.is_covered {
            return Vec::new();
        }
        self.is_covered = is_covered;
        let mut changes = Changes::default();
        for (slot, popup) in self.alive.iter().filter(|(_, popup)| popup.note.cover.is_some()) {
            changes.show(*slot, popup.note.clone());
        }
        self.requests(changes, None)
    }

    /// What a button of a popup does, and to which message.
    pub fn action(&self, slot: Slot, button: usize) -> Option<(&Action, EntryId, &Event)> {
        let about = self.alive.get(&slot)?.about.as_ref()?;
        Some((about.actions.get(button)?, about.entry, &about.event))
    }

    fn present_together(&mut self, notify: &Notify, entries: &[Entry], changes: &mut Changes) {
        let events: Vec<&Event> = entries.iter().map(|entry| &*entry.event).collect();
        let folder = events[0].folder.as_deref();
        let same_folder = events.iter().all(|event| event.folder.as_deref() == folder);
        let account = self.accounts.label(&events[0].user);
        let same_account = events.iter().all(|event| self.accounts.label(&event.user) == account);
        let account = account.filter(|_| same_account);
        let note = notify.summary_note(events.len(), folder.filter(|_| same_folder), account, &events);
        let slot = self.new_slot(note.clone(), None);
        if notify.withdraw {
            let unread = self.unread.entry(slot).or_default();
            events.iter().for_each(|event| add_unread(unread, event));
        }
        changes.show(slot, note);
    }

    fn present_one(&mut self, notify: &Notify, group: Group, entry: &Entry, now: Instant, changes: &mut Changes) {
        let burst = self.bursts.entry(group.clone()).or_default();
        burst.trim(now);
        let event = entry.event.clone();
        let account = self.accounts.label(&event.user);
        if let Some(summary) = &mut burst.summary {
            if let Some(unread) = self.unread.get_mut(&summary.slot) {
                add_unread(unread, &event);
            }
            summary.add(event, now);
            changes.show(summary.slot, summary.note(notify, &group, account));
            return;
        }
        if burst.singles.len() < notify.summarise_over {
            let (note, actions) = notify.note(&event, account);
            let about = About {
                entry: entry.id,
                handler: group.handler,
                event: event.clone(),
                actions,
                withdraw: notify.withdraw,
            };
            let slot = new_slot(&mut self.last_slot);
            self.alive.insert(slot, Popup { note: note.clone(), about: Some(about) });
            burst.singles.push_back((now, slot, event));
            changes.show(slot, note);
            return;
        }
        let slot = new_slot(&mut self.last_slot);
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
        let note = summary.note(notify, &group, account);
        self.alive.insert(slot, Popup { note: note.clone(), about: None });
        changes.show(slot, note);
        burst.summary = Some(summary);
    }

    /// More is known about a message: its popups say so, in their places. `notify` finds a handler by its name.
    pub fn update<'a>(&mut self, entry: &Entry, notify: impl Fn(&str) -> Option<&'a Notify>) -> Vec<Request> {
        let mut changes = Changes::default();
        let account = self.accounts.label(&entry.event.user);
        for (slot, popup) in &mut self.alive {
            let Some(about) = popup.about.as_mut().filter(|about| about.entry == entry.id) else { continue };
            about.event = entry.event.clone();
            let Some(notify) = notify(&about.handler) else { continue };
            let (note, actions) = notify.note(&entry.event, account);
            about.actions = actions;
            let note = Note { sound: None, ..note };
            if note != popup.note {
                changes.show(*slot, note);
            }
        }
        self.requests(changes, None)
    }

    /// A popup about ourselves. That of a trouble has an icon that no handler can set.
    pub fn announce(&mut self, announcement: &Announcement) -> Vec<Request> {
        let (text, icon) = match announcement {
            Announcement::News(text) => (text, None),
            Announcement::Trouble(text) => (text, Some("dialog-warning".to_owned())),
        };
        let note = Note { icon, open_label: Some("Open".to_owned()), ..Note::ours(text) };
        let slot = self.new_slot(note.clone(), None);
        let mut changes = Changes::default();
        self.make_room(&mut changes);
        let mut requests = self.requests(changes, None);
        requests.push(Request::Show { slot, note });
        requests
    }

    /// No more than a screen can hold: the oldest go.
    fn make_room(&mut self, changes: &mut Changes) {
        while self.alive.len() > MAX_ALIVE
            && let Some((oldest, _)) = self.alive.pop_first()
        {
            self.forget(oldest);
            changes.withdraw(oldest);
        }
    }

    /// The popup is gone; gives the entry that it was about.
    pub fn closed(&mut self, slot: Slot) -> Option<EntryId> {
        let popup = self.alive.remove(&slot)?;
        self.forget(slot);
        popup.about.map(|about| about.entry)
    }

    /// A message was read, trashed or expunged: its popups go, and a summary with the last of its messages. Until then
    /// that stays as it is: many services pop up anew what changes.
    pub fn withdraw(&mut self, event: &Event) -> Vec<Request> {
        let is_meant = |about: &About| about.withdraw && about.event.is_about_the_same_message(event);
        let mut meant: Vec<Slot> = self
            .alive
            .iter()
            .filter(|(_, popup)| popup.about.as_ref().is_some_and(is_meant))
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

    fn new_slot(&mut self, note: Note, about: Option<About>) -> Slot {
        let slot = new_slot(&mut self.last_slot);
        self.alive.insert(slot, Popup { note, about });
        slot
    }
}

fn new_slot(last: &mut u64) -> Slot {
    *last += 1;
    Slot(*last)
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

    fn note(&self, notify: &Notify, group: &Group, account: Option<&str>) -> Note {
        let latest: Vec<&Event> = self.latest.iter().map(|event| &**event).collect();
        notify.summary_note(self.count, group.folder.as_deref(), account, &latest)
    }
}

impl Changes {
    fn show(&mut self, slot: Slot, note: Note) {
        self.of.insert(slot, Some(note));
    }

    fn withdraw(&mut self, slot: Slot) {
        // One that was to appear in this very turn simply doesn't.
        if self.of.remove(&slot).is_none() || slot.0 <= self.shown_before {
            self.of.insert(slot, None);
        }
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

    fn shown(requests: Vec<Request>) -> Vec<(u64, Note)> {
        let shown = |request| match request {
            Request::Show { slot, note } | Request::Change { slot, note } => Some((slot.0, note)),
            _ => None,
        };
        requests.into_iter().filter_map(shown).collect()
    }

    #[test]
    fn while_strangers_may_look_mail_says_nothing_and_afterwards_everything_again() {
        let mut screen = Screen::new();
        screen.mail(0, "INBOX");
        screen.popups.announce(&Announcement::Trouble("Something is wrong".to_owned()));
        let covered = screen.popups.cover(true);
        assert!(matches!(covered[..], [Request::Change { .. }]), "what is gone stays gone, and our own words stay");
        let covered = shown(covered);
        assert_eq!((covered[0].0, covered[0].1.summary.as_str()), (1, "1 new message"));
        assert_eq!(screen.mail(1, "INBOX"), "3: 1 new message");
        assert!(screen.popups.cover(true).is_empty());
        let bare: Vec<(u64, String)> =
            shown(screen.popups.cover(false)).into_iter().map(|(slot, note)| (slot, note.summary)).collect();
        assert_eq!(bare, [(1, "m1".to_owned()), (3, "m2".to_owned())]);
    }

    #[test]
    fn however_much_comes_it_is_heard_once_in_ten_seconds() {
        let mut screen = Screen::new();
        let notify = Notify { sound: Some("bell".into()), ..Notify::default() };
        let mut sounds = |seconds: u64, folder: &str| {
            let entries = [screen.entry(folder), screen.entry("Other")];
            let now = screen.begin + Duration::from_secs(seconds);
            let requests = screen.popups.present(&notify, &screen.handler.clone(), &entries, Mode::Each, now);
            shown(requests).iter().filter(|(_, note)| note.sound.is_some()).count()
        };
        assert_eq!([sounds(0, "a"), sounds(9, "b"), sounds(10, "c")], [1, 0, 1]);
        assert!(shown(screen.popups.cover(true)).iter().all(|(_, note)| note.sound.is_none()));
    }

    #[test]
    fn a_button_is_about_its_own_message_and_goes_with_its_popup() {
        let mut screen = Screen::new();
        let command = crate::template::CommandTemplate::parse("x {folder}", crate::handler::FIELDS).unwrap();
        let actions = [Action { label: "X".into(), command }];
        let notify = Notify { actions: actions.into(), ..Notify::default() };
        let entry = screen.entry("INBOX");
        let requests = screen.popups.present(&notify, &screen.handler.clone(), &[entry], Mode::Each, screen.begin);
        assert_eq!(shown(requests)[0].1.buttons, ["X"]);
        let (action, _, event) = screen.popups.action(Slot(1), 0).expect("the button is there");
        assert_eq!((action.label.as_str(), event.folder.as_deref()), ("X", Some("INBOX")));
        assert!(screen.popups.action(Slot(1), 1).is_none() && screen.popups.action(Slot(2), 0).is_none());
        screen.popups.closed(Slot(1));
        assert!(screen.popups.action(Slot(1), 0).is_none());
    }
}
