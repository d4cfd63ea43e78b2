//! A real Dovecot that pushes to the program under test, with the settings that we recommend. It lives in a temporary
//! directory and needs no rights.

mod configuration;
mod installation;

use std::io::{BufRead, BufReader, Seek, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;

use tempfile::TempDir;

use self::installation::{Account, Installation, Version};
use super::imap::Imap;
use super::program::Program;
use super::wait::{EVENTUALLY, wait_at_most};
use super::{repository_file, skip};

/// The file in Dovecot's directory that holds the address, and its password.
const ADDRESS_FILE: &str = "mailknock.conf.ext";

/// What tells of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Dovecot's own: new mail in the INBOX.
    Ox,
    /// Our script: everything.
    Lua,
    /// Both of them at once.
    Both,
}

/// A running server that takes mail for any user. Of the OX driver, `alice` has asked for pushes.
pub struct Dovecot {
    // Before the directory, whose files it has open.
    master: Program,
    directory: TempDir,
    installation: Installation,
    imap: (String, u16),
}

impl Dovecot {
    /// Says whether a Dovecot that this can drive is installed. See [`super::require`].
    #[must_use]
    pub fn available() -> bool {
        let installation = Installation::current();
        installation.require(&["dovecot", "doveadm", "dovecot-lda", "imap", "lmtp"])
            && (installation.version().is_some() || skip("this Dovecot is neither 2.3 nor 2.4"))
    }

    /// The same for [`Driver::Lua`].
    #[must_use]
    pub fn lua_available() -> bool {
        let installation = Installation::current();
        let has_http = || match installation.version() {
            Some(Version::V2_3(patch)) => patch >= 19 || skip("Lua has no HTTP before Dovecot 2.3.19"),
            _ => true,
        };
        Self::available() && installation.require_lua() && has_http()
    }

    /// A server whose OX driver sends to `push_url`, which may hold a user and a password. In it, `%` begins one of
    /// Dovecot's own variables.
    pub fn start(push_url: &str) -> Dovecot {
        let dovecot = Self::start_with(Driver::Ox, push_url);
        dovecot.subscribe("alice");
        dovecot
    }

    /// A server whose Lua driver runs our script. Without METADATA.
    pub fn start_lua(push_url: &str) -> Dovecot {
        Self::start_with(Driver::Lua, push_url)
    }

    /// A server that tells of `alice` twice: by our script and by the OX driver.
    pub fn start_both(push_url: &str) -> Dovecot {
        let dovecot = Self::start_with(Driver::Both, push_url);
        dovecot.subscribe("alice");
        dovecot
    }

    /// A server with these settings in place of a driver's, in the syntax of 2.3. See [`Dovecot::sieve_available`].
    pub fn start_2_3(settings: &str) -> Dovecot {
        Self::start_by(|_, _| (settings.to_owned(), String::new()))
    }

    /// Says whether this is a Dovecot 2.3 of this system with Sieve. There is nothing to be missed with another.
    #[must_use]
    pub fn sieve_available() -> bool {
        let installation = Installation::current();
        Self::available()
            && matches!(installation.version(), Some(Version::V2_3(_)))
            && installation.is_this_system()
            && installation.require(&["sievec"])
    }

    fn start_with(driver: Driver, push_url: &str) -> Dovecot {
        Self::start_by(|version, top| configuration::of_driver(version, driver, top, push_url))
    }

