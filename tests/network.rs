//! The tunnel as the README tells to make it by hand: `ssh` from the desktop to a mail server with a real sshd, on a
//! network of their own. It carries what is sent to the mail server's end, and its key is good for nothing else.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Running};
use crate::support::desktop::Desktop;
use crate::support::dovecot::Dovecot;
use crate::support::http::{Connection, Request, Response};
use crate::support::network::{DESKTOP, Network};
use crate::support::peer::Peer;
use crate::support::require;
use crate::support::sshd::{Sshd, TUNNEL};
use crate::support::wait::{EVENTUALLY, holds, wait_at_most};

const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntaken";

fn available() -> bool {
    Network::available() && Sshd::available() && require(&["setpriv"])
}

/// Starts `ssh` on the desktop with these words before the host.
fn ssh(network: &Network, sshd: &Sshd, words: &[&str]) -> Running {
    let batch = ["-N", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=2"];
    let (options, host) = (sshd.options(), sshd.host());
    let options = options.iter().map(String::as_str);
    let words: Vec<&str> = batch.into_iter().chain(options).chain(words.iter().copied()).chain([&*host]).collect();
    Daemon::new().program("ssh").args(&words).inside(&network.desktop()).spawn()
}

/// Starts one that is to make a tunnel to this address of the desktop, or to end. It asks a silent server after so many
/// seconds, three times.
fn start_tunnel(network: &Network, sshd: &Sshd, to: SocketAddr, seconds: u32) -> Running {
    let (from_mail, alive) = (format!("{TUNNEL}:{to}"), format!("ServerAliveInterval={seconds}"));
    ssh(network, sshd, &["-o", "ExitOnForwardFailure=yes", "-o", &alive, "-R", &from_mail])
}

/// A tunnel that is there.
#[track_caller]
fn tunnel(network: &Network, sshd: &Sshd, to: SocketAddr) -> Running {
    wait_tunnel(network, sshd, start_tunnel(network, sshd, to, 15))
}

#[track_caller]
fn wait_tunnel(network: &Network, sshd: &Sshd, ssh: Running) -> Running {
    let log = || format!("{}\n---- sshd ----\n{}", ssh.log(), sshd.log());
    wait_at_most(EVENTUALLY, "the tunnel", log, || holds(network.in_mail(|| TcpStream::connect(TUNNEL)).is_ok()));
    ssh
}

/// Asserts that no tunnel comes, and that `ssh` says so.
#[track_caller]
fn no_tunnel(network: &Network, sshd: &Sshd, complaint: &str) {
    let nowhere = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9);
    let said = start_tunnel(network, sshd, nowhere, 15).finish().ended_with(255).stderr;
    assert!(said.contains(complaint), "no `{complaint}`: {said}\n{}", sshd.log());
}

/// What a mail server does.
#[track_caller]
fn push(network: &Network, body: &str) -> Response {
    network.in_mail(|| Request::put("/notify").json(body).send(TUNNEL))
}

