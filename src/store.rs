//! The outbox: every accepted event and what became of it, for each handler it was for.
//!
//! Accept, start, finish and give back are transitions of one table, all of them here. Nothing else owns a queue.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use crate::event::{EntryId, Event};

/// Entries that are kept after everything about them is finished.
const KEEP: usize = 1000;
/// So many events wait for a handler; with one more the oldest of them is finished unhandled, on record.
const MAX_WAITING: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub u64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: EntryId,
    pub at: Timestamp,
    pub event: Arc<Event>,
    pub deliveries: Vec<Delivery>,
}

/// What became of an event with one handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub handler: Arc<str>,
    pub state: DeliveryState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryState {
    Waiting,
    Running(RunId),
    /// With what came of it, in words.
    Finished(String),
}

impl Entry {
    fn is_finished(&self) -> bool {
        self.deliveries.iter().all(|delivery| matches!(delivery.state, DeliveryState::Finished(_)))
    }

    fn delivery(&mut self, handler: &str) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().find(|delivery| &*delivery.handler == handler)
    }
}

#[derive(Debug, Default)]
pub struct Store {
    last_id: u64,
    entries: BTreeMap<EntryId, Entry>,
    waiting: HashMap<Arc<str>, VecDeque<EntryId>>,
    running: HashMap<RunId, (Arc<str>, VecDeque<EntryId>)>,
}

impl Store {
    /// Takes an event in, with a delivery for each handler that it is for.
    pub fn accept(&mut self, event: Arc<Event>, handlers: &[Arc<str>], at: Timestamp) -> EntryId {
        self.last_id += 1;
        let id = EntryId(self.last_id);
        let deliver = |handler: &Arc<str>| Delivery { handler: handler.clone(), state: DeliveryState::Waiting };
        let deliveries = handlers.iter().map(deliver).collect();
        self.entries.insert(id, Entry { id, at, event, deliveries });
        for handler in handlers {
            let waiting = self.waiting.entry(handler.clone()).or_default();
            waiting.push_back(id);
            if waiting.len() > MAX_WAITING
                && let Some(oldest) = waiting.pop_front()
            {
                self.set_all(handler, [&oldest], || DeliveryState::Finished("too many events waited".to_owned()));
            }
        }
        self.evict();
        id
    }

    pub fn is_waiting(&self, handler: &str) -> bool {
        self.waiting.get(handler).is_some_and(|waiting| !waiting.is_empty())
    }

    /// A run takes all that waits for its handler, the oldest first.
    pub fn start(&mut self, handler: &Arc<str>, run: RunId) -> Vec<Entry> {
        let taken = self.waiting.get_mut(handler).map(std::mem::take).unwrap_or_default();
        self.set_all(handler, &taken, || DeliveryState::Running(run));
        let entries = taken.iter().filter_map(|id| self.entries.get(id).cloned()).collect();
        self.running.insert(run, (handler.clone(), taken));
        entries
    }

    /// A run has ended; `outcome` says how, in words.
    pub fn finish(&mut self, run: RunId, outcome: &str) {
        if let Some((handler, taken)) = self.running.remove(&run) {
            self.set_all(&handler, &taken, || DeliveryState::Finished(outcome.to_owned()));
            self.evict();
        }
    }

    /// A run could not do its work; what it took waits again, before what came later.
    pub fn give_back(&mut self, run: RunId) {
        if let Some((handler, mut taken)) = self.running.remove(&run) {
            self.set_all(&handler, &taken, || DeliveryState::Waiting);
            let waiting = self.waiting.entry(handler).or_default();
            taken.append(waiting);
            *waiting = taken;
        }
    }

    fn set_all<'a>(
        &mut self,
        handler: &str,
        ids: impl IntoIterator<Item = &'a EntryId>,
        state: impl Fn() -> DeliveryState,
    ) {
        for id in ids {
            if let Some(delivery) = self.entries.get_mut(id).and_then(|entry| entry.delivery(handler)) {
                delivery.state = state();
            }
        }
    }

    pub fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// The newest first.
    pub fn recent(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().rev()
    }

    /// What isn't finished is never evicted.
    fn evict(&mut self) {
        while self.entries.len() > KEEP {
            let Some(oldest) = self.entries.values().find(|entry| entry.is_finished()).map(|entry| entry.id) else {
                break;
            };
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;

    fn event(user: &str) -> Arc<Event> {
        Arc::new(Event::new(EventKind::MessageNew, user))
    }

    fn accept(store: &mut Store, user: &str, handlers: &[Arc<str>]) -> EntryId {
        store.accept(event(user), handlers, Timestamp::UNIX_EPOCH)
    }

    fn users(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.event.user.as_str()).collect()
    }

    #[test]
    fn a_run_takes_everything_that_waits_and_what_comes_later_waits_for_the_next() {
        let mut store = Store::default();
        let fetch: Arc<str> = "fetch".into();
        let first = accept(&mut store, "a", &[fetch.clone()]);
        accept(&mut store, "b", &[fetch.clone()]);
        assert_eq!(users(&store.start(&fetch, RunId(1))), ["a", "b"]);
        accept(&mut store, "c", &[fetch.clone()]);
        assert_eq!(store.entry(first).unwrap().deliveries[0].state, DeliveryState::Running(RunId(1)));
        store.finish(RunId(1), "done");
        assert_eq!(store.entry(first).unwrap().deliveries[0].state, DeliveryState::Finished("done".into()));
        assert_eq!(users(&store.start(&fetch, RunId(2))), ["c"]);
        assert!(!store.is_waiting("fetch"));
    }

    #[test]
    fn what_a_run_gives_back_comes_first_again() {
        let mut store = Store::default();
        let notify: Arc<str> = "notify".into();
        accept(&mut store, "a", &[notify.clone()]);
        store.start(&notify, RunId(1));
        accept(&mut store, "b", &[notify.clone()]);
        store.give_back(RunId(1));
        assert_eq!(users(&store.start(&notify, RunId(2))), ["a", "b"]);
    }

    #[test]
    fn a_handler_that_never_runs_holds_a_bounded_number() {
        let mut store = Store::default();
        let never: Arc<str> = "never".into();
        let first = accept(&mut store, "first", &[never.clone()]);
        for _ in 1..MAX_WAITING {
            accept(&mut store, "x", &[never.clone()]);
        }
        assert_eq!(store.entry(first).unwrap().deliveries[0].state, DeliveryState::Waiting);
        for _ in 0..50 {
            accept(&mut store, "x", &[never.clone()]);
        }
        assert_eq!(store.start(&never, RunId(1)).len(), MAX_WAITING);
        assert!(store.recent().count() <= KEEP);
    }

    #[test]
    fn the_oldest_finished_entries_go_and_unfinished_ones_stay() {
        let mut store = Store::default();
        let slow: Arc<str> = "slow".into();
        let kept = accept(&mut store, "kept", &[slow]);
        let gone = accept(&mut store, "gone", &[]);
        for _ in 0..KEEP {
            accept(&mut store, "x", &[]);
        }
        assert!(store.entry(kept).is_some() && store.entry(gone).is_none());
        assert_eq!(store.recent().count(), KEEP);
    }
}
