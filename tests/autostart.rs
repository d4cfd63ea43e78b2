//! Start at login: what is written is what desktops and systemd take, from the command line and from the menu.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::bus::Bus;
use crate::support::daemon::Daemon;
use crate::support::desktop::{Desktop, EntryKind, SPEAKS_DBUS, TrayItem};
use crate::support::installed::Installed;
use crate::support::wait::{holds, wait_until};
use crate::support::{find_program, repository_file, require};

/// The program in a place where it stays, whose path has a blank.
fn prepare() -> Option<(Installed, Daemon)> {
    let daemon = Daemon::new().env("XDG_CONFIG_DIRS", "/nonexistent");
    let installed = Installed::within("a b;c", &daemon)?;
    let daemon = daemon.program(installed.program());
    Some((installed, daemon))
}

fn entry(daemon: &Daemon) -> PathBuf {
    daemon.path("config/autostart/mailknock.desktop")
}

fn unit(daemon: &Daemon) -> PathBuf {
    daemon.path("config/systemd/user/mailknock.service")
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Runs another program with the directories of this one's user, to a good end.
#[track_caller]
fn run(daemon: &Daemon, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(find_program(program).expect("the test requires it"));
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", daemon.home()).env("XDG_CONFIG_HOME", daemon.path("config"));
    command.env("XDG_RUNTIME_DIR", daemon.path("runtime")).env("XDG_CONFIG_DIRS", "/nonexistent");
    command.env("SYSTEMD_LOG_LEVEL", "info").env("SYSTEMD_LOG_TARGET", "console");
    let Output { status, stdout, stderr } = command.output().expect("it is installed");
    let text = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(status.success(), "{program} {arguments:?}: {status}\n{text}");
    text
}

/// Waits until the mark is so; each look opens the menu.
#[track_caller]
fn wait_mark(item: &TrayItem, is_on: bool) {
    let what = format!("the mark at `Start at login` to be {is_on}");
    wait_until(&what, || holds(item.entry("Start at login").kind == EntryKind::Check(is_on)));
}

#[test]
fn nothing_is_started_at_login_unless_somebody_wants_it() {
    let daemon = Daemon::new().env("XDG_CONFIG_DIRS", "/nonexistent");
    daemon.start().stop();
    let finished = daemon.command(&["autostart", "status"]).ended_with(1);
    assert_eq!(finished.stdout, "Mailknock is not started at login\n");
    assert!(!entry(&daemon).exists() && !unit(&daemon).exists());
    for wrong in [&["autostart"][..], &["autostart", "on"], &["autostart", "enable", "--xdg"]] {
        daemon.command(wrong).ended_with(2);
    }
}

#[test]
fn desktops_and_systemd_take_the_file() {
    if !require(&["desktop-file-validate", "systemd-xdg-autostart-generator", "systemd-analyze", "gio"]) {
        return;
    }
    let Some((installed, daemon)) = prepare() else { return };
    let config = daemon.path("config/100% mine.toml");
    std::fs::write(&config, "").expect("the directory is ours");
    // Relative to the home, where the program is started.
    let finished = daemon.command(&["-c", "../config/100% mine.toml", "autostart", "enable"]).succeeded();
    let program = installed.program().display().to_string();
    let file = entry(&daemon).display().to_string();
    let said = format!("Mailknock is started at login by the desktop: {file} starts {program}\n");
    assert_eq!((finished.stdout, finished.stderr.as_str()), (said.clone(), ""));
    assert_eq!(daemon.command(&["autostart", "status"]).succeeded().stdout, said);
    daemon.command(&["autostart", "status", "--systemd"]).ended_with(1);

    assert_eq!(run(&daemon, "desktop-file-validate", &[&file]), "");
    let units = daemon.path("temporary").display().to_string();
    run(&daemon, "systemd-xdg-autostart-generator", &[&units, &units, &units]);
    let generated = format!("{units}/app-mailknock@autostart.service");
    assert!(read(Path::new(&generated)).contains(&format!("\nExecStart=:\"{program}\" run -c ")), "{generated}");
    assert_eq!(run(&daemon, "systemd-analyze", &["--user", "verify", &generated]), "");

    // What GLib makes of it, by which most desktops start things.
    let told = daemon.path("home/told");
    installed
        .replace(&format!("#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\" >'{0}.new'; mv '{0}.new' '{0}'\n", told.display()));
    run(&daemon, "gio", &["launch", &file]);
    wait_until("what the desktop started", || holds(told.exists()));
    let words = read(&told);
    let config = daemon.home().join("../config/100% mine.toml").display().to_string();
    assert_eq!(words.lines().collect::<Vec<_>>(), [&program, "run", "-c", &config]);
}

#[test]
fn systemd_takes_the_unit_and_calls_it_enabled() {
    if !require(&["systemd-analyze", "systemctl"]) {
        return;
    }
    let Some((installed, daemon)) = prepare() else { return };
    daemon.command(&["autostart", "enable"]).succeeded();
    let finished = daemon.command(&["autostart", "enable", "--systemd"]).succeeded();
    // The test's user has none that runs.
    assert!(finished.stderr.starts_with("systemd could not be told, and sees it at the next login: "), "{finished:?}");
    assert!(!entry(&daemon).exists(), "never both");
    let status = daemon.command(&["autostart", "status", "--systemd"]).succeeded().stdout;
    assert!(status.contains("by systemd") && status.contains(&*installed.program().to_string_lossy()), "{status}");

    let file = unit(&daemon).display().to_string();
    assert_eq!(run(&daemon, "systemd-analyze", &["--user", "verify", &file]), "");
    let is_enabled = ["--user", "is-enabled", "mailknock.service"];
    assert_eq!(run(&daemon, "systemctl", &is_enabled), "enabled\n");
    daemon.command(&["autostart", "enable"]).succeeded();
    assert!(entry(&daemon).exists() && !unit(&daemon).exists(), "never both");
    daemon.command(&["autostart", "enable", "--systemd"]).succeeded();
    daemon.command(&["autostart", "disable"]).succeeded();
    assert!(!entry(&daemon).exists() && !unit(&daemon).exists());
    daemon.command(&["autostart", "status"]).ended_with(1);
}

#[test]
fn a_program_that_goes_is_told_and_one_that_does_not_stay_is_refused() {
    // As it was built.
    let daemon = Daemon::new().env("XDG_CONFIG_DIRS", "/nonexistent");
    for arguments in [&["autostart", "enable"][..], &["autostart", "enable", "--systemd"]] {
        let finished = daemon.command(arguments).ended_with(1);
        assert!(finished.stderr.contains("will not stay") && finished.stderr.contains("Install it"), "{finished:?}");
        assert_eq!(finished.stdout, "");
    }
    assert!(!entry(&daemon).exists() && !unit(&daemon).exists());

    let Some((installed, daemon)) = prepare() else { return };
    daemon.command(&["autostart", "enable"]).succeeded();
    drop(installed);
    let there = daemon.program(env!("CARGO_BIN_EXE_mailknock"));
    let finished = there.command(&["autostart", "status"]).ended_with(1);
    assert!(finished.stdout.contains("is there, but not its program `/"), "{finished:?}");
    there.command(&["autostart", "disable"]).succeeded();
    assert!(!entry(&there).exists());
}

#[test]
fn the_menu_has_it_started_at_login_and_shows_what_others_change() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let Some((installed, daemon)) = prepare() else { return };
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let running = daemon.bus(&bus).start();
    let recipe = running.recipe();
    let item = desktop.tray();
    let entries = item.menu().len();
    wait_mark(&item, false);
    item.choose("Start at login");
    wait_mark(&item, true);
    assert!(read(&entry(recipe)).contains(&format!("\nTryExec={}\n", installed.program().display())));
    item.choose("Start at login");
    wait_mark(&item, false);
    assert!(!entry(recipe).exists());

    // It looks when the menu opens, which the portable desktop isn't told of here.
    if SPEAKS_DBUS {
        recipe.command(&["autostart", "enable", "--systemd"]).succeeded();
        wait_mark(&item, true);
        item.choose("Start at login");
        wait_mark(&item, false);
        assert!(!unit(recipe).exists());
        assert_eq!(item.menu().len(), entries);
    }

    // An update replaces the program while it runs.
    installed.replace("#!/bin/sh\n");
    item.choose("Start at login");
    let refusal = desktop.next_notification();
    assert!(refusal.body.contains("is gone: it was replaced or removed while it ran"), "{refusal:?}");
    assert!(!entry(recipe).exists());
    running.stop();
}

