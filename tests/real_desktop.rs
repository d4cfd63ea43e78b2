//! A real notification service and real panels, with their own ideas of text, clicks and restarts.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;

use zbus6::OwnedVariant;

use crate::support::bus::{Client, Place};
use crate::support::daemon::Daemon;
use crate::support::mail::Mail;
use crate::support::real_desktop::{RealDesktop, XFCE_NOTIFICATIONS};
use crate::support::recorder::Recorder;
use crate::support::require;
use crate::support::wait::{EVENTUALLY, holds, wait_long, wait_until};

#[test]
fn popups_hold_exactly_what_the_mail_says() {
    if !RealDesktop::available() {
        return;
    }
    let desktop = RealDesktop::start();
    let daemon = Daemon::on(&desktop).start();
    let hostile = "<b>bold</b> & <a href='http://x'>l</a> &lt; \u{202e}\0\u{1b}[1m";
    let sent = [
        Mail::new("=?iso-2022-jp?B?GyRCOzNFREJATzobKEI=?= <y@example.org>", "=?koi8-r?Q?=F0=D2=C9=D7=C5=D4?="),
        Mail::new("\"<i>Eve</i> & co\" <eve@example.net>", hostile).with("snippet", "1 < 2 <br> &amp;"),
        Mail::new("Long <long@example.net>", &"long ".repeat(2000)),
    ];
    for (number, mail) in (1..).zip(&sent) {
        daemon.push(&mail.json()).accepted();
        desktop.wait_displayed(number);
    }
    let history = desktop.dunst_history();
    let shown: Vec<_> = history.iter().rev().map(|note| (note.summary.as_str(), note.body.as_str())).collect();
    assert_eq!(shown.len(), 3, "{shown:#?}");
    assert_eq!(shown[0], ("山田太郎", "Привет"));
    // dunst keeps the body as the markup that it was sent.
    let body = "&lt;b&gt;bold&lt;/b&gt; &amp; &lt;a href=&#39;http://x&#39;&gt;l&lt;/a&gt; &amp;lt; [1m\n1 &lt; 2 &lt;br&gt; &amp;amp;";
    assert_eq!(shown[1], ("<i>Eve</i> & co", body));
    assert!(shown[2].1.ends_with("long…"), "{}", shown[2].1);
    assert!(history.iter().all(|note| note.app_name == "Mailknock" && note.default_action == "default"));
    daemon.stop();
}

#[test]
fn a_service_that_our_own_popup_starts_keeps_it_and_its_click() {
    if !RealDesktop::available() {
        return;
    }
    let desktop = RealDesktop::start();
    desktop.start_dunst_on_demand();
    let recipe = Daemon::on(&desktop);
    let open = Recorder::new(&recipe, "open");
    let daemon = recipe.config(&format!("[tray]\nopen = {}\n", open.command(&[]))).start();
    let client = Client::connect(&desktop.bus().address());
    daemon.push(&Mail::new("Alice <a@example.org>", "s").json()).accepted();
    // To ask it anything would start it, too.
    wait_long("the service to be started", || holds(client.is_owned(SERVICE.service)));
    desktop.wait_displayed(1);
    desktop.dunst_action(0);
    open.wait_starts(1);
    desktop.wait_displayed(0);
    daemon.stop();
    desktop.end_dunst_on_demand();
}

#[test]
fn no_text_harms_a_real_notification_service() {
    if !RealDesktop::available() || !require(&[XFCE_NOTIFICATIONS]) {
        return;
    }
    for desktop in [RealDesktop::start(), RealDesktop::start_with_xfce_notifications()] {
        let client = Client::connect(&desktop.bus().address());
        let service: String = client.call(Place::BUS, "GetNameOwner", &SERVICE.service).expect("it runs");
        let monitor = Client::connect(&desktop.bus().address());
        let calls = monitor.overhear("type='method_call',member='Notify'");
        let config = "[[handler]]\n[handler.notify]\nsummarise_over = 20\nsound = \"message-new-email\"";
        let daemon = Daemon::on(&desktop).config(config).start();
        for text in [
            "<b>b</b> <a href=\"http://example.org/\">a</a> <img src=\"/etc/passwd\"/> &amp; </b> <i>",
            "\u{202e}gnp.exe\u{2066}\u{200f}",
            &("\u{200b}\u{200d}\u{2060}".repeat(3_000) + "a"),
            &"\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".repeat(100),
            &"s".repeat(100_000),
            &"e\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}".repeat(1_000),
            "",
        ] {
            let from = format!("\"{text}\" <a@example.org>");
            daemon.push(&Mail::new(&from, text).with("snippet", text).json()).accepted();
            calls.recv_timeout(EVENTUALLY).expect("each is shown");
        }
        let about: (String, String, String, String) =
            client.call(SERVICE, "GetServerInformation", &()).expect("it still answers");
        let still: String = client.call(Place::BUS, "GetNameOwner", &SERVICE.service).expect("it runs");
        assert_eq!(still, service, "{} had to be started again", about.0);
        let log = daemon.stop().stderr;
        assert!(!log.contains("no notifications for now") && !log.contains("refused"), "{}: {log}", about.0);
    }
}

