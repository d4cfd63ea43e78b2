//! A message on stdin (RFC 5322) → what to tell of it.

use serde_json::{Map, Value};

use crate::message::{Entity, Part, parts};
use crate::mime::{cut, one_line, shorten};

/// A message with an invitation goes whole if it isn't longer.
const MAX_INVITATION: usize = 512 * 1024;
/// The same as JSON, which can make six bytes of one: it must stay below what is looked at, in the background too.
const MAX_INVITATION_IN_JSON: usize = 1024 * 1024;
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
        let body = Value::from(text(message));
        if body.to_string().len() <= MAX_INVITATION_IN_JSON {
            event.insert("body".to_owned(), body);
        }
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
    let raw = Entity::new(message).header_bytes(wanted)?;
    let mut lines = raw.strip_suffix(b"\n").unwrap_or(raw).split(|byte| *byte == b'\n');
    let mut value = lines.next().unwrap_or_default().trim_ascii().to_owned();
    for line in lines {
        value.push(b'\n');
        value.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
    }
    value.truncate(MAX_VALUE);
    Some(text(&value))
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
    let found = parts(&Entity::new(message), 2, &Part::is_text);
    let part = found.iter().find(|part| !part.is_html()).or(found.first())?;
    let text = part.text();
    let text = if part.is_html() { without_markup(&text) } else { text };
    Some(shorten(&one_line(cut(&text, SNIPPET * 40)), SNIPPET)).filter(|snippet| !snippet.is_empty())
}

/// What a browser would show of HTML, as far as a line of text needs it.
fn without_markup(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(start) = rest.find(['<', '&']) {
        text.push_str(&rest[..start]);
        rest = &rest[start..];
        if rest.starts_with('&') {
            let end = rest.bytes().take(12).position(|byte| byte == b';');
            let named = end.and_then(|end| Some((character(&rest[1..end])?, end + 1)));
            let (character, length) = named.unwrap_or(('&', 1));
            text.push(character);
            rest = &rest[length..];
            continue;
        }
        let is_hidden = |name: &str| {
            let begins = rest.get(1..=name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
            begins.then(|| format!("</{name}"))
        };
        let hidden = ["style", "script", "title", "!--"].into_iter().find_map(is_hidden);
        let end = match hidden.as_deref() {
            Some("</!--") => rest.find("-->").map(|end| end + 3),
            Some(closing) => {
                find(rest.as_bytes(), closing.as_bytes()).and_then(|at| Some(at + rest[at..].find('>')? + 1))
            }
            None => rest.find('>').map(|end| end + 1),
        };
        text.push(' ');
        rest = end.map_or("", |end| &rest[end..]);
        if text.len() > SNIPPET * 40 {
            return text;
        }
    }
    text + rest
}

fn character(name: &str) -> Option<char> {
    let number = |digits: &str, radix| char::from_u32(u32::from_str_radix(digits, radix).ok()?);
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => match name.strip_prefix('#')?.strip_prefix(['x', 'X']) {
            Some(digits) => number(digits, 16),
            None => number(&name[1..], 10),
        },
    }
}

fn is_invitation(message: &[u8]) -> bool {
    find(message, b"text/calendar").is_some() || find(message, b"application/ics").is_some()
}

/// Where the text begins, whatever its case.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part.eq_ignore_ascii_case(wanted))
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
    fn the_snippet_is_the_plain_text_or_what_a_browser_would_show() {
        let check =
            |message: &str, expected: Option<&str>| assert_eq!(values(message)[2].as_deref(), expected, "{message}");
        check("Subject: x\n\nHello\n  there", Some("Hello there"));
        check("Subject: x\n\n", None);
        let html = |body: &str| format!("Content-Type: text/html; charset=utf-8\n\n{body}");
        check(
            &html("<title>t</title><STYLE>p {}</style><!-- < --><p>a&amp;b &#x263a;&#65; &unknown; &"),
            Some("a&b ☺A &unknown; &"),
        );
        check(&html("<b"), None);
        check(&html(&"<script>".repeat(50_000)), None);
        check(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>html\n--b\n\
             Content-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe\n--b--\n",
            Some("Grüße"),
        );
        check("Content-Disposition: attachment\n\nx", None);
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
        let great_in_json = format!("{invitation}{}", "\u{1}".repeat(MAX_INVITATION / 2));
        assert!(!event(great_in_json.as_bytes()).contains_key("body"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(input in proptest::collection::vec(0_u8.., 0..300)) {
            let _ = event(&input);
        }
    }
}
