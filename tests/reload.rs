//! Another configuration while the program runs: what takes effect, what is kept, and what is not taken.

mod wrong;
mod kept;
mod doubtful;

use std::net::{SocketAddr, TcpStream};

use crate::control::{NO_LIMIT, handler, start, status, wait_status};
use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Running, Signal};
use crate::support::desktop::Desktop;
use crate::support::http::Request;
use crate::support::require;
use crate::support::wait::{holds, wait_until};

const AUTH: &str = "[auth]\nuser = \"foo\"\npass = \"bar\"\n";
const RELOADED: &str = "configuration reloaded";

/// What a push to this address and path is answered, with the password of [`AUTH`] or without.
#[track_caller]
fn answer(to: SocketAddr, path: &str, with_password: bool) -> u16 {
    let request = Request::put(path).json(r#"{"user":"me","event":"messageNew"}"#);
    let request = if with_password { request.header("Authorization", "Basic Zm9vOmJhcg==") } else { request };
    request.send(to).status
}

/// A handler that writes its own name for each run.
fn marker(name: &str) -> String {
    handler(&format!("name = \"{name}\"\n{NO_LIMIT}"), &format!("echo {name} >> runs"))
}

/// Waits until that many runs of [`marker`]s have written their names.
#[track_caller]
fn wait_runs(recipe: &Daemon, count: usize) -> Vec<String> {
    let path = recipe.home().join("runs");
    let lines = || std::fs::read_to_string(&path).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    wait_until(&format!("{count} runs"), || Some(lines()).filter(|lines| lines.len() >= count))
}

/// Where it listens, as its log said from line `from` on.
#[track_caller]
fn wait_listens(daemon: &mut Running, from: usize) -> SocketAddr {
    let line = daemon.wait_log_after(from, "listening on http://");
    let authority = line.split_once("http://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
    authority.parse().unwrap_or_else(|_| panic!("no address: {line}"))
}

/// Changes the file and waits until the program has taken it by itself.
#[track_caller]
fn change(daemon: &mut Running, text: &str) {
    let from = daemon.log_length();
    daemon.recipe().write_config(text);
    daemon.wait_log_after(from, RELOADED);
}

#[test]
fn a_change_of_the_file_takes_effect_by_itself() {
    let recipe = Daemon::new().config(&marker("one"));
    let mut daemon = start(&recipe);
    let first = daemon.addr();
    assert_eq!(answer(first, "/notify", false), 200);
    assert_eq!(wait_runs(&recipe, 1), ["one"]);

    change(&mut daemon, &format!("{AUTH}{}", marker("two")));
    assert_eq!((answer(first, "/notify", false), answer(first, "/notify", true)), (401, 200));
    assert_eq!(wait_runs(&recipe, 2), ["one", "two"]);

    change(&mut daemon, &format!("endpoint = \"/other\"\n{AUTH}{}", marker("two")));
    assert_eq!((answer(first, "/notify", true), answer(first, "/other", true)), (404, 200));
    assert_eq!(wait_runs(&recipe, 3), ["one", "two", "two"]);
    assert_eq!(status(&recipe)["listening"][0], format!("http://{first}/other"));

    let from = daemon.log_length();
    change(&mut daemon, &format!("listen = \"127.0.0.2:0\"\n{AUTH}{}", marker("three")));
    let second = wait_listens(&mut daemon, from);
    assert!(second.ip().to_string() == "127.0.0.2");
    assert_eq!(answer(second, "/notify", true), 200);
    assert_eq!(wait_runs(&recipe, 4).last().map(String::as_str), Some("three"));
    wait_until("the old address to be closed", || TcpStream::connect(first).err());
    assert_eq!(status(&recipe)["listening"], serde_json::json!([format!("http://{second}/notify")]));
    daemon.stop();
}

#[test]
fn a_reload_that_is_asked_for_may_open_doors() {
    // Without a password, which a change of the file alone would not take.
    let recipe = Daemon::new().config(&format!("{AUTH}{}", marker("one")));
    let mut daemon = start(&recipe);
    for by_signal in [true, false] {
        assert_eq!(answer(daemon.addr(), "/notify", false), 401);
        let from = daemon.log_length();
        recipe.write_config(&marker("two"));
        match by_signal {
            true => daemon.signal(Signal::HUP),
            false => drop(recipe.command(&["reload"]).succeeded()),
        }
        daemon.wait_log_after(from, RELOADED);
        assert_eq!(answer(daemon.addr(), "/notify", false), 200);
        recipe.write_config(&format!("{AUTH}{}", marker("one")));
        recipe.command(&["reload"]).succeeded();
    }
    let from = daemon.log_length();
    recipe.write_config(&format!("listen = \"0.0.0.0:0\"\nallow = [\"127.0.0.0/8\", \"192.0.2.1\"]\n{AUTH}"));
    let said = recipe.command(&["reload"]).succeeded();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
    let opened = wait_listens(&mut daemon, from);
    assert_eq!(answer(SocketAddr::from(([127, 0, 0, 1], opened.port())), "/notify", true), 200);
    daemon.stop();
}

#[test]
fn every_way_in_which_editors_save_is_noticed() {
    use std::fs;
    let recipe = Daemon::new().config(&marker("start"));
    let mut daemon = start(&recipe);
    let file = recipe.config_path();
    let text = |name: &str| format!("listen = \"127.0.0.1:0\"\n{}[log]\nlevel = true\n", marker(name));
    let beside = |name: &str| file.with_file_name(name);
    let mut runs = 0;
    let mut check = |name: &str, save: &dyn Fn()| {
        let from = daemon.log_length();
        save();
        daemon.wait_log_after(from, RELOADED);
        daemon.push(r#"{"user":"me","event":"messageNew"}"#).accepted();
        runs += 1;
        assert_eq!(wait_runs(&recipe, runs).last().map(String::as_str), Some(name));
    };
    check("in-place", &|| fs::write(&file, text("in-place")).expect("the directory is ours"));
    check("renamed", &|| {
        fs::write(beside("new"), text("renamed")).expect("the directory is ours");
        fs::rename(beside("new"), &file).expect("the directory is ours");
    });
    // As vim does it.
    check("backup", &|| {
        fs::rename(&file, beside("config.toml~")).expect("the directory is ours");
        fs::write(&file, text("backup")).expect("the directory is ours");
        fs::remove_file(beside("config.toml~")).expect("the directory is ours");
    });
    // As dotfile programs do it.
    check("link", &|| {
        fs::write(recipe.home().join("a.toml"), text("link")).expect("the home is ours");
        std::os::unix::fs::symlink(recipe.home().join("a.toml"), beside("link")).expect("the directory is ours");
        fs::rename(beside("link"), &file).expect("the directory is ours");
    });
    check("behind", &|| fs::write(recipe.home().join("a.toml"), text("behind")).expect("the home is ours"));
    check("swapped", &|| {
        fs::write(recipe.home().join("b.toml"), text("swapped")).expect("the home is ours");
        std::os::unix::fs::symlink(recipe.home().join("b.toml"), beside("link")).expect("the directory is ours");
        fs::rename(beside("link"), &file).expect("the directory is ours");
    });
    daemon.stop();
}

#[test]
fn an_address_that_is_in_use_leaves_the_old_one_open() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let taken = other.local_addr().expect("it is bound");
    let recipe = Daemon::new().config(&marker("one"));
    let daemon = start(&recipe);
    recipe.write_config(&format!("listen = \"{taken}\"\n{}", marker("two")));
    let why = recipe.command(&["reload"]).ended_with(1).stderr;
    assert!(why.contains(&format!("failed to listen on {taken}")), "{why}");
    assert!(status(&recipe)["problems"][0].as_str().is_some_and(|problem| problem.contains(&taken.to_string())));
    assert_eq!(answer(daemon.addr(), "/notify", false), 200);
    assert_eq!(wait_runs(&recipe, 1), ["one"], "nothing else of the new file is taken either");
    drop(other);
    recipe.command(&["reload"]).succeeded();
    assert_eq!(status(&recipe)["problems"], serde_json::json!([]));
    assert_eq!(answer(taken, "/notify", false), 200);
    assert_eq!(wait_runs(&recipe, 2), ["one", "two"]);
    daemon.stop();
}

#[test]
fn the_same_port_can_move_to_other_addresses_and_back() {
    let recipe = Daemon::new().config(AUTH);
    let mut daemon = start(&recipe);
    let port = daemon.addr().port();
    let here = SocketAddr::from(([127, 0, 0, 1], port));
    let there = SocketAddr::from(([127, 0, 0, 2], port));
    for (listen, reaches_there) in [("0.0.0.0", true), ("127.0.0.1", false), ("0.0.0.0", true)] {
        let from = daemon.log_length();
        recipe.write_config(&format!("listen = \"{listen}:{port}\"\n{AUTH}"));
        recipe.command(&["reload"]).succeeded();
        assert_eq!(wait_listens(&mut daemon, from).to_string(), format!("{listen}:{port}"));
        assert_eq!((answer(here, "/notify", false), answer(here, "/notify", true)), (401, 200));
        assert_eq!(TcpStream::connect(there).is_ok(), reaches_there, "{listen}");
    }
    // Where somebody else has a part of it, the old one comes back.
    recipe.write_config(&format!("listen = \"127.0.0.1:{port}\"\n{AUTH}"));
    recipe.command(&["reload"]).succeeded();
    let _other = std::net::TcpListener::bind(there).expect("the port is free there");
    recipe.write_config(&format!("listen = \"0.0.0.0:{port}\"\n{AUTH}"));
    let why = recipe.command(&["reload"]).ended_with(1).stderr;
    assert!(why.contains(&format!("failed to listen on 0.0.0.0:{port}")), "{why}");
    assert_eq!((answer(here, "/notify", false), answer(here, "/notify", true)), (401, 200));
    assert_eq!(status(&recipe)["listening"], serde_json::json!([format!("http://{here}/notify")]));
    daemon.stop();
}

#[test]
fn the_icon_goes_and_comes_with_the_configuration() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let recipe = Daemon::new().bus(&bus);
    let daemon = start(&recipe);
    for _ in 0..2 {
        desktop.tray();
        recipe.write_config("[tray]\nenabled = false");
        recipe.command(&["reload"]).succeeded();
        desktop.wait_tray_empty();
        recipe.write_config("[tray]\nenabled = true");
        recipe.command(&["reload"]).succeeded();
    }
    let item = desktop.tray();
    assert_eq!(item.labels()[0], "No new messages");
    item.choose("Until resumed");
    wait_status(&recipe, "the pause", |status| status["paused"] == true);
    wait_until("one icon", || holds(desktop.tray_items().len() == 1));
    daemon.stop();
}
