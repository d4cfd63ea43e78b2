//! The outbox: every accepted event and what became of it, for each handler it was for.
//!
//! Accept, start, settle, finish and give back are transitions of one table, all of them here; nothing else owns a
//! queue. The table in memory is what decides. Each transition also says what changes on disk ([`Change`]);
//! [`record`] writes the changes of one turn of the loop in one transaction.

pub mod record;
mod seen;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::event::{EntryId, Event, EventKind};
use crate::process::GroupId;
use crate::schema::{DeliveryJson, EventJson};
use crate::status::Paused;
use seen::Seen;

/// Finished entries that stay in memory, for the menu; so many again of changes of flags and the like.
const RECENT: usize = 30;
/// So many events wait for a handler; with one more the oldest of them is finished unhandled, on record.
const MAX_WAITING: usize = 20_000;
/// The texts of all events in memory; beyond it those of a new one are cut.
const MAX_TEXT: usize = 32 << 20;
const CUT_TEXT: usize = 8 * 1024;
/// Two events about one message come within so many seconds.
const TWINS_WITHIN: i64 = 10;
/// An event that was being handled at so many of our crashes is set aside.
const MAX_CRASHES: u32 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub u64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: EntryId,
    pub at: Timestamp,
    pub event: Arc<Event>,
    /// The message needs no attention any more.
    pub read: bool,
    pub deliveries: Vec<Delivery>,
}

/// What became of an event with one handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub handler: Arc<str>,
    pub state: DeliveryState,
    /// Runs that began with it and may have ended us in their first moments.
    pub crashes: u32,
    /// A run before our last end may have seen it.
    pub redelivered: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryState {
    Waiting,
    Running(RunId),
    /// With what came of it, in words.
    Finished(String),
}

/// What a transition changes on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new entry, or one that replaces what is there under its number.
    Put {
        entry: Entry,
        identity: Option<u64>,
    },
    /// More is known about the message.
    Completed {
        id: EntryId,
        event: Arc<Event>,
        read: bool,
        identity: Option<u64>,
    },
    /// Somebody has read the message, or marked it unread again. The entry may be on disk alone.
    Read {
        id: EntryId,
        read: bool,
    },
    /// It is for these handlers, and no others.
    Routed {
        id: EntryId,
        deliveries: Vec<Delivery>,
    },
    Started {
        run: RunId,
        handler: Arc<str>,
        entries: Vec<EntryId>,
    },
    /// The run outlived its first moments: its events are not what crashes us.
    Settled {
        handler: Arc<str>,
        entries: Vec<EntryId>,
    },
    Waiting {
        handler: Arc<str>,
        entries: Vec<EntryId>,
    },
    /// We ended the run at our own end; it begins anew when we do.
    Interrupted {
        run: RunId,
        handler: Arc<str>,
        entries: Vec<EntryId>,
    },
    Finished {
        run: Option<RunId>,
        handler: Arc<str>,
        entries: Vec<EntryId>,
        outcome: String,
    },
    /// Notifications are paused, or not: seconds since 1970 at which that ends, or for good.
    Paused(Option<Paused>),
    /// The process group of a run, for whoever finds it after a crash.
    Group {
        run: RunId,
        group: GroupId,
    },
}

/// What was found on disk at the start.
#[derive(Debug, Default)]
pub struct Loaded {
    pub entries: Vec<Entry>,
    /// The oldest first.
    pub identities: Vec<u64>,
    pub last_entry: u64,
    pub last_run: u64,
    pub paused: Option<Paused>,
    /// Of runs that we didn't see the end of.
    pub groups: Vec<GroupId>,
}

/// Whether an event says all that there is to know about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    All,
    /// A message came with it that nobody has read yet.
    InPart,
}

/// What accepting an event came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    New(EntryId),
    /// It is known already; as which entry, where it told something new about that.
    Repeat(Option<EntryId>),
}

#[derive(Debug, Default)]
pub struct Store {
    last_entry: u64,
    last_run: u64,
    entries: BTreeMap<EntryId, Entry>,
    finished: Finished,
    text: usize,
    waiting: HashMap<Arc<str>, VecDeque<EntryId>>,
    running: HashMap<RunId, Taken>,
    unsettled: Vec<RunId>,
    seen: Seen,
    changes: Vec<Change>,
}

