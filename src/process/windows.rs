//! Job objects, creation flags and console events.

use std::ffi::OsString;
use std::io;
use std::os::windows::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::signal::windows as console;
use win32job::{ExtendedLimitInfo, Job};

use super::{Exit, command, find, names};

pub use std::os::windows::io::AsHandle as AsStream;

pub const TOO_MANY: &[i32] = &[];

/// A program that draws no window of its own gets none for its output either (`CREATE_NO_WINDOW` of winbase.h).
const NO_WINDOW: u32 = 0x0800_0000;
/// Whoever started us in a job of theirs may end that job with us (`CREATE_BREAKAWAY_FROM_JOB`).
const BREAKAWAY: u32 = 0x0100_0000;

/// Not looked at: there is no user who may do everything by being that user.
pub fn is_root() -> bool {
    false
}

pub fn is_set_uid() -> bool {
    false
}

/// A stream can't be asked here.
pub fn takes_at_once(_stream: &impl AsStream) -> bool {
    true
}

/// None is set not to block here.
pub fn wait_for_input(_stream: &impl AsStream) -> io::Result<()> {
    Ok(())
}

/// What is handed to the system for a program that is named so: the file that [`find`] finds, so that nothing in the
/// working directory is taken for it, and no batch file unless it is named as one. Where it is one the standard library
/// quotes its arguments for `cmd.exe`, and refuses to start it with those that can't be quoted.
pub fn program(name: &str) -> OsString {
    find(name).map_or_else(|_| name.into(), PathBuf::into_os_string)
}

pub fn set_apart(command: &mut Command) {
    command.creation_flags(NO_WINDOW);
}

pub fn leashed(words: &[String]) -> io::Result<Command> {
    // Its job ends with us however we end.
    let mut command = command(words);
    command.kill_on_drop(true);
    Ok(command)
}

pub fn hold(_parent: u32, _words: &[String]) -> Result<u8, String> {
    Err("nothing needs this here".to_owned())
}

pub fn spawn_detached(command: &mut Command) -> io::Result<Child> {
    breaking_away(|flags| command.creation_flags(flags).spawn())
}

pub fn spawn_outliving(command: &mut std::process::Command) -> io::Result<std::process::Child> {
    breaking_away(|flags| command.creation_flags(flags).spawn())
}

/// Not every job that we are in lets anything out.
fn breaking_away<T>(mut spawn: impl FnMut(u32) -> io::Result<T>) -> io::Result<T> {
    match spawn(NO_WINDOW | BREAKAWAY) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => spawn(NO_WINDOW),
        started => started,
    }
}

pub fn named(path: &Path) -> Vec<PathBuf> {
    names::named(path, std::env::var("PATHEXT").ok().as_deref())
}

pub fn is_executable(_path: &Path) -> bool {
    true
}

/// The batch file that is there under this name.
pub fn batch_file(program: &str, candidates: &[PathBuf]) -> Option<String> {
    let is_there = |ending: &str| candidates.iter().any(|path| names::with_ending(path, ending).is_file());
    names::BATCH_FILES.into_iter().find(|ending| is_there(ending)).map(|ending| format!("{program}{ending}"))
}

pub fn exit_of(status: std::process::ExitStatus) -> Exit {
    status.code().map_or_else(|| Exit::NotStarted("ended without a status".to_owned()), Exit::Code)
}

/// The job that a child and all that it starts are in. The system ends them when the job's only handle is closed, which
/// it is when we are gone.
pub struct Group {
    job: Mutex<Option<Job>>,
}

impl Group {
    /// Within microseconds of the start, long before the child has started anything.
    pub fn of(child: &Child) -> Self {
        let job = child.raw_handle().and_then(|handle| match job_of(handle as isize) {
            Ok(job) => Some(job),
            Err(error) => {
                // One that has ended already can't be put into a job, and needs none.
                tracing::debug!("a command runs outside of a job: {error}");
                None
            }
        });
        Self { job: Mutex::new(job) }
    }

    fn job(&self) -> std::sync::MutexGuard<'_, Option<Job>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any of its processes is left.
    pub fn is_alive(&self) -> bool {
        let processes = self.job().as_ref().and_then(|job| job.query_process_id_list().ok());
        processes.is_some_and(|processes| !processes.is_empty())
    }

    /// There is no SIGTERM: a program with windows could be asked by a message to them, one in a console of ours by an
    /// event of that; ours have neither. So there is nothing to wait for, and what ends a run is [`Group::kill`].
    pub fn terminate(&self, _grace: Duration) -> Duration {
        Duration::ZERO
    }

    pub fn kill(&self) {
        // Closes the handle.
        drop(self.job().take());
    }

    /// What a program left behind in it may live on.
    pub fn let_go(&self) {
        if let Some(job) = self.job().take()
            && let Err(error) = job.set_extended_limit_info(&ExtendedLimitInfo::new())
        {
            tracing::debug!("what a command left behind ends with it: {error}");
        }
    }
}

