//! `mailknock doctor`: what it finds where all is well, and what it says where something is not.

mod server;
mod trial;
mod tunnels;

use std::net::TcpListener;

use serde_json::Value;

use crate::control::start;
use crate::support::bus::Bus;
use crate::support::certificate::Pair;
use crate::support::daemon::Daemon;
use crate::support::desktop::{Behaviour, Desktop};
use crate::support::require;

/// What there is a warning of on a machine where nothing runs and nothing has come.
const NOTHING_RUNS: [&str; 3] = ["running program", "session bus", "mail server"];

/// What it found, by its `--json`, and its exit code. As text it says the same.
struct Report {
    code: Option<i32>,
    checks: Vec<Value>,
    text: String,
}

#[track_caller]
fn doctor(recipe: &Daemon) -> Report {
    let finished = recipe.command(&["doctor", "--json"]);
    let (said, code) = (&finished.stdout, finished.status.code());
    let json: Value = serde_json::from_str(said).unwrap_or_else(|error| panic!("{error}: {finished:?}"));
    assert_eq!((json["schema"].as_u64(), finished.stderr.as_str()), (Some(1), ""), "{finished:?}");
    let checks = json["checks"].as_array().expect("a list").clone();
    Report { code, checks, text: said.clone() }
}

impl Report {
    /// The only one of that name and state.
    #[track_caller]
    fn one(&self, state: &str, name: &str) -> &Value {
        let found: Vec<&Value> =
            self.checks.iter().filter(|check| check["name"] == name && check["state"] == state).collect();
        let [one] = found.as_slice() else { panic!("{} times {state} {name} in {}", found.len(), self.text) };
        one
    }

    #[track_caller]
    fn says(&self, state: &str, name: &str, said: &str) -> &Value {
        let one = self.one(state, name);
        assert!(one["said"].as_str().is_some_and(|text| text.contains(said)), "no `{said}` in {one}");
        one
    }

    /// As [`Report::says`], with this in the advice.
    #[track_caller]
    fn advises(&self, state: &str, name: &str, said: &str, advice: &str) {
        let one = self.says(state, name, said);
        assert!(one["advice"].as_str().is_some_and(|text| text.contains(advice)), "no `{advice}` in {one}");
    }

    fn names(&self, state: &str) -> Vec<&str> {
        let checks = self.checks.iter().filter(|check| check["state"] == state);
        checks.filter_map(|check| check["name"].as_str()).collect()
    }
}

#[test]
fn where_all_is_well_every_link_says_so() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let _desktop = Desktop::start(&bus);
    let handlers = "[[handler]]\nnotify = true\n[[handler]]\nname = \"fetch\"\ncommand = \"sh -c true\"\n";
    let recipe = Daemon::new().bus(&bus);
    let listen = format!("listen = [\"127.0.0.1:0\", \"unix:{}\"]\n", recipe.path("runtime/push.sock").display());
    let recipe = recipe.config(&format!("{listen}[auth]\nuser = \"me\"\npass = \"sesame\"\n{handlers}"));
    let daemon = start(&recipe);
    let report = doctor(&recipe);
    let expected = [
        "configuration",
        "running program",
        "listener",
        "listener",
        "session bus",
        "notifications",
        "tray",
        "handler fetch",
    ];
    assert_eq!((report.names("ok"), report.code), (expected.to_vec(), Some(0)), "{}", report.text);
    assert_eq!((report.names("warning"), report.checks.len()), (vec!["mail server"], expected.len() + 1));
    report.says("ok", "notifications", "fake 1, with actions, body-markup; without persistence");
    assert!(!report.text.contains("sesame"), "{}", report.text);
    let text = recipe.command(&["doctor"]).succeeded().stdout;
    let file = recipe.config_path();
    assert!(
        text.starts_with(&format!("ok       configuration: {}\nok       running program: answers\n", file.display()))
    );
    let listener = format!("\nok       listener: {}: answers; a test event was there after ", daemon.url());
    assert!(text.contains(&listener), "{text}");
    daemon.stop();
}

#[test]
fn https_is_spoken_to() {
    if !require(&["openssl"]) {
        return;
    }
    let recipe = Daemon::new();
    let pair = Pair::new(&recipe, "own", &["IP:127.0.0.1"]);
    let recipe = recipe.config(&pair.config(""));
    let daemon = start(&recipe);
    doctor(&recipe).says("ok", "listener", "/notify: answers; a test event was there after ");
    daemon.stop();
}

#[test]
fn a_machine_without_a_desktop_is_no_failure() {
    let report = doctor(&Daemon::new());
    assert_eq!((report.names("warning"), report.code), (NOTHING_RUNS.to_vec(), Some(0)));
    report.advises("warning", "running program", "isn't running", "start it");
}

#[test]
fn what_the_desktop_lacks_is_told_and_what_hangs_there_is_not_waited_for() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let mut desktop = Desktop::on(&bus).without_tray().capabilities(&["body"]).start();
    let recipe = Daemon::new().bus(&bus);
    let report = doctor(&recipe);
    report.says("ok", "notifications", "; without actions (clicks do nothing), body-markup");
    report.advises("warning", "tray", "no panel", "AppIndicator");
    desktop.behave(Behaviour::Hang);
    let report = doctor(&recipe);
    report.advises("failed", "notifications", "no answer in time", "restart it");
    assert_eq!(report.code, Some(1));
    desktop.stop_notifications();
    doctor(&recipe).says("warning", "notifications", "there is no notification service");
}

#[test]
fn every_problem_of_the_configuration_is_a_line_and_the_rest_is_looked_at_all_the_same() {
    let recipe = Daemon::new().config("lisen = \"x\"\ntimeout = 5\n");
    let report = doctor(&recipe);
    assert_eq!((report.names("failed"), report.code), (vec!["configuration"; 2], Some(78)), "{}", report.text);
    assert_eq!(report.names("warning"), NOTHING_RUNS);
    let text = recipe.command(&["doctor"]).ended_with(78).stdout;
    let place = format!("failed   configuration: {}:2:1: unknown key `lisen`\n", recipe.config_path().display());
    assert!(text.contains(&format!("{place}           did you mean `listen`?\n")), "{text}");
}

#[test]
fn a_program_that_is_missing_and_a_password_that_is_not_there_are_failures() {
    let auth = "[auth]\nuser = \"me\"\npass_file = \"/nonexistent/pass\"\n";
    let recipe = Daemon::new().config(&format!("{auth}[[handler]]\nname = \"fetch\"\ncommand = \"no-such-fdm -l\"\n"));
    let report = doctor(&recipe);
    report.advises("failed", "handler fetch", "`no-such-fdm` not found", "Is it installed");
    report.says("failed", "configuration", "/nonexistent/pass");
    assert_eq!(report.code, Some(1));
}

#[test]
fn a_port_that_another_program_has_is_a_failure_and_a_free_one_is_free_afterwards() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let recipe = Daemon::new().config(&format!("listen = \"{address}\"\n"));
    let report = doctor(&recipe);
    report.advises("failed", "listener", &format!("{address}: another program listens there"), "another address");
    assert_eq!(report.code, Some(1));
    drop(taken);
    doctor(&recipe).says("ok", "listener", "is free");
    TcpListener::bind(address).expect("it was let go");
}
