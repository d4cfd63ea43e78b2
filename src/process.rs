//! Child processes: started in a group of their own, bounded in time, ended as a group, the end of their output kept.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// How long a group has between the request to end and the end.
const GRACE: Duration = Duration::from_secs(5);
/// At our own end everything must be gone within five seconds.
const GRACE_AT_EXIT: Duration = Duration::from_secs(2);
/// A grandchild may hold the output open for ever; after its parent's end it gets this long to finish a sentence.
const LAST_WORDS: Duration = Duration::from_millis(500);
const TAIL_BYTES: usize = 4096;

/// A program to run, ready but for starting it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The program and its arguments; never empty.
    pub words: Vec<String>,
    /// Variables to set, or to take away.
    pub environment: Vec<(&'static str, Option<OsString>)>,
    pub timeout: Duration,
}

/// How a run of a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    TimedOut(Duration),
    /// Ended by our own end.
    Stopped,
    NotStarted(String),
}

impl Exit {
    pub fn is_success(&self) -> bool {
        *self == Self::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(0) => f.write_str("done"),
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
            Self::TimedOut(after) => write!(f, "timed out after {}", humantime::format_duration(*after)),
            Self::Stopped => f.write_str("stopped"),
            Self::NotStarted(why) => write!(f, "could not start: {why}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub exit: Exit,
    pub elapsed: Duration,
    /// The last 4 KiB of what it printed, as it printed it.
    pub tail: String,
}

/// Runs the job to its end. When `stop` turns true, or its sender goes, the whole group is ended.
pub async fn run(job: Job, mut stop: watch::Receiver<bool>) -> Ended {
    let started = std::time::Instant::now();
    let tail = Tail::default();
    let ended = |exit| Ended { exit, elapsed: started.elapsed(), tail: tail.text() };
    let mut command = command(&job.words);
    for (name, value) in &job.environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return ended(Exit::NotStarted(describe(&job.words[0], &error))),
    };
    let group = Group::of(&child);
    let output = tokio::spawn(read_output(child.stdout.take(), child.stderr.take(), tail.clone()));
    let exit = tokio::select! {
        status = child.wait() => match status {
            Ok(status) => exit_of(status),
            Err(error) => Exit::NotStarted(error.to_string()),
        },
        () = tokio::time::sleep(job.timeout) => {
            end_group(&group, &mut child, GRACE).await;
            Exit::TimedOut(job.timeout)
        }
        () = async { drop(stop.wait_for(|stop| *stop).await) } => {
            end_group(&group, &mut child, GRACE_AT_EXIT).await;
            Exit::Stopped
        }
    };
    let reading = output.abort_handle();
    if tokio::time::timeout(LAST_WORDS, output).await.is_err() {
        reading.abort();
    }
    ended(exit)
}

/// Starts a program that outlives us, and looks no further after it than to take its exit status.
pub fn start_detached(words: &[String], environment: &[(&str, &str)]) -> Result<(), String> {
    let mut command = command(words);
    command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(Stdio::null());
    // Dropping the handle leaves the reaping to the runtime.
    command.spawn().map(drop).map_err(|error| describe(&words[0], &error))
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    // Nothing that would take the child off the posix_spawn path: a fork costs ten times as much at 64 MiB.
    #[cfg(unix)]
    command.process_group(0);
    command
}

fn describe(program: &str, error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => format!("`{program}` not found. Is it installed, and on PATH or with its whole path?"),
        ErrorKind::PermissionDenied => format!("`{program}` may not be executed. Is its x permission set?"),
        _ => format!("`{program}`: {error}"),
    }
}

#[cfg(unix)]
fn exit_of(status: std::process::ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::NotStarted("ended without a status".to_owned()),
    }
}

#[cfg(not(unix))]
fn exit_of(status: std::process::ExitStatus) -> Exit {
    status.code().map_or_else(|| Exit::NotStarted("ended without a status".to_owned()), Exit::Code)
}

/// Asks the group to end, waits, and kills what is left: also a grandchild that outlived its parent.
async fn end_group(group: &Group, child: &mut Child, grace: Duration) {
    group.terminate();
    // Either it ended, or it will be killed now: the outcome is the same.
    let _ = tokio::time::timeout(grace, child.wait()).await;
    group.kill();
    let _ = child.start_kill();
    let _ = child.wait().await;
}