/// How many finished entries are in memory.
#[derive(Debug, Default)]
struct Finished {
    noise: usize,
    others: usize,
}

/// What a run took.
#[derive(Debug)]
struct Taken {
    handler: Arc<str>,
    entries: Vec<EntryId>,
}

impl Entry {
    pub fn is_finished(&self) -> bool {
        self.deliveries.iter().all(|delivery| matches!(delivery.state, DeliveryState::Finished(_)))
    }

    /// Whether a run of the handler may have seen it before our last end.
    pub fn is_redelivered(&self, handler: &str) -> bool {
        self.deliveries.iter().any(|delivery| *delivery.handler == *handler && delivery.redelivered)
    }

    /// With what became of it.
    pub fn json(&self) -> EventJson {
        let delivery = |delivery: &Delivery| {
            let (state, outcome) = match &delivery.state {
                DeliveryState::Waiting => ("waiting", None),
                DeliveryState::Running(_) => ("running", None),
                DeliveryState::Finished(outcome) => ("finished", Some(outcome.clone())),
            };
            DeliveryJson { handler: delivery.handler.to_string(), state: state.to_owned(), outcome }
        };
        let mut json = EventJson::entry(&self.event, self.id, self.at);
        json.read = self.read;
        json.deliveries = self.deliveries.iter().map(delivery).collect();
        json
    }

    /// The entry again; none where its number or time is missing.
    pub fn from_json(mut json: EventJson) -> Option<Self> {
        let (id, at) = (EntryId(json.id?), json.at?);
        let delivery = |delivery: DeliveryJson| Delivery {
            handler: delivery.handler.into(),
            state: match delivery.state.as_str() {
                "waiting" => DeliveryState::Waiting,
                "running" => DeliveryState::Running(RunId(0)),
                _ => DeliveryState::Finished(delivery.outcome.unwrap_or_default()),
            },
            crashes: 0,
            redelivered: false,
        };
        let deliveries = std::mem::take(&mut json.deliveries).into_iter().map(delivery).collect();
        Some(Self { id, at, read: json.read, event: Arc::new(json.into_event()), deliveries })
    }

    fn delivery(&mut self, handler: &str) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().find(|delivery| &*delivery.handler == handler)
    }
}

impl Store {
    /// Goes on where the record ends. What was running waits again; what was running at two crashes is set aside.
    /// Gives the handlers for which something waits, and how many events were set aside.
    pub fn resume(loaded: Loaded) -> (Self, Vec<Arc<str>>, usize) {
        let mut store = Self { last_entry: loaded.last_entry, last_run: loaded.last_run, ..Self::default() };
        store.seen = Seen::from_identities(loaded.identities);
        let mut set_aside = Vec::new();
        for mut entry in loaded.entries {
            for delivery in &mut entry.deliveries {
                if let DeliveryState::Running(_) = delivery.state {
                    delivery.state = DeliveryState::Waiting;
                    delivery.redelivered = true;
                }
                if delivery.state == DeliveryState::Waiting {
                    if delivery.crashes >= MAX_CRASHES {
                        set_aside.push((delivery.handler.clone(), entry.id));
                    } else {
                        store.waiting.entry(delivery.handler.clone()).or_default().push_back(entry.id);
                    }
                }
            }
            store.keep(entry);
        }
        let count = set_aside.len();
        for (handler, id) in set_aside {
            store.end(None, &handler, vec![id], "set aside: the program ended twice while handling it");
        }
        let waiting = store.waiting.keys().cloned().collect();
        (store, waiting, count)
    }