    /// `settings` says what stands behind the basic ones and in the file with the address.
    fn start_by(settings: impl FnOnce(Version, &Path) -> (String, String)) -> Dovecot {
        let installation = Installation::current();
        let version = installation.version().expect("a version that we know");
        let directory = installation.directory();
        let (top, inside) = (directory.path(), installation.inside(directory.path()));
        let imap = own_address();
        let basic = configuration::basic(version, &inside, &Account::current(), (&imap.0, imap.1));
        let (settings, address) = settings(version, &inside);
        std::fs::write(top.join("dovecot.conf"), basic + &settings).expect("the directory is ours");
        std::fs::write(top.join(ADDRESS_FILE), address).expect("the directory is ours");
        std::fs::copy(repository_file("packaging/dovecot/mailknock.lua"), top.join("mailknock.lua"))
            .expect("the script is in the repository");
        for name in ["run", "state", "mail"] {
            std::fs::create_dir(top.join(name)).expect("the directory is ours");
        }
        Account::take(top, &["run", "state", "mail"]);
        // In the foreground, so that its process is our child. Its output goes to a file: its processes keep it open,
        // and whoever reads the test's output through a pipe would wait for all of them.
        let mut command = installation.command("dovecot");
        command.arg("-F").arg("-c").arg(inside.join("dovecot.conf"));
        let master = Program::start(&mut command, &top.join("start.log"));
        let dovecot = Dovecot { master, directory, installation, imap };
        dovecot.wait_for_lmtp();
        dovecot
    }

    /// A session of a mail program. It has bounds for reading and writing.
    #[track_caller]
    pub fn imap(&self, user: &str) -> Imap {
        let (address, port) = &self.imap;
        Imap::login(&format!("{address}:{port}"), user, "secret")
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
        let mut command = self.installation.command("doveadm");
        let output = command.arg("-c").arg(self.configuration()).args(arguments).stdin(Stdio::null()).output();
        let output = output.expect("doveadm was found just now");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "doveadm {arguments:?}: {complaint}\n{}", self.log());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Hands over a message as another mail server does. Returns when Dovecot has taken it, by when its push is done.
    #[track_caller]
    pub fn deliver(&self, recipient: &str, message: &[u8]) {
        if let Err(error) = deliver_at(&self.lmtp(), recipient, message) {
            panic!("failed to deliver to {recipient}: {error}\n{}", self.log());
        }
    }

    /// Hands over a message as a local program does, through `dovecot-lda`.
    #[track_caller]
    pub fn deliver_with_lda(&self, recipient: &str, message: &[u8]) {
        let mut command = self.installation.command("dovecot-lda");
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
        self.installation.inside(self.directory.path()).join("dovecot.conf")
    }

    fn lmtp(&self) -> PathBuf {
        self.directory.path().join("run/lmtp")
    }

    fn wait_for_lmtp(&self) {
        // The socket is there before anybody answers it; the greeting says that the service works.
        let greeting = || Lmtp::open(&self.lmtp()).and_then(|mut lmtp| lmtp.answer()).ok();
        wait_at_most(EVENTUALLY, "Dovecot to take mail", || self.log(), greeting);
    }
}

/// Hands over a message as a mail server does, by the socket of LMTP.
pub fn deliver_at(socket: &Path, recipient: &str, message: &[u8]) -> std::io::Result<()> {
    let mut lmtp = Lmtp::open(socket)?;
    lmtp.answer()?;
    lmtp.ask(b"LHLO tests\r\n")?;
    lmtp.ask(b"MAIL FROM:<sender@example.org> BODY=8BITMIME\r\n")?;
    lmtp.ask(format!("RCPT TO:<{recipient}>\r\n").as_bytes())?;
    lmtp.ask(b"DATA\r\n")?;
    lmtp.ask(&on_the_wire(message))?;
    lmtp.ask(b"QUIT\r\n")
}

/// One connection to the mail delivery service (RFC 2033).
struct Lmtp {
    stream: BufReader<UnixStream>,
}

impl Lmtp {
    fn open(socket: &Path) -> std::io::Result<Lmtp> {
        let stream = UnixStream::connect(socket)?;
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

/// An address for one server alone: a loopback address that only this process uses, and a port that was free a moment
/// ago; nobody else takes it in between.
fn own_address() -> (String, u16) {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, 64 | (high & 0x3f), middle, low);
    static TAKEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    loop {
        let found = TcpListener::bind((ip, 0)).and_then(|listener| listener.local_addr());
        let port = found.expect("all of 127.0.0.0/8 is this machine's").port();
        let mut taken = TAKEN.lock().expect("nobody panics while holding it");
        if !taken.contains(&port) {
            taken.push(port);
            return (ip.to_string(), port);
        }
    }
}
