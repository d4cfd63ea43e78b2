//! The tray icon: what it shows, and what its clicks and its menu do.

use crate::support::bus::Bus;
#[cfg(feature = "dbus")]
use crate::support::bus::Client;
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::{Desktop, EntryKind, SPEAKS_DBUS, TrayItem};
use crate::support::mail::Mail;
use crate::support::recorder::Recorder;
use crate::support::require;
#[cfg(feature = "dbus")]
use crate::support::wait::SOON;
use crate::support::wait::{holds, wait_until};

/// A desktop, and a home for the program in which scripts can be put before it starts.
fn prepare() -> Option<(Bus, Desktop, Daemon)> {
    if !require(&["dbus-daemon"]) {
        return None;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let recipe = Daemon::new().bus(&bus);
    Some((bus, desktop, recipe))
}

/// A fetch handler that only clicks run: it is for the mail of nobody in these tests.
fn fetch_handler(recorder: &Recorder) -> String {
    format!("[[handler]]\nname = \"fetch\"\nuser = \"nobody\"\ncommand = {}\n", recorder.command(&["ran"]))
}

fn push(daemon: &Running, from: &str, subject: &str) {
    daemon.push(&Mail::new(from, subject).json()).accepted();
}

#[track_caller]
fn wait_tooltip(item: &TrayItem, first_line: &str) {
    let what = format!("the tooltip to begin with `{first_line}`");
    wait_until(&what, || holds(item.tooltip().text.lines().next() == Some(first_line)));
}

/// Waits until the icon differs from all of these, and adds it.
#[track_caller]
fn wait_new_icon(item: &TrayItem, seen: &mut Vec<Vec<(i32, i32, Vec<u8>)>>) {
    let icon =
        wait_until("an icon that was not there before", || Some(item.icon()).filter(|icon| !seen.contains(icon)));
    seen.push(icon);
}

/// How many entries the menu has, seen or not. The portable desktop has none that are not seen.
#[track_caller]
fn places(item: &TrayItem) -> Option<usize> {
    SPEAKS_DBUS.then(|| item.menu().len())
}

#[test]
fn each_state_has_its_icon_in_all_sizes() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    let recorder = Recorder::held(&recipe, "fetch");
    let failing = "[[handler]]\nname = \"failing\"\nuser = \"nobody\"\nfetch = false\ncommand = \"false\"\n";
    let config = format!("{}{failing}[[handler]]\nnotify = true", fetch_handler(&recorder));
    let daemon = recipe.config(&config).start();
    let item = desktop.tray();
    let mut seen = vec![item.icon()];
    push(&daemon, "Alice <a@example.org>", "new");
    wait_new_icon(&item, &mut seen);
    item.click();
    recorder.wait_starts(1);
    wait_new_icon(&item, &mut seen);
    recorder.release();
    wait_until("the icon to be idle again", || holds(item.icon() == seen[0]));
    item.choose("Until resumed");
    wait_new_icon(&item, &mut seen);
    item.choose("Resume notifications");
    item.choose("failing");
    wait_new_icon(&item, &mut seen);
    for icon in &seen {
        let sizes: Vec<i32> = icon.iter().map(|(width, ..)| *width).collect();
        // The portable desktop can offer one, of which panels make what they need.
        assert_eq!(sizes, if SPEAKS_DBUS { &[16, 22, 24, 32, 44, 48, 64][..] } else { &[44] });
        for (width, height, pixels) in icon {
            assert_eq!((width, i32::try_from(pixels.len())), (height, Ok(width * height * 4)));
            assert!(pixels.chunks(4).any(|argb| argb[0] == 255), "something of it is opaque at {width}");
        }
    }
    assert_eq!(
        (item.id().as_str(), item.title().as_str(), item.status().as_str()),
        ("mailknock", "Mailknock", "Active")
    );
    daemon.stop();
}

