//! The test event: that it takes the way of a mail server's, arrives, and does nothing else.

use super::tunnels::{nothing_is_left, with_tunnel};
use super::*;
use crate::control::{status, wait_status};
use crate::record::recent;
use crate::support::local_sshd::{AUTH, LocalSshd};
use crate::support::mail::Mail;
use crate::support::recorder::Recorder;
use crate::support::wait::wait_until;

const ARRIVED: &str = "a test event was there after ";
const THROUGH: &str = "what the mail server sends arrives: a test event was there after ";

/// The test events on record: the newest first.
#[track_caller]
fn tests_on_record(recipe: &Daemon) -> Vec<Value> {
    let mut entries = recent(recipe, &[]);
    entries.retain(|entry| entry["event"] == "MailknockTest");
    entries
}

/// [`with_tunnel`], with this in the place of its `[auth]` and in front of it.
fn with_tunnel_and(front: &str, auth: &str) -> Option<(LocalSshd, Daemon, String)> {
    let (server, recipe, name) = with_tunnel()?;
    let config = server.config().replace(AUTH, auth);
    let recipe = recipe.config(&format!("{front}\n{config}"));
    Some((server, recipe, name))
}

#[track_caller]
fn wait_up(recipe: &Daemon) {
    wait_status(recipe, "the tunnel to be up", |status| status["tunnels"][0]["state"] == "up");
}

#[test]
fn it_is_on_record_once_for_each_look_and_nothing_else_comes_of_it() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let recipe = Daemon::new().bus(&bus);
    let all = Recorder::new(&recipe, "all");
    let handlers = format!(
        "[[handler]]\nevent = \"*\"\nfolder = \"*\"\ncommand = {}\n[[handler]]\nevent = \"*\"\nnotify = true\n",
        all.command(&[])
    );
    let recipe = recipe.config(&handlers);
    let daemon = start(&recipe);
    let first = doctor(&recipe);
    first.says("ok", "listener", ARRIVED);
    doctor(&recipe).says("ok", "listener", ARRIVED);

    let tests = tests_on_record(&recipe);
    assert_eq!(tests.len(), 2, "{tests:?}");
    assert_ne!(tests[0]["message_id"], tests[1]["message_id"]);
    for test in &tests {
        assert_eq!((&test["user"], test.get("deliveries")), (&"doctor".into(), None), "{test}");
    }
    let said = recipe.command(&["recent"]).succeeded().stdout;
    assert!(said.lines().all(|line| line.ends_with(" MailknockTest doctor [no handler]")), "{said}");
    let told = status(&recipe);
    assert_eq!((told["new"].as_u64(), told.get("newest")), (Some(0), None), "{told}");
    assert!(!desktop.tray().labels().iter().any(|label| label.contains("octor")));

    // What comes next is the first that anything is done about.
    daemon.push(&Mail::new("Bob <bob@example.org>", "real").json()).accepted();
    assert_eq!(desktop.next_notification().summary, "Bob");
    assert_eq!(all.wait_starts(1).len(), 1);
    daemon.stop();
}

#[test]
fn it_comes_to_the_running_program_through_its_tunnel() {
    let Some((_server, recipe, name)) = with_tunnel() else { return };
    let daemon = start(&recipe);
    let report = doctor(&recipe);
    report.says("ok", &name, THROUGH);
    let url = report.one("ok", "listener")["said"].as_str().expect("a text");
    assert!(url.ends_with(": answers"), "what comes through the tunnel comes here too: {url}");
    let tests = tests_on_record(&recipe);
    assert_eq!(tests.len(), 1, "{tests:?}");
    assert!(tests[0]["remote"].as_str().is_some_and(|remote| remote.starts_with("127.")), "ssh sent it: {tests:?}");
    assert!(!status(&recipe).to_string().contains("probe"), "only who tries it is told where");
    assert!(!report.text.contains("sesame"), "{}", report.text);
    daemon.stop();
}

#[test]
fn where_nothing_runs_it_comes_to_the_doctor_and_leaves_no_trace() {
    let Some((server, recipe, name)) = with_tunnel() else { return };
    let report = doctor(&recipe);
    report.says("ok", &name, THROUGH);
    assert!(!report.text.contains("sesame"), "{}", report.text);
    assert!(!recipe.path("state/mailknock").exists());
    nothing_is_left(&recipe, &server);
}

#[test]
fn https_and_another_endpoint_are_gone_through_with_and_without_the_running_program() {
    if !require(&["openssl"]) {
        return;
    }
    let Some((server, recipe, name)) = with_tunnel() else { return };
    let pair = Pair::new(&recipe, "own", &["DNS:desktop.example"]);
    let front = "listen = \"127.0.0.1:0\"\nendpoint = \"/elsewhere\"\n";
    let recipe = recipe.config(&format!("{front}{}{}", server.config(), pair.config("")));
    doctor(&recipe).says("ok", &name, THROUGH);
    let daemon = start(&recipe);
    wait_up(&recipe);
    doctor(&recipe).says("ok", &name, THROUGH);
    // A configuration that the running program doesn't go by.
    let other = recipe.home().join("other.toml");
    let text = format!("{front}{}", server.config()).replace("/elsewhere", "/notify");
    std::fs::write(&other, &text).expect("the home is ours");
    let look = || {
        let words = ["doctor", "-c", other.to_str().expect("it is text")];
        recipe.command(&words).ended_with(1).stdout
    };
    let failed = format!("failed   {name}: a test event ");
    let said = look();
    assert!(said.contains(&failed) && said.contains("`[tls]`") && said.contains("`mailknock reload`"), "{said}");
    std::fs::write(&other, format!("{text}{}", pair.config(""))).expect("the home is ours");
    let said = look();
    assert!(said.contains(&format!("{failed}was refused: 404, ")) && said.contains("`endpoint`"), "{said}");
    daemon.stop();
}

