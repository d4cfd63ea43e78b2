//! A real Dovecot 2.3 that pushes to the program under test. It lives in a temporary directory and needs no rights.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Seek, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::program::Program;
use super::wait::{EVENTUALLY, wait_at_most};
use super::{find_program, require, skip};

/// Debian's ids of `nobody` and `nogroup`: Dovecot refuses to handle mail as root.
const NOBODY: u32 = 65534;

/// A running server that takes mail for any user; `alice` has asked for pushes.
pub struct Dovecot {
    // Before the directory, whose files it has open.
    master: Program,
    directory: TempDir,
}

impl Dovecot {
    /// Says whether a Dovecot that this can drive is installed. See [`require`].
    #[must_use]
    pub fn available() -> bool {
        if !require(&["dovecot", "doveadm", "dovecot-lda"]) {
            return false;
        }
        let version = Command::new(program("dovecot")).arg("--version").output().expect("it was found just now");
        let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
        version.starts_with("2.3.") || skip(&format!("Dovecot {version} has another configuration than 2.3"))
    }

    /// A server whose OX driver sends to `push_url`, which may hold a user and a password. In it, `%` begins one of
    /// Dovecot's own variables.
    pub fn start(push_url: &str) -> Dovecot {
        let driver = format!("push_notification_driver = ox:url={push_url} user_from_metadata");
        Self::start_with("notify push_notification", &driver)
    }

    /// A server with these `mail_plugins`, and these lines as its `plugin` block.
    pub fn start_with(mail_plugins: &str, plugin_settings: &str) -> Dovecot {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let top = directory.path();
        let configuration = configuration(top, &Account::current(), mail_plugins, plugin_settings);
        std::fs::write(top.join("dovecot.conf"), configuration).expect("the directory is ours");
        for name in ["run", "state", "mail"] {
            std::fs::create_dir(top.join(name)).expect("the directory is ours");
        }
        if is_root() {
            for path in ["", "run", "state", "mail"].map(|name| top.join(name)) {
                chown(&path, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
            }
            std::fs::set_permissions(top, Permissions::from_mode(0o755)).expect("the directory exists");
        }
        // In the foreground, so that its process is our child. Its output goes to a file: its processes keep it open,
        // and whoever reads the test's output through a pipe would wait for all of them.
        let mut command = as_mail_user("dovecot");
        command.arg("-F").arg("-c").arg(top.join("dovecot.conf"));
        let master = Program::start(&mut command, &top.join("start.log"));
        let dovecot = Dovecot { master, directory };
        dovecot.wait_for_lmtp();
        dovecot.subscribe("alice");
        dovecot
    }

    /// Lets the pushes for a user begin: without this METADATA entry the driver says nothing about the user's mail.
    pub fn subscribe(&self, user: &str) {
        let value = format!("user={user}");
        let key = "/private/vendor/vendor.dovecot/http-notify";
        self.doveadm(&["mailbox", "metadata", "set", "-u", user, "-s", "", key, &value]);
    }

    /// Runs an administrator's command and returns what it prints.
    #[track_caller]
    pub fn doveadm(&self, arguments: &[&str]) -> String {
        let mut command = as_mail_user("doveadm");
        let output = command.arg("-c").arg(self.configuration()).args(arguments).stdin(Stdio::null()).output();
        let output = output.expect("doveadm was found just now");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "doveadm {arguments:?}: {complaint}\n{}", self.log());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Hands over a message as another mail server does. Returns when Dovecot has taken it, by when its push is done.
    #[track_caller]
    pub fn deliver(&self, recipient: &str, message: &[u8]) {
        if let Err(error) = self.lmtp(recipient, &on_the_wire(message)) {
            panic!("failed to deliver to {recipient}: {error}\n{}", self.log());
        }
    }

    /// Hands over a message as a local program does, through `dovecot-lda`.
    #[track_caller]
    pub fn deliver_with_lda(&self, recipient: &str, message: &[u8]) {
        let mut command = as_mail_user("dovecot-lda");
        command.arg("-c").arg(self.configuration()).args(["-d", recipient]);
        // A file that has no name left: the program can't block on us, nor we on it.
        let mut input = tempfile::tempfile().expect("a temporary file");
        input.write_all(message).and_then(|()| input.rewind()).expect("the disk has room");
        let mut delivery = Program::start_reading(input.into(), &mut command, &self.directory.path().join("lda.log"));
        let status = delivery.wait();
        assert!(status.success(), "dovecot-lda ended with {status}: {}\n{}", delivery.log(), self.log());
    }

    /// Dovecot's own log so far.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.directory.path().join("dovecot.log")).unwrap_or_default();
        self.master.log() + &log
    }

