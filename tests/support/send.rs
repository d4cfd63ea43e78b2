//! `mailknock send`, started as a mail server's hook starts it.

use std::ffi::{OsStr, OsString};
use std::io::{PipeReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use super::program::{self, Process};
use super::wait::{SOON, wait_at_most};

/// A variable that every process of one start inherits.
const MARK: &str = "TEST_SEND";

/// So many may send in the background at a time, per user. The test that takes all the places takes them alone.
pub static PLACES: RwLock<()> = RwLock::new(());

/// One of those places, for a test that sends something in the background.
pub fn place() -> RwLockReadGuard<'static, ()> {
    PLACES.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What is to be started. Nothing of the tests' own environment reaches it but `PATH`.
#[derive(Clone, Debug)]
pub struct Send {
    program: OsString,
    inside: Vec<OsString>,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

/// How it went.
#[derive(Debug)]
pub struct Sent {
    pub code: Option<i32>,
    pub stderr: String,
    pub elapsed: Duration,
    mark: String,
}

impl Send {
    pub fn new(arguments: &[&str]) -> Send {
        let send = Send {
            program: env!("CARGO_BIN_EXE_mailknock").into(),
            inside: Vec::new(),
            arguments: vec!["send".into()],
            environment: Vec::new(),
        };
        send.args(arguments)
    }

    /// To a listener there.
    pub fn to(url: &str, arguments: &[&str]) -> Send {
        Self::new(&["--url", url]).args(arguments)
    }

    pub fn args(mut self, arguments: &[impl AsRef<OsStr>]) -> Send {
        self.arguments.extend(arguments.iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// In front of everything, the word `send` too.
    pub fn first(mut self, arguments: &[&str]) -> Send {
        self.arguments.splice(0..0, arguments.iter().map(OsString::from));
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Send {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Starts it by another program, which gets it and its arguments behind its own.
    pub fn inside(mut self, words: &[impl AsRef<OsStr>]) -> Send {
        self.inside = words.iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    pub fn program(mut self, program: &Path) -> Send {
        self.program = program.into();
        self
    }

    /// Gives it this to read, to its end: whoever writes it must be able to write all of it.
    #[track_caller]
    pub fn reads(&self, input: &[u8]) -> Sent {
        let (command, mark) = self.command();
        let sent = run(command, mark, Some(input), None);
        assert!(self.is_strict() || sent.code == Some(0), "{sent:?}");
        sent
    }

    /// Gives it something to read that never comes, and never ends.
    #[track_caller]
    pub fn waits(&self) -> Sent {
        let (command, mark) = self.command();
        let sent = run(command, mark, None, None);
        assert!(self.is_strict() || sent.code == Some(0), "{sent:?}");
        sent
    }

    /// As [`Send::reads`], with this for its stderr.
    #[track_caller]
    pub fn reads_and_tells(&self, input: &[u8], stderr: Stdio) -> Sent {
        let (command, mark) = self.command();
        run(command, mark, Some(input), Some(stderr))
    }

    /// Twice side by side: for a mail server, which must hear of no failure, and with `--strict`, for the truth. That
    /// is this exit code.
    #[track_caller]
    pub fn ends(&self, code: i32, input: &[u8]) -> Sent {
        let strict = self.clone().args(&["--strict"]);
        let (plain, strict) = std::thread::scope(|scope| {
            let plain = scope.spawn(|| self.reads(input));
            let strict = strict.reads(input);
            (plain.join().expect("it ends well"), strict)
        });
        assert_eq!((plain.code, strict.code), (Some(0), Some(code)), "{self:?}\n{plain:?}\n{strict:?}");
        strict
    }

    fn is_strict(&self) -> bool {
        self.arguments.iter().any(|argument| argument == "--strict")
    }

    fn command(&self) -> (Command, String) {
        static STARTS: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}.{}", std::process::id(), STARTS.fetch_add(1, Ordering::Relaxed));
        let mut words = self.inside.iter().chain([&self.program]).chain(&self.arguments);
        let mut command = Command::new(words.next().expect("at least the program"));
        command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env(MARK, &mark);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        (command, mark)
    }
}

impl Sent {
    /// What of it still runs, in the background.
    pub fn left(&self) -> Vec<Process> {
        program::started_with(MARK, &self.mark)
    }

    /// Asserts that it was quick, given that a busy machine takes its time to start a program.
    #[track_caller]
    pub fn within(&self, limit: Duration) -> &Sent {
        assert!(self.elapsed < limit, "{self:?}");
        self
    }

    #[track_caller]
    pub fn says(&self, what: &str) -> &Sent {
        assert!(self.stderr.contains(what), "{what:?} is not in {self:?}");
        self
    }
}

/// Runs it to its end, and to the end of its output.
#[track_caller]
fn run(mut command: Command, mark: String, input: Option<&[u8]>, stderr: Option<Stdio>) -> Sent {
    let started = Instant::now();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr.unwrap_or_else(Stdio::piped));
    let mut child = command.spawn().expect("cargo built the program for this test");
    // It holds the other end of what a test gave it.
    drop(command);
    let mut stdin = child.stdin.take();
    let stdout = read(child.stdout.take());
    let stderr = read(child.stderr.take());
    if let Some(input) = input {
        let mut stdin = stdin.take().expect("it is a pipe");
        stdin.write_all(input).expect("it reads to the end");
    }
    let status = wait_at_most(SOON, "its end", String::new, || child.try_wait().expect("it is our child"));
    let stdout = stdout.join().expect("reading doesn't panic");
    let stderr = stderr.join().expect("reading doesn't panic");
    assert_eq!(stdout, "", "a server takes what it prints for an answer");
    let elapsed = started.elapsed();
    Sent { code: status.code(), stderr, elapsed, mark }
}

fn read(stream: Option<impl Read + std::marker::Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A pipe that is full, and that nobody reads while the first is kept.
pub fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(&[b'x'; 64 * 1024]).expect("so much fits in");
    (reader, writer.into())
}
