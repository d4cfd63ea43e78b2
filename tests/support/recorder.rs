//! A program for handlers and for `tray.open` that writes down how it was started.

use std::path::PathBuf;

use super::daemon::Daemon;
use super::wait::wait_until;

/// The program writes one line for each start: what the variables say, then its arguments.
pub struct Recorder {
    script: PathBuf,
}

/// One start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// `XDG_ACTIVATION_TOKEN`.
    pub token: String,
    /// `IMSE_TRIGGER` and `IMSE_COUNT`.
    pub trigger: String,
    pub count: String,
    pub arguments: Vec<String>,
}

impl Recorder {
    /// In the program's home, under this name; several can be there.
    pub fn new(daemon: &Daemon, name: &str) -> Recorder {
        Self::write(daemon, name, "")
    }

    /// One that, having written its line, runs on until [`Recorder::release`].
    pub fn held(daemon: &Daemon, name: &str) -> Recorder {
        Self::write(daemon, name, "while [ ! -e \"$0.released\" ]; do sleep 0.01; done\n")
    }

    fn write(daemon: &Daemon, name: &str, end: &str) -> Recorder {
        let script = daemon.home().join(name);
        // One `printf` is one write: starts at the same time don't mix their lines.
        let text = "line=\"$XDG_ACTIVATION_TOKEN|$IMSE_TRIGGER|$IMSE_COUNT\"\n\
            for argument; do line=\"$line|$argument\"; done\n\
            printf '%s\\n' \"$line\" >>\"$0.starts\"\n";
        std::fs::write(&script, format!("{text}{end}")).expect("the home is ours");
        Recorder { script }
    }

    /// The command that starts it with these arguments, as the configuration wants it. By way of the shell: a file
    /// that was written a moment ago can't always be executed yet while other tests start programs.
    pub fn command(&self, arguments: &[&str]) -> String {
        let script = self.script.display().to_string();
        let words = ["/bin/sh", &script].into_iter().chain(arguments.iter().copied());
        serde_json::Value::from_iter(words).to_string()
    }

    pub fn starts(&self) -> Vec<Start> {
        let text = std::fs::read_to_string(self.script.with_extension("starts")).unwrap_or_default();
        text.lines().map(start).collect()
    }

    /// Waits until there have been so many starts, and returns them all.
    #[track_caller]
    pub fn wait_starts(&self, count: usize) -> Vec<Start> {
        let what = format!("start number {count} of {}", self.script.display());
        wait_until(&what, || Some(self.starts()).filter(|starts| starts.len() >= count))
    }

    /// Lets a held one end, and all that follow it.
    pub fn release(&self) {
        std::fs::write(self.script.with_extension("released"), "").expect("the home is ours");
    }
}

fn start(line: &str) -> Start {
    let mut fields = line.split('|').map(str::to_owned);
    let mut next = || fields.next().unwrap_or_default();
    Start { token: next(), trigger: next(), count: next(), arguments: fields.collect() }
}
