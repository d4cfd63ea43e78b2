//! The files it reads and writes: those that are named, and no others.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use super::{NOBODY, TAKEN};
use crate::support::peer::Peer;
use crate::support::require;
use crate::support::send::Send;

const MESSAGE: &[u8] = b"From: b@x\nSubject: s\n\nText.\n";

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

#[test]
fn every_key_of_its_file_counts_and_options_count_more() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    let (peer, other, silent) = (Peer::answering(TAKEN), Peer::answering(TAKEN), Peer::silent());
    fs::write(path("auth"), "knock:s3cret\nmore\n").expect("it is ours");
    let file = path("send.toml");
    let write = |text: &str| fs::write(&file, text).expect("it is ours");
    let send = Send::new(&["--user=me"]).first(&["-c", &file.display().to_string()]);

    write(&format!("url = \"{}\"\nauth_file = \"{}\"\n", peer.url(), path("auth").display()));
    send.ends(0, MESSAGE);
    assert!(peer.received()[0].contains("authorization: Basic a25vY2s6czNjcmV0\r\n"), "{:?}", peer.received());
    send.clone().env("MAILKNOCK_URL", other.url()).ends(0, MESSAGE);
    send.clone().env("MAILKNOCK_URL", NOBODY).args(&["--url", &other.url()]).ends(0, MESSAGE);
    assert_eq!((peer.received().len(), other.received().len()), (2, 4));
    send.clone().env("MAILKNOCK_URL", "").ends(0, MESSAGE);
    assert_eq!(peer.received().len(), 4);

    // As Windows' editors write it.
    fs::write(path("auth"), "\u{feff}knock:s3cret\r\nmore\r\n").expect("it is ours");
    write(&format!("\u{feff}url = \"{}\"\r\nauth_file = \"{}\"\r\n", peer.url(), path("auth").display()));
    send.ends(0, MESSAGE);
    assert!(peer.received()[4].contains("authorization: Basic a25vY2s6czNjcmV0\r\n"), "{:?}", peer.received());

    write(&format!("url = \"{}\"\ndeadline = \"300ms\"\nlog = \"{}\"\n", silent.url(), path("log").display()));
    send.ends(1, MESSAGE).says("within 300ms").within(Duration::from_secs(1));
    let log = fs::read_to_string(path("log")).expect("it was written");
    assert_eq!(log.matches(" gave no answer within 300ms\n").count(), 2, "{log}");
    send.clone().args(&["--deadline=200ms"]).ends(1, MESSAGE).says("within 200ms");

    for (wrong, says) in [
        ("ulr = \"x\"", "unknown key `ulr`; the keys here are auth_file, ca_file, deadline, log, url"),
        ("url = 5", "url"),
        ("url = \"ftp://x/\"", "the URL is wrong"),
        ("deadline = \"soon\"", "deadline"),
        ("url = ", "send.toml:1"),
        ("\u{0}", "send.toml:1"),
        ("ca_file = \"/nowhere\"\nurl = \"https://127.9.9.9:9/\"", "failed to read /nowhere"),
        ("auth_file = \"/nowhere\"", "failed to read /nowhere"),
    ] {
        write(wrong);
        send.ends(1, MESSAGE).says(says);
    }
    write("url = \"http://127.9.9.9:9/\"");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("it is ours");
    send.ends(1, MESSAGE).says("others can write it");
    fs::remove_file(&file).expect("it is ours");
    send.ends(1, MESSAGE).says("failed to read");
}

#[test]
fn the_log_is_its_users_alone_and_no_trap() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    let send = |log: &Path| Send::to(NOBODY, &["--user=me", "--log"]).args(&[log]);
    send(&path("log")).ends(1, MESSAGE);
    let text = fs::read_to_string(path("log")).expect("it was written");
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.lines().all(|line| line.starts_with("mailknock send: http://127.9.9.9:9/")), "{text}");
    assert_eq!(fs::metadata(path("log")).expect("it is there").permissions().mode() & 0o7777, 0o600);

    fs::write(path("victim"), "").expect("it is ours");
    symlink(path("victim"), path("link")).expect("it is ours");
    send(&path("link")).ends(1, MESSAGE);
    symlink(path("new"), path("dangling")).expect("it is ours");
    send(&path("dangling")).ends(1, MESSAGE);
    assert_eq!(fs::read_to_string(path("victim")).expect("it is there"), "");
    assert!(!path("new").exists());

    rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    send(&path("fifo")).ends(1, MESSAGE).within(Duration::from_secs(2));
    // One that somebody reads, but not now.
    let _reader = fs::File::options().read(true).write(true).open(path("fifo")).expect("it is ours");
    fs::write(path("fifo"), [b'x'; 64 * 1024]).expect("so much fits in");
    send(&path("fifo")).ends(1, MESSAGE).within(Duration::from_secs(2));
    send(directory.path()).ends(1, MESSAGE);
    send(Path::new("/nowhere/log")).ends(1, MESSAGE);
    // A password file must not hold it up either.
    let auth = path("fifo").display().to_string();
    Send::to(NOBODY, &["--user=me", "--auth-file", &auth]).ends(1, MESSAGE).within(Duration::from_secs(2));
}

#[test]
fn nothing_else_is_looked_for() {
    if !require(&["strace"]) {
        return;
    }
    let directory = directory();
    let peer = Peer::answering(TAKEN);
    let trace = directory.path().join("trace");
    let decoys = [".config/mailknock", "xdg/mailknock", "here"].map(|name| directory.path().join(name));
    for decoy in &decoys {
        fs::create_dir_all(decoy).expect("it is ours");
        for name in ["config.toml", "send.toml", "mailknock.toml", ".netrc", "auth"] {
            fs::write(decoy.join(name), format!("url = \"{NOBODY}\"\n")).expect("it is ours");
        }
    }
    let script = "cd here && exec \"$@\"";
    let script = script.replace("here", &decoys[2].display().to_string());
    let trace_word = trace.display().to_string();
    let words =
        ["/bin/sh", "-c", &script, "sh", "strace", "-f", "-e", "trace=%file,%network", "-s", "200", "-o", &trace_word];
    let send = Send::new(&["--strict", "--user=me"]).env("MAILKNOCK_URL", peer.url()).inside(&words);
    let send = send.env("HOME", directory.path()).env("XDG_CONFIG_HOME", directory.path().join("xdg"));
    let send = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
        .iter()
        .fold(send, |send, name| send.env(name, NOBODY));
    let sent = send.reads(MESSAGE);
    assert_eq!((sent.code, peer.received().len()), (Some(0), 1), "{sent:?}");
    let trace = fs::read_to_string(trace).expect("strace wrote it");
    let own = directory.path().display().to_string();
    let touched: Vec<&str> = trace
        .lines()
        .filter(|line| line.contains(&own) || line.contains("AT_FDCWD, \".") || line.contains("(\"."))
        .collect();
    assert_eq!(touched, [""; 0]);
    let connected: Vec<&str> = trace.lines().filter(|line| line.contains("connect(")).collect();
    assert_eq!(connected.len(), 1, "{connected:?}");
    assert!(connected[0].contains(&format!("htons({})", peer.address().port())), "{connected:?}");
}