/// tray-icon sends the tooltip with each icon, and again for itself.
#[cfg(feature = "dbus")]
#[test]
fn the_icon_shows_the_number_and_is_sent_anew_only_when_that_changes() {
    let Some((bus, desktop, recipe)) = prepare() else { return };
    let daemon = recipe.start();
    let item = desktop.tray();
    let client = Client::connect(&bus.address());
    let signals = client.listen("type='signal',interface='org.kde.StatusNotifierItem'");
    let mut seen = vec![item.icon()];
    for number in 1..=11 {
        push(&daemon, "Alice <a@example.org>", "s");
        let mut told = Vec::new();
        while told.last().is_none_or(|last| last != "NewToolTip") {
            let signal = signals.recv_timeout(SOON);
            let signal = signal.unwrap_or_else(|_| panic!("{number}: the tooltip is not told after {told:?}"));
            told.push(signal.header().member().expect("a signal has a name").to_string());
        }
        // Not before: ksni takes what somebody has just read for told.
        let plural = if number == 1 { "" } else { "s" };
        wait_tooltip(&item, &format!("{number} new message{plural}"));
        let icon = item.icon();
        if number <= 10 {
            assert_eq!(told, ["NewIcon", "NewToolTip"], "{number}");
            assert!(!seen.contains(&icon), "{number} looks like another number");
            seen.push(icon);
        } else {
            assert_eq!(told, ["NewToolTip"], "ten and more look the same");
            assert_eq!(seen.last(), Some(&icon));
        }
    }
    daemon.stop();
}

#[test]
fn the_icon_shows_what_the_server_says_is_unseen() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    let with_three = {
        let daemon = recipe.clone().start();
        let item = desktop.tray();
        (1..=3).for_each(|_| push(&daemon, "Alice <a@example.org>", "s"));
        wait_tooltip(&item, "3 new messages");
        let icon = item.icon();
        daemon.stop();
        desktop.wait_tray_empty();
        icon
    };
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let daemon = Daemon::new().bus(&bus).start();
    let item = desktop.tray();
    // A server that tells of reading is one whose counts can be believed.
    let mail = |kind: &str, unseen| Mail::new("Alice <a@example.org>", "s").with("event", kind).with("unseen", unseen);
    daemon.push(&mail("MessageRead", 2).json()).accepted();
    daemon.push(&mail("MessageNew", 3).json()).accepted();
    wait_tooltip(&item, "1 new message, 3 unseen");
    assert_eq!(item.icon(), with_three);
    daemon.stop();
}

#[test]
fn the_icon_is_drawn_for_the_panel_that_the_configuration_names() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    let daemon = recipe.config("[tray]\ntheme = \"dark\"").start();
    let item = desktop.tray();
    // Within the envelope, below its crease; alpha, red, green, blue.
    let middle = || {
        let icons = item.icon();
        let (width, _, pixels) = icons.iter().find(|(width, ..)| width % 22 == 0).expect("it has such a size").clone();
        let at = usize::try_from(width * 15 / 22 * width + width / 2).expect("a place in the picture") * 4;
        pixels[at..at + 4].to_vec()
    };
    assert_eq!(middle(), [255, 0xf2, 0xf2, 0xf2]);
    let mut seen = vec![item.icon()];
    for (theme, colour) in [("light", [0x20, 0x24, 0x28]), ("auto", [0xf2; 3]), ("colour", [0x3d, 0xae, 0xe9])] {
        daemon.recipe().write_config(&format!("[tray]\ntheme = \"{theme}\""));
        wait_new_icon(&item, &mut seen);
        assert_eq!(middle()[1..], colour, "{theme}");
    }
    daemon.stop();
}