    /// Takes an event in, with a delivery for each handler that it is for. Where not all is known of it yet, they wait
    /// for [`Store::release`], or for the next start.
    pub fn accept(&mut self, event: Event, handlers: &[Arc<str>], at: Timestamp, known: Known) -> Accepted {
        let identity = identity(&event);
        if let Some(identity) = identity
            && let Some(known) = self.seen.find(identity)
        {
            return Accepted::Repeat(self.complete(known, &event));
        }
        if known == Known::All
            && let Some(twin) = self.twin(&event, at, None)
        {
            if let Some(identity) = identity {
                self.seen.remember(identity, twin);
            }
            return Accepted::Repeat(self.complete(twin, &event));
        }
        self.last_entry += 1;
        let id = EntryId(self.last_entry);
        if let Some(identity) = identity {
            self.seen.remember(identity, id);
        }
        let event = if self.text > MAX_TEXT { cut(event) } else { event };
        let read = event.is_new_mail() && event.has_seen();
        let deliveries = handlers.iter().map(delivery_to).collect();
        let entry = Entry { id, at, event: Arc::new(event), read, deliveries };
        self.changes.push(Change::Put { entry: entry.clone(), identity });
        self.keep(entry);
        for handler in handlers.iter().filter(|_| known == Known::All) {
            let waiting = self.waiting.entry(handler.clone()).or_default();
            waiting.push_back(id);
            if waiting.len() > MAX_WAITING
                && let Some(oldest) = waiting.pop_front()
            {
                self.end(None, handler, vec![oldest], "not handled: too many events waited");
            }
        }
        Accepted::New(id)
    }

    /// What the message says that came with an entry's event is known, as far as it can be; `route` says which handlers
    /// it is for. Gives the entry that is now to be shown: this one, or that of another event about the same message,
    /// which then has all of it.
    pub fn release(
        &mut self,
        id: EntryId,
        read: Option<&Event>,
        route: impl Fn(&Event) -> Vec<Arc<str>>,
    ) -> Option<EntryId> {
        let entry = self.entries.get(&id)?;
        let (at, known) = (entry.at, entry.event.clone());
        if let Some(read) = read {
            let read = Event {
                user: known.user.clone(),
                folder: known.folder.clone(),
                uid: known.uid,
                uid_validity: known.uid_validity,
                message_id: known.message_id.clone().or_else(|| read.message_id.clone()),
                ..read.clone()
            };
            if let Some(twin) = self.twin(&read, at, Some(id)) {
                self.complete(twin, &read);
                let held = self.entries.get(&id).map(|entry| entry.deliveries.clone()).unwrap_or_default();
                for delivery in held.iter().filter(|delivery| delivery.state == DeliveryState::Waiting) {
                    self.end(None, &delivery.handler, vec![id], &format!("the same message as {}", twin.0));
                }
                return Some(twin);
            }
            self.complete(id, &read);
        }
        let entry = self.entries.get_mut(&id)?;
        let handlers = route(&entry.event);
        let was_finished = entry.is_finished();
        entry.deliveries = handlers.iter().map(delivery_to).collect();
        let entry = entry.clone();
        let finished = self.finished.of(&entry.event);
        *finished = *finished + usize::from(entry.is_finished()) - usize::from(was_finished);
        self.changes.push(Change::Routed { id, deliveries: entry.deliveries });
        for handler in handlers {
            self.waiting.entry(handler).or_default().push_back(id);
        }
        self.trim();
        Some(id)
    }

    /// The message needs no attention any more, or does so again. Gives the entries of its arrival.
    pub fn mark_read(&mut self, by: &Event, read: bool) -> Vec<EntryId> {
        let is_its_arrival =
            |entry: &&mut Entry| entry.event.is_new_mail() && entry.event.is_about_the_same_message(by);
        let mut arrivals = Vec::new();
        for entry in self.entries.values_mut().filter(is_its_arrival) {
            arrivals.push(entry.id);
            if entry.read != read {
                entry.read = read;
                self.changes.push(Change::Read { id: entry.id, read });
            }
        }
        let older = place(EventKind::MessageNew.name(), by).and_then(|identity| self.seen.find(identity));
        // Of an earlier life's only the identity is known.
        if let Some(id) = older.filter(|id| *id != EntryId(0) && !self.entries.contains_key(id)) {
            arrivals.push(id);
            self.changes.push(Change::Read { id, read });
        }
        arrivals
    }

