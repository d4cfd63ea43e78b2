//! What is heard: the sound that a handler names, nothing else, and nothing at all where the desktop is not to be
//! disturbed.

use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::{Desktop, Notification};
use crate::support::mail::Mail;
use crate::support::require;
use crate::support::service::{Answer, Service};

const WITH_SOUND: &[&str] = &["actions", "body", "sound"];
const NAME: &str = "message-new-email";
const XFCE_SETTINGS: &str = "org.xfce.Xfconf";

/// A handler that names a sound, for the INBOX; others have none.
fn config() -> String {
    format!("[[handler]]\nfolder = \"INBOX\"\n[handler.notify]\nsound = \"{NAME}\"\n[[handler]]\nnotify = true")
}

fn start(bus: &Bus, capabilities: &[&str]) -> (Desktop, Running) {
    let desktop = Desktop::on(bus).capabilities(capabilities).start();
    (desktop, Daemon::new().bus(bus).config(&config()).start())
}

#[track_caller]
fn next(daemon: &Running, desktop: &Desktop, folder: &str) -> Notification {
    daemon.push(&Mail::new("Alice <a@example.org>", "s").folder(folder).json()).accepted();
    desktop.next_notification()
}

/// The sound's name, and whether the service is to make none of its own.
fn sound(note: &Notification) -> (Option<String>, Option<bool>) {
    (note.hint("sound-name"), note.hint("suppress-sound"))
}

#[test]
fn a_sound_is_the_one_that_the_handler_names_or_none() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let heard = (Some(NAME.to_owned()), None);
    for (capabilities, named, silent) in
        [(WITH_SOUND, heard, (None, Some(true))), (&["actions", "body"], (None, None), (None, None))]
    {
        let bus = Bus::start();
        let (desktop, daemon) = start(&bus, capabilities);
        assert_eq!(sound(&next(&daemon, &desktop, "Work")), silent, "{capabilities:?}");
        assert_eq!(sound(&next(&daemon, &desktop, "INBOX")), named, "{capabilities:?}");
        assert_eq!(sound(&next(&daemon, &desktop, "INBOX")), silent, "once in a while is enough");
        daemon.stop();
    }
}

#[test]
fn nothing_is_heard_while_the_desktop_is_not_to_be_disturbed() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let all = [Answer::Variant(true), Answer::Variant(false), Answer::Truth(true), Answer::Error];
    let of_xfce = all.map(|answer| (None, None, Some(answer), answer != Answer::Variant(true)));
    let of_others = [
        (Some(true), None, None, false),
        (Some(false), None, None, true),
        (None, Some(true), None, false),
        (None, Some(false), None, true),
        (Some(false), Some(false), Some(Answer::Variant(true)), false),
        (None, None, None, true),
    ];
    for (plasma, dunst, xfce, is_heard) in of_others.into_iter().chain(of_xfce) {
        let bus = Bus::start();
        let (desktop, daemon) = start(&bus, WITH_SOUND);
        desktop.inhibit(plasma);
        if let Some(paused) = dunst {
            desktop.pause_as_dunst(paused);
        }
        let settings = xfce.map(|answer| Service::start(&bus, XFCE_SETTINGS, answer));
        let expected = if is_heard { (Some(NAME.to_owned()), None) } else { (None, Some(true)) };
        assert_eq!(sound(&next(&daemon, &desktop, "INBOX")), expected, "{plasma:?} {dunst:?} {xfce:?}");
        if let Some(settings) = settings {
            let asked = settings.calls();
            let arguments = asked.first().and_then(|call| call.body().deserialize::<(String, String)>().ok());
            let expected = ("xfce4-notifyd".to_owned(), "/do-not-disturb".to_owned());
            assert_eq!((asked.len(), arguments), (1, Some(expected)));
        }
        daemon.stop();
    }
}

#[test]
fn it_is_asked_only_when_a_sound_would_be_made() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let settings = Service::start(&bus, XFCE_SETTINGS, Answer::Error);
    let (desktop, daemon) = start(&bus, WITH_SOUND);
    let asked = || (desktop.asked_inhibited(), settings.calls().len());
    next(&daemon, &desktop, "Work");
    assert_eq!(asked(), (0, 0), "a silent handler");
    next(&daemon, &desktop, "INBOX");
    assert_eq!(asked(), (1, 1));
    next(&daemon, &desktop, "INBOX");
    assert_eq!(asked(), (1, 1), "too soon for another sound");
    daemon.stop();
}

#[test]
fn settings_that_nobody_answers_for_hold_up_one_popup_for_a_while() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let _settings = Service::start(&bus, XFCE_SETTINGS, Answer::Never);
    let (desktop, daemon) = start(&bus, WITH_SOUND);
    assert_eq!(sound(&next(&daemon, &desktop, "INBOX")).0.as_deref(), Some(NAME));
    daemon.stop();
}
