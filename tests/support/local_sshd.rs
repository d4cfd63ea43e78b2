//! A real sshd on loopback, in the mail server's place. It logs in the user who runs the tests.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::json;
use tempfile::TempDir;

use super::daemon::Daemon;
use super::find_program;
use super::program::Program;
use super::wait::{holds, wait_until};

/// What a test of it needs.
pub const PROGRAMS: [&str; 3] = ["ssh", "sshd", "ssh-keygen"];

/// The server, and all that its client needs: a key that is authorized and the host key, which is known.
pub struct LocalSshd {
    key: PathBuf,
    known_hosts: PathBuf,
    address: SocketAddr,
    /// Where the tunnel is to end: nobody else is there.
    pub remote: SocketAddr,
    directory: TempDir,
    _sshd: Program,
}

impl LocalSshd {
    /// The client's files are in the program's home.
    #[track_caller]
    pub fn start(daemon: &Daemon) -> LocalSshd {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| directory.path().join(name);
        let host_key = new_key(&at("host-key"));
        let key = daemon.home().join("ssh-key");
        new_key(&key);
        daemon.give(&key);
        // A directory that sshd wants, and its package makes.
        if rustix::process::geteuid().is_root() {
            std::fs::create_dir_all("/run/sshd").expect("root may make it");
        }
        let ip = own_ip();
        let (address, remote) = (free(ip), free(ip));
        let lines = [
            format!("Port {}\nListenAddress {ip}\nHostKey {}", address.port(), at("host-key").display()),
            format!("AuthorizedKeysFile {}", at("authorized_keys").display()),
            "StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\nLogLevel VERBOSE".to_owned(),
            // Else sshd takes no address of loopback but the first.
            "GatewayPorts clientspecified\n".to_owned(),
        ];
        std::fs::write(at("config"), lines.join("\n")).expect("the directory is ours");
        let mut command = Command::new(find_program("sshd").expect("the test has required it"));
        command.args(["-D", "-e", "-f"]).arg(at("config"));
        let sshd = Program::start(&mut command, &at("log"));
        wait_until("sshd to listen", || holds(sshd.log().contains("Server listening on")));
        let known_hosts = daemon.home().join("known_hosts");
        let host = format!("[{ip}]:{} {host_key}", address.port());
        std::fs::write(&known_hosts, host).expect("the home is ours");
        daemon.give(&known_hosts);
        let server = LocalSshd { key, known_hosts, address, remote, directory, _sshd: sshd };
        server.authorize(&format!("restrict,port-forwarding,permitlisten=\"{remote}\",permitopen=\"{remote}\""));
        server
    }

    /// The key may do what these options of authorized_keys leave it.
    pub fn authorize(&self, options: &str) {
        let options = if options.is_empty() { String::new() } else { format!("{options} ") };
        self.authorize_line(&format!("{options}{}", self.public_key()));
    }

    /// This is all that stands in authorized_keys.
    pub fn authorize_line(&self, line: &str) {
        let file = self.directory.path().join("authorized_keys");
        std::fs::write(file, line).expect("the directory is ours");
    }

    pub fn public_key(&self) -> String {
        std::fs::read_to_string(self.key.with_extension("pub")).expect("it was made with the key")
    }

    /// The client's key: no two servers of the tests have the same.
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// Makes the client forget the host key.
    pub fn be_unknown(&self) {
        std::fs::write(&self.known_hosts, "").expect("the home is ours");
    }

    /// As given to ssh.
    pub fn host(&self) -> String {
        let output = Command::new("id").arg("-un").stdin(Stdio::null()).output().expect("coreutils are everywhere");
        format!("{}@{}", String::from_utf8_lossy(&output.stdout).trim(), self.address.ip())
    }

    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// ssh's arguments in front of the host.
    pub fn options(&self) -> Vec<String> {
        let port = self.address.port().to_string();
        let (key, known) = (self.key.display().to_string(), self.known_hosts.display());
        let known = format!("UserKnownHostsFile={known}");
        ["-p", &port, "-i", &key, "-o", "IdentitiesOnly=yes", "-o", &known].map(str::to_owned).into()
    }

    /// The same for ssh's own configuration, below a `Host`.
    pub fn client_settings(&self) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        let user = self.host();
        let (user, _) = user.split_once('@').expect("it names the user");
        let (key, known) = (self.key.display(), self.known_hosts.display());
        format!("HostName {ip}\nPort {port}\nUser {user}\nIdentityFile {key}\nUserKnownHostsFile {known}\n")
    }

    /// The `[tunnel]` of a configuration, and `[auth]`, without which it is warned of.
    pub fn config(&self) -> String {
        let (host, remote, options) = (json!(self.host()), json!(self.remote), json!(self.options()));
        format!("{AUTH}[tunnel]\nhost = {host}\nremote = {remote}\noptions = {options}\n")
    }
}

pub const AUTH: &str = "[auth]\nuser = \"me\"\npass = \"sesame\"\n";

/// Makes a key without a passphrase; gives its public half.
#[track_caller]
pub fn new_key(file: &Path) -> String {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(file).stdin(Stdio::null());
    let made = command.output().expect("it is installed");
    assert!(made.status.success(), "{made:?}");
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o600)).expect("the file is ours");
    std::fs::read_to_string(file.with_extension("pub")).expect("it was just made")
}

/// One for each server: where all had one in common, a port that is free now could be another test's a moment later.
fn own_ip() -> IpAddr {
    static SERVERS: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 128 | SERVERS.fetch_add(1, Ordering::Relaxed), high, low).into()
}

fn free(ip: IpAddr) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).expect("all of 127.0.0.0/8 is this machine's");
    listener.local_addr().expect("it is bound")
}