const SERVICE: Place<'static> = Place {
    service: "org.freedesktop.Notifications",
    path: "/org/freedesktop/Notifications",
    interface: "org.freedesktop.Notifications",
};

#[test]
fn a_click_on_a_popup_opens_its_mail_and_takes_it_away() {
    if !RealDesktop::available() {
        return;
    }
    let desktop = RealDesktop::start();
    let recipe = Daemon::on(&desktop);
    let opened = Recorder::new(&recipe, "open");
    let daemon =
        recipe.config(&format!("[tray]\nopen = {}", opened.command(&["{subject}", "mid:{message_id}"]))).start();
    let mail = Mail::new("Alice <a@example.org>", "Lunch?").with("message-id", "m@example.org");
    daemon.push(&mail.json()).accepted();
    desktop.wait_displayed(1);
    desktop.dunst_action(0);
    assert_eq!(opened.wait_starts(1)[0].arguments, ["Lunch?", "mid:m@example.org"]);
    desktop.wait_displayed(0);

    // By mouse, where dunst does the action and closes the popup itself.
    daemon.push(&Mail::new("Bob <b@example.org>", "Again").json()).accepted();
    desktop.wait_displayed(1);
    desktop.click_popup();
    assert_eq!(opened.wait_starts(2)[1].arguments, ["Again"]);
    desktop.wait_displayed(0);
    wait_until("what was opened to end", || holds(daemon.descendants().is_empty()));
    daemon.stop();
}

#[test]
fn a_burst_becomes_one_popup() {
    if !RealDesktop::available() {
        return;
    }
    let desktop = RealDesktop::start();
    let client = Client::connect(&desktop.bus().address());
    let calls = client.overhear("type='method_call',member='Notify'");
    let daemon = Daemon::on(&desktop).start();
    for number in 1..=6 {
        daemon.push(&Mail::new(&format!("A{number} <a@example.org>"), "s").json()).accepted();
        calls.recv_timeout(EVENTUALLY).expect("each mail shows something or changes it");
    }
    desktop.wait_displayed(1);
    // dunst takes what it is asked in order, so the sixth is done before this is answered.
    let history = desktop.dunst_history();
    assert_eq!(history[0].summary, "6 new messages in INBOX");
    assert_eq!(history.len(), 4, "three that were withdrawn, and one that changed in place: {history:#?}");
    daemon.stop();
}

#[test]
fn the_icon_fetches_and_comes_back_with_the_panel() {
    if !RealDesktop::available() {
        return;
    }
    let mut desktop = RealDesktop::start();
    let recipe = Daemon::on(&desktop);
    let fetch = Recorder::new(&recipe, "fetch");
    let config = format!("[[handler]]\nname = \"fetch\"\nuser = \"nobody\"\ncommand = {}", fetch.command(&[]));
    let daemon = recipe.config(&config).start();
    desktop.click_tray();
    assert_eq!(fetch.wait_starts(1)[0].trigger, "fetch");
    // The first entry that can be chosen fetches as well.
    desktop.open_tray_menu();
    choose(&desktop, 1);
    fetch.wait_starts(2);

    desktop.restart_panel();
    desktop.click_tray();
    fetch.wait_starts(3);
    daemon.stop();
}

