//! When an event is, in the words of the person's own zone.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

use super::calendar::{Calendar, Component, Line};
use super::zones::{self, part};
use crate::mime::{one_line, shorten};

#[derive(Clone)]
enum Moment {
    Day(Date),
    /// Floating, or of a zone that nobody knows.
    Local(DateTime),
    /// In the zone of the sender.
    At(Box<Zoned>),
}

/// `Mon 23 Nov, 10:00–11:00, weekly`.
pub fn when(calendar: &Calendar, event: &Component, zone: &TimeZone, now: Timestamp) -> Option<String> {
    let first = event.first("DTSTART").or_else(|| event.first("DUE"))?;
    let (start, unknown_zone) = moment(first, calendar)?;
    let mut end = end(&start, calendar, event);
    let mut start = start;
    if event.first("X-MICROSOFT-CDO-ALLDAYEVENT").is_some_and(|line| line.value.eq_ignore_ascii_case("TRUE"))
        && let Some(day) = whole_day(&start)
    {
        end = end.and_then(|end| whole_day(&end)).map(Moment::Day);
        start = Moment::Day(day);
    }
    let words = Words { zone, this_year: now.to_zoned(zone.clone()).year() };
    let mut text = words.range(&start, end.as_ref());
    if let Some(name) = unknown_zone {
        text.push_str(&format!(" ({})", shorten(&one_line(&name), 40)));
    }
    if event.first("RECURRENCE-ID").is_some() {
        text.push_str(", one occurrence");
    } else if let Some(rule) = event.first("RRULE") {
        text.push_str(", ");
        text.push_str(&repeats(rule.value));
    } else if event.first("RDATE").is_some() {
        text.push_str(", repeats");
    }
    Some(text)
}

/// What a property means, and the zone's name where nobody knows that zone.
fn moment(line: &Line, calendar: &Calendar) -> Option<(Moment, Option<String>)> {
    // Several values would be a mistake; the first counts.
    let value = line.value.split(',').next().unwrap_or_default();
    if let Some(day) = zones::date(value) {
        return plausible(day).then_some((Moment::Day(day), None));
    }
    let utc = value.strip_suffix(['Z', 'z']);
    let local = zones::date_time(utc.unwrap_or(value)).filter(|local| plausible(local.date()))?;
    if utc.is_some() {
        return Some((Moment::At(Box::new(local.to_zoned(TimeZone::UTC).ok()?)), None));
    }
    let Some(name) = line.parameter("TZID").filter(|name| !name.is_empty()) else {
        return Some((Moment::Local(local), None));
    };
    match zones::find(&name, &calendar.zones, local).and_then(|zone| local.to_zoned(zone).ok()) {
        Some(at) => Some((Moment::At(Box::new(at)), None)),
        None => Some((Moment::Local(local), Some(name))),
    }
}

/// Programs write the year 1 or 1601 for "never".
fn plausible(day: Date) -> bool {
    day.year() >= 1900
}

fn end(start: &Moment, calendar: &Calendar, event: &Component) -> Option<Moment> {
    if let Some(line) = event.first("DTEND").or_else(|| event.first("DUE")) {
        return Some(moment(line, calendar)?.0);
    }
    let length: Span = event.first("DURATION")?.value.parse().ok()?;
    match start {
        Moment::Day(day) => day.checked_add(length).ok().map(Moment::Day),
        Moment::Local(local) => local.checked_add(length).ok().map(Moment::Local),
        Moment::At(at) => at.checked_add(length).ok().map(|at| Moment::At(Box::new(at))),
    }
}

/// Exchange writes whole days as times from midnight to midnight in the sender's zone.
fn whole_day(moment: &Moment) -> Option<Date> {
    let local = match moment {
        Moment::Day(day) => return Some(*day),
        Moment::Local(local) => *local,
        Moment::At(at) => at.datetime(),
    };
    (local.time() == Time::midnight()).then(|| local.date())
}

struct Words<'a> {
    zone: &'a TimeZone,
    this_year: i16,
}

impl Words<'_> {
    fn range(&self, start: &Moment, end: Option<&Moment>) -> String {
        match (start, end) {
            (Moment::Day(first), end) => {
                let last = match end {
                    // The end is the first day that isn't one of it (RFC 5545 section 3.6.1).
                    Some(Moment::Day(end)) => end.yesterday().ok().filter(|last| last > first),
                    _ => None,
                };
                let last = last.map(|last| format!(" – {}", self.day(last))).unwrap_or_default();
                format!("{}{last}, all day", self.day(*first))
            }
            (Moment::Local(start), Some(Moment::Local(end))) if end > start => self.times(*start, Some(*end)),
            (Moment::Local(start), _) => self.times(*start, None),
            (Moment::At(start), Some(Moment::At(end))) if end > start => {
                self.times(self.here(start), Some(self.here(end)))
            }
            (Moment::At(start), _) => self.times(self.here(start), None),
        }
    }

    fn here(&self, at: &Zoned) -> DateTime {
        at.with_time_zone(self.zone.clone()).datetime()
    }

    fn times(&self, start: DateTime, end: Option<DateTime>) -> String {
        let from = format!("{}, {}", self.day(start.date()), start.strftime("%H:%M"));
        match end {
            Some(end) if end.date() == start.date() => format!("{from}–{}", end.strftime("%H:%M")),
            Some(end) => format!("{from} – {}, {}", self.day(end.date()), end.strftime("%H:%M")),
            None => from,
        }
    }

    fn day(&self, day: Date) -> String {
        let format = if day.year() == self.this_year { "%a %-d %b" } else { "%a %-d %b %Y" };
        day.strftime(format).to_string()
    }
}

/// The rule is named, never expanded.
fn repeats(rule: &str) -> String {
    let frequency = part(rule, "FREQ").unwrap_or_default().to_ascii_uppercase();
    let interval = part(rule, "INTERVAL").map_or(Some(1), |interval| interval.parse::<u16>().ok());
    let (adverb, unit) = match frequency.as_str() {
        "DAILY" => ("daily", "days"),
        "WEEKLY" => ("weekly", "weeks"),
        "MONTHLY" => ("monthly", "months"),
        "YEARLY" => ("yearly", "years"),
        _ => return "repeats".into(),
    };
    match interval {
        Some(1) => adverb.into(),
        Some(n @ 2..) => format!("every {n} {unit}"),
        _ => "repeats".into(),
    }
}
