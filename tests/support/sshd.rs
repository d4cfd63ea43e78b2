//! A real OpenSSH server on the mail server, with one key that may do nothing but keep the tunnel.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use super::daemon::somebody;
use super::network::{MAIL, Network};
use super::program::{self, Process, Program};
use super::wait::{EVENTUALLY, holds, wait_at_most};
use super::{find_program, require};

/// Where the tunnel ends on the mail server.
pub const TUNNEL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 12525);
/// The server's port.
const PORT: u16 = 2222;
/// Who logs in. Nobody's shell lets nobody in, which a tunnel doesn't mind.
const USER: &str = "nobody";

/// The server. With it end its connections.
pub struct Sshd {
    listener: Option<Program>,
    starts: usize,
    settings: Settings,
    directory: TempDir,
    network: Network,
}

#[derive(Clone, Copy)]
struct Settings {
    /// After so many seconds of silence, so many times, a client is given up.
    alive: (u32, u32),
    forwarding: bool,
}

impl Sshd {
    /// Says whether server and client are installed. See [`require`].
    #[must_use]
    pub fn available() -> bool {
        require(&["sshd", "ssh", "ssh-keygen"])
    }

    /// A server that gives up clients which say nothing for 10 seconds.
    #[track_caller]
    pub fn start(network: &Network) -> Sshd {
        Self::start_alive(network, 5, 2)
    }

    /// A server that asks silent clients every `interval` seconds, and gives them up after `count` questions.
    #[track_caller]
    pub fn start_alive(network: &Network, interval: u32, count: u32) -> Sshd {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // Login reads it as the user.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).expect("the directory is ours");
        let settings = Settings { alive: (interval, count), forwarding: true };
        let mut sshd = Sshd { listener: None, starts: 0, settings, directory, network: network.clone() };
        make_key(&sshd.path("host_key"));
        make_key(&sshd.path("key"));
        chown(sshd.path("key"), somebody(), None).expect("root may give it away");
        sshd.know_host_key();
        sshd.accept_key();
        sshd.start_again();
        sshd
    }

    /// The further words for `ssh`: its port, key and known hosts.
    pub fn options(&self) -> Vec<String> {
        let known_hosts = format!("UserKnownHostsFile={}", self.path("known_hosts").display());
        let key = self.path("key").display().to_string();
        let fixed = ["-o", "IdentitiesOnly=yes", "-o", &known_hosts, "-o", "GlobalKnownHostsFile=/dev/null"];
        let port = PORT.to_string();
        ["-p", &port, "-i", &key].into_iter().chain(fixed).map(str::to_owned).collect()
    }

    /// Where `ssh` is to log in.
    pub fn host(&self) -> String {
        format!("{USER}@{MAIL}")
    }

