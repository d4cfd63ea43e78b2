//! `mailknock setup ssh HOST`: the port that it finds on a real server, and what it says where it can't ask.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::sync::OnceLock;

use serde_json::json;

use super::step;
use crate::support::daemon::{Daemon, Finished};
use crate::support::local_sshd::{AUTH, LocalSshd, PROGRAMS};
use crate::support::program::install_script;
use crate::support::wait::wait_until;
use crate::support::{find_program, require};

const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 12525);
const NAME: &str = "mailserver";

/// Holds the usual port as long as any test runs: all these servers have the same loopback. Whoever else may hold it, it is
/// taken.
fn take_the_usual_port() {
    static HELD: OnceLock<Option<TcpListener>> = OnceLock::new();
    HELD.get_or_init(|| TcpListener::bind(USUAL).ok());
}

/// A server that a person reaches as [`NAME`], by what ssh's configuration says of it.
fn server() -> Option<(LocalSshd, Daemon)> {
    if !require(&PROGRAMS) {
        return None;
    }
    take_the_usual_port();
    let recipe = Daemon::new().config(AUTH);
    let server = LocalSshd::start(&recipe);
    server.authorize("");
    let configuration = recipe.home().join("ssh-config");
    std::fs::write(&configuration, format!("Host {NAME}\n{}", server.client_settings())).expect("the home is ours");
    // ssh looks for its configuration where the user database says, whatever HOME is.
    let ssh = find_program("ssh").expect("the test has required it");
    std::fs::create_dir(recipe.path("bin")).expect("the directory is ours");
    let script = format!("#!/bin/sh\nexec {} -F '{}' \"$@\"\n", ssh.display(), configuration.display());
    install_script(&script, &recipe.path("bin/ssh"));
    let path = format!("{}:{}", recipe.path("bin").display(), std::env::var("PATH").unwrap_or_default());
    Some((server, recipe.env("PATH", path)))
}

#[track_caller]
fn page(recipe: &Daemon) -> String {
    recipe.command(&["setup", "ssh", NAME]).succeeded().stdout
}

/// The `remote` of a page.
#[track_caller]
fn remote(page: &str) -> SocketAddr {
    let (_, rest) = page.split_once("\nremote = \"").unwrap_or_else(|| panic!("no remote in\n{page}"));
    rest.split_once('"').expect("it ends").0.parse().expect("an address")
}

/// Takes a port that was given a moment ago: sshd may not have missed its client yet.
#[track_caller]
fn held(port: SocketAddr) -> TcpListener {
    wait_until("the port to be free again", || TcpListener::bind(port).ok())
}

#[track_caller]
fn says(page: &str, text: &str) {
    let said = page.lines().filter_map(|line| line.strip_prefix("# ")).any(|line| line.contains(text));
    assert!(said, "no `{text}` in\n{page}");
}

/// Above what servers have, below what goes to outgoing connections.
fn is_in_range(remote: SocketAddr) -> bool {
    remote.ip() == USUAL.ip() && (10_001..32_768).contains(&remote.port())
}

#[test]
fn the_printed_block_is_a_right_configuration_and_its_tunnel_comes_up() {
    let Some((server, recipe)) = server() else { return };
    // As the one who can log in there.
    let host = server.host().replace(&server.ip().to_string(), NAME);
    let setup = |recipe: &Daemon| recipe.command(&["setup", "ssh", &host]).succeeded().stdout;
    let page = setup(&recipe);
    let found = remote(&page);
    says(&page, &format!("{found} was free there a moment ago."));
    assert!(is_in_range(found), "{page}");
    assert!(!page.contains("mail.example.org"), "{page}");
    server.authorize_line(&line_with_key(step(&page, "authorized_keys"), &server));
    drop(held(found));
    let recipe = recipe.config(&format!("{AUTH}{}", step(&page, "to config.toml")));
    recipe.command(&["check"]).succeeded();
    let report = recipe.command(&["doctor"]).succeeded().stdout;
    assert!(report.contains(&format!("ok       tunnel to {host}: what the mail server sends arrives")), "{report}");
    let again = setup(&recipe);
    assert!(!again.contains("to config.toml") && again.contains(&format!("PermitListen {found}\n")), "{again}");
}

/// The page's line, with the key in the place of the example.
#[track_caller]
fn line_with_key(step: &str, server: &LocalSshd) -> String {
    let line = step.lines().next().expect("the step has lines");
    let (options, _) = line.split_once(" ssh-ed25519").expect("a key stands behind the options");
    format!("{options} {}", server.public_key())
}

/// ssh's configuration for [`NAME`], with this in the place of its account.
fn configure(server: &LocalSshd, recipe: &Daemon, account: &str) {
    let lines = server.client_settings();
    let lines: Vec<&str> = lines.lines().filter(|line| !line.starts_with("User ")).collect();
    let text = format!("Host {NAME}\n{}\n{account}\n", lines.join("\n"));
    std::fs::write(recipe.home().join("ssh-config"), text).expect("the home is ours");
}

