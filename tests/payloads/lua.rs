//! What scripts in a real Dovecot sent, pushed as it was captured: our own script's requests, those of scripts that dump
//! Dovecot's fields as they are, and the forms of the examples in Dovecot's manual.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Running};
use crate::support::http::fixture_request;
use crate::support::repository_file;

/// Our script's requests and what each tells: event, user, folder, sender and subject.
const OURS: &[(&str, &[&str])] = &[
    ("encoded-words", &["MessageNew|alice|INBOX|Иван Петров|日本語の件名"]),
    (
        "expunge-three",
        &["MessageExpunge|alice|INBOX||", "MessageExpunge|alice|INBOX||", "MessageExpunge|alice|INBOX||"],
    ),
    ("keyword-clear", &["FlagsClear|alice|INBOX||"]),
    ("keywords-set", &["FlagsSet|alice|INBOX||"]),
    ("mailbox-create", &["MailboxCreate|alice|INBOX||"]),
    ("mailbox-delete", &["MailboxDelete|alice|日本語||"]),
    ("mailbox-rename", &["MailboxRename|alice|日本語||"]),
    ("mailbox-subscribe", &["MailboxSubscribe|alice|Work.Sub||"]),
    ("mailbox-unsubscribe", &["MailboxUnsubscribe|alice|Work.Sub||"]),
    ("message-append", &["MessageAppend|alice|日本語|Jörg|Grüße"]),
    ("message-new", &["MessageNew|alice|INBOX|Jörg|Grüße"]),
    ("message-new-2.4", &["MessageNew|alice|INBOX|Jörg|Grüße"]),
    ("no-headers-at-all", &["MessageNew|alice|INBOX||"]),
    ("raw-control", &["MessageNew|alice|INBOX|ab\" [31m|ab \"quoted\" back\\slash"]),
    ("raw8bit-latin1", &["MessageNew|alice|INBOX|J\u{fffd}rg M\u{fffd}ller|Gr\u{fffd}e"]),
    ("read", &["FlagsSet|alice|INBOX||", "MessageRead|alice|INBOX||"]),
    (
        "trash-three",
        &[
            "FlagsSet|alice|INBOX||",
            "MessageRead|alice|INBOX||",
            "MessageTrash|alice|INBOX||",
            "FlagsSet|alice|INBOX||",
            "MessageRead|alice|INBOX||",
            "MessageTrash|alice|INBOX||",
            "FlagsSet|alice|INBOX||",
            "MessageRead|alice|INBOX||",
            "MessageTrash|alice|INBOX||",
        ],
    ),
    ("unread", &["FlagsClear|alice|INBOX||"]),
];

/// Scripts that hand on what Dovecot gives them.
const RAW: &[(&str, &[&str])] = &[
    ("00-first-select-autocreate-01", &["MailboxCreate|fred|INBOX||"]),
    ("01-MessageNew-plain-01", &["MessageNew|fred|INBOX|Alice Example|Hello world"]),
    ("02-MessageNew-encoded-words-01", &["MessageNew|fred|INBOX|Jörg Müller|Grüße 😀"]),
    ("03-MessageNew-no-headers-01", &["MessageNew|fred|INBOX||"]),
    ("04-MessageNew-control-and-invalid-utf8-01", &["MessageNew|fred|INBOX|a\"b\\c|tab here [31m \u{fffd} end"]),
    ("05-MessageNew-to-detail-folder-02", &["MessageNew|fred|lists|Alice Example|Hello world"]),
    ("07-MessageAppend-flags-keywords-01", &["MessageAppend|fred|INBOX|Jörg Müller|Grüße 😀"]),
    ("11-MailboxCreate-utf7-01", &["MailboxCreate|fred|日本語||"]),
    ("13-MailboxSubscribe-01", &["MailboxSubscribe|fred|Work||"]),
    ("15-MailboxUnsubscribe-01", &["MailboxUnsubscribe|fred|Work||"]),
    ("16-MailboxRename-01", &["MailboxRename|fred|Job||"]),
    ("17-MailboxDelete-01", &["MailboxDelete|fred|Job.Sub||"]),
    ("20-fetch-body-sets-seen-01", &["FlagsClear|fred|INBOX||"]),
    ("20-fetch-body-sets-seen-02", &["FlagsSet|fred|INBOX||"]),
    ("20-fetch-body-sets-seen-03", &["MessageRead|fred|INBOX||"]),
    ("22-FlagsSet-Flagged-02", &["FlagsSet|fred|INBOX||"]),
    ("24-FlagsSet-keyword-only-02", &["FlagsSet|fred|INBOX||"]),
    ("26-FlagsClear-Seen-unread-01", &["FlagsClear|fred|INBOX||"]),
    ("30-MessageTrash-Deleted-03", &["MessageTrash|fred|INBOX||"]),
    ("31-MessageExpunge-01", &["MessageExpunge|fred|INBOX||"]),
    ("50-MessageNew-raw8bit-latin1-from", &["MessageNew|fred|INBOX|J\u{fffd}rg M\u{fffd}ller|Gr\u{fffd}e"]),
];

