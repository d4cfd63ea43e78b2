//! One cleaner for every place where foreign text is shown: popup, tray, terminal, log.
//!
//! What comes out holds no control characters (a NUL gets a D-Bus client thrown off the bus, ESC drives a terminal),
//! none that reorder text (U+202E makes `exe.png` of `gnp.exe`), at most four marks on a base, and is bounded.

use unicode_segmentation::UnicodeSegmentation;

/// No text that is shown is longer, whatever its characters are.
pub const MAX_BYTES: usize = 4096;
const MAX_MARKS: usize = 4;

/// One line: every run of white space and control characters between words is one blank.
pub fn one_line(text: &str) -> String {
    clean(text, false)
}

/// As [`one_line`], but single line breaks stay.
pub fn paragraph(text: &str) -> String {
    clean(text, true)
}

fn clean(text: &str, keep_newlines: bool) -> String {
    let safe = only_safe(text, keep_newlines);
    let mut shown = String::with_capacity(safe.len().min(MAX_BYTES));
    let mut gap: Option<char> = None;
    for grapheme in safe.graphemes(true) {
        if let Some(space) = grapheme.chars().next().filter(|base| base.is_whitespace()) {
            gap = Some(if space == '\n' || gap == Some('\n') { '\n' } else { ' ' });
            continue;
        }
        let mut marks = 0;
        let few_marks = grapheme.chars().enumerate().filter(|(at, c)| {
            marks += usize::from(*at > 0 && !joins_pictures(*c));
            marks <= MAX_MARKS || joins_pictures(*c)
        });
        let cluster: String = few_marks.map(|(_, c)| c).collect();
        if shown.len() + 1 + cluster.len() > MAX_BYTES - '…'.len_utf8() {
            shown.push('…');
            break;
        }
        if let Some(gap) = gap.take()
            && !shown.is_empty()
        {
            shown.push(gap);
        }
        shown.push_str(&cluster);
    }
    shown
}

/// The text without what must never be shown, every kind of white space made one of two.
fn only_safe(text: &str, keep_newlines: bool) -> String {
    let mut safe = String::with_capacity(text.len().min(MAX_BYTES));
    for c in text.chars() {
        if safe.len() > 4 * MAX_BYTES {
            break;
        }
        match c {
            '\n' | '\r' | '\u{2028}' | '\u{2029}' if keep_newlines => safe.push('\n'),
            c if c.is_whitespace() => safe.push(' '),
            // A control character alone joins nothing and parts nothing.
            c if c.is_control() || is_forbidden(c) => {}
            c => safe.push(c),
        }
    }
    safe
}

/// Bidi controls and marks (UAX 9), tags (U+E0000 block), the byte order mark.
fn is_forbidden(c: char) -> bool {
    matches!(c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// What builds emoji sequences isn't a mark: a family is seven characters on one base.
fn joins_pictures(c: char) -> bool {
    matches!(c, '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}')
}

/// At most `max` bytes, and no half character.
pub fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// At most `max` graphemes, the last one an ellipsis where something was cut.
pub fn shorten(text: &str, max: usize) -> String {
    if text.graphemes(true).nth(max).is_none() {
        return text.to_owned();
    }
    let mut short: String = text.graphemes(true).take(max.saturating_sub(1)).collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_escapes_never_reach_a_screen() {
        assert_eq!(one_line("a\0b\u{1}\u{1b}[31mred\u{7f}\u{9b}x"), "ab[31mredx");
        assert_eq!(one_line("folded\n over\r\n\tlines"), "folded over lines");
        assert_eq!(one_line("  trimmed  "), "trimmed");
    }

    #[test]
    fn text_cannot_be_reordered() {
        assert_eq!(one_line("\u{202e}gnp.exe\u{202c} \u{2066}x\u{2069}\u{200f}\u{feff}"), "gnp.exe x");
        assert_eq!(one_line("a\u{e0041}\u{e007f}b"), "ab");
    }

    #[test]
    fn marks_are_bounded_and_emoji_are_whole() {
        assert_eq!(one_line(&format!("e{}", "\u{301}".repeat(50))), format!("e{}", "\u{301}".repeat(4)));
        assert_eq!(one_line("👨‍👩‍👧‍👦 ❤️ 👍🏽"), "👨‍👩‍👧‍👦 ❤️ 👍🏽");
        assert_eq!(one_line("한국어 हिन्दी"), "한국어 हिन्दी");
    }

    #[test]
    fn long_text_is_cut_at_a_character_within_four_kib() {
        let shown = one_line(&"ü".repeat(10_000));
        assert!(shown.len() <= MAX_BYTES && shown.ends_with("ü…"));
        let zalgo = one_line(&"e\u{301}\u{302}\u{303}".repeat(3000));
        assert!(zalgo.len() <= MAX_BYTES);
    }

    #[test]
    fn a_paragraph_keeps_single_line_breaks() {
        assert_eq!(paragraph("one\r\n\r\n two\u{2028}three \n"), "one\ntwo\nthree");
    }

    #[test]
    fn shortening_counts_what_a_person_counts() {
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("abcd", 3), "ab…");
        assert_eq!(shorten("👨‍👩‍👧‍👦👍🏽x", 2), "👨‍👩‍👧‍👦…");
        assert_eq!(shorten("ab cd", 4), "ab…");
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_is_always_safe(text in "\\PC*|[\\x00-\\x20\u{202a}-\u{202e}a\u{300}-\u{310}]*") {
            let shown = one_line(&text);
            proptest::prop_assert!(shown.len() <= MAX_BYTES);
            proptest::prop_assert!(!shown.chars().any(|c| c.is_control() || is_forbidden(c)));
            proptest::prop_assert_eq!(one_line(&shown), shown.clone());
        }
    }
}