    /// The entry of another event about the same message, of a moment ago: senders that don't know a message's number
    /// tell of it in parts. An invitation comes beside the event of its mail, a form with a folder's counts after it.
    fn twin(&self, event: &Event, at: Timestamp, own: Option<EntryId>) -> Option<EntryId> {
        if !event.is_new_mail() {
            return None;
        }
        let is_near = |entry: &&Entry| (entry.at.as_second() - at.as_second()).abs() <= TWINS_WITHIN;
        let is_same = |entry: &&Entry| {
            let known = &entry.event;
            // What has counts of its own waits for none: two of those are two messages.
            let counts_are_its = || event.is_only_counts() && known.unseen.is_none() && known.messages.is_none();
            let is_same_mail = || {
                known.is_invitation != event.is_invitation
                    && (known.uid.is_none() || event.uid.is_none())
                    && (known.message_id.is_none()
                        || event.message_id.is_none()
                        || known.message_id == event.message_id)
                    && mail_subject(known) == mail_subject(event)
                    && known.from.as_ref().map(|from| &from.address) == event.from.as_ref().map(|from| &from.address)
            };
            known.is_new_mail()
                && (&known.user, &known.folder) == (&event.user, &event.folder)
                && (counts_are_its() || is_same_mail())
        };
        let others = self.entries.values().rev().filter(|entry| Some(entry.id) != own);
        others.take_while(is_near).take(RECENT).find(is_same).map(|entry| entry.id)
    }

    /// Whether this very request came a moment ago; senders try again when they miss our answer.
    pub fn is_repeated_request(&mut self, fingerprint: u64, now: Instant) -> bool {
        self.seen.is_repeated_request(fingerprint, now)
    }

    pub fn is_waiting(&self, handler: &str) -> bool {
        self.waiting.get(handler).is_some_and(|waiting| !waiting.is_empty())
    }

    /// A run takes all that waits for its handler, the oldest first.
    pub fn start(&mut self, handler: &Arc<str>) -> (RunId, Vec<Entry>) {
        self.last_run += 1;
        let run = RunId(self.last_run);
        let taken: Vec<EntryId> = self.waiting.get_mut(handler).map(std::mem::take).unwrap_or_default().into();
        self.each(handler, &taken, |delivery| {
            delivery.state = DeliveryState::Running(run);
            delivery.crashes += 1;
        });
        let entries = taken.iter().filter_map(|id| self.entries.get(id).cloned()).collect();
        self.changes.push(Change::Started { run, handler: handler.clone(), entries: taken.clone() });
        self.running.insert(run, Taken { handler: handler.clone(), entries: taken });
        self.unsettled.push(run);
        (run, entries)
    }

    /// Whether runs began that [`Store::settle`] hasn't seen.
    pub fn is_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// The runs that go on have done us no harm.
    pub fn settle(&mut self) {
        for run in std::mem::take(&mut self.unsettled) {
            let Some(taken) = self.running.get(&run) else { continue };
            let (handler, entries) = (taken.handler.clone(), taken.entries.clone());
            self.each(&handler, &entries, |delivery| delivery.crashes = 0);
            self.changes.push(Change::Settled { handler, entries });
        }
    }

    pub fn group(&mut self, run: RunId, group: GroupId) {
        if self.running.contains_key(&run) {
            self.changes.push(Change::Group { run, group });
        }
    }

    pub fn pause(&mut self, paused: Option<Paused>) {
        self.changes.push(Change::Paused(paused));
    }

    /// A run has ended; `outcome` says how, in words.
    pub fn finish(&mut self, run: RunId, outcome: &str) {
        if let Some(Taken { handler, entries }) = self.running.remove(&run) {
            self.unsettled.retain(|unsettled| *unsettled != run);
            self.end(Some(run), &handler, entries, outcome);
        }
    }

    /// A run was ended by our own end, in mid-work: at the next start its events are delivered once more.
    pub fn interrupt(&mut self, run: RunId) {
        if let Some(Taken { handler, entries }) = self.running.remove(&run) {
            self.unsettled.retain(|unsettled| *unsettled != run);
            self.changes.push(Change::Interrupted { run, handler, entries });
        }
    }

    /// A run could not do its work; what it took waits again, before what came later.
    pub fn give_back(&mut self, run: RunId) {
        if let Some(Taken { handler, entries }) = self.running.remove(&run) {
            self.unsettled.retain(|unsettled| *unsettled != run);
            self.each(&handler, &entries, |delivery| {
                delivery.state = DeliveryState::Waiting;
                delivery.crashes = 0;
            });
            self.changes.push(Change::Waiting { handler: handler.clone(), entries: entries.clone() });
            let waiting = self.waiting.entry(handler).or_default();
            let later = std::mem::take(waiting);
            waiting.extend(entries.into_iter().chain(later));
        }
    }

