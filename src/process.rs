//! Child processes: started in a group of their own, bounded in time, ended as a group, the end of their output kept.

mod group;
mod input;
#[cfg(any(windows, test))]
mod names;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, watch};

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

pub use group::{GroupId, own_earlier_with};
pub use platform::{AsStream, Signals, hold, is_root, is_set_uid, takes_at_once, wait_for_input};

/// How long a group has between the request to end and the end.
const GRACE: Duration = Duration::from_secs(5);
/// At our own end everything must be gone within five seconds.
const GRACE_AT_EXIT: Duration = Duration::from_secs(2);
/// A grandchild may hold the output open for ever; after its parent's end it gets this long to finish a sentence.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// A start that failed for want of processes or files is tried once more after this.
const SECOND_TRY: Duration = Duration::from_secs(1);
/// Nothing tells us when the last of a group ends whose first is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// As long as a timer can be.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// So much of the end of each output is kept.
pub const TAIL_BYTES: usize = 4096;

/// What the system tells a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Stop,
    Reload,
}

/// A program to run, ready but for starting it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The program and its arguments; never empty.
    pub words: Vec<String>,
    /// Variables to set, or to take away.
    pub environment: Vec<(&'static str, Option<OsString>)>,
    pub timeout: Duration,
    /// What the program may read; it need not.
    pub stdin: Vec<u8>,
    /// Whether it is killed when we are, however that happens. Such a one reads nothing.
    pub dies_with_us: bool,
    /// It is ended when its error output says this.
    pub until: Option<&'static str>,
}

impl Job {
    /// Of these words alone, for as long as it takes.
    pub fn new(words: Vec<String>) -> Self {
        Self { words, environment: Vec::new(), timeout: FOREVER, stdin: Vec::new(), dies_with_us: false, until: None }
    }
}

/// How a run of a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    TimedOut(Duration),
    /// Ended by our own end, or once it had said what was waited for.
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
    /// The last 4 KiB of its output, as it printed them.
    pub stdout: String,
    /// The last 4 KiB of its error output.
    pub stderr: String,
    /// Something that it started still holds its output, and lives on for all we know.
    pub left_behind: bool,
}

/// Runs the job to its end; `started` is told its process group. When `stop` turns true, or its sender goes, the whole
/// group is ended.
pub async fn run(job: Job, started: impl FnOnce(GroupId), mut stop: watch::Receiver<bool>) -> Ended {
    let begun = std::time::Instant::now();
    let tails = Tails::default();
    let ended = |exit, left_behind| {
        let (stdout, stderr) = (tails.stdout.text(), tails.stderr.text());
        Ended { exit, elapsed: begun.elapsed(), stdout, stderr, left_behind }
    };
    let mut spawned = spawn(&job);
    if spawned.as_ref().is_err_and(is_passing) {
        // Too many processes or files, for now.
        tokio::select! {
            () = tokio::time::sleep(SECOND_TRY) => {}
            () = async { drop(stop.wait_for(|stop| *stop).await) } => {}
        }
        spawned = spawn(&job);
    }
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return ended(Exit::NotStarted(describe(&job.words[0], &error)), false),
    };
    let group = platform::Group::of(&child);
    if let Some(id) = child.id() {
        started(GroupId::of(id));
    }
    if !job.dies_with_us {
        input::feed(&mut child, job.stdin);
    }
    let output = tokio::spawn(read_output(child.stdout.take(), child.stderr.take(), tails.clone()));
    let mut unfinished = Unfinished(Some(&group));
    let exit = tokio::select! {
        status = child.wait() => match status {
            Ok(status) => platform::exit_of(status),
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
        () = tails.stderr.says(job.until) => {
            end_group(&group, &mut child, GRACE_AT_EXIT).await;
            Exit::Stopped
        }
    };
    unfinished.0 = None;
    group.let_go();
    let reading = output.abort_handle();
    let left_behind = tokio::time::timeout(LAST_WORDS, output).await.is_err();
    reading.abort();
    ended(exit, left_behind)
}