#[test]
fn another_panel_shows_the_icon_and_the_menu_and_gets_both_back_after_its_end() {
    if !RealDesktop::available() || !require(&["lxqt-panel"]) {
        return;
    }
    let mut desktop = RealDesktop::start_with_lxqt_panel();
    let client = Client::connect(&desktop.bus().address());
    let monitor = Client::connect(&desktop.bus().address());
    let menu_events = monitor.overhear("type='method_call',interface='com.canonical.dbusmenu',member='Event'");
    assert_eq!(desktop.icon_colours(), Some(1), "the panel is empty before");
    let recipe = Daemon::on(&desktop);
    let (fetch, opened) = (Recorder::new(&recipe, "fetch"), Recorder::new(&recipe, "open"));
    let handler = format!("[[handler]]\nname = \"fetch\"\nuser = \"nobody\"\ncommand = {}", fetch.command(&[]));
    let daemon = recipe.config(&format!("[tray]\nopen = {}\n{handler}", opened.command(&[]))).start();
    wait_registered(&client, daemon.pid());
    desktop.click_tray();
    assert_eq!(fetch.wait_starts(1)[0].trigger, "fetch");

    let item = desktop.tray_item(daemon.pid());
    let choose_and_compare = |desktop: &RealDesktop, place: usize, label: &str| {
        // It has another name while a fetch runs, and entries get other numbers when the menu changes.
        item.entry("Fetch now");
        desktop.open_tray_menu();
        let expected = item.entry(label).id;
        choose(desktop, place);
        assert_eq!(next_choice(&menu_events), expected, "{label} has place {place}");
    };
    choose_and_compare(&desktop, 1, "Fetch now");
    fetch.wait_starts(2);
    choose_and_compare(&desktop, 2, "Open mail");
    opened.wait_starts(1);
    assert_eq!(fetch.starts().len(), 2);

    desktop.restart_panel();
    wait_registered(&client, daemon.pid());
    desktop.click_tray();
    fetch.wait_starts(3);
    choose_and_compare(&desktop, 1, "Fetch now");
    fetch.wait_starts(4);
    wait_until("what was started to end", || holds(daemon.descendants().is_empty()));
    daemon.stop();
}

/// Chooses the entry at this place of the open menu, counted from 1; those that can't be chosen don't count.
#[track_caller]
fn choose(desktop: &RealDesktop, place: usize) {
    (0..place).for_each(|_| desktop.press("Down"));
    desktop.press("Return");
    desktop.wait_menu_closed();
}

/// Waits until a panel that shows icons knows this one and no other.
#[track_caller]
fn wait_registered(client: &Client, pid: u32) {
    let watcher = Place {
        service: "org.kde.StatusNotifierWatcher",
        path: "/StatusNotifierWatcher",
        interface: "org.kde.StatusNotifierWatcher",
    };
    let item = format!("org.kde.StatusNotifierItem-{pid}-1");
    wait_long("the icon to be registered with the panel", || {
        let items = client.property::<Vec<String>>(watcher, "RegisteredStatusNotifierItems").unwrap_or_default();
        let shown = client.property::<bool>(watcher, "IsStatusNotifierHostRegistered").unwrap_or_default();
        // The panel adds the object's path.
        holds(shown && matches!(&items[..], [only] if only.starts_with(&item)))
    });
}

/// The number of the entry that the panel says is chosen.
#[track_caller]
fn next_choice(events: &Receiver<zbus6::Message>) -> i32 {
    loop {
        let event = events.recv_timeout(EVENTUALLY).expect("the panel tells of a choice");
        match event.body().deserialize::<(i32, String, OwnedVariant, u32)>() {
            Ok((entry, kind, ..)) if kind == "clicked" => return entry,
            // That a menu opens or closes is told, too.
            _ => {}
        }
    }
}

#[test]
fn a_frozen_notification_service_gets_one_summary_when_it_thaws() {
    if !RealDesktop::available() {
        return;
    }
    let desktop = RealDesktop::start();
    let client = Client::connect(&desktop.bus().address());
    let calls = client.overhear("type='method_call',member='Notify'");
    let mut daemon = Daemon::on(&desktop).start();
    daemon.push(&Mail::new("Before <b@example.org>", "s").json()).accepted();
    desktop.wait_displayed(1);
    desktop.freeze_notifications();
    for number in 1..=5 {
        daemon.push(&Mail::new(&format!("A{number} <a@example.org>"), "s").folder("Work").json()).accepted();
    }
    daemon.wait_log("the notification service does not answer");
    desktop.thaw_notifications();
    let summary = "5 new messages in Work";
    while !asks_for(&calls.recv_timeout(EVENTUALLY).expect("the summary of what waited"), summary) {}
    assert!(desktop.dunst_history().iter().any(|note| note.summary == summary));
    daemon.stop();
}

fn asks_for(notify: &zbus6::Message, summary: &str) -> bool {
    type Call = (String, u32, String, String, String, Vec<String>, HashMap<String, OwnedVariant>, i32);
    notify.body().deserialize::<Call>().is_ok_and(|call| call.3 == summary)
}
