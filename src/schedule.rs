//! When a handler is due. Pure: the time is an argument, nothing waits.
//!
//! The behaviour is IMSErious' own, read from its source, without its spin: an event waits for the delay, counted from
//! the first one waiting; then for the rate limit; a periodic run needs neither and comes a period after the last run.

use std::time::Instant;

use crate::handler::{Limit, Timing, Trigger};

#[derive(Debug, Clone)]
pub struct Schedule {
    timing: Timing,
    /// Since when an event waits.
    waiting_since: Option<Instant>,
    /// What a periodic run is counted from.
    last_end: Instant,
    bucket: Bucket,
}

/// When something is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Now(Trigger),
    At(Instant),
    /// Not before something arrives.
    Never,
}

impl Schedule {
    pub fn new(timing: Timing, now: Instant) -> Self {
        Self { timing, waiting_since: None, last_end: now, bucket: Bucket::default() }
    }

    /// Changes the timing, as a reload does, and forgets nothing.
    pub fn retime(&mut self, timing: Timing) {
        self.timing = timing;
    }

    pub fn arrived(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    pub fn due(&self, now: Instant) -> Due {
        let at = |then: Instant, trigger| if then <= now { Due::Now(trigger) } else { Due::At(then) };
        match (self.waiting_since, self.timing.periodic) {
            (Some(since), _) => {
                let delayed = self.timing.delay.map_or(since, |delay| since + delay);
                // The limit is asked only once the delay is over: a cell is taken when a run starts.
                let allowed = self.timing.limit.and_then(|limit| self.bucket.next(limit));
                at(allowed.map_or(delayed, |allowed| delayed.max(allowed)), Trigger::Event)
            }
            (None, Some(period)) => at(self.last_end + period, Trigger::Periodic),
            (None, None) => Due::Never,
        }
    }

    /// A run begins and takes what waits.
    pub fn started(&mut self, trigger: Trigger, now: Instant) {
        if let (Trigger::Event, Some(limit)) = (trigger, self.timing.limit) {
            self.bucket.take(limit, now);
        }
        self.waiting_since = None;
    }

    /// The run has ended. What arrived meanwhile waits from now on.
    pub fn ended(&mut self, now: Instant) {
        self.last_end = now;
        if let Some(since) = &mut self.waiting_since {
            *since = now;
        }
    }
}

/// The generic cell rate algorithm as IMSErious' rate limiter runs it: `burst` cells at once, then one a period; after
/// a quiet time of several periods one more, because its first theoretical arrival lies one period ahead.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    theoretical_arrival: Option<Instant>,
}

impl Bucket {
    /// The earliest time of the next cell; none where any time will do.
    fn next(self, limit: Limit) -> Option<Instant> {
        self.theoretical_arrival?.checked_sub(limit.period.saturating_mul(limit.burst))
    }

    fn take(&mut self, limit: Limit, now: Instant) {
        let arrival = self.theoretical_arrival.unwrap_or(now + limit.period);
        self.theoretical_arrival = Some(arrival.max(now) + limit.period);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// Runs a schedule over a table of arrivals, each run taking `length`, up to `until`; gives the starts, in seconds.
    fn runs(timing: Timing, arrivals: &[u64], length: u64, until: u64) -> Vec<(u64, Trigger)> {
        let begin = Instant::now() + seconds(1_000_000);
        let mut schedule = Schedule::new(timing, begin);
        let mut running_until = None;
        let mut starts = Vec::new();
        for second in 0..=until {
            let now = begin + seconds(second);
            if running_until == Some(second) {
                running_until = None;
                schedule.ended(now);
            }
            if arrivals.contains(&second) {
                schedule.arrived(now);
            }
            if running_until.is_none()
                && let Due::Now(trigger) = schedule.due(now)
            {
                schedule.started(trigger, now);
                starts.push((second, trigger));
                if length == 0 {
                    schedule.ended(now);
                } else {
                    running_until = Some(second + length);
                }
            }
        }
        starts
    }

    fn limit(period: u64, burst: u32) -> Timing {
        Timing { limit: Some(Limit { period: seconds(period), burst }), ..Timing::default() }
    }

    fn starts(timing: Timing, arrivals: &[u64], length: u64, until: u64) -> Vec<u64> {
        runs(timing, arrivals, length, until).into_iter().map(|(second, _)| second).collect()
    }

    #[test]
    fn without_timing_every_event_is_a_run() {
        assert_eq!(starts(Timing::default(), &[0, 3, 4], 0, 9), [0, 3, 4]);
    }

    #[test]
    fn a_burst_of_three_over_thirty_seconds() {
        let every_second: Vec<u64> = (0..=100).collect();
        assert_eq!(starts(limit(30, 3), &every_second, 0, 100), [0, 1, 2, 30, 60, 90]);
    }

    #[test]
    fn the_default_limit_merges_into_one_run_a_period() {
        assert_eq!(starts(limit(30, 1), &[0, 1, 2, 3], 0, 200), [0, 30]);
        // The limiter's own quirk: after a quiet time two runs follow at once.
        assert_eq!(starts(limit(30, 1), &[0, 100, 101, 102], 0, 200), [0, 100, 101, 130]);
    }

    #[test]
    fn a_delay_counts_from_the_first_event_waiting() {
        let timing = Timing { delay: Some(seconds(5)), ..Timing::default() };
        assert_eq!(starts(timing, &[0, 3, 4, 9], 0, 30), [5, 14]);
        assert_eq!(starts(timing, &[0, 7], 10, 60), [5, 20], "what comes in a run waits from the run's end");
    }

    #[test]
    fn delay_and_limit_together() {
        let timing = Timing { delay: Some(seconds(5)), ..limit(30, 1) };
        assert_eq!(starts(timing, &[0, 6, 7], 0, 100), [5, 35]);
    }

    #[test]
    fn periodic_runs_count_from_the_end_of_the_last_run_and_know_no_limit() {
        let timing = Timing { periodic: Some(seconds(10)), ..limit(30, 1) };
        use Trigger::{Event, Periodic};
        assert_eq!(runs(timing, &[], 2, 40), [(10, Periodic), (22, Periodic), (34, Periodic)]);
        assert_eq!(runs(timing, &[3], 0, 25), [(3, Event), (13, Periodic), (23, Periodic)]);
        // An event that waits for the limit takes the periodic run's place.
        assert_eq!(runs(timing, &[0, 5], 0, 45), [(0, Event), (30, Event), (40, Periodic)]);
    }

    #[test]
    fn a_fetch_takes_no_cell_and_what_waits() {
        let now = Instant::now() + seconds(100);
        let mut schedule = Schedule::new(limit(30, 1), now);
        schedule.arrived(now);
        schedule.started(Trigger::Fetch, now);
        schedule.ended(now);
        assert_eq!(schedule.due(now), Due::Never);
        schedule.arrived(now);
        assert_eq!(schedule.due(now), Due::Now(Trigger::Event));
    }

    #[test]
    fn idle_means_no_deadline() {
        let now = Instant::now();
        assert_eq!(Schedule::new(limit(30, 1), now).due(now + seconds(4000)), Due::Never);
    }
}
