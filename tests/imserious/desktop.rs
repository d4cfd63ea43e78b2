//! What is there to see.

use crate::support::bus::Bus;
use crate::support::desktop::Desktop;
use crate::support::mail::Mail;
use crate::support::require;

use super::candidate::{event, handler};
use super::{compare, compare_ability};

#[test]
fn new_mail_is_shown() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    compare_ability("Notifications", |candidate| {
        let bus = Bus::start();
        let desktop = Desktop::start(&bus);
        let config = "[[handler]]\nuser = \"alice\"\nnotify = true\n";
        let Ok(server) = candidate.start_as(config, |recipe| recipe.bus(&bus)) else { return false };
        let mail = Mail::new("=?utf-8?Q?J=C3=B6rg?= <j@example.org>", "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=");
        server.push(&mail.json()).accepted();
        let note = desktop.next_notification();
        server.end();
        (note.summary.as_str(), note.body.as_str()) == ("Jörg", "Grüße")
    });
}

#[test]
fn there_is_an_icon_in_the_tray() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    compare_ability("A tray icon", |candidate| {
        let bus = Bus::start();
        let desktop = Desktop::start(&bus);
        let server = candidate.start_as(&handler(""), |recipe| recipe.bus(&bus)).expect("it takes the configuration");
        let comes = candidate.comes(|| !desktop.tray_items().is_empty());
        server.end();
        comes
    });
}

#[test]
fn it_can_be_asked_what_happened() {
    compare("What happened lately", |candidate| {
        candidate.script("echo $IMSE_FOLDER >> done");
        let server = candidate.start(&handler(""));
        server.push(&event("Lists/rust", "")).accepted();
        candidate.wait_done(1);
        let told = candidate.command(&["recent"]).stdout.contains("Lists/rust");
        server.end();
        if told { "`mailknock recent`" } else { "no" }.to_owned()
    });
}