#[test]
fn where_the_account_is_not_there_yet_the_users_own_login_asks() {
    let Some((_server, recipe)) = server() else { return };
    let finished = recipe.command(&["setup", "ssh", &format!("mailknock@{NAME}")]).succeeded();
    let page = finished.stdout;
    says(&page, &format!("{} was free there a moment ago.", remote(&page)));
    assert!(page.contains(&format!("\nhost = \"mailknock@{NAME}\" ")), "{page}");
    assert!(!finished.stderr.contains("asking"), "it is no terminal");
}

#[test]
fn for_a_host_alone_an_account_is_suggested_unless_sshs_configuration_names_one() {
    let Some((server, recipe)) = server() else { return };
    configure(&server, &recipe, "");
    let suggested = page(&recipe);
    assert!(suggested.contains(&format!("\nhost = \"mailknock@{NAME}\" ")), "{suggested}");
    assert!(suggested.contains("\nuseradd ") && suggested.contains("\nMatch User mailknock\n"), "{suggested}");

    configure(&server, &recipe, "User postbox");
    let named = page(&recipe);
    assert!(named.contains(&format!("\nhost = \"{NAME}\" ")), "{named}");
    assert!(named.contains("\nMatch User postbox\n") && named.contains("authorized_keys, of postbox\n"), "{named}");
    assert!(!named.contains("\nuseradd ") && !named.contains("ACCOUNT"), "{named}");
}

#[test]
fn a_port_that_is_taken_there_is_not_chosen() {
    let Some((_server, recipe)) = server() else { return };
    let first = remote(&page(&recipe));
    let _first = held(first);
    let page = page(&recipe);
    let second = remote(&page);
    assert_ne!(second, first, "{page}");
    says(&page, &format!("{second} was free there a moment ago."));
}

#[test]
fn ports_of_the_configurations_tunnels_to_that_server_are_taken() {
    let Some((_server, recipe)) = server() else { return };
    let first = remote(&page(&recipe));
    let other = format!("[tunnel]\nhost = \"another@{NAME}\"\nremote = {}\n", json!(first));
    let recipe = recipe.config(&format!("{AUTH}{other}"));
    let page = page(&recipe);
    assert_ne!(remote(&page), first, "{page}");
    says(&page, "Make each tunnel that is there a `[[tunnel]]` too");
    let both = format!("{AUTH}{}{}", other.replace("[tunnel]", "[[tunnel]]"), step(&page, "to config.toml"));
    let recipe = recipe.config(&both);
    recipe.command(&["check"]).succeeded();
    let page = recipe.command(&["setup", "ssh", NAME]).succeeded().stdout;
    assert!(!page.contains("another@") && !page.contains("of another") && !page.contains("to config.toml"), "{page}");
}

/// What is told where the server wasn't asked. The port is never the usual one, which everybody would choose.
#[track_caller]
fn chosen_without_asking(finished: Finished, why: &str) {
    let page = finished.succeeded().stdout;
    let found = remote(&page);
    assert!(found != USUAL && is_in_range(found), "{page}");
    says(&page, &format!("{found} was chosen without asking"));
    says(&page, why);
    says(&page, "`mailknock doctor` tells if it is taken");
}

#[test]
fn where_ssh_is_not_let_in_a_port_is_chosen_without_asking() {
    let Some((server, recipe)) = server() else { return };
    let setup = || recipe.command(&["setup", "ssh", NAME]);
    server.authorize_line("");
    chosen_without_asking(setup(), "Permission denied (");
    server.authorize("restrict,port-forwarding,permitlisten=\"127.0.0.1:1\"");
    chosen_without_asking(setup(), "The server gave none of 12525, ");
    chosen_without_asking(setup(), "remote port forwarding failed for listen port 12525.");
    server.authorize("");
    server.be_unknown();
    chosen_without_asking(setup(), "the server's own key is not known here yet");
    let first = remote(&setup().succeeded().stdout);
    assert_eq!(remote(&setup().succeeded().stdout), first, "it is always the same");
}

#[test]
fn without_ssh_the_page_says_so_and_is_whole() {
    let recipe = Daemon::new().config(AUTH);
    let bin = recipe.path("bin");
    std::fs::create_dir(&bin).expect("the directory is ours");
    // The one program that a test as root needs.
    if let Some(setpriv) = find_program("setpriv") {
        symlink(setpriv, bin.join("setpriv")).expect("the directory is ours");
    }
    let recipe = recipe.env("PATH", &bin);
    let finished = recipe.command(&["setup", "ssh", NAME]).succeeded();
    says(&finished.stdout, "NOTE: `ssh` not found.");
    assert!(finished.stdout.contains("# ==== 7. See that it works\nmailknock doctor\n"), "{}", finished.stdout);
    chosen_without_asking(finished, "`ssh` not found. Is it installed");
    says(&recipe.command(&["setup", "ssh"]).succeeded().stdout, "NOTE: `ssh` not found.");
}

#[test]
fn a_word_that_is_no_host_is_a_usage_error() {
    let recipe = Daemon::new().config(AUTH);
    for words in [
        &["setup", "ssh", "--", "-oProxyCommand=x"][..],
        &["setup", "ssh", "-oProxyCommand=x"],
        &["setup", "ssh", "a b"],
        &["setup", "ssh", ""],
        &["setup", "ssh", "one", "two"],
        &["setup", "dovecot", "mail"],
    ] {
        let finished = recipe.command(words).ended_with(2);
        assert_eq!(finished.stdout, "", "{words:?}");
    }
}
