//! The tunnel, looked at from end to end with a real sshd in the mail server's place.

use super::*;
use crate::control::wait_status;
use crate::support::local_sshd::{AUTH, LocalSshd, PROGRAMS};

/// A program with a tunnel to a server of its own; none where there is no sshd.
pub fn with_tunnel() -> Option<(LocalSshd, Daemon, String)> {
    if !require(&PROGRAMS) {
        return None;
    }
    let recipe = Daemon::new();
    let server = LocalSshd::start(&recipe);
    let recipe = recipe.config(&format!("listen = \"127.0.0.1:0\"\n{}", server.config()));
    let name = format!("tunnel to {}", server.host());
    Some((server, recipe, name))
}

/// Asserts that nothing is left of a try: no socket, no directory, no ssh.
#[track_caller]
pub fn nothing_is_left(recipe: &Daemon, server: &LocalSshd) {
    let runtime = std::fs::read_dir(recipe.path("runtime")).expect("it is there");
    let left: Vec<_> = runtime.flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
    let key = server.key().display().to_string();
    for process in crate::support::program::processes() {
        let words = std::fs::read_to_string(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        assert!(!words.contains(&key), "{process:?}: {words:?}");
    }
}

#[test]
fn where_nothing_runs_the_tunnel_is_tried_and_nothing_is_left_of_that() {
    let Some((server, recipe, name)) = with_tunnel() else { return };
    let report = doctor(&recipe);
    report.says("ok", "ssh", "OpenSSH");
    report.says("ok", &name, "what the mail server sends arrives");
    assert_eq!(report.names("warning"), NOTHING_RUNS, "{}", report.text);
    assert_eq!(report.code, Some(0));
    nothing_is_left(&recipe, &server);
}

#[test]
fn the_running_program_is_asked_for_its_tunnel() {
    let Some((_server, recipe, name)) = with_tunnel() else { return };
    let daemon = start(&recipe);
    let report = doctor(&recipe);
    report.says("ok", &name, "what the mail server sends arrives");
    assert_eq!(
        (report.names("warning"), report.code),
        (vec!["session bus", "mail server"], Some(0)),
        "{}",
        report.text
    );
    wait_status(&recipe, "the tunnel to stay", |status| status["tunnels"][0]["state"] == "up");
    daemon.stop();
}

#[test]
fn a_tunnel_that_the_running_program_cannot_get_up_is_told_with_its_reason() {
    let Some((server, recipe, name)) = with_tunnel() else { return };
    server.authorize_line("");
    let daemon = start(&recipe);
    wait_status(&recipe, "the tunnel to be down", |status| status["tunnels"][0]["state"] == "down");
    let report = doctor(&recipe);
    report.advises("failed", &name, "Permission denied", "host key known → key NOT accepted\n");
    assert_eq!(report.names("failed"), [name.as_str()], "{}", report.text);
    daemon.stop();
}

#[test]
fn a_key_that_is_refused_is_told_with_how_far_it_got() {
    let Some((server, recipe, name)) = with_tunnel() else { return };
    server.authorize_line("");
    let report = doctor(&recipe);
    report.advises("failed", &name, "Permission denied", "mail server reached → host key known → key NOT accepted\n");
    report.advises("failed", &name, "Permission denied", "authorized_keys");
    assert_eq!(report.code, Some(1));
    nothing_is_left(&recipe, &server);
}

#[test]
fn a_host_key_that_is_not_known_is_not_accepted() {
    let Some((server, recipe, name)) = with_tunnel() else { return };
    server.be_unknown();
    let report = doctor(&recipe);
    report.advises("failed", &name, "Host key verification failed", "mail server reached → host key NOT trusted\n");
    report.advises("failed", &name, "", "compare the fingerprint");
    assert_eq!(report.code, Some(1));
}

#[test]
fn a_port_that_is_not_given_is_told() {
    let Some((server, recipe, name)) = with_tunnel() else { return };
    server.authorize("restrict,port-forwarding,permitlisten=\"127.0.0.1:1\"");
    doctor(&recipe).advises("failed", &name, "forwarding failed", "key accepted → port NOT given\n");
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let Some((server, recipe, name)) = with_tunnel() else { return };
    drop(server);
    doctor(&recipe).advises("failed", &name, "Connection refused", "mail server NOT reached");
}

#[test]
fn where_there_is_no_ssh_nothing_is_tried() {
    let tunnel = "[tunnel]\nhost = \"mail.invalid\"\nssh = \"/nonexistent/ssh\"\n";
    let report = doctor(&Daemon::new().config(&format!("{AUTH}{tunnel}")));
    report.advises("failed", "ssh", "`/nonexistent/ssh` not found", "install OpenSSH");
    report.says("unknown", "tunnel to mail.invalid", "there is no ssh");
    assert_eq!(report.code, Some(1));
}

#[test]
fn a_key_that_may_open_any_port_is_warned_of() {
    let Some((server, recipe, name)) = with_tunnel() else { return };
    server.authorize("");
    let report = doctor(&recipe);
    report.one("ok", &name);
    report.advises("warning", &name, "may open any port", "mailknock setup ssh");
    assert_eq!(report.code, Some(0));
    nothing_is_left(&recipe, &server);
}
