//! Whether the mail server has told of anything yet.

use super::*;
use crate::record::recent;
use crate::support::mail::Mail;

const NAME: &str = "mail server";
const METADATA: &str =
    "doveadm mailbox metadata set -u USER -s \"\" /private/vendor/vendor.dovecot/http-notify user=USER";

#[track_caller]
fn nothing_came(recipe: &Daemon) {
    let report = doctor(recipe);
    report.advises("warning", NAME, "nothing has come from it yet", METADATA);
    assert_eq!(report.code, Some(0), "{}", report.text);
}

#[test]
fn until_something_came_the_reasons_are_told_and_then_when_it_was() {
    let recipe = Daemon::new();
    nothing_came(&recipe);
    let setup = recipe.command(&["setup", "dovecot"]).succeeded().stdout;
    assert!(setup.contains(&METADATA.replace("USER", "alice")), "{setup}");
    let daemon = start(&recipe);
    nothing_came(&recipe);
    // The test event of that look is no mail server's.
    assert_eq!(recent(&recipe, &[]).len(), 1);
    nothing_came(&recipe);
    daemon.push(&Mail::new("Bob <bob@example.org>", "secret").json()).accepted();
    let came = |recipe: &Daemon| {
        let report = doctor(recipe);
        let said = report.says("ok", NAME, "last told of something: ")["said"].as_str().expect("a text");
        assert!(said.ends_with(", MessageNew for alice"), "{said}");
        assert!(!report.text.contains("METADATA") && !report.text.contains("secret"), "{}", report.text);
    };
    came(&recipe);
    daemon.stop();
    // Now by the record.
    came(&recipe);
}

#[test]
fn what_is_in_memory_alone_is_known_while_it_runs() {
    let recipe = Daemon::new().config("[history]\nkeep = 0\n");
    doctor(&recipe).says("unknown", NAME, "`history.keep` is 0");
    let daemon = start(&recipe);
    nothing_came(&recipe);
    daemon.push(&Mail::new("Bob <bob@example.org>", "s").json()).accepted();
    doctor(&recipe).says("ok", NAME, "MessageNew for alice");
    daemon.stop();
    doctor(&recipe).says("unknown", NAME, "`history.keep` is 0");
}
