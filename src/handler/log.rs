//! The *log* handler: a line in the log for each event, as Dovecot's dlog driver writes on the server.
//!
//! | key of `[[handler]]` | default | meaning |
//! | --- | --- | --- |
//! | `log` | | the level: `error`, `warn`, `info`, `debug`, `trace` |
//! | `content` | `false` | `true` also writes sender and subject |

use tracing::Level;

use crate::document::{Table, Value};
use crate::event::Event;

use super::{Act, Batch, field};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    pub level: Level,
    pub content: Content,
}

/// Whether what the mail's author wrote goes into the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Written,
    LeftOut,
}

pub const LEVELS: [(&str, Level); 10] = [
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
    // IMSErious takes the numbers too.
    ("1", Level::ERROR),
    ("2", Level::WARN),
    ("3", Level::INFO),
    ("4", Level::DEBUG),
    ("5", Level::TRACE),
];

impl Log {
    pub(super) fn read(value: &Value<'_, '_>, table: &Table<'_, '_>) -> Option<Self> {
        let content = match table.boolean("content") {
            Some(true) => Content::Written,
            _ => Content::LeftOut,
        };
        Some(Self { level: value.choice(&LEVELS[..5])?, content })
    }

    pub(super) fn act(&self, batch: &Batch) -> Act {
        Act::Log { level: self.level, lines: batch.events.iter().map(|told| self.line(&told.event)).collect() }
    }

    fn line(&self, event: &Event) -> String {
        let always = ["user", "folder", "uid"];
        let content: &[&str] = match self.content {
            Content::Written => &["from", "subject"],
            Content::LeftOut => &[],
        };
        let mut line = field(event, "event").unwrap_or_default();
        for name in always.iter().chain(content) {
            if let Some(value) = field(event, name) {
                line.push_str(&format!(" {name}={value:?}"));
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use crate::mime;

    fn event() -> Event {
        let mut event = Event::new(EventKind::MessageNew, "me");
        event.folder = Some("INBOX\n".into());
        event.uid = Some(4);
        event.subject = Some(mime::subject("secret \u{1b}[31m\"plan\""));
        event
    }

    #[test]
    fn content_is_written_only_where_asked() {
        let line = |content| Log { level: Level::INFO, content }.line(&event());
        assert_eq!(line(Content::LeftOut), r#"MessageNew user="me" folder="INBOX" uid="4""#);
        assert_eq!(
            line(Content::Written),
            r#"MessageNew user="me" folder="INBOX" uid="4" subject="secret [31m\"plan\"""#
        );
    }
}