/// Forms of all three content types, and a script's JSON with `{}` for empty lists. A form of counts tells nothing of
/// its own: it belongs to the one before.
const HOOKS: &[(&str, &[&str])] = &[
    ("luasocket-form2-01", &["MessageNew||INBOX|Jörg Müller|Grüße aus Köln ☃ 😀"]),
    ("luasocket-form2-02", &[]),
    ("luasocket-form2-raw8bit-latin1-01", &["MessageNew||INBOX|J\u{fffd}rg M\u{fffd}ller|Gr\u{fffd}e"]),
    ("luasocket-form2-raw8bit-latin1-02", &[]),
    ("luasocket-form2-no-from-no-subject-01", &["MessageNew||INBOX||"]),
    ("luasocket-form2-no-from-no-subject-02", &[]),
    ("luasocket-form1-01", &["MessageNew|bob||Jörg Müller|Grüße aus Köln ☃ 😀"]),
    ("luasocket-form1-raw8bit-latin1-01", &["MessageNew|bob||J\u{fffd}rg M\u{fffd}ller|Gr\u{fffd}e"]),
    ("luasocket-form1-no-from-no-subject-01", &["MessageNew|bob|||"]),
    ("dovecothttp-form-no-content-type-01", &["MessageNew|bob||Jörg Müller|Grüße aus Köln ☃ 😀"]),
    ("luasocket-cj-01", &["MessageNew|bob|INBOX|Jörg Müller|Grüße aus Köln ☃ 😀"]),
    ("luasocket-cj-raw8bit-latin1-01", &["MessageNew|bob|INBOX|J\u{fffd}rg M\u{fffd}ller|Gr\u{fffd}e"]),
    ("luasocket-cj-no-from-no-subject-01", &["MessageNew|bob|INBOX||"]),
];

/// The same forms from Dovecot 2.4, each sent to an address of its own.
const FORMS_2_4: &[(&str, &str, &str)] = &[
    ("v24-doc-example-form-01", "/lua/simple", "MessageNew|zed||Jörg Müller|Grüße aus Köln ☃ 😀"),
    ("v24-doc-example-form-02", "/lua/event", "MessageNew||INBOX|Jörg Müller|Grüße aus Köln ☃ 😀"),
    ("v24-doc-example-form-03", "/lua/state", "MessageNew||INBOX||"),
];

/// The captured requests carry a user and a password, and were sent to this path.
fn start(endpoint: &str, user: &str, pass: &str) -> Running {
    let auth = format!("endpoint = \"{endpoint}\"\n[auth]\nuser = \"{user}\"\npass = \"{pass}\"\n");
    Daemon::new().config(&format!("{auth}[history]\ncontent = \"full\"\n")).start()
}

/// The newest last.
#[track_caller]
fn entries(daemon: &Running) -> Vec<Value> {
    let said = daemon.recipe().command(&["recent", "--json", "-n", "1000"]).succeeded().stdout;
    let lines = said.lines().rev();
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn row(entry: &Value) -> String {
    let text = |key: &str| entry[key].as_str().unwrap_or_default();
    ["event", "user", "folder", "from_name", "subject_text"].map(text).join("|")
}

/// Pushes each file, and checks what it adds to the record. Gives the whole record.
#[track_caller]
fn check(daemon: &Running, directory: &str, table: &[(&str, &[&str])]) -> Vec<Value> {
    for (file, expected) in table {
        let before = entries(daemon).len();
        let answer = fixture_request(&format!("{directory}/{file}.http"), daemon.addr());
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"success":true}"#), "{file}");
        assert_eq!(entries(daemon)[before..].iter().map(row).collect::<Vec<_>>(), *expected, "{file}");
    }
    entries(daemon)
}

