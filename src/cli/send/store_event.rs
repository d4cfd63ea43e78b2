//! An event as Cyrus' notifyd gives it to an external program: JSON with the parameters of RFC 5423.

mod envelope;

use serde_json::{Map, Value};

use super::message::header;
use crate::wire::MAX_EVENTS;
use envelope::Envelope;

/// Under this name the set of UIDs waits for [`of_each`].
const SET: &str = "uidset";

/// The keys that the event answers; those of a message come from its headers, where they were sent along.
pub fn event(input: &[u8]) -> Result<Map<String, Value>, String> {
    let text = String::from_utf8_lossy(input);
    // Each name stands for parameters of RFC 5423 section 4.
    let told: Map<String, Value> =
        serde_json::from_str(text.trim()).map_err(|error| format!("stdin holds no event in JSON: {error}"))?;
    let text_of = |key: &str| told.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let number_of = |key: &str| match told.get(key)? {
        Value::String(text) => text.parse::<u32>().ok(),
        number => number.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    let mut event = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            event.insert(key.to_owned(), value);
        }
    };
    put("event", text_of("event").map(Value::from));
    let place = text_of("uri").map(Place::parse).unwrap_or_default();
    let user = text_of("user").map(str::to_owned).or(place.user);
    let own = |folder: String| own_name(&folder, user.as_deref().unwrap_or_default()).unwrap_or(folder);
    put("folder", place.folder.map(own).map(Value::from));
    put("imap-uid", place.uid.map(Value::from));
    put(SET, text_of("uidset").filter(|_| place.uid.is_none()).map(Value::from));
    put("imap-uidvalidity", place.uid_validity.map(Value::from));
    put("old-folder", text_of("oldMailboxID").and_then(|uri| Place::parse(uri).folder).map(own).map(Value::from));
    put("user", user.clone().map(Value::from));
    put("unseen", number_of("vnd.cmu.unseenMessages").map(Value::from));
    put("messages", number_of("messages").map(Value::from));
    let flags = text_of("flagNames").map(|names| names.split_ascii_whitespace().map(Value::from).collect::<Vec<_>>());
    put("flags", flags.map(Value::from));
    put("message-id", text_of("messageId").or_else(|| text_of("vnd.cmu.mid")).map(Value::from));
    let envelope = text_of("vnd.cmu.envelope").and_then(Envelope::parse).unwrap_or_default();
    put("from", envelope.from.map(Value::from));
    put("to", envelope.to.map(Value::from));
    put("subject", envelope.subject.map(Value::from));
    put("message-id", envelope.message_id.map(Value::from));
    put("date", envelope.date.map(Value::from));
    // It says the same, in full.
    let content = text_of("messageContent").unwrap_or_default();
    for (name, key) in
        [("from", "from"), ("to", "to"), ("subject", "subject"), ("message-id", "message-id"), ("date", "date")]
    {
        put(key, header(content.as_bytes(), name).map(Value::from));
    }
    Ok(event)
}

/// What a user calls a folder of the user's own, whose whole name is `user/alice/Sent` or `user.alice.Sent`; with a
/// domain `user/alice/Sent@example.org`.
fn own_name(folder: &str, user: &str) -> Option<String> {
    let (local, domain) = user.split_once('@').unwrap_or((user, ""));
    let folder = folder.strip_suffix(domain).and_then(|folder| folder.strip_suffix('@')).unwrap_or(folder);
    let rest = folder.strip_prefix("user")?.strip_prefix(['/', '.'])?.strip_prefix(local)?;
    match rest.strip_prefix(['/', '.']) {
        Some(name) => Some(name.to_owned()),
        None => rest.is_empty().then(|| "INBOX".to_owned()),
    }
}

/// One event for each message of the set, where it is about several.
pub fn of_each(mut event: Map<String, Value>) -> Value {
    let set = event.remove(SET);
    let uids = set.as_ref().and_then(Value::as_str).map(members).unwrap_or_default();
    let of = |uid: &u32| {
        let mut event = event.clone();
        event.insert("imap-uid".to_owned(), Value::from(*uid));
        Value::Object(event)
    };
    match uids.as_slice() {
        [] => Value::Object(event),
        [uid] => of(uid),
        uids => Value::Array(uids.iter().map(of).collect()),
    }
}

/// The UIDs of a set (RFC 9051, `sequence-set`): `5:7,9`.
fn members(set: &str) -> Vec<u32> {
    let ranges = set.split(',').filter_map(|range| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        Some(first.min(last)..=first.max(last))
    });
    ranges.flatten().take(MAX_EVENTS).collect()
}

/// What an IMAP URL says (RFC 5092): `imap://user@host/INBOX;UIDVALIDITY=1/;UID=2`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Place {
    user: Option<String>,
    folder: Option<String>,
    uid_validity: Option<u32>,
    uid: Option<u32>,
}