fn job_of(process: isize) -> Result<Job, win32job::JobError> {
    let mut limits = ExtendedLimitInfo::new();
    limits.limit_kill_on_job_close();
    let job = Job::create_with_limit_info(&limits)?;
    job.assign_process(process)?;
    Ok(job)
}

/// Nothing outlives us that would have to be told apart.
pub fn started_at(_id: u32) -> Option<u64> {
    None
}

pub fn boot_id() -> String {
    String::new()
}

pub async fn end_earlier(_id: u32) {}

pub fn own_earlier_with(_argument: &str) -> usize {
    0
}

/// What the console tells us, from its making on, and the system at the end of a session; always to stop. Where we have
/// no console nothing is told, and the tray's *Quit* remains.
pub struct Signals {
    c: console::CtrlC,
    r#break: console::CtrlBreak,
    close: console::CtrlClose,
    logoff: console::CtrlLogoff,
    shutdown: console::CtrlShutdown,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            c: console::ctrl_c()?,
            r#break: console::ctrl_break()?,
            close: console::ctrl_close()?,
            logoff: console::ctrl_logoff()?,
            shutdown: console::ctrl_shutdown()?,
        })
    }

    pub async fn next(&mut self) -> super::Signal {
        tokio::select! {
            _ = self.c.recv() => {}
            _ = self.r#break.recv() => {}
            _ = self.close.recv() => {}
            _ = self.logoff.recv() => {}
            _ = self.shutdown.recv() => {}
        }
        super::Signal::Stop
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    const LONG: Duration = Duration::from_secs(60);

    async fn run_words(words: &[&str], timeout: Duration) -> Ended {
        let (_stop, stopped) = watch::channel(false);
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        run(Job { timeout, ..Job::new(words) }, |_| {}, stopped).await
    }

    /// A batch file of this test's own, in a directory whose name has a blank and is not ASCII.
    fn batch_file(text: &str) -> (tempfile::TempDir, String) {
        let directory = tempfile::Builder::new().prefix("a b ü").tempdir().expect("a temporary directory");
        let file = directory.path().join("run it.cmd");
        std::fs::write(&file, text).expect("the directory is ours");
        let name = file.display().to_string();
        (directory, name)
    }

    #[tokio::test]
    async fn exits_and_output_are_told() {
        let ended = run_words(&["cmd", "/c", "echo out& exit 3"], LONG).await;
        assert_eq!((ended.exit, ended.stdout.trim()), (Exit::Code(3), "out"));
        let Exit::NotStarted(why) = run_words(&["no-such-program"], LONG).await.exit else { panic!("it started") };
        assert!(why.starts_with("`no-such-program` not found."), "{why}");
    }

    #[test]
    fn a_program_is_found_as_it_would_be_started() {
        assert!(find("cmd").unwrap().is_absolute());
        let (_directory, name) = batch_file("");
        assert_eq!(find(&name).unwrap(), PathBuf::from(&name));
        let why = find(name.strip_suffix(".cmd").unwrap()).unwrap_err();
        assert!(why.contains("is a batch file") && why.contains("run it.cmd`"), "{why}");
    }

    #[tokio::test]
    async fn a_batch_file_is_run_with_its_arguments_as_they_are() {
        let (_directory, name) = batch_file("@echo off\r\necho %1\r\n");
        let ended = run_words(&[&name, "a & echo b"], LONG).await;
        assert_eq!((ended.exit, ended.stdout.trim()), (Exit::Code(0), "\"a & echo b\""));
    }

    #[tokio::test]
    async fn what_is_on_stdin_can_be_read_or_left() {
        let (_stop, stopped) = watch::channel(false);
        let words = |line: &str| ["cmd", "/v:on", "/c", line].map(str::to_owned).to_vec();
        let job = Job { stdin: b"two\r\n".to_vec(), ..Job::new(words("set /p line=&echo one !line!")) };
        let said = run(job, |_| {}, stopped.clone()).await.stdout;
        assert!(said.starts_with("one two"), "{said:?}");
        let job = Job { stdin: b"x".repeat(1_000_000), ..Job::new(words("exit 0")) };
        assert_eq!(run(job, |_| {}, stopped).await.exit, Exit::Code(0));
    }

    #[tokio::test]
    async fn at_the_timeout_the_whole_tree_ends() {
        // One that outlived the other would hold its output.
        let ended = run_words(&["cmd", "/c", "ping -n 60 127.0.0.1 & rem"], Duration::from_secs(1)).await;
        assert_eq!((ended.exit, ended.left_behind), (Exit::TimedOut(Duration::from_secs(1)), false));
        assert!(ended.elapsed < LONG, "{:?}", ended.elapsed);
    }
}
