//! A TOML document read so that every mistake in it is found at once, each with its line and what would mend it.
//!
//! serde would stop at the first error, and not always at the first one in the file. Here each table is walked by
//! asking for its keys; what has the wrong type becomes a problem and is then as if absent; what nobody asked for is
//! an unknown key.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Place, Problem};

/// A file's text and what is wrong with it.
pub struct Document<'t> {
    file: &'t str,
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Document<'t> {
    /// Calls `read` with the document's root and gives what it made, with all problems, in the order of the file.
    pub fn read<T>(file: &'t str, text: &'t str, read: impl FnOnce(&Table<'_, 't>) -> T) -> (T, Vec<Problem>) {
        let document = Self { file, text, problems: RefCell::default() };
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            document.report(error.span().unwrap_or(0..0), Problem::error(error.message().replace('\n', ": ")));
        }
        let table = Table::new(&document, String::new(), root.span(), root.get_ref());
        let made = read(&table);
        table.finish();
        let mut problems = document.problems.into_inner();
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        (made, problems)
    }

    fn report(&self, span: Range<usize>, mut problem: Problem) {
        problem.place = Some(Place::of(self.file, self.text, span.start));
        self.problems.borrow_mut().push(problem);
    }
}

/// One table of the document. Every key that is asked for is a known one.
pub struct Table<'d, 't> {
    document: &'d Document<'t>,
    /// What stands before a key's name in messages: empty, or `log.`.
    prefix: String,
    span: Range<usize>,
    values: &'d DeTable<'t>,
    known: RefCell<Vec<&'static str>>,
}

impl<'d, 't> Table<'d, 't> {
    fn new(document: &'d Document<'t>, prefix: String, span: Range<usize>, values: &'d DeTable<'t>) -> Self {
        Self { document, prefix, span, values, known: RefCell::default() }
    }

    /// The value of a key, if it is there.
    pub fn get(&self, key: &'static str) -> Option<Value<'d, 't>> {
        if !self.known.borrow().contains(&key) {
            self.known.borrow_mut().push(key);
        }
        let (_, value) = self.values.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(Value { document: self.document, name: format!("{}{key}", self.prefix), value })
    }

    pub fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// A problem with the table as a whole.
    pub fn report(&self, problem: Problem) {
        self.document.report(self.span.clone(), problem);
    }

    pub fn string(&self, key: &'static str) -> Option<String> {
        self.get(key)?.string().map(str::to_owned)
    }

    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        self.get(key)?.boolean()
    }

    pub fn integer(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        self.get(key)?.integer(range)
    }

    /// A duration as people write it, `"5s"` or `"1h 30m"`, longer than nothing.
    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        self.get(key)?.duration()
    }

    /// A string or a list of strings.
    pub fn strings(&self, key: &'static str) -> Option<Vec<String>> {
        self.get(key)?.strings()
    }

    /// A string that `parse` makes something of.
    pub fn parsed<T, E: fmt::Display>(&self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let value = self.get(key)?;
        match parse(value.string()?) {
            Ok(made) => Some(made),
            Err(error) => value.fail(Problem::error(format!("`{}`: {error}", value.name))),
        }
    }

    /// One of a few words, without case.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        self.get(key)?.choice(choices)
    }

    /// What `read` makes of a sub-table.
    pub fn table<T>(&self, key: &'static str, read: impl FnOnce(&Table<'d, 't>) -> T) -> Option<T> {
        self.get(key)?.table(read)
    }

    /// What `read` makes of each table of an array of tables.
    pub fn tables<T>(&self, key: &'static str, mut read: impl FnMut(&Table<'d, 't>) -> T) -> Vec<T> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(items) = value.value.get_ref().as_array() else {
            value.wrong_type::<()>(&format!("written as `[[{key}]]`"));
            return Vec::new();
        };
        let items = items.iter().map(|item| Value { document: self.document, name: value.name.clone(), value: item });
        items.filter_map(|item| item.table(&mut read)).collect()
    }

    /// Reports the keys that nobody asked for.
    fn finish(&self) {
        let known = self.known.borrow();
        for (key, value) in self.values {
            let written = key.get_ref().as_ref();
            if known.contains(&written) {
                continue;
            }
            let problem = Problem::error(format!("unknown key `{}{written}`", self.prefix));
            let near = known
                .iter()
                .map(|name| (strsim::jaro_winkler(name, written), name))
                .filter(|(likeness, _)| *likeness > 0.8)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let problem = match near {
                Some((_, name)) => problem.suggest(format!("did you mean `{name}`?")),
                None => {
                    let mut names = known.clone();
                    names.sort_unstable();
                    problem.suggest(format!("the keys here are {}", names.join(", ")))
                }
            };
            let span = if key.span().is_empty() { value.span() } else { key.span() };
            self.document.report(span, problem);
        }
    }
}

