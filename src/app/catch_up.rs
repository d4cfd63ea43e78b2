//! The fetch that makes up for what may have been missed: while a tunnel was down, while the machine slept. Pure.

use std::time::{Duration, Instant};

/// After a shorter gap nothing is fetched: what was refused in it comes with the next mail.
const GAP: Duration = Duration::from_secs(30);
/// Between two such fetches, however often the way is lost and found.
const BETWEEN: Duration = Duration::from_secs(5 * 60);
/// After a sleep the network needs a moment.
const AWAKENING: Duration = Duration::from_secs(5);

/// An awakening so soon after another, with no word of a sleep in between, is the same.
const SAME_SLEEP: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct CatchUp {
    last: Option<Instant>,
    wanted_at: Option<Instant>,
    /// The machine slept, and no tunnel has been up since.
    after_sleep: bool,
    woke_at: Option<Instant>,
}

impl CatchUp {
    /// A tunnel is up, for the first time or after a gap.
    pub fn tunnel_up(&mut self, gap: Option<Duration>, now: Instant) {
        if std::mem::take(&mut self.after_sleep) || gap.is_none_or(|gap| gap >= GAP) {
            self.want(now);
        }
    }

    /// The machine is awake; it slept so long, as far as that is known. Where there are tunnels, they tell when the
    /// network is there.
    pub fn awake(&mut self, slept: Duration, has_tunnels: bool, now: Instant) {
        // Our clock stands still in sleep.
        self.last = self.last.and_then(|last| last.checked_sub(slept));
        // The kernel, which knows how long, and the session, which doesn't, may both tell of one sleep.
        if self.woke_at.replace(now).is_some_and(|then| now.duration_since(then) < SAME_SLEEP) {
            return;
        }
        match has_tunnels {
            true => self.after_sleep = true,
            false => self.want(now + AWAKENING),
        }
    }

    /// The machine is about to sleep: its next awakening is another one.
    pub fn falls_asleep(&mut self) {
        self.woke_at = None;
    }

    fn want(&mut self, at: Instant) {
        self.wanted_at.get_or_insert(at);
    }

    pub fn due(&self) -> Option<Instant> {
        let wanted_at = self.wanted_at?;
        Some(self.last.map_or(wanted_at, |last| wanted_at.max(last + BETWEEN)))
    }

    /// Whether to fetch now.
    pub fn take(&mut self, now: Instant) -> bool {
        let is_due = self.due().is_some_and(|due| due <= now);
        if is_due {
            (self.last, self.wanted_at) = (Some(now), None);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_link_and_long_gaps_are_made_up_for_and_short_ones_are_not() {
        let now = Instant::now();
        let mut catch_up = CatchUp::default();
        catch_up.tunnel_up(None, now);
        assert!(catch_up.take(now) && !catch_up.take(now));
        let later = now + seconds(1000);
        catch_up.tunnel_up(Some(seconds(29)), later);
        assert_eq!(catch_up.due(), None);
        catch_up.tunnel_up(Some(seconds(30)), later);
        assert!(catch_up.take(later));
    }

    #[test]
    fn a_link_that_comes_and_goes_is_made_up_for_once_in_five_minutes_and_not_forgotten() {
        let now = Instant::now();
        let mut catch_up = CatchUp::default();
        catch_up.tunnel_up(None, now);
        assert!(catch_up.take(now));
        for gap in [40, 90, 140] {
            catch_up.tunnel_up(Some(seconds(40)), now + seconds(gap));
            assert!(!catch_up.take(now + seconds(gap)));
        }
        assert_eq!(catch_up.due(), Some(now + BETWEEN));
        assert!(catch_up.take(now + BETWEEN));
        assert_eq!(catch_up.due(), None);
    }

    #[test]
    fn after_a_sleep_it_waits_for_the_tunnel_or_a_moment() {
        let now = Instant::now();
        let mut catch_up = CatchUp::default();
        catch_up.awake(seconds(0), true, now);
        assert_eq!(catch_up.due(), None);
        catch_up.tunnel_up(Some(seconds(1)), now + seconds(20));
        assert!(catch_up.take(now + seconds(20)));
        let mut alone = CatchUp::default();
        alone.awake(seconds(0), false, now);
        alone.awake(seconds(0), false, now + seconds(1));
        assert_eq!(alone.due(), Some(now + AWAKENING));
    }

    #[test]
    fn a_sleep_counts_though_our_clock_stands_still_in_it() {
        let now = Instant::now() + seconds(100_000);
        let mut catch_up = CatchUp::default();
        catch_up.tunnel_up(None, now);
        assert!(catch_up.take(now));
        catch_up.awake(seconds(8 * 3600), false, now + seconds(1));
        assert_eq!(catch_up.due(), Some(now + seconds(1) + AWAKENING));
    }

    #[test]
    fn of_a_sleep_that_is_told_twice_one_fetch_comes() {
        let now = Instant::now();
        let mut catch_up = CatchUp::default();
        catch_up.awake(seconds(3600), false, now);
        assert!(catch_up.take(now + AWAKENING));
        catch_up.awake(seconds(0), false, now + seconds(10));
        assert_eq!(catch_up.due(), None);
        catch_up.falls_asleep();
        catch_up.awake(seconds(0), false, now + seconds(20));
        assert!(catch_up.due().is_some(), "it slept again");
    }
}
