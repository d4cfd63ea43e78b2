//! Starts runs when they are due: at most one of a handler at a time, and at most one more waiting. Pure.

use std::sync::Arc;
use std::time::Instant;

use crate::clock::Now;
use crate::handler::{Handler, Trigger};
use crate::process::Ended;
use crate::schedule::{Due, Schedule};
use crate::status::{HandlerStatus, LastRun};
use crate::store::{Entry, RunId, Store};

/// The runs of all handlers.
#[derive(Debug)]
pub struct Dispatcher {
    lanes: Vec<Lane>,
    /// Of handlers that a reload took away in mid-run.
    leaving: Vec<Lane>,
}

/// One handler's run.
#[derive(Debug)]
struct Lane {
    handler: Arc<Handler>,
    schedule: Schedule,
    running: Option<Running>,
    /// A fetch waits to begin, at the latest when another handler lets go of the lock.
    fetch_wanted: Option<Trigger>,
    last: Option<LastRun>,
}

#[derive(Debug)]
struct Running {
    run: RunId,
    since: Now,
}

/// Whether notify handlers may run: not while notifications are paused or nobody can show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Popups {
    Shown,
    /// Only those of handlers with `ignore_quiet`.
    Quiet,
    Held,
}

/// A run that is to begin.
#[derive(Debug, Clone)]
pub struct Start {
    pub run: RunId,
    pub handler: Arc<Handler>,
    pub trigger: Trigger,
    /// All that waited, the oldest first.
    pub entries: Vec<Entry>,
}

impl Dispatcher {
    pub fn new(handlers: &[Arc<Handler>], now: Now) -> Self {
        let lane = |handler: &Arc<Handler>| Lane {
            handler: handler.clone(),
            schedule: Schedule::new(handler.timing, now.instant),
            running: None,
            fetch_wanted: None,
            last: None,
        };
        Self { lanes: handlers.iter().map(lane).collect(), leaving: Vec::new() }
    }

    /// An event waits for the handler.
    pub fn arrived(&mut self, handler: &str, now: Now) {
        if let Some(lane) = self.lane(handler) {
            lane.schedule.arrived(now.instant);
        }
    }

    /// The runs that begin now.
    pub fn start_due(&mut self, store: &mut Store, popups: Popups, now: Now) -> Vec<Start> {
        let mut starts = Vec::new();
        for at in 0..self.lanes.len() {
            if let Due::Now(trigger) = self.due(at, store, popups, now) {
                starts.push(self.start(at, trigger, store, now));
            }
        }
        starts
    }

    /// Goes on with other handlers; one of the same name keeps its state, else an equal one. Their runs go on.
    ///
    /// Gives the old names that nothing has any more: none for a handler that is gone, else its new name.
    pub fn replace(&mut self, handlers: &[Arc<Handler>], now: Now) -> Vec<(Arc<str>, Option<Arc<str>>)> {
        let mut renamed = Vec::new();
        let mut old = std::mem::take(&mut self.lanes);
        let fresh = Self::new(handlers, now).lanes;
        for mut lane in fresh {
            let same_name = old.iter().position(|other| other.handler.name == lane.handler.name);
            let same =
                same_name.or_else(|| old.iter().position(|other| other.handler.is_same_but_for_name(&lane.handler)));
            if let Some(at) = same {
                let kept = old.remove(at);
                if kept.handler.name != lane.handler.name {
                    renamed.push((kept.handler.name.clone(), Some(lane.handler.name.clone())));
                }
                lane.schedule = kept.schedule;
                lane.schedule.retime(lane.handler.timing);
                (lane.running, lane.fetch_wanted, lane.last) = (kept.running, kept.fetch_wanted, kept.last);
            }
            self.lanes.push(lane);
        }
        // A run of a handler that is no more goes on to its end, and is remembered until then.
        let (leaving, gone): (Vec<Lane>, Vec<Lane>) = old.into_iter().partition(|lane| lane.running.is_some());
        self.leaving.extend(leaving);
        renamed.extend(gone.into_iter().map(|lane| (lane.handler.name.clone(), None)));
        renamed
    }

    /// Asks every handler that a fetch is for, or the one named, to run now. A person joins one that runs.
    pub fn fetch(&mut self, name: Option<&str>, trigger: Trigger) {
        for lane in &mut self.lanes {
            let is_wanted = match name {
                Some(name) => *lane.handler.name == *name && lane.handler.is_command(),
                None => lane.handler.fetch,
            };
            match trigger {
                // What runs may have begun before what was missed came, and may hang.
                Trigger::Resume if is_wanted => drop(lane.fetch_wanted.get_or_insert(trigger)),
                _ if is_wanted && lane.running.is_none() => lane.fetch_wanted = Some(trigger),
                _ => {}
            }
        }
    }