#[test]
fn the_tooltip_is_markup_and_everything_in_it_is_escaped() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    let daemon = recipe.start();
    let item = desktop.tray();
    wait_tooltip(&item, "No new messages");
    push(&daemon, "\"<b>A & B</b>\" <a@example.org>", "<img src='x'> \u{202e}\0\u{1b}[1m");
    wait_tooltip(&item, "1 new message");
    let text = item.tooltip().text;
    assert_eq!(item.tooltip().title, "Mailknock");
    assert!(text.ends_with("&lt;b&gt;A &amp; B&lt;/b&gt; — &lt;img src=&#39;x&#39;&gt; [1m"), "{text:?}");
    assert!(!text.chars().any(|c| c != '\n' && c.is_control()), "{text:?}");
    daemon.stop();
}

#[test]
fn the_menu_reads_as_promised() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    let fetch = Recorder::new(&recipe, "fetch");
    let config = format!("[tray]\nrecent = 2\n{}[[handler]]\nname = \"popups\"\nnotify = true", fetch_handler(&fetch));
    let daemon = recipe.config(&config).start();
    let item = desktop.tray();
    let pause = ["Pause notifications", "For 30 minutes", "For 1 hour", "Until tomorrow", "Until resumed"];
    let mut menu = vec!["No new messages", "Fetch now", "Open mail", "Nothing has happened yet", "Handlers"];
    menu.extend(["fetch: not yet run", "popups: not yet run"]);
    menu.extend(pause);
    menu.extend(["Open configuration", "Reload configuration", "Start at login", "Quit"]);
    assert_eq!(item.labels(), menu);
    let entries = places(&item);
    assert!(!item.entry("No new messages").enabled && !item.entry("popups").enabled);
    assert!(item.entry("Fetch now").enabled && item.entry("fetch").enabled);
    assert_eq!(item.entry("Quit").kind, EntryKind::Plain);
    assert_eq!(item.entry("Start at login").kind, EntryKind::Check(false), "nothing is enabled unasked");

    for number in 1..=3 {
        push(&daemon, "Al_ice <a@example.org>", &format!("a_b __c__ & _{number}"));
    }
    let labels = item.wait_menu(|labels| labels[0] == "3 new messages");
    let recent: Vec<&str> =
        labels[3..5].iter().map(|line| line.split_once("  ").expect("a clock time first").1).collect();
    assert_eq!(recent, ["Al_ice — a_b __c__ & _3", "Al_ice — a_b __c__ & _2"]);
    assert_eq!(places(&item), entries, "a menu that changes its structure while it is open closes on some panels");
    daemon.stop();
}

#[test]
fn a_click_fetches_and_a_second_one_meanwhile_joins() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    let fetch = Recorder::held(&recipe, "fetch");
    let daemon = recipe.config(&format!("{}limit_period = \"1h\"", fetch_handler(&fetch))).start();
    let item = desktop.tray();
    let idle = item.icon();
    item.click();
    assert_eq!(fetch.wait_starts(1)[0].trigger, "fetch");
    wait_until("the icon of a fetch", || holds(item.icon() != idle));
    item.entry("Fetching…");
    assert!(item.entry("fetch: running since").enabled);
    item.click();
    item.choose("Fetching…");
    item.choose("fetch: running");
    fetch.release();
    item.entry("fetch: done at");
    assert_eq!(item.icon(), idle);
    assert_eq!(fetch.starts().len(), 1);
    // A fetch asked for by a person knows no rate limit.
    item.middle_click();
    fetch.wait_starts(2);
    item.entry("fetch: done at");
    daemon.stop();
}