/// The process group of a child; on Windows the child alone.
struct Group {
    #[cfg(unix)]
    id: Option<rustix::process::Pid>,
}

impl Group {
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        Self { id }
    }

    #[cfg(not(unix))]
    fn of(_child: &Child) -> Self {
        Self {}
    }

    #[cfg(unix)]
    fn signal(&self, signal: rustix::process::Signal) {
        if let Some(id) = self.id {
            // A group that is gone already is what was wanted.
            let _ = rustix::process::kill_process_group(id, signal);
        }
    }

    fn terminate(&self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::TERM);
    }

    fn kill(&self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::KILL);
    }
}

/// The end of what a child printed, on either stream.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.extend(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        let excess = kept.len().saturating_sub(TAIL_BYTES);
        kept.drain(..excess);
    }

    fn text(&self) -> String {
        let mut kept = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    }
}

async fn read_output(stdout: Option<impl AsyncRead + Unpin>, stderr: Option<impl AsyncRead + Unpin>, tail: Tail) {
    tokio::join!(read_all(stdout, &tail), read_all(stderr, &tail));
}

async fn read_all(stream: Option<impl AsyncRead + Unpin>, tail: &Tail) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        tail.push(&buffer[..count]);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> Job {
        Job { words: vec!["/bin/sh".into(), "-c".into(), script.into()], environment: Vec::new(), timeout }
    }

    async fn run_shell(script: &str, timeout: Duration) -> Ended {
        let (_stop, stopped) = watch::channel(false);
        run(shell(script, timeout), stopped).await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn exits_and_output_are_told() {
        let ended = run_shell("echo out; echo err >&2; exit 3", LONG).await;
        assert_eq!(ended.exit, Exit::Code(3));
        assert!(ended.tail.contains("out\n") && ended.tail.contains("err\n"));
        assert_eq!(run_shell("kill -9 $$", LONG).await.exit, Exit::Signal(9));
    }

    #[tokio::test]
    async fn only_the_end_of_the_output_is_kept() {
        let ended = run_shell("yes x | head -c 300000; echo the end", LONG).await;
        assert_eq!(ended.exit, Exit::Code(0));
        assert!(ended.tail.len() <= TAIL_BYTES && ended.tail.ends_with("the end\n"));
    }

    #[tokio::test]
    async fn a_missing_program_says_what_to_do() {
        let job = Job { words: vec!["/nonexistent/fdm".into()], environment: Vec::new(), timeout: LONG };
        let (_stop, stopped) = watch::channel(false);
        let Exit::NotStarted(why) = run(job, stopped).await.exit else { panic!("it started") };
        assert!(why.starts_with("`/nonexistent/fdm` not found."), "{why}");
    }

    #[tokio::test]
    async fn a_grandchild_that_holds_the_output_delays_nothing() {
        let started = std::time::Instant::now();
        let ended = run_shell("sleep 30 & echo $!", LONG).await;
        assert_eq!(ended.exit, Exit::Code(0));
        assert!(started.elapsed() < Duration::from_secs(10));
        kill(ended.tail.trim());
    }

    #[tokio::test]
    async fn at_the_timeout_the_whole_group_ends() {
        let ended = run_shell("sleep 30 & echo $!; wait", Duration::from_millis(300)).await;
        assert_eq!(ended.exit, Exit::TimedOut(Duration::from_millis(300)));
        assert!(!alive(ended.tail.trim()), "the grandchild outlived the group");
    }

    #[tokio::test]
    async fn what_ignores_the_request_is_killed() {
        let (stop, stopped) = watch::channel(false);
        let ready = std::env::temp_dir().join(format!("mailknock-deaf-{}", std::process::id()));
        let script = format!("trap '' TERM; : > '{}'; while :; do sleep 1; done", ready.display());
        let running = tokio::spawn(run(shell(&script, LONG), stopped));
        while !ready.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        std::fs::remove_file(&ready).unwrap();
        stop.send_replace(true);
        assert_eq!(running.await.unwrap().exit, Exit::Stopped);
    }

    fn kill(pid: &str) {
        std::process::Command::new("kill").arg(pid).status().unwrap();
    }

    fn alive(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A zombie that its new parent hasn't reaped yet is dead.
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    }
}
