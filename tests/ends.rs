//! The end of the program: at once where somebody insists, and what was opened for the user lives on.

use std::time::{Duration, Instant};

use crate::control::{NO_LIMIT, handler};
use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Signal};
use crate::support::desktop::Desktop;
use crate::support::program;
use crate::support::require;
use crate::support::wait::{holds, wait_until};

#[test]
fn a_second_signal_ends_it_at_once_with_all_that_is_deaf() {
    let deaf = "trap '' TERM INT; sh -c 'trap \"\" TERM INT; : > ready; while :; do sleep 1; done' & wait; wait";
    for second in [Signal::TERM, Signal::INT] {
        let recipe = Daemon::new().config(&handler(NO_LIMIT, deaf));
        let daemon = recipe.start();
        daemon.push(r#"{"user":"me","event":"messageNew"}"#).accepted();
        let ready = recipe.home().join("ready");
        wait_until("the command to run", || holds(ready.exists()));
        let children = daemon.descendants();
        assert!(children.len() >= 2, "{children:?}");
        let address = daemon.addr();
        daemon.signal(Signal::TERM);
        // Once it takes no more connections it has heard the first.
        wait_until("the listener to close", || std::net::TcpStream::connect(address).err());
        let insisted = Instant::now();
        daemon.signal(second);
        daemon.finish().succeeded();
        assert!(insisted.elapsed() < Duration::from_millis(1500), "{:?}", insisted.elapsed());
        wait_until("the children to be gone", || {
            let alive = program::processes();
            holds(!children.iter().any(|child| alive.iter().any(|other| other.is_same(child))))
        });
    }
}

#[test]
fn what_was_opened_for_the_user_lives_on() {
    if !require(&["dbus-daemon"]) {
        return;
    }
    let bus = Bus::start();
    let desktop = Desktop::start(&bus);
    let script = "echo $$ > new; mv new opened; until [ -e go ]; do sleep 0.01; done; : > lived";
    let open = format!("[tray]\nclick = \"open\"\nopen = [\"/bin/sh\", \"-c\", '''cd \"$HOME\"; {script}''']\n");
    let recipe = Daemon::new().bus(&bus).config(&open);
    for insists in [false, true] {
        let at = |name: &str| recipe.home().join(name);
        for name in ["opened", "go", "lived"] {
            let _ = std::fs::remove_file(at(name));
        }
        let daemon = recipe.start();
        desktop.tray().click();
        let opened = wait_until("the mail program", || std::fs::read_to_string(at("opened")).ok());
        if insists {
            daemon.signal(Signal::TERM);
        }
        daemon.stop_leaving_children();
        let pid: u32 = opened.trim().parse().expect("a process id");
        assert!(program::processes().iter().any(|process| process.pid == pid), "it ended with the program");
        std::fs::write(at("go"), "").expect("the home is ours");
        wait_until("what was opened to go on", || holds(at("lived").exists()));
        desktop.wait_tray_empty();
    }
}
