//! Where a tunnel can lead: to a socket that is ours alone, to an address, to a listener with TLS, and two of them.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::Command;

use super::client::mail;
use super::{Client, Fault, OTHER, machines, wait_free};
use crate::support::certificate::{self, Pair};
use crate::support::daemon::{Signal, somebody};
use crate::support::network::Network;
use crate::support::program::signal;
use crate::support::require;
use crate::support::sshd::TUNNEL;

/// Where anything on the desktop listens.
#[track_caller]
fn listening(network: &Network) -> String {
    let output = network.in_desktop(|| Command::new("ss").args(["-H", "-l", "-t", "-u", "-n"]).output());
    String::from_utf8_lossy(&output.expect("the test asked for it").stdout).into_owned()
}

#[test]
fn by_itself_it_leads_to_a_socket_that_nobody_else_can_reach() {
    let Some((network, sshd)) = machines() else { return };
    let mut client = Client::new(&network, &sshd);
    client.start_up(&client.with_tunnel());
    client.push("to the socket");
    for name in ["push.sock", "tunnel-1.sock"] {
        let found = std::fs::symlink_metadata(client.runtime(name)).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!((found.mode() & 0o777, Some(found.uid())), (0o600, somebody()), "{name}");
    }
    assert_eq!(std::fs::metadata(client.runtime("")).unwrap().mode() & 0o777, 0o700);
    assert_eq!(listening(&network), "");
    client.finish();
}

#[test]
fn it_leads_to_an_address_where_one_is_listened_on() {
    let Some((network, sshd)) = machines() else { return };
    let mut client = Client::new(&network, &sshd);
    // In a network of its own every port is free.
    client.start_up(&client.config("listen = \"127.0.0.1:12600\"", &client.tunnel("")));
    client.push("to the address");
    let found = listening(&network);
    assert!(found.contains("127.0.0.1:12600") && found.lines().count() == 1, "{found}");
    let mut fault = Fault::begins("ssh killed, listener on TCP");
    signal(client.the_ssh().pid, Signal::KILL);
    fault.down(&client, "killed by signal 9");
    fault.up(&client);
    client.push("again");
    client.finish();
}

#[test]
fn behind_tls_the_probe_comes_through_as_the_mail_does() {
    let Some((network, sshd)) = machines() else { return };
    if !require(&["openssl", "curl"]) {
        return;
    }
    let mut client = Client::new(&network, &sshd);
    let pair = Pair::new(&client.recipe, "own", &["IP:127.0.0.1"]);
    client.start_up(&client.config("", &format!("{}{}", pair.config(""), client.tunnel(""))));
    let url = format!("https://knock:s3cret@{TUNNEL}/notify");
    let push = |subject| network.in_mail(|| certificate::push(&url, &pair.certificate, &mail(subject), &[]));
    assert_eq!(push("sealed"), "200");
    client.shown("sealed");
    let mut fault = Fault::begins("ssh killed, listener with TLS");
    signal(client.the_ssh().pid, Signal::KILL);
    fault.down(&client, "killed by signal 9");
    fault.up(&client);
    assert_eq!(push("sealed again"), "200");
    client.shown("sealed again");

    // The probe goes by the certificate that is shown now.
    let another = Pair::new(&client.recipe, "another", &["IP:127.0.0.1"]);
    client.reload(&client.config("", &format!("{}{}", another.config(""), client.tunnel("")))).succeeded();
    signal(client.the_ssh().pid, Signal::KILL);
    client.wait_tunnel("down");
    client.wait_tunnel("up");
    let pushed = network.in_mail(|| certificate::push(&url, &another.certificate, &mail("another seal"), &[]));
    assert_eq!(pushed, "200");
    client.shown("another seal");
    client.finish();
}

#[test]
fn of_two_tunnels_one_goes_on_without_the_other() {
    let Some((network, sshd)) = machines() else { return };
    sshd.accept_key_for(&[TUNNEL, OTHER]);
    let mut client = Client::new(&network, &sshd);
    let other = client.tunnel(&format!("remote = \"{OTHER}\""));
    client.start(&client.config("", &format!("{}{other}", client.tunnel(""))));
    let names = [TUNNEL, OTHER].map(|end| format!("{} ({end})", sshd.host()));
    let wait = |client: &Client, index: usize, state| client.wait_line(Some(&names[index]), state);
    wait(&client, 0, "up");
    wait(&client, 1, "up");
    client.wait_fetch();
    client.push("by the first");
    client.push_to(OTHER, "by the second");

    let found = client.ssh();
    assert_eq!(found.len(), 2, "{found:?}");
    let words = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let first = found.iter().find(|ssh| words(ssh.pid).contains(&format!("{TUNNEL}:"))).unwrap();
    let mut fault = Fault::begins("one ssh of two killed");
    signal(first.pid, Signal::KILL);
    wait(&client, 0, "down");
    fault.is_down();
    wait(&client, 1, "up");
    wait_free(&network, TUNNEL);
    client.push_to(OTHER, "by the second alone");
    fault.up_when(|| wait(&client, 0, "up"));
    client.push("by the first again");
    client.finish();
}
