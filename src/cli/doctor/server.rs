//! Whether the mail server has ever told us of something; where not, the commonest reasons by what is seen of them.

use jiff::Timestamp;

use super::{Program, activity};
use crate::cli::setup::metadata;
use crate::clock::moment;
use crate::config::Config;
use crate::event::Event;
use crate::finding::Finding;
use crate::mime::one_line;
use crate::paths;
use crate::store::{Entry, record};

const NAME: &str = "mail server";

pub fn look(config: Option<&Config>, running: &Program) -> Finding {
    let is_its = |event: &Event| !event.is_test();
    let in_memory = match running {
        Program::Runs(_) => activity().ok(),
        Program::Absent | Program::Broken => None,
    };
    let runs = in_memory.is_some();
    if let Some(newest) = in_memory.into_iter().flatten().find(|entry| is_its(&entry.event)) {
        return last(&newest, Timestamp::now());
    }
    // What is in memory may be less.
    match paths::record_file().map(|file| record::recent(&file, 1, is_its)).transpose() {
        Err(why) => Finding::unknown(NAME, why),
        Ok(entries) => match entries.iter().flatten().next() {
            Some(newest) => last(newest, Timestamp::now()),
            None if !runs && config.is_some_and(|config| config.history.keep == 0) => {
                Finding::unknown(NAME, "what came from it is not on record (`history.keep` is 0)")
            }
            None => nothing(),
        },
    }
}

fn last(entry: &Entry, now: Timestamp) -> Finding {
    let kind = one_line(entry.event.kind.name());
    let user = Some(one_line(&entry.event.user)).filter(|user| !user.is_empty());
    let whose = user.map_or(String::new(), |user| format!(" for {user}"));
    Finding::ok(NAME, format!("last told of something: {}, {kind}{whose}", moment(entry.at, now)))
}

fn nothing() -> Finding {
    Finding::warning(NAME, "nothing has come from it yet, as far as is on record").advise(format!(
        "send a mail to yourself, and look for `push-notification` or `mailknock` in the mail server's log:\n\
         nothing about it, with Dovecot's OX driver: METADATA isn't set for that user; on the mail server:\n\
         {}\n\
         `401`: another user or password there than in `[auth]` here\n\
         `403`, `404`: another address there than `hosts`, `allow` and `endpoint` have here\n\
         `Connection refused`: the tunnel or Mailknock is down, or the port there is another\n\
         `mailknock setup dovecot` prints the settings that go with this configuration",
        metadata("USER")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::time_of_day;
    use crate::event::{EntryId, EventKind};
    use crate::finding::State;
    use std::sync::Arc;

    #[test]
    fn the_last_event_is_told_with_its_time_kind_and_user_and_made_safe() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let check = |kind: EventKind, user: &str, hours: i64, expected: &str| {
            let at = now - jiff::SignedDuration::from_hours(hours);
            let event = Arc::new(Event::new(kind, user));
            let entry = Entry { id: EntryId(1), at, event, read: false, deliveries: Vec::new() };
            let found = last(&entry, now);
            assert_eq!(found.state, State::Ok);
            assert_eq!(found.said, expected.replace("TIME", &time_of_day(at)));
        };
        check(EventKind::MessageNew, "al\u{1b}ice", 0, "last told of something: TIME, MessageNew for alice");
        check(EventKind::Unreadable, "", 48, "last told of something: Wed TIME, Unreadable");
        check(EventKind::Other("a\nb".to_owned()), "u", 240, "last told of something: 10 Nov TIME, a b for u");
    }

    #[test]
    fn where_nothing_came_the_advice_goes_by_what_is_in_the_log() {
        let found = nothing();
        let advice = found.advice.unwrap();
        assert_eq!(found.state, State::Warning);
        for symptom in ["nothing about it", "401", "403", "404", "Connection refused", "mailknock setup dovecot"] {
            assert!(advice.contains(symptom), "{symptom}: {advice}");
        }
        // A line of its own, to be copied, and as the report prints it.
        assert!(advice.lines().any(|line| one_line(line) == metadata("USER")), "{advice}");
    }
}
