//! A real Dovecot that tells of everything: what mail programs do to messages, from the IMAP command to popups, the
//! record and the tray.

mod popups;
mod record;
// It looks into the menu, which the portable desktop isn't told of.
#[cfg(feature = "dbus")]
mod standing;

use crate::support::daemon::{Daemon, Running};
use crate::support::dovecot::Dovecot;

const AUTH: &str = "[auth]\nuser = \"knock\"\npass = \"s3cret\"\n";

/// What the program's listener is called in Dovecot's settings.
fn push_url(daemon: &Running) -> String {
    format!("http://knock:s3cret@{}{}", daemon.addr(), daemon.url_path())
}

fn message(subject: &str) -> Vec<u8> {
    let headers = "From: =?utf-8?Q?J=C3=B6rg?= <j@example.org>\nTo: Alice <alice@example.org>\n\
        Date: Sat, 21 Nov 2026 12:00:00 +0100\n";
    format!("{headers}Subject: {subject}\nMessage-ID: <{subject}@example.org>\n\nUntil tomorrow.\n").into_bytes()
}

/// Asserts that our script had nothing to complain of, and ends the program.
#[track_caller]
fn finish(dovecot: &Dovecot, daemon: Running) -> Daemon {
    assert!(!dovecot.log().contains("mailknock:"), "{}", dovecot.log());
    let recipe = daemon.recipe().clone();
    daemon.stop();
    recipe
}
