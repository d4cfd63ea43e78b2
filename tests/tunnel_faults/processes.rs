//! The ends of ssh and of Mailknock itself, in every order, and an ssh that is none.

use std::fs::rename;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Client, Fault, machines, wait_free};
use crate::support::daemon::Signal;
use crate::support::program::{Process, install_script, processes, signal};
use crate::support::sshd::TUNNEL;
use crate::support::wait::{SOON, holds, wait_until};

pub fn lives(process: &Process) -> bool {
    processes().iter().any(|other| other.is_same(process))
}

/// Does something that ends this ssh, and asserts that this socket of ours was there for as long as ssh was. Ssh is frozen: it
/// ends only when it is killed, so that there is something to see.
#[track_caller]
pub fn outlives_ssh<T>(socket: &Path, ssh: &Process, end: impl FnOnce() -> T) -> T {
    signal(ssh.pid, Signal::STOP);
    let begun = Instant::now();
    let watch = || {
        let mut looks = 0;
        loop {
            assert!(begun.elapsed() < SOON, "ssh does not end");
            // In this order: what was closed before ssh was seen to live was closed too early.
            let is_open = UnixStream::connect(socket).is_ok();
            if !lives(ssh) {
                return looks;
            }
            assert!(is_open, "the listener was closed before ssh ended");
            looks += 1;
        }
    };
    std::thread::scope(|scope| {
        let watching = scope.spawn(watch);
        let result = end();
        let looks = watching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(looks > 10, "only {looks} looks were taken");
        result
    })
}

#[test]
fn an_ssh_that_is_not_installed_is_told_and_another_word_for_it_is_enough() {
    let Some((network, sshd)) = machines() else { return };
    let mut client = Client::new(&network, &sshd);
    let mut fault = Fault::begins("ssh not installed");
    client.start(&client.config("", &client.tunnel("ssh = \"/nonexistent/ssh\"")));
    let why = fault.down(&client, "/nonexistent/ssh");
    assert!(why.contains("`/nonexistent/ssh` not found. Is it installed"), "{why}");
    client.reload(&client.with_tunnel()).succeeded();
    fault.up(&client);
    client.wait_fetch();
    client.push("after");
    client.finish();
}

#[test]
fn a_killed_ssh_is_started_again() {
    let Some((network, sshd)) = machines() else { return };
    let mut client = Client::new(&network, &sshd);
    client.start_up(&client.with_tunnel());
    client.push("before");
    let ssh = client.the_ssh();
    let mut fault = Fault::begins("ssh killed (kill -9)");
    signal(ssh.pid, Signal::KILL);
    fault.down(&client, "killed by signal 9");
    // There is nothing to remedy: it comes back by itself.
    fault.up(&client);
    assert!(!client.the_ssh().is_same(&ssh));
    client.push("after");
    client.finish();
}

#[test]
fn with_a_killed_mailknock_dies_ssh_and_the_servers_port_is_free_at_once() {
    let Some((network, sshd)) = machines() else { return };
    let mut client = Client::new(&network, &sshd);
    client.start_up(&client.with_tunnel());
    client.push("before");
    let ssh = client.the_ssh();
    let mut fault = Fault::begins("Mailknock killed (kill -9)");
    client.kill();
    wait_until("the end of ssh", || holds(!lives(&ssh)));
    assert_eq!(network.desktop_processes(), []);
    wait_free(&network, TUNNEL);
    let after = fault.is_down();
    assert!(after < Duration::from_secs(2), "the port was held for {after:?}");
    client.start(&client.with_tunnel());
    fault.up(&client);
    client.wait_fetch();
    client.push("after");
    client.finish();
}

#[test]
fn at_its_end_ssh_goes_first_and_all_is_gone_within_two_seconds() {
    let Some((network, sshd)) = machines() else { return };
    let mut client = Client::new(&network, &sshd);
    client.start_up(&client.with_tunnel());
    client.push("before");
    let mut fault = Fault::begins("Mailknock ended (SIGTERM), started again");
    client.stop();
    wait_free(&network, TUNNEL);
    let after = fault.is_down();
    assert!(after < Duration::from_secs(2), "the end took {after:?}");
    assert_eq!(network.desktop_processes(), []);
    for name in ["push.sock", "tunnel-1.sock"] {
        assert!(!client.runtime(name).exists(), "{name} was left behind");
    }
    client.start(&client.with_tunnel());
    fault.up(&client);
    client.wait_fetch();
    client.push("after");
    let ssh = client.the_ssh();
    let daemon = client.daemon().pid();
    outlives_ssh(&client.runtime("push.sock"), &ssh, || signal(daemon, Signal::TERM));
    client.ended();
    wait_free(&network, TUNNEL);
}

#[test]
fn hostile_words_of_ssh_are_shown_clean_and_short() {
    let Some((network, sshd)) = machines() else { return };
    let mut client = Client::new(&network, &sshd);
    let ssh = client.recipe.home().join("ssh");
    let says = |script: &str| {
        let new = ssh.with_extension("new");
        install_script(&format!("#!/bin/sh\n{script}\nexit 255\n"), &new);
        // In one step: it may just be about to run.
        rename(&new, &ssh).expect("the home is ours");
    };
    let config = client.config("", &client.tunnel(&format!("ssh = \"{}\"", ssh.display())));
    let nasty = r"printf 'nasty \033[31mred \033]0;title\007 \342\200\256live \302\205 \000nul \377\n' >&2";
    let long = |letter| format!("head -c 100000 /dev/zero | tr '\\0' '{letter}' >&2");
    says(&format!("{}; echo >&2; {nasty}", long("A")));
    let mut fault = Fault::begins("a hostile program as ssh");
    client.start(&config);
    let why = fault.down(&client, "nasty");
    assert!(why.contains("live") && why.contains("nul"), "{why}");
    is_fit_to_be_seen(&client, &why);
    let endless = long("B");
    let last = format!("{nasty}; {}; echo >&2", long("C"));
    for (script, words) in [(&endless, "BBBB"), (&last, "CCCC"), (&long("\\342"), "\u{fffd}\u{fffd}")] {
        says(script);
        let why = client.wait_why(words);
        is_fit_to_be_seen(&client, &why);
    }
    client.reload(&client.with_tunnel()).succeeded();
    fault.up(&client);
    client.wait_fetch();
    client.push("after");
    client.finish();
}

#[track_caller]
fn is_fit_to_be_seen(client: &Client, why: &str) {
    let status = client.recipe.command(&["status"]).succeeded().stdout;
    let menu = client.desktop.tray().labels();
    let log = client.daemon().log();
    let texts = [why, &status, &log].into_iter().flat_map(str::lines).chain(menu.iter().map(String::as_str));
    for text in texts {
        let is_bad = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!text.contains(is_bad), "{text:?}");
        assert!(text.chars().count() < 500, "{} characters: {text}", text.chars().count());
    }
}
