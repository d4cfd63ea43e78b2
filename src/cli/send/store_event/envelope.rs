//! A message's envelope as IMAP writes it (RFC 3501 section 7.4.2): a list of texts and of addresses.

/// The headers that it tells of, those that are there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    pub date: Option<String>,
    pub subject: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub message_id: Option<String>,
}

/// A value of it. `NIL` is no text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Text(Option<String>),
    List(Vec<Item>),
}

/// Addresses are lists in lists in a list.
const MAX_DEPTH: usize = 3;

impl Envelope {
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim_start();
        let Item::List(items) = item(&mut rest, MAX_DEPTH)? else { return None };
        let text = |index: usize| match items.get(index)? {
            Item::Text(text) => text.clone().filter(|text| !text.is_empty()),
            Item::List(_) => None,
        };
        let first = |index: usize| match items.get(index)? {
            Item::List(addresses) => addresses.iter().find_map(address),
            Item::Text(_) => None,
        };
        Some(Self { date: text(0), subject: text(1), from: first(2), to: first(5), message_id: text(9) })
    }
}

/// `("Name" NIL "mailbox" "host")`, as a header has it.
fn address(item: &Item) -> Option<String> {
    let Item::List(parts) = item else { return None };
    let [Item::Text(name), _, Item::Text(Some(mailbox)), Item::Text(Some(host))] = parts.as_slice() else {
        return None;
    };
    let name = name.as_deref().unwrap_or_default();
    let is_plain = name.chars().all(|c| c.is_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c));
    Some(match name {
        "" => format!("{mailbox}@{host}"),
        _ if is_plain => format!("{name} <{mailbox}@{host}>"),
        _ => format!("\"{}\" <{mailbox}@{host}>", name.replace('\\', "\\\\").replace('"', "\\\"")),
    })
}

/// Takes the next value off the front.
fn item(rest: &mut &str, depth: usize) -> Option<Item> {
    if let Some(inner) = rest.strip_prefix('(') {
        *rest = inner;
        let mut items = Vec::new();
        loop {
            *rest = rest.trim_start();
            if let Some(behind) = rest.strip_prefix(')') {
                *rest = behind;
                return Some(Item::List(items));
            }
            items.push(item(rest, depth.checked_sub(1)?)?);
        }
    }
    if let Some(behind) = rest.strip_prefix("NIL") {
        *rest = behind;
        return Some(Item::Text(None));
    }
    match rest.strip_prefix('{') {
        Some(literal) => {
            let (length, behind) = literal.split_once('}')?;
            let behind = behind.strip_prefix("\r\n").or_else(|| behind.strip_prefix('\n'))?;
            let length: usize = length.trim_end_matches('+').parse().ok()?;
            // The count is one of bytes, which is wrong where some were no UTF-8.
            let text = behind.get(..length)?;
            *rest = &behind[length..];
            Some(Item::Text(Some(text.to_owned())))
        }
        None => quoted(rest).map(|text| Item::Text(Some(text))),
    }
}

fn quoted(rest: &mut &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = rest.strip_prefix('"')?.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
    *rest = characters.as_str();
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_and_subject(text: &str) -> Option<(Option<String>, Option<String>)> {
        Envelope::parse(text).map(|envelope| (envelope.from, envelope.subject))
    }

    #[test]
    fn names_and_texts_in_every_form() {
        let check = |text: &str, from: Option<&str>, subject: Option<&str>| {
            let expected = (from.map(str::to_owned), subject.map(str::to_owned));
            assert_eq!(from_and_subject(text), Some(expected), "{text}");
        };
        check(r#"(NIL NIL NIL)"#, None, None);
        check(r#"("d" "a \"b\" \\" ((NIL NIL "j" "x")))"#, Some("j@x"), Some(r#"a "b" \"#));
        check(r#"(NIL "" (("M, J \"x\"" NIL "j" "x")("B" NIL "b" "x")))"#, Some(r#""M, J \"x\"" <j@x>"#), None);
        check("(NIL {7+}\r\nGrüße ((\"J\" NIL \"j\" \"x\")))", Some("J <j@x>"), Some("Grüße"));
        // A group has no host.
        check(r#"(NIL "s" ((NIL NIL "friends" NIL)("B" NIL "b" "x")(NIL NIL NIL NIL)))"#, Some("B <b@x>"), Some("s"));
        check("()", None, None);
    }

    #[test]
    fn nonsense_is_nothing() {
        for nonsense in ["", "NIL", "(", "(\"", "(x)", "({9}\r\nab)", "({x}\r\n)", "((((((((((", "(\"\\"] {
            assert_eq!(from_and_subject(nonsense), None, "{nonsense}");
        }
        assert_eq!(from_and_subject(&"(".repeat(100_000)), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[()\"\\\\{}0-9+\r\nNILü ]{0,60}") {
            let _ = Envelope::parse(&text);
        }
    }
}
