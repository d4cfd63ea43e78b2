//! Encoded words (RFC 2047), leniently: what real mailers send reads as it was meant.
//!
//! `rfc2047-decoder` knows the charsets, but gives up on a whole header for one bad word and breaks a character
//! that is split over two words. So words are found and their bytes decoded here, one by one; the bytes of
//! neighbours in one charset are joined; and each run goes to the crate as one canonical word. Raw text never does.

use std::borrow::Cow;

use super::clean::cut;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rfc2047_decoder::{Decoder, RecoverStrategy};

/// Padding is often missing or wrong, and the last bits of the last byte need not be zero.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A header longer than this is cut before decoding: nobody reads on, and its author chose the length.
const MAX_BYTES: usize = 64 * 1024;

/// A run of adjacent encoded words in one charset.
struct Run<'a> {
    charset: &'a str,
    bytes: Vec<u8>,
}

/// The header value with its encoded words decoded; white space between two of them is gone (RFC 2047 section 6.2).
pub fn decode(raw: &str) -> Cow<'_, str> {
    let raw = cut(raw, MAX_BYTES);
    if !raw.contains("=?") {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut run: Option<Run<'_>> = None;
    let mut rest = raw;
    while let Some(start) = rest.find("=?") {
        let (before, candidate) = rest.split_at(start);
        let Some(word) = Word::parse(candidate) else {
            flush(&mut run, &mut text);
            text.push_str(before);
            text.push_str("=?");
            rest = &candidate[2..];
            continue;
        };
        let adjacent = run.is_some() && before.chars().all(|c| c.is_ascii_whitespace());
        match &mut run {
            Some(open) if adjacent && open.charset.eq_ignore_ascii_case(word.charset) => open.bytes.extend(word.bytes),
            _ => {
                flush(&mut run, &mut text);
                if !adjacent {
                    text.push_str(before);
                }
                run = Some(Run { charset: word.charset, bytes: word.bytes });
            }
        }
        rest = &candidate[word.length..];
    }
    flush(&mut run, &mut text);
    text.push_str(rest);
    Cow::Owned(text)
}

struct Word<'a> {
    charset: &'a str,
    bytes: Vec<u8>,
    /// How much of the input it took.
    length: usize,
}

impl<'a> Word<'a> {
    /// `=?charset[*language]?encoding?text?=` at the start of `input`. Blanks inside a Q text are not allowed by the
    /// RFC, but sent.
    fn parse(input: &'a str) -> Option<Self> {
        let (charset, rest) = input.strip_prefix("=?")?.split_once('?')?;
        let (encoding, rest) = rest.split_once('?')?;
        let is_token = |c: char| c.is_ascii_graphic();
        if charset.is_empty() || !charset.chars().all(is_token) {
            return None;
        }
        // A Q text may hold `?` itself; it ends at the first `?=` that isn't the beginning of an escape such as `?=C3`.
        let end = match encoding {
            "b" | "B" => rest.find("?=")?,
            "q" | "Q" => end_of_q(rest)?,
            _ => return None,
        };
        let text = &rest[..end];
        let bytes = match encoding {
            "b" | "B" => base64_bytes(text)?,
            _ => q_bytes(text),
        };
        let charset = charset.split_once('*').map_or(charset, |(charset, _language)| charset);
        let length = rest.as_ptr() as usize - input.as_ptr() as usize + end + "?=".len();
        Some(Self { charset, bytes, length })
    }
}

fn end_of_q(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let mut first = None;
    for (at, _) in text.match_indices("?=") {
        first = first.or(Some(at));
        if !(hex(at + 2) && hex(at + 3)) {
            return Some(at);
        }
    }
    first
}

/// Base64 (RFC 4648) with any white space in it, and with its padding or without; what follows the padding is left out.
pub fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    let kept: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let unpadded = kept.split(|&b| b == b'=').next().unwrap_or_default();
    // One character of a group of four carries no whole byte.
    let whole = if unpadded.len() % 4 == 1 { &unpadded[..unpadded.len() - 1] } else { unpadded };
    LENIENT.decode(whole).ok()
}

fn q_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'_' => bytes.push(b' '),
            b'=' => match tail {
                [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    let digit = |d: u8| (d as char).to_digit(16).unwrap_or_default() as u8;
                    bytes.push(digit(*high) << 4 | digit(*low));
                    rest = after;
                }
                _ => bytes.push(byte),
            },
            _ => bytes.push(byte),
        }
    }
    bytes
}

