//! What was answered 200 is handled, or on record with the reason why not, whenever we are killed.

mod bursts;
mod runs;

use std::collections::HashSet;
use std::fs;
use std::sync::{Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::commands::{NO_LIMIT, handler};
use crate::support::daemon::{Daemon, Running};
use crate::support::http::Connection;
use crate::support::wait::{EVENTUALLY, wait_at_most};

/// One event; its number is its subject.
fn event(number: u32) -> String {
    json!({"user": "me", "event": "messageNew", "folder": "INBOX", "imap-uidvalidity": 1, "imap-uid": number + 1,
        "subject": number.to_string()})
    .to_string()
}

/// A program that runs this shell script for each batch, and says when a run is over.
fn recipe(script: &str) -> Daemon {
    let log = "[log]\nmax_level = \"debug\"\nlevel = true\n";
    Daemon::new().config(&format!("{log}{}", handler(&format!("name = \"run\"\n{NO_LIMIT}"), script)))
}

/// Numbered events, pushed over eight connections at once. What gets no answer is pushed again the next time, as
/// something else may know that a server didn't do.
struct Burst {
    left: Mutex<Vec<u32>>,
    answered: Mutex<HashSet<u32>>,
}

impl Burst {
    fn new(count: u32) -> Burst {
        Burst { left: Mutex::new((0..count).rev().collect()), answered: Mutex::default() }
    }

    fn left(&self) -> MutexGuard<'_, Vec<u32>> {
        self.left.lock().expect("its holders don't panic")
    }

    fn answered(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.answered.lock().expect("its holders don't panic")
    }

    /// Pushes until nothing is left or the program is gone; `meanwhile` decides about that.
    fn push<T>(&self, daemon: Running, meanwhile: impl FnOnce(Running) -> T) -> T {
        let request = daemon.request();
        let connections: Vec<Connection> = (0..8).map(|_| Connection::open(daemon.addr())).collect();
        std::thread::scope(|scope| {
            for mut connection in connections {
                let request = request.clone();
                scope.spawn(move || {
                    let next = || self.left().pop();
                    while let Some(number) = next() {
                        let bytes = request.clone().json(&event(number)).bytes();
                        match connection.try_send(&bytes).and_then(|()| connection.try_response()) {
                            Ok(answer) => {
                                assert_eq!(answer.status, 200, "{}", answer.text());
                                self.answered().insert(number);
                            }
                            Err(_) => return self.left().push(number),
                        }
                    }
                });
            }
            meanwhile(daemon)
        })
    }
}

/// What the runs of a command that appends its stdin to `seen` were told, in order.
fn told(daemon: &Daemon) -> Vec<Value> {
    let text = fs::read(daemon.home().join("seen")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // A run that was killed may have left half a line, and the next one's follows it.
    let whole = text.lines().filter_map(|line| serde_json::from_str(&line[line.rfind("{\"schema\"")?..]).ok());
    whole.collect()
}

/// The numbers of those.
fn numbers(told: &[Value]) -> HashSet<u32> {
    told.iter().filter_map(|event| event["subject"].as_str()?.parse().ok()).collect()
}

/// Waits until the runs have been told of all these events; whatever was told twice must say so.
#[track_caller]
fn assert_all_told(daemon: &Running, wanted: &HashSet<u32>) {
    let recipe = daemon.recipe();
    let missing = || wanted.difference(&numbers(&told(recipe))).copied().collect::<Vec<_>>();
    let explain = || format!("without a run: {:?}\n{}", missing(), daemon.log());
    wait_at_most(EVENTUALLY, "a run for each event", explain, || missing().is_empty().then_some(()));
    // In no order: a run that we were killed at may write its lines after the next one.
    let mut unannounced = HashSet::new();
    for event in told(recipe).into_iter().filter(|event| event["redelivered"] != true) {
        let id = event["id"].as_u64().expect("a number");
        assert!(unannounced.insert(id), "told again without a word: {event}");
    }
}
