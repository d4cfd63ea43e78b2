//! A machine as a person meets it: on the tests' [`Network`](super::network), with its own name, processes and files.
//!
//! What people change is this machine's alone and goes with it: `/etc`, `/var` and `/usr/local` begin as they are here,
//! `/home`, `/root`, `/run` and `/tmp` empty. The programs are those of this system. So what is printed for people to
//! do can be done to the letter, paths and all.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use super::daemon::Finished;
use super::network::Network;
use super::program::{self, Program, descendants};
use super::{require, skip};

/// What a command of [`Machine::run`] may take, in seconds.
const PATIENCE: &str = "60";

/// The first process of a machine. It is there for the others to end with it; the shell collects those whose parents
/// have ended. $1 is the machine's name, $2 a directory for its files, $3 the program under test, where it has that.
const INIT: &str = r#"
set -eu
hostname "$1"
mount -t tmpfs tmpfs "$2"
for top in etc var usr/local; do
  new=$2/$(basename "$top")
  mkdir -p "$new/upper" "$new/work"
  mount -t overlay overlay -o "lowerdir=/$top,upperdir=$new/upper,workdir=$new/work" "/$top"
done
if [ -n "$3" ]; then
  touch /usr/local/bin/mailknock
  mount --bind "$3" /usr/local/bin/mailknock
fi
mount -t tmpfs -o mode=755 tmpfs /home
mount -t tmpfs -o mode=700 tmpfs /root
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
echo ready
sleep infinity &
wait
"#;

/// The machine. With it end all of its processes.
pub struct Machine {
    name: String,
    init: u32,
    /// Kept up to the end, of the first process.
    _holder: Program,
    directory: TempDir,
}

/// Who does something on a machine.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    Root,
    User(&'a str),
}

impl Machine {
    /// Says whether machines can be made here. See [`require`].
    #[must_use]
    pub fn available() -> bool {
        let overlay = "mount -t tmpfs tmpfs /tmp && mkdir /tmp/u /tmp/w && \
                       mount -t overlay overlay -o lowerdir=/etc,upperdir=/tmp/u,workdir=/tmp/w /etc";
        let unshare = || {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--uts", "--pid", "--fork", "sh", "-c", overlay]);
            command.stdin(Stdio::null()).stderr(Stdio::null()).status()
        };
        Network::available()
            && require(&["nsenter", "setpriv", "mount", "hostname", "timeout"])
            && (unshare().is_ok_and(|status| status.success()) || skip("no file system can be laid over another here"))
    }

    /// One with this name. `inside` are the words that start something at its place of the network.
    #[track_caller]
    pub fn start(name: &str, inside: &[&str]) -> Machine {
        Self::start_with(name, inside, None)
    }

