//! What popups say, and which events get one.

use zbus6::Variant;

use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::{Behaviour, Desktop, Notification, SPEAKS_DBUS};
use crate::support::http::fixture_request;
use crate::support::mail::Mail;
use crate::support::recorder::Recorder;
use crate::support::require;
use crate::support::wait::{holds, wait_until};

const ESC: char = '\u{1b}';

/// A desktop and the program on it, with this configuration; none where there is no bus daemon.
fn start(config: &str) -> Option<(Bus, Desktop, Running)> {
    if !require(&["dbus-daemon"]) {
        return None;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let daemon = Daemon::new().bus(&bus).config(config).start();
    Some((bus, desktop, daemon))
}

fn texts(note: &Notification) -> (&str, &str) {
    (&note.summary, &note.body)
}

/// Asserts that nothing came before the popup of a message from `marker`, which is pushed now.
#[track_caller]
fn next_is_marker(daemon: &Running, desktop: &Desktop) {
    daemon.push(&Mail::new("Marker <marker@example.org>", "marker").json()).accepted();
    assert_eq!(desktop.next_notification().summary, "Marker");
}

#[test]
fn sender_and_subject_are_shown_as_their_author_wrote_them() {
    let Some((_bus, desktop, daemon)) = start("[[handler]]\nnotify = { summarise_over = 20 }") else { return };
    for (captured, summary, body) in [
        ("ascii", "Alice", "Lunch on Friday?\nShall we meet at noon? Regards, Alice"),
        ("rfc2047-B-iso-2022-jp", "山田太郎", "日本語の件名テスト\n日本語の件名テスト"),
        ("rfc2047-Q-koi8-r", "Иван Петров", "Привет, мир\nПривет, мир"),
        ("rfc2047-B-gb18030", "王小明", "会议通知 测试\n会议通知 测试"),
        ("rfc2047-split-char", "Alice", "A☃B\nBody text."),
        ("quoted-from", "O'Hara, \"Bob\" <evil>", "s\nBody text."),
        ("subject-folded", "Alice", "This subject is folded over three lines\nBody text."),
        ("no-from", "Unknown sender", "s\nBody text."),
        ("empty-subject", "Alice", "(no subject)\nBody text."),
    ] {
        fixture_request(&format!("tests/data/ox/{captured}.http"), daemon.addr()).accepted();
        let note = desktop.next_notification();
        assert_eq!(texts(&note), (summary, body), "{captured}");
    }
    daemon.stop();
}

#[test]
fn the_body_is_escaped_where_it_is_read_as_markup_and_the_summary_never() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let mail =
        Mail::new("\"<b>A & B</b>\" <a@example.org>", "<i>1 < 2</i>").with("snippet", "&amp; it's \"so\"").json();
    for (capabilities, body) in [
        (&["body", "body-markup", "actions"][..], "&lt;i&gt;1 &lt; 2&lt;/i&gt;\n&amp;amp; it&#39;s &quot;so&quot;"),
        (&["body"][..], "<i>1 < 2</i>\n&amp; it's \"so\""),
    ] {
        let bus = Bus::start();
        let desktop = Desktop::on(&bus).capabilities(capabilities).start();
        let daemon = Daemon::new().bus(&bus).start();
        daemon.push(&mail).accepted();
        let note = desktop.next_notification();
        assert_eq!(texts(&note), ("<b>A & B</b>", body));
        assert_eq!(note.action("default").is_some(), capabilities.contains(&"actions"));
        daemon.stop();
    }
}

#[test]
fn a_service_without_bodies_gets_the_subject_in_the_summary() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::on(&bus).capabilities(&[]).start();
    let daemon = Daemon::new().bus(&bus).start();
    daemon.push(&Mail::new("Alice <a@example.org>", "Lunch").with("snippet", "At one?").json()).accepted();
    assert_eq!(texts(&desktop.next_notification()), ("Alice: Lunch", ""));
    daemon.stop();
}