fn spawn(job: &Job) -> io::Result<Child> {
    let mut command = match job.dies_with_us {
        true => platform::leashed(&job.words)?,
        false => command(&job.words),
    };
    for (name, value) in &job.environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if !job.stdin.is_empty() {
        command.stdin(input::readable(&job.stdin)?);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// Whether it may go better in a moment.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ExecutableFileBusy, OutOfMemory, WouldBlock};
    // Too many open files have no kind of their own.
    matches!(error.kind(), WouldBlock | OutOfMemory | ExecutableFileBusy)
        || error.raw_os_error().is_some_and(|number| platform::TOO_MANY.contains(&number))
}

/// Starts a program that outlives us and reads this, all of which is there when it starts. Needs no runtime.
pub fn start_reading(words: &[OsString], input: &[u8]) -> io::Result<()> {
    let mut command = std::process::Command::new(&words[0]);
    command.args(&words[1..]).stdin(input::readable(input)?).stdout(Stdio::null()).stderr(Stdio::null());
    input::feed_all(platform::spawn_outliving(&mut command)?, input);
    Ok(())
}

/// Starts a program that outlives us, and looks no further after it than to take its exit status. Gives its process id.
pub fn start_detached(words: &[String], environment: &[(&str, &str)]) -> Result<Option<u32>, String> {
    let mut command = command(words);
    command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(Stdio::null());
    // Dropping the handle leaves the reaping to the runtime.
    platform::spawn_detached(&mut command).map(|child| child.id()).map_err(|error| describe(&words[0], &error))
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(platform::program(&words[0]));
    command.args(&words[1..]).stdin(Stdio::null());
    platform::set_apart(&mut command);
    command
}

/// Where a program is that is named as in a command; or why it can't be started.
pub fn find(program: &str) -> Result<PathBuf, String> {
    let has_path = program.contains(std::path::is_separator);
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = match has_path {
        true => vec![program.into()],
        false => std::env::split_paths(&directories).map(|directory| directory.join(program)).collect(),
    };
    let mut candidates = places.iter().flat_map(|path| platform::named(path)).filter(|path| path.is_file()).peekable();
    let first = candidates.peek().cloned();
    match (candidates.find(|path| platform::is_executable(path)), first) {
        (Some(path), _) => Ok(path),
        (None, Some(_)) => Err(describe(program, &io::ErrorKind::PermissionDenied.into())),
        (None, None) => Err(match platform::batch_file(program, &places) {
            Some(file) => format!("`{program}` is a batch file here: write `{file}`"),
            None => describe(program, &io::ErrorKind::NotFound.into()),
        }),
    }
}

fn describe(program: &str, error: &io::Error) -> String {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => format!("`{program}` not found. Is it installed, and on PATH or with its whole path?"),
        ErrorKind::PermissionDenied => format!("`{program}` may not be executed. Is its x permission set?"),
        _ => format!("`{program}`: {error}"),
    }
}

/// Asks the group to end, waits, and kills what is left: also a grandchild that outlived its parent.
async fn end_group(group: &platform::Group, child: &mut Child, grace: Duration) {
    let grace = group.terminate(grace);
    let ended = async {
        let _ = child.wait().await;
        // A shell ends at once and leaves the program that it ran in the middle of its last words.
        while group.is_alive() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    // Either it ended, or it will be killed now: the outcome is the same.
    let _ = tokio::time::timeout(grace, ended).await;
    group.kill();
    let _ = child.start_kill();
    let _ = child.wait().await;
}

/// Kills the group of a run that is given up in its middle: nothing of it may outlive us.
struct Unfinished<'a>(Option<&'a platform::Group>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            group.kill();
        }
    }
}

/// The ends of what a child printed.
#[derive(Clone, Default)]
struct Tails {
    stdout: Tail,
    stderr: Tail,
}

/// The end of one stream.
#[derive(Clone, Default)]
struct Tail(Arc<(Mutex<VecDeque<u8>>, Notify)>);

impl Tail {
    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.extend(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        let excess = kept.len().saturating_sub(TAIL_BYTES);
        kept.drain(..excess);
        self.0.1.notify_one();
    }

    /// Resolves when this is in it; never for none.
    async fn says(&self, text: Option<&str>) {
        let Some(text) = text else { return std::future::pending().await };
        while !self.text().contains(text) {
            self.0.1.notified().await;
        }
    }

    fn text(&self) -> String {
        let mut kept = self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    }
}

