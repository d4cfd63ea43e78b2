//! The program under test, in a home of its own.

mod running;

pub use running::{Finished, Running, is_error};
pub use rustix::process::Signal;

use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::bus::Bus;
use super::logind::Logind;
use super::real_desktop::RealDesktop;

/// A variable that each start sets to another value, and that every process inherits from it.
const MARK: &str = "TEST_RUN";

/// How the program is to be started. Starting twice uses the same home, so a second start finds what the first left.
#[derive(Clone)]
pub struct Daemon {
    directory: Arc<TempDir>,
    program: OsString,
    command: Vec<OsString>,
    inside: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Daemon {
    /// With the default configuration, on a free port, with no bus and no display.
    pub fn new() -> Daemon {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let top = directory.path();
        for name in ["home", "config", "data", "state", "cache", "runtime", "temporary"] {
            std::fs::create_dir(top.join(name)).expect("the directory is new and ours");
        }
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(top.join("runtime"), private).expect("the directory is ours");
        let daemon = Daemon {
            directory: Arc::new(directory),
            program: env!("CARGO_BIN_EXE_mailknock").into(),
            command: vec!["run".into()],
            inside: Vec::new(),
            environment: Vec::new(),
        };
        for name in ["", "home", "config", "data", "state", "cache", "runtime", "temporary"] {
            daemon.give(&daemon.path(name));
        }
        let no_bus = format!("unix:path={}", daemon.path("runtime/no-bus").display());
        // The machine's own system bus would tell it of the machine's sleep.
        daemon.env("DBUS_SESSION_BUS_ADDRESS", &no_bus).env("DBUS_SYSTEM_BUS_ADDRESS", &no_bus).config("")
    }

    /// On a private bus.
    pub fn bus(self, bus: &Bus) -> Daemon {
        self.env("DBUS_SESSION_BUS_ADDRESS", bus.address())
    }

    /// On a machine that is put to sleep by this logind.
    pub fn logind(self, logind: &Logind) -> Daemon {
        self.env("DBUS_SYSTEM_BUS_ADDRESS", logind.bus().address())
    }

    /// On a real desktop, with its display.
    pub fn on(desktop: &RealDesktop) -> Daemon {
        desktop.environment().into_iter().fold(Self::new(), |daemon, (name, value)| daemon.env(name, value))
    }

    /// Writes the configuration file. Where `text` doesn't say what to listen on, that is a free port; with a tunnel, the
    /// program's own choice.
    pub fn config(self, text: &str) -> Daemon {
        self.write_config(text);
        self
    }

    /// Another program in Mailknock's place.
    pub fn program(mut self, program: impl Into<OsString>) -> Daemon {
        self.program = program.into();
        self
    }

    /// The subcommand and its arguments, instead of `run`.
    pub fn args(mut self, arguments: &[&str]) -> Daemon {
        self.command = arguments.iter().map(OsString::from).collect();
        self
    }

    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Daemon {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts it by another program, which gets it and its arguments behind its own and must become it by `exec`.
    pub fn inside(mut self, words: &[&str]) -> Daemon {
        self.inside = words.iter().map(OsString::from).collect();
        self
    }

    /// The program's `HOME`.
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// Something below the directory that holds all of the program's files: `home`, `config`, `data`, `state`,
    /// `cache`, `runtime`.
    pub fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    pub fn config_path(&self) -> PathBuf {
        self.path("config/mailknock/config.toml")
    }

    /// Replaces the configuration file in one step, as editors do.
    pub fn write_config(&self, text: &str) {
        let is_said_by = |line: &str| ["listen", "[tunnel]", "[[tunnel]]"].iter().any(|word| line.starts_with(word));
        let says_where = text.lines().any(|line| is_said_by(line.trim_start()));
        // In front: after a table's head it would belong to that table.
        let listen = if says_where { "" } else { "listen = \"127.0.0.1:0\"\n" };
        // Without the level an error in the log can't be told from anything else.
        let log = if text.contains("[log]") { "" } else { "\n[log]\nlevel = true\n" };
        let path = self.config_path();
        std::fs::create_dir_all(path.parent().expect("it is in a directory")).expect("the directory is ours");
        let new = path.with_extension("new");
        std::fs::write(&new, format!("{listen}{text}{log}")).expect("the directory is ours");
        std::fs::rename(&new, &path).expect("the directory is ours");
    }

    /// Starts the program and waits until it says on which address it listens.
    #[track_caller]
    pub fn start(&self) -> Running {
        let mut running = self.spawn();
        running.wait_for_url();
        running
    }

    /// Starts the program without waiting for anything.
    pub fn spawn(&self) -> Running {
        static STARTS: AtomicU32 = AtomicU32::new(0);
        let start = STARTS.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}.{start}", std::process::id());
        let mut command = self.prepare(&self.command);
        command.env(MARK, &mark);
        Running::start(self.clone(), &mut command, mark)
    }

    /// Runs another command of the program in the same home, to its end.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> Finished {
        self.clone().args(arguments).spawn().finish()
    }

    /// Makes something the program's own.
    pub fn give(&self, path: &Path) {
        if let Some(user) = somebody() {
            chown(path, Some(user), Some(user)).expect("root may give it away");
        }
    }

    fn prepare(&self, arguments: &[OsString]) -> Command {
        let user: Vec<OsString> = somebody().into_iter().flat_map(become_user).collect();
        let mut words = self.inside.iter().chain(&user).chain([&self.program]).chain(arguments);
        let mut command = Command::new(words.next().expect("at least the program"));
        // Nothing of the developer's own session may reach it: neither bus, nor display, nor files.
        command.args(words).env_clear().current_dir(self.home());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C.UTF-8");
        command.env("RUST_BACKTRACE", "1").env("HOME", self.home()).env("TMPDIR", self.path("temporary"));
        for (name, below) in [
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_RUNTIME_DIR", "runtime"),
        ] {
            command.env(name, self.path(below));
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// Whose program it is where the tests run as root, which nobody reads mail as.
pub fn somebody() -> Option<u32> {
    rustix::process::geteuid().is_root().then_some(SOMEBODY)
}

/// `nobody`: the bus turns away users that have no name.
const SOMEBODY: u32 = 65_534;

/// The words that become this user and then whatever stands behind them. It may go where root may: what a test prepares
/// and where the program was built is root's.
fn become_user(user: u32) -> Vec<OsString> {
    let everywhere = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"].map(OsString::from);
    let identity = [format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".into()].map(OsString::from);
    [OsString::from("setpriv")].into_iter().chain(identity).chain(everywhere).collect()
}