#[test]
fn hostile_texts_arrive_clean_and_cost_neither_the_bus_nor_the_tray() {
    let Some((_bus, desktop, daemon)) = start("[[handler]]\nnotify = { summarise_over = 20 }") else { return };
    desktop.tray();
    let item = desktop.tray_items();
    let hostile = [
        "a\0b".to_owned(),
        format!("{ESC}[31mred{ESC}]0;title\u{7}"),
        "\u{202e}gnp.exe\u{2066}\u{200f}".to_owned(),
        "tags \u{e0041}\u{e007f}".to_owned(),
        "x".repeat(10_000),
        "e\u{301}".repeat(5_000) + &"\u{301}".repeat(5_000),
        "one\r\n\r\n\n\n two\u{2028}three\u{85}four".to_owned(),
        "=?utf-8?B?AAEbWzMxbQ==?= =?utf-8?Q?=E2=80=AE?=".to_owned(),
        "\u{7f}\u{9b}31m \u{feff}".to_owned(),
        "<b>bold</b> <a href=\"http://example.org/\">a</a> <img src=\"/etc/passwd\"/> &amp; </b>".to_owned(),
        "\u{200b}\u{200d}\u{2060}".repeat(3_000) + "a",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".repeat(100),
        "s".repeat(100_000),
    ];
    for text in &hostile {
        let mail = Mail::new(text, text).with("snippet", text.as_str()).folder(text).with("user", text.as_str());
        daemon.push(&mail.json()).accepted();
        let note = desktop.next_notification();
        assert!(!note.summary.is_empty() && !note.body.is_empty(), "{text:?} became {note:?}");
        assert!(note.summary.len() <= 4096 && note.body.len() <= 4096, "{} bytes", note.body.len());
        assert!(!note.summary.chars().any(is_unsafe), "{:?}", note.summary);
        assert!(!note.body.chars().any(|c| c != '\n' && is_unsafe(c)), "{:?}", note.body);
        assert!(note.body.lines().count() <= 2, "{:?}", note.body);
        assert!(!note.body.contains(['<', '>', '"']), "markup that it didn't write: {:?}", note.body);
    }
    next_is_marker(&daemon, &desktop);
    assert_eq!(desktop.tray_items(), item, "the tray icon never left the bus");
    let log = daemon.stop().stderr;
    assert!(!log.contains("for now"), "the bus was lost:\n{log}");
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[test]
fn a_display_name_that_looks_like_an_address_gives_way_to_the_address() {
    let Some((_bus, desktop, daemon)) = start("") else { return };
    for (from, summary) in [
        ("\"boss@example.org\" <evil@example.net>", "evil@example.net"),
        ("=?utf-8?Q?boss=40example=2Eorg?= <evil@example.net>", "evil@example.net"),
        ("=?utf-8?Q?=E2=80=AE?= <plain@example.org>", "plain@example.org"),
    ] {
        daemon.push(&Mail::new(from, "s").json()).accepted();
        assert_eq!(desktop.next_notification().summary, summary);
    }
    daemon.stop();
}

#[test]
fn templates_make_the_texts() {
    let config = "[[handler]]\n[handler.notify]\nsummary = \"{user} in {folder}: {from_name} <{from_address}>\"\n\
        body = \"{{{subject}}} {event} {uid}/{uid_validity} {unseen} {message_id}|{snippet}\"";
    let Some((_bus, desktop, daemon)) = start(config) else { return };
    let mail = Mail::new("Alice <a@example.org>", "Lunch {from}").with("imap-uid", 7).with("imap-uidvalidity", 8);
    daemon.push(&mail.with("unseen", 3).with("message-id", "<m@example.org>").json()).accepted();
    let summary = "alice in INBOX: Alice <a@example.org>";
    let body = "{Lunch {from}} MessageNew 7/8 3 m@example.org|";
    assert_eq!(texts(&desktop.next_notification()), (summary, body));
    daemon.stop();
}

#[test]
fn urgency_expiry_and_icon_are_as_the_handler_says() {
    let config = "[[handler]]\nuser = \"low\"\n\
        notify = { urgency = \"low\", expire = \"10s\", icon = \"mail-unread\" }\n\
        [[handler]]\nuser = \"critical\"\nnotify = { urgency = \"critical\", expire = \"never\" }\n\
        [[handler]]\nnotify = true";
    let Some((_bus, desktop, daemon)) = start(config) else { return };
    for (user, urgency, timeout, icon) in
        [("low", 0u8, 10_000, "mail-unread"), ("critical", 2, 0, ""), ("else", 1, -1, "")]
    {
        daemon.push(&Mail::new("Alice <a@example.org>", "s").with("user", user).json()).accepted();
        let note = desktop.next_notification();
        assert_eq!((note.hint("urgency"), note.timeout), (Some(urgency), timeout), "{user}");
        assert_eq!((note.app_name.as_str(), note.replaces_id), ("Mailknock", 0));
        assert_eq!(note.hint::<String>("desktop-entry").as_deref(), Some("mailknock"));
        assert_eq!(note.hint::<String>("category").as_deref(), Some("email.arrived"));
        assert_eq!(note.action("default"), Some("Open"));
        if !SPEAKS_DBUS {
            // notify-rust sends no picture: ours is found by its name, where Mailknock is installed.
            assert_eq!(note.icon, if icon.is_empty() { "mailknock" } else { icon }, "{user}");
            continue;
        }
        assert_eq!(note.icon, icon, "{user}");
        // Our own picture where the handler names none: width, height, bytes a row, opacity, bits, channels, pixels.
        let picture = note.hints.get("image-data").map(|data| Variant::try_from(data).expect("no descriptors in it"));
        assert_eq!(picture.is_some(), icon.is_empty(), "{user}");
        if let Some(picture) = picture {
            let parts = <(i32, i32, i32, bool, i32, i32, Vec<u8>)>::try_from(picture).expect("the specified form");
            let (width, height, row, has_opacity, bits, channels, pixels) = parts;
            assert_eq!((row, has_opacity, bits, channels), (width * 4, true, 8, 4));
            assert_eq!(i32::try_from(pixels.len()), Ok(row * height));
            assert!(width >= 48 && pixels.chunks(4).any(|pixel| pixel[3] == 255), "it can be seen");
        }
    }
    daemon.stop();
}

#[test]
fn mail_that_nobody_waits_for_is_silent_unless_asked_for() {
    let Some((_bus, desktop, daemon)) = start("") else { return };
    for folder in ["Sent", "Junk", "INBOX.Spam", "[Gmail]/Trash", "sent"] {
        daemon.push(&Mail::new("Silent <s@example.org>", "s").folder(folder).json()).accepted();
    }
    daemon.push(&Mail::new("Silent <s@example.org>", "s").with("event", "FlagsSet").json()).accepted();
    next_is_marker(&daemon, &desktop);
    daemon.stop();

    let Some((_bus, desktop, daemon)) = start("[[handler]]\nfolder = \"*\"\nnotify = true") else { return };
    daemon.push(&Mail::new("Heard <h@example.org>", "s").folder("Junk").json()).accepted();
    assert_eq!(desktop.next_notification().summary, "Heard");
    daemon.stop();
}

#[test]
fn the_first_notify_handler_that_matches_decides() {
    let config = "[[handler]]\nfolder = \"lists/*\"\nsubject = \"*urgent*\"\nnotify = { summary = \"Urgent\" }\n\
        [[handler]]\nfolder = \"lists/*\"\nnotify = false\n\
        [[handler]]\nfrom = \"*@example.org\"\nnotify = { summary = \"Known: {from_name}\" }\n\
        [[handler]]\nnotify = true";
    let Some((_bus, desktop, daemon)) = start(config) else { return };
    daemon.push(&Mail::new("A <a@example.org>", "hello").folder("lists/rust").json()).accepted();
    daemon.push(&Mail::new("A <a@example.org>", "an URGENT one").folder("lists/rust").json()).accepted();
    assert_eq!(desktop.next_notification().summary, "Urgent", "the one before it was silenced");
    daemon.push(&Mail::new("A <a@example.org>", "hello").json()).accepted();
    assert_eq!(desktop.next_notification().summary, "Known: A", "and only one handler shows it");
    daemon.push(&Mail::new("B <b@example.com>", "hello").json()).accepted();
    assert_eq!(desktop.next_notification().summary, "B");
    daemon.stop();
}

#[test]
fn without_notifications_commands_and_tray_go_on() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let recipe = Daemon::new().bus(&bus).args(&["run", "--no-notifications"]);
    let recorder = Recorder::new(&recipe, "fetch");
    let config = format!("[[handler]]\ncommand = {}\n[[handler]]\nnotify = true", recorder.command(&[]));
    let daemon = recipe.config(&config).start();
    daemon.push(&Mail::new("Alice <a@example.org>", "s").json()).accepted();
    assert_eq!(recorder.wait_starts(1)[0].trigger, "event");
    let item = desktop.tray();
    wait_until("the tray to count it", || holds(item.tooltip().text.starts_with("1 new message")));
    daemon.stop();
    assert!(desktop.try_notification().is_none());
}

