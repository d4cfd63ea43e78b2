//! From what a mail header holds to what a person reads: RFC 2047 words, RFC 5322 addresses, text that is safe to show.

mod address;
mod clean;
mod words;

pub use address::originator;
pub use clean::{cut, one_line, paragraph, shorten};
pub use words::base64_bytes;

use crate::event::Subject;

/// A subject header, decoded and made safe to show.
pub fn subject(raw: &str) -> Subject {
    Subject { raw: raw.to_owned(), text: one_line(&words::decode(raw)) }
}