    /// What a handler has not begun with and need not any more.
    pub fn cancel(&mut self, handler: &Arc<str>, is_moot: impl Fn(&Event) -> bool, outcome: &str) {
        let Some(waiting) = self.waiting.get_mut(handler) else { return };
        let entries = &self.entries;
        let (moot, rest): (Vec<EntryId>, Vec<EntryId>) =
            waiting.iter().partition(|id| entries.get(id).is_some_and(|entry| is_moot(&entry.event)));
        *waiting = rest.into();
        if !moot.is_empty() {
            self.end(None, handler, moot, outcome);
        }
    }

    /// Something else was done about an entry, by a person's click.
    pub fn note(&mut self, id: EntryId, what: &str, outcome: &str) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.deliveries.retain(|delivery| &*delivery.handler != what);
        entry.deliveries.push(Delivery {
            handler: what.into(),
            state: DeliveryState::Finished(outcome.to_owned()),
            crashes: 0,
            redelivered: false,
        });
        self.changes.push(Change::Routed { id, deliveries: entry.deliveries.clone() });
    }

    /// Handlers that are no more: what waits for them is finished.
    pub fn drop_handlers(&mut self, is_known: impl Fn(&str) -> bool) {
        let gone: Vec<Arc<str>> = self.waiting.keys().filter(|handler| !is_known(handler)).cloned().collect();
        for handler in gone {
            let waiting = self.waiting.remove(&handler).unwrap_or_default();
            self.end(None, &handler, waiting.into(), "not handled: the handler is no more");
        }
    }

    pub fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// The newest first; finished ones as far as they are in memory.
    pub fn recent(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().rev()
    }

    /// Lets go of the finished entries that are only kept for people to look at.
    pub fn forget_finished(&mut self) {
        self.entries.retain(|_, entry| !entry.is_finished());
        self.finished = Finished::default();
        self.text = self.entries.values().map(|entry| text_length(&entry.event)).sum();
    }

    /// What has changed since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Everything in memory as changes, for a record that has missed some.
    pub fn snapshot(&self) -> Vec<Change> {
        self.entries
            .values()
            .map(|entry| Change::Put { entry: entry.clone(), identity: identity(&entry.event) })
            .collect()
    }

    fn keep(&mut self, entry: Entry) {
        *self.finished.of(&entry.event) += usize::from(entry.is_finished());
        self.text += text_length(&entry.event);
        self.entries.insert(entry.id, entry);
        self.trim();
    }

    fn end(&mut self, run: Option<RunId>, handler: &Arc<str>, entries: Vec<EntryId>, outcome: &str) {
        for id in &entries {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            let was_finished = entry.is_finished();
            if let Some(delivery) = entry.delivery(handler) {
                delivery.state = DeliveryState::Finished(outcome.to_owned());
            }
            *self.finished.of(&entry.event) += usize::from(!was_finished && entry.is_finished());
        }
        self.changes.push(Change::Finished { run, handler: handler.clone(), entries, outcome: outcome.to_owned() });
        self.trim();
    }

    fn each(&mut self, handler: &str, ids: &[EntryId], change: impl Fn(&mut Delivery)) {
        for id in ids {
            if let Some(delivery) = self.entries.get_mut(id).and_then(|entry| entry.delivery(handler)) {
                change(delivery);
            }
        }
    }

    /// Another event about the same message adds what was missing. Gives the entry, if that changed it.
    fn complete(&mut self, id: EntryId, other: &Event) -> Option<EntryId> {
        let entry = self.entries.get_mut(&id)?;
        let mut event = (*entry.event).clone();
        if other.is_invitation && !event.is_invitation {
            // What it says is better than the beginning of the mail's text.
            (event.is_invitation, event.snippet) = (true, other.snippet.clone());
            event.subject = other.subject.clone().or(event.subject);
        }
        event.from = event.from.or_else(|| other.from.clone());
        event.to = event.to.or_else(|| other.to.clone());
        event.subject = event.subject.or_else(|| other.subject.clone());
        event.snippet = event.snippet.filter(|snippet| !snippet.is_empty()).or_else(|| other.snippet.clone());
        event.message_id = event.message_id.or_else(|| other.message_id.clone());
        event.date = event.date.or(other.date);
        event.unseen = event.unseen.or(other.unseen);
        event.messages = event.messages.or(other.messages);
        if event.uid.is_none() {
            (event.uid, event.uid_validity) = (other.uid, other.uid_validity.or(event.uid_validity));
        }
        if event.flags.is_empty() {
            event.flags.clone_from(&other.flags);
        }
        if event.keywords.is_empty() {
            event.keywords.clone_from(&other.keywords);
        }
        if event == *entry.event {
            return None;
        }
        self.text = self.text.saturating_sub(text_length(&entry.event)) + text_length(&event);
        let event = Arc::new(event);
        entry.event = event.clone();
        self.changes.push(Change::Completed { id, identity: identity(&event), event, read: entry.read });
        Some(id)
    }

    fn trim(&mut self) {
        while let Some(is_noise) = self.finished.too_many() {
            let is_meant = |entry: &&Entry| entry.event.is_noise() == is_noise && entry.is_finished();
            let Some(oldest) = self.entries.values().find(is_meant).map(|entry| entry.id) else { break };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.text = self.text.saturating_sub(text_length(&entry.event));
                *self.finished.of(&entry.event) -= 1;
            }
        }
    }
}

