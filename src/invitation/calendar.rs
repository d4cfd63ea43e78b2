//! The lines of a calendar (RFC 5545): its method, its first event, its zones.
//!
//! `calcard` reads all of it and adds two megabytes to the program, most of them a copy of the zones that the system
//! has. What is needed here is a dozen properties, and they must be found in damaged text too.

use std::borrow::Cow;

use crate::mime::cut;

const MAX_ZONES: usize = 16;
const MAX_OBSERVANCES: usize = 64;
/// Longer than any text that is shown.
const MAX_VALUE: usize = 8 * 1024;

/// The properties that are kept, the first of each.
const KEPT: [&str; 17] = [
    "SUMMARY",
    "LOCATION",
    "ORGANIZER",
    "ATTENDEE",
    "STATUS",
    "SEQUENCE",
    "DTSTART",
    "DTEND",
    "DUE",
    "DURATION",
    "RRULE",
    "RDATE",
    "RECURRENCE-ID",
    "X-MICROSOFT-CDO-ALLDAYEVENT",
    "TZID",
    "X-LIC-LOCATION",
    "TZOFFSETTO",
];

/// A content line: `NAME;PARAMETER=value:value`.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    name: &'a str,
    parameters: &'a str,
    pub value: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, rest) = line.split_at(line.find([':', ';'])?);
        // A quotation mark that is never closed hides every colon; then the first one counts.
        let colon = unquoted(rest, ':').next().or_else(|| rest.find(':'))?;
        let parameters = rest[..colon].trim_start_matches(';');
        Some(Self { name: name.trim(), parameters, value: rest[colon + 1..].trim() })
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut start = 0;
        for end in unquoted(self.parameters, ';').chain([self.parameters.len()]) {
            if let Some((key, value)) = self.parameters[start..end].split_once('=')
                && key.trim().eq_ignore_ascii_case(name)
            {
                let value = cut(value.trim(), MAX_VALUE).trim_matches('"');
                // RFC 6868: what a parameter can't hold otherwise.
                return Some(value.replace("^n", "\n").replace("^'", "\"").replace("^^", "^"));
            }
            start = (end + 1).min(self.parameters.len());
        }
        None
    }

    /// The value as text, its escapes taken away (RFC 5545 section 3.3.11).
    pub fn text(&self) -> Cow<'a, str> {
        let value = cut(self.value, MAX_VALUE);
        if !value.contains('\\') {
            return Cow::Borrowed(value);
        }
        let mut text = String::with_capacity(value.len());
        let mut chars = value.chars();
        while let Some(c) = chars.next() {
            match (c, chars.as_str().chars().next()) {
                ('\\', Some('n' | 'N')) => text.push('\n'),
                ('\\', Some(escaped @ ('\\' | ',' | ';' | ':' | '"'))) => text.push(escaped),
                _ => {
                    text.push(c);
                    continue;
                }
            }
            chars.next();
        }
        Cow::Owned(text)
    }
}

/// Where `wanted` stands outside quotation marks.
fn unquoted(text: &str, wanted: char) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    text.char_indices().filter_map(move |(at, c)| {
        quoted ^= c == '"';
        (c == wanted && !quoted).then_some(at)
    })
}

/// An event, or another component, with those of its properties that count.
#[derive(Default)]
pub struct Component<'a> {
    lines: Vec<Line<'a>>,
}

impl<'a> Component<'a> {
    pub fn first(&self, name: &str) -> Option<&Line<'a>> {
        self.lines.iter().find(|line| line.is(name))
    }

    fn keep(&mut self, line: Line<'a>) {
        let known = KEPT.iter().any(|kept| line.is(kept));
        if known && !line.value.is_empty() && self.first(line.name).is_none() {
            self.lines.push(line);
        }
    }
}

/// A VTIMEZONE, and the STANDARD and DAYLIGHT times in it.
#[derive(Default)]
pub struct Zone<'a> {
    pub head: Component<'a>,
    pub observances: Vec<Component<'a>>,
}

#[derive(Default)]
pub struct Calendar<'a> {
    pub method: Option<&'a str>,
    pub event: Option<Component<'a>>,
    pub zones: Vec<Zone<'a>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Calendar,
    Event,
    Zone,
    Observance,
    /// A component of which nothing is kept.
    Elsewhere,
}

impl<'a> Calendar<'a> {
    pub fn read(unfolded: &'a str) -> Self {
        let mut calendar = Self::default();
        let mut place = Place::Calendar;
        // Components inside of the place, such as alarms.
        let mut inner = 0_usize;
        for line in unfolded.lines().filter_map(Line::parse) {
            if line.is("BEGIN") {
                match calendar.begin(line, place) {
                    Some(begun) => (place, inner) = (begun, 0),
                    None => inner += 1,
                }
            } else if line.is("END") {
                match cut(line.value, 16).to_ascii_uppercase().as_str() {
                    "VEVENT" | "VTODO" | "VJOURNAL" | "VTIMEZONE" | "VCALENDAR" => {
                        (place, inner) = (Place::Calendar, 0)
                    }
                    "STANDARD" | "DAYLIGHT" if place == Place::Observance => (place, inner) = (Place::Zone, 0),
                    _ => inner = inner.saturating_sub(1),
                }
            } else if inner == 0 {
                calendar.keep(line, place);
            }
        }
        calendar
    }

    /// The place where the lines after this `BEGIN` belong, unless what begins is a part of something.
    fn begin(&mut self, line: Line<'a>, place: Place) -> Option<Place> {
        match cut(line.value, 16).to_ascii_uppercase().as_str() {
            kind @ ("VEVENT" | "VTODO" | "VJOURNAL") => {
                let better = kind == "VEVENT" && self.event.as_ref().is_some_and(|event| !event.is_event());
                if self.event.is_some() && !better {
                    return Some(Place::Elsewhere);
                }
                // The first line says what it is.
                self.event = Some(Component { lines: vec![line] });
                Some(Place::Event)
            }
            "VTIMEZONE" if self.zones.len() < MAX_ZONES => {
                self.zones.push(Zone::default());
                Some(Place::Zone)
            }
            "STANDARD" | "DAYLIGHT" if matches!(place, Place::Zone | Place::Observance) => {
                let zone = self.zones.last_mut()?;
                if zone.observances.len() == MAX_OBSERVANCES {
                    return Some(Place::Elsewhere);
                }
                zone.observances.push(Component { lines: vec![line] });
                Some(Place::Observance)
            }
            "VCALENDAR" => Some(Place::Calendar),
            _ => None,
        }
    }

    fn keep(&mut self, line: Line<'a>, place: Place) {
        let component = match place {
            Place::Calendar if line.is("METHOD") => {
                self.method = self.method.or(Some(line.value));
                return;
            }
            Place::Event => self.event.as_mut(),
            Place::Zone => self.zones.last_mut().map(|zone| &mut zone.head),
            Place::Observance => self.zones.last_mut().and_then(|zone| zone.observances.last_mut()),
            Place::Calendar | Place::Elsewhere => None,
        };
        if let Some(component) = component {
            component.keep(line);
        }
    }
}

impl Component<'_> {
    /// `VEVENT`, `DAYLIGHT` and so on.
    pub fn is_a(&self, kind: &str) -> bool {
        self.first("BEGIN").is_some_and(|line| line.value.eq_ignore_ascii_case(kind))
    }

    fn is_event(&self) -> bool {
        self.is_a("VEVENT")
    }
}