    /// What it has said so far, over all its starts.
    pub fn log(&self) -> String {
        let read = |start| std::fs::read_to_string(self.log_path(start)).unwrap_or_default();
        (1..=self.starts).map(read).collect()
    }

    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        let what = format!("`{text}` in the log of sshd");
        wait_at_most(EVENTUALLY, &what, || self.log(), || holds(self.log().contains(text)));
    }

    /// The processes that serve connections: two for each.
    pub fn connections(&self) -> Vec<Process> {
        let listener = self.listener.as_ref().map(Program::pid);
        let mut found = self.network.mail_processes();
        found.retain(|process| process.name.starts_with("sshd") && Some(process.pid) != listener);
        found
    }

    // ---- starts and ends

    /// Starts it after one of the ends below, or anew.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.kill_listener_only();
        self.starts += 1;
        std::fs::write(self.path("config"), self.configuration()).expect("the directory is ours");
        make_separation_directory();
        // By its whole name: it starts itself again for each connection.
        let sshd = find_program("sshd").expect("the test asked for it");
        let [ip, words @ ..] = self.network.mail();
        let mut command = Command::new(ip);
        command.args(words).arg(sshd).args(["-D", "-e", "-f"]).arg(self.path("config")).current_dir("/");
        let listener = Program::start(&mut command, &self.log_path(self.starts));
        let listener = self.listener.insert(listener);
        let ready = || holds(listener.log().contains("Server listening on"));
        wait_at_most(EVENTUALLY, "sshd to listen", || listener.log(), ready);
    }

    /// Ends it and its connections, as a reboot does.
    #[track_caller]
    pub fn stop(&mut self) {
        self.kill_listener_only();
        self.end_connections(Signal::TERM);
        wait_at_most(EVENTUALLY, "the connections to end", || self.log(), || holds(self.connections().is_empty()));
    }

    /// Ends what takes new connections, as an upgrade does. Those that are there go on.
    pub fn kill_listener_only(&mut self) {
        self.listener = None;
    }

    fn end_connections(&self, signal: Signal) {
        for process in self.connections() {
            program::signal(process.pid, signal);
        }
    }

    // ---- what goes wrong

    /// The next login fails: the key is no longer welcome.
    pub fn refuse_key(&self) {
        self.replace("authorized_keys", "");
    }

    /// The key may keep the tunnel, and nothing else.
    pub fn accept_key(&self) {
        self.accept_key_for(&[TUNNEL]);
    }

    /// The same for tunnels that end elsewhere on the mail server.
    pub fn accept_key_for(&self, ends: &[SocketAddr]) {
        let allowed = |end| format!("permitlisten=\"{end}\",permitopen=\"{end}\"");
        let allowed: Vec<String> = ends.iter().map(allowed).collect();
        let line = format!("restrict,port-forwarding,{} {}", allowed.join(","), self.public("key"));
        self.replace("authorized_keys", &line);
    }

    /// What the user knows of the server's key.
    pub fn known_hosts(&self) -> String {
        std::fs::read_to_string(self.path("known_hosts")).expect("it was written at the start")
    }

    /// Restarts it with another host key, as after a new installation, or as somebody else in its place.
    #[track_caller]
    pub fn change_host_key(&mut self) {
        self.stop();
        for name in ["host_key", "host_key.pub"] {
            std::fs::remove_file(self.path(name)).expect("the directory is ours");
        }
        make_key(&self.path("host_key"));
        self.start_again();
    }

    /// The user has never been there.
    pub fn forget_host_key(&self) {
        self.replace("known_hosts", "");
    }

    /// The user knows the host key as it is now.
    pub fn know_host_key(&self) {
        self.replace("known_hosts", &format!("[{MAIL}]:{PORT} {}", self.public("host_key")));
    }

    /// Restarts it with a configuration that forbids tunnels.
    #[track_caller]
    pub fn refuse_forwarding(&mut self) {
        self.forward(false);
    }

    /// Restarts it with one that allows them.
    #[track_caller]
    pub fn accept_forwarding(&mut self) {
        self.forward(true);
    }

    #[track_caller]
    fn forward(&mut self, forwarding: bool) {
        self.stop();
        self.settings.forwarding = forwarding;
        self.start_again();
    }

    // ---- files

    fn configuration(&self) -> String {
        let Settings { alive: (interval, count), forwarding } = self.settings;
        let forwarding = if forwarding { "yes" } else { "no" };
        let top = self.directory.path().display();
        format!(
            "ListenAddress {MAIL}
Port {PORT}
HostKey {top}/host_key
AuthorizedKeysFile {top}/authorized_keys
# The keys are in a temporary directory.
StrictModes no
AuthenticationMethods publickey
UsePAM no
PidFile none
LogLevel VERBOSE
AllowTcpForwarding {forwarding}
ClientAliveInterval {interval}
ClientAliveCountMax {count}
"
        )
    }

    fn public(&self, key: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{key}.pub"))).expect("it was made with the key")
    }

    /// In one step: sshd and ssh may read it at any time.
    fn replace(&self, name: &str, text: &str) {
        let new = self.path("new");
        std::fs::write(&new, text).expect("the directory is ours");
        std::fs::rename(&new, self.path(name)).expect("the directory is ours");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn log_path(&self, start: usize) -> PathBuf {
        self.path(&format!("log.{start}"))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill_listener_only();
        self.end_connections(Signal::KILL);
    }
}

/// An Ed25519 key without a passphrase, and its public half beside it.
#[track_caller]
fn make_key(path: &Path) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f"]).arg(path).stdin(Stdio::null());
    let output = command.output().expect("it is installed");
    assert!(output.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&output.stderr));
}

/// Debian's sshd wants an empty directory, which only its service makes.
fn make_separation_directory() {
    std::fs::create_dir_all("/run/sshd").expect("root may make it");
}
