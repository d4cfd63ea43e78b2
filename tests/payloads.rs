//! What a real Dovecot 2.3 sent for every kind of message, pushed as it was captured: does a person read what the
//! mail's author meant? The expected texts are written by hand from the captured headers.

mod lua;

use std::collections::BTreeSet;

use crate::support::daemon::{Daemon, Running};
use crate::support::http::fixture_request;
use crate::support::repository_file;
use crate::support::wait::wait_until;

const DIRECTORY: &str = "tests/data/ox";

/// File, sender and subject.
const PAYLOADS: &[(&str, &str, &str)] = &[
    ("ascii", "Alice", "Lunch on Friday?"),
    ("attachment-only", "Alice", "att only"),
    ("body-long-4byte", "Alice", "emoji"),
    ("body-long-ascii", "Alice", "s"),
    ("empty-body", "Alice", "s"),
    ("empty-from", "Unknown sender", "s"),
    ("empty-subject", "Alice", "(no subject)"),
    ("group-from", "Alice", "s"),
    ("html-only", "Alice", "html"),
    ("multipart-alternative", "Alice", "multi"),
    ("multipart-mixed-attachment-first", "Alice", "att"),
    ("no-from", "Unknown sender", "s"),
    ("no-from-no-subject-no-body", "Unknown sender", "(no subject)"),
    ("no-headers-at-all", "Unknown sender", "(no subject)"),
    ("no-subject", "Alice", "(no subject)"),
    ("quoted-from", r#"O'Hara, "Bob" <evil>"#, "s"),
    ("quoted-reply-only", "Alice", "Re: x"),
    // What was no UTF-8 is replaced by Dovecot already.
    (
        "raw8bit-invalid-utf8",
        "bad\u{fffd}",
        "bad \u{fffd}\u{fffd} \u{fffd}( \u{fffd}\u{fffd}\u{fffd} \u{fffd}\u{fffd}\u{fffd}\u{fffd} end",
    ),
    ("raw8bit-latin1-undeclared-body", "Alice", "x"),
    ("raw8bit-utf8", "Jörg Müller", "Grüße 😀"),
    ("rfc2047-B-gb18030", "王小明", "会议通知 测试"),
    ("rfc2047-B-iso-2022-jp", "山田太郎", "日本語の件名テスト"),
    ("rfc2047-B-utf-8", "Jörg Müller", "Grüße aus Köln ☃ 😀"),
    ("rfc2047-Q-iso-8859-1", "José Núñez", "Reunión mañana"),
    ("rfc2047-Q-koi8-r", "Иван Петров", "Привет, мир"),
    ("rfc2047-Q-utf-8", "Jörg Müller", "Grüße aus Köln ☃ 😀"),
    ("rfc2047-adjacent-folded", "Jörg Müller", "Grüße aus Köln plain tail"),
    ("rfc2047-split-char", "Alice", "A☃B"),
    ("snippet-200-ctrl", "a@example.org", "ctrl"),
    ("snippet-multiline", "a@example.org", "x"),
    ("subject-folded", "Alice", "This subject is folded over three lines"),
    ("subject-html-markup", "Alice", "<b>bold</b> & <a href='http://x'>l</a>"),
    ("subject-raw-control", "Alice", r#"ctl [31m "quote" back\slash /slash end"#),
    ("top-quoted-then-text", "Alice", "Re: x"),
    ("two-subject-headers", "Alice", "first"),
];

/// Those whose texts are too long to write out.
fn long_payloads() -> Vec<(&'static str, String, String)> {
    let words: String = (0..9000).map(|number| format!(" word{number:06}")).collect();
    vec![
        ("from-2k", "N".repeat(2000), "s".to_owned()),
        ("subject-2k", "Alice".to_owned(), format!("{}END", "L".repeat(2000))),
        ("subject-2k-utf8-ew", "Alice".to_owned(), "ü".repeat(2000)),
        ("subject-100k", "Alice".to_owned(), words.trim_start().to_owned()),
    ]
}

fn all_payloads() -> Vec<(&'static str, String, String)> {
    let short = PAYLOADS.iter().map(|(file, from, subject)| (*file, (*from).to_owned(), (*subject).to_owned()));
    short.chain(long_payloads()).collect()
}

/// The captured requests carry this password.
fn start() -> Running {
    let config = "[auth]\nuser = \"pushuser\"\npass = \"pushpass\"\n[log]\nlevel = true\n";
    Daemon::new().args(&["run", "--print"]).config(config).start()
}

/// What was printed after the first `before` lines, without the time of day.
fn next_line(daemon: &Running, before: usize) -> String {
    let line = wait_until("a printed line", || daemon.stdout().lines().nth(before).map(str::to_owned));
    let (time, text) = line.split_once(' ').expect("a time and a text");
    let is_time = time.len() == 5 && time.as_bytes()[2] == b':';
    assert!(is_time, "the line begins with no time of day: {line}");
    text.to_owned()
}

#[test]
fn every_captured_payload_is_printed_as_a_person_would_write_it() {
    let daemon = start();
    for (at, (file, from, subject)) in all_payloads().iter().enumerate() {
        let answer = fixture_request(&format!("{DIRECTORY}/{file}.http"), daemon.addr());
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"success":true}"#), "{file}");
        let line = next_line(&daemon, at);
        let expected = format!("MessageNew 11@3 INBOX: {from}: {subject}");
        match line.strip_suffix('…') {
            // 4 KiB of one text is enough for any terminal.
            Some(beginning) => {
                assert!(expected.starts_with(beginning), "{file}: {line}");
                assert!((4000..4200).contains(&line.len()), "{file}: {} bytes", line.len());
            }
            None => assert_eq!(line, expected, "{file}"),
        }
    }
    daemon.stop();
}

#[test]
fn only_the_longest_payload_is_shortened() {
    let too_long = |text: &str| text.len() > 4090;
    let long: Vec<_> =
        all_payloads().into_iter().filter(|(_, from, subject)| too_long(from) || too_long(subject)).collect();
    assert_eq!(long.iter().map(|(file, ..)| *file).collect::<Vec<_>>(), ["subject-100k"]);
    let daemon = start();
    fixture_request(&format!("{DIRECTORY}/subject-100k.http"), daemon.addr()).accepted();
    assert!(next_line(&daemon, 0).ends_with('…'));
    fixture_request(&format!("{DIRECTORY}/subject-2k-utf8-ew.http"), daemon.addr()).accepted();
    assert!(next_line(&daemon, 1).ends_with("üüü"));
    daemon.stop();
}

#[test]
fn every_captured_payload_is_in_the_table() {
    let files = std::fs::read_dir(repository_file(DIRECTORY)).expect("the directory is part of the repository");
    let found: BTreeSet<String> =
        files.map(|file| file.expect("it is readable").file_name().to_string_lossy().into_owned()).collect();
    let listed: BTreeSet<String> = all_payloads().iter().map(|(file, ..)| format!("{file}.http")).collect();
    assert_eq!(found, listed);
}

#[test]
fn numbers_folder_and_snippet_of_the_captured_payloads_are_read() {
    let read = |file: &str| {
        let request = std::fs::read(repository_file(&format!("{DIRECTORY}/{file}.http"))).expect("it is there");
        let head = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an empty line");
        let format = mailknock::wire::format_for("application/json").expect("JSON is known");
        format.parse(&request[head + 4..]).expect("it is an event").remove(0)
    };
    let event = read("ascii");
    assert_eq!((event.uid, event.uid_validity, event.unseen), (Some(3), Some(1_795_261_286), Some(3)));
    assert_eq!(event.folder.as_deref(), Some("INBOX"));
    assert_eq!(event.snippet.as_deref(), Some("Shall we meet at noon? Regards, Alice"));
    assert_eq!(read("attachment-only").snippet.as_deref(), Some(""));
    assert_eq!(read("snippet-200-ctrl").snippet.map(|snippet| snippet.len()), Some(200));
    let event = read("no-headers-at-all");
    assert_eq!((event.from, event.subject, event.snippet.as_deref()), (None, None, Some("Just a body")));
    let addresses = ["group-from", "quoted-from", "rfc2047-adjacent-folded"].map(|file| read(file).from);
    let addresses = addresses.map(|from| from.expect("it has a sender").address);
    assert_eq!(addresses, ["alice@example.org", "bob@example.org", "jm@example.org"]);
}
