//! Time zones by the names that calendars have for them.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use super::calendar::{Component, Zone};

/// The zone that a TZID means: a name of the tz database, one of Windows, or what the calendar itself says of it.
pub fn find(name: &str, own: &[Zone], at: DateTime) -> Option<TimeZone> {
    if let Some(zone) = named(name) {
        return Some(zone);
    }
    let zone = own.iter().find(|zone| zone.head.first("TZID").is_some_and(|id| id.value.trim_matches('"') == name))?;
    let located = zone.head.first("X-LIC-LOCATION").and_then(|line| named(line.value));
    located.or_else(|| from_rules(zone, at))
}

/// By the system's list of names; no path is built from what a mail says.
fn named(name: &str) -> Option<TimeZone> {
    let lower = name.to_ascii_lowercase();
    let windows = WINDOWS.binary_search_by_key(&lower, |(windows, _)| windows.to_ascii_lowercase());
    let name = windows.map_or(name, |at| WINDOWS[at].1);
    if name.len() > 80 {
        return None;
    }
    // Evolution and Mozilla write `/freeassociation.sourceforge.net/Europe/Berlin`.
    let Some(path) = name.strip_prefix('/') else { return TimeZone::get(name).ok() };
    path.match_indices('/').take(3).find_map(|(slash, _)| TimeZone::get(&path[slash + 1..]).ok())
}

/// A VTIMEZONE with yearly rules as a POSIX zone, which says the same; other ones by what holds at that moment.
fn from_rules(zone: &Zone, at: DateTime) -> Option<TimeZone> {
    let latest = |kind| zone.observances.iter().filter(|o| o.is_a(kind)).max_by_key(|o| start(o));
    if let (Some(standard), Some(daylight)) = (latest("STANDARD"), latest("DAYLIGHT"))
        && let (Some(begins), Some(ends)) = (yearly(daylight), yearly(standard))
    {
        let (winter, summer) = (posix_offset(offset(standard)?), posix_offset(offset(daylight)?));
        return TimeZone::posix(&format!("STD{winter}DST{summer},{begins},{ends}")).ok();
    }
    let begun = zone.observances.iter().filter(|o| start(o).is_some_and(|start| start <= at)).max_by_key(|o| start(o));
    Some(TimeZone::fixed(offset(begun.or(zone.observances.first())?)?))
}

fn start(observance: &Component) -> Option<DateTime> {
    date_time(observance.first("DTSTART")?.value)
}

/// `+0100` or `-023000`.
fn offset(observance: &Component) -> Option<Offset> {
    let value = observance.first("TZOFFSETTO")?.value;
    let (sign, digits) = match value.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, value.trim_start_matches('+')),
    };
    let [hours, minutes] = [number(digits.get(..2)?)?, number(digits.get(2..4)?)?];
    let seconds = digits.get(4..6).and_then(number).unwrap_or_default();
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60 + seconds)).ok()
}

/// POSIX counts westwards.
fn posix_offset(offset: Offset) -> String {
    let (sign, seconds) = (if offset.seconds() > 0 { '-' } else { '+' }, offset.seconds().abs());
    format!("{sign}{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU` with its time of day, as POSIX writes it: `M3.5.0/2:00:00`.
fn yearly(observance: &Component) -> Option<String> {
    let rule = observance.first("RRULE")?.value;
    let start = start(observance)?;
    let day = part(rule, "BYDAY")?;
    let (week, weekday) = day.split_at_checked(day.len().checked_sub(2)?)?;
    let week = match week.trim_start_matches('+') {
        "-1" => 5,
        week => number(week).filter(|week| (1..=5).contains(week))?,
    };
    let weekday = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"].iter().position(|day| *day == weekday)?;
    let month = part(rule, "BYMONTH").map_or(Some(start.month().into()), number)?;
    Some(format!("M{month}.{week}.{weekday}/{}", start.strftime("%-H:%M:%S")))
}

/// The value of a part of a recurrence rule: of `INTERVAL` in `FREQ=DAILY;INTERVAL=2`.
pub fn part<'a>(rule: &'a str, name: &str) -> Option<&'a str> {
    let mut parts = rule.split(';').filter_map(|part| part.split_once('='));
    Some(parts.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?.1.trim())
}

/// `20261123`.
pub fn date(value: &str) -> Option<Date> {
    if value.len() != 8 {
        return None;
    }
    let [year, month, day] = [number(value.get(..4)?)?, number(value.get(4..6)?)?, number(value.get(6..)?)?];
    Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()
}

/// `20261123T100000`; some leave out the seconds.
pub fn date_time(value: &str) -> Option<DateTime> {
    let (day, time) = value.split_once(['T', 't'])?;
    let [hour, minute] = [number(time.get(..2)?)?, number(time.get(2..4)?)?];
    let second = match time.get(4..)? {
        "" => 0,
        // Leap seconds are allowed, and none that jiff has.
        seconds => number(seconds)?.min(59),
    };
    let time = Time::new(hour.try_into().ok()?, minute.try_into().ok()?, second.try_into().ok()?, 0).ok()?;
    Some(date(day)?.to_datetime(time))
}