impl Place {
    fn parse(uri: &str) -> Self {
        let Some((_, rest)) = uri.split_once("://") else { return Self::default() };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let user = authority.rsplit_once('@').map(|(user, _)| user.split(';').next().unwrap_or(user));
        let mut place = Self { user: user.filter(|user| !user.is_empty()).map(decoded), ..Self::default() };
        let lower = path.to_ascii_lowercase();
        // Both have the same length: ASCII alone changes.
        let end = lower.find(";uidvalidity=").or_else(|| lower.find("/;uid=")).unwrap_or(path.len());
        let number = |name: &str| {
            let digits = &path[lower.find(name)? + name.len()..];
            digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        place.folder = Some(decoded(path[..end].trim_end_matches('/'))).filter(|folder| !folder.is_empty());
        (place.uid_validity, place.uid) = (number(";uidvalidity="), number("/;uid="));
        place
    }
}

fn decoded(text: &str) -> String {
    // A plus is a plus in a URL's path.
    let text = text.replace('+', "%2B");
    form_urlencoded::parse(text.as_bytes()).map(|(key, _)| key.into_owned()).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_cyrus() {
        let told = br#"{"event":"MessageNew","timestamp":"2026-11-21T10:00:00.000+00:00","service":"lmtpunix","pid":1,
            "uri":"imap://cassandane@mail.example.org/INBOX;UIDVALIDITY=1795261286/;UID=7","messages":3,"uidnext":8,
            "vnd.cmu.unseenMessages":2,"user":"cassandane","messageSize":300,
            "messageContent":"From: =?utf-8?Q?J=C3=B6rg?= <j@x>\r\nSubject: a\r\n b\r\nMessage-ID: <1@x>\r\n\r\n"}"#;
        let event = event(told).unwrap();
        let expected = serde_json::json!({"event":"MessageNew","user":"cassandane","folder":"INBOX","imap-uid":7,
            "imap-uidvalidity":1_795_261_286,"unseen":2,"messages":3,"from":"=?utf-8?Q?J=C3=B6rg?= <j@x>",
            "subject":"a\n b","message-id":"<1@x>"});
        assert_eq!(Value::Object(event), expected);
    }

    #[test]
    fn a_real_event_of_cyrus_3_6() {
        let told = r#"{"event":"MessageNew","timestamp":"2026-11-21T18:24:59.623Z","mailboxID":"815v2qrrhu5bmb04813ze62j",
            "uri":"imap://vm/user/alice;UIDVALIDITY=1795285500/;UID=1","vnd.cmu.unseenMessages":1,"pid":1063,
            "user":"alice","vnd.cmu.mbtype":"e","serverFQDN":"vm","vnd.cmu.mailboxACL":"alice\tlrswipkxtecdan\t",
            "vnd.cmu.envelope":"(\"Sat, 21 Nov 2026 10:00:00 +0000\" \"heard\" ((\"=?utf-8?Q?J=C3=B6rg?=\" NIL \"j\" \"x\"))
            ((\"J\" NIL \"j\" \"x\")) ((\"J\" NIL \"j\" \"x\")) ((NIL NIL \"a\" \"x\")) NIL NIL NIL \"<1795285499@x>\")"}"#;
        let expected = serde_json::json!({"event":"MessageNew","user":"alice","folder":"INBOX","imap-uid":1,
            "imap-uidvalidity":1_795_285_500,"unseen":1,"from":"=?utf-8?Q?J=C3=B6rg?= <j@x>","to":"a@x",
            "subject":"heard","message-id":"<1795285499@x>","date":"Sat, 21 Nov 2026 10:00:00 +0000"});
        assert_eq!(Value::Object(event(told.replace("\n            ", " ").as_bytes()).unwrap()), expected);
    }

    #[test]
    fn a_users_own_folders_have_the_users_names() {
        let check = |folder: &str, user: &str, expected: Option<&str>| {
            assert_eq!(own_name(folder, user).as_deref(), expected, "{folder} of {user}");
        };
        check("user/alice", "alice", Some("INBOX"));
        check("user/alice/A.B/c", "alice", Some("A.B/c"));
        check("user.alice.Sent", "alice", Some("Sent"));
        check("user/alice@example.org", "alice@example.org", Some("INBOX"));
        check("user/alice/Sent@example.org", "alice@example.org", Some("Sent"));
        check("user/alice/Sent", "alice@example.org", Some("Sent"));
        check("user/alice", "", None);
        check("user/alicent", "alice", None);
        check("user/bob/Sent", "alice", None);
        check("INBOX", "alice", None);
        check("users/x", "", None);
    }

    #[test]
    fn places_are_urls() {
        let check = |uri: &str, user: Option<&str>, folder: Option<&str>, numbers: (Option<u32>, Option<u32>)| {
            let place = Place::parse(uri);
            assert_eq!((place.user.as_deref(), place.folder.as_deref()), (user, folder), "{uri}");
            assert_eq!((place.uid_validity, place.uid), numbers, "{uri}");
        };
        check("imap://u@h/A%20b/c+d;UIDVALIDITY=1/;UID=2", Some("u"), Some("A b/c+d"), (Some(1), Some(2)));
        check("imap://u%40x;AUTH=*@h/INBOX/;uid=9;x", Some("u@x"), Some("INBOX"), (None, Some(9)));
        check("imap://h/", None, None, (None, None));
        check("nonsense", None, None, (None, None));
    }

    #[test]
    fn an_event_about_several_messages_is_one_for_each() {
        let uids = |set: &str| {
            let told = format!(r#"{{"event":"MessageRead","user":"a","uidset":"{set}"}}"#);
            let each = of_each(event(told.as_bytes()).unwrap());
            let uid = |event: &Value| event.get("imap-uid").and_then(Value::as_u64);
            each.as_array().map_or_else(|| vec![uid(&each)], |events| events.iter().map(uid).collect())
        };
        assert_eq!(uids("5:7,9"), [Some(5), Some(6), Some(7), Some(9)]);
        assert_eq!((uids("4"), uids("*"), uids("")), (vec![Some(4)], vec![None], vec![None]));
        assert_eq!(uids("1:4294967295").len(), MAX_EVENTS);
    }

    #[test]
    fn nonsense_is_told_and_odd_values_are_missing() {
        for nonsense in ["", "[]", "nonsense", "{"] {
            assert!(event(nonsense.as_bytes()).is_err(), "{nonsense}");
        }
        assert!(event(br#"{"event":5,"uri":["x"],"messages":-1,"messageContent":{}}"#).unwrap().is_empty());
    }
}
