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

pub static FORMATS: &[&dyn WireFormat] = &[&json::Json, &FormOrJson];

/// What came as a form or as nothing in particular. JSON looks like nothing else, and `curl -d` calls it a form.
struct FormOrJson;

impl WireFormat for FormOrJson {
    fn name(&self) -> &'static str {
        "form"
    }

    fn accepts(&self, media_type: &str) -> bool {
        media_type.is_empty() || form::Form.accepts(media_type)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_says_little_and_the_body_the_rest() {
        let parse = |media_type: &str, body: &str| {
            format_for(media_type).unwrap().parse(body.as_bytes()).map(|events| events.len())
        };
        for untyped in ["", "application/x-www-form-urlencoded", "application/x-www-form-url.escaped"] {
            assert_eq!(parse(untyped, r#"{"user":"u","event":"X"}"#), Ok(1), "{untyped}");
            assert_eq!(parse(untyped, "\u{feff} [{\"user\":\"u\",\"event\":\"X\"}]"), Ok(1), "{untyped}");
            assert_eq!(parse(untyped, "user=u&subject={"), Ok(1), "{untyped}");
            assert!(parse(untyped, "nonsense").is_err() && parse(untyped, "").is_err());
        }
        assert!(parse("application/json", "user=u&subject=x").is_err());
        assert!(format_for("text/plain").is_none() && format_for("multipart/form-data").is_none());
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
