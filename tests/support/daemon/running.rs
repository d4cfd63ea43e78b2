//! The program while it runs, and what it leaves behind.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::process::Signal;

use super::{Daemon, MARK};
use crate::support::http::{Request, Response};
use crate::support::output::Output;
use crate::support::program::{self, Process};
use crate::support::wait::{SOON, wait_at_most, wait_until};

/// What the program must do within, from SIGTERM to its end.
const STOP: Duration = Duration::from_secs(5);

/// The program while it runs. Dropping it kills it, by its process id.
pub struct Running {
    recipe: Daemon,
    child: Child,
    stdout: Output,
    stderr: Output,
    url: Option<String>,
    mark: String,
}

/// What a command of the program left behind.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Running {
    pub(super) fn start(recipe: Daemon, command: &mut Command, mark: String) -> Running {
        let mut child = command.spawn().expect("cargo built the program for this test");
        let stdout = Output::read(child.stdout.take().expect("it is a pipe"));
        let stderr = Output::read(child.stderr.take().expect("it is a pipe"));
        Running { recipe, child, stdout, stderr, url: None, mark }
    }

    /// Waits until it says where it listens.
    #[track_caller]
    pub(super) fn wait_for_url(&mut self) {
        let line = self.wait_log("listening on http");
        let url = line.split_whitespace().find(|word| word.starts_with("http"));
        self.url = url.map(str::to_owned);
    }

    /// Where it takes pushes, as it printed it itself.
    #[track_caller]
    pub fn url(&self) -> &str {
        self.url.as_deref().expect("it was started with `start`, which waits for the address")
    }

    #[track_caller]
    pub fn addr(&self) -> SocketAddr {
        let (_, rest) = self.url().split_once("://").expect("it is a URL");
        let authority = rest.split('/').next().unwrap_or_default();
        authority.parse().unwrap_or_else(|_| panic!("`{}` has no numeric address", self.url()))
    }

    /// The path of [`Running::url`].
    #[track_caller]
    pub fn url_path(&self) -> &str {
        let (_, rest) = self.url().split_once("://").expect("it is a URL");
        rest.find('/').map_or("/", |slash| &rest[slash..])
    }

    /// Sends JSON as a mail server does.
    #[track_caller]
    pub fn push(&self, json: &str) -> Response {
        self.request().json(json).send(self.addr())
    }

    /// A push without a body yet, for tests that change something about it.
    #[track_caller]
    pub fn request(&self) -> Request {
        Request::put(self.url_path())
    }

    /// How it was started: its files, and for another start in the same home.
    pub fn recipe(&self) -> &Daemon {
        &self.recipe
    }

    pub fn home(&self) -> PathBuf {
        self.recipe.home()
    }

    /// What it has written on standard error so far.
    pub fn log(&self) -> String {
        self.stderr.text()
    }

    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Waits for a line of the log that contains `text`, from the beginning on, and returns it.
    #[track_caller]
    pub fn wait_log(&mut self, text: &str) -> String {
        self.wait_log_after(0, text)
    }

    /// The number of lines in the log, for [`Running::wait_log_after`].
    pub fn log_length(&self) -> usize {
        self.stderr.lines().len()
    }

    /// [`Running::wait_log`] for what comes after the first `lines` lines.
    #[track_caller]
    pub fn wait_log_after(&mut self, lines: usize, text: &str) -> String {
        let (child, stderr) = (&mut self.child, &self.stderr);
        wait_at_most(
            SOON,
            &format!("`{text}` in the log"),
            || stderr.text(),
            || {
                // Before the search: a line may come between a search in vain and the end.
                let ended = child.try_wait().expect("it is our child").filter(|_| stderr.is_complete());
                let found = stderr.lines().into_iter().skip(lines).find(|line| line.contains(text));
                assert!(found.is_some() || ended.is_none(), "it ended with no `{text}` in the log:\n{}", stderr.text());
                found
            },
        )
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        program::signal(self.pid(), signal);
    }

    /// Says whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its children, theirs, and so on.
    pub fn descendants(&self) -> Vec<Process> {
        program::descendants(self.pid())
    }

    /// Waits for its own end.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        let (child, stderr) = (&mut self.child, &self.stderr);
        let ended = || child.try_wait().expect("it is our child");
        let status = wait_at_most(SOON, "the program to end", || stderr.text(), ended);
        wait_until("the end of its output", || (self.stdout.is_complete() && self.stderr.is_complete()).then_some(()));
        Finished { status, stdout: self.stdout(), stderr: self.log() }
    }

    /// Ends it as a crash or a power cut would, and returns how to start it again.
    pub fn kill(mut self) -> Daemon {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
        self.recipe.clone()
    }

    /// Ends it with SIGTERM and asserts a clean end: soon, with success, nothing at `error` in the log, and no
    /// process of its left behind. Returns what it wrote.
    #[track_caller]
    pub fn stop(self) -> Finished {
        let mark = self.mark.clone();
        let mut left = self.descendants();
        let finished = self.stop_leaving_children();
        // By ancestry and by environment: a process whose parent is gone has no ancestry to be found by.
        let inherited = program::started_with(MARK, &mark);
        let alive = program::processes();
        left.retain(|process| alive.iter().any(|other| other.is_same(process)));
        left.extend(inherited);
        // They are the finding, and must not outlive the test as well.
        for process in &left {
            program::signal(process.pid, Signal::KILL);
        }
        assert!(left.is_empty(), "these processes outlived the program: {left:?}\n{}", finished.stderr);
        finished
    }

    /// [`Running::stop`] where something that it opened for the user lives on.
    #[track_caller]
    pub fn stop_leaving_children(mut self) -> Finished {
        self.signal(Signal::TERM);
        let (child, stderr) = (&mut self.child, &self.stderr);
        let ended = || child.try_wait().expect("it is our child");
        let status = wait_at_most(STOP, "the program to end after SIGTERM", || stderr.text(), ended);
        // What lives on may hold the output open, so its end can't be insisted on; what the program itself wrote is
        // in the pipe already.
        let quiet = std::time::Instant::now() + Duration::from_millis(500);
        while !(self.stdout.is_complete() && self.stderr.is_complete()) && std::time::Instant::now() < quiet {
            std::thread::sleep(Duration::from_millis(2));
        }
        let finished = Finished { status, stdout: self.stdout(), stderr: self.log() };
        assert_eq!(status.code(), Some(0), "it ended with {status}:\n{}", finished.stderr);
        let errors: Vec<_> = finished.stderr.lines().filter(|line| is_error(line)).collect();
        assert!(errors.is_empty(), "errors in the log: {errors:#?}\nthe whole log:\n{}", finished.stderr);
        finished
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() && self.is_alive() {
            eprintln!("---- log of the program ----\n{}", self.log());
        }
        let was_alive = self.is_alive();
        let _ = self.child.kill();
        let _ = self.child.wait();
        // After a failed test nothing may stay. What outlives a proper end is the test's own business.
        if was_alive {
            for process in program::started_with(MARK, &self.mark) {
                program::signal(process.pid, Signal::KILL);
            }
        }
    }
}

impl Finished {
    #[track_caller]
    pub fn succeeded(self) -> Finished {
        self.ended_with(0)
    }

    #[track_caller]
    pub fn ended_with(self, code: i32) -> Finished {
        let Finished { status, stdout, stderr } = &self;
        assert_eq!(status.code(), Some(code), "it ended with {status}\nstdout:\n{stdout}\nstderr:\n{stderr}");
        self
    }
}

/// The level stands in front of the message: as a word of the text form, or as a field of the JSON form. A panic in a
/// task ends only that task, and has no level.
pub fn is_error(line: &str) -> bool {
    let is_panic = line.starts_with("thread '") && line.contains(" panicked at ");
    is_panic || line.split_whitespace().take(2).any(|word| word == "ERROR") || line.contains(r#""level":"ERROR""#)
}
