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

/// The local time of day, and with it the day where that is another than today's: `14:05`, `Fri 14:05`, `12 Nov 14:05`.
pub fn moment(at: Timestamp, now: Timestamp) -> String {
    let (then, today) = (at.to_zoned(TimeZone::system()), now.to_zoned(TimeZone::system()).date());
    let days = then.date().until(today).map_or(0, |span| span.get_days());
    let form = match days {
        0 => "%H:%M",
        1..7 => "%a %H:%M",
        _ => "%-d %b %H:%M",
    };
    then.strftime(form).to_string()
}

/// The local midnight that ends the day of `now`.
pub fn tomorrow(now: Timestamp) -> Option<Timestamp> {
    let today = now.to_zoned(TimeZone::system());
    Some(today.tomorrow().ok()?.start_of_day().ok()?.timestamp())
}

/// Resolves at a moment of the wall clock, through suspend, and early when somebody sets the clock.
#[cfg(target_os = "linux")]
pub async fn sleep_until(moment: Timestamp) -> std::io::Result<()> {
    use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
    if moment <= Timestamp::now() {
        // 1970 itself would even disarm the timer.
        return Ok(());
    }
    let timer = rustix::time::timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
    let value = Timespec { tv_sec: moment.as_second(), tv_nsec: moment.subsec_nanosecond().into() };
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
    rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &once)?;
    #[expect(deprecated, reason = "its successor is unsafe; an owned descriptor is what it asks for")]
    let timer = tokio::io::unix::AsyncFd::with_interest(timer, tokio::io::Interest::READABLE)?;
    // Readable at the moment, and with an error when the clock was set: either is a reason to look at it again.
    timer.readable().await.map(drop)
}

/// Resolves at a moment of the wall clock; suspend is looked through every minute.
#[cfg(not(target_os = "linux"))]
pub async fn sleep_until(moment: Timestamp) -> std::io::Result<()> {
    let left = Timestamp::now().until(moment).ok().and_then(|left| Duration::try_from(left).ok()).unwrap_or_default();
    tokio::time::sleep(left.min(Duration::from_secs(60))).await;
    Ok(())
}

/// How long the machine has slept since it was started; nothing where the system doesn't say.
pub fn slept() -> Duration {
    #[cfg(target_os = "linux")]
    {
        use rustix::time::{ClockId, clock_gettime};
        // One goes on in sleep, the other stands still (clock_gettime(2)).
        let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
        read(ClockId::Boottime).saturating_sub(read(ClockId::Monotonic))
    }
    #[cfg(not(target_os = "linux"))]
    Duration::ZERO
}

/// Resolves when the machine has slept since it had slept `before`; gives how long it has now. Costs nothing meanwhile:
/// the kernel tells everybody who waits for a moment of the wall clock that this has jumped.
pub async fn slept_more_than(before: Duration) -> Duration {
    const WORTH_A_WORD: Duration = Duration::from_secs(1);
    const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    loop {
        if !cfg!(target_os = "linux") || sleep_until(Timestamp::now() + A_YEAR).await.is_err() {
            return std::future::pending().await;
        }
        let all = slept();
        if all >= before + WORTH_A_WORD {
            return all;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_names_the_day_where_it_is_another() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let ago = |hours: u64| moment(now - Duration::from_secs(hours * 3600), now);
        let clock = |hours: u64| time_of_day(now - Duration::from_secs(hours * 3600));
        assert_eq!(ago(0), clock(0));
        assert_eq!(ago(48), format!("Wed {}", clock(48)));
        assert_eq!(ago(24 * 10), format!("10 Nov {}", clock(240)));
    }

    #[tokio::test]
    async fn a_moment_of_the_wall_clock_comes() {
        let soon = Timestamp::now() + Duration::from_millis(30);
        sleep_until(soon).await.unwrap();
        assert!(Timestamp::now() >= soon);
        sleep_until(Timestamp::UNIX_EPOCH).await.unwrap();
    }
}
