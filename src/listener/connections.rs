//! How many connections are open, and which one goes when there are too many.
//!
//! A connection that only sits there costs little, but not nothing; the oldest of those makes room for a new one. Where
//! there is none, one that still sends its body goes: a crowd of half-sent bodies must not shut everybody out.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

pub const MAX_OPEN: usize = 256;

#[derive(Debug, Clone, Default)]
pub struct Connections {
    /// In the order of their last request.
    open: Arc<Mutex<Vec<Arc<Place>>>>,
}

/// A connection's place among the open ones; it is free again when the last holder lets go.
#[derive(Debug, Default)]
pub struct Place {
    stage: AtomicU8,
    last_worked: AtomicUsize,
    leave: Notify,
}

/// What a connection does; one at work is never sent away.
const IDLE: u8 = 0;
const RECEIVING: u8 = 1;
const WORKING: u8 = 2;

/// While it lives, the connection does something.
pub struct Busy<'p>(&'p Place);

static CLOCK: AtomicUsize = AtomicUsize::new(0);

impl Connections {
    /// A place for a new connection; none while every open one is at work.
    pub fn enter(&self) -> Option<Arc<Place>> {
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // One holder is left: the list itself.
        open.retain(|place| Arc::strong_count(place) > 1);
        if open.len() >= MAX_OPEN {
            let stage = |place: &Place| place.stage.load(Ordering::Relaxed);
            let dispensable = open.iter().enumerate().filter(|(_, place)| stage(place) < WORKING);
            let age = |place: &Place| place.last_worked.load(Ordering::Relaxed);
            let (oldest, _) = dispensable.min_by_key(|(_, place)| (stage(place), age(place)))?;
            open.remove(oldest).leave.notify_one();
        }
        let place = Arc::new(Place { last_worked: CLOCK.fetch_add(1, Ordering::Relaxed).into(), ..Place::default() });
        open.push(place.clone());
        Some(place)
    }
}

impl Place {
    /// Resolves when the place is needed for another.
    pub async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }

    /// A request is on its way in.
    pub fn receive(&self) -> Busy<'_> {
        self.stage.store(RECEIVING, Ordering::Relaxed);
        Busy(self)
    }

    /// The request is complete and is being handled.
    pub fn work(&self) -> Busy<'_> {
        self.stage.store(WORKING, Ordering::Relaxed);
        Busy(self)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.last_worked.store(CLOCK.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.0.stage.store(IDLE, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn was_asked(place: &Place) -> bool {
        use std::future::Future;
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::pin!(place.asked_to_leave()).poll(&mut context).is_ready()
    }

    #[test]
    fn the_oldest_idle_one_makes_room() {
        let connections = Connections::default();
        let places: Vec<_> = (0..MAX_OPEN).map(|_| connections.enter().unwrap()).collect();
        let _working = places[0].work();
        drop(places[1].work());
        let _new = connections.enter().unwrap();
        assert!(was_asked(&places[2]));
        assert!(!was_asked(&places[0]) && !was_asked(&places[1]) && !was_asked(&places[3]));
    }

    #[test]
    fn one_that_sends_its_body_goes_after_all_that_only_sit_there() {
        let connections = Connections::default();
        let places: Vec<_> = (0..MAX_OPEN).map(|_| connections.enter().unwrap()).collect();
        places[..MAX_OPEN - 1].iter().for_each(|place| std::mem::forget(place.receive()));
        let _first = connections.enter().unwrap();
        std::mem::forget(_first.receive());
        assert!(was_asked(&places[MAX_OPEN - 1]) && !was_asked(&places[0]));
        let _second = connections.enter().unwrap();
        assert!(was_asked(&places[0]));
    }

    #[test]
    fn while_all_work_no_one_enters_and_one_that_ends_makes_room() {
        let connections = Connections::default();
        let mut places: Vec<_> = (0..MAX_OPEN).map(|_| connections.enter().unwrap()).collect();
        places.iter().for_each(|place| std::mem::forget(place.work()));
        assert!(connections.enter().is_none());
        places.pop();
        assert!(connections.enter().is_some());
    }
}