#[test]
fn a_failure_says_why_until_the_next_success() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    let broken = recipe.home().join("broken");
    std::fs::write(&broken, "").expect("the home is ours");
    let script = "echo connecting; [ ! -e broken ] || { echo '<no> route_to \x07host' >&2; exit 3; }";
    let config =
        format!("[[handler]]\nname = \"fetch\"\nuser = \"nobody\"\ncommand = [\"/bin/sh\", \"-c\", {script:?}]");
    let mut daemon = recipe.config(&config.replace("\\u{7}", "\\u0007")).start();
    let item = desktop.tray();
    let entries = places(&item);
    item.click();
    let labels = item.wait_menu(|labels| labels.iter().any(|label| label.starts_with("⚠ ")));
    assert!(labels.contains(&"⚠ fetch: exit 3: <no> route_to host".to_owned()), "{labels:?}");
    let line = item.entry("fetch: exit 3 at");
    assert!(line.label.ends_with(": <no> route_to host") && line.enabled, "{line:?}");
    let tooltip = item.tooltip().text;
    assert!(tooltip.ends_with("fetch: exit 3: &lt;no&gt; route_to host"), "{tooltip:?}");
    assert_eq!(places(&item), entries);
    daemon.wait_log("exit 3");

    std::fs::remove_file(&broken).expect("it is there");
    item.choose("fetch: exit 3");
    item.wait_menu(|labels| {
        let begins = |text: &str| labels.iter().any(|label| label.starts_with(text));
        begins("fetch: done") && !begins("⚠")
    });
    daemon.stop();
}

#[test]
fn a_command_that_is_missing_is_a_problem_with_its_remedy() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    let config = "[[handler]]\nname = \"fetch\"\ncommand = \"/nonexistent/mbsync -a\"";
    let daemon = recipe.config(config).start();
    let item = desktop.tray();
    item.click();
    let labels = item.wait_menu(|labels| labels.iter().any(|label| label.starts_with("⚠ ")));
    let problem = "⚠ fetch: could not start: `/nonexistent/mbsync` not found.";
    assert!(labels.iter().any(|label| label.starts_with(problem)), "{labels:?}");
    daemon.stop();
}

#[test]
fn a_handler_can_be_run_alone_with_what_waits_for_it() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    let (one, other) = (Recorder::new(&recipe, "one"), Recorder::new(&recipe, "other"));
    let handler = |name: &str, recorder: &Recorder| {
        format!("[[handler]]\nname = \"{name}\"\ndelay = \"1h\"\ncommand = {}\n", recorder.command(&[]))
    };
    let daemon = recipe.config(&(handler("one", &one) + &handler("other", &other))).start();
    let item = desktop.tray();
    push(&daemon, "Alice <a@example.org>", "s");
    push(&daemon, "Alice <a@example.org>", "t");
    item.choose("one: not yet run");
    let start = &one.wait_starts(1)[0];
    assert_eq!((start.trigger.as_str(), start.count.as_str()), ("fetch", "2"));
    item.entry("one: done at");
    item.choose("other: not yet run");
    other.wait_starts(1);
    item.entry("other: done at");
    assert_eq!((one.starts().len(), other.starts().len()), (1, 1));
    daemon.stop();
}

#[test]
fn open_mail_and_a_recent_line_start_the_mail_program() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    let opened = Recorder::new(&recipe, "open");
    let config = format!("[tray]\nclick = \"none\"\nopen = {}", opened.command(&["{subject}", "end"]));
    let daemon = recipe.config(&config).start();
    let item = desktop.tray();
    assert!(!item.labels().contains(&"Fetch now".to_owned()), "there is nothing to fetch with");
    push(&daemon, "Alice <a@example.org>", "first");
    push(&daemon, "Alice <a@example.org>", "second");
    item.wait_menu(|labels| labels[0] == "2 new messages");
    item.click();
    let first = item.labels().into_iter().find(|label| label.ends_with("first")).expect("it is in the menu");
    item.choose(&first);
    assert_eq!(opened.wait_starts(1)[0].arguments, ["first", "end"], "the click before did nothing");
    item.entry("No new messages");
    item.choose("Open mail");
    assert_eq!(opened.wait_starts(2)[1].arguments, ["end"]);
    wait_until("what was opened to end", || holds(daemon.descendants().is_empty()));
    daemon.stop();
}

#[test]
fn a_click_opens_mail_where_it_should_or_where_nothing_can_be_fetched() {
    for more in ["click = \"open\"", "click = \"fetch\""] {
        let Some((_bus, desktop, recipe)) = prepare() else { return };
        let opened = Recorder::new(&recipe, "open");
        let config = format!("[tray]\n{more}\nopen = {}", opened.command(&["end"]));
        let daemon = recipe.config(&config).start();
        desktop.tray().click();
        assert_eq!(opened.wait_starts(1)[0].arguments, ["end"]);
        wait_until("what was opened to end", || holds(daemon.descendants().is_empty()));
        daemon.stop();
    }
}