impl Finished {
    fn of(&mut self, event: &Event) -> &mut usize {
        if event.is_noise() { &mut self.noise } else { &mut self.others }
    }

    /// Whether it is noise that there is too much of, if anything.
    fn too_many(&self) -> Option<bool> {
        [(true, self.noise), (false, self.others)]
            .into_iter()
            .find_map(|(is_noise, count)| (count > RECENT).then_some(is_noise))
    }
}

fn delivery_to(handler: &Arc<str>) -> Delivery {
    Delivery { handler: handler.clone(), state: DeliveryState::Waiting, crashes: 0, redelivered: false }
}

/// What never changes about a message: its place in a mailbox (RFC 9051 section 2.3.1.1). Only for events that come
/// once for each message, and only where the server knows the UID.
fn identity(event: &Event) -> Option<u64> {
    use EventKind::{MessageAppend, MessageExpunge, MessageNew};
    if !matches!(event.kind, MessageNew | MessageAppend | MessageExpunge) {
        return None;
    }
    place(event.kind.name(), event)
}

/// The digest of what happened at this place.
fn place(what: &str, event: &Event) -> Option<u64> {
    let (folder, validity, uid) = (event.folder.as_deref()?, event.uid_validity?, event.uid?);
    let text = format!("{what}\0{}\0{folder}\0{validity}\0{uid}", event.user);
    Some(seen::digest(text.as_bytes()))
}

/// The mail's own subject, decoded; an invitation's text is another.
fn mail_subject(event: &Event) -> String {
    event.subject.as_ref().map(|subject| crate::mime::subject(&subject.raw).text).unwrap_or_default()
}

/// The digest of a request, by which its repeat is known.
pub fn fingerprint(date: &[u8], body: &[u8]) -> u64 {
    seen::digest(&[date, b"\0", body].concat())
}

fn texts(event: &mut Event) -> impl Iterator<Item = &mut String> {
    let from = event.from.as_mut().map(|from| &mut from.raw);
    let subject = event.subject.as_mut().map(|subject| &mut subject.raw);
    let others = [event.snippet.as_mut(), event.message_id.as_mut(), event.to.as_mut()];
    [from, subject].into_iter().chain(others).flatten()
}

fn text_length(event: &Event) -> usize {
    let length = |text: Option<&String>| text.map_or(0, String::len);
    length(event.from.as_ref().map(|from| &from.raw))
        + length(event.subject.as_ref().map(|subject| &subject.raw))
        + length(event.snippet.as_ref())
        + length(event.message_id.as_ref())
        + length(event.to.as_ref())
}

fn cut(mut event: Event) -> Event {
    for text in texts(&mut event) {
        text.truncate(crate::mime::cut(text, CUT_TEXT).len());
    }
    event
}

#[cfg(test)]
mod tests;
