//! Invitations: what a message with an iCalendar part (RFC 5545, 5546, 6047) says, in lines for people.
//!
//! The message may be damaged anywhere: Dovecot's Chronos driver cuts it at the first NUL and puts U+FFFD where bytes
//! were. What can't be read is left out. Rules of recurrence are named and never expanded, and nothing is fetched.

mod calendar;
#[cfg(test)]
mod tests;
mod when;
mod zones;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::event::{Originator, Subject};
use crate::message::{self, Entity, Part};
use crate::mime;
use crate::mime::{one_line, shorten};
use calendar::{Calendar, Component, Line};

/// Google sends the same calendar twice, as an alternative and as an attachment. Nobody needs more.
const MAX_CALENDARS: usize = 4;
const MAX_TITLE: usize = 200;
const MAX_DETAILS: usize = 400;
/// None of several texts in a line pushes out the others.
const MAX_PERSON: usize = 60;
const MAX_PLACE: usize = 160;

/// What a message with a calendar says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    pub from: Option<Originator>,
    pub subject: Option<Subject>,
    pub message_id: Option<String>,
    /// "Invitation: Team meeting".
    pub title: String,
    /// "Mon 23 Nov, 10:00–11:00, weekly · Room 5 · Jörg Müller": when, where, who, as far as known; may be empty.
    pub details: String,
}

/// None where the message holds nothing of a calendar. `zone` is that of the person who reads the lines.
pub fn read(message: &[u8], zone: &TimeZone, now: Timestamp) -> Option<Invitation> {
    let message = Entity::new(message);
    let parts = message::parts(&message, MAX_CALENDARS, &Part::names_a_calendar);
    let texts: Vec<_> = parts.iter().map(|part| (part.method(), part.unfolded_text())).collect();
    let calendars: Vec<_> = texts.iter().map(|(method, text)| (*method, Calendar::read(text))).collect();
    let (method, calendar) = calendars.iter().find(|(_, calendar)| calendar.event.is_some()).or(calendars.first())?;

    let from = message.header("from").map(|raw| mime::originator(&raw));
    let subject = message.header("subject").map(|raw| mime::subject(&raw));
    let message_id = message.header("message-id").map(|id| one_line(&id)).filter(|id| !id.is_empty());
    let said = Said {
        method: Method::from_name(calendar.method.or(*method).unwrap_or_default()),
        event: calendar.event.as_ref(),
        from: from.as_ref(),
        subject: subject.as_ref().map_or("", |subject| &subject.text),
    };
    let when = said.event.and_then(|event| when::when(calendar, event, zone, now));
    let title = shorten(&one_line(&said.title()), MAX_TITLE);
    let details = [when, said.place(), said.organizer()].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    Some(Invitation { from, subject, message_id, title, details: shorten(&one_line(&details), MAX_DETAILS) })
}

/// What is to be done about the event (RFC 5546 section 1.4).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Request,
    Cancel,
    Reply,
    Counter,
    DeclineCounter,
    Add,
    Publish,
    Refresh,
}

impl Method {
    /// A calendar without a method is most often one that somebody attached to ask somebody.
    fn from_name(name: &str) -> Self {
        match mime::cut(name.trim(), 16).to_ascii_uppercase().as_str() {
            "CANCEL" => Self::Cancel,
            "REPLY" => Self::Reply,
            "COUNTER" => Self::Counter,
            "DECLINECOUNTER" => Self::DeclineCounter,
            "ADD" => Self::Add,
            "PUBLISH" => Self::Publish,
            "REFRESH" => Self::Refresh,
            _ => Self::Request,
        }
    }

    /// Whether an attendee sends it, to the organizer.
    fn is_of_attendees(self) -> bool {
        matches!(self, Self::Reply | Self::Counter | Self::Refresh)
    }
}

struct Said<'a> {
    method: Method,
    event: Option<&'a Component<'a>>,
    from: Option<&'a Originator>,
    subject: &'a str,
}