#[test]
fn a_refusal_is_told_and_the_mark_stays_as_it_was() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let Some((_installed, daemon)) = prepare() else { return };
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    std::fs::create_dir(daemon.path("config/autostart")).expect("the directory is ours");
    let theirs = "[Desktop Entry]\nType=Application\nName=Mine\nExec=/bin/sh -c 'sleep 5; mailknock'\n";
    std::fs::write(entry(&daemon), theirs).expect("the directory is ours");
    let mut running = daemon.bus(&bus).start();
    let item = desktop.tray();
    wait_mark(&item, true);
    item.choose("Start at login");
    let refusal = desktop.next_notification();
    assert_eq!(refusal.summary, "Mailknock");
    assert!(refusal.body.contains("is not by `mailknock autostart`, and stays as it is"), "{refusal:?}");
    running.wait_log("start at login: ");
    wait_mark(&item, true);
    assert_eq!(read(&entry(running.recipe())), theirs);
    running.stop();
}

#[test]
fn a_packages_file_for_everybody_is_hidden_from_this_user_alone() {
    let Some((installed, daemon)) = prepare() else { return };
    let system = daemon.path("data/autostart/mailknock.desktop");
    let daemon = {
        let place = daemon.path("data");
        daemon.env("XDG_CONFIG_DIRS", place)
    };
    std::fs::create_dir(system.parent().expect("it is in a directory")).expect("the directory is ours");
    let packaged = read(&repository_file("packaging/desktop/mailknock-autostart.desktop"));
    std::fs::write(&system, packaged.replace("/usr/bin/mailknock", "/bin/sh")).expect("the directory is ours");
    daemon.command(&["autostart", "status"]).succeeded();
    daemon.command(&["autostart", "disable"]).succeeded();
    daemon.command(&["autostart", "status"]).ended_with(1);
    assert!(read(&entry(&daemon)).contains("\nHidden=true\n"));
    daemon.command(&["autostart", "enable"]).succeeded();
    let status = daemon.command(&["autostart", "status"]).succeeded().stdout;
    let program = installed.program().display().to_string();
    assert!(status.contains(&program), "another program than the package's: {status}");
}
