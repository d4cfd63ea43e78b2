//! The parts of a message (RFC 5322, 2045, 2046), found leniently and within bounds.
//!
//! `mail-parser` bounds neither depth nor parts: 2 MiB of parts that each announce a boundary which never comes take it
//! more than 20 seconds, and 2 MiB of messages in messages more than 4 MiB of stack. Here each level of nesting is one
//! pass, and there are ten.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use quoted_printable::ParseMode;

use crate::mime::{base64_bytes, cut, subject};

const MAX_DEPTH: usize = 10;
const MAX_PARTS: usize = 100;
/// How much of a part is read; what people want to know stands before the pictures.
const MAX_ENCODED: usize = 512 * 1024;
const MAX_HEADER: usize = 16 * 1024;

/// A message or a part of one: its header fields, and what follows them.
#[derive(Clone, Copy)]
pub struct Entity<'a> {
    head: &'a [u8],
    body: &'a [u8],
}

impl<'a> Entity<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut at = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if matches!(line, b"\n" | b"\r\n") {
                return Self { head: &bytes[..at], body: &bytes[at + line.len()..] };
            }
            at += line.len();
        }
        Self { head: bytes, body: &[] }
    }

    /// The first field of that name as it was sent, folds included.
    pub fn header(&self, name: &str) -> Option<String> {
        let value = self.header_bytes(name)?;
        Some(String::from_utf8_lossy(&value[..value.len().min(MAX_HEADER)]).trim().to_owned())
    }

    /// [`Entity::header`], whatever its length and encoding, with the blanks and line ends around it.
    pub fn header_bytes(&self, name: &str) -> Option<&'a [u8]> {
        let mut at = 0;
        let mut found: Option<(usize, usize)> = None;
        for line in self.head.split_inclusive(|byte| *byte == b'\n') {
            let end = at + line.len();
            match &mut found {
                Some((_, until)) if matches!(line.first(), Some(b' ' | b'\t')) => *until = end,
                Some(_) => break,
                None => found = value_of(line, name).map(|value| (end - value.len(), end)),
            }
            at = end;
        }
        found.map(|(start, end)| &self.head[start..end])
    }
}

fn value_of<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (key, rest) = line.split_at_checked(name.len())?;
    if !key.eq_ignore_ascii_case(name.as_bytes()) {
        return None;
    }
    rest.trim_ascii_start().strip_prefix(b":")
}

/// A part that is no container.
pub struct Part<'a> {
    content_type: Field,
    disposition: Field,
    encoding: String,
    body: &'a [u8],
}

/// The first `max` parts of which `wanted` says so, in their order.
pub fn parts<'a>(message: &Entity<'a>, max: usize, wanted: &dyn Fn(&Part<'a>) -> bool) -> Vec<Part<'a>> {
    let mut search = Search { seen: 0, max, wanted, found: Vec::new() };
    search.visit(message, 0);
    search.found
}

struct Search<'a, 'w> {
    seen: usize,
    max: usize,
    wanted: &'w dyn Fn(&Part<'a>) -> bool,
    found: Vec<Part<'a>>,
}

impl<'a> Search<'a, '_> {
    fn visit(&mut self, entity: &Entity<'a>, depth: usize) {
        if depth > MAX_DEPTH || self.seen == MAX_PARTS || self.found.len() == self.max {
            return;
        }
        self.seen += 1;
        let field = |name| Field::parse(&entity.header(name).unwrap_or_default());
        let part = Part {
            content_type: field("content-type"),
            disposition: field("content-disposition"),
            encoding: field("content-transfer-encoding").value,
            body: entity.body,
        };
        if (self.wanted)(&part) {
            self.found.push(part);
        } else if let ("multipart", Some(boundary)) =
            (part.content_type.main_type(), part.content_type.parameter("boundary"))
        {
            for section in sections(entity.body, boundary.as_bytes()) {
                self.visit(&Entity::new(section), depth + 1);
            }
        } else if matches!(part.content_type.value.as_str(), "message/rfc822" | "message/global") {
            self.visit(&Entity::new(entity.body), depth + 1);
        }
    }
}

/// What stands between the boundary's lines; the last may have lost its end.
fn sections<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let mut sections = Vec::new();
    let mut start = None;
    let mut at = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let end = at + line.len();
        let delimiter = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary)).map(<[u8]>::trim_ascii);
        if let Some(rest) = delimiter.filter(|rest| rest.is_empty() || *rest == b"--") {
            sections.extend(start.map(|start| &body[start..at]));
            start = rest.is_empty().then_some(end);
            if start.is_none() || sections.len() == MAX_PARTS {
                return sections;
            }
        }
        at = end;
    }
    sections.extend(start.map(|start| &body[start..]));
    sections
}

