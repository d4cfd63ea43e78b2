//! Nothing is configured yet: what the program says then, the configuration that it writes, and homes and machines that
//! are not as one expects.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::support::bus::Bus;
use crate::support::daemon::Daemon;
use crate::support::desktop::Desktop;
use crate::support::http::Request;
use crate::support::installed::Installed;
use crate::support::network::Network;
use crate::support::program::install_script;
use crate::support::wait::{holds, wait_until};
use crate::support::{find_program, repository_file, require, skip};

/// Somebody who has never used it.
fn newcomer() -> Daemon {
    let daemon = Daemon::new().env("XDG_CONFIG_DIRS", "/nonexistent");
    fs::remove_dir_all(daemon.path("config/mailknock")).expect("it was made a moment ago");
    daemon
}

/// The password in a configuration.
#[track_caller]
fn password(daemon: &Daemon) -> String {
    let text = fs::read_to_string(daemon.config_path()).expect("it is written");
    let line = text.lines().find(|line| line.starts_with("pass = ")).expect("it has a password");
    line.split('"').nth(1).expect("it is quoted").to_owned()
}

/// Starts something where this has been done to its files, which nobody else sees.
fn with_files(daemon: Daemon, done: &str) -> Option<Daemon> {
    if !rustix::process::geteuid().is_root() {
        skip("only root may lay files over others");
        return None;
    }
    Some(daemon.inside(&["unshare", "--mount", "sh", "-ec", &format!("{done}\nexec \"$@\""), "sh"]))
}

#[test]
fn a_configuration_is_made_once_and_is_its_users_alone() {
    let daemon = newcomer();
    let made = daemon.command(&["config", "init"]).succeeded();
    assert_eq!(made.stderr, "");
    let file = daemon.config_path();
    assert!(made.stdout.starts_with(&format!("{} is written", file.display())), "{made:?}");
    let mode = |path: PathBuf| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(file.clone()), mode(daemon.path("config/mailknock"))), (0o600, 0o700));
    let pass = password(&daemon);
    assert!(pass.len() >= 20 && pass.chars().all(|c| c.is_ascii_alphanumeric()), "{pass}");
    assert!(!made.stdout.contains(&pass), "it is in the file, not on the screen");
    assert!(daemon.command(&["check"]).succeeded().stderr.ends_with("configuration OK\n"));
    assert!(daemon.command(&["setup", "dovecot"]).succeeded().stdout.contains(&format!("mailknock:{pass}@")));

    let text = fs::read_to_string(&file).expect("it is there");
    let again = daemon.command(&["config", "init"]).ended_with(1);
    assert!(again.stderr.contains("is there already, and stays as it is") && again.stdout.is_empty(), "{again:?}");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), text);

    let other = newcomer();
    other.command(&["config", "init"]).succeeded();
    assert_ne!(password(&other), pass);
}

#[test]
fn what_it_says_is_next_can_be_done() {
    let daemon = newcomer();
    let said = daemon.command(&["config", "init"]).succeeded().stdout;
    let steps: Vec<Vec<&str>> = said
        .lines()
        .filter(|line| line.starts_with("mailknock"))
        .map(|line| line.split("  ").next().unwrap_or_default().split(' ').skip(1).collect())
        .collect();
    assert_eq!(steps.len(), 5, "{said}");
    for step in steps {
        let help: Vec<&str> = step.into_iter().chain(["--help"]).collect();
        assert!(daemon.command(&help).succeeded().stdout.contains("Usage: mailknock"), "{help:?}");
    }
}

#[test]
fn where_the_configuration_is_looked_for_can_be_asked() {
    let daemon = newcomer();
    let file = daemon.config_path().display().to_string();
    let told = daemon.command(&["config", "path"]).succeeded();
    assert_eq!(told.stdout, format!("{file}\n"));
    assert!(told.stderr.contains("`mailknock config init` writes one"), "{told:?}");
    daemon.command(&["config", "init"]).succeeded();
    let told = daemon.command(&["config", "path"]).succeeded();
    assert_eq!((told.stdout, told.stderr), (format!("{file}\n"), String::new()));
    // Another in its place.
    let other = daemon.home().join("mine.toml").display().to_string();
    assert_eq!(daemon.command(&["-c", &other, "config", "path"]).succeeded().stdout, format!("{other}\n"));
    daemon.command(&["-c", &other, "config", "init"]).succeeded();
    daemon.command(&["-c", &other, "check"]).succeeded();
    for wrong in [&["config"][..], &["config", "edit"], &["config", "init", "x"]] {
        daemon.command(wrong).ended_with(2);
    }
}

