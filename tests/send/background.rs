//! `--detach`: the delivery goes on at once, and one process of ours tells of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::PoisonError;
use std::time::Duration;

use super::{NOBODY, TAKEN, listener, newest};
use crate::support::peer::Peer;
use crate::support::send::{PLACES, Send, place};
use crate::support::wait::{holds, wait_until};

const MESSAGE: &[u8] = b"From: b@x\nSubject: s\n\nText.\n";
/// Far less than a silent server is given.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The session of a process, as `/proc` tells it.
fn session(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name in brackets").1.split(' ').collect();
    fields[3].parse().expect("a number")
}

#[test]
fn nobody_waits_for_a_silent_server() {
    let _place = place();
    let peer = Peer::silent();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::write(path("auth"), "knock:s3cret").expect("it is ours");
    let send = Send::to(&peer.url(), &["--user=me", "--strict", "--detach", "--deadline=2s"]);
    let send = send.args(&["--auth-file", &path("auth"), "--log", &path("log")]);
    // Its outputs are read to their ends here too, so nobody else holds them.
    let sent = send.reads(&vec![b'x'; 1 << 20]);
    assert_eq!((sent.code, sent.stderr.as_str()), (Some(0), ""));
    sent.within(AT_ONCE);

    let child = wait_until("the one in the background", || sent.left().pop());
    wait_until("its connection", || holds(peer.connections() == 1));
    assert_eq!(sent.left().len(), 1);
    assert_eq!(child.group, child.pid, "a group of its own");
    assert_ne!(session(child.pid), session(std::process::id()), "and not in the session of who started it");
    let open = |number: u32| fs::read_link(format!("/proc/{}/fd/{number}", child.pid)).expect("it is open");
    assert_eq!((open(1), open(2)), ("/dev/null".into(), "/dev/null".into()));
    assert!(open(0).starts_with("/memfd:mailknock-events (deleted)"), "{:?}", open(0));
    let command_line = fs::read(format!("/proc/{}/cmdline", child.pid)).expect("it runs");
    let command_line = String::from_utf8_lossy(&command_line);
    assert!(command_line.contains("--auth-file") && !command_line.contains("s3cret"), "{command_line}");
    wait_until("its end", || holds(sent.left().is_empty()));
    let log = fs::read_to_string(path("log")).expect("it was written");
    assert!(log.contains("gave no answer within 2s"), "{log}");
}

#[test]
fn it_delivers() {
    let _place = place();
    let daemon = listener();
    for number in 0..5 {
        let user = format!("user{number}");
        let sent = Send::to(daemon.url(), &["--strict", "--detach", "--user", &user]).reads(MESSAGE);
        assert_eq!((sent.code, sent.stderr.as_str()), (Some(0), ""));
        wait_until("the event", || holds(!recent_of(&daemon, &user).is_null()));
        assert_eq!(recent_of(&daemon, &user)["subject"], "s");
        wait_until("its end", || holds(sent.left().is_empty()));
    }
    // What can be known at once is told at once.
    Send::to(daemon.url(), &["--detach"]).ends(1, MESSAGE).says("whose mailbox");
    Send::to("nonsense", &["--detach", "--user=me"]).ends(1, MESSAGE).says("the URL is wrong");
    daemon.stop();
}

fn recent_of(daemon: &crate::support::daemon::Running, user: &str) -> serde_json::Value {
    let entries = crate::record::recent(daemon.recipe(), &["-n", "1"]);
    if entries.first().is_some_and(|entry| entry["user"] == user) { newest(daemon) } else { serde_json::Value::Null }
}

#[test]
fn only_so_many_wait_at_a_time() {
    let _places = PLACES.write().unwrap_or_else(PoisonError::into_inner);
    let (silent, peer) = (Peer::silent(), Peer::answering(TAKEN));
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
    let log = directory.path().join("log");
    // Each user has places of its own. As root the test is a user whom nobody else is.
    let user = format!("--reuid={}", 200_000 + std::process::id());
    let somebody = ["setpriv", &user, "--clear-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"];
    let as_somebody = |send: Send| if rustix::process::geteuid().is_root() { send.inside(&somebody) } else { send };
    let send = as_somebody(Send::to(&silent.url(), &["--user=me", "--detach", "--deadline=1m"]));
    let sent: Vec<_> = (0..32).map(|_| send.reads(MESSAGE)).collect();
    wait_until("so many connections", || holds(silent.connections() == 32));

    let one_more = as_somebody(Send::to(&peer.url(), &["--user=me", "--detach", "--log"])).args(&[&log]);
    let surplus = one_more.reads(MESSAGE);
    let told = "mailknock send: 32 others are sending in the background already\n";
    wait_until("the log", || fs::read_to_string(&log).ok().filter(|log| log == told));
    wait_until("its end", || holds(surplus.left().is_empty()));
    assert_eq!(peer.received(), [""; 0]);

    // Its connections end with it.
    drop(silent);
    wait_until("the ends of all", || holds(sent.iter().all(|sent| sent.left().is_empty())));
    one_more.reads(MESSAGE);
    peer.wait_received(1);
}

#[test]
fn where_nobody_listens_the_one_in_the_background_ends_too() {
    let _place = place();
    let sent = Send::to(NOBODY, &["--user=me", "--detach", "--strict"]).reads(MESSAGE);
    assert_eq!(sent.code, Some(0), "nobody waited to see");
    wait_until("its end", || holds(sent.left().is_empty()));
}
