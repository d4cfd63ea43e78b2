//! A manual page in roff, as man(7) and mandoc read it.
//!
//! Texts have the marks of our help: what is typed as it stands is in backticks, and a placeholder in angle brackets. A
//! blank that must not become a line's end is U+00A0, and an empty line ends a paragraph.

use std::fmt::Write;

/// A page while it is written.
pub struct Page {
    text: String,
}

impl Page {
    /// `about` is what `whatis` and `apropos` show.
    pub fn new(name: &str, section: u8, about: &str) -> Page {
        let source = concat!("mailknock ", env!("CARGO_PKG_VERSION"));
        let mut page = Page { text: String::new() };
        // No date: the same program must print the same page.
        page.line(&format!(".TH \"{}\" {section} \"\" \"{source}\"", marked(&name.to_uppercase())));
        // Neither hyphenated nor stretched: a command line stays as it is typed.
        page.line(".nh\n.ad l");
        page.section("NAME");
        page.line(&format!("{} \\- {}", marked(name), marked(about)));
        page
    }

    pub fn section(&mut self, title: &str) {
        self.line(&format!(".SH \"{}\"", marked(title)));
    }

    pub fn subsection(&mut self, title: &str) {
        self.line(&format!(".SS \"{}\"", marked(title)));
    }

    pub fn paragraphs(&mut self, text: &str) {
        for paragraph in paragraphs(text) {
            // A heading begins one by itself.
            let last = self.text.trim_end().rsplit('\n').next().unwrap_or_default();
            if !last.starts_with(".S") {
                self.line(".PP");
            }
            self.words(paragraph);
        }
    }

    /// Something and, indented below it, what it is.
    pub fn item(&mut self, term: &str, text: &str) {
        self.line(".TP");
        self.words(term);
        let mut rest = paragraphs(text);
        match rest.next() {
            Some(first) => self.words(first),
            // Nothing is no paragraph, and would take the next item in its place.
            None => self.line("\\&"),
        }
        for paragraph in rest {
            self.line(".IP");
            self.words(paragraph);
        }
    }

    /// What belongs to the item before.
    pub fn within(&mut self, write: impl FnOnce(&mut Page)) {
        self.line(".RS");
        write(self);
        self.line(".RE");
    }

    pub fn end(self) -> String {
        self.text
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn words(&mut self, text: &str) {
        let line = marked(&text.split('\n').collect::<Vec<_>>().join(" "));
        // Else it would be a request.
        let guard = if line.starts_with('.') { "\\&" } else { "" };
        self.line(&format!("{guard}{line}"));
    }
}

fn paragraphs(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n").filter(|paragraph| !paragraph.is_empty())
}

/// Typed words in bold, placeholders in italics.
fn marked(text: &str) -> String {
    let mut line = String::new();
    for (index, part) in text.split('`').enumerate() {
        match index % 2 {
            1 => line.push_str(&format!("\\fB{}\\fR", escaped(part))),
            _ => line.push_str(&with_placeholders(part)),
        }
    }
    line
}

fn with_placeholders(text: &str) -> String {
    let Some((before, (inside, after))) =
        text.split_once('<').and_then(|(before, rest)| Some((before, rest.split_once('>')?)))
    else {
        return escaped(text);
    };
    format!("{}\\fI{}\\fR{}", escaped(before), escaped(inside), with_placeholders(after))
}

/// Every character as itself: roff takes some for requests, and shows others as their typographic likes.
fn escaped(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        match character {
            '\\' => line.push_str("\\e"),
            '-' => line.push_str("\\-"),
            '\'' => line.push_str("\\(aq"),
            '"' => line.push_str("\\(dq"),
            '`' => line.push_str("\\(ga"),
            '^' => line.push_str("\\(ha"),
            '~' => line.push_str("\\(ti"),
            '\u{a0}' => line.push_str("\\ "),
            _ if character.is_ascii() => line.push(character),
            // Whatever the locale.
            _ => {
                let _ = write!(line, "\\[u{:04X}]", u32::from(character));
            }
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_stays_itself() {
        for (text, expected) in [
            ("new-mail, it's \"ours\"", "new\\-mail, it\\(aqs \\(dqours\\(dq"),
            (r"C:\new ~ ^", r"C:\enew \(ti \(ha"),
            ("Grüße… 😀", "Gr\\[u00FC]\\[u00DF]e\\[u2026] \\[u1F600]"),
            ("[--for\u{a0}TIME]", "[\\-\\-for\\ TIME]"),
        ] {
            assert_eq!(escaped(text), expected, "{text}");
        }
    }

    #[test]
    fn typed_words_are_bold_and_placeholders_italic() {
        for (text, expected) in [
            ("`-c`, `--config` <FILE>", "\\fB\\-c\\fR, \\fB\\-\\-config\\fR \\fIFILE\\fR"),
            ("`a <b> c`", "\\fBa <b> c\\fR"),
            ("<A> or <B>", "\\fIA\\fR or \\fIB\\fR"),
            ("less < more", "less < more"),
        ] {
            assert_eq!(marked(text), expected, "{text}");
        }
    }

    #[test]
    fn no_text_becomes_a_request() {
        let mut page = Page::new("a", 5, "b");
        page.paragraphs(".so /etc/passwd\n.sy id\n\n'br\n\n\n\n.ex");
        page.item(".if", "");
        page.item("term", ".first\n\n.second");
        let (_, text) = page.text.split_once("a \\- b\n").unwrap();
        let expected = [
            ".PP\n\\&.so /etc/passwd .sy id\n.PP\n\\(aqbr\n.PP\n\\&.ex\n",
            ".TP\n\\&.if\n\\&\n.TP\nterm\n\\&.first\n.IP\n\\&.second\n",
        ];
        assert_eq!(text, expected.concat());
    }
}