#[test]
fn nothing_that_is_there_is_written_over() {
    let daemon = newcomer();
    let (file, elsewhere) = (daemon.config_path(), daemon.home().join("elsewhere"));
    fs::create_dir(file.parent().expect("it is in a directory")).expect("the directory is ours");
    symlink(&elsewhere, &file).expect("the directory is ours");
    let refused = daemon.command(&["config", "init"]).ended_with(1);
    assert!(refused.stderr.contains("is there already"), "{refused:?}");
    assert!(!elsewhere.exists());
}

#[test]
fn a_directory_that_cannot_be_written_is_told_and_nothing_else_fails() {
    let daemon = newcomer();
    let config = daemon.path("config").display().to_string();
    let read_only = format!("mount --bind '{config}' '{config}'\nmount -o remount,bind,ro '{config}'");
    let Some(installed) = Installed::within("stays", &daemon) else { return };
    let Some(daemon) = with_files(daemon.program(installed.program()), &read_only) else { return };
    let refused = daemon.command(&["config", "init"]).ended_with(1);
    assert!(refused.stderr.contains("mailknock/config.toml was not written: Read-only file system"), "{refused:?}");
    assert!(refused.stderr.contains("mailknock -c FILE config init"), "{refused:?}");
    for way in [&["autostart", "enable"][..], &["autostart", "enable", "--systemd"]] {
        let refused = daemon.command(way).ended_with(1);
        assert!(refused.stderr.contains("failed to write") && refused.stderr.contains("Read-only"), "{refused:?}");
    }
    daemon.command(&["autostart", "status"]).ended_with(1);
    daemon.command(&["check"]).succeeded();
    daemon.command(&["setup", "dovecot"]).succeeded();
}

#[test]
fn without_a_home_it_says_so() {
    // The rig's own directories are as good as a home.
    let none = ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"];
    let names = none.map(|name| format!("--unset={name}"));
    let words: Vec<&str> = ["env"].into_iter().chain(names.iter().map(String::as_str)).collect();
    // A user whom the system doesn't know has no home there either.
    let somebody = ["setpriv", "--reuid=100001", "--regid=100001", "--clear-groups"];
    let words = [&words[..], if rustix::process::geteuid().is_root() { &somebody } else { &[] }].concat();
    let program = env!("CARGO_BIN_EXE_mailknock");
    let said = |arguments: &[&str]| {
        let output = std::process::Command::new(words[0]).args(&words[1..]).arg(program).args(arguments).output();
        let output = output.expect("it belongs to the basic programs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    if !rustix::process::geteuid().is_root() {
        // Then the system's own list of users tells where this one's home is.
        assert_eq!(said(&["config", "path"]).0, Some(0));
        return;
    }
    for arguments in [["config", "init"], ["config", "path"]] {
        let (code, stderr) = said(&arguments);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("no home directory") && stderr.contains("-c FILE"), "{stderr}");
    }
    assert!(said(&["autostart", "enable"]).1.contains("is HOME set?"));
}

#[test]
fn a_home_of_any_name_will_do_and_no_other_directory_need_be_named() {
    let daemon = newcomer();
    let home = daemon.home().join("zoë möller's \"100%\" $HOME");
    fs::create_dir(&home).expect("the home is ours");
    daemon.give(&home);
    let bare = ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"];
    let daemon = bare.iter().fold(daemon.env("HOME", &home), |daemon, name| daemon.env(name, ""));
    let told = daemon.command(&["config", "path"]).succeeded().stdout;
    let file = home.join(".config/mailknock/config.toml");
    assert_eq!(told, format!("{}\n", file.display()));
    assert!(daemon.command(&["config", "init"]).succeeded().stdout.starts_with("~/.config/mailknock/config.toml is"));
    let text = fs::read_to_string(&file).expect("it was written");
    fs::write(&file, format!("listen = \"127.0.0.1:0\"\n{text}")).expect("it is ours");
    let running = daemon.start();
    assert!(daemon.command(&["status"]).succeeded().stdout.contains("events are kept on disk"));
    assert!(home.join(".local/state/mailknock").is_dir());
    running.stop();
}