    pub fn pid(&self) -> u32 {
        self.master.pid()
    }

    fn configuration(&self) -> PathBuf {
        self.directory.path().join("dovecot.conf")
    }

    fn wait_for_lmtp(&self) {
        // The socket is there before anybody answers it; the greeting says that the service works.
        let greeting = || Lmtp::open(self.directory.path()).and_then(|mut lmtp| lmtp.answer()).ok();
        wait_at_most(EVENTUALLY, "Dovecot to take mail", || self.log(), greeting);
    }

    fn lmtp(&self, recipient: &str, message: &[u8]) -> std::io::Result<()> {
        let mut lmtp = Lmtp::open(self.directory.path())?;
        lmtp.answer()?;
        lmtp.ask(b"LHLO tests\r\n")?;
        lmtp.ask(b"MAIL FROM:<sender@example.org> BODY=8BITMIME\r\n")?;
        lmtp.ask(format!("RCPT TO:<{recipient}>\r\n").as_bytes())?;
        lmtp.ask(b"DATA\r\n")?;
        lmtp.ask(message)?;
        lmtp.ask(b"QUIT\r\n")
    }
}

/// One connection to the mail delivery service (RFC 2033).
struct Lmtp {
    stream: BufReader<UnixStream>,
}

impl Lmtp {
    fn open(directory: &Path) -> std::io::Result<Lmtp> {
        let stream = UnixStream::connect(directory.join("run/lmtp"))?;
        stream.set_read_timeout(Some(EVENTUALLY))?;
        Ok(Lmtp { stream: BufReader::new(stream) })
    }

    fn ask(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)?;
        self.answer()
    }

    fn answer(&mut self) -> std::io::Result<()> {
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            match (line.as_bytes().first(), line.as_bytes().get(3)) {
                (Some(b'2' | b'3'), Some(b'-')) => {}
                (Some(b'2' | b'3'), Some(_)) => return Ok(()),
                _ => {
                    return Err(std::io::Error::other(format!("the server says `{}`", line.trim())));
                }
            }
        }
    }
}

/// The message with the line ends and the doubled leading dots that the protocol wants, and its final dot.
fn on_the_wire(message: &[u8]) -> Vec<u8> {
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    let mut wire = Vec::with_capacity(message.len() + 64);
    for line in message.split(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

/// Whose mail it is: the tests' own user, or where that is root, nobody.
struct Account {
    user: String,
    group: String,
}

impl Account {
    fn current() -> Account {
        if is_root() {
            return Account { user: "nobody".to_owned(), group: "nogroup".to_owned() };
        }
        let name = |what: &str| {
            let output = Command::new("id").arg(what).output().expect("every system has `id`");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        Account { user: name("-un"), group: name("-gn") }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn program(name: &str) -> PathBuf {
    find_program(name).unwrap_or_else(|| PathBuf::from(name))
}

fn as_mail_user(name: &str) -> Command {
    let mut command = Command::new(program(name));
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    // The directory that the tests run in may be closed to nobody.
    command.current_dir("/");
    command
}

fn configuration(top: &Path, account: &Account, mail_plugins: &str, plugin_settings: &str) -> String {
    let (top, Account { user, group }) = (top.display(), account);
    format!(
        "base_dir = {top}/run
state_dir = {top}/state
log_path = {top}/dovecot.log
protocols = lmtp
listen = 127.0.0.1
ssl = no
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
mail_home = {top}/mail/%u
mail_location = sdbox:~/mail
mail_attribute_dict = file:%h/dovecot-attributes
mail_plugins = {mail_plugins}
service anvil {{
  chroot =
}}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={top}/mail/%u allow_all_users=yes
}}
plugin {{
  {plugin_settings}
}}
"
    )
}
