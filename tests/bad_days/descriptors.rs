//! More connections than there are descriptors for.

use std::time::Duration;

use super::{pass, push, ticks};
use crate::commands::{NO_LIMIT, handler};
use crate::record::outcome;
use crate::support::daemon::Daemon;
use crate::support::http::Connection;
use crate::support::require;

#[test]
fn without_descriptors_it_waits_for_better_times() {
    if !require(&["prlimit"]) {
        return;
    }
    let command = handler(&format!("name = \"run\"\n{NO_LIMIT}"), ":");
    let recipe = Daemon::new().config(&format!("timeout = \"30s\"\n{command}"));
    let mut daemon = recipe.clone().inside(&["prlimit", "--nofile=40"]).start();
    push(&daemon, "before");
    let crowd: Vec<_> = (0..100).map(|_| Connection::open(daemon.addr())).collect();
    daemon.wait_log("failed to accept a connection");
    let before = ticks(&daemon);
    // Long enough that a loop which asks again and again shows.
    pass(Duration::from_millis(1500));
    let used = ticks(&daemon) - before;
    assert!(used <= 15, "it used {used} of 150 ticks:\n{}", daemon.log());
    let lines = daemon.log().lines().filter(|line| line.contains("failed to accept")).count();
    assert!(lines <= 20, "{lines} lines about it");
    drop(crowd);
    daemon.push(r#"{"user":"me","event":"messageNew","subject":"after"}"#).accepted();
    assert_eq!(outcome(&recipe, "run"), "done");
    push(&daemon, "at once again");
    daemon.stop();
}