/// A value with its place and the name under which people know it.
pub struct Value<'d, 't> {
    document: &'d Document<'t>,
    name: String,
    value: &'d Spanned<DeValue<'t>>,
}

impl<'d, 't> Value<'d, 't> {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    pub fn is_boolean(&self) -> bool {
        self.value.get_ref().is_bool()
    }

    pub fn is_list(&self) -> bool {
        self.value.get_ref().is_array()
    }

    /// Reports a problem with this value; always none, so that a reader can end with it.
    pub fn fail<T>(&self, problem: Problem) -> Option<T> {
        self.document.report(self.value.span(), problem);
        None
    }

    fn wrong_type<T>(&self, wanted: &str) -> Option<T> {
        let found = match self.value.get_ref().type_str() {
            "boolean" => "true or false",
            "string" => "a string",
            "integer" => "a number",
            "float" => "a fraction",
            "array" => "a list",
            "table" => "a table",
            other => other,
        };
        self.fail(Problem::error(format!("`{}` must be {wanted}, not {found}", self.name)))
    }

    pub fn string(&self) -> Option<&'d str> {
        self.value.get_ref().as_str().or_else(|| self.wrong_type("a string in quotes"))
    }

    pub fn boolean(&self) -> Option<bool> {
        self.value.get_ref().as_bool().or_else(|| self.wrong_type("true or false, without quotes"))
    }

    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let Some(integer) = self.value.get_ref().as_integer() else {
            return self.wrong_type("a number, without quotes");
        };
        let digits = integer.as_str().replace('_', "");
        match i128::from_str_radix(&digits, integer.radix()).ok().and_then(|number| u64::try_from(number).ok()) {
            Some(number) if range.contains(&number) => Some(number),
            _ => self.fail(Problem::error(format!(
                "`{}` must be from {} to {}, not {digits}",
                self.name,
                range.start(),
                range.end()
            ))),
        }
    }

    pub fn duration(&self) -> Option<Duration> {
        const EXAMPLE: &str = "write for example \"5s\", \"2m\" or \"1h 30m\"";
        let Some(text) = self.value.get_ref().as_str() else {
            return self.fail(
                Problem::error(format!("`{}` must be a duration in quotes", self.name)).suggest(EXAMPLE.to_owned()),
            );
        };
        match humantime::parse_duration(text) {
            Ok(duration) if duration.is_zero() => {
                self.fail(Problem::error(format!("`{}` must be longer than nothing", self.name)).suggest(EXAMPLE))
            }
            // Longer than this no clock can add to the present.
            Ok(duration) if duration > MAX_DURATION => {
                self.fail(Problem::error(format!("`{}` is longer than 100 years", self.name)).suggest(EXAMPLE))
            }
            Ok(duration) => Some(duration),
            Err(_) => self.fail(Problem::error(format!("`{}`: `{text}` is no duration", self.name)).suggest(EXAMPLE)),
        }
    }

    /// A number of bytes: a plain number, or `"2MiB"`, `"64 KiB"`.
    pub fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let Some(text) = self.value.get_ref().as_str() else { return self.integer(range) };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
        let unit = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => Some(1_u64),
            "kib" | "k" | "kb" => Some(1 << 10),
            "mib" | "m" | "mb" => Some(1 << 20),
            "gib" | "g" | "gb" => Some(1 << 30),
            _ => None,
        };
        match unit.zip(digits.parse::<u64>().ok()).and_then(|(unit, number)| number.checked_mul(unit)) {
            Some(bytes) if range.contains(&bytes) => Some(bytes),
            Some(_) => self.fail(Problem::error(format!(
                "`{}` must be from {} to {} bytes, not {text}",
                self.name,
                range.start(),
                range.end()
            ))),
            None => self.fail(
                Problem::error(format!("`{}`: `{text}` is no size", self.name))
                    .suggest("write for example \"64KiB\" or \"2MiB\""),
            ),
        }
    }

    pub fn strings(&self) -> Option<Vec<String>> {
        self.each_string(|text| Ok::<_, std::convert::Infallible>(text.to_owned()))
    }

    /// A string or a list of strings, each of which `parse` makes something of; every one that it can't is reported.
    pub fn each_string<T, E: fmt::Display>(&self, parse: impl Fn(&str) -> Result<T, E>) -> Option<Vec<T>> {
        let one = |item: &Self| match parse(item.string()?) {
            Ok(made) => Some(made),
            Err(error) => item.fail(Problem::error(format!("`{}`: {error}", item.name))),
        };
        match self.value.get_ref() {
            DeValue::String(_) => one(self).map(|made| vec![made]),
            DeValue::Array(items) => {
                let items = items.iter().map(|value| Value { document: self.document, name: self.name.clone(), value });
                // All are looked at before one that is wrong spoils the list.
                let made: Vec<Option<T>> = items.map(|item| one(&item)).collect();
                made.into_iter().collect()
            }
            _ => self.wrong_type("a string or a list of strings"),
        }
    }

    /// A program and its arguments: words as a shell would split them, or a list.
    pub fn command(&self) -> Option<Vec<String>> {
        let words = match self.is_list() {
            true => self.strings()?,
            false => match crate::template::split(self.string()?) {
                Some(words) => words,
                None => return self.fail(Problem::error(format!("`{}`: a quote is not closed", self.name))),
            },
        };
        if words.first().is_none_or(String::is_empty) || words.iter().any(|word| word.contains('\0')) {
            return self.fail(Problem::error(format!("`{}` names no program", self.name)));
        }
        Some(words)
    }

    pub fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.string()?;
        if let Some((_, choice)) = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Some(*choice);
        }
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        self.fail(
            Problem::error(format!("`{}` can't be `{text}`", self.name))
                .suggest(format!("it is one of {}", names.join(", "))),
        )
    }

    pub fn table<T>(&self, read: impl FnOnce(&Table<'d, 't>) -> T) -> Option<T> {
        let Some(values) = self.value.get_ref().as_table() else {
            return self.wrong_type(&format!("a table, `[{}]`", self.name));
        };
        let table = Table::new(self.document, format!("{}.", self.name), self.value.span(), values);
        let made = read(&table);
        table.finish();
        Some(made)
    }
}