    fn is_locked_out(&self, at: usize) -> bool {
        let lock = self.lanes[at].handler.lock.as_ref();
        lock.is_some()
            && self
                .lanes
                .iter()
                .chain(&self.leaving)
                .any(|other| other.running.is_some() && other.handler.lock.as_ref() == lock)
    }

    fn start(&mut self, at: usize, trigger: Trigger, store: &mut Store, now: Now) -> Start {
        let lane = &mut self.lanes[at];
        let (run, entries) = store.start(&lane.handler.name);
        lane.schedule.started(trigger, now.instant);
        lane.running = Some(Running { run, since: now });
        lane.fetch_wanted = None;
        Start { run, handler: lane.handler.clone(), trigger, entries }
    }

    /// A run is over; gives its handler. `last` is how it went, where people want to know.
    pub fn finished(&mut self, run: RunId, last: Option<LastRun>, now: Now) -> Option<Arc<Handler>> {
        if let Some(at) = self.leaving.iter().position(|lane| lane.runs(run)) {
            return Some(self.leaving.remove(at).handler);
        }
        let lane = self.running_lane(run)?;
        lane.running = None;
        lane.schedule.ended(now.instant);
        if last.is_some() {
            lane.last = last;
        }
        Some(lane.handler.clone())
    }

    /// A run's events went back to waiting.
    pub fn gave_back(&mut self, run: RunId, now: Now) {
        if let Some(lane) = self.running_lane(run) {
            lane.running = None;
            lane.schedule.arrived(now.instant);
        }
    }

    /// When the next run is due; none while nothing waits.
    pub fn deadline(&self, store: &Store, popups: Popups, now: Now) -> Option<Instant> {
        let instant = |at: usize| match self.due(at, store, popups, now) {
            Due::At(then) => Some(then),
            // Its time came since the last look.
            Due::Now(_) => Some(now.instant),
            Due::Never => None,
        };
        (0..self.lanes.len()).filter_map(instant).min()
    }

    /// When a handler's next run is due, all things considered.
    fn due(&self, at: usize, store: &Store, popups: Popups, now: Now) -> Due {
        let lane = &self.lanes[at];
        if !lane.may_run(popups) || self.is_locked_out(at) {
            return Due::Never;
        }
        if let Some(trigger) = lane.fetch_wanted {
            return Due::Now(trigger);
        }
        match lane.schedule.due(now.instant) {
            Due::Now(Trigger::Event) if !store.is_waiting(&lane.handler.name) => Due::Never,
            due => due,
        }
    }

    pub fn status(&self) -> Vec<HandlerStatus> {
        self.lanes
            .iter()
            .map(|lane| HandlerStatus {
                name: lane.handler.name.to_string(),
                fetches: lane.handler.fetch,
                is_command: lane.handler.is_command(),
                running_since: lane.running.as_ref().filter(|_| lane.handler.is_command()).map(|run| run.since.wall),
                last: lane.last.clone(),
            })
            .collect()
    }

    fn lane(&mut self, handler: &str) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| &*lane.handler.name == handler)
    }

    fn running_lane(&mut self, run: RunId) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.runs(run))
    }
}

impl Lane {
    fn runs(&self, run: RunId) -> bool {
        self.running.as_ref().is_some_and(|running| running.run == run)
    }

    fn may_run(&self, popups: Popups) -> bool {
        let is_shown = match popups {
            Popups::Shown => true,
            Popups::Quiet => !self.handler.is_notify() || self.handler.ignores_quiet(),
            Popups::Held => !self.handler.is_notify(),
        };
        self.running.is_none() && is_shown
    }
}

/// How a command's run went, in the words of menu and status.
pub fn last_run(ended: &Ended, now: Now) -> LastRun {
    LastRun {
        at: now.wall,
        result: ended.exit.to_string(),
        succeeded: ended.exit.is_success(),
        last_line: last_line(ended),
    }
}

/// The last thing that a command said, safe to show; may be empty.
pub fn last_line(ended: &Ended) -> String {
    // What it complained about comes last: the streams' own order is not to be had.
    let lines = ended.stdout.lines().chain(ended.stderr.lines());
    lines.map(crate::mime::one_line).rfind(|line| !line.is_empty()).unwrap_or_default()
}
