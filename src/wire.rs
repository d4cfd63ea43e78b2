//! A sender's bytes → events. Each sender's format is a file of its own.

mod form;
mod json;
mod keys;

use thiserror::Error;

use crate::event::Event;

/// More events in one request are refused: no sender has so many to tell.
pub const MAX_EVENTS: usize = 500;

/// What a sender may write; tried in this order by the content type alone.
pub trait WireFormat: Sync {
    /// For logs.
    fn name(&self) -> &'static str;
    /// Whether a body with this media type (lower case, without parameters; empty where the sender gave none) is ours.
    fn accepts(&self, media_type: &str) -> bool;
    fn parse(&self, body: &[u8]) -> Result<Vec<Event>, WireError>;
}

impl std::fmt::Debug for dyn WireFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

pub static FORMATS: &[&dyn WireFormat] = &[&json::Json, &form::Form, &Unsaid];

/// What came without a media type: JSON looks like nothing else.
struct Unsaid;

impl WireFormat for Unsaid {
    fn name(&self) -> &'static str {
        "untyped"
    }

    fn accepts(&self, media_type: &str) -> bool {
        media_type.is_empty()
    }

    fn parse(&self, body: &[u8]) -> Result<Vec<Event>, WireError> {
        let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
        match text.first() {
            Some(b'{' | b'[' | b'"') | None => json::Json.parse(body),
            Some(_) if text.contains(&b'=') => form::Form.parse(body),
            Some(_) => json::Json.parse(body),
        }
    }
}

/// The format for a media type.
pub fn format_for(media_type: &str) -> Option<&'static dyn WireFormat> {
    FORMATS.iter().copied().find(|format| format.accepts(media_type))
}

/// Why a body can't be understood. Said to the sender, so that its administrator can find the mistake.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WireError {
    #[error("the body is empty")]
    Empty,
    #[error("malformed JSON: {0}")]
    Malformed(String),
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
    #[error("more than {MAX_EVENTS} events in one request")]
    TooMany,
    #[error("an event is a JSON object")]
    NotAnObject,
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` must be a text")]
    NotText(&'static str),
}
