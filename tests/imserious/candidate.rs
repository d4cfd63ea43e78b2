//! One of the two programs, in a home of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Finished, Running};
use crate::support::http::{Request, Response};
use crate::support::wait::{SOON, wait_until};

/// The command of a handler that runs a script of this name, which is in the home directory.
pub const RUN: &str = "command = \"/bin/sh run\"\n";
/// Runs that follow each other as fast as they can.
pub const NO_LIMIT: &str = "limit_period = \"1ms\"\nlimit_burst = 1000\n";

/// A handler for the mail of `me` that runs the script.
pub fn handler(keys: &str) -> String {
    format!("[[handler]]\nuser = \"me\"\n{NO_LIMIT}{keys}{RUN}")
}

/// What Dovecot says about a message for `me`, with further keys.
pub fn event(folder: &str, more: &str) -> String {
    format!(r#"{{"user":"me","event":"messageNew","folder":"{folder}","unseen":1{more}}}"#)
}

pub struct Candidate {
    recipe: Daemon,
    is_imserious: bool,
    address: SocketAddr,
}

impl Candidate {
    pub fn mailknock() -> Candidate {
        Candidate { recipe: Daemon::new(), is_imserious: false, address: free_address() }
    }

    /// None where the environment doesn't say which program it is.
    pub fn imserious() -> Option<Candidate> {
        let program = std::env::var_os("MAILKNOCK_TESTS_IMSERIOUS")?;
        // It is started in another directory.
        let program = Path::new(&program).canonicalize();
        let program = program.unwrap_or_else(|error| panic!("MAILKNOCK_TESTS_IMSERIOUS: {error}"));
        Some(Candidate { recipe: Daemon::new().program(program), is_imserious: true, address: free_address() })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its files.
    pub fn recipe(&self) -> &Daemon {
        &self.recipe
    }

    /// Writes the script that handlers run.
    pub fn script(&self, text: &str) {
        std::fs::write(self.recipe.home().join("run"), text).expect("the home is ours");
    }

    /// What scripts have written into the file `done` so far, in whole lines.
    pub fn done(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.recipe.home().join("done")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    pub fn wait_done(&self, count: usize) -> Vec<String> {
        wait_until(&format!("{count} lines"), || Some(self.done()).filter(|lines| lines.len() >= count))
    }

    #[track_caller]
    pub fn wait_line(&self, wanted: &str) -> Vec<String> {
        wait_until(&format!("the line {wanted}"), || {
            Some(self.done()).filter(|lines| lines.iter().any(|line| line == wanted))
        })
    }

    /// How long to wait for what Mailknock does. What IMSErious hasn't done after this time, by its source it never
    /// does.
    pub fn patience(&self) -> Duration {
        if self.is_imserious { Duration::from_secs(1) } else { SOON }
    }

    /// Says whether it comes to this.
    pub fn comes(&self, mut condition: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + self.patience();
        while !condition() {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    pub fn write_config(&self, config: &str) {
        self.recipe.write_config(&format!("listen = \"{}\"\n{config}", self.address));
    }

    /// What `-t` says about this configuration, which says itself where to listen, if at all.
    #[track_caller]
    pub fn check(&self, config: &str) -> Finished {
        self.recipe.write_config(config);
        self.command(&["-t", "-c", &self.recipe.config_path().display().to_string()])
    }

    /// [`Candidate::check`], in a word.
    #[track_caller]
    pub fn judges(&self, config: &str, when_right: &str) -> String {
        if self.check(config).status.success() { when_right } else { "an error" }.to_owned()
    }

    /// Runs it with these arguments to its end, beside the one that listens.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> Finished {
        self.recipe.command(arguments)
    }

    #[track_caller]
    pub fn start(&self, config: &str) -> Server {
        self.start_as(config, |recipe| recipe).expect("it takes the configuration")
    }

    /// Starts it after a change to how it is started, and waits until it takes connections. What it says instead is
    /// an error.
    #[track_caller]
    pub fn start_as(&self, config: &str, change: impl FnOnce(Daemon) -> Daemon) -> Result<Server, String> {
        self.write_config(config);
        let file = self.recipe.config_path().display().to_string();
        let mut running = change(self.recipe.clone()).args(&["-c", &file]).spawn();
        let listens = wait_until("it to listen or to end", || match TcpStream::connect(self.address) {
            Ok(_) => Some(true),
            Err(_) => (!running.is_alive()).then_some(false),
        });
        if listens {
            return Ok(Server { running, address: self.address, is_imserious: self.is_imserious });
        }
        let finished = running.finish();
        Err(format!("{}{}", finished.stdout, finished.stderr))
    }
}

/// An address for each candidate: where all had one in common, a port that is free now could be another test's a
/// moment later.
fn free_address() -> SocketAddr {
    static CANDIDATES: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, CANDIDATES.fetch_add(1, Ordering::Relaxed), high, low);
    let listener = TcpListener::bind((ip, 0)).expect("all of 127.0.0.0/8 is this machine's");
    listener.local_addr().expect("it is bound")
}

/// A candidate while it runs.
pub struct Server {
    pub running: Running,
    address: SocketAddr,
    is_imserious: bool,
}

impl Server {
    #[track_caller]
    pub fn push(&self, json: &str) -> Response {
        Request::put("/notify").json(json).send(self.address)
    }

    /// What it writes, wherever it writes it.
    pub fn output(&self) -> String {
        format!("{}{}", self.running.stdout(), self.running.log())
    }

    /// Ends it. Only Mailknock promises a clean end.
    #[track_caller]
    pub fn end(self) {
        if !self.is_imserious {
            self.running.stop();
        }
    }
}

/// What became of a request.
pub fn fate(answer: &Response) -> String {
    match answer.status {
        200 => "taken".to_owned(),
        status => format!("refused with {status}"),
    }
}
