//! Forms, as the Lua examples of Dovecot's manual send them: `from=…&to=…&subject=…&snippet=…&user=…`, then
//! `mailbox=…&from=…&subject=…`, and after it the folder's counts, `mailbox=…&recent=…&unseen=…&messages=…`.
//!
//! All of them tell of new mail. The counts follow a message, so they are that message's (see the store's twins).

use std::borrow::Cow;

use super::keys::{Keys, Value};
use super::{WireError, WireFormat};
use crate::event::Event;

pub struct Form;

impl WireFormat for Form {
    fn name(&self) -> &'static str {
        "form"
    }

    fn accepts(&self, media_type: &str) -> bool {
        // The second is what those examples say.
        matches!(media_type, "application/x-www-form-urlencoded" | "application/x-www-form-url.escaped")
    }

    fn parse(&self, body: &[u8]) -> Result<Vec<Event>, WireError> {
        if body.trim_ascii().is_empty() {
            return Err(WireError::Empty);
        }
        let mut keys = Keys::default();
        let mut is_ours = false;
        for (key, value) in form_urlencoded::parse(body.trim_ascii()) {
            is_ours |= matches!(&*key, "from" | "subject" | "snippet" | "mailbox" | "folder" | "user" | "unseen");
            keys.set(&key, Value::Text(Cow::Owned(value.into_owned())));
        }
        match is_ours {
            true => Ok(vec![keys.into_new_mail()?]),
            false => Err(WireError::Missing("subject")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;

    fn one(body: &str) -> Event {
        let mut events = Form.parse(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(events.len(), 1);
        events.remove(0)
    }

    #[test]
    fn the_three_bodies_of_the_manual() {
        let first = one(
            "from=Alice%20%3calice%40example%2eorg%3e&to=bob%40x&subject=Gr%c3%bc%c3%9fe+an%20alle&snippet=text&user=bob",
        );
        assert_eq!(
            (first.kind, first.user.as_str(), first.to.as_deref()),
            (EventKind::MessageNew, "bob", Some("bob@x"))
        );
        let from = first.from.unwrap();
        assert_eq!((from.name.as_str(), from.address.as_str()), ("Alice", "alice@example.org"));
        assert_eq!((first.subject.unwrap().text.as_str(), first.snippet.as_deref()), ("Grüße an alle", Some("text")));

        let second = one("mailbox=INBOX&from=J%f6rg&subject=");
        assert_eq!((second.user.as_str(), second.folder.as_deref()), ("", Some("INBOX")));
        assert_eq!(second.from.unwrap().raw, "J\u{fffd}rg");
        let third = one("mailbox=INBOX&recent=4%2e0&unseen=4.0&messages=5.0");
        assert_eq!((third.kind, third.unseen, third.messages), (EventKind::MessageNew, Some(4), Some(5)));
        assert!(third.from.is_none() && third.subject.is_none());
    }

    #[test]
    fn what_is_no_form_of_ours_says_so() {
        for nonsense in ["", " ", "nonsense", "a=b", "<html>"] {
            assert!(Form.parse(nonsense.as_bytes()).is_err(), "{nonsense}");
        }
        let _ = one("user=me&event=FlagsSet");
        assert_eq!(one("user=me&event=FlagsSet&flags=%5CSeen%20a").flags, ["\\Seen", "a"]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(body in proptest::collection::vec(0_u8.., 0..200)) {
            let _ = Form.parse(&body);
        }
    }
}