impl Part<'_> {
    pub fn names_a_calendar(&self) -> bool {
        self.content_type.names_a_calendar() || self.disposition.names_a_calendar()
    }

    /// Whether it is to be read along with the message. What says nothing of itself is plain text (RFC 2045 section
    /// 5.2).
    pub fn is_text(&self) -> bool {
        self.disposition.value != "attachment"
            && matches!(self.content_type.value.as_str(), "text/plain" | "text/html" | "")
    }

    pub fn is_html(&self) -> bool {
        self.content_type.value == "text/html"
    }

    pub fn method(&self) -> Option<&str> {
        self.content_type.parameter("method")
    }

    pub fn text(&self) -> String {
        self.charset_decoded(&self.decoded())
    }

    /// The text with its folded lines joined.
    pub fn unfolded_text(&self) -> String {
        // Before the charset: mailers fold inside a character too (RFC 5545 section 3.1 warns of it).
        self.charset_decoded(&unfolded(&self.decoded()))
    }

    fn decoded(&self) -> Cow<'_, [u8]> {
        let encoded = &self.body[..self.body.len().min(MAX_ENCODED)];
        match self.encoding.as_str() {
            "base64" => Cow::Owned(base64(encoded)),
            "quoted-printable" => Cow::Owned(quoted_printable(encoded)),
            _ => Cow::Borrowed(encoded),
        }
    }

    fn charset_decoded(&self, bytes: &[u8]) -> String {
        match std::str::from_utf8(bytes) {
            // What came as JSON is UTF-8 whatever its label says; but ISO-2022-JP looks like ASCII.
            Ok(text) if !text.is_ascii() => text.to_owned(),
            _ => {
                let label = self.content_type.parameter("charset").unwrap_or_default();
                Encoding::for_label(label.as_bytes()).unwrap_or(UTF_8).decode(bytes).0.into_owned()
            }
        }
    }
}

/// Up to the first byte that base64 doesn't know: after a hole every byte would be wrong.
fn base64(encoded: &[u8]) -> Vec<u8> {
    let known =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=') || byte.is_ascii_whitespace();
    let end = encoded.iter().position(|byte| !known(byte)).unwrap_or(encoded.len());
    std::str::from_utf8(&encoded[..end]).ok().and_then(base64_bytes).unwrap_or_default()
}

/// The crate drops bytes that should have been encoded and were not, so they are first.
fn quoted_printable(encoded: &[u8]) -> Vec<u8> {
    const HEX: [u8; 16] = *b"0123456789ABCDEF";
    let mut ascii = Vec::with_capacity(encoded.len());
    for byte in encoded {
        match byte {
            0x80.. => ascii.extend([b'=', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
            _ => ascii.push(*byte),
        }
    }
    quoted_printable::decode(ascii, ParseMode::Robust).unwrap_or_default()
}

/// A line that begins with a blank goes on with the one before (RFC 5545 section 3.1).
fn unfolded(bytes: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(bytes.len());
    for line in bytes.split(|byte| *byte == b'\n') {
        let mut line = line;
        // Some gateways send two carriage returns.
        while let Some(shorter) = line.strip_suffix(b"\r") {
            line = shorter;
        }
        match line {
            [b' ' | b'\t', rest @ ..] => lines.extend(rest),
            _ => {
                lines.push(b'\n');
                lines.extend(line);
            }
        }
    }
    lines
}

/// A header field with parameters: `text/calendar; method=REQUEST`.
struct Field {
    /// In lower case.
    value: String,
    /// Names in lower case.
    parameters: Vec<(String, String)>,
}

impl Field {
    fn parse(raw: &str) -> Self {
        let mut pieces = vec![String::new()];
        let mut quoted = false;
        let mut chars = raw.chars();
        while let Some(c) = chars.next() {
            match (c, pieces.last_mut()) {
                ('"', _) => quoted = !quoted,
                (';', _) if !quoted => pieces.push(String::new()),
                ('\\', Some(piece)) if quoted => piece.extend(chars.next()),
                (c, Some(piece)) => piece.push(c),
                (_, None) => {}
            }
        }
        let mut pieces = pieces.into_iter();
        let value = pieces.next().unwrap_or_default();
        let value = value.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        let parameters = pieces
            .filter_map(|piece| {
                let (name, value) = piece.split_once('=')?;
                Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect();
        Self { value, parameters }
    }

    fn main_type(&self) -> &str {
        self.value.split('/').next().unwrap_or_default()
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let (_, value) = self.parameters.iter().find(|(key, _)| key == name)?;
        Some(cut(value, 1024))
    }

    fn names_a_calendar(&self) -> bool {
        let is_file_name = |key: &str| matches!(key.split('*').next(), Some("name" | "filename"));
        matches!(self.value.as_str(), "text/calendar" | "application/ics")
            || self.parameters.iter().any(|(key, value)| {
                is_file_name(key) && subject(cut(value, 1024)).text.to_ascii_lowercase().ends_with(".ics")
            })
    }
}
