//! Reads the messages that came with events, one after the other on a thread of its own: a great or hostile one holds
//! up nobody, and many at once take no more memory than they may.

use std::collections::VecDeque;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use crate::event::{EntryId, Event, EventKind, Subject};
use crate::invitation;
use crate::message::Entity;
use crate::mime;

/// Of all messages that wait to be read; what comes beyond it is not read.
const MAX_WAITING: usize = 8 << 20;

/// An entry, and what its message says; none where it says nothing more than its event.
pub type Read = (EntryId, Option<Box<Event>>);

pub struct Reader {
    waiting: VecDeque<(EntryId, Box<str>)>,
    bytes: usize,
    is_reading: bool,
    done: mpsc::UnboundedSender<Read>,
}

impl Reader {
    pub fn new(done: mpsc::UnboundedSender<Read>) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, is_reading: false, done }
    }

    pub fn read(&mut self, id: EntryId, message: Box<str>) {
        // One that finds no room says nothing, in its turn: the loop counts on one answer for each thread.
        let message = if self.bytes + message.len() > MAX_WAITING { Box::default() } else { message };
        self.bytes += message.len();
        self.waiting.push_back((id, message));
        self.go_on();
    }

    /// The one before has been read.
    pub fn next(&mut self) {
        self.is_reading = false;
        self.go_on();
    }

    fn go_on(&mut self) {
        if self.is_reading {
            return;
        }
        let Some((id, message)) = self.waiting.pop_front() else { return };
        self.bytes -= message.len();
        self.is_reading = true;
        let done = self.done.clone();
        let reading = std::thread::Builder::new().name("reading".to_owned()).spawn(move || {
            // The event waits for this whatever the message does to its reader.
            let read = std::panic::catch_unwind(|| read_message(&message)).unwrap_or(None);
            // At our own end nobody waits any more.
            let _ = done.send((id, read));
        });
        if reading.is_err() {
            // No thread is to be had: it is shown as it came. The loop is the other end.
            let _ = self.done.send((id, None));
        }
    }
}

fn read_message(message: &str) -> Option<Box<Event>> {
    let mut read = Event::new(EventKind::MessageNew, "");
    if let Some(found) = invitation::read(message.as_bytes(), &TimeZone::system(), Timestamp::now()) {
        let raw = found.subject.map(|subject| subject.raw).unwrap_or_default();
        (read.from, read.message_id, read.is_invitation) = (found.from, found.message_id, true);
        read.subject = Some(Subject { raw, text: found.title });
        read.snippet = Some(found.details);
        return Some(Box::new(read));
    }
    // Somebody sent a whole message all the same: its headers are better than nothing.
    let message = Entity::new(message.as_bytes());
    read.from = message.header("from").map(|raw| mime::originator(&raw));
    read.subject = message.header("subject").map(|raw| mime::subject(&raw));
    (read.from.is_some() || read.subject.is_some()).then(|| Box::new(read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_read_in_their_turn_and_what_finds_no_room_says_nothing() {
        let (done, mut reads) = mpsc::unbounded_channel();
        let mut reader = Reader::new(done);
        let message = |length| format!("Subject: said\n\n{}", "x".repeat(length)).into_boxed_str();
        // The first is on its way at once and takes no room, the second takes nearly all of it.
        for (id, length) in [(1, 1000), (2, MAX_WAITING - 100), (3, 1000), (4, 1)] {
            reader.read(EntryId(id), message(length));
        }
        let mut said = Vec::new();
        while said.len() < 4 {
            let (id, read) = reads.recv().await.unwrap();
            assert!(reads.try_recv().is_err(), "two at once");
            said.push((id.0, read.is_some()));
            reader.next();
        }
        assert_eq!(said, [(1, true), (2, true), (3, false), (4, true)]);
        assert!(reader.bytes == 0 && !reader.is_reading);
    }
}