fn is_refused(to: SocketAddr) -> bool {
    TcpStream::connect(to).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn only_the_tunnel_leads_to_the_desktop() {
    if !available() {
        return;
    }
    let network = Network::new();
    let sshd = Sshd::start(&network);
    let peer = network.in_desktop(|| Peer::answering(TAKEN));
    let direct = SocketAddr::new(DESKTOP, peer.address().port());
    network.in_mail(|| {
        assert!(is_refused(TUNNEL) && is_refused(direct) && is_refused(peer.address()));
        let outside = TcpStream::connect((Ipv4Addr::new(192, 0, 2, 1), 80)).expect_err("there is no way");
        assert_eq!(outside.kind(), ErrorKind::NetworkUnreachable, "{outside}");
    });

    let ssh = tunnel(&network, &sshd, peer.address());
    assert_eq!(push(&network, "knock").accepted().text(), "taken");
    assert!(peer.wait_received(1)[0].ends_with("\r\n\r\nknock"));
    assert!(network.in_mail(|| is_refused(direct) && is_refused(peer.address())));

    drop(ssh);
    let gone = || holds(network.in_mail(|| is_refused(TUNNEL)));
    wait_at_most(EVENTUALLY, "the end of the tunnel", || sshd.log(), gone);
    assert_eq!(peer.received().len(), 1);
}

#[test]
fn the_tunnels_key_is_good_for_nothing_else() {
    if !available() {
        return;
    }
    let network = Network::new();
    let sshd = Sshd::start(&network);
    let other = ["-o", "ExitOnForwardFailure=yes", "-R"];
    for listen in ["127.0.0.1:12526", "10.77.0.1:12525", "12525"] {
        let wanted = format!("{listen}:127.0.0.1:9");
        let said = ssh(&network, &sshd, &[&other[..], &[&wanted]].concat()).finish().ended_with(255).stderr;
        assert!(said.contains("remote port forwarding failed"), "{listen}: {said}");
    }

    // The other way round only the tunnel's end can be reached.
    let peer = network.in_mail(|| Peer::answering_at(TUNNEL.port(), TAKEN));
    let secret = network.in_mail(|| Peer::answering(TAKEN));
    let [open, closed] = [12_001, 12_002].map(|port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    let (to_open, to_closed) = (format!("{open}:{TUNNEL}"), format!("{closed}:{}", secret.address()));
    let mut ssh = ssh(&network, &sshd, &["-L", &to_closed, "-L", &to_open]);
    let ready = || holds(network.in_desktop(|| TcpStream::connect(open)).is_ok());
    wait_at_most(EVENTUALLY, "ssh to listen", || ssh.log(), ready);
    let ask = |through: SocketAddr| {
        network.in_desktop(|| {
            let mut connection = Connection::open(through);
            connection.try_send(&Request::get("/").bytes())?;
            connection.try_response()
        })
    };
    assert_eq!(ask(open).expect("this way is open").text(), "taken");
    ask(closed).expect_err("this way is closed");
    ssh.wait_log("administratively prohibited");
    assert_eq!((peer.received().len(), secret.received().len()), (1, 0));
}

#[test]
fn lost_packets_end_a_tunnel_on_both_sides_and_a_pulled_cable_for_a_moment_does_not() {
    if !available() {
        return;
    }
    let network = Network::new();
    let sshd = Sshd::start_alive(&network, 1, 3);
    let peer = network.in_desktop(|| Peer::answering(TAKEN));
    let ssh = wait_tunnel(&network, &sshd, start_tunnel(&network, &sshd, peer.address(), 1));
    let across = || network.in_mail(|| TcpStream::connect((DESKTOP, 1))).expect_err("nobody listens there").kind();
    assert_eq!(across(), ErrorKind::ConnectionRefused);
    network.cut();
    assert_eq!(across(), ErrorKind::NetworkUnreachable);
    let mut waiting = network.in_mail(|| Connection::open(TUNNEL));
    waiting.send(&Request::put("/notify").body("late").bytes());
    network.restore();
    assert_eq!(waiting.response().accepted().text(), "taken");

    network.drop_all();
    let mut lost = network.in_mail(|| Connection::open(TUNNEL));
    lost.send(&Request::put("/notify").body("lost").bytes());
    let said = ssh.finish().ended_with(255).stderr;
    assert!(said.contains("Timeout, server 10.77.0.1 not responding"), "{said}");
    sshd.wait_log("Timeout, client not responding");
    let gone = || holds(network.in_mail(|| is_refused(TUNNEL)));
    wait_at_most(EVENTUALLY, "the end of the tunnel", || sshd.log(), gone);
    no_tunnel(&network, &sshd, "Connection timed out");
    lost.try_response().expect_err("nobody answered");

    network.let_through();
    let _ssh = tunnel(&network, &sshd, peer.address());
    assert_eq!(push(&network, "again").accepted().text(), "taken");
    let requests = peer.received();
    let bodies: Vec<_> = requests.iter().filter_map(|request| request.split("\r\n\r\n").nth(1)).collect();
    assert_eq!(bodies, ["late", "again"]);
}

#[test]
fn what_the_server_does_not_allow_ssh_tells() {
    if !available() {
        return;
    }
    let network = Network::new();
    let mut sshd = Sshd::start(&network);
    let peer = network.in_desktop(|| Peer::answering(TAKEN));
    sshd.refuse_key();
    no_tunnel(&network, &sshd, "Permission denied (publickey)");
    sshd.accept_key();
    drop(tunnel(&network, &sshd, peer.address()));

    sshd.change_host_key();
    no_tunnel(&network, &sshd, "REMOTE HOST IDENTIFICATION HAS CHANGED");
    sshd.forget_host_key();
    no_tunnel(&network, &sshd, "key is known for [10.77.0.1]:2222 and you have requested strict checking");
    sshd.know_host_key();
    drop(tunnel(&network, &sshd, peer.address()));

    sshd.refuse_forwarding();
    no_tunnel(&network, &sshd, "remote port forwarding failed for listen port 12525");
    sshd.accept_forwarding();
    drop(tunnel(&network, &sshd, peer.address()));
    sshd.stop();
    no_tunnel(&network, &sshd, "Connection refused");
    assert!(sshd.connections().is_empty() && network.mail_processes().is_empty());
}

#[test]
fn somebody_at_the_tunnels_end_keeps_the_tunnel_out_until_the_port_is_free() {
    if !available() {
        return;
    }
    let network = Network::new();
    let sshd = Sshd::start(&network);
    let squatter = network.in_mail(|| Peer::answering_at(TUNNEL.port(), TAKEN));
    no_tunnel(&network, &sshd, "remote port forwarding failed for listen port 12525");
    push(&network, "for another").accepted();
    assert!(squatter.wait_received(1)[0].ends_with("\r\n\r\nfor another"));
    drop(squatter);
    assert!(network.in_mail(|| is_refused(TUNNEL)));

    let peer = network.in_desktop(|| Peer::answering(TAKEN));
    let _ssh = tunnel(&network, &sshd, peer.address());
    push(&network, "for us").accepted();
    assert_eq!(peer.wait_received(1).len(), 1);
}

#[test]
fn a_tunnel_outlives_the_listener_of_sshd_but_not_its_connections() {
    if !available() {
        return;
    }
    let network = Network::new();
    let mut sshd = Sshd::start(&network);
    let peer = network.in_desktop(|| Peer::answering(TAKEN));
    let ssh = tunnel(&network, &sshd, peer.address());
    sshd.kill_listener_only();
    push(&network, "still here").accepted();
    no_tunnel(&network, &sshd, "Connection refused");
    sshd.start_again();
    assert_eq!(sshd.connections().len(), 2, "{:?}", sshd.connections());
    push(&network, "and here").accepted();
    sshd.stop();
    let said = ssh.finish().ended_with(255).stderr;
    assert!(said.contains("closed by remote host"), "{said}");
    sshd.start_again();
    let _ssh = tunnel(&network, &sshd, peer.address());
    push(&network, "again").accepted();
}

#[test]
fn a_delivery_to_dovecot_becomes_a_popup_through_the_tunnel() {
    if !available() || !Dovecot::available() || !require(&["dbus-daemon"]) {
        return;
    }
    let network = Network::new();
    let sshd = Sshd::start(&network);
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let config = "[auth]\nuser = \"knock\"\npass = \"s3cret\"\n";
    let daemon = Daemon::new().bus(&bus).config(config).inside(&network.desktop()).start();
    let ssh = tunnel(&network, &sshd, daemon.addr());
    let dovecot = network.in_mail(|| Dovecot::start(&format!("http://knock:s3cret@{TUNNEL}/notify")));

    let deliver = |subject: &str| {
        let message = format!("From: Bob <bob@example.org>\nSubject: {subject}\n\nA long way.\n");
        dovecot.deliver("alice", message.as_bytes());
    };
    deliver("From afar");
    let note = desktop.next_notification();
    assert_eq!((note.summary.as_str(), note.body.as_str()), ("Bob", "From afar\nA long way."));
    assert!(!dovecot.log().contains("rror"), "{}", dovecot.log());

    // Without the tunnel mail is taken all the same.
    drop(ssh);
    let gone = || holds(network.in_mail(|| is_refused(TUNNEL)));
    wait_at_most(EVENTUALLY, "the end of the tunnel", || sshd.log(), gone);
    deliver("Unheard");
    let _ssh = tunnel(&network, &sshd, daemon.addr());
    deliver("Heard again");
    assert_eq!(desktop.next_notification().body, "Heard again\nA long way.");
    let count = dovecot.doveadm(&["search", "-u", "alice", "mailbox", "INBOX", "all"]).lines().count();
    assert_eq!(count, 3);
    daemon.stop();
}