    /// One where this program is installed as `mailknock`, for everybody.
    #[track_caller]
    pub fn start_with(name: &str, inside: &[&str], program: Option<&Path>) -> Machine {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let files = directory.path().join("files");
        std::fs::create_dir(&files).expect("the directory is ours");
        let (first, words) = inside.split_first().expect("at least a program");
        let mut command = Command::new(first);
        command.args(words).args(["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["sh", "-c", INIT, "init", name]).arg(files).arg(program.unwrap_or(Path::new("")));
        let (holder, _ready) = Program::start_and_hear(&mut command, &directory.path().join("log"));
        let init = descendants(holder.pid()).into_iter().next().expect("it said that it is ready").pid;
        Machine { name: name.to_owned(), init, _holder: holder, directory }
    }

    /// Gives it a user with a desktop, whose home may have any name: `useradd` refuses some.
    #[track_caller]
    pub fn add_user(&self, user: &str, home: &str) {
        let (home, runtime) = (shell_words::quote(home), RUNTIME_DIRECTORY);
        let lines = [
            format!("echo {user}:x:{USER_ID}:{USER_ID}::{home}:/bin/sh >>/etc/passwd"),
            format!("echo {user}:x:{USER_ID}: >>/etc/group"),
            format!("install -d -m 700 -o {user} -g {user} {home} {runtime}"),
        ];
        self.run(Who::Root, &lines.join(" && ")).succeeded();
    }

    /// A file of the machine's, as the tests reach it.
    pub fn path(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", self.init).into()
    }

    /// Types a line, to its end, and shows it to those who watch.
    #[track_caller]
    pub fn run(&self, who: Who<'_>, line: &str) -> Finished {
        self.run_reading(who, line, "")
    }

    /// [`Machine::run`] with something to read.
    #[track_caller]
    pub fn run_reading(&self, who: Who<'_>, line: &str, input: &str) -> Finished {
        println!("{} {line}", self.prompt(who));
        // Files, and no pipes: what it leaves running may keep its output open for ever.
        let [input, stdout, stderr] = [input, "", ""].map(file_of);
        let mut command = self.command(who, &["timeout", "--kill-after=5", PATIENCE, "sh", "-c", &from_home(line)]);
        let twin = |file: &File| Stdio::from(file.try_clone().expect("a file can be opened twice"));
        command.stdin(input).stdout(twin(&stdout)).stderr(twin(&stderr));
        let status = command.status().expect("the test has required it");
        let [stdout, stderr] = [stdout, stderr].map(text_of);
        print!("{stdout}{stderr}");
        Finished { status, stdout, stderr }
    }

    /// Starts something that goes on; its log is what it writes to the terminal. It ends with the machine.
    #[track_caller]
    pub fn spawn(&self, who: Who<'_>, line: &str) -> Program {
        println!("{} {line} &", self.prompt(who));
        let (_, log) = tempfile::NamedTempFile::new_in(self.directory.path())
            .and_then(|file| file.keep().map_err(|error| error.error))
            .expect("the directory is ours");
        let line = from_home(&format!("exec {line}"));
        Program::start(&mut self.command(who, &["sh", "-c", &line]), &log)
    }

    /// Writes a file, in the place of one of that name.
    #[track_caller]
    pub fn write(&self, who: Who<'_>, path: &str, mode: u32, text: &str) {
        // With the mode first: nobody reads it in between.
        let path = quoted(path);
        self.run_reading(who, &format!("install -m {mode:o} /dev/null {path} && cat >{path}"), text).succeeded();
    }

    /// Adds text to the end of a file.
    #[track_caller]
    pub fn append(&self, who: Who<'_>, path: &str, text: &str) {
        self.run_reading(who, &format!("cat >>{}", quoted(path)), text).succeeded();
    }

    fn prompt(&self, who: Who<'_>) -> String {
        match who {
            Who::Root => format!("{}#", self.name),
            Who::User(user) => format!("{user}@{}$", self.name),
        }
    }

    /// With the variables of a login, and nothing of the tests'.
    fn command(&self, who: Who<'_>, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--uts", "--net", "--pid", "--target", &self.init.to_string(), "--", "setpriv"]);
        if let Who::User(user) = who {
            command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--init-groups"]);
        }
        command.args(["--reset-env", "--", "env", "LANG=C.UTF-8"]);
        if let Who::User(_) = who {
            // What the desktops' systemd sets, and nothing else.
            command.args([
                &format!("XDG_RUNTIME_DIR={RUNTIME_DIRECTORY}"),
                &format!("DBUS_SESSION_BUS_ADDRESS=unix:path={RUNTIME_DIRECTORY}/bus"),
            ]);
        }
        command.args(words);
        command
    }
}

/// Of the machine's one user with a desktop.
pub const RUNTIME_DIRECTORY: &str = "/run/user/4242";
const USER_ID: u32 = 4242;

impl Drop for Machine {
    fn drop(&mut self) {
        program::signal(self.init, Signal::KILL);
    }
}

/// A file with this text, at its beginning.
fn file_of(text: &str) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(text.as_bytes()).and_then(|()| file.rewind()).expect("the disk has room");
    file
}

fn text_of(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("the file is ours");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A line that is typed in the home directory.
fn from_home(line: &str) -> String {
    format!("cd\n{line}")
}

/// A path for the shell, which is to read a `~` in front.
fn quoted(path: &str) -> String {
    let (home, rest) = match path.strip_prefix('~').and_then(|rest| rest.find('/')) {
        Some(slash) => path.split_at(slash + 2),
        None => ("", path),
    };
    format!("{home}{}", shell_words::quote(rest))
}
