//! Two machines on one cable: network namespaces for a mail server and a desktop, with no way to anywhere else. Files,
//! processes and Unix sockets are common to both and to the tests.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::program::{Process, processes};
use super::{find_program, require, skip};

/// The mail server's address on the cable.
pub const MAIL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));
/// The desktop's.
pub const DESKTOP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));

/// The network. It goes with the last of its clones; whoever started something in it ends that before.
#[derive(Clone)]
pub struct Network {
    mail: Arc<Namespace>,
    desktop: Arc<Namespace>,
}

struct Namespace {
    name: String,
    ip: String,
    nft: String,
}

impl Network {
    /// Says whether networks can be made here. See [`require`].
    #[must_use]
    pub fn available() -> bool {
        let possible = || Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
        require(&["ip", "nft", "unshare"])
            && (rustix::process::geteuid().is_root() && possible().is_ok_and(|status| status.success())
                || skip("no network namespace can be made here: root makes them"))
    }

    /// One that works. Its addresses are the same in every network, and its ports are free.
    #[track_caller]
    pub fn new() -> Network {
        static NETWORKS: AtomicU32 = AtomicU32::new(0);
        let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let side = |side| Arc::new(Namespace::new(format!("mailknock-{}-{number}-{side}", std::process::id())));
        let network = Network { mail: side("mail"), desktop: side("desktop") };
        let (mail, desktop) = (&network.mail, &network.desktop);
        mail.ip(&["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", &desktop.name]);
        for (namespace, address) in [(mail, MAIL), (desktop, DESKTOP)] {
            namespace.ip(&["address", "add", &format!("{address}/24"), "dev", "cable"]);
            namespace.ip(&["link", "set", "lo", "up"]);
            namespace.ip(&["link", "set", "cable", "up"]);
        }
        network
    }

    /// The words that start something on the mail server. They become it by `exec`.
    pub fn mail(&self) -> [&str; 4] {
        self.mail.words()
    }

    /// The same for the desktop: `Daemon::inside` wants them.
    pub fn desktop(&self) -> [&str; 4] {
        self.desktop.words()
    }

    /// Does something on the mail server: what it connects, listens on and starts is there, and stays there.
    #[track_caller]
    pub fn in_mail<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        self.mail.enter(action)
    }

    /// The same on the desktop.
    #[track_caller]
    pub fn in_desktop<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        self.desktop.enter(action)
    }

    /// The processes on the mail server, whoever started them.
    pub fn mail_processes(&self) -> Vec<Process> {
        self.mail.processes()
    }

    /// The processes on the desktop.
    pub fn desktop_processes(&self) -> Vec<Process> {
        self.desktop.processes()
    }

    /// Pulls the cable out of the mail server, which both ends notice.
    #[track_caller]
    pub fn cut(&self) {
        self.mail.ip(&["link", "set", "cable", "down"]);
    }

    /// Puts the cable back.
    #[track_caller]
    pub fn restore(&self) {
        self.mail.ip(&["link", "set", "cable", "up"]);
    }

    /// From here on everything that is sent over the cable is lost, and nobody is told. Each side drops what comes in:
    /// dropping what goes out is an error to the one who sends it.
    #[track_caller]
    pub fn drop_all(&self) {
        for namespace in [&self.mail, &self.desktop] {
            namespace.nft(
                "add table inet loss; add chain inet loss input { type filter hook input priority 0 ; }; \
                 add rule inet loss input iifname cable drop",
            );
        }
    }

    /// Ends [`Network::drop_all`].
    #[track_caller]
    pub fn let_through(&self) {
        for namespace in [&self.mail, &self.desktop] {
            namespace.nft("flush ruleset");
        }
    }
}

impl Namespace {
    #[track_caller]
    fn new(name: String) -> Namespace {
        let find = |name| find_program(name).expect("the test asked for it").display().to_string();
        let namespace = Namespace { name, ip: find("ip"), nft: find("nft") };
        run(&[&namespace.ip, "netns", "add", &namespace.name]);
        namespace
    }

    fn words(&self) -> [&str; 4] {
        [&self.ip, "netns", "exec", &self.name]
    }

    #[track_caller]
    fn ip(&self, arguments: &[&str]) {
        run(&[&[&self.ip, "-n", &self.name], arguments].concat());
    }

    #[track_caller]
    fn nft(&self, commands: &str) {
        run(&[&self.words()[..], &[&self.nft, commands]].concat());
    }

    /// A thread can be in another namespace than its process; the sockets, threads and processes that it makes are too.
    #[track_caller]
    fn enter<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        let file = std::fs::File::open(self.path()).expect("the namespace has a name");
        let inside = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter it");
            action()
        };
        // Under the test's name, which skips and panics are told with.
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name(name).spawn_scoped(scope, inside).expect("a thread");
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn processes(&self) -> Vec<Process> {
        let number = |path: &str| std::fs::metadata(path).ok().map(|file| file.ino());
        let ours = number(&self.path()).expect("the namespace has a name");
        let is_inside = |process: &Process| number(&format!("/proc/{}/ns/net", process.pid)) == Some(ours);
        // Threads of the tests aren't in /proc itself, so that these are what was started.
        processes().into_iter().filter(is_inside).collect()
    }

    fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // No panic in a panic. One that stays has an unused name.
        let _ = Command::new(&self.ip).args(["netns", "delete", &self.name]).stdin(Stdio::null()).output();
    }
}

/// Runs a command to its end.
#[track_caller]
fn run(words: &[&str]) {
    let (program, arguments) = words.split_first().expect("at least a program");
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("it is installed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{}` ended with {}: {complaint}", words.join(" "), output.status);
}
