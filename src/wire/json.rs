//! JSON: one event or an array of them, with the keys of Dovecot's OX driver or the names of its Lua fields.
//!
//! Lenient wherever an event still makes sense: keys that we don't know, values of another type than expected and
//! numbers out of range are as if absent. Only `user` and `event` must be there.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::keys::{Keys, Value};
use super::{MAX_EVENTS, WireError, WireFormat};
use crate::event::Event;

const MAX_DEPTH: usize = 32;
/// A message has a handful of flags.
const MAX_LIST: usize = 64;

pub struct Json;

impl WireFormat for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn accepts(&self, media_type: &str) -> bool {
        matches!(media_type, "application/json" | "text/json")
    }

    fn parse(&self, body: &[u8]) -> Result<Vec<Event>, WireError> {
        // Headers may hold any bytes, and not every script that writes JSON looks at them.
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Err(WireError::Empty);
        }
        if depth(text) > MAX_DEPTH {
            return Err(WireError::TooDeep(MAX_DEPTH));
        }
        let events = events(text).or_else(|error| match mended(text) {
            Some(mended) => events(&mended),
            None => Err(error),
        });
        // A value of another type is quoted in serde's words, and these go into the log.
        events.map_err(|error| match error.is_data() {
            true => WireError::NotAnObject,
            false => WireError::Malformed(error.to_string()),
        })?
    }
}

fn events(text: &str) -> serde_json::Result<Events> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let events = deserializer.deserialize_any(EventsVisitor)?;
    deserializer.end()?;
    Ok(events)
}

/// The text with what is JSON by the letter but no value to serde made harmless: half a surrogate pair (how Python
/// writes raw 8-bit headers) becomes U+FFFD, a number beyond all floats `null`. None where there is nothing to mend.
fn mended(text: &str) -> Option<String> {
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' => {
                in_string = !in_string;
                1
            }
            '\\' if in_string => match surrogate(rest) {
                Some(0xd800..=0xdbff) if matches!(rest.get(6..).and_then(surrogate), Some(0xdc00..=0xdfff)) => 12,
                Some(0xd800..=0xdfff) => {
                    mended.push('\u{fffd}');
                    rest = &rest[6..];
                    continue;
                }
                _ => rest.chars().take(2).map(char::len_utf8).sum(),
            },
            '-' | '0'..='9' if !in_string => {
                let end =
                    rest.find(|c: char| !matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9')).unwrap_or(rest.len());
                if rest[..end].parse::<f64>().is_ok_and(f64::is_infinite) {
                    mended.push_str("null");
                    rest = &rest[end..];
                    continue;
                }
                end
            }
            c => c.len_utf8(),
        };
        mended.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    (mended != text).then_some(mended)
}

/// The number in `\uXXXX` at the start of the text.
fn surrogate(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

/// How deep brackets and braces are nested, those in strings apart.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The inner result is ours: the JSON was well formed, but no event.
type Events = Result<Vec<Event>, WireError>;

struct EventsVisitor;

impl<'de> Visitor<'de> for EventsVisitor {
    type Value = Events;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event or an array of events")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Events, A::Error> {
        Ok(EventVisitor.visit_map(map)?.map(|event| vec![event]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Events, A::Error> {
        let mut events = Ok(Vec::new());
        while let Some(item) = items.next_element_seed(EventVisitor)? {
            events = events.and_then(|mut events: Vec<Event>| {
                events.push(item?);
                if events.len() > MAX_EVENTS { Err(WireError::TooMany) } else { Ok(events) }
            });
        }
        Ok(events)
    }
}

struct EventVisitor;

impl<'de> DeserializeSeed<'de> for EventVisitor {
    type Value = Result<Event, WireError>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EventVisitor {
    type Value = Result<Event, WireError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = map.next_key_seed(Text)? {
            keys.set(&key, map.next_value_seed(Lenient)?);
        }
        Ok(keys.into_event())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Err(WireError::NotAnObject))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Err(WireError::NotAnObject))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Err(WireError::NotAnObject))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Err(WireError::NotAnObject))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Err(WireError::NotAnObject))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Err(WireError::NotAnObject))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Err(WireError::NotAnObject))
    }
}

/// Takes any value and fails on none.
struct Lenient;

impl<'de> DeserializeSeed<'de> for Lenient {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Lenient {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    /// `null` is how some write that there is none.
    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let mut texts = Vec::new();
        while let Some(item) = items.next_element_seed(Lenient)? {
            if let Value::Text(text) = item
                && texts.len() < MAX_LIST
            {
                texts.push(text.into_owned());
            }
        }
        Ok(Value::List(texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}

/// A key; borrowed unless it holds escapes.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;

    fn parse(body: &str) -> Result<Vec<Event>, WireError> {
        Json.parse(body.as_bytes())
    }

    fn one(body: &str) -> Event {
        let mut events = parse(body).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(events.len(), 1);
        events.remove(0)
    }

    #[test]
    fn an_event_of_the_ox_driver() {
        let event = one(
            r#"{"user":"11@3","event":"messageNew","folder":"INBOX","imap-uidvalidity":1795261286,"imap-uid":2,
                "from":"=?utf-8?Q?J=C3=B6rg?= <j@example.org>","subject":"Hello\n world","snippet":"text","unseen":2}"#,
        );
        assert_eq!((event.user.as_str(), &event.kind), ("11@3", &EventKind::MessageNew));
        assert_eq!((event.uid, event.uid_validity, event.unseen), (Some(2), Some(1_795_261_286), Some(2)));
        assert_eq!(event.from.unwrap().name, "Jörg");
        assert_eq!(event.subject.unwrap().text, "Hello world");
        assert_eq!((event.folder.as_deref(), event.snippet.as_deref()), (Some("INBOX"), Some("text")));
    }

