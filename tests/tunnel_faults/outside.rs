//! A tunnel that somebody else keeps, and that Mailknock only looks after.

use super::{Client, Fault, machines, wait_free};
use crate::support::daemon::Running;
use crate::support::sshd::{Sshd, TUNNEL};

/// ssh as a service of the user's would run it.
fn ssh(client: &Client, sshd: &Sshd) -> Running {
    let to_us = format!("{TUNNEL}:{}", client.runtime("push.sock").display());
    let to_try = format!("{}:{TUNNEL}", client.runtime("tunnel.sock").display());
    let (options, host) = (sshd.options(), sshd.host());
    let mut words = vec!["-N", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"];
    words.extend(["-o", "StreamLocalBindUnlink=yes", "-R", &to_us, "-L", &to_try]);
    words.extend(options.iter().map(String::as_str).chain([&*host]));
    client.recipe.clone().program("ssh").args(&words).spawn()
}

#[test]
fn one_from_outside_is_recognised_by_its_socket_and_looked_after() {
    let Some((network, sshd)) = machines() else { return };
    let mut client = Client::new(&network, &sshd);
    let listen = format!("listen = \"unix:{}\"", client.runtime("push.sock").display());
    client.start(&client.config(&listen, ""));
    assert_eq!(client.lines(), Vec::<String>::new());
    let kept = ssh(&client, &sshd);
    client.wait_line(None, "up");
    client.wait_fetch();
    client.push("before");

    let mut fault = Fault::begins("tunnel from outside killed");
    kept.kill();
    wait_free(&network, TUNNEL);
    client.wait_line(None, "down");
    let after = fault.is_down();
    assert!(after.as_secs() < 60, "{after:?}");
    assert_eq!(client.seen()["tunnels"][0]["why"], "ssh is not there");
    let kept = ssh(&client, &sshd);
    fault.up_when(|| client.wait_line(None, "up"));
    client.push("after");

    kept.kill();
    std::fs::remove_file(client.runtime("tunnel.sock")).unwrap();
    client.wait_no_tunnel();
    client.finish();
}
