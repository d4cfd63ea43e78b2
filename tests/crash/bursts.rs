//! Killed in the middle of a burst.

use std::time::{Duration, Instant};

use super::{Burst, assert_all_told, recipe};
use crate::support::wait::{EVENTUALLY, wait_at_most};

/// The same numbers every time: Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[test]
fn whatever_moment_we_are_killed_at_nothing_that_was_answered_is_lost() {
    let recipe = recipe("cat >> seen");
    let burst = Burst::new(1_000_000);
    let mut random = Random(4711);
    for _ in 0..30 {
        burst.push(recipe.start(), |mut daemon| {
            // An event that is in its first moments at two ends in a row would be set aside.
            daemon.wait_log(" done ");
            std::thread::sleep(Duration::from_micros(random.below(40_000)));
            daemon.kill();
        });
    }
    assert!(burst.answered().len() > 300, "hardly any of {} were answered", burst.answered().len());
    let daemon = recipe.start();
    assert_all_told(&daemon, &burst.answered());
    assert!(super::told(&recipe).iter().any(|event| event["redelivered"] == true), "no kill interrupted a run");
    daemon.stop();
}

#[test]
fn of_ten_thousand_events_and_a_kill_in_their_middle_none_is_lost() {
    let recipe = recipe("cat >> seen; sleep 0.02");
    let burst = Burst::new(10_000);
    burst.push(recipe.start(), |daemon| {
        let log = || daemon.log();
        wait_at_most(EVENTUALLY, "half of the events", log, || (burst.answered().len() >= 5_000).then_some(()));
        daemon.kill();
    });
    let daemon = burst.push(recipe.start(), |daemon| daemon);
    let answered = burst.answered().clone();
    assert_eq!(answered.len(), 10_000);
    assert_all_told(&daemon, &answered);
    daemon.stop();
}

#[test]
fn of_two_hundred_events_in_a_moment_none_is_lost() {
    let recipe = recipe("cat >> seen; sleep 0.02");
    let burst = Burst::new(200);
    let started = Instant::now();
    let daemon = burst.push(recipe.start(), |daemon| daemon);
    assert!(started.elapsed() < Duration::from_secs(5), "senders waited: {:?}", started.elapsed());
    assert_all_told(&daemon, &(0..200).collect());
    assert_eq!(super::told(&recipe).len(), 200, "each is told of once");
    daemon.stop();
}
