//! What the mail server doesn't give, or shows another than before.

use std::net::TcpStream;

use super::{Client, Fault, OTHER, machines, machines_alive, wait_free};
use crate::support::daemon::Signal;
use crate::support::network::Network;
use crate::support::peer::Peer;
use crate::support::program::signal;
use crate::support::sshd::{Sshd, TUNNEL};
use crate::support::wait::{holds, wait_long};

const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntaken";

/// A tunnel that is up, and has brought a mail.
#[track_caller]
fn up(network: &Network, sshd: &Sshd) -> Client {
    let mut client = Client::new(network, sshd);
    client.start_up(&client.with_tunnel());
    client.push("before");
    client
}

/// A mail comes when all is well again, and then all ends.
#[track_caller]
fn finish(mut client: Client) {
    client.push("after");
    assert_eq!(client.lines().len(), 1, "no problem is left: {:?}", client.lines());
    client.finish();
}

#[test]
fn a_key_that_is_no_longer_taken_is_told_and_taken_again_is_enough() {
    let Some((network, mut sshd)) = machines() else { return };
    let client = up(&network, &sshd);
    let mut fault = Fault::begins("key refused");
    sshd.refuse_key();
    sshd.stop();
    sshd.start_again();
    let why = fault.down(&client, "Permission denied");
    assert!(why.contains("the server takes none of the keys"), "{why}");
    sshd.accept_key();
    fault.up(&client);
    finish(client);
}

#[test]
fn another_host_key_than_before_is_never_taken() {
    let Some((network, mut sshd)) = machines() else { return };
    let client = up(&network, &sshd);
    let known = sshd.known_hosts();
    let mut fault = Fault::begins("host key changed");
    sshd.change_host_key();
    let why = fault.down(&client, "Host key verification failed");
    assert!(why.contains("the server shows another host key than before"), "{why}");
    assert_eq!(sshd.known_hosts(), known);
    sshd.know_host_key();
    fault.up(&client);
    finish(client);
}

#[test]
fn a_host_key_that_nobody_has_seen_is_not_taken_either_whatever_the_options_say() {
    let Some((network, sshd)) = machines() else { return };
    sshd.forget_host_key();
    let mut client = Client::new(&network, &sshd);
    let mut fault = Fault::begins("host key unknown");
    for lenient in ["no", "accept-new"] {
        let lenient = format!("StrictHostKeyChecking={lenient}");
        let config = client.config("", &client.tunnel_with(&["-o", &lenient], ""));
        match lenient.ends_with("no") {
            true => client.start(&config),
            false => drop(client.reload(&config).succeeded()),
        }
        client.wait_tunnel("down");
        fault.is_down();
        let why = client.wait_why("key is not known yet");
        assert!(why.contains(&format!("run `ssh {}` once", sshd.host())), "{why}");
        assert_eq!(sshd.known_hosts(), "");
    }
    sshd.know_host_key();
    fault.up(&client);
    client.wait_fetch();
    finish(client);
}

#[test]
fn a_server_that_forbids_forwarding_is_told() {
    let Some((network, mut sshd)) = machines() else { return };
    let client = up(&network, &sshd);
    let mut fault = Fault::begins("forwarding forbidden");
    sshd.refuse_forwarding();
    let why = fault.down(&client, "remote port forwarding failed");
    assert!(why.contains("or it may not be forwarded. See `mailknock setup ssh`"), "{why}");
    sshd.accept_forwarding();
    fault.up(&client);
    finish(client);
}

#[test]
fn a_port_that_the_key_may_not_have_is_told() {
    let Some((network, sshd)) = machines() else { return };
    let mut client = Client::new(&network, &sshd);
    let mut fault = Fault::begins("port not permitted");
    client.start(&client.config("", &client.tunnel(&format!("remote = \"{OTHER}\""))));
    let why = fault.down(&client, "remote port forwarding failed");
    assert!(why.contains("the server does not give port 12526"), "{why}");
    wait_free(&network, OTHER);
    sshd.accept_key_for(&[TUNNEL, OTHER]);
    fault.up(&client);
    client.wait_fetch();
    client.push_to(OTHER, "after");
    client.finish();
}

#[test]
fn a_squatter_at_the_tunnels_end_gets_neither_password_nor_probe() {
    let Some((network, mut sshd)) = machines() else { return };
    let client = up(&network, &sshd);
    let mut fault = Fault::begins("squatter on the port");
    sshd.stop();
    let squatter = network.in_mail(|| Peer::answering_at(TUNNEL.port(), TAKEN));
    sshd.start_again();
    let why = fault.down(&client, "remote port forwarding failed");
    assert!(why.contains("the server does not give port 12525: another program holds it"), "{why}");
    let attempts = || sshd.log().matches("cannot listen to port: 12525").count();
    let before = attempts();
    wait_long("another attempt in vain", || holds(attempts() > before));
    assert_eq!(client.seen()["tunnels"][0]["state"], "down");
    assert_eq!(squatter.received(), Vec::<String>::new());
    drop(squatter);
    fault.up(&client);
    finish(client);
}

#[test]
fn a_port_that_the_server_holds_for_a_frozen_desktop_is_told_and_comes_free() {
    let Some((network, sshd)) = machines_alive(2, 2) else { return };
    let frozen = up(&network, &sshd);
    let ssh = frozen.the_ssh();
    frozen.daemon().signal(Signal::STOP);
    signal(ssh.pid, Signal::STOP);

    // As after a reset, or as the same account on another desktop.
    let mut second = Client::new(&network, &sshd);
    let mut fault = Fault::begins("port held by a frozen desktop");
    second.start(&second.with_tunnel());
    let why = fault.down(&second, "remote port forwarding failed");
    assert!(why.contains("or an earlier connection that it has not missed yet"), "{why}");
    sshd.wait_log("Timeout, client not responding");
    fault.up(&second);
    second.wait_fetch();
    second.push("to the second");

    // Who wakes up finds the port taken, and waits for it.
    let mut fault = Fault::begins("port taken by another desktop");
    frozen.daemon().signal(Signal::CONT);
    signal(ssh.pid, Signal::CONT);
    fault.down(&frozen, "remote port forwarding failed");
    second.push("still to the second");
    second.stop();
    fault.up(&frozen);
    finish(frozen);
    assert!(network.in_mail(|| TcpStream::connect(TUNNEL)).is_err());
}
