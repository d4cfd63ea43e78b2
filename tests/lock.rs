//! A locked screen: what mail says is covered or waits, as long as anybody who may says so.

use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::{Behaviour, Desktop, Notification};
use crate::support::mail::Mail;
use crate::support::require;
use crate::support::service::{Answer, Service};
use crate::support::wait::{holds, wait_until};

const GNOME: &str = "org.gnome.ScreenSaver";
const MATE: &str = "org.mate.ScreenSaver";
const NAMES: [&str; 5] =
    [GNOME, MATE, "org.cinnamon.ScreenSaver", "org.xfce.ScreenSaver", "org.freedesktop.ScreenSaver"];
const COVER: &str = "1 new message";

struct Screen {
    // First: it is to end before its desktop.
    daemon: Running,
    desktop: Desktop,
    bus: Bus,
}

impl Screen {
    fn start(config: &str) -> Option<Screen> {
        Self::on(require(&["dbus-daemon"]).then(Bus::start)?, config)
    }

    fn on(bus: Bus, config: &str) -> Option<Screen> {
        let desktop = Desktop::start(&bus);
        let daemon = Daemon::new().bus(&bus).config(config).start();
        Some(Screen { daemon, desktop, bus })
    }

    /// Each in a folder of its own, so that none is part of a burst.
    #[track_caller]
    fn push(&self, name: &str) {
        self.daemon.push(&Mail::new(&format!("{name} <a@example.org>"), "s").folder(name).json()).accepted();
    }

    #[track_caller]
    fn mail(&self, name: &str) -> Notification {
        self.push(name);
        self.desktop.next_notification()
    }

    /// A locker that is known, and says that nothing is locked.
    #[track_caller]
    fn locker(&self, name: &str) -> Service {
        let locker = Service::start(&self.bus, name, Answer::Truth(false));
        wait_until("the locker to be asked", || holds(!locker.calls().is_empty()));
        locker
    }
}

/// The place, and what is there now.
fn what(note: &Notification) -> (u32, &str, &str) {
    (note.replaces_id, &note.summary, &note.body)
}

#[test]
fn popups_are_covered_while_any_locker_says_so_and_uncovered_in_their_places() {
    let account = "[[account]]\nuser = \"alice\"\nlabel = \"Work\"\n[[handler]]\n";
    let button = "[handler.notify]\nactions = [{ label = \"Say\", command = [\"echo\", \"{subject}\"] }]";
    let Some(screen) = Screen::start(&format!("{account}{button}")) else { return };
    let first = screen.mail("Alice");
    assert_eq!((what(&first), first.action("button-0")), ((0, "Work: Alice", "s"), Some("Say")));
    for name in NAMES {
        let locker = screen.locker(name);
        locker.says_locked(name, true);
        let covered = screen.desktop.next_notification();
        assert_eq!(what(&covered), (first.id, "Work: 1 new message", ""), "{name}");
        assert_eq!((covered.action("button-0"), covered.icon.as_str()), (None, ""));
        locker.says_locked(name, true);
        locker.says_locked(name, false);
        let bare = screen.desktop.next_notification();
        assert_eq!(what(&bare), (first.id, "Work: Alice", "s"), "{name}");
        assert_eq!(bare.action("button-0"), Some("Say"));
    }
    assert!(screen.desktop.try_notification().is_none(), "nothing is said twice");
    screen.daemon.stop();
}

#[test]
fn a_screen_that_was_locked_before_shows_nothing_of_the_first_mail() {
    // MATE's object is at the root, the others' at paths like their names.
    for (name, path) in [(GNOME, "/org/gnome/ScreenSaver"), (MATE, "/")] {
        if !require(&["dbus-daemon"]) {
            return;
        }
        let bus = Bus::start();
        let locker = Service::at(&bus, name, Some(path), Answer::Truth(true));
        let Some(screen) = Screen::on(bus, "") else { return };
        let first = screen.mail("Alice");
        assert_eq!(first.summary, COVER, "{name}");
        locker.says_locked(name, false);
        assert_eq!(what(&screen.desktop.next_notification()), (first.id, "Alice", "s"));
        screen.daemon.stop();
    }
}

#[test]
fn a_locker_that_is_gone_locks_nothing() {
    let Some(screen) = Screen::start("") else { return };
    screen.mail("Alice");
    let locker = screen.locker(GNOME);
    locker.says_locked(GNOME, true);
    assert_eq!(screen.desktop.next_notification().summary, COVER);
    drop(locker);
    assert_eq!(screen.desktop.next_notification().summary, "Alice");
    screen.daemon.stop();
}

#[test]
fn a_locker_that_is_replaced_while_it_locks_uncovers_nothing() {
    let Some(screen) = Screen::start("") else { return };
    screen.mail("Alice");
    let locker = screen.locker(GNOME);
    let other = screen.locker(MATE);
    // This one first: that of the other may come after its end.
    other.says_locked(MATE, true);
    assert_eq!(screen.desktop.next_notification().summary, COVER);
    locker.says_locked(GNOME, true);
    // One of two.
    drop(locker);
    let next = Service::start(&screen.bus, GNOME, Answer::Truth(true));
    wait_until("the next one to be asked", || holds(!next.calls().is_empty()));
    other.says_locked(MATE, false);
    assert_eq!(screen.mail("Bob").summary, COVER, "and nothing before it");
    next.says_locked(GNOME, false);
    let bare = [screen.desktop.next_notification().summary, screen.desktop.next_notification().summary];
    assert_eq!(bare, ["Alice", "Bob"]);
    screen.daemon.stop();
}

