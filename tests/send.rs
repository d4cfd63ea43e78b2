//! `mailknock send` against the running program, and against servers that are none. Whatever happens: nothing on
//! stdout, all of its input read, exit code 0 unless `--strict` asks for another.

mod background;
mod deadline;
mod files;
mod messages;
mod misuse;
mod options;
mod passwords;

use serde_json::Value;

use crate::record::{AT_ONCE, recent};
use crate::support::daemon::{Daemon, Running};

/// Nobody listens there.
pub const NOBODY: &str = "http://127.9.9.9:9/notify";
pub const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"success\":true}";

/// The program, which keeps all that it is told.
pub fn listener() -> Running {
    Daemon::new().config(&format!("[history]\ncontent = \"full\"\n{AT_ONCE}")).start()
}

/// The newest event, without what is new with each.
#[track_caller]
pub fn newest(daemon: &Running) -> Value {
    let mut entry = recent(daemon.recipe(), &["-n", "1"]).remove(0);
    let keys = entry.as_object_mut().expect("an object");
    for key in ["schema", "id", "at", "remote", "deliveries"] {
        keys.remove(key);
    }
    entry
}
