//! The time, handed in as an argument to everything that decides by it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// One moment on both clocks: delays and limits go by `instant`, which never jumps; what people see by `wall`.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    pub instant: Instant,
    pub wall: Timestamp,
}

impl Now {
    pub fn read() -> Self {
        Self { instant: Instant::now(), wall: Timestamp::now() }
    }
}

impl std::ops::Add<Duration> for Now {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self { instant: self.instant + by, wall: self.wall.checked_add(by).unwrap_or(Timestamp::MAX) }
    }
}

/// The local time of day, `14:05`.
pub fn time_of_day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%H:%M").to_string()
}

/// The local midnight that ends the day of `now`.
pub fn tomorrow(now: Timestamp) -> Option<Timestamp> {
    let today = now.to_zoned(TimeZone::system());
    Some(today.tomorrow().ok()?.start_of_day().ok()?.timestamp())
}
