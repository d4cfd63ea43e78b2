//! The first mailbox of a From header (RFC 5322 section 3.4), leniently.

use super::{clean::one_line, words};
use crate::event::Originator;

/// A From header as a person reads it. Never fails: what can't be read as a mailbox is shown as it is.
pub fn originator(raw: &str) -> Originator {
    let mailbox = first_mailbox(raw);
    Originator { raw: raw.to_owned(), name: one_line(&mailbox.name), address: one_line(&mailbox.address) }
}

#[derive(Default)]
struct Mailbox {
    name: String,
    address: String,
}

/// Walks the header once. Quoted strings and comments hide `<`, `,`, `:` and `;`; encoded words are decoded only
/// after that, because what they hold is text and no syntax.
fn first_mailbox(raw: &str) -> Mailbox {
    let mut phrase = Phrase::default();
    let mut group = None;
    let mut comment = String::new();
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => phrase.quoted(&until_closed(&mut chars, '"', None)),
            '(' => comment = until_closed(&mut chars, ')', Some('(')),
            '<' => {
                let address: String = chars.by_ref().take_while(|c| *c != '>').collect();
                let mut name = phrase.finish();
                if name.is_empty() {
                    name = decode_phrase(&comment);
                }
                return Mailbox { name, address: strip_route(&address) };
            }
            ':' if group.is_none() => group = Some(std::mem::take(&mut phrase).finish()),
            ',' | ';' => {
                if !phrase.is_empty() {
                    break;
                }
            }
            _ => phrase.push(c),
        }
    }
    // No angle brackets: a bare address (with its owner in a comment, as in old mail), or something else.
    let text = phrase.finish();
    let comment = decode_phrase(&comment);
    if text.contains('@') && !text.contains(char::is_whitespace) {
        Mailbox { name: comment, address: text }
    } else if text.is_empty() {
        Mailbox { name: group.unwrap_or(comment), address: String::new() }
    } else {
        Mailbox { name: text, address: String::new() }
    }
}

/// Up to the closing character, backslash escapes taken away; `open` nests.
fn until_closed(chars: &mut impl Iterator<Item = char>, close: char, open: Option<char>) -> String {
    let mut text = String::new();
    let mut depth = 0_usize;
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            _ if c == close && depth == 0 => break,
            _ if c == close => {
                depth -= 1;
                text.push(c);
            }
            _ => {
                if Some(c) == open {
                    depth += 1;
                }
                text.push(c);
            }
        }
    }
    text
}

/// `<@relay.example:user@example.org>`: the route is history (RFC 5322 section 4.4).
fn strip_route(address: &str) -> String {
    let address = address.trim();
    match (address.starts_with('@'), address.split_once(':')) {
        (true, Some((_route, address))) => address.trim().to_owned(),
        _ => address.to_owned(),
    }
}

fn decode_phrase(raw: &str) -> String {
    words::decode(raw.trim()).into_owned()
}

/// A display name in the making: atoms, encoded words and quoted strings in their order.
#[derive(Default)]
struct Phrase {
    raw: String,
}

impl Phrase {
    fn push(&mut self, c: char) {
        self.raw.push(c);
    }

    /// Mailers put encoded words into quotes although the RFC forbids it, so both are decoded together.
    fn quoted(&mut self, text: &str) {
        self.raw.push_str(text);
    }

    fn is_empty(&self) -> bool {
        self.raw.trim().is_empty()
    }

    fn finish(self) -> String {
        decode_phrase(&self.raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, name: &str, address: &str) {
        let read = originator(raw);
        assert_eq!((read.name.as_str(), read.address.as_str()), (name, address), "reading {raw:?}");
        assert_eq!(read.raw, raw);
    }

    #[test]
    fn ordinary_mailboxes() {
        check("Alice <alice@example.org>", "Alice", "alice@example.org");
        check("alice@example.org", "", "alice@example.org");
        check("<alice@example.org>", "", "alice@example.org");
        check("Alice B. Example\n <alice@example.org>", "Alice B. Example", "alice@example.org");
        check("alice@example.org (Alice Example)", "Alice Example", "alice@example.org");
    }

    #[test]
    fn quotes_escapes_and_comments_hide_syntax() {
        check(r#""O'Hara, \"Bob\" <evil>" <bob@example.org>"#, r#"O'Hara, "Bob" <evil>"#, "bob@example.org");
        check("Pete (A (nice) chap) <pete@example.org>", "Pete", "pete@example.org");
        check(r#""a@b.example, admin" <x@evil.example>"#, "a@b.example, admin", "x@evil.example");
    }

    #[test]
    fn encoded_names() {
        check("=?utf-8?Q?J=C3=B6rg?=\n =?utf-8?Q?_M=C3=BCller?= <jm@example.org>", "Jörg Müller", "jm@example.org");
        check("\"=?utf-8?B?SsO2cmc=?=\" <j@example.org>", "Jörg", "j@example.org");
        check("=?utf-8?Q?Evil=3Ca=40b=3E=2C?= <x@example.org>", "Evil<a@b>,", "x@example.org");
        check("=?koi8-r?Q?=E9=D7=C1=CE?= <i@example.org>", "Иван", "i@example.org");
    }

    #[test]
    fn the_first_of_several_and_groups() {
        check("a@example.org, b@example.org", "", "a@example.org");
        check("Team: Alice <alice@example.org>, bob@example.org;", "Alice", "alice@example.org");
        check("undisclosed-recipients:;", "undisclosed-recipients", "");
        check(", ,Bob <bob@example.org>", "Bob", "bob@example.org");
    }

    #[test]
    fn damaged_headers_still_say_something() {
        check("", "", "");
        check("Alice <alice@example.org", "Alice", "alice@example.org");
        check("\"never closed <a@example.org>", "never closed <a@example.org>", "");
        check("just words", "just words", "");
        check("<@relay.example:user@example.org>", "", "user@example.org");
        check("A\0\u{202e}B <a@\u{1}example.org>", "AB", "a@example.org");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(raw in "[ -~üé\\n]{0,80}|[\"<>(),:;\\\\=?a@ ]{0,40}") {
            let _ = originator(&raw);
        }
    }
}