#[test]
fn a_home_of_any_name_can_be_started_from_at_login() {
    if !require(&["desktop-file-validate"]) {
        return;
    }
    let daemon = newcomer();
    let Some(installed) = Installed::within("zoë möller", &daemon) else { return };
    let daemon = daemon.program(installed.program());
    daemon.command(&["autostart", "enable"]).succeeded();
    let file = daemon.path("config/autostart/mailknock.desktop");
    let text = fs::read_to_string(&file).expect("it was written");
    assert!(text.contains(&format!("\nTryExec={}\n", installed.program().display())), "{text}");
    let said = std::process::Command::new("desktop-file-validate").arg(&file).output().expect("it is installed");
    assert!(said.status.success() && said.stdout.is_empty(), "{said:?}");
    assert!(daemon.command(&["autostart", "status"]).succeeded().stdout.contains("zoë möller"));
    // Another's file of that name stays.
    daemon.command(&["autostart", "disable"]).succeeded();
    let theirs = "[Desktop Entry]\nType=Application\nName=Knock\nExec=true\n";
    fs::write(&file, theirs).expect("it is ours");
    for action in ["enable", "disable"] {
        let refused = daemon.command(&["autostart", action]).ended_with(1);
        assert!(refused.stderr.contains("is not by `mailknock autostart`, and stays as it is"), "{refused:?}");
    }
    assert_eq!(fs::read_to_string(&file).expect("it is there"), theirs);
}

