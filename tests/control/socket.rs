//! What strangers, other versions and broken programs may send to the socket, and what they can't reach by it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use serde_json::Value;

use super::{fetch_handler, socket, start, status};
use crate::support::daemon::Daemon;
use crate::support::recorder::Recorder;
use crate::support::wait::{SOON, holds, wait_until};
use crate::support::{require, skip};

/// A connection to the socket that may send anything.
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    #[track_caller]
    pub fn connect(recipe: &Daemon) -> Client {
        let stream = UnixStream::connect(socket(recipe)).expect("the program listens there");
        stream.set_read_timeout(Some(SOON)).expect("the bound isn't zero");
        stream.set_write_timeout(Some(SOON)).expect("the bound isn't zero");
        Client { stream: BufReader::new(stream) }
    }

    /// With a line sent.
    #[track_caller]
    pub fn ask(recipe: &Daemon, line: &str) -> Client {
        let mut client = Client::connect(recipe);
        client.send(format!("{line}\n").as_bytes());
        client
    }

    /// The other side may have refused already: what it said is what counts.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// The next line.
    #[track_caller]
    pub fn reply(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a reply");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    #[track_caller]
    pub fn error(&mut self) -> String {
        let reply = self.reply();
        reply["error"].as_str().unwrap_or_else(|| panic!("no error: {reply}")).to_owned()
    }
}

#[test]
fn what_is_no_request_is_told_and_harms_nothing() {
    let recipe = Daemon::new();
    let daemon = start(&recipe);
    let check = |bytes: &[u8], expected: &str| {
        let mut client = Client::connect(&recipe);
        client.send(bytes);
        let why = client.error();
        assert!(why.contains(expected), "{:?}: {why}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)]));
    };
    for garbage in ["hello", "", "{}", "[]", "null", "{\"version\":1}", "GET / HTTP/1.1\r", "{\"command\":\"status\"}"]
    {
        check(format!("{garbage}\n").as_bytes(), "this is no request");
    }
    check(b"\xff\xfe\0\n", "this is no request");
    check(b"{\"version\":1,\"command\":\"quit\"}\n", "this is no request");
    check(b"{\"version\":1,\"command\":\"pause\",\"seconds\":-1}\n", "this is no request");
    check(format!("{}\n", "[".repeat(60_000)).as_bytes(), "this is no request");
    check(format!("{}\n", "a".repeat(100 * 1024)).as_bytes(), "the line is too long");
    // Without an end too.
    check("a".repeat(100 * 1024).as_bytes(), "the line is too long");
    check(b"{\"version\":2,\"command\":\"status\"}\n", "speaks version 1, not 2; restart it");
    assert_eq!(status(&recipe)["new"], 0);
    daemon.stop();
}

#[test]
fn whoever_sends_half_a_line_waits_alone() {
    let recipe = Daemon::new();
    let daemon = start(&recipe);
    let half = b"{\"version\":1,\"comm";
    let mut waiting = Client::connect(&recipe);
    waiting.send(half);
    for _ in 0..50 {
        Client::connect(&recipe).send(half);
        drop(Client::connect(&recipe));
        drop(Client::ask(&recipe, r#"{"version":1,"command":"follow"}"#));
    }
    // All of them are gone, and their places free.
    wait_until("the program to answer", || recipe.command(&["status"]).status.success().then_some(()));
    waiting.send(b"and\":\"status\"}\n");
    assert_eq!(waiting.reply()["status"]["new"], 0);
    daemon.stop();
}

#[test]
fn the_seventeenth_client_is_told() {
    let recipe = Daemon::new();
    let daemon = start(&recipe);
    let follow = || {
        let mut client = Client::ask(&recipe, r#"{"version":1,"command":"follow"}"#);
        client.reply().get("status").is_some().then_some(client)
    };
    // The connection that found the socket open may still have its place.
    let mut clients: Vec<Client> = (0..16).map(|_| wait_until("a place", follow)).collect();
    assert_eq!(Client::connect(&recipe).error(), "too many clients");
    for _ in 0..20 {
        let why = recipe.command(&["status"]).ended_with(1).stderr;
        assert_eq!(why, "mailknock: too many clients\n");
    }
    clients.pop();
    wait_until("a place to be free", || recipe.command(&["status"]).status.success().then_some(()));
    daemon.stop();
}

#[test]
fn a_request_carries_neither_a_command_nor_a_path() {
    let recipe = Daemon::new();
    let fetch = Recorder::new(&recipe, "fetch");
    recipe.write_config(&fetch_handler(&fetch));
    let daemon = start(&recipe);
    let evil = recipe.home().join("evil");
    let other = recipe.home().join("other.toml");
    std::fs::write(&other, "endpoint = \"/other\"").expect("the home is ours");
    let extra = format!(
        r#""exec":["touch","{0}"],"argv":["touch","{0}"],"env":{{"PATH":"/"}},"config":"{1}","path":"{1}","file":"{1}""#,
        evil.display(),
        other.display()
    );
    let ask = |request: &str| {
        let mut client = Client::ask(&recipe, &format!(r#"{{"version":1,{request},{extra}}}"#));
        client.reply()
    };
    assert_eq!(ask(r#""command":"fetch""#)["runs"][0]["result"], "done");
    assert_eq!(fetch.starts().len(), 1);
    assert_eq!(ask(r#""command":"reload""#)["error"], Value::Null);
    for handler in ["touch evil", "/bin/true", "fetch; touch evil", "../fetch", "fetch\\u0000"] {
        let refused = ask(&format!(r#""command":"fetch","handlers":["{handler}"]"#));
        assert!(refused["error"].as_str().is_some_and(|why| why.contains("no command handler is named")), "{refused}");
    }
    assert!(status(&recipe)["listening"][0].as_str().is_some_and(|url| url.ends_with("/notify")));
    assert!(!evil.exists());
    assert_eq!(fetch.starts().len(), 1);
    daemon.stop();
}

#[test]
fn another_user_is_refused_even_where_the_socket_lets_him_in() {
    if !rustix::process::geteuid().is_root() {
        skip("only root can be another user");
        return;
    }
    if !require(&["setpriv", "perl"]) {
        return;
    }
    let recipe = Daemon::new();
    let daemon = start(&recipe);
    for (below, mode) in
        [("", 0o755), ("runtime", 0o755), ("runtime/mailknock", 0o755), ("runtime/mailknock/control.sock", 0o666)]
    {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(recipe.path(below), mode).expect("the directory is ours");
    }
    let script = r#"my $s = IO::Socket::UNIX->new($ARGV[0]) or die "no way in: $!";
        $SIG{PIPE} = "IGNORE"; syswrite $s, qq({"version":1,"command":"pause"}\n); print <$s>;"#;
    let ask = |user: &str| {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={user}"), "--clear-groups", "perl", "-MIO::Socket::UNIX", "-e", script]);
        let output = command.arg(socket(&recipe)).current_dir("/").output().expect("it is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("a line that says why")
    };
    let refused = ask("2");
    assert_eq!(refused["error"], "this program belongs to another user");
    assert_eq!(status(&recipe)["paused"], false);
    assert_eq!(ask("65534")["status"]["paused"], true, "the same script as the same user is heard");
    wait_until("the pause", || holds(status(&recipe)["paused"] == true));
    daemon.stop();
}