const MAX_DURATION: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str, read: impl FnOnce(&Table<'_, '_>)) -> Vec<String> {
        Document::read("f", text, read).1.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_mistakes_are_found_at_once_in_the_order_of_the_file() {
        let found = problems("a = \"x\"\nlisen = 1\nb = 70000\n[t]\nc = 5\n", |root| {
            assert_eq!(root.integer("a", 0..=9), None);
            assert_eq!(root.integer("b", 0..=65535), None);
            root.get("listen");
            root.table("t", |t| assert_eq!(t.duration("c"), None));
        });
        assert_eq!(
            found,
            [
                "f:1:5: `a` must be a number, without quotes, not a string",
                "f:2:1: unknown key `lisen`; did you mean `listen`?",
                "f:3:5: `b` must be from 0 to 65535, not 70000",
                "f:5:5: `t.c` must be a duration in quotes; write for example \"5s\", \"2m\" or \"1h 30m\"",
            ]
        );
    }

    #[test]
    fn a_broken_document_gives_its_place_and_what_can_be_read() {
        let found = problems("a = 1\nb = \nc = \"x\"\n", |root| {
            assert_eq!(root.integer("a", 0..=9), Some(1));
            root.get("b");
            assert_eq!(root.string("c").as_deref(), Some("x"));
        });
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("f:2:"), "{found:?}");
    }

    #[test]
    fn every_wrong_item_of_a_list_is_told() {
        let found = problems("allow = [\"::1\", \"x\", 4]\n", |root| {
            let parse = |text: &str| text.parse::<std::net::IpAddr>();
            assert_eq!(root.get("allow").and_then(|value| value.each_string(parse)), None);
        });
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("f:1:17: `allow`: ") && found[1].starts_with("f:1:22: `allow` must be"));
    }

    #[test]
    fn sizes_and_durations() {
        let check = |text: &str, expected: Option<u64>| {
            let text = format!("s = {text}");
            Document::read("f", &text, |root| {
                assert_eq!(root.get("s").and_then(|value| value.size(1..=1 << 30)), expected, "{text}");
            });
        };
        check("\"2MiB\"", Some(2 << 20));
        check("\"64 KiB\"", Some(64 << 10));
        check("1024", Some(1024));
        check("\"0\"", None);
        check("\"two\"", None);
        check("\"99999999999GiB\"", None);
        let zero = problems("d = \"0s\"", |root| assert_eq!(root.duration("d"), None));
        assert!(zero[0].contains("longer than nothing"));
    }
}