fn number(digits: &str) -> Option<i32> {
    let are_digits = digits.len() <= 6 && digits.bytes().all(|digit| digit.is_ascii_digit());
    are_digits.then(|| digits.parse().ok())?
}

/// Windows' names and where they hold, by Unicode's CLDR (windowsZones.xml, territory 001), in alphabetical order. Where
/// the tz database has an old name and a new one it's the new: Debian keeps the old ones in a package of their own.
#[rustfmt::skip]
pub const WINDOWS: [(&str, &str); 141] = [
    ("Afghanistan Standard Time", "Asia/Kabul"),
    ("Alaskan Standard Time", "America/Anchorage"),
    ("Aleutian Standard Time", "America/Adak"),
    ("Altai Standard Time", "Asia/Barnaul"),
    ("Arab Standard Time", "Asia/Riyadh"),
    ("Arabian Standard Time", "Asia/Dubai"),
    ("Arabic Standard Time", "Asia/Baghdad"),
    ("Argentina Standard Time", "America/Argentina/Buenos_Aires"),
    ("Astrakhan Standard Time", "Europe/Astrakhan"),
    ("Atlantic Standard Time", "America/Halifax"),
    ("AUS Central Standard Time", "Australia/Darwin"),
    ("Aus Central W. Standard Time", "Australia/Eucla"),
    ("AUS Eastern Standard Time", "Australia/Sydney"),
    ("Azerbaijan Standard Time", "Asia/Baku"),
    ("Azores Standard Time", "Atlantic/Azores"),
    ("Bahia Standard Time", "America/Bahia"),
    ("Bangladesh Standard Time", "Asia/Dhaka"),
    ("Belarus Standard Time", "Europe/Minsk"),
    ("Bougainville Standard Time", "Pacific/Bougainville"),
    ("Canada Central Standard Time", "America/Regina"),
    ("Cape Verde Standard Time", "Atlantic/Cape_Verde"),
    ("Caucasus Standard Time", "Asia/Yerevan"),
    ("Cen. Australia Standard Time", "Australia/Adelaide"),
    ("Central America Standard Time", "America/Guatemala"),
    ("Central Asia Standard Time", "Asia/Bishkek"),
    ("Central Brazilian Standard Time", "America/Cuiaba"),
    ("Central Europe Standard Time", "Europe/Budapest"),
    ("Central European Standard Time", "Europe/Warsaw"),
    ("Central Pacific Standard Time", "Pacific/Guadalcanal"),
    ("Central Standard Time", "America/Chicago"),
    ("Central Standard Time (Mexico)", "America/Mexico_City"),
    ("Chatham Islands Standard Time", "Pacific/Chatham"),
    ("China Standard Time", "Asia/Shanghai"),
    ("Coordinated Universal Time", "UTC"),
    ("Cuba Standard Time", "America/Havana"),
    ("Dateline Standard Time", "Etc/GMT+12"),
    ("E. Africa Standard Time", "Africa/Nairobi"),
    ("E. Australia Standard Time", "Australia/Brisbane"),
    ("E. Europe Standard Time", "Europe/Chisinau"),
    ("E. South America Standard Time", "America/Sao_Paulo"),
    ("Easter Island Standard Time", "Pacific/Easter"),
    ("Eastern Standard Time", "America/New_York"),
    ("Eastern Standard Time (Mexico)", "America/Cancun"),
    ("Egypt Standard Time", "Africa/Cairo"),
    ("Ekaterinburg Standard Time", "Asia/Yekaterinburg"),
    ("Fiji Standard Time", "Pacific/Fiji"),
    ("FLE Standard Time", "Europe/Kyiv"),
    ("Georgian Standard Time", "Asia/Tbilisi"),
    ("GMT Standard Time", "Europe/London"),
    ("Greenland Standard Time", "America/Nuuk"),
    ("Greenwich Standard Time", "Atlantic/Reykjavik"),
    ("GTB Standard Time", "Europe/Bucharest"),
    ("Haiti Standard Time", "America/Port-au-Prince"),
    ("Hawaiian Standard Time", "Pacific/Honolulu"),
    ("India Standard Time", "Asia/Kolkata"),
    ("Iran Standard Time", "Asia/Tehran"),
    ("Israel Standard Time", "Asia/Jerusalem"),
    ("Jordan Standard Time", "Asia/Amman"),
    ("Kaliningrad Standard Time", "Europe/Kaliningrad"),
    ("Kamchatka Standard Time", "Asia/Kamchatka"),
    ("Korea Standard Time", "Asia/Seoul"),
    ("Libya Standard Time", "Africa/Tripoli"),
    ("Line Islands Standard Time", "Pacific/Kiritimati"),
    ("Lord Howe Standard Time", "Australia/Lord_Howe"),
    ("Magadan Standard Time", "Asia/Magadan"),
    ("Magallanes Standard Time", "America/Punta_Arenas"),
    ("Marquesas Standard Time", "Pacific/Marquesas"),
    ("Mauritius Standard Time", "Indian/Mauritius"),
    ("Mid-Atlantic Standard Time", "Etc/GMT+2"),
    ("Middle East Standard Time", "Asia/Beirut"),
    ("Montevideo Standard Time", "America/Montevideo"),
    ("Morocco Standard Time", "Africa/Casablanca"),
    ("Mountain Standard Time", "America/Denver"),
    ("Mountain Standard Time (Mexico)", "America/Mazatlan"),
    ("Myanmar Standard Time", "Asia/Yangon"),
    ("N. Central Asia Standard Time", "Asia/Novosibirsk"),
    ("Namibia Standard Time", "Africa/Windhoek"),
    ("Nepal Standard Time", "Asia/Kathmandu"),
    ("New Zealand Standard Time", "Pacific/Auckland"),
    ("Newfoundland Standard Time", "America/St_Johns"),
    ("Norfolk Standard Time", "Pacific/Norfolk"),
    ("North Asia East Standard Time", "Asia/Irkutsk"),
    ("North Asia Standard Time", "Asia/Krasnoyarsk"),
    ("North Korea Standard Time", "Asia/Pyongyang"),
    ("Omsk Standard Time", "Asia/Omsk"),
    ("Pacific SA Standard Time", "America/Santiago"),
    ("Pacific Standard Time", "America/Los_Angeles"),
    ("Pacific Standard Time (Mexico)", "America/Tijuana"),
    ("Pakistan Standard Time", "Asia/Karachi"),
    ("Paraguay Standard Time", "America/Asuncion"),
    ("Qyzylorda Standard Time", "Asia/Qyzylorda"),
    ("Romance Standard Time", "Europe/Paris"),
    ("Russia Time Zone 10", "Asia/Srednekolymsk"),
    ("Russia Time Zone 11", "Asia/Kamchatka"),
    ("Russia Time Zone 3", "Europe/Samara"),
    ("Russian Standard Time", "Europe/Moscow"),
    ("SA Eastern Standard Time", "America/Cayenne"),
    ("SA Pacific Standard Time", "America/Bogota"),
    ("SA Western Standard Time", "America/La_Paz"),
    ("Saint Pierre Standard Time", "America/Miquelon"),
    ("Sakhalin Standard Time", "Asia/Sakhalin"),
    ("Samoa Standard Time", "Pacific/Apia"),
    ("Sao Tome Standard Time", "Africa/Sao_Tome"),
    ("Saratov Standard Time", "Europe/Saratov"),
    ("SE Asia Standard Time", "Asia/Bangkok"),
    ("Singapore Standard Time", "Asia/Singapore"),
    ("South Africa Standard Time", "Africa/Johannesburg"),
    ("South Sudan Standard Time", "Africa/Juba"),
    ("Sri Lanka Standard Time", "Asia/Colombo"),
    ("Sudan Standard Time", "Africa/Khartoum"),
    ("Syria Standard Time", "Asia/Damascus"),
    ("Taipei Standard Time", "Asia/Taipei"),
    ("Tasmania Standard Time", "Australia/Hobart"),
    ("Tocantins Standard Time", "America/Araguaina"),
    ("Tokyo Standard Time", "Asia/Tokyo"),
    ("Tomsk Standard Time", "Asia/Tomsk"),
    ("Tonga Standard Time", "Pacific/Tongatapu"),
    ("Transbaikal Standard Time", "Asia/Chita"),
    ("Turkey Standard Time", "Europe/Istanbul"),
    ("Turks And Caicos Standard Time", "America/Grand_Turk"),
    ("Ulaanbaatar Standard Time", "Asia/Ulaanbaatar"),
    ("US Eastern Standard Time", "America/Indiana/Indianapolis"),
    ("US Mountain Standard Time", "America/Phoenix"),
    ("UTC+12", "Etc/GMT-12"),
    ("UTC+13", "Etc/GMT-13"),
    ("UTC-02", "Etc/GMT+2"),
    ("UTC-08", "Etc/GMT+8"),
    ("UTC-09", "Etc/GMT+9"),
    ("UTC-11", "Etc/GMT+11"),
    ("Venezuela Standard Time", "America/Caracas"),
    ("Vladivostok Standard Time", "Asia/Vladivostok"),
    ("Volgograd Standard Time", "Europe/Volgograd"),
    ("W. Australia Standard Time", "Australia/Perth"),
    ("W. Central Africa Standard Time", "Africa/Lagos"),
    ("W. Europe Standard Time", "Europe/Berlin"),
    ("W. Mongolia Standard Time", "Asia/Hovd"),
    ("West Asia Standard Time", "Asia/Tashkent"),
    ("West Bank Standard Time", "Asia/Hebron"),
    ("West Pacific Standard Time", "Pacific/Port_Moresby"),
    ("Yakutsk Standard Time", "Asia/Yakutsk"),
    ("Yukon Standard Time", "America/Whitehorse"),
];
