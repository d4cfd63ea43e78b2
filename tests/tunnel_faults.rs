//! What goes wrong with a tunnel that Mailknock keeps, one fault a test, each on a network of its own with a real sshd:
//! how soon the tray says so, in which words, and how soon it is up again. No event is lost to it or comes twice.

mod client;
mod server;
mod processes;
mod changes;
mod ways;
mod outside;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use crate::support::network::Network;
use crate::support::require;
use crate::support::sshd::Sshd;
use crate::support::wait::{EVENTUALLY, holds, wait_at_most};
use client::{Client, Fault};

/// Another port of the mail server.
const OTHER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 12_526);

/// A mail server that is there and a desktop that isn't yet, where such can be had.
#[track_caller]
fn machines() -> Option<(Network, Sshd)> {
    machines_alive(5, 2)
}

/// The same with a server that gives up clients which say nothing for so long: see [`Sshd::start_alive`].
#[track_caller]
fn machines_alive(interval: u32, count: u32) -> Option<(Network, Sshd)> {
    if !Network::available() || !Sshd::available() || !require(&["dbus-daemon", "setpriv", "ss"]) {
        return None;
    }
    let network = Network::new();
    let sshd = Sshd::start_alive(&network, interval, count);
    Some((network, sshd))
}

/// Waits until nobody listens at this address of the mail server.
#[track_caller]
fn wait_free(network: &Network, end: SocketAddr) {
    let is_refused = || TcpStream::connect(end).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    let state = || "somebody listens there".to_owned();
    wait_at_most(EVENTUALLY, &format!("{end} to be free"), state, || holds(network.in_mail(is_refused)));
}
