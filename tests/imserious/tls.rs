//! HTTPS, as curl speaks it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::certificate::{self, Pair};
use crate::support::require;
use crate::support::wait::{holds, wait_until};

use super::candidate::{Candidate, Server, event, handler};
use super::compare_ability;

fn new_pair(candidate: &Candidate, name: &str) -> Pair {
    Pair::new(candidate.recipe(), name, &[&format!("IP:{}", candidate.address().ip())])
}

/// The status that a push is answered over HTTPS, by a server whose certificate is this one; `000` by no such server.
fn push(to: SocketAddr, certificate: &Path) -> String {
    certificate::push(&format!("https://{to}/notify"), certificate, &event("INBOX", ""), &[])
}

/// The handlers' configuration behind a `[tls]` with these files.
fn config(certificate: &Path, key: &Path, more: &str) -> String {
    let (certificate, key) = (certificate.display(), key.display());
    format!("[tls]\ncert = \"{certificate}\"\nkey = \"{key}\"\n{more}{}", handler(""))
}

#[test]
fn it_speaks_https() {
    if !require(&["openssl", "curl"]) {
        return;
    }
    compare_ability("TLS", |candidate| {
        let (pair, other) = (new_pair(candidate, "own"), new_pair(candidate, "other"));
        let server = candidate.start(&config(&pair.certificate, &pair.key, ""));
        let answers = [&pair, &other].map(|pair| push(candidate.address(), &pair.certificate));
        server.end();
        answers == ["200", "000"]
    });
}

/// The lines with which it says that something is wrong.
fn complaints(server: &Server) -> usize {
    let is_one = |line: &&str| line.split_whitespace().take(2).any(|word| word == "WARN" || word == "ERROR");
    server.output().lines().filter(is_one).count()
}

/// Certificate and key are in one file, which is replaced in one step: a reload never sees one of each pair.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).expect("it is in our home");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    fs::rename(&new, file).expect("it is in our home");
}

#[test]
fn a_new_pair_is_taken_without_a_restart_and_a_broken_one_is_not() {
    if !require(&["openssl", "curl"]) {
        return;
    }
    compare_ability("TLS: `periodic_reload` takes a new pair, and no broken one", |candidate| {
        let (old, new) = (new_pair(candidate, "old"), new_pair(candidate, "new"));
        let both = |pair: &Pair| {
            // IMSErious takes a key only as the first thing in its file.
            let texts = [&pair.key, &pair.certificate].map(|file| fs::read_to_string(file).expect("openssl wrote it"));
            texts.concat()
        };
        let file = candidate.recipe().home().join("pair.pem");
        replace(&file, &both(&old));
        let server = candidate.start(&config(&file, &file, "periodic_reload = \"300ms\"\n"));
        assert_eq!(push(candidate.address(), &old.certificate), "200");
        replace(&file, &both(&new));
        wait_until("the new pair to be used", || holds(push(candidate.address(), &new.certificate) == "200"));
        let before = complaints(&server);
        replace(&file, "broken");
        wait_until("the broken pair to be tried", || holds(complaints(&server) > before));
        let answer = push(candidate.address(), &new.certificate);
        server.end();
        answer == "200"
    });
}
