//! A disk that takes nothing.

use super::{can_mount, inside, push};
use crate::control::wait_status;
use crate::record::{AT_ONCE, LATER, at_rest, recent, subjects};
use crate::support::daemon::Daemon;

const UNWRITABLE: &str = "the record can't be written";
const WRITABLE: &str = "the record is written again";

/// What `recent` shows inside the program's own file systems.
fn subjects_inside(daemon: &crate::support::daemon::Running) -> Vec<String> {
    let lines = inside(daemon, "exec \"$0\" recent --json");
    let subject = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        entry["subject"].as_str().expect("they all have one").to_owned()
    };
    lines.lines().map(subject).collect()
}

#[test]
fn a_full_disk_costs_nobody_an_answer_and_is_caught_up_with() {
    if !can_mount() {
        return;
    }
    let small = "mount -t tmpfs -o size=512k,mode=700 none \"$XDG_STATE_HOME\" && exec \"$0\" \"$@\"";
    let fill = "dd if=/dev/zero of=\"$XDG_STATE_HOME/fill\" bs=1k 2>/dev/null || :";
    let mut daemon = Daemon::new().config(AT_ONCE).inside(&["unshare", "--mount", "/bin/sh", "-c", small]).start();
    push(&daemon, "before");
    let mut expected = vec!["before".to_owned()];
    for round in ["first", "second"] {
        let seen = daemon.log_length();
        inside(&daemon, fill);
        for number in 0..20 {
            push(&daemon, &format!("{round} {number}"));
            expected.insert(0, format!("{round} {number}"));
        }
        wait_status(daemon.recipe(), "the fault", |status| status["record"] == "memory");
        let warnings = daemon.log().lines().filter(|line| line.contains(UNWRITABLE)).count();
        assert_eq!(warnings, 1, "one problem, one line a minute:\n{}", daemon.log());
        inside(&daemon, "rm \"$XDG_STATE_HOME/fill\"");
        push(&daemon, &format!("after the {round}"));
        expected.insert(0, format!("after the {round}"));
        daemon.wait_log_after(seen, WRITABLE);
        expected.truncate(20);
        assert_eq!(subjects_inside(&daemon), expected, "nothing of it is missing");
    }
    daemon.stop();
}

#[test]
fn a_disk_that_is_full_from_the_start_is_no_reason_not_to_start() {
    if !can_mount() {
        return;
    }
    let full = "mount -t tmpfs -o size=512k,mode=700 none \"$XDG_STATE_HOME\" && \
        { dd if=/dev/zero of=\"$XDG_STATE_HOME/fill\" bs=1k 2>/dev/null; exec \"$0\" \"$@\"; }";
    let mut daemon = Daemon::new().config(AT_ONCE).inside(&["unshare", "--mount", "/bin/sh", "-c", full]).start();
    daemon.wait_log(UNWRITABLE);
    push(&daemon, "first");
    inside(&daemon, "rm \"$XDG_STATE_HOME/fill\"");
    push(&daemon, "second");
    daemon.wait_log(WRITABLE);
    assert_eq!(subjects_inside(&daemon), ["second", "first"]);
    daemon.stop();
}

#[test]
fn what_waits_on_a_read_only_disk_is_still_there_when_it_can_be_written() {
    if !can_mount() {
        return;
    }
    // With the files that SQLite keeps beside a record in use, and without.
    for ended in ["by a kill", "by itself"] {
        let recipe = Daemon::new().config(&format!("{AT_ONCE}{LATER}"));
        let daemon = recipe.start();
        daemon.push(r#"{"user":"later","event":"messageNew","subject":"waits"}"#).accepted();
        push(&daemon, "finished");
        match ended {
            "by a kill" => drop(daemon.kill()),
            _ => drop(daemon.stop()),
        }
        let read_only = "cd \"$XDG_STATE_HOME\" && mount --bind . . && \
            mount -o remount,bind,ro \"$XDG_STATE_HOME\" && cd / && exec \"$0\" \"$@\"";
        let inside_out = recipe.clone().inside(&["unshare", "--mount", "/bin/sh", "-c", read_only]);
        let mut daemon = inside_out.start();
        push(&daemon, "in memory");
        daemon.wait_log(UNWRITABLE);
        assert_eq!(at_rest(&recipe, &["in memory"]), [""; 0]);
        inside(&daemon, "mount -o remount,bind,rw \"$XDG_STATE_HOME\"");
        push(&daemon, "written");
        daemon.wait_log(WRITABLE);
        daemon.stop();
        assert_eq!(subjects(&recipe, &[]), ["written", "in memory", "finished", "waits"], "ended {ended}");
        let daemon = recipe.start();
        let waiting = &recent(&recipe, &["--search", "waits"])[0];
        assert_eq!(waiting["deliveries"][0]["state"], "waiting", "ended {ended}");
        daemon.stop();
    }
}
