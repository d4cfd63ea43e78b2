//! Which events are taken, and how often they are acted on.

use crate::support::http::Request;

use super::candidate::{Candidate, event, fate, handler};
use super::compare;

/// What becomes of this event.
#[track_caller]
fn pushed(candidate: &Candidate, json: &str) -> String {
    let server = candidate.start(&handler(""));
    let fate = fate(&server.push(json));
    // So that a refusal is about the event and nothing else.
    server.push(&event("INBOX", "")).accepted();
    server.end();
    fate
}

#[test]
fn an_ordinary_subject_of_two_kilobytes_is_taken() {
    let long = event("INBOX", &format!(r#","subject":"{}""#, "word ".repeat(400)));
    compare("A subject of two kilobytes", |candidate| pushed(candidate, &long));
}

#[test]
fn an_event_needs_neither_folder_nor_unseen() {
    compare("An event with no `folder` or `unseen`", |candidate| {
        let [no_unseen, no_folder] = [r#""folder":"INBOX""#, r#""unseen":1"#]
            .map(|key| pushed(candidate, &format!(r#"{{"user":"me","event":"messageNew",{key}}}"#)));
        assert_eq!(no_unseen, no_folder);
        no_unseen
    });
}

#[test]
fn an_event_of_an_unknown_kind_is_taken() {
    let unknown = event("INBOX", "").replace("messageNew", "calendarChange");
    compare("An event of an unknown kind", |candidate| pushed(candidate, &unknown));
}

#[test]
fn a_post_is_as_good_as_a_put() {
    compare("`POST`", |candidate| {
        let server = candidate.start(&handler(""));
        let answer = Request::new("POST", "/notify").json(&event("INBOX", "")).send(candidate.address());
        server.end();
        fate(&answer)
    });
}

#[test]
fn a_message_that_is_reported_twice_is_handled_once() {
    compare("A message that is reported twice", |candidate| {
        candidate.script("echo $IMSE_FOLDER >> done");
        let server = candidate.start(&handler(""));
        let message = event("INBOX", r#","imap-uid":7,"imap-uidvalidity":1795261286"#);
        server.push(&message).accepted();
        candidate.wait_done(1);
        server.push(&message).accepted();
        server.push(&event("marker", "")).accepted();
        let lines = candidate.wait_line("marker");
        server.end();
        match lines.len() {
            2 => "handled once".to_owned(),
            3 => "handled twice".to_owned(),
            _ => format!("{lines:?}"),
        }
    });
}

#[test]
fn a_nul_in_a_text_keeps_no_command_from_running() {
    compare("A NUL in a mail's text", |candidate| {
        candidate.script("echo $IMSE_FOLDER >> done");
        let server = candidate.start(&handler(""));
        server.push(&event("odd", r#","from":"a\u0000b""#)).accepted();
        let runs = candidate.comes(|| candidate.done() == ["odd"]);
        server.push(&event("marker", "")).accepted();
        candidate.wait_line("marker");
        server.end();
        if runs { "the command runs" } else { "the command doesn't run" }.to_owned()
    });
}
