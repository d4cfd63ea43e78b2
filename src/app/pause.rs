//! When notifications are held: because somebody said so, or in quiet hours.

use super::*;
use crate::config::WhenLocked;
use jiff::tz::TimeZone;

impl App {
    pub(super) fn pause(&mut self, length: PauseFor, now: Now) {
        let until = |time: Duration| now.wall.checked_add(time).map_or(Paused::UntilResumed, Paused::Until);
        self.pause_until(match length {
            PauseFor::HalfAnHour => until(Duration::from_secs(30 * 60)),
            PauseFor::AnHour => until(Duration::from_secs(60 * 60)),
            PauseFor::UntilTomorrow => tomorrow(now.wall).map_or(Paused::UntilResumed, Paused::Until),
            PauseFor::UntilResumed => Paused::UntilResumed,
        });
    }

    pub(super) fn pause_until(&mut self, paused: Paused) {
        self.paused = Some(paused);
        self.store.pause(self.paused);
    }

    /// Ends the pause; in quiet hours these, until the next.
    pub(super) fn resume(&mut self) {
        if self.paused.take().is_some() {
            self.store.pause(None);
        } else {
            // At once: who asked is told how it stands now.
            self.unquiet_until = self.quiet_until.take().or(self.unquiet_until);
        }
    }

    /// Ends what holds notifications; where nothing does, pauses.
    pub(super) fn toggle_pause(&mut self, paused: Paused) {
        match self.paused() {
            Some(_) => self.resume(),
            None => self.pause_until(paused),
        }
    }

    /// Ends what is over by the wall clock, and begins what is due.
    pub(super) fn look_at_the_clock(&mut self, now: Now) {
        if matches!(self.paused, Some(Paused::Until(end)) if end <= now.wall) {
            self.tray_stale = true;
            self.paused = None;
            self.store.pause(None);
        }
        if self.unquiet_until.is_some_and(|end| end <= now.wall) {
            self.unquiet_until = None;
        }
        if self.config.pause.quiet_hours.is_empty() {
            self.quiet_until = None;
            return;
        }
        let quiet = self.config.pause.quiet_until(now.wall, &TimeZone::system());
        let quiet = quiet.filter(|_| self.unquiet_until.is_none());
        self.tray_stale |= quiet != self.quiet_until;
        self.quiet_until = quiet;
    }

    pub(super) fn paused(&self) -> Option<Paused> {
        self.paused.or(self.quiet_until.map(Paused::Quiet))
    }

    /// When to look at the wall clock next; it may be set, and runs on in suspend.
    pub fn wall_deadline(&self, now: Now) -> Option<Timestamp> {
        let pause = match self.paused {
            Some(Paused::Until(end)) => Some(end),
            _ => None,
        };
        let next = match self.config.pause.quiet_hours.is_empty() {
            true => None,
            false => self.config.pause.next_quiet(now.wall, &TimeZone::system()),
        };
        [pause, self.quiet_until, self.unquiet_until, next].into_iter().flatten().min()
    }

    pub(super) fn popups_may(&self) -> PopupsMay {
        if self.is_locked() && self.config.pause.when_locked == WhenLocked::Hold {
            return PopupsMay::Held;
        }
        match (&self.notifications, self.paused, self.quiet_until) {
            (Some(Availability::Here), None, None) => PopupsMay::Shown,
            (Some(Availability::Here), None, Some(_)) => PopupsMay::Quiet,
            _ => PopupsMay::Held,
        }
    }
}