    #[test]
    fn everything_but_user_and_event_may_be_missing_or_odd() {
        let event = one(r#"{"user":"u","event":"X","imap-uid":0,"unseen":-1,"imap-uidvalidity":4294967296,"from":7,
                "subject":null,"snippet":{"a":[1,{"b":2}]},"folder":[],"new":true}"#);
        assert_eq!(event, Event::new(EventKind::Other("X".into()), "u"));
        assert_eq!(one(r#"{"user":"u","event":"X","unseen":4.0,"imap-uid":4294967295}"#).unseen, Some(4));
        assert_eq!(one(r#"{"user":"u","event":"X","unseen":4.5}"#).unseen, None);
        assert_eq!(one(r#"{"user":"u","event":"X","unseen":1e30}"#).unseen, None);
        assert_eq!(one(r#"{"user":"u","event":"X","unseen":-1e400,"imap-uid":3}"#).uid, Some(3));
        let folder = |text: &str| one(&format!(r#"{{"user":"u","event":"X","folder":"{text}"}}"#)).folder;
        assert_eq!(
            folder(r"J\udcf6rg \ud83d\ude00 \ud83d \\ud83d 1e400").as_deref(),
            Some("J\u{fffd}rg 😀 \u{fffd} \\ud83d 1e400")
        );
    }

    #[test]
    fn what_cannot_be_understood_says_why() {
        let check = |body: &str, expected: &str| assert_eq!(parse(body).unwrap_err().to_string(), expected, "{body}");
        check("", "the body is empty");
        check(" \n", "the body is empty");
        check(r#"{"event":"X"}"#, "`user` is missing");
        check(r#"{"user":"","event":"X"}"#, "`user` is missing");
        check(r#"{"user":"u"}"#, "`event` is missing");
        check(r#"{"user":null,"event":"X"}"#, "`user` is missing");
        check(r#"{"user":5,"event":"X"}"#, "`user` must be a text");
        check(r#"{"user":"u","event":["X"]}"#, "`event` must be a text");
        check("[1]", "an event is a JSON object");
        check(r#"[["a"]]"#, "an event is a JSON object");
        check("\"text\"", "an event is a JSON object");
        check("5", "an event is a JSON object");
        for malformed in [r#"{"user":"u""#, "{", "nonsense", r#"{"user":"u","event":"X"} x"#, r#"{"a":NaN}"#] {
            let error = parse(malformed).unwrap_err().to_string();
            assert!(error.starts_with("malformed JSON: "), "{malformed}: {error}");
        }
    }

    #[test]
    fn arrays_are_taken_whole_or_not_at_all() {
        let event = r#"{"user":"u","event":"X"}"#;
        assert_eq!(parse(&format!("[{event},{event}]")).unwrap().len(), 2);
        assert_eq!(parse("[]").unwrap(), []);
        assert_eq!(parse(&format!("[{event},{{}}]")), Err(WireError::Missing("user")));
        let many = |count| format!("[{}]", vec![event; count].join(","));
        assert_eq!(parse(&many(500)).unwrap().len(), 500);
        assert_eq!(parse(&many(501)), Err(WireError::TooMany));
    }

    #[test]
    fn depth_is_bounded_and_brackets_in_texts_are_none() {
        let nested =
            |depth: usize| format!(r#"{{"user":"u","event":"X","a":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(31)).is_ok());
        assert_eq!(parse(&nested(32)), Err(WireError::TooDeep(32)));
        assert!(parse(&nested(100_000)).is_err());
        assert!(parse(&format!(r#"{{"user":"u","event":"X","subject":"\"{}"}}"#, "[".repeat(100))).is_ok());
    }

    #[test]
    fn bytes_that_are_no_utf8_spoil_nothing() {
        let events = Json.parse(b"\xef\xbb\xbf{\"user\":\"u\",\"event\":\"X\",\"folder\":\"J\xf6rg\"}").unwrap();
        assert_eq!(events[0].folder.as_deref(), Some("J\u{fffd}rg"));
        assert_eq!(one(r#"{"us\u0065r":"u","event":"X","folder":"\u0000a"}"#).folder.as_deref(), Some("\0a"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(body in proptest::collection::vec(0_u8.., 0..200)) {
            let _ = Json.parse(&body);
        }
    }
}