#[test]
fn the_first_start_says_where_it_listens_and_what_to_do_and_the_next_is_silent() {
    if !Network::available() || !require(&["dbus-daemon"]) {
        return;
    }
    // The default port is one for all: this is a machine of its own.
    let network = Network::new();
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let daemon = newcomer().bus(&bus).inside(&network.desktop());
    let running = daemon.start();
    let welcome = desktop.next_notification();
    assert_eq!(welcome.summary, "Mailknock");
    for words in ["http://127.0.0.1:12525/notify", "mailknock config init", "mailknock setup dovecot"] {
        assert!(welcome.body.contains(words), "{welcome:?}");
        assert!(running.log().contains(words), "{}", running.log());
    }
    assert!(!welcome.body.contains("imserious"), "there is none of its files: {welcome:?}");

    // It goes on with the configuration that is made now.
    daemon.command(&["config", "init"]).succeeded();
    let mut running = running;
    running.wait_log("configuration reloaded");
    let put = || Request::put("/notify").json(r#"{"user":"me","event":"messageNew","from":"a@b"}"#);
    network.in_desktop(|| {
        assert_eq!(put().send(running.addr()).status, 401);
    });
    running.stop();
    desktop.settle();
    assert!(desktop.try_notification().is_none(), "it is said once");

    fs::remove_file(daemon.config_path()).expect("it is ours");
    let running = daemon.start();
    assert!(running.log().contains("mailknock config init"), "a line in the log stays: {}", running.log());
    running.stop();
    desktop.settle();
    assert!(desktop.try_notification().is_none(), "nobody is welcomed twice");
}

#[test]
fn a_user_of_imserious_is_told_how_to_go_on_with_its_file() {
    if !Network::available() || !require(&["dbus-daemon"]) {
        return;
    }
    let network = Network::new();
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let example = repository_file("tests/data/imserious-example.toml").display().to_string();
    let laid = format!("mount -t tmpfs none /usr/local/etc\ncp '{example}' /usr/local/etc/imserious.toml");
    let shell = format!("{laid}\nexec \"$@\"");
    let words = [&network.desktop()[..], &["unshare", "--mount", "sh", "-ec", &shell, "sh"]].concat();
    let daemon = newcomer().bus(&bus).inside(&words);
    let running = daemon.start();
    let how = "mailknock -c /usr/local/etc/imserious.toml";
    let welcome = desktop.next_notification();
    assert!(welcome.body.contains(how) && running.log().contains(how), "{welcome:?}\n{}", running.log());
    running.stop();
}

#[test]
fn the_check_says_what_changes_for_a_user_of_imserious() {
    let daemon = Daemon::new();
    let file = daemon.home().join("mine.toml");
    let name = file.display().to_string();
    let its = "[[handler]]\nuser = \"me\"\ncommand = \"fdm fetch\"\n";
    fs::write(&file, its).expect("the home is ours");
    let said = daemon.command(&["-c", &name, "check"]).succeeded().stderr;
    for words in ["IMSErious' too", "notify = true", "stdin", "SIGHUP", "config.toml; copy it there"] {
        assert!(said.contains(words), "no `{words}`: {said}");
    }
    assert!(!said.contains("`hosts`"), "nobody else reaches it: {said}");
    fs::write(&file, format!("listen = \"0.0.0.0:1\"\nallow = [\"10.0.0.2\"]\n{its}")).expect("the home is ours");
    assert!(daemon.command(&["-c", &name, "check"]).succeeded().stderr.contains("`hosts`"));
    // With a key of ours in it, it is ours; and who has moved it here knows.
    fs::write(&file, format!("{its}timeout = \"1m\"\n")).expect("the home is ours");
    assert!(!daemon.command(&["-c", &name, "check"]).succeeded().stderr.contains("IMSErious"));
    fs::write(daemon.config_path(), its).expect("the directory is ours");
    assert!(!daemon.command(&["check"]).succeeded().stderr.contains("IMSErious"));
}

#[test]
fn the_menu_makes_a_configuration_to_look_at_that_changes_nothing() {
    if !require(&["dbus-daemon"]) || !Network::available() {
        return;
    }
    let network = Network::new();
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let daemon = newcomer();
    let bin = daemon.home().join("bin");
    fs::create_dir(&bin).expect("the home is ours");
    daemon.give(&bin);
    // Written beside it, and put there in one step.
    let told = bin.join("told").display().to_string();
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >'{told}.new'\nmv '{told}.new' '{told}'\n");
    install_script(&script, &bin.join("xdg-open"));
    let path = std::env::join_paths(
        [bin.clone()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let daemon = daemon.bus(&bus).inside(&network.desktop()).env("PATH", path.expect("no colon is in it"));
    let running = daemon.start();
    desktop.tray().choose("Open configuration");
    wait_until("the file to be opened", || holds(bin.join("told").exists()));
    let opened = fs::read_to_string(bin.join("told")).expect("it is there");
    assert_eq!(opened, format!("{}\n", daemon.config_path().display()));
    let text = fs::read_to_string(daemon.config_path()).expect("it was made");
    assert!(text.contains("\n#[auth]\n") && !text.contains("\n[auth]\n"), "{text}");
    let mode = fs::metadata(daemon.config_path()).expect("it was made").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    network.in_desktop(|| {
        let answer = Request::put("/notify").json(r#"{"user":"me","event":"messageNew"}"#).send(running.addr());
        assert_eq!(answer.status, 200, "nobody asked for a password");
    });
    running.stop();
}

#[test]
fn without_ssh_the_rest_goes_on_and_says_what_is_missing() {
    let daemon = Daemon::new();
    let bin = daemon.home().join("bin");
    fs::create_dir(&bin).expect("the home is ours");
    // The one program that the rig itself may need.
    let setpriv = find_program("setpriv").expect("it belongs to the basic programs");
    symlink(setpriv, bin.join("setpriv")).expect("the directory is ours");
    let daemon = daemon.env("PATH", &bin);
    fs::write(daemon.config_path(), "[auth]\nuser = \"u\"\npass = \"p\"\n[tunnel]\nhost = \"mail\"\n")
        .expect("the directory is ours");
    let page = daemon.command(&["setup", "ssh"]).succeeded().stdout;
    assert!(page.contains("ssh-keygen") && page.contains("authorized_keys"), "{page}");
    let found = daemon.command(&["doctor"]).ended_with(1).stdout;
    assert!(found.contains("failed   ssh: `ssh` not found") && found.contains("install OpenSSH's client"), "{found}");
    assert!(found.contains("unknown  tunnel to mail: could not be tried"), "{found}");
    let mut running = daemon.spawn();
    running.wait_log("listening on unix:");
    wait_until("the tunnel to be told down", || holds(daemon.command(&["status"]).stdout.contains("`ssh` not found")));
    running.stop();
}