#[test]
fn a_click_pauses_and_resumes_where_it_should() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    let daemon = recipe.config("[tray]\nclick = \"pause\"").start();
    let item = desktop.tray();
    item.click();
    item.entry("Notifications paused");
    push(&daemon, "Alice <a@example.org>", "s");
    item.click();
    assert_eq!(desktop.next_notification().summary, "Alice");
    item.entry("Pause notifications");
    daemon.stop();
}

#[test]
fn what_comes_in_a_pause_is_one_summary_after_it() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    let recorder = Recorder::new(&recipe, "wake");
    let config = format!("[[handler]]\ncommand = {}\n[[handler]]\nnotify = true", recorder.command(&[]));
    let daemon = recipe.config(&config).start();
    let item = desktop.tray();
    let entries = places(&item);
    item.choose("For 30 minutes");
    let paused = item.entry("Notifications paused until ");
    assert_eq!(paused.children.len(), 4);
    assert_eq!(places(&item), entries);
    for number in 1..=5 {
        push(&daemon, &format!("A{number} <a@example.org>"), "s");
    }
    recorder.wait_starts(1);
    item.wait_menu(|labels| labels[0] == "5 new messages");
    assert!(desktop.try_notification().is_none(), "commands run, popups wait");
    item.choose("Resume notifications");
    let summary = desktop.next_notification();
    assert_eq!((summary.summary.as_str(), summary.body.lines().next()), ("5 new messages in INBOX", Some("A5: s")));
    item.entry("Pause notifications");
    push(&daemon, "After <a@example.org>", "s");
    assert_eq!(desktop.next_notification().summary, "After");
    daemon.stop();
}

/// The portable desktop isn't told of that here.
#[cfg(feature = "dbus")]
#[test]
fn opening_the_menu_counts_as_looking() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    let daemon = recipe.start();
    let item = desktop.tray();
    let idle = item.icon();
    push(&daemon, "Alice <a@example.org>", "s");
    wait_until("the icon of new mail", || holds(item.icon() != idle));
    // Reading the menu says first that it is about to be shown.
    assert_eq!(item.menu()[0].label, "1 new message", "what is looked at still says what came");
    wait_until("the icon to be idle again", || holds(item.icon() == idle));
    push(&daemon, "Alice <a@example.org>", "t");
    wait_tooltip(&item, "1 new message");
    wait_until("the icon of new mail", || holds(item.icon() != idle));
    daemon.stop();
}

#[test]
fn quit_ends_the_program_and_its_children() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    let fetch = Recorder::held(&recipe, "fetch");
    let daemon = recipe.config(&fetch_handler(&fetch)).start();
    let item = desktop.tray();
    item.click();
    fetch.wait_starts(1);
    let children = daemon.descendants();
    assert!(!children.is_empty());
    item.choose("Quit");
    daemon.finish().succeeded();
    desktop.wait_tray_empty();
    let alive = crate::support::program::processes();
    assert!(!children.iter().any(|child| alive.iter().any(|process| process.is_same(child))));
}

#[test]
fn without_a_tray_popups_go_on() {
    let Some((_bus, desktop, recipe)) = prepare() else { return };
    for (arguments, config) in [(&["run", "--no-tray"][..], ""), (&["run"], "[tray]\nenabled = false")] {
        let daemon = recipe.clone().args(arguments).config(config).start();
        push(&daemon, "Alice <a@example.org>", "s");
        // The icon would have come before: it is put up before anything is shown.
        assert_eq!(desktop.next_notification().summary, "Alice");
        desktop.settle();
        assert!(desktop.tray_items().is_empty());
        daemon.stop();
    }
}
