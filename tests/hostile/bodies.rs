//! Heads that are right and bodies that are not.

use super::{assert_refused, start, stop_unharmed};
use crate::support::http::Connection;
use crate::support::wait::wait_until;

#[test]
fn what_is_no_event_is_refused_and_not_logged() {
    let daemon = start("");
    for body in [
        r#"{"user":"me","event":"MessageNew","subject":"sesame-4711""#,
        r#"{"user":"me","event":"MessageNew","subject":"sesame-4711",}"#,
        r#"{"user":"me","event":"MessageNew","subject":sesame-4711}"#,
        r#"{"user":"me","event":"MessageNew","subject":"sesame-4711"} sesame-4711"#,
        r#"{"user":"me","event":"MessageNew","subject":"sesame-4711 \x"}"#,
        r#"{sesame-4711:1}"#,
        r#""sesame-4711""#,
        r#"["sesame-4711"]"#,
        r#"[["sesame-4711"]]"#,
        r#"{"sesame-4711":{"user":"me"}}"#,
        r#"{"event":"MessageNew","subject":"sesame-4711"}"#,
        r#"{"user":"","event":"MessageNew","subject":"sesame-4711"}"#,
        r#"{"user":["sesame-4711"],"event":"MessageNew"}"#,
        r#"{"user":4711,"event":"MessageNew","subject":"sesame-4711"}"#,
        r#"{"user":"me","event":{"sesame-4711":1}}"#,
        r#"{"user":"me","event":null,"subject":"sesame-4711"}"#,
        "4711",
        "null",
        "\0\u{1}\u{2}sesame-4711",
        "user=sesame-4711&event=MessageNew",
    ] {
        assert_refused(&daemon.push(body), 400, body);
    }
    let deep = format!(r#"{{"user":"me","event":"X","a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_refused(&daemon.push(&deep), 400, "deep");
    stop_unharmed(daemon);
}

#[test]
fn odd_values_are_as_if_absent_and_odd_texts_are_made_safe() {
    let daemon = start("");
    let long = format!("sesame-4711 {}", "ü".repeat(5_000));
    let cases = [
        r#"{"user":"me","event":"messageNew","unseen":-1,"imap-uid":1e30,"folder":["sesame-4711"],"from":7,"subject":{}}"#,
        r#"{"user":"you\u0000\u001b[2J","event":"messageNew","subject":"sesame-4711\u0000\r\n\u001b]0;x\u0007"}"#,
        r#"{"user":"me","event":"messageNew","from":"\u202esesame-4711\u2066 <a@example.org>","subject":"\u202egnp.exe"}"#,
        r#"{"user":"me","event":"messageNew","from":"<b>sesame-4711</b> <a@example.org>","subject":"<img src=x>&amp;"}"#,
        r#"{"user":"me","event":"messageNew","subject":"=?utf-8?B?////?= =?x?Q?=00=1B?= =?sesame-4711?Q??="}"#,
        r#"{"user":"me","event":"messageNew","message-id":"\n","snippet":"sesame-4711\u0007","subject":"\ud83d\ude00"}"#,
        &format!(r#"{{"user":"me","event":"messageNew","from":"{long}","subject":"{long}","snippet":"{long}"}}"#),
        r#"{"user":"me","user":"me","event":"x","event":"messageNew","unknown":{"a":[{"sesame-4711":[]}]}}"#,
    ];
    for body in cases {
        assert_eq!(daemon.push(body).accepted().text(), r#"{"success":true}"#, "{body}");
    }
    // Bytes that are no UTF-8, as scripts write them that never look.
    let latin1 = b"{\"user\":\"me\",\"event\":\"messageNew\",\"subject\":\"sesame-4711 Gr\xfc\xdfe\"}";
    daemon.request().header("Content-Type", "application/json").body(latin1).send(daemon.addr()).accepted();
    wait_until("all lines", || (daemon.stdout().lines().count() == 9).then_some(()));
    let output = daemon.stdout();
    assert!(
        output.contains("gnp.exe") && output.contains("<img src=x>&amp;") && output.contains("Gr\u{fffd}\u{fffd}e")
    );
    stop_unharmed(daemon);
}

#[test]
fn events_of_names_that_nobody_knows_are_kept_under_them() {
    let daemon = start("");
    daemon.push(r#"{"user":"me","event":"VacationSent","folder":"Away"}"#).accepted();
    daemon.push(r#"{"user":"me","event":"mailboxcreate","folder":"Away"}"#).accepted();
    wait_until("both", || (daemon.stdout().lines().count() == 2).then_some(()));
    assert!(daemon.stdout().contains(" VacationSent me Away\n"));
    assert!(daemon.stdout().contains(" MailboxCreate me Away\n"));
    stop_unharmed(daemon);
}

#[test]
fn a_sender_of_too_much_gets_to_read_why_it_is_refused() {
    let daemon = start("");
    let three_mib = "x".repeat(3 << 20);
    let answer = daemon.request().json(&three_mib).send(daemon.addr());
    assert_refused(&answer, 413, "sent whole before reading");
    assert!(answer.text().contains("max_body"));
    let chunks = format!("{:x}\r\n{three_mib}\r\n0\r\n\r\n", three_mib.len());
    let answer = daemon.request().header("Transfer-Encoding", "chunked").json(&chunks).send(daemon.addr());
    assert_refused(&answer, 413, "sent whole in chunks");
    let answer = daemon.request().header("Content-Length", "1099511627776").json("{").send(daemon.addr());
    assert_refused(&answer, 413, "announced");

    // Chunks without an end: the connection ends, and doesn't take all there is.
    let mut connection = Connection::open(daemon.addr());
    connection.send(&daemon.request().header("Transfer-Encoding", "chunked").json("").bytes());
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let sent = (0..10_000).take_while(|_| connection.try_send(chunk.as_bytes()).is_ok()).count();
    assert!(sent < 1000, "{sent} chunks of 64 KiB were taken");
    stop_unharmed(daemon);
}
