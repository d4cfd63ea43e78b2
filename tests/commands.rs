//! The command handler with real programs: what they see, when they run, and how they end.

mod environment;
mod timing;
mod endings;

use std::path::PathBuf;

use crate::support::daemon::{Daemon, Running};
use crate::support::wait::{EVENTUALLY, wait_at_most};

/// Runs that follow each other as fast as they can.
pub const NO_LIMIT: &str = "limit_period = \"1ms\"\nlimit_burst = 1000\n";
/// Writes its environment to a file of its own, in one step.
const DUMP: &str = "env -0 > new && mv new \"run-$IMSE_UID\"";

/// A handler that runs this with `/bin/sh`, in the program's home directory.
pub fn handler(keys: &str, script: &str) -> String {
    format!("[[handler]]\n{keys}\ncommand = [\"/bin/sh\", \"-c\", '''{script}''']\n")
}

pub fn start(config: &str) -> Running {
    recipe(config).start()
}

pub fn recipe(config: &str) -> Daemon {
    let log = "[log]\nmax_level = \"debug\"\nlevel = true\n";
    // Top-level keys must stand before the first table.
    let tables = config.find('[').unwrap_or(config.len());
    Daemon::new().config(&format!("{}{log}{}", &config[..tables], &config[tables..]))
}

fn push(daemon: &Running, uid: u32) {
    daemon.push(&format!(r#"{{"user":"me","event":"messageNew","imap-uid":{uid}}}"#)).accepted();
}

/// A file in the home directory once it is there and ends in a whole line.
#[track_caller]
pub fn lines(daemon: &Running, file: &str, count: usize) -> Vec<String> {
    let path = daemon.home().join(file);
    let read = || std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'));
    let enough =
        || read().map(|text| text.lines().map(str::to_owned).collect()).filter(|all: &Vec<_>| all.len() >= count);
    wait_at_most(EVENTUALLY, &format!("{count} lines in {file}"), || daemon.log(), enough)
}

/// The variables of a run that [`DUMP`] wrote.
struct Seen(Vec<(String, String)>);

impl Seen {
    #[track_caller]
    fn of(daemon: &Running, file: &str) -> Seen {
        let path: PathBuf = daemon.home().join(file);
        let bytes = wait_at_most(EVENTUALLY, file, || daemon.log(), || std::fs::read(&path).ok());
        let text = String::from_utf8(bytes).expect("the variables are UTF-8");
        let variables = text.split('\0').filter_map(|variable| variable.split_once('='));
        Seen(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Those that we set, in the order of their names.
    fn ours(&self) -> Vec<(&str, &str)> {
        let mut ours: Vec<_> = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        ours.retain(|(name, _)| name.starts_with("IMSE_"));
        ours.sort_unstable();
        ours
    }
}