/// Ends the run: its bytes become text in its charset.
fn flush(run: &mut Option<Run<'_>>, text: &mut String) {
    let Some(Run { charset, bytes }) = run.take() else { return };
    // The crate reads an empty word as raw text.
    if bytes.is_empty() {
        return;
    }
    let word = format!("=?{charset}?B?{}?=", LENIENT.encode(&bytes));
    let decoded = Decoder::new().too_long_encoded_word_strategy(RecoverStrategy::Decode).decode(&word);
    match (decoded, std::str::from_utf8(&bytes)) {
        // A charset that nobody knows is most often UTF-8 under a wrong name.
        (Ok(decoded), Ok(utf8)) if decoded.contains('\u{fffd}') && !utf8.contains('\u{fffd}') => text.push_str(utf8),
        (Ok(decoded), _) if decoded != word => text.push_str(&decoded),
        _ => text.push_str(&String::from_utf8_lossy(&bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, expected: &str) {
        assert_eq!(decode(raw), expected, "decoding {raw:?}");
    }

    #[test]
    fn plain_text_is_left_alone() {
        check("Lunch on Friday?", "Lunch on Friday?");
        check("", "");
        check("=? = ?= 1 =?x", "=? = ?= 1 =?x");
        check("Grüße 😀", "Grüße 😀");
    }

    #[test]
    fn words_of_every_common_charset() {
        check("=?utf-8?Q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?=", "Grüße aus Köln");
        check("=?UTF-8?b?R3LDvMOfZQ==?=", "Grüße");
        check("=?iso-8859-1?Q?Reuni=F3n_ma=F1ana?=", "Reunión mañana");
        check("=?windows-1252?Q?=93quoted=94_=80?=", "“quoted” €");
        check("=?koi8-r?Q?=F0=D2=C9=D7=C5=D4=2C_=CD=C9=D2?=", "Привет, мир");
        check("=?gb18030?B?u+HS6c2o1qogsuLK1A==?=", "会议通知 测试");
        check("=?iso-2022-jp?B?GyRCRnxLXDhsJE43b0w+JUYlOSVIGyhC?=", "日本語の件名テスト");
        check("=?utf-8*en?Q?language_tag?=", "language tag");
    }

    #[test]
    fn white_space_between_words_goes_and_stays_elsewhere() {
        check("=?utf-8?Q?J=C3=B6rg?=\n =?utf-8?Q?_M=C3=BCller?= <jm@example.org>", "Jörg Müller <jm@example.org>");
        check("a =?utf-8?Q?b?= c", "a b c");
        check("x=?utf-8?q?=C3=A4?=y", "xäy");
        check(
            "=?utf-8?B?R3LDvMOf?=\n =?utf-8?Q?e_aus?= =?iso-8859-1?Q?_K=F6ln?= plain tail",
            "Grüße aus Köln plain tail",
        );
    }

    #[test]
    fn a_character_split_over_two_words_is_whole() {
        check("=?utf-8?Q?A=E2=98?= =?utf-8?Q?=83B?=", "A☃B");
        check("=?utf-8?B?4pg=?= =?UTF-8?B?g0I=?=", "☃B");
        check("=?utf-8?B?4pg?=\r\n =?utf-8?Q?=83?=", "☃");
    }

    #[test]
    fn one_bad_word_spoils_nothing_else() {
        check("=?utf-8?B?w6Q?= unpadded", "ä unpadded");
        check("=?utf-8?B?!!!?= =?utf-8?Q?=C3=A4?=", "=?utf-8?B?!!!?= ä");
        check("=?utf-8?Q?a=ZZb?=", "a=ZZb");
        check("=?utf-8?Q?two words? yes?=", "two words? yes");
        check("=?utf-8?X?abc?= =?utf-8?Q?ok?=", "=?utf-8?X?abc?= ok");
        check("=?utf-8?Q?never closed", "=?utf-8?Q?never closed");
        check("=?utf-8?Q??=", "");
        check("=?utf-8?B?w6S?=", "ä");
    }

    #[test]
    fn an_unknown_charset_is_shown_as_well_as_it_can_be() {
        check("=?x-unknown?Q?caf=C3=A9?=", "café");
        check("=?utf-8?Q?bad_=FF_byte?=", "bad \u{fffd} byte");
    }

    #[test]
    fn a_word_longer_than_the_rfc_allows_is_decoded() {
        let long = "=C3=BC".repeat(500);
        check(&format!("=?utf-8?Q?{long}?="), &"ü".repeat(500));
    }

    #[test]
    fn a_question_mark_before_an_escape_does_not_end_a_word() {
        check("=?utf-8?Q?wo??=", "wo?");
        check("=?utf-8?Q?was?=C3=9F?=", "was?ß");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(raw in ".{0,200}") {
            let _ = decode(&raw);
        }

        #[test]
        fn words_of_any_text_come_back(text in "\\PC{1,40}", at in 0_usize..200) {
            // Split anywhere, inside a character too.
            let bytes = text.as_bytes();
            let at = at % (bytes.len() + 1);
            let word = |bytes: &[u8]| format!("=?utf-8?B?{}?=", base64::engine::general_purpose::STANDARD.encode(bytes));
            let raw = format!("{} {}", word(&bytes[..at]), word(&bytes[at..]));
            proptest::prop_assert_eq!(decode(&raw), text);
        }
    }
}
