//! What a reload must not touch: runs, limits, results, and events that were acknowledged.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{RELOADED, marker, wait_runs};
use crate::control::{NO_LIMIT, handler, start, status, wait_status};
use crate::support::daemon::{Daemon, Signal};
use crate::support::recorder::Recorder;
use crate::support::wait::{EVENTUALLY, wait_at_most, wait_until};

const EVENT: &str = r#"{"user":"me","event":"messageNew"}"#;

#[test]
fn a_handler_keeps_its_limit_and_its_last_result_by_its_name() {
    let limited = |script: &str| handler("name = \"limited\"\nlimit_period = \"1h\"", script);
    let recipe = Daemon::new().config(&limited("echo first; exit 3"));
    let daemon = start(&recipe);
    daemon.push(EVENT).accepted();
    let last = |status: &serde_json::Value| status["handlers"][0]["last_run"].clone();
    let first = wait_status(&recipe, "the first run to end", |status| last(status)["result"] == "exit 3");
    recipe.write_config(&format!("{}{}", limited("echo second"), marker("other")));
    recipe.command(&["reload"]).succeeded();
    assert_eq!(last(&status(&recipe)), last(&first));
    assert_eq!(status(&recipe)["handlers"][1].get("last_run"), None);
    daemon.push(EVENT).accepted();
    // Both are looked at in one go: had it begun, it would be running or have another result.
    wait_runs(&recipe, 1);
    let now = status(&recipe);
    assert_eq!((last(&now), now["handlers"][0].get("running_since")), (last(&first), None));
    let fetched = recipe.command(&["fetch", "limited"]).succeeded().stdout;
    assert_eq!(fetched, "limited: done: second\n", "what runs is the new command");
    daemon.stop();
}

#[test]
fn a_run_outlives_the_handler_that_a_reload_takes_away() {
    let recipe = Daemon::new();
    let fetch = Recorder::held(&recipe, "fetch");
    recipe.write_config(&format!("[[handler]]\nname = \"fetch\"\nlock = \"l\"\ncommand = {}", fetch.command(&[])));
    let daemon = start(&recipe);
    let waiting = recipe.clone().args(&["fetch"]).spawn();
    fetch.wait_starts(1);
    let locked = handler(&format!("name = \"other\"\nlock = \"l\"\n{NO_LIMIT}"), "echo other >> runs");
    recipe.write_config(&locked);
    recipe.command(&["reload"]).succeeded();
    let names = status(&recipe)["handlers"].clone();
    assert_eq!((names.as_array().map(Vec::len), &names[0]["name"]), (Some(1), &"other".into()));
    daemon.push(EVENT).accepted();
    assert_eq!(status(&recipe)["handlers"][0].get("running_since"), None, "the lock is still held");
    fetch.release();
    assert_eq!(waiting.finish().succeeded().stdout, "fetch: done\n");
    assert_eq!(wait_runs(&recipe, 1), ["other"]);
    daemon.stop();
}

#[test]
fn whoever_waits_for_a_fetch_learns_that_its_handler_is_no_more() {
    let recipe = Daemon::new();
    let holder = Recorder::held(&recipe, "holder");
    let with_lock =
        |name: &str| format!("[[handler]]\nname = \"{name}\"\nlock = \"l\"\ncommand = {}\n", holder.command(&[name]));
    recipe.write_config(&format!("{}{}", with_lock("holder"), with_lock("locked-out")));
    let daemon = start(&recipe);
    let first = recipe.clone().args(&["fetch", "holder"]).spawn();
    holder.wait_starts(1);
    let mut second =
        crate::control::socket::Client::ask(&recipe, r#"{"version":1,"command":"fetch","handlers":["locked-out"]}"#);
    // Answered after what was asked before it.
    status(&recipe);
    recipe.write_config(&with_lock("holder"));
    recipe.command(&["reload"]).succeeded();
    let told = second.reply();
    assert_eq!(told["runs"][0]["succeeded"], false, "{told}");
    assert_eq!(told["runs"][0]["result"], "the handler is no more", "{told}");
    holder.release();
    first.finish().succeeded();
    assert_eq!(holder.starts().len(), 1);
    daemon.stop();
}

#[test]
fn a_handler_that_is_renamed_in_mid_run_answers_under_its_new_name() {
    let recipe = Daemon::new();
    let fetch = Recorder::held(&recipe, "fetch");
    let named = |name: &str| format!("[[handler]]\nname = \"{name}\"\ncommand = {}\n", fetch.command(&[]));
    recipe.write_config(&named("old"));
    let daemon = start(&recipe);
    let waiting = recipe.clone().args(&["fetch"]).spawn();
    fetch.wait_starts(1);
    recipe.write_config(&named("new"));
    recipe.command(&["reload"]).succeeded();
    assert!(status(&recipe)["handlers"][0]["running_since"].is_string());
    fetch.release();
    assert_eq!(waiting.finish().succeeded().stdout, "new: done\n");
    daemon.stop();
}

#[test]
fn reloads_in_a_burst_lose_nothing() {
    let count = |more: &str| handler(&format!("name = \"count\"\n{NO_LIMIT}{more}"), "echo $IMSE_COUNT >> counts");
    let recipe = Daemon::new().config(&count(""));
    let mut daemon = start(&recipe);
    let (address, over) = (daemon.addr(), AtomicBool::new(false));
    let pushed = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut pushed = 0;
                    while !over.load(Ordering::Relaxed) {
                        crate::support::http::Request::put("/notify").json(EVENT).send(address).accepted();
                        pushed += 1;
                    }
                    pushed
                })
            })
            .collect();
        for round in 0..20 {
            let from = daemon.log_length();
            recipe.write_config(&count(&format!("timeout = \"{}m\"", round + 1)));
            daemon.signal(Signal::HUP);
            daemon.wait_log_after(from, RELOADED);
        }
        over.store(true, Ordering::Relaxed);
        senders.into_iter().map(|sender| sender.join().expect("every push is accepted")).sum::<u64>()
    });
    let path = recipe.home().join("counts");
    let counted = || {
        std::fs::read_to_string(&path)
            .unwrap_or_default()
            .lines()
            .map_while(|line| line.parse::<u64>().ok())
            .sum::<u64>()
    };
    let log = || format!("{} of {pushed}\n{}", counted(), daemon.log());
    wait_at_most(EVENTUALLY, "a run for every event", log, || (counted() >= pushed).then_some(()));
    assert_eq!(counted(), pushed);
    assert!(pushed >= 20, "{pushed}");
    daemon.stop();
}

#[test]
fn two_reloads_at_once_both_end() {
    let recipe = Daemon::new().config(&marker("one"));
    let daemon = start(&recipe);
    recipe.write_config(&marker("two"));
    let both: Vec<_> = (0..8).map(|_| recipe.clone().args(&["reload"]).spawn()).collect();
    (0..8).for_each(|_| daemon.signal(Signal::HUP));
    both.into_iter().for_each(|reload| drop(reload.finish().succeeded()));
    daemon.push(EVENT).accepted();
    assert_eq!(wait_runs(&recipe, 1), ["two"]);
    wait_until("the program to answer", || (status(&recipe)["new"] == 1).then_some(()));
    daemon.stop();
}