impl Said<'_> {
    fn property(&self, name: &str) -> Option<&Line<'_>> {
        self.event?.first(name)
    }

    fn title(&self) -> String {
        let is = |name, value: &str| self.property(name).is_some_and(|line| line.value.eq_ignore_ascii_case(value));
        let method = match self.method {
            Method::Request | Method::Publish | Method::Add if is("STATUS", "CANCELLED") => Method::Cancel,
            method => method,
        };
        let label = match method {
            Method::Request if self.is_update() => "Updated invitation".into(),
            Method::Request => "Invitation".into(),
            Method::Cancel => "Cancelled".into(),
            Method::Reply => format!("{} {}", self.attendee(), self.answer()),
            Method::Counter => format!("{} proposes another time", self.attendee()),
            Method::DeclineCounter => "Proposal declined".into(),
            Method::Add => "Another date".into(),
            Method::Publish => "Event".into(),
            Method::Refresh => format!("{} asks for the latest version", self.attendee()),
        };
        match self.topic() {
            topic if topic.is_empty() => label,
            topic => format!("{label}: {topic}"),
        }
    }

    fn is_update(&self) -> bool {
        self.property("SEQUENCE").and_then(|line| line.value.parse::<u64>().ok()).is_some_and(|times| times > 0)
    }

    /// What it is about, without the label that the sender put before it: ours says the same.
    fn topic(&self) -> String {
        const LABELS: [&str; 10] = [
            "invitation",
            "updated invitation",
            "cancelled",
            "canceled",
            "cancelled event",
            "canceled event",
            "accepted",
            "declined",
            "tentative",
            "tentatively accepted",
        ];
        let summary = self.property("SUMMARY").map(|line| one_line(&line.text())).filter(|text| !text.is_empty());
        let topic = summary.unwrap_or_else(|| self.subject.to_owned());
        match topic.split_once(':') {
            Some((label, rest)) if LABELS.contains(&label.to_ascii_lowercase().as_str()) => rest.trim().to_owned(),
            _ => topic,
        }
    }

    /// Who answers: the attendee, else who sent the mail.
    fn attendee(&self) -> String {
        let sender = || {
            let from = self.from?;
            Some(if from.name.is_empty() || from.name.contains('@') { &from.address } else { &from.name })
        };
        let name = self.property("ATTENDEE").and_then(person).or_else(|| sender().cloned());
        name.filter(|name| !name.is_empty()).map_or_else(|| "Somebody".into(), |name| shorten(&name, MAX_PERSON))
    }

    /// RFC 5545 section 3.2.12.
    fn answer(&self) -> &'static str {
        let status = self.property("ATTENDEE").and_then(|line| line.parameter("PARTSTAT")).unwrap_or_default();
        match status.to_ascii_uppercase().as_str() {
            "ACCEPTED" => "accepted",
            "DECLINED" => "declined",
            "TENTATIVE" => "tentatively accepted",
            "DELEGATED" => "delegated",
            _ => "answered",
        }
    }

    fn place(&self) -> Option<String> {
        let place = one_line(&self.property("LOCATION")?.text());
        (!place.is_empty()).then(|| shorten(&place, MAX_PLACE))
    }

    /// Not of an answer: that goes to the organizer, who knows.
    fn organizer(&self) -> Option<String> {
        let line = self.property("ORGANIZER").filter(|_| !self.method.is_of_attendees())?;
        Some(shorten(&person(line)?, MAX_PERSON))
    }
}

/// The name, or the address where there is none or one that looks like an address, which would be no proof of it.
fn person(line: &Line) -> Option<String> {
    let name = one_line(&line.parameter("CN").unwrap_or_default());
    let uri = one_line(mime::cut(line.value, 1024));
    let scheme = uri.to_ascii_lowercase().find("mailto:");
    let address = match scheme {
        Some(at) => uri[at + "mailto:".len()..].trim().to_owned(),
        None => line.parameter("EMAIL").map(|address| one_line(&address)).unwrap_or(uri),
    };
    if !name.is_empty() && (!name.contains('@') || !address.contains('@')) {
        return Some(name);
    }
    address.contains('@').then_some(address)
}
