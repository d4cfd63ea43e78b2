//! Programs that a test starts, and what `/proc` says about processes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::wait::{EVENTUALLY, wait_at_most};

/// Puts a copy of a program somewhere.
#[track_caller]
pub fn install(program: &Path, copy: &Path) {
    install_from(program, Stdio::null(), copy);
}

/// Puts a script somewhere, as a program.
#[track_caller]
pub fn install_script(text: &str, program: &Path) {
    let mut input = tempfile::tempfile().expect("there is room");
    input.write_all(text.as_bytes()).and_then(|()| input.rewind()).expect("the file is ours");
    install_from(Path::new("/dev/stdin"), input.into(), program);
}

/// Another process writes it, in one step. What this one has open for writing, a child that another thread is just
/// starting has open too, and a program that somebody has open so can't be run: "Text file busy".
#[track_caller]
fn install_from(source: &Path, input: Stdio, program: &Path) {
    let mut command = Command::new("install");
    command.args(["-m", "755", "-T", "--"]).args([source, program]).stdin(input);
    let done = command.output().expect("it belongs to the basic programs");
    assert!(done.status.success(), "{}: {done:?}", program.display());
}

/// A real program beside the one under test. It ends with this value, by its process id.
///
/// It stays in the test's process group, so that Ctrl-C on a test run ends it too.
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `command` with an empty input; what it prints goes to `log`, never to the test's own output, which
    /// a program that outlives the test would otherwise hold open.
    pub fn start(command: &mut Command, log: &Path) -> Program {
        Self::start_reading(Stdio::null(), command, log)
    }

    /// [`Program::start`] with something to read.
    pub fn start_reading(input: Stdio, command: &mut Command, log: &Path) -> Program {
        let output = File::create(log).expect("the log's directory exists");
        command.stdout(output.try_clone().expect("a file can be opened twice"));
        Self::spawn(command.stdin(input).stderr(output), log)
    }

    /// Starts a program that prints one line on its output when it is ready, and returns that line.
    pub fn start_and_hear(command: &mut Command, log: &Path) -> (Program, String) {
        let output = File::create(log).expect("the log's directory exists");
        let mut program = Self::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(output), log);
        let mut lines = BufReader::new(program.child.stdout.take().expect("the output is a pipe")).lines();
        let (sender, receiver) = mpsc::channel();
        // The thread reads on to the end: a program must not get SIGPIPE for printing more.
        std::thread::spawn(move || {
            while let Some(Ok(line)) = lines.next() {
                let _ = sender.send(line);
            }
        });
        match receiver.recv_timeout(EVENTUALLY) {
            Ok(line) => (program, line),
            Err(_) => panic!("{} printed nothing; its log:\n{}", program.name, program.log()),
        }
    }

    fn spawn(command: &mut Command, log: &Path) -> Program {
        let name = command.get_program().to_string_lossy().into_owned();
        match command.spawn() {
            Ok(child) => Program { name, child, log: log.to_owned() },
            Err(error) => panic!("failed to start `{name}`: {error}. Is it installed? tests/run installs everything"),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits for the program's own end.
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("`{}` to end", self.name);
        let log = self.log.clone();
        let log = || std::fs::read_to_string(log).unwrap_or_default();
        wait_at_most(EVENTUALLY, &what, log, || self.child.try_wait().expect("it is our child"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // First the polite signal: Xvfb and dbus-daemon remove their sockets and locks on it.
        end(&mut self.child, Duration::from_secs(5));
    }
}

/// Ends a child by its id: SIGTERM, and after `grace` SIGKILL. Returns when it is gone.
pub fn end(child: &mut Child, grace: Duration) {
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    signal(child.id(), Signal::TERM);
    // One that a test has stopped hears it only when it goes on.
    signal(child.id(), Signal::CONT);
    let end = Instant::now() + grace;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= end {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a signal to a process that this test started.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    let _ = kill_process(pid, signal);
}

/// A process as `/proc/<pid>/stat` tells it. The start time tells it apart from a later one with the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    pub group: u32,
    pub name: String,
    start_time: u64,
}

impl Process {
    /// Says whether this is the same process, seen at another time: parent and group may have changed since.
    pub fn is_same(&self, other: &Process) -> bool {
        (self.pid, self.start_time) == (other.pid, other.start_time)
    }
}

/// All processes that live; ended ones that only wait to be collected by their parent don't count.
pub fn processes() -> Vec<Process> {
    let directory = std::fs::read_dir("/proc").expect("/proc is mounted");
    let pids = directory.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(process).collect()
}

fn process(pid: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold blanks and parentheses itself.
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let small = |index: usize| u32::try_from(number(index)?).ok();
    let alive = !matches!(*fields.first()?, "Z" | "X");
    alive.then_some(Process {
        pid,
        parent: small(1)?,
        group: small(2)?,
        name: name.to_owned(),
        start_time: number(19)?,
    })
}

/// The children of `pid`, theirs, and so on.
pub fn descendants(pid: u32) -> Vec<Process> {
    let mut by_parent: HashMap<u32, Vec<Process>> = HashMap::new();
    for process in processes() {
        by_parent.entry(process.parent).or_default().push(process);
    }
    let mut found = by_parent.remove(&pid).unwrap_or_default();
    let mut next = 0;
    while let Some(process) = found.get(next) {
        let children = by_parent.remove(&process.pid).unwrap_or_default();
        found.extend(children);
        next += 1;
    }
    found
}

/// The processes that were started with this variable: finds also those whose parents are gone already.
pub fn started_with(variable: &str, value: &str) -> Vec<Process> {
    let wanted = format!("{variable}={value}");
    let matches = |process: &Process| {
        let environment = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    processes().into_iter().filter(matches).collect()
}