#[test]
fn plasma_is_told_whose_mail_it_is_beside_the_programs_name() {
    let config = "[[account]]\nuser = \"alice\"\nlabel = \"Work\"";
    let Some((_bus, desktop, daemon)) = start(config) else { return };
    for (user, name) in [("alice", Some("Work")), ("bob", None)] {
        daemon.push(&Mail::new("Alice <a@example.org>", "s").with("user", user).json()).accepted();
        let note = desktop.next_notification();
        assert_eq!(note.hint::<String>("x-kde-origin-name").as_deref(), name);
        assert_eq!(note.app_name, "Mailknock");
        assert!(!note.hints.contains_key("x-kde-display-appname"), "it would take the program's name away");
    }
    daemon.stop();
}

/// A mail that looks like all others from here, so that Plasma refuses the second; its folder makes it another one.
fn repeat(uid: u32) -> Mail {
    let mail = Mail::new("Cron <cron@example.org>", "done").folder(&uid.to_string());
    mail.with("imap-uid", uid).with("imap-uidvalidity", 1)
}

#[test]
fn what_plasma_refuses_as_a_repeat_is_shown_a_little_later_and_holds_up_nothing() {
    let others = "[[handler]]\nfrom = \"Alice*\"\nnotify = true\n[[handler]]\nnotify = true";
    let Some((_bus, desktop, daemon)) = start(others) else { return };
    next_is_marker(&daemon, &desktop);
    desktop.behave(Behaviour::RefuseRepeats);
    // In one request, which is one run.
    let repeats = [1, 2, 3].map(|uid| repeat(uid).json()).join(",");
    daemon.push(&format!("[{repeats}]")).accepted();
    assert_eq!(texts(&desktop.next_notification()), ("Cron", "done"));
    wait_until("two refusals", || (desktop.refused() == 2).then_some(()));
    assert!(desktop.try_notification().is_none());
    daemon.push(&Mail::new("Alice <a@example.org>", "s").json()).accepted();
    let order = [(); 3].map(|()| desktop.next_notification().summary);
    assert_eq!(order, ["Alice", "Cron", "Cron"]);
    assert_eq!(desktop.refused(), 2, "each was asked for once more");
    let log = daemon.stop().stderr;
    assert!(!log.contains("refused a popup"), "{log}");
}

