//! Sockets and addresses that come, go and move while events come in.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{
    AT_ONCE, EVENT, Permissions, PermissionsExt, fs, holds, listen, place, push, recent, send, start, status, unix,
    wait_until,
};
use crate::support::daemon::Daemon;
use crate::support::http::Request;

#[test]
fn a_reload_adds_and_removes_listeners_and_the_others_lose_nothing() {
    let recipe = Daemon::new();
    let sockets = ["a", "b", "c"].map(|name| place(&recipe).with_file_name(name));
    let [a, b, c] = &sockets;
    let keep = "[history]\nkeep = 100000\n";
    let configure = |addresses: &[&str]| recipe.write_config(&format!("{}{AT_ONCE}{keep}", listen(addresses)));
    configure(&["127.0.0.1:0", &unix(a)]);
    let daemon = start(&recipe);
    let first = daemon.addr();
    let over = AtomicBool::new(false);
    let taken = AtomicUsize::new(0);
    let events = |sending: &dyn Fn() -> u16| {
        while !over.load(Ordering::Relaxed) {
            assert_eq!(sending(), 200);
            taken.fetch_add(1, Ordering::Relaxed);
        }
    };
    let goes_on = || {
        let before = taken.load(Ordering::Relaxed);
        wait_until("more events", || holds(taken.load(Ordering::Relaxed) >= before + 20));
    };
    std::thread::scope(|scope| {
        scope.spawn(|| events(&|| push(a)));
        scope.spawn(|| events(&|| Request::put("/notify").json(EVENT).send(first).status));
        // However the test ends, its threads do.
        let _end = End(&over);
        for addresses in [
            &["127.0.0.1:0", &unix(a), &unix(b)][..],
            &[&unix(b), &unix(a), "127.0.0.1:0"],
            &["127.0.0.1:0", &unix(a), &unix(c), "127.0.0.2:0"],
            &["127.0.0.1:0", &unix(a)],
        ] {
            goes_on();
            configure(addresses);
            recipe.command(&["reload"]).succeeded();
            let listening = status(&recipe)["listening"].clone();
            for (at, wanted) in addresses.iter().enumerate() {
                let host = wanted.trim_end_matches(":0");
                assert!(listening[at].as_str().is_some_and(|url| url.contains(host)), "{listening}");
            }
            assert_eq!(listening.as_array().map(Vec::len), Some(addresses.len()), "{listening}");
            for socket in &sockets {
                let is_wanted = addresses.contains(&unix(socket).as_str());
                wait_until("sockets to come and go", || holds(socket.exists() == is_wanted));
                assert!(!is_wanted || push(socket) == 200);
                taken.fetch_add(usize::from(is_wanted), Ordering::Relaxed);
            }
            goes_on();
        }
        assert_eq!(daemon.addr(), first);
    });
    assert_eq!(recent(&recipe, &["-n", "1000000"]).len(), taken.load(Ordering::Relaxed));
    daemon.stop();
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_move_that_fails_leaves_all_as_it_was() {
    let recipe = Daemon::new();
    let socket = place(&recipe);
    recipe.write_config(&listen(&["127.0.0.1:0", &unix(&socket)]));
    let daemon = start(&recipe);
    let before = status(&recipe)["listening"].clone();
    let open = recipe.path("runtime/open");
    fs::create_dir(&open).expect("the directory is ours");
    recipe.give(&open);
    fs::set_permissions(&open, Permissions::from_mode(0o777)).expect("the directory is ours");
    let new = socket.with_file_name("new");
    recipe.write_config(&listen(&["127.0.0.2:0", &unix(&new), &unix(&open.join("s"))]));
    let why = recipe.command(&["reload"]).ended_with(1).stderr;
    assert!(why.contains(&unix(&open.join("s"))) && why.contains("others can write it"), "{why}");
    assert!(status(&recipe)["problems"][0].as_str().is_some_and(|problem| problem.contains("others can write it")));
    assert_eq!(status(&recipe)["listening"], before);
    wait_until("the new socket to go again", || holds(!new.exists()));
    assert_eq!(push(&socket), 200);
    daemon.push(EVENT).accepted();

    // All of it elsewhere, and back.
    recipe.write_config(&listen(&[&unix(&new)]));
    recipe.command(&["reload"]).succeeded();
    wait_until("the old socket to go", || holds(!socket.exists()));
    let old: SocketAddr = daemon.addr();
    wait_until("the old address to be closed", || TcpStream::connect(old).err());
    assert_eq!(push(&new), 200);
    assert!(send(&socket, &Request::put("/notify").json(EVENT)).is_err());
    recipe.write_config(&listen(&[&unix(&socket)]));
    recipe.command(&["reload"]).succeeded();
    assert_eq!(push(&socket), 200);
    assert_eq!(status(&recipe)["problems"], serde_json::json!([]));
    daemon.stop();
    assert!(!socket.exists() && !new.exists());
}
