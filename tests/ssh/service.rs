//! The service that keeps ssh up outside of the program.

use super::*;
use std::net::TcpStream;

use crate::control::{start, status, wait_status};
use crate::support::daemon::Running;
use crate::support::program::Program;
use crate::support::repository_file;
use crate::support::wait::{holds, wait_until};

const UNIT: &str = "packaging/systemd/mailknock-tunnel.service";

#[test]
fn systemd_understands_the_service() {
    if !require(&["systemd-analyze", "ssh"]) {
        return;
    }
    let runtime = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new("systemd-analyze");
    command.args(["--user", "verify"]).arg(repository_file(UNIT)).env("XDG_RUNTIME_DIR", runtime.path());
    let output = command.env("HOME", runtime.path()).stdin(Stdio::null()).output().expect("the test has required it");
    let said = String::from_utf8_lossy(&output.stderr);
    // It tells of everything that it reads, and there may be other services.
    assert!(output.status.success() && !said.contains("mailknock-tunnel"), "{said}");
}

/// The command of the service, with all that is another user's in its place.
fn command(server: &LocalSshd, daemon: &Running) -> Vec<String> {
    let unit = std::fs::read_to_string(repository_file(UNIT)).expect("it is part of the repository");
    let unit = unit.replace("\\\n", " ");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("it starts something");
    let runtime = daemon.recipe().path("runtime").display().to_string();
    let line = line.replace("-R 127.0.0.1:12525:127.0.0.1:12525", &format!("-R {}:{}", server.remote, daemon.addr()));
    let line = line.replace("sock:127.0.0.1:12525", &format!("sock:{}", server.remote)).replace("%t", &runtime);
    assert!(!line.contains("12525"), "{line}");
    let word = |word: &str| match word {
        "$OPTIONS" => server.options(),
        "${HOST}" => vec![server.host()],
        word => vec![word.to_owned()],
    };
    line.split_whitespace().flat_map(word).collect()
}

#[test]
fn a_tunnel_that_the_service_keeps_up_is_seen_and_shown() {
    if !require(&PROGRAMS) {
        return;
    }
    let recipe = Daemon::new();
    let server = LocalSshd::start(&recipe);
    let recipe = recipe.config(AUTH);
    let daemon = start(&recipe);
    let words = command(&server, &daemon);
    let ssh = || Program::start(Command::new(&words[0]).args(&words[1..]), &recipe.path("ssh.log"));
    let shows = |state: &str| {
        let what = format!("the tunnel to be {state}");
        wait_status(&recipe, &what, |status| status["tunnels"][0]["state"] == state);
        let text = recipe.command(&["status"]).succeeded().stdout;
        assert!(text.contains(&format!("\nTunnel: {state} since ")), "{text}");
    };
    let doctor = |code: i32| recipe.command(&["doctor"]).ended_with(code).stdout;
    assert_eq!(status(&recipe)["tunnels"], serde_json::Value::Null);

    let first = ssh();
    shows("up");
    assert!(doctor(0).contains("ok       tunnel that another program keeps up: "));
    drop(first);
    // At a glance now, and else within a minute.
    assert!(doctor(1).contains("failed   tunnel that another program keeps up: ssh is not there\n"));
    shows("down");
    wait_until("the mail server's port to be free", || holds(TcpStream::connect(server.remote).is_err()));
    let second = ssh();
    shows("up");
    drop(second);
    std::fs::remove_file(recipe.path("runtime/mailknock/tunnel.sock")).expect("ssh leaves it behind");
    wait_status(&recipe, "nothing of a tunnel", |status| status["tunnels"].is_null());
    daemon.stop();
}
