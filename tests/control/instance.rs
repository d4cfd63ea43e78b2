//! Only one program runs for a user, and a dead one is in nobody's way.

use std::os::unix::fs::PermissionsExt;

use super::{push, socket, start, status, wait_answers};
use crate::support::daemon::Daemon;
use crate::support::wait::{holds, wait_until};

#[test]
fn a_second_start_says_that_one_runs_and_leaves_it_alone() {
    let recipe = Daemon::new();
    let daemon = start(&recipe);
    for arguments in [&["run"][..], &[]] {
        let second = recipe.clone().args(arguments).spawn().finish().ended_with(1);
        assert_eq!(second.stderr, "mailknock: Mailknock is running already; see `mailknock status`\n");
    }
    push(&daemon, 1);
    assert_eq!(status(&recipe)["new"], 1);
    daemon.stop();
}

#[test]
fn of_twenty_starts_at_once_one_lives() {
    let recipe = Daemon::new();
    let mut started: Vec<_> = (0..20).map(|_| recipe.spawn()).collect();
    let mut alive = || started.iter_mut().filter_map(|start| start.is_alive().then_some(())).count();
    wait_until("nineteen of twenty to end", || holds(alive() == 1));
    wait_answers(&recipe);
    let at = started.iter_mut().position(|start| start.is_alive()).expect("one lives");
    let left = started.swap_remove(at);
    for start in started {
        let why = start.finish().ended_with(1).stderr;
        assert!(why.contains("is running already"), "{why}");
    }
    assert_eq!(status(&recipe)["new"], 0);
    left.stop();
    recipe.command(&["status"]).ended_with(1);
}

#[test]
fn what_a_killed_program_left_is_no_obstacle() {
    let recipe = Daemon::new();
    for _ in 0..3 {
        let daemon = start(&recipe);
        daemon.kill();
        assert!(socket(&recipe).exists() && recipe.path("runtime/mailknock/lock").exists());
        let why = recipe.command(&["status"]).ended_with(1).stderr;
        assert_eq!(why, "mailknock: Mailknock isn't running\n");
    }
    let daemon = start(&recipe);
    assert_eq!(status(&recipe)["new"], 0);
    daemon.stop();
    assert!(!socket(&recipe).exists(), "a proper end leaves no socket");
}

#[test]
fn nobody_else_gets_at_the_socket() {
    let recipe = Daemon::new();
    let daemon = start(&recipe);
    let mode = |below: &str| {
        let found = std::fs::symlink_metadata(recipe.path(below)).expect("it is there");
        found.permissions().mode() & 0o7777
    };
    assert_eq!(mode("runtime/mailknock"), 0o700);
    wait_until("the socket's mode", || holds(mode("runtime/mailknock/control.sock") == 0o600));
    assert_eq!(mode("runtime/mailknock/lock"), 0o600);
    daemon.stop();
}

#[test]
fn a_directory_that_others_can_enter_is_not_used_and_the_rest_goes_on() {
    let recipe = Daemon::new();
    let directory = recipe.path("runtime/mailknock");
    std::fs::create_dir(&directory).expect("the directory is ours");
    recipe.give(&directory);
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).expect("the directory is ours");
    let mut daemon = recipe.start();
    push(&daemon, 1);
    daemon.wait_log("others can get into it; `chmod 700` it");
    recipe.command(&["status"]).ended_with(1);
    daemon.stop();
}
