//! A problem: something the user should know and can mend, as a value that can be listed, shown and compared.

use std::fmt;

/// The log's target for what is written each time: a person waits for it, or the configuration wants it. Other warnings
/// are written once a minute.
pub const EACH_TIME: &str = concat!(env!("CARGO_PKG_NAME"), "::each_time");

/// Where in a file; both numbers count from 1, the column in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: String,
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// The place of the byte `offset` in `text`.
    pub fn of(file: &str, text: &str, offset: usize) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// What was asked for can't be done.
    Error,
    /// It works, but not as safely or fully as the user would want.
    Warning,
}

/// What is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    pub place: Option<Place>,
    /// A lower-case fragment; what the user wrote stands in backticks.
    pub message: String,
    /// What would mend it, as a lower-case fragment.
    pub suggestion: Option<String>,
}

impl Problem {
    pub fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: None, message: message.into(), suggestion: None }
    }

    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "a = 1\nü = \"x\"\n";
        let at = |offset| {
            let place = Place::of("f", text, offset);
            (place.line, place.column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(6), (2, 1));
        assert_eq!(at(7), (2, 1), "inside a character is that character");
        assert_eq!(at(8), (2, 2));
        assert_eq!(at(999), (3, 1), "past the end is the end");
    }

    #[test]
    fn a_problem_reads_as_one_line() {
        let mut problem = Problem::error("unknown key `lisen`").suggest("did you mean `listen`?");
        problem.place = Some(Place { file: "config.toml".into(), line: 3, column: 1 });
        assert_eq!(problem.to_string(), "config.toml:3:1: unknown key `lisen`; did you mean `listen`?");
    }
}
