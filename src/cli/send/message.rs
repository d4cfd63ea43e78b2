//! A message on stdin (RFC 5322) → what to tell of it.

use mail_parser::MessageParser;
use serde_json::{Map, Value};

use crate::mime::{one_line, shorten};

/// The listener takes bodies of 2 MiB, and JSON makes a message longer.
const MAX_INVITATION: usize = 512 * 1024;
/// As long as Dovecot's own.
const SNIPPET: usize = 200;
/// Headers beyond this are no help to anybody.
const MAX_VALUE: usize = 8 * 1024;

/// The keys that the message itself answers.
pub fn event(input: &[u8]) -> Map<String, Value> {
    let message = without_envelope(input);
    let mut event = Map::new();
    for (name, key) in
        [("from", "from"), ("to", "to"), ("subject", "subject"), ("message-id", "message-id"), ("date", "date")]
    {
        if let Some(value) = header(message, name).filter(|value| !value.trim().is_empty()) {
            event.insert(key.to_owned(), Value::from(value));
        }
    }
    if let Some(snippet) = snippet(message) {
        event.insert("snippet".to_owned(), Value::from(snippet));
    }
    if message.len() <= MAX_INVITATION && is_invitation(message) {
        event.insert("body".to_owned(), Value::from(text(message)));
    }
    event
}

/// Exim's pipes and Postfix' put the line of a mailbox file in front.
fn without_envelope(input: &[u8]) -> &[u8] {
    match input.starts_with(b"From ") {
        true => input.iter().position(|byte| *byte == b'\n').map_or(&[], |end| &input[end + 1..]),
        false => input,
    }
}

/// The first value of a header as it stands there, its folds as line feeds; lines end in LF or CRLF.
pub fn header(message: &[u8], wanted: &str) -> Option<String> {
    let mut value: Option<Vec<u8>> = None;
    for line in message.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        if matches!(line[0], b' ' | b'\t') {
            if let Some(value) = value.as_mut().filter(|value| value.len() < MAX_VALUE) {
                value.push(b'\n');
                value.extend_from_slice(line);
            }
            continue;
        }
        if value.is_some() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        if line[..colon].trim_ascii_end().eq_ignore_ascii_case(wanted.as_bytes()) {
            value = Some(line[colon + 1..].trim_ascii().to_owned());
        }
    }
    value.map(|mut value| {
        value.truncate(MAX_VALUE);
        text(&value)
    })
}

/// Bytes as text; what is no UTF-8 is most likely Latin 1.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // A character that the end cut off doesn't make it another encoding.
        Err(error) if error.error_len().is_none() => String::from_utf8_lossy(bytes).into_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// The beginning of what the message says.
fn snippet(message: &[u8]) -> Option<String> {
    let parsed = MessageParser::default().parse(message)?;
    let preview = parsed.body_preview(SNIPPET * 2)?;
    Some(shorten(&one_line(&preview), SNIPPET)).filter(|snippet| !snippet.is_empty())
}

fn is_invitation(message: &[u8]) -> bool {
    let holds = |wanted: &[u8]| message.windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted));
    holds(b"text/calendar") || holds(b"application/ics")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(message: &str) -> [Option<String>; 3] {
        let event = event(message.as_bytes());
        ["from", "subject", "snippet"].map(|key| event.get(key).and_then(Value::as_str).map(str::to_owned))
    }

    #[test]
    fn headers_are_raw_and_the_text_is_read() {
        let [from, subject, snippet] = values(
            "From alice Mon Nov 23 10:00:00 2026\r\nReceived: x\r\nFROM : =?utf-8?Q?J=C3=B6rg?= <j@x>\r\nsubject: a\r\n b\r\n\
             Subject: second\r\nContent-Type: text/html\r\n\r\n<p>Hello\r\n  <b>there</b></p>",
        );
        assert_eq!(from.as_deref(), Some("=?utf-8?Q?J=C3=B6rg?= <j@x>"));
        assert_eq!(subject.as_deref(), Some("a\n b"));
        assert_eq!(snippet.as_deref(), Some("Hello there"));
    }

    #[test]
    fn what_is_no_message_tells_nothing() {
        for nothing in ["", "\n", "From ", "From x\n", "no header at all", "\u{0}\u{1}", ": x\n"] {
            assert_eq!(values(nothing)[..2], [None, None], "{nothing:?}");
        }
        assert_eq!(header(b"Subject: Gr\xfc\xdfe\n\nSubject: x", "subject").as_deref(), Some("Grüße"));
        assert_eq!(header(b"X: y\n\nSubject: x", "subject"), None);
        assert!(header(format!("Subject: {}", "x".repeat(1 << 20)).as_bytes(), "subject").unwrap().len() <= MAX_VALUE);
    }

    #[test]
    fn a_message_with_an_invitation_goes_whole() {
        let invitation = "Subject: x\nContent-Type: Text/Calendar; method=REQUEST\n\nBEGIN:VCALENDAR\n";
        assert_eq!(event(invitation.as_bytes())["body"], invitation);
        assert!(!event(b"Subject: x\n\ntext").contains_key("body"));
        let great = format!("{invitation}{}", "x".repeat(MAX_INVITATION));
        assert!(!event(great.as_bytes()).contains_key("body"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(input in proptest::collection::vec(0_u8.., 0..300)) {
            let _ = event(&input);
        }
    }
}
