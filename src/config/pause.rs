//! `[pause]`: when notifications are held without anybody saying so.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::document::Table;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pause {
    pub quiet_hours: Vec<QuietHours>,
    pub when_locked: WhenLocked,
}

/// What becomes of popups while the screen is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenLocked {
    Show,
    /// They say that there is something, and what when it is unlocked.
    #[default]
    HideContent,
    /// They come when it is unlocked, as one summary.
    Hold,
}

impl WhenLocked {
    pub const NAMES: [(&'static str, Self); 3] =
        [("show", Self::Show), ("hide-content", Self::HideContent), ("hold", Self::Hold)];
}

/// From one time of day to another, local time; past midnight where the end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    from: Time,
    to: Time,
}

impl Pause {
    pub(super) fn read(table: &Table<'_, '_>) -> Self {
        let quiet_hours = table.get("quiet_hours").and_then(|value| value.each_string(QuietHours::from_str));
        let when_locked = table.choice("when_locked", &WhenLocked::NAMES).unwrap_or_default();
        Self { quiet_hours: quiet_hours.unwrap_or_default(), when_locked }
    }

    /// When the quiet hours that it is now end; none while it isn't quiet.
    pub fn quiet_until(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.quiet_hours.iter().filter_map(|hours| hours.end(now, zone)).max()
    }

    /// When it is next quiet.
    pub fn next_quiet(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.quiet_hours.iter().filter_map(|hours| next(now, hours.from, zone)).min()
    }
}

impl QuietHours {
    fn end(self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let time = now.to_zoned(zone.clone()).time();
        let is_quiet = match self.from < self.to {
            true => (self.from..self.to).contains(&time),
            false => time >= self.from || time < self.to,
        };
        if is_quiet { next(now, self.to, zone) } else { None }
    }
}

/// The next moment of that time of day after now.
fn next(now: Timestamp, time: Time, zone: &TimeZone) -> Option<Timestamp> {
    let today = now.to_zoned(zone.clone()).date();
    let moments = [today, today.tomorrow().ok()?].map(|day| day.to_datetime(time).to_zoned(zone.clone()).ok());
    moments.into_iter().flatten().map(|moment| moment.timestamp()).find(|moment| *moment > now)
}

impl FromStr for QuietHours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = |text: &str| {
            let (hours, minutes) = text.trim().split_once(':')?;
            Time::new(hours.parse().ok()?, minutes.parse().ok()?, 0, 0).ok()
        };
        let hours = text.split_once('-').and_then(|(from, to)| Some(Self { from: time(from)?, to: time(to)? }));
        match hours {
            Some(hours) if hours.from != hours.to => Ok(hours),
            _ => Err(format!("`{text}` are no hours; write for example \"22:00-07:00\"")),
        }
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from.strftime("%H:%M"), self.to.strftime("%H:%M"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(hours: &[&str]) -> Pause {
        Pause { quiet_hours: hours.iter().map(|hours| hours.parse().unwrap()).collect(), ..Pause::default() }
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-21T{text}:00Z").parse().unwrap()
    }

    fn check(hours: &[&str], now: &str, until: Option<&str>) {
        let expected = until.map(|text| text.parse::<Timestamp>().unwrap());
        assert_eq!(quiet(hours).quiet_until(at(now), &TimeZone::UTC), expected, "{hours:?} at {now}");
    }

    #[test]
    fn hours_within_a_day_and_past_midnight() {
        check(&["12:30-13:00"], "12:29", None);
        check(&["12:30-13:00"], "12:30", Some("2026-11-21T13:00:00Z"));
        check(&["12:30-13:00"], "13:00", None);
        check(&["22:00-07:00"], "23:00", Some("2026-11-22T07:00:00Z"));
        check(&["22:00-07:00"], "06:59", Some("2026-11-21T07:00:00Z"));
        check(&["22:00-07:00"], "07:00", None);
        check(&["01:00-05:00", "04:00-06:00"], "04:30", Some("2026-11-21T06:00:00Z"));
    }

    #[test]
    fn the_next_quiet_time_is_known() {
        let hours = quiet(&["22:00-07:00", "12:00-13:00"]);
        assert_eq!(hours.next_quiet(at("10:00"), &TimeZone::UTC), Some(at("12:00")));
        assert_eq!(hours.next_quiet(at("12:00"), &TimeZone::UTC), Some(at("22:00")));
        assert_eq!(Pause::default().next_quiet(at("10:00"), &TimeZone::UTC), None);
    }

    #[test]
    fn what_is_no_hours_says_so() {
        for wrong in ["22:00", "22-7", "25:00-07:00", "a:b-c:d", "07:00-07:00", ""] {
            assert!(wrong.parse::<QuietHours>().is_err(), "{wrong}");
        }
    }
}