async fn read_output(stdout: Option<impl AsyncRead + Unpin>, stderr: Option<impl AsyncRead + Unpin>, tails: Tails) {
    tokio::join!(read_all(stdout, &tails.stdout), read_all(stderr, &tails.stderr));
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
    use std::path::Path;

    fn shell(script: &str, timeout: Duration) -> Job {
        Job { timeout, ..Job::new(vec!["/bin/sh".into(), "-c".into(), script.into()]) }
    }

    async fn run_shell(script: &str, timeout: Duration) -> Ended {
        let (_stop, stopped) = watch::channel(false);
        run(shell(script, timeout), |_| {}, stopped).await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn exits_and_output_are_told() {
        let ended = run_shell("echo out; echo err >&2; exit 3", LONG).await;
        assert_eq!(ended.exit, Exit::Code(3));
        assert_eq!((&*ended.stdout, &*ended.stderr), ("out\n", "err\n"));
        assert_eq!(run_shell("kill -9 $$", LONG).await.exit, Exit::Signal(9));
    }

    #[tokio::test]
    async fn only_the_end_of_the_output_is_kept() {
        let ended = run_shell("yes x | head -c 300000; echo the end", LONG).await;
        assert_eq!(ended.exit, Exit::Code(0));
        assert!(ended.stdout.len() <= TAIL_BYTES && ended.stdout.ends_with("the end\n"));
    }

    #[tokio::test]
    async fn one_that_says_what_was_waited_for_is_ended() {
        let (_stop, stopped) = watch::channel(false);
        let job = Job { until: Some("it stands"), ..shell("echo it >&2; echo it stands >&2; sleep 100", LONG) };
        let ended = run(job, |_| {}, stopped).await;
        assert_eq!((ended.exit, &*ended.stderr), (Exit::Stopped, "it\nit stands\n"));
        let (_stop, stopped) = watch::channel(false);
        let job = Job { until: Some("it stands"), ..shell("echo it falls >&2; exit 3", LONG) };
        assert_eq!(run(job, |_| {}, stopped).await.exit, Exit::Code(3));
    }

    #[test]
    fn a_program_is_found_as_it_would_be_started() {
        assert!(find("sh").unwrap().is_absolute());
        assert_eq!(find("/bin/sh").unwrap(), Path::new("/bin/sh"));
        assert!(find("no-such-program").unwrap_err().starts_with("`no-such-program` not found."));
        assert!(find("/bin").is_err(), "a directory is none");
        let plain = tempfile::NamedTempFile::new().unwrap();
        let why = find(&plain.path().display().to_string()).unwrap_err();
        assert!(why.contains("may not be executed"), "{why}");
    }

    #[tokio::test]
    async fn a_missing_program_says_what_to_do() {
        let job = Job::new(vec!["/nonexistent/fdm".into()]);
        let (_stop, stopped) = watch::channel(false);
        let Exit::NotStarted(why) = run(job, |_| {}, stopped).await.exit else { panic!("it started") };
        assert!(why.starts_with("`/nonexistent/fdm` not found."), "{why}");
    }

    #[tokio::test]
    async fn a_grandchild_that_holds_the_output_delays_nothing() {
        let started = std::time::Instant::now();
        let ended = run_shell("sleep 30 & echo $!", LONG).await;
        assert_eq!((ended.exit, ended.left_behind), (Exit::Code(0), true));
        assert!(started.elapsed() < Duration::from_secs(10));
        kill(ended.stdout.trim());
    }

    #[tokio::test]
    async fn at_the_timeout_the_whole_group_ends() {
        let ended = run_shell("sleep 30 & echo $!; wait", Duration::from_millis(300)).await;
        assert_eq!(ended.exit, Exit::TimedOut(Duration::from_millis(300)));
        assert!(!alive(ended.stdout.trim()), "the grandchild outlived the group");
    }

    #[tokio::test]
    async fn what_ignores_the_request_is_killed() {
        let (stop, stopped) = watch::channel(false);
        let ready = std::env::temp_dir().join(format!("mailknock-deaf-{}", std::process::id()));
        let script = format!("trap '' TERM; : > '{}'; while :; do sleep 1; done", ready.display());
        let running = tokio::spawn(run(shell(&script, LONG), |_| {}, stopped));
        while !ready.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        std::fs::remove_file(&ready).unwrap();
        stop.send_replace(true);
        assert_eq!(running.await.unwrap().exit, Exit::Stopped);
    }

    #[tokio::test]
    async fn what_is_on_stdin_can_be_read_or_left() {
        let (_stop, stopped) = watch::channel(false);
        let events = b"{\"a\":1}\n".repeat(50_000);
        let job = Job { stdin: events.clone(), ..shell("wc -c", LONG) };
        assert_eq!(run(job, |_| {}, stopped.clone()).await.stdout.trim(), events.len().to_string());
        let job = Job { stdin: events.clone(), ..shell("exit 0", LONG) };
        assert_eq!(run(job, |_| {}, stopped.clone()).await.exit, Exit::Code(0));
        let job = Job { stdin: events, ..shell("head -c 3; exec <&-; sleep 0.05", LONG) };
        assert_eq!(run(job, |_| {}, stopped).await.exit, Exit::Code(0));
    }

    #[tokio::test]
    async fn a_group_of_an_earlier_life_is_ended_and_no_other() {
        let (_stop, stopped) = watch::channel(false);
        let (tell, group) = tokio::sync::oneshot::channel();
        let running = tokio::spawn(run(shell("sleep 60 & wait", LONG), |group| drop(tell.send(group)), stopped));
        let group = group.await.unwrap();
        let other = GroupId { started: group.started + 1, ..group.clone() };
        other.end().await;
        assert!(alive(&group.id.to_string()), "a number that is somebody else's by now");
        group.end().await;
        assert!(!running.await.unwrap().exit.is_success());
    }

    fn kill(pid: &str) {
        let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is alive");
    }

    fn alive(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A zombie that its new parent hasn't reaped yet is dead.
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    }
}
