//! Followers that don't read.

use super::socket::Client;
use super::{handler, start, status};
use crate::support::daemon::{Daemon, Running};

fn resident_kilobytes(daemon: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_follower_that_never_reads_costs_nothing_and_learns_the_newest_in_the_end() {
    // So many handlers make each line long: four of them fill a socket.
    let many: String =
        (0..1000).map(|number| handler(&format!("name = \"h{number}\"\nuser = \"nobody\""), "")).collect();
    let recipe = Daemon::new().config(&many);
    let daemon = start(&recipe);
    let follow = r#"{"version":1,"command":"follow"}"#;
    let mut slow = Client::ask(&recipe, follow);
    let mut quick = Client::ask(&recipe, follow);
    slow.reply();
    quick.reply();
    let before = resident_kilobytes(&daemon);
    let (rounds, each) = (12, 100);
    for round in 0..rounds {
        let event = |number| {
            let uid = round * each + number + 1;
            format!(r#"{{"user":"me","event":"messageNew","folder":"INBOX","imap-uidvalidity":1,"imap-uid":{uid}}}"#)
        };
        let events: Vec<String> = (0..each).map(event).collect();
        daemon.push(&format!("[{}]", events.join(","))).accepted();
        while quick.reply()["status"]["new"] != (round + 1) * each {}
    }
    let grown = resident_kilobytes(&daemon).saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more");
    assert_eq!(status(&recipe)["new"], rounds * each);
    let mut lines = 1;
    while slow.reply()["status"]["new"] != rounds * each {
        lines += 1;
    }
    assert!(lines < rounds, "all {lines} lines were kept for it");
    daemon.stop();
}