#[test]
fn a_password_that_the_running_program_does_not_have_yet_is_told() {
    let keys = "[auth]\nuser = \"me\"\npass_file = ";
    let Some((server, recipe, name)) = with_tunnel() else { return };
    let file = recipe.home().join("pass");
    std::fs::write(&file, "sesame\n").expect("the home is ours");
    recipe.give(&file);
    let auth = format!("{keys}\"{}\"\n", file.display());
    let recipe = recipe.config(&format!("listen = \"127.0.0.1:0\"\n{}", server.config().replace(AUTH, &auth)));
    doctor(&recipe).says("ok", &name, THROUGH);
    let daemon = start(&recipe);
    wait_up(&recipe);
    doctor(&recipe).says("ok", &name, THROUGH);
    std::fs::write(&file, "open\n").expect("the home is ours");
    let report = doctor(&recipe);
    report.advises(
        "failed",
        &name,
        "a test event was refused: 401",
        "`[auth]` of this configuration: `mailknock reload`",
    );
    assert_eq!((report.names("failed"), report.code), (vec![name.as_str()], Some(1)), "{}", report.text);
    assert!(!report.text.contains("sesame") && !report.text.contains("open\n"), "{}", report.text);
    recipe.command(&["reload"]).succeeded();
    wait_until("the new password to be known", || {
        Some(doctor(&recipe)).filter(|report| report.names("ok").contains(&name.as_str()))
    });
    daemon.stop();
}

#[test]
fn a_password_from_a_program_is_obtained_as_the_running_program_does() {
    let auth = |script: &str| format!("[auth]\nuser = \"me\"\npass_command = [\"/bin/sh\", \"-c\", '''{script}''']\n");
    let listen = "listen = \"127.0.0.1:0\"";
    let Some((server, recipe, name)) = with_tunnel_and(listen, &auth("echo sesame")) else { return };
    doctor(&recipe).says("ok", &name, THROUGH);
    let daemon = start(&recipe);
    wait_up(&recipe);
    doctor(&recipe).says("ok", &name, THROUGH);
    daemon.stop();
    let recipe = recipe.config(&format!("{listen}\n{}", server.config().replace(AUTH, &auth("echo sesame; exit 3"))));
    let report = doctor(&recipe);
    report.advises("failed", "password", "`auth.pass_command` /bin/sh: exit 3", "nobody is let in");
    report.says("unknown", &name, "whether it is let in could not be tried");
    assert_eq!((report.names("failed"), report.code), (vec!["password"], Some(1)), "{}", report.text);
    assert!(!report.text.contains("sesame"), "{}", report.text);
}

#[test]
fn an_allow_without_this_machine_is_named() {
    let front = "listen = \"127.0.0.1:0\"\nallow = [\"192.0.2.0/24\"]\n";
    let Some((_server, recipe, _)) = with_tunnel_and(front, AUTH) else { return };
    let report = doctor(&recipe);
    report.advises("failed", "configuration", "`allow` shuts the tunnel out", "to `allow`");
    assert_eq!(report.code, Some(78), "{}", report.text);
    // Without a tunnel it is what somebody may want.
    let recipe = recipe.config(&format!("{front}{AUTH}"));
    let daemon = start(&recipe);
    doctor(&recipe).says("ok", "listener", "turns this machine away, as `allow` says");
    assert_eq!(recent(&recipe, &[]).len(), 0);
    daemon.stop();
}

#[test]
fn a_tunnel_from_outside_is_gone_through_too() {
    let Some((server, recipe, _)) = with_tunnel() else { return };
    let end = recipe.path("runtime/push.sock");
    let recipe = recipe.config(&format!("listen = [\"127.0.0.1:0\", \"unix:{}\"]\n{AUTH}", end.display()));
    let daemon = start(&recipe);
    let (remote, way) = (server.remote, recipe.path("runtime/mailknock/tunnel.sock"));
    let (there, here) = (format!("{remote}:{}", end.display()), format!("{}:{remote}", way.display()));
    let (options, host) = (server.options(), server.host());
    let mut words = vec!["-N", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-R", &there, "-L", &here];
    words.extend(options.iter().map(String::as_str).chain([&*host]));
    let ssh = recipe.clone().program("ssh").args(&words).spawn();
    wait_up(&recipe);
    doctor(&recipe).says("ok", "tunnel that another program keeps up", THROUGH);
    assert_eq!(tests_on_record(&recipe).len(), 1);
    daemon.stop();
    ssh.kill();
}
