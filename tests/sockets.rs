//! `listen` as a list, and Unix sockets among it: whose they are, what is in their way, and what a reload does to them.

mod moves;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::control::{NO_LIMIT, handler, start, status};
use crate::record::{AT_ONCE, recent};
use crate::support::daemon::{Daemon, Running};
use crate::support::http::Request;
use crate::support::wait::{SOON, holds, wait_until};
use crate::support::{require, skip};

const EVENT: &str = r#"{"user":"me","event":"messageNew"}"#;

/// Where the socket of most of these tests is.
fn place(recipe: &Daemon) -> PathBuf {
    recipe.path("runtime/push/push.sock")
}

/// The configuration of what is listened on.
fn listen(addresses: &[&str]) -> String {
    format!("listen = {}\n", json!(addresses))
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// Sends a request on a connection of its own and gives the status of the answer, where one comes.
fn send(path: &Path, request: &Request) -> std::io::Result<u16> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(&request.clone().header("Connection", "close").bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    status.ok_or_else(|| std::io::Error::other(answer))
}

#[track_caller]
fn push(path: &Path) -> u16 {
    send(path, &Request::put("/notify").json(EVENT)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o7777
}

/// Starts it where no address of the network is listened on.
#[track_caller]
fn start_unix(recipe: &Daemon) -> Running {
    let mut daemon = recipe.spawn();
    daemon.wait_log("listening on unix:");
    crate::control::wait_answers(recipe);
    daemon
}

#[test]
fn events_come_in_at_every_address_of_the_list() {
    if !require(&["curl"]) {
        return;
    }
    let recipe = Daemon::new();
    let socket = place(&recipe);
    let seen = handler(NO_LIMIT, "echo \"[$IMSE_REMOTE_IP|$IMSE_REMOTE_PORT|$IMSE_FOLDER]\" >>seen");
    let addresses = ["127.0.0.1:0", &unix(&socket), "127.0.0.2:0"];
    let daemon = start(&recipe.clone().config(&format!("{}{seen}", listen(&addresses))));
    let listening = status(&recipe)["listening"].clone();
    assert_eq!((&listening[0], &listening[1]), (&json!(daemon.url()), &json!(unix(&socket))));
    let third = listening[2].as_str().expect("a URL");
    assert!(third.starts_with("http://127.0.0.2:"), "{listening}");
    assert_eq!((mode(&socket), mode(socket.parent().expect("its directory"))), (0o600, 0o700));
    let curl = |url: &str, more: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-q", "--silent", "--noproxy", "*", "--max-time", "10", "-X", "PUT", "-d", EVENT]);
        command.args(["-H", "Content-Type: application/json"]).args(more).arg(url);
        String::from_utf8(command.output().expect("it is installed").stdout).expect("text")
    };
    let success = r#"{"success":true}"#;
    let socket_name = socket.display().to_string();
    for (count, (url, more)) in
        [(daemon.url(), &[][..]), ("http://localhost/notify", &["--unix-socket", &socket_name]), (third, &[])]
            .into_iter()
            .enumerate()
    {
        assert_eq!(curl(url, more), success, "{url}");
        crate::commands::lines(&daemon, "seen", count + 1);
    }
    let seen = crate::commands::lines(&daemon, "seen", 3);
    assert!(seen[0].starts_with("[127.0.0.1|") && seen[2].starts_with("[127.0.0.1|"), "{seen:?}");
    assert_eq!(seen[1], "[||]");
    assert_eq!(recent(&recipe, &[])[1].get("remote"), None);
    daemon.stop();
    assert!(!socket.exists(), "it goes with the program");
    assert_eq!(fs::read_dir(socket.parent().expect("its directory")).expect("it is ours").count(), 0);
}

#[test]
fn networks_do_not_count_for_a_socket_and_all_else_does() {
    let recipe = Daemon::new();
    let socket = place(&recipe);
    let auth = "[auth]\nuser = \"foo\"\npass = \"bar\"\n";
    let addresses = listen(&["127.0.0.1:0", &unix(&socket)]);
    let daemon =
        start(&recipe.clone().config(&format!("{addresses}allow = [\"10.0.0.2\"]\nmax_body = \"1KiB\"\n{AT_ONCE}")));
    let put = || Request::put("/notify").json(EVENT);
    let check = |request: Request, expected: u16| {
        assert_eq!(send(&socket, &request).expect("an answer"), expected, "{request:?}");
    };
    daemon.push(EVENT).refused(403);
    check(put(), 200);
    check(Request::get("/healthz"), 204);
    check(put().header("Origin", "null"), 403);
    check(put().header("Sec-Fetch-Site", "none"), 403);
    check(put().header("Host", "127.0.0.1"), 400);
    check(Request::put("/elsewhere").json(EVENT), 404);
    check(Request::get("/notify"), 405);
    check(Request::put("/notify").json(&" ".repeat(2000)), 413);
    let foreign = String::from_utf8(put().header("Connection", "close").bytes()).expect("text");
    let mut stream = UnixStream::connect(&socket).expect("it listens there");
    stream.write_all(foreign.replace("Host: 127.0.0.1", "Host: evil.example").as_bytes()).expect("it takes it");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    recipe.write_config(&format!("{addresses}{auth}{AT_ONCE}"));
    recipe.command(&["reload"]).succeeded();
    check(put(), 401);
    check(put().header("Authorization", "Basic Zm9vOmJhcg=="), 200);
    daemon.stop();
}

#[test]
fn what_is_in_the_way_of_a_socket_is_told_and_left_alone() {
    let recipe = Daemon::new();
    let [open, full] = ["runtime/open", "runtime/full"].map(|below| recipe.path(below));
    for directory in [&open, &full] {
        fs::create_dir(directory).expect("the directory is ours");
        recipe.give(directory);
    }
    fs::set_permissions(&open, Permissions::from_mode(0o777)).expect("the directory is ours");
    fs::write(full.join("file"), "precious").expect("the directory is ours");
    fs::create_dir(full.join("directory")).expect("the directory is ours");
    std::os::unix::fs::symlink("/nonexistent", full.join("link")).expect("the directory is ours");
    let long = recipe.path("runtime").join("l".repeat(150));
    let deep = full.join("d".repeat(120)).join("s");
    for (path, why) in [
        (open.join("s"), "others can write it; `chmod go-w` it"),
        (full.join("file"), "there is something that is no socket"),
        (full.join("directory"), "there is something that is no socket"),
        (full.join("link"), "there is something that is no socket"),
        (full.join("file/s"), "failed to make the directory "),
        (long, "the path is too long"),
        (deep, "the path is too long"),
    ] {
        // Nothing is listened on where not all is.
        let other = recipe.path("runtime/other");
        recipe.write_config(&listen(&["127.0.0.1:0", &unix(&other), &unix(&path)]));
        let said = recipe.command(&["run"]).ended_with(1).stderr;
        let line = said.lines().last().expect("a line");
        assert!(line.starts_with(&format!("mailknock: failed to listen on {}", unix(&path))), "{said}");
        assert!(line.contains(why) && !line.contains("another instance"), "{said}");
        assert!(!other.exists());
    }
    assert_eq!(fs::read_to_string(full.join("file")).expect("it is there"), "precious");
    assert!(fs::symlink_metadata(full.join("link")).is_ok());
    assert_eq!(fs::read_dir(&open).expect("it is ours").count(), 0);
}

#[test]
fn a_socket_left_behind_is_replaced_and_a_live_one_is_not_stolen() {
    let recipe = Daemon::new();
    let socket = place(&recipe);
    recipe.write_config(&listen(&[&unix(&socket)]));
    for _ in 0..2 {
        let daemon = start_unix(&recipe);
        assert_eq!(push(&socket), 200);
        daemon.kill();
        let found = fs::symlink_metadata(&socket).expect("a killed program leaves it");
        assert!(found.file_type().is_socket());
    }
    let daemon = start_unix(&recipe);
    let other = Daemon::new().config(&listen(&[&unix(&socket)]));
    for _ in 0..2 {
        let said = other.command(&["run"]).ended_with(1).stderr;
        let expected = format!("failed to listen on {}. Is another instance running?", unix(&socket));
        assert!(said.contains(&expected), "{said}");
        assert_eq!(push(&socket), 200, "the first one still has it");
    }
    // One that somebody else took in the meantime is theirs.
    fs::remove_file(&socket).expect("the directory is ours");
    let theirs = UnixListener::bind(&socket).expect("the name is free");
    daemon.stop();
    assert!(UnixStream::connect(&socket).is_ok());
    drop(theirs);
    assert_eq!(recent(&recipe, &[]).len(), 4);
}

#[test]
fn another_user_gets_nowhere() {
    if !rustix::process::geteuid().is_root() {
        skip("only root can be another user");
        return;
    }
    if !require(&["setpriv", "curl"]) {
        return;
    }
    let recipe = Daemon::new();
    let socket = place(&recipe);
    recipe.write_config(&listen(&[&unix(&socket)]));
    let daemon = start_unix(&recipe);
    let push_as = |user: &str| {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={user}"), "--clear-groups", "curl", "-q", "--silent", "--unix-socket"]);
        command.arg(&socket).args(["-X", "PUT", "-d", EVENT, "-H", "Content-Type: application/json"]);
        command.args(["--write-out", "%{http_code}", "--output", "/dev/null", "http://localhost/notify"]);
        let output = command.current_dir("/").output().expect("it is installed");
        String::from_utf8(output.stdout).expect("text")
    };
    // Where every directory on the way lets everybody in, the socket itself doesn't.
    for below in ["", "runtime", "runtime/push"] {
        fs::set_permissions(recipe.path(below), Permissions::from_mode(0o755)).expect("the directory is ours");
    }
    assert_eq!([push_as("2"), push_as("65534")], ["000", "200"]);
    recipe.command(&["reload"]).succeeded();
    assert_eq!([push_as("2"), push_as("65534")], ["000", "200"]);
    daemon.stop();
}
