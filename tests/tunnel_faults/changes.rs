//! Another configuration while a tunnel is up.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::processes::{lives, outlives_ssh};
use super::{Client, Fault, OTHER, machines, wait_free};
use crate::support::http::Request;
use crate::support::network::Network;
use crate::support::sshd::TUNNEL;
use crate::support::wait::{SOON, wait_long};

/// Waits until something answers at this address of the mail server. An end that is about to go takes connections too.
#[track_caller]
fn wait_end(network: &Network, end: SocketAddr) {
    let answer = || {
        let mut connection = TcpStream::connect(end)?;
        connection.set_read_timeout(Some(SOON))?;
        connection.write_all(&Request::get("/").header("Connection", "close").bytes())?;
        connection.read(&mut [0])
    };
    wait_long("an answer at the tunnel's end", || network.in_mail(answer).ok().filter(|length| *length == 1));
}

#[test]
fn a_reload_adds_a_tunnel_moves_it_and_takes_it_away() {
    let Some((network, sshd)) = machines() else { return };
    sshd.accept_key_for(&[TUNNEL, OTHER]);
    let mut client = Client::new(&network, &sshd);
    let listen = format!("listen = \"unix:{}\"", client.runtime("push.sock").display());
    let config = |tunnel: &str| client.config(&listen, tunnel);
    let (none, here) = (config(""), config(&client.tunnel("")));
    let there = config(&client.tunnel(&format!("remote = \"{OTHER}\"")));
    client.start(&none);
    assert_eq!(client.lines(), Vec::<String>::new());

    let mut fault = Fault::begins("tunnel added by a reload");
    client.reload(&here).succeeded();
    fault.is_down();
    fault.up(&client);
    client.wait_fetch();
    client.push("added");
    let first = client.the_ssh();
    client.reload(&format!("{here}\n# nothing else\n")).succeeded();
    assert!(lives(&first), "what stays as it is goes on");

    let mut fault = Fault::begins("`remote` changed by a reload");
    client.reload(&there).succeeded();
    fault.is_down();
    assert!(!lives(&first));
    fault.up_when(|| wait_end(&network, OTHER));
    wait_free(&network, TUNNEL);
    client.wait_tunnel("up");
    client.push_to(OTHER, "moved");

    let second = client.the_ssh();
    client.reload(&there.replace("host = \"", "host = \"-")).ended_with(1);
    assert!(client.desktop.next_notification().body.contains("it begins with `-`"));
    assert!(lives(&second), "what is wrong changes nothing");
    client.push_to(OTHER, "as before");

    client.reload(&none).succeeded();
    assert!(!lives(&second));
    wait_free(&network, OTHER);
    client.wait_no_tunnel();
    client.finish();
}

#[test]
fn where_it_listens_elsewhere_ssh_ends_before_the_old_socket_closes() {
    let Some((network, sshd)) = machines() else { return };
    let mut client = Client::new(&network, &sshd);
    client.start_up(&client.with_tunnel());
    client.push("before");
    let ssh = client.the_ssh();
    let (socket, elsewhere) = (client.runtime("push.sock"), client.runtime("elsewhere.sock"));
    std::fs::write(&elsewhere, "").expect("the directory is there");
    let config = client.config(&format!("listen = \"unix:{}\"", elsewhere.display()), &client.tunnel(""));
    client.change(&config, "there is something that is no socket");
    assert!(client.desktop.next_notification().body.contains("failed to listen on"));
    assert_eq!(client.the_ssh().pid, ssh.pid, "nothing has changed");
    client.push("as before");

    std::fs::remove_file(&elsewhere).expect("it is there");
    let mut fault = Fault::begins("`listen` changed by a reload");
    outlives_ssh(&socket, &ssh, || client.reload(&config).succeeded());
    fault.is_down();
    fault.up_when(|| wait_end(&network, TUNNEL));
    assert!(!socket.exists());
    client.wait_tunnel("up");
    client.push("elsewhere");
    client.finish();
}