/// Asserts that the tables name every file that there is.
#[track_caller]
fn assert_complete(directory: &str, listed: impl Iterator<Item = &'static str>) {
    let files = std::fs::read_dir(repository_file(directory)).expect("the directory is part of the repository");
    let found: BTreeSet<String> =
        files.map(|file| file.expect("it is readable").file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(found, listed.map(|file| format!("{file}.http")).collect());
}

#[test]
fn every_request_of_our_script_is_on_record_as_what_it_tells() {
    let daemon = start("/notify", "pushuser", "pushpass");
    let all = check(&daemon, "tests/data/lua", OURS);
    let of = |event: &str| all.iter().find(|entry| entry["event"] == event).expect("it was pushed");
    let appended = of("MessageAppend");
    assert_eq!((&appended["flags"], &appended["keywords"]), (&json!([r"\Flagged"]), &json!(["later"])));
    assert_eq!(
        (&appended["to"], &appended["date"]),
        (&json!("Alice <alice@example.org>"), &json!("2026-11-21T11:00:00Z"))
    );
    assert_eq!((&appended["unseen"], &appended["messages"]), (&json!(1), &json!(1)));
    assert_eq!(of("MailboxRename")["old_folder"], "Work.Sub");
    assert_eq!(of("FlagsClear")["keywords"], json!(["todo"]));
    assert_eq!((&of("FlagsSet")["keywords"], of("FlagsSet").get("flags")), (&json!(["todo", "$Forwarded"]), None));
    daemon.stop();
    assert_complete("tests/data/lua", OURS.iter().map(|(file, _)| *file));
}

#[test]
fn every_dump_of_dovecots_own_fields_is_on_record_as_what_it_tells() {
    let daemon = start("/lua", "lua", "secret");
    let all = check(&daemon, "tests/data/lua-raw", RAW);
    let with = |key: &str, value: Value| all.iter().find(|entry| entry[key] == value).expect("it was pushed");
    let plain = with("message_id", json!("<t1@example.org>"));
    let numbers = ["uid", "uid_validity", "unseen", "messages"].map(|key| plain[key].as_u64());
    assert_eq!(numbers, [1, 1_795_261_913, 1, 1].map(Some));
    assert_eq!((&plain["date"], plain.get("flags")), (&json!("2025-11-21T09:00:00Z"), None));
    assert_eq!(
        (&plain["snippet"], &plain["to"]),
        (&json!("This is a plain ASCII body. Second line."), &json!("bob@example.net"))
    );
    assert_eq!(with("event", json!("MailboxRename"))["old_folder"], "Work");
    let appended = with("event", json!("MessageAppend"));
    assert_eq!(
        (&appended["flags"], &appended["keywords"]),
        (&json!([r"\Flagged", r"\Seen"]), &json!(["$Label1", "custom"]))
    );
    let bare = with("uid", json!(3));
    assert!(["from_name", "from_address", "subject", "date"].iter().all(|key| bare.get(key).is_none()), "{bare}");
    // The bytes that no encoding explains; the address beside them is Dovecot's own reading.
    assert_eq!(with("uid", json!(10))["from_address"], "jm@example.org");
    daemon.stop();
    assert_complete("tests/data/lua-raw", RAW.iter().map(|(file, _)| *file));
}

#[test]
fn every_form_of_the_manual_is_on_record_and_counts_join_their_message() {
    let daemon = start("/hook", "u", "p");
    let all = check(&daemon, "tests/data/lua-forms", HOOKS);
    let counts: Vec<_> = all[..3].iter().map(|entry| (entry["unseen"].as_u64(), entry["messages"].as_u64())).collect();
    assert_eq!(counts, [4, 5, 6].map(|count| (Some(count), Some(count))));
    assert_eq!(all[3]["to"], "bob@example.net");
    let dump = all.iter().find(|entry| entry["uid"] == 7).expect("it was pushed");
    assert_eq!((dump.get("flags"), dump.get("keywords")), (None, None), "`{{}}` is an empty list");
    daemon.stop();
    for (file, endpoint, expected) in FORMS_2_4 {
        let daemon = start(endpoint, "lua", "secret");
        check(&daemon, "tests/data/lua-forms", &[(file, &[expected])]);
        daemon.stop();
    }
    let of_2_4 = FORMS_2_4.iter().map(|(file, ..)| *file);
    assert_complete("tests/data/lua-forms", HOOKS.iter().map(|(file, _)| *file).chain(of_2_4));
}

#[test]
fn numbers_that_lua_writes_as_floats_are_numbers() {
    let daemon = Daemon::new().start();
    let floats = r#"{"name":"MessageNew","user":"fred","mailbox":"INBOX","uid":7.0,"uid_validity":1795261913.0,
        "unseen":4.0,"messages":5.0,"date":1763715600.0,"tz":60.0,"flags":{},"keywords":{}}"#;
    daemon.push(floats).accepted();
    let entry = &entries(&daemon)[0];
    let numbers = ["uid", "uid_validity", "unseen", "messages"].map(|key| entry[key].as_u64());
    assert_eq!(numbers, [7, 1_795_261_913, 4, 5].map(Some));
    assert_eq!(entry["date"], "2025-11-21T09:00:00Z");
    daemon.stop();
}