#[test]
fn others_are_not_believed() {
    let Some(screen) = Screen::start("") else { return };
    screen.mail("Alice");
    let locker = screen.locker(GNOME);
    let stranger = Service::start(&screen.bus, "org.example.ScreenSaver", Answer::Truth(true));
    // Another interface, another's, and no truth value.
    stranger.says_locked("org.example.ScreenSaver", true);
    stranger.says_locked(GNOME, true);
    stranger.says_locked(MATE, true);
    locker.says_locked(MATE, true);
    locker.emit(None, "/", GNOME, "ActiveChanged", &"yes");
    locker.emit(None, "/", GNOME, "WakeUpScreen", &true);
    assert!(stranger.calls().is_empty());
    assert_eq!(screen.mail("Bob").summary, "Bob");
    locker.says_locked(GNOME, true);
    let covered = [screen.desktop.next_notification(), screen.desktop.next_notification()];
    assert_eq!(covered.map(|note| note.summary), [COVER, COVER]);
    screen.daemon.stop();
}

#[test]
fn a_popup_that_is_closed_in_the_meantime_does_not_come_back_with_the_lock() {
    let Some(screen) = Screen::start("") else { return };
    let desktop = &screen.desktop;
    let ids = ["Alice", "Bob", "Carol"].map(|name| screen.mail(name).id);
    let locker = screen.locker(GNOME);
    desktop.dismiss(ids[0]);
    desktop.settle();
    // While the second is being covered the third is closed: what is asked for it is on its way already.
    desktop.behave(Behaviour::Hang);
    locker.says_locked(GNOME, true);
    wait_until("the program to ask", || holds(desktop.hanging() == 1));
    desktop.dismiss(ids[2]);
    desktop.behave(Behaviour::Answer);
    assert_eq!(what(&desktop.next_notification()), (ids[1], COVER, ""));
    assert_eq!(what(&screen.mail("Dave")), (0, COVER, ""), "and nothing before it");
    assert_eq!(desktop.shown().len(), 2);
    screen.daemon.stop();
}

#[test]
fn with_hold_they_wait_and_come_as_one() {
    let config = "[pause]\nwhen_locked = \"hold\"\n[log]\nmax_level = \"debug\"\nlevel = true";
    let Some(mut screen) = Screen::start(config) else { return };
    assert_eq!(screen.mail("Alice").summary, "Alice");
    let locker = screen.locker("org.xfce.ScreenSaver");
    locker.says_locked("org.xfce.ScreenSaver", true);
    screen.daemon.wait_log("the screen is locked");
    screen.push("Bob");
    screen.push("Carol");
    locker.says_locked("org.xfce.ScreenSaver", false);
    assert_eq!(screen.desktop.next_notification().summary, "2 new messages");
    screen.daemon.stop();
}

#[test]
fn nobody_is_asked_where_it_makes_no_difference_until_a_reload_says_otherwise() {
    let Some(mut screen) = Screen::start("[pause]\nwhen_locked = \"show\"") else { return };
    let locker = Service::start(&screen.bus, GNOME, Answer::Truth(true));
    assert_eq!(screen.mail("Alice").summary, "Alice");
    locker.says_locked(GNOME, true);
    assert_eq!(screen.mail("Bob").summary, "Bob");
    assert!(locker.calls().is_empty());

    let mut reload = |text: &str| {
        let from = screen.daemon.log_length();
        screen.daemon.recipe().write_config(text);
        screen.daemon.wait_log_after(from, "configuration reloaded");
    };
    reload("[pause]\nwhen_locked = \"hide-content\"");
    let covered = [screen.desktop.next_notification().summary, screen.desktop.next_notification().summary];
    assert_eq!((covered, locker.calls().len()), ([COVER.to_owned(), COVER.to_owned()], 1));
    reload("[pause]\nwhen_locked = \"show\"");
    let bare = [screen.desktop.next_notification().summary, screen.desktop.next_notification().summary];
    assert_eq!(bare, ["Alice", "Bob"]);
    assert_eq!(screen.mail("Carol").summary, "Carol");
    screen.daemon.stop();
}

#[test]
fn the_lock_is_known_again_when_the_bus_comes_back() {
    let Some(mut screen) = Screen::start("") else { return };
    for is_locked in [true, false, true] {
        let lines = screen.daemon.log_length();
        screen.bus.stop();
        screen.daemon.wait_log_after(lines, "no notifications for now");
        screen.push("Alice");
        screen.bus.restart();
        let locker = Service::start(&screen.bus, GNOME, Answer::Truth(is_locked));
        screen.desktop = Desktop::start(&screen.bus);
        let first = screen.desktop.next_notification();
        assert_eq!(first.summary, if is_locked { COVER } else { "Alice" });
        locker.says_locked(GNOME, !is_locked);
        let changed = screen.desktop.next_notification();
        assert_eq!(
            (changed.replaces_id, changed.summary.as_str()),
            (first.id, if is_locked { "Alice" } else { COVER })
        );
        screen.desktop.settle();
    }
    screen.daemon.stop();
}

#[test]
fn a_locker_that_hangs_holds_up_nothing_for_long() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let locker = Service::start(&bus, GNOME, Answer::Never);
    let Some(screen) = Screen::on(bus, "") else { return };
    screen.desktop.tray();
    assert_eq!(screen.mail("Alice").summary, "Alice");
    locker.says_locked(GNOME, true);
    assert_eq!(screen.desktop.next_notification().summary, COVER);
    screen.daemon.stop();
}
