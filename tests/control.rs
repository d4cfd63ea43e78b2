//! The running program as the other commands meet it, over its socket in the runtime directory.

mod pause;
mod instance;
pub mod socket;
mod followers;

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::Desktop;
use crate::support::mail::Mail;
use crate::support::recorder::Recorder;
use crate::support::require;
use crate::support::wait::wait_until;

/// Runs that follow each other as fast as they can.
pub const NO_LIMIT: &str = "limit_period = \"1ms\"\nlimit_burst = 1000\n";

/// A command handler that runs this with `/bin/sh`, in the program's home directory.
pub fn handler(keys: &str, script: &str) -> String {
    format!("[[handler]]\n{keys}\ncommand = [\"/bin/sh\", \"-c\", '''{script}''']\n")
}

/// The default configuration on a desktop without a tray.
pub fn without_tray() -> Option<(Bus, Desktop, Daemon)> {
    if !require(&["dbus-daemon"]) {
        return None;
    }
    let bus = Bus::start();
    let desktop = Desktop::on(&bus).without_tray().start();
    let recipe = Daemon::new().bus(&bus);
    Some((bus, desktop, recipe))
}

fn socket(recipe: &Daemon) -> PathBuf {
    recipe.path("runtime/mailknock/control.sock")
}

/// Waits until the program answers on its socket: that opens a moment after the listener.
#[track_caller]
pub fn wait_answers(recipe: &Daemon) {
    wait_until("the control socket to open", || UnixStream::connect(socket(recipe)).ok());
}

/// Starts the program and waits until it can be asked.
#[track_caller]
pub fn start(recipe: &Daemon) -> Running {
    let daemon = recipe.start();
    wait_answers(recipe);
    daemon
}

