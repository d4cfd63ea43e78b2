//! Wrong command lines, closed and full outputs, another user's rights.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::NOBODY;
use crate::support::peer::Peer;
use crate::support::program::install;
use crate::support::send::{Send, full_pipe};

const MESSAGE: &[u8] = b"From: b@x\nSubject: s\n\nText.\n";

#[test]
fn a_wrong_command_line_harms_no_delivery() {
    let peer = Peer::answering(super::TAKEN);
    let great = vec![b'x'; 1 << 20];
    for wrong in [
        &["--password=x"][..],
        &["surplus"],
        &["--input=mbox"],
        &["--deadline=soon"],
        &["--deadline"],
        &["--user=a", "--user=b"],
        &["-x"],
        &["--auth-file="],
        &["\u{1b}[2J"],
    ] {
        let sent = Send::to(&peer.url(), wrong).ends(2, &great);
        assert!(sent.stderr.starts_with("mailknock send: error: "), "{sent:?}");
        assert!(sent.stderr.lines().count() == 1 && !sent.stderr.contains('\u{1b}'), "{sent:?}");
    }
    Send::new(&[]).first(&["--user=me"]).ends(2, &great);
    assert_eq!(peer.received(), [""; 0]);
    for wrong in ["", "ftp://x/", "127.0.0.1:12525", "http://a b/"] {
        // An empty one is none: then it is the usual one, where another program may listen.
        if !wrong.is_empty() {
            Send::to(wrong, &["--user=me"]).ends(1, &great).says("the URL is wrong");
        }
    }
}

#[test]
fn nobody_needs_to_hear_what_is_wrong() {
    let send = Send::to(NOBODY, &["--user=me"]);
    let (reader, full) = full_pipe();
    send.reads_and_tells(MESSAGE, full).within(Duration::from_secs(2));
    drop(reader);
    let (reader, full) = full_pipe();
    Send::new(&["--wrong"]).reads_and_tells(MESSAGE, full).within(Duration::from_secs(2));
    drop(reader);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    assert_eq!(send.reads_and_tells(MESSAGE, Stdio::from(writer)).code, Some(0));
    // With none of the three open at all.
    let closed = Send::to(NOBODY, &["--user=me"]).inside(&["/bin/sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"]);
    let script = closed.args(&["--input=none"]);
    assert_eq!(script.reads(b"").code, Some(0));
}

#[test]
fn with_another_users_rights_it_does_nothing() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).expect("it is ours");
    let peer = Peer::answering(super::TAKEN);
    for (mode, user, group) in [(0o4755, 65_534, 0), (0o4755, 0, 0), (0o2755, 0, 65_534)] {
        let program = directory.path().join(format!("mailknock-{mode:o}-{user}"));
        install(Path::new(env!("CARGO_BIN_EXE_mailknock")), &program);
        chown(&program, Some(user), Some(group)).expect("root may give it away");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).expect("it is ours");
        let log = directory.path().join("log");
        let somebody = ["setpriv", "--reuid=100001", "--regid=100001", "--clear-groups"];
        let send = Send::to(&peer.url(), &["--user=me", "--log"]).args(&[&log]).program(&program).inside(&somebody);
        send.ends(1, &vec![b'x'; 1 << 20]).says("setuid");
        send.clone().args(&["--detach"]).ends(1, MESSAGE).says("setuid");
        assert!(!log.exists(), "it wrote with another user's rights");
    }
    assert_eq!(peer.received(), [""; 0]);
}