#[test]
fn what_is_refused_as_a_repeat_twice_is_told_in_the_log() {
    let Some((_bus, desktop, mut daemon)) = start("") else { return };
    desktop.behave(Behaviour::RefuseAsRepeats);
    daemon.push(&repeat(1).json()).accepted();
    daemon.wait_log("the notification service refused a popup: Created too many similar notifications");
    assert_eq!(desktop.refused(), 2);
    desktop.behave(Behaviour::Answer);
    next_is_marker(&daemon, &desktop);
    daemon.stop();
}

#[test]
fn what_is_read_before_its_second_try_is_not_shown() {
    let Some((_bus, desktop, daemon)) = start("") else { return };
    desktop.behave(Behaviour::RefuseAsRepeats);
    daemon.push(&repeat(1).json()).accepted();
    wait_until("a refusal", || (desktop.refused() == 1).then_some(()));
    daemon.push(&repeat(1).with("event", "MessageRead").json()).accepted();
    // The second try of this one comes after that of the first.
    daemon.push(&repeat(2).with("subject", "other").json()).accepted();
    wait_until("a refusal", || (desktop.refused() == 2).then_some(()));
    desktop.behave(Behaviour::Answer);
    assert_eq!(desktop.next_notification().body, "other");
    next_is_marker(&daemon, &desktop);
    daemon.stop();
}

#[test]
fn what_waits_for_a_second_try_is_shown_once_by_the_next_service() {
    let Some((_bus, mut desktop, mut daemon)) = start("") else { return };
    desktop.behave(Behaviour::RefuseAsRepeats);
    daemon.push(&repeat(1).json()).accepted();
    wait_until("a refusal", || (desktop.refused() == 1).then_some(()));
    desktop.stop_notifications();
    daemon.wait_log("no notifications for now");
    desktop.start_notifications();
    assert_eq!(texts(&desktop.next_notification()), ("Cron", "done"));
    let marker = Mail::new("Marker <marker@example.org>", "marker").json();
    desktop.behave(Behaviour::RefuseAsRepeats);
    daemon.push(&marker).accepted();
    wait_until("a refusal", || (desktop.refused() == 2).then_some(()));
    desktop.behave(Behaviour::Answer);
    assert_eq!(desktop.next_notification().summary, "Marker", "the time for another try has passed");
    daemon.stop();
}
