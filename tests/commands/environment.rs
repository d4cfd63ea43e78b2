//! What a run sees of the event, of us, and of nobody else.

use std::process::Command;

use super::{DUMP, NO_LIMIT, Seen, handler, lines, push, recipe, start};

#[test]
fn a_run_sees_the_event_raw_and_decoded() {
    let daemon = start(&handler(NO_LIMIT, DUMP));
    let answer = daemon.push(
        r#"{"user":"11@3","event":"messageNew","folder":"INBOX","imap-uidvalidity":1795261286,"imap-uid":7,
            "from":"=?utf-8?Q?J=C3=B6rg?=\n <j@example.org>","subject":"=?utf-8?Q?Gr=C3=BC=C3=9Fe?=\n\tyou",
            "snippet":"two\nlines $(id) \"quoted\"","unseen":2,"message-id":"<m@example.org>"}"#,
    );
    answer.accepted();
    let seen = Seen::of(&daemon, "run-7");
    let port = seen.get("IMSE_REMOTE_PORT").expect("it is set").to_owned();
    assert!(port.parse::<u16>().is_ok_and(|port| port != daemon.addr().port() && port > 0), "{port}");
    assert_eq!(
        seen.ours(),
        [
            ("IMSE_COUNT", "1"),
            ("IMSE_EVENT", "MessageNew"),
            ("IMSE_FOLDER", "INBOX"),
            ("IMSE_FROM", "=?utf-8?Q?J=C3=B6rg?=\n <j@example.org>"),
            ("IMSE_FROM_ADDRESS", "j@example.org"),
            ("IMSE_FROM_NAME", "Jörg"),
            ("IMSE_MESSAGE_ID", "<m@example.org>"),
            ("IMSE_REMOTE_IP", "127.0.0.1"),
            ("IMSE_REMOTE_PORT", &port),
            ("IMSE_SNIPPET", "two\nlines $(id) \"quoted\""),
            ("IMSE_SUBJECT", "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=\n\tyou"),
            ("IMSE_SUBJECT_TEXT", "Grüße you"),
            ("IMSE_TRIGGER", "event"),
            ("IMSE_UID", "7"),
            ("IMSE_UIDVALIDITY", "1795261286"),
            ("IMSE_UNSEEN", "2"),
            ("IMSE_USER", "11@3"),
        ]
    );
    daemon.stop();
}

#[test]
fn what_an_event_does_not_say_is_empty_or_unset_and_never_inherited() {
    let stale = ["UID", "SUBJECT", "FROM_NAME", "FROM", "COUNT", "TRUNCATED", "MESSAGE_ID", "UNSEEN", "REMOTE_IP"];
    let recipe = recipe(&handler(NO_LIMIT, DUMP));
    let recipe = stale.iter().fold(recipe, |recipe, name| recipe.env(format!("IMSE_{name}"), "stale"));
    let daemon = recipe.env("PASSED_ON", "yes").start();
    daemon.push(r#"{"user":"me","event":"MESSAGENEW"}"#).accepted();
    let seen = Seen::of(&daemon, "run-");
    let port = seen.get("IMSE_REMOTE_PORT").expect("it is set");
    let expected = [
        ("IMSE_COUNT", "1"),
        ("IMSE_EVENT", "MessageNew"),
        ("IMSE_FOLDER", ""),
        ("IMSE_FROM", ""),
        ("IMSE_REMOTE_IP", "127.0.0.1"),
        ("IMSE_REMOTE_PORT", port),
        ("IMSE_SNIPPET", ""),
        ("IMSE_TRIGGER", "event"),
        ("IMSE_UNSEEN", ""),
        ("IMSE_USER", "me"),
    ];
    assert_eq!(seen.ours(), expected);
    assert_eq!(seen.get("PASSED_ON"), Some("yes"));
    daemon.stop();
}

#[test]
fn no_text_makes_a_run_fail() {
    let daemon = start(&format!("max_body = \"32MiB\"\n{}", handler(NO_LIMIT, DUMP)));
    let texts = [("\\u0000NUL\\u0000".to_owned(), "NUL"), ("ü".repeat(5_000), "ü"), ("x".repeat(9_000_000), "x")];
    for (uid, (text, beginning)) in texts.iter().enumerate() {
        let fields = ["from", "subject", "snippet", "folder", "message-id"].map(|key| format!(r#","{key}":"{text}""#));
        let body =
            format!(r#"{{"user":"me{text}","event":"messageNew","imap-uid":{}{}}}"#, uid + 1, fields[..].concat());
        let body = if body.len() > 32_000_000 { body.replace(&fields[2..].concat(), "") } else { body };
        daemon.push(&body).accepted();
        let seen = Seen::of(&daemon, &format!("run-{}", uid + 1));
        assert!(seen.get("IMSE_FROM").is_some_and(|from| from.starts_with(beginning)), "{beginning}");
        assert!(seen.ours().iter().all(|(_, value)| value.len() <= 8192), "{beginning}");
        assert_eq!(seen.get("IMSE_TRUNCATED"), (text.len() > 8192).then_some("1"), "{beginning}");
    }
    daemon.stop();
}

#[test]
fn a_run_has_a_process_group_of_its_own_and_nothing_to_read() {
    let script = "read -r _ _ _ _ group _ < /proc/$$/stat; cat; ls /proc/self/fd | wc -l; echo $$ $group";
    let daemon =
        start(&handler(&format!("{NO_LIMIT}\nstdin = \"none\""), &format!("{{ {script}; }} > new && mv new done")));
    push(&daemon, 1);
    let done = lines(&daemon, "done", 2);
    let (pid, group) = done[1].split_once(' ').expect("two numbers");
    assert_eq!(pid, group);
    // As many as a child of this test has, which may have inherited some itself.
    let beside = Command::new("/bin/sh").args(["-c", "ls /proc/self/fd | wc -l"]).output().expect("a shell");
    assert_eq!(done[0], String::from_utf8_lossy(&beside.stdout).trim_end(), "a run has descriptors of ours");
    daemon.stop();
}
