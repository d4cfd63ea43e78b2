//! Process groups and signals.

mod leash;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::signal::unix::{self, SignalKind};

use super::{Exit, GRACE_AT_EXIT, LOOK_AGAIN, command, describe};

pub use leash::{command as leashed, hold};
pub use std::os::fd::AsFd as AsStream;

/// EMFILE and ENFILE.
pub const TOO_MANY: &[i32] = &[23, 24];

/// Whether we may do everything on this machine.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether we run with the rights of another user than the one who started us.
pub fn is_set_uid() -> bool {
    rustix::process::getuid() != rustix::process::geteuid() || rustix::process::getgid() != rustix::process::getegid()
}

/// Whether a stream takes a line at once.
pub fn takes_at_once(stream: &impl AsStream) -> bool {
    let mut stream = [PollFd::new(stream, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut stream, Some(&at_once)).is_ok_and(|_| stream[0].revents().contains(PollFlags::OUT))
}

/// Waits until a stream that was set not to block can be read.
pub fn wait_for_input(stream: &impl AsStream) -> io::Result<()> {
    poll(&mut [PollFd::new(stream, PollFlags::IN)], None)?;
    Ok(())
}

/// What is handed to the system for a program that is named so.
pub fn program(name: &str) -> &str {
    // The system looks it up, and so stays on the posix_spawn path.
    name
}

/// Nothing that would take the child off the posix_spawn path: a fork costs ten times as much at 64 MiB.
pub fn set_apart(command: &mut Command) {
    command.process_group(0);
}

pub fn spawn_detached(command: &mut Command) -> io::Result<Child> {
    command.spawn()
}

/// Some end the whole process group that a mail had, at its end: what is started here is in none of theirs from its first
/// moment, and where we lead no group, not in their session either.
pub fn spawn_outliving(command: &mut std::process::Command) -> io::Result<std::process::Child> {
    let _ = rustix::process::setsid();
    std::os::unix::process::CommandExt::process_group(command, 0);
    command.spawn()
}

/// Under which names a program may lie there.
pub fn named(path: &Path) -> Vec<PathBuf> {
    vec![path.to_owned()]
}

pub fn is_executable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// There is no such thing here.
pub fn batch_file(_program: &str, _places: &[PathBuf]) -> Option<String> {
    None
}

pub fn exit_of(status: std::process::ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::NotStarted("ended without a status".to_owned()),
    }
}

/// The process group of a child.
pub struct Group {
    id: Option<Pid>,
}

impl Group {
    pub fn of(child: &Child) -> Self {
        Self { id: child.id().and_then(pid) }
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // A group that is gone already is what was wanted.
            let _ = rustix::process::kill_process_group(id, signal);
        }
    }

    /// Whether any of its processes is left.
    pub fn is_alive(&self) -> bool {
        self.id.is_some_and(|id| rustix::process::test_kill_process_group(id).is_ok())
    }

    /// Asks it to end, and says how long to wait for that.
    pub fn terminate(&self, grace: Duration) -> Duration {
        self.signal(Signal::TERM);
        grace
    }

    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// What a program left behind in it may live on.
    pub fn let_go(&self) {}
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

/// Ends a group that an earlier life of ours started.
pub async fn end_earlier(id: u32) {
    let group = Group { id: pid(id) };
    group.signal(Signal::TERM);
    let begun = std::time::Instant::now();
    while group.is_alive() && !is_only_dead(id) && begun.elapsed() < GRACE_AT_EXIT {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    group.kill();
}

/// What the system tells us, from its making on: SIGTERM and SIGINT to stop, SIGHUP to reload.
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    pub async fn next(&mut self) -> super::Signal {
        tokio::select! {
            _ = self.terminate.recv() => super::Signal::Stop,
            _ = self.interrupt.recv() => super::Signal::Stop,
            _ = self.hangup.recv() => super::Signal::Reload,
        }
    }
}

/// Whether all of a group have ended. They stay in it until their parent asks how: for orphans that is the system's
/// first process, and some of those are in no hurry.
#[cfg(target_os = "linux")]
fn is_only_dead(group: u32) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    !processes.flatten().any(|process| {
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let mut fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ');
        let (state, its_group) = (fields.next(), fields.nth(1));
        its_group.and_then(|id| id.parse().ok()) == Some(group) && !matches!(state, Some("Z" | "X"))
    })
}

#[cfg(not(target_os = "linux"))]
fn is_only_dead(_group: u32) -> bool {
    false
}

#[cfg(target_os = "linux")]
pub fn started_at(id: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name may hold blanks and brackets; the start is the 20th field after it (proc(5)).
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
pub fn started_at(_id: u32) -> Option<u64> {
    None
}

/// Empty where the system doesn't say.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// How many processes of our user have this argument and began before us. 0 where the system doesn't say.
#[cfg(target_os = "linux")]
pub fn own_earlier_with(argument: &str) -> usize {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::geteuid().as_raw();
    let us = (started_at(std::process::id()), std::process::id());
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0 };
    let ids = processes.flatten().filter(|process| process.metadata().is_ok_and(|found| found.uid() == user));
    let ids = ids.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    let has_argument = |id: &u32| {
        let words = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    };
    ids.filter(|id| (started_at(*id), *id) < us).filter(has_argument).count()
}

#[cfg(not(target_os = "linux"))]
pub fn own_earlier_with(_argument: &str) -> usize {
    0
}
