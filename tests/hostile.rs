//! Senders that are wrong, broken or mean. Whatever they send, the program goes on, answers others promptly, and
//! neither its log nor the terminal shows what they must not.

mod bodies;
mod connections;
mod crowds;
mod strangers;
mod warnings;

use crate::support::daemon::{Daemon, Running};
use crate::support::http::{Connection, Response};
use crate::support::wait::wait_until;

/// In every text of every event here; the log must never show it.
const SECRET: &str = "sesame-4711";
/// All the log can say but content.
const LOG: &str = "[log]\nmax_level = \"debug\"\nlevel = true\n";

fn start(config: &str) -> Running {
    let everything = "[[handler]]\nevent = \"*\"\nlog = \"info\"\n";
    Daemon::new().args(&["run", "--print"]).config(&format!("{config}\n{LOG}{everything}")).start()
}

/// Still at work: an event comes through to the end. Then stops, looks at what was written, and gives what was printed.
#[track_caller]
fn stop_unharmed(daemon: Running) -> String {
    daemon.push(r#"{"user":"me","event":"MessageNew","subject":"marker"}"#).accepted();
    wait_until("the marker", || daemon.stdout().contains("marker").then_some(()));
    let finished = daemon.stop();
    assert!(!finished.stderr.contains(SECRET), "the log shows content:\n{}", finished.stderr);
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    let is_unsafe =
        |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c) || c == '\u{2066}';
    for output in [&finished.stdout, &finished.stderr] {
        assert!(!output.contains(is_unsafe), "written to a terminal: {output:?}");
    }
    finished.stdout
}

/// Sends bytes on a connection of their own.
#[track_caller]
fn send_raw(daemon: &Running, bytes: &[u8]) -> Response {
    let mut connection = Connection::open(daemon.addr());
    connection.send(bytes);
    connection.response()
}

#[track_caller]
fn assert_refused(answer: &Response, status: u16, case: &str) {
    assert_eq!(answer.status, status, "{case}: {}", answer.text());
    assert!(answer.closed, "{case}: the connection stays open");
}