#[track_caller]
pub fn status(recipe: &Daemon) -> Value {
    let said = recipe.command(&["status", "--json"]).succeeded().stdout;
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Waits until the status is as the test wants it, and returns it.
#[track_caller]
pub fn wait_status(recipe: &Daemon, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_until(what, || Some(status(recipe)).filter(|status| wanted(status)))
}

/// The lines that a follower has printed, once there are so many.
#[track_caller]
fn wait_lines(follower: &Running, count: usize) -> Vec<String> {
    let lines = || follower.stdout().lines().map(str::to_owned).collect::<Vec<_>>();
    wait_until(&format!("line {count} of the follower"), || Some(lines()).filter(|lines| lines.len() >= count))
}

fn push(daemon: &Running, number: u32) {
    daemon.push(&Mail::new(&format!("Author {number} <a@example.org>"), "s").json()).accepted();
}

/// A handler that only a fetch runs: it is for the mail of nobody.
fn fetch_handler(recorder: &Recorder) -> String {
    format!("[[handler]]\nname = \"fetch\"\nuser = \"nobody\"\ncommand = {}\n", recorder.command(&[]))
}

#[test]
fn where_nothing_runs_every_command_says_so_and_fails() {
    let recipe = Daemon::new();
    let commands: [&[&str]; 8] = [
        &["status"],
        &["status", "--json"],
        &["status", "--follow"],
        &["status", "--format", "waybar"],
        &["fetch"],
        &["pause"],
        &["resume"],
        &["reload"],
    ];
    for command in commands {
        let said = recipe.command(command).ended_with(1);
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", "mailknock: Mailknock isn't running\n"));
    }
}

#[test]
fn status_tells_people_and_scripts_how_it_stands() {
    let recipe = Daemon::new().config(&handler("name = \"sad\"\nuser = \"nobody\"", "echo oh; echo no >&2; exit 3"));
    let daemon = start(&recipe);
    let text = recipe.command(&["status"]).succeeded().stdout;
    let url = daemon.url();
    let start = format!("no new messages\nlistening on {url}\nevents are kept on disk\n");
    assert_eq!(text, format!("{start}handler sad: not yet run\n"));

    push(&daemon, 1);
    recipe.command(&["fetch"]).ended_with(1);
    let text = recipe.command(&["status"]).succeeded().stdout;
    assert!(text.starts_with("1 new message\n"), "{text}");
    assert!(text.contains("\nhandler sad: exit 3 at "), "{text}");
    assert!(text.ends_with("\nproblem: sad: exit 3: no\n"), "{text}");

    let json = status(&recipe);
    let keys: Vec<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    let expected = ["fetching", "handlers", "listening", "new", "newest", "paused", "problems", "record", "schema"];
    assert_eq!(keys, expected);
    assert_eq!((&json["schema"], &json["new"], &json["paused"]), (&1.into(), &1.into(), &false.into()));
    assert_eq!((&json["record"], &json["newest"]), (&"disk".into(), &"Author 1: s".into()));
    assert_eq!(json["listening"], serde_json::json!([url]));
    let last = &json["handlers"][0]["last_run"];
    assert_eq!(
        (&last["result"], &last["succeeded"], &last["last_line"]),
        (&"exit 3".into(), &false.into(), &"no".into())
    );
    daemon.stop();
}

#[test]
fn a_follower_gets_one_line_for_each_change() {
    let recipe = Daemon::new();
    let daemon = start(&recipe);
    // Nobody was told this before; the end of the pause comes when a repeat of the first line would have come.
    recipe.command(&["pause", "2s"]).succeeded();
    let follower = recipe.clone().args(&["status", "--follow"]).spawn();
    let lines = wait_lines(&follower, 2);
    assert!(lines[0].starts_with("no new messages; notifications paused until "), "{lines:?}");
    assert_eq!(lines[1], "no new messages");
    for arguments in [&["status", "--follow"][..], &["status", "--follow", "--json"]] {
        let follower = recipe.clone().args(arguments).spawn();
        wait_lines(&follower, 1);
        push(&daemon, u32::try_from(arguments.len()).expect("small"));
        wait_lines(&follower, 2);
        recipe.command(&["pause"]).succeeded();
        wait_lines(&follower, 3);
        recipe.command(&["resume"]).succeeded();
        let lines = wait_lines(&follower, 4);
        let repeated = lines.windows(2).find(|pair| pair[0] == pair[1]);
        assert_eq!((lines.len(), repeated), (4, None), "{lines:#?}");
        if arguments.contains(&"--json") {
            let json: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            let told: Vec<_> = json.iter().map(|json| (json["new"].as_u64(), json["paused"].as_bool())).collect();
            let expected = [(1, false), (2, false), (2, true), (2, false)];
            assert_eq!(told, expected.map(|(new, paused)| (Some(new), Some(paused))));
        } else {
            let paused = "1 new message; notifications paused";
            assert_eq!(lines, ["no new messages", "1 new message", paused, "1 new message"]);
        }
    }
    // One that is there at the end of the program ends with it.
    let follower = recipe.clone().args(&["status", "--follow"]).spawn();
    wait_lines(&follower, 1);
    daemon.stop();
    follower.finish().ended_with(1);
}

#[test]
fn a_bar_gets_json_and_no_markup_of_strangers() {
    let recipe = Daemon::new();
    let daemon = start(&recipe);
    let waybar = || -> Value {
        let said = recipe.command(&["status", "--format", "waybar"]).succeeded().stdout;
        assert_eq!(said.lines().count(), 1, "{said:?}");
        serde_json::from_str(&said).expect("one JSON object")
    };
    let idle = waybar();
    assert_eq!(
        (&idle["text"], &idle["alt"], &idle["class"]),
        (&"".into(), &"idle".into(), &serde_json::json!(["idle"]))
    );
    let subject = "</span><b>A & B\u{202e}</b> \"'\0\u{1b}[1m";
    daemon.push(&Mail::new("\"<i>Eve\" <e@example.org>", subject).json()).accepted();
    let new = waybar();
    assert_eq!((&new["text"], &new["alt"], &new["class"]), (&"1".into(), &"new".into(), &serde_json::json!(["new"])));
    let tooltip = new["tooltip"].as_str().expect("a text");
    assert!(tooltip.contains("&lt;i&gt;Eve: &lt;/span&gt;&lt;b&gt;A &amp; B&lt;/b&gt;"), "{tooltip:?}");
    assert!(!tooltip.contains(['<', '>', '\u{202e}', '\0', '\u{1b}']), "{tooltip:?}");
    recipe.command(&["pause"]).succeeded();
    assert_eq!(waybar()["class"], serde_json::json!(["paused", "new"]));
    daemon.stop();
}

#[test]
fn fetch_waits_for_its_run_and_ends_as_that_did() {
    let recipe = Daemon::new();
    let fetch = Recorder::new(&recipe, "fetch");
    let sad = handler("name = \"sad\"\nuser = \"nobody\"", "echo trouble; exit 3");
    recipe.write_config(&format!("{}{sad}[[handler]]\nname = \"popup\"\nnotify = true", fetch_handler(&fetch)));
    let daemon = start(&recipe);
    let done = recipe.command(&["fetch", "fetch"]).succeeded();
    assert_eq!((done.stdout.as_str(), fetch.starts().len()), ("fetch: done\n", 1));
    assert_eq!(fetch.starts()[0].trigger, "fetch");
    let sad = recipe.command(&["fetch", "sad"]).ended_with(1);
    assert_eq!(sad.stdout, "sad: exit 3: trouble\n");
    let both = recipe.command(&["fetch"]).ended_with(1).stdout;
    let mut lines: Vec<&str> = both.lines().collect();
    lines.sort_unstable();
    assert_eq!((lines, fetch.starts().len()), (vec!["fetch: done", "sad: exit 3: trouble"], 2));
    for unknown in ["nobody", "popup"] {
        let why = recipe.command(&["fetch", "fetch", unknown]).ended_with(1).stderr;
        assert!(why.contains(&format!("named `{unknown}`; there are: fetch, sad\n")), "{why}");
    }
    assert_eq!(fetch.starts().len(), 2, "with a wrong name nothing runs");
    daemon.stop();
}

#[test]
fn a_fetch_joins_the_one_that_runs() {
    let recipe = Daemon::new();
    let fetch = Recorder::held(&recipe, "fetch");
    recipe.write_config(&fetch_handler(&fetch));
    let daemon = start(&recipe);
    let first = recipe.clone().args(&["fetch"]).spawn();
    fetch.wait_starts(1);
    let mut second = socket::Client::ask(&recipe, r#"{"version":1,"command":"fetch"}"#);
    // Answered after what was asked before it.
    assert_eq!(status(&recipe)["fetching"], true);
    fetch.release();
    assert_eq!(first.finish().succeeded().stdout, "fetch: done\n");
    assert_eq!(second.reply()["runs"][0]["result"], "done");
    wait_status(&recipe, "the fetch to be over", |status| status["fetching"] == false);
    assert_eq!(fetch.starts().len(), 1);
    daemon.stop();
}

#[test]
fn where_nothing_fetches_fetch_says_what_to_add() {
    let recipe = Daemon::new();
    let daemon = start(&recipe);
    let why = recipe.command(&["fetch"]).ended_with(1).stderr;
    assert_eq!(why, "mailknock: no handler fetches; add a command handler\n");
    daemon.stop();
}

#[test]
fn a_fetch_is_told_when_the_program_ends_before_it() {
    let recipe = Daemon::new();
    let fetch = Recorder::held(&recipe, "fetch");
    recipe.write_config(&fetch_handler(&fetch));
    let daemon = start(&recipe);
    let waiting = recipe.clone().args(&["fetch"]).spawn();
    fetch.wait_starts(1);
    daemon.stop();
    let why = waiting.finish().ended_with(1).stderr;
    assert!(why.contains("the program is stopping") || why.contains("it ended"), "{why}");
}
