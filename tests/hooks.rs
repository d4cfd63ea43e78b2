//! Mail servers and delivery programs with what `packaging` says for them: the mail is delivered however the desktop
//! does, and where it can, the desktop hears of it.

mod cyrus;
mod exim;
mod installed;
mod programs;
mod sieve;

use std::time::{Duration, Instant};

use serde_json::Value;

use self::installed::Installed;
use crate::record::{AT_ONCE, recent};
use crate::support::daemon::{Daemon, Running};
use crate::support::peer::Peer;
use crate::support::send::place;
use crate::support::wait::{EVENTUALLY, holds, wait_at_most};

/// What the snippets' password file says.
const AUTH: &str = "[auth]\nuser = \"mailknock\"\npass = \"a-long-random-word\"\n";
/// How long a delivery takes at most, whatever the desktop does, on a busy machine: far less than it is given here.
const DELIVERY: Duration = Duration::from_secs(8);
const DEADLINE: &str = "30s";

/// A server that is set up by our snippet.
trait Server {
    /// What it can say of the message's text.
    const SNIPPET: Option<&'static str> = Some("The text.");
    /// Delivers a message, and fails if that does.
    fn deliver(&self, message: &[u8]);
    /// The text of what was delivered so far.
    fn mailbox(&self) -> String;
    fn log(&self) -> String;
}

fn message(subject: &str) -> Vec<u8> {
    let head = "From: =?utf-8?Q?J=C3=B6rg?= <j@example.org>\nTo: alice@example.org\nMessage-ID: <";
    format!("{head}{subject}@example.org>\nSubject: =?utf-8?Q?{subject}_=C3=BC?=\n\nThe text.\n").into_bytes()
}

fn listener() -> Running {
    Daemon::new().config(&format!("{AUTH}[history]\ncontent = \"full\"\n{AT_ONCE}")).start()
}

/// Waits for the event with this subject.
#[track_caller]
fn wait_event(daemon: &Running, subject: &str, log: impl Fn() -> String) -> Value {
    let of_it = |entry: &Value| entry["subject_text"].as_str().is_some_and(|text| text.starts_with(subject));
    let found = || recent(daemon.recipe(), &["-n", "50"]).into_iter().find(of_it);
    wait_at_most(EVENTUALLY, &format!("the event of {subject}"), log, found)
}

/// Mail comes in while the desktop hears, is down, says nothing, and refuses. `folder` is what the snippet knows of it.
#[track_caller]
fn mail_arrives_whatever_the_desktop_does<S: Server>(
    installed: &Installed,
    server: &S,
    user: &str,
    folder: Option<&str>,
) {
    let _place = place();
    let deliver = |subject: &str, message: &[u8]| {
        let begin = Instant::now();
        server.deliver(message);
        let arrived = || holds(server.mailbox().contains(subject));
        wait_at_most(EVENTUALLY, &format!("the mail {subject}"), || server.log(), arrived);
        begin.elapsed()
    };
    let daemon = listener();
    installed.sends_to(daemon.url());
    deliver("heard", &message("heard"));
    let event = wait_event(&daemon, "heard", || server.log());
    let texts = ["user", "event", "from_name", "subject_text", "snippet"].map(|key| event[key].as_str());
    assert_eq!(texts, [Some(user), Some("MessageNew"), Some("Jörg"), Some("heard ü"), S::SNIPPET]);
    assert_eq!(event["folder"].as_str(), folder);
    let mut great = message("great");
    great.extend(b"Line after line.\n".repeat(200_000));
    deliver("great", &great);
    assert_eq!(wait_event(&daemon, "great", || server.log())["user"], user);
    daemon.stop();

    let down = deliver("down", &message("down"));
    let silent = Peer::silent();
    installed.sends_to(&silent.url());
    let frozen = deliver("frozen", &message("frozen"));
    wait_at_most(EVENTUALLY, "a connection", || server.log(), || holds(silent.connections() > 0));
    let refusing = Peer::answering("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    installed.sends_to(&refusing.url());
    let refused = deliver("refused", &message("refused"));
    refusing.wait_received(1);
    installed.forget();
    let broken = deliver("broken", &message("broken"));
    for took in [down, frozen, refused, broken] {
        assert!(took < DELIVERY, "deliveries took {down:?}, {frozen:?}, {refused:?} and {broken:?}");
    }
    drop(silent);
    // As many as were sent: nothing came back or came twice.
    assert_eq!(server.mailbox().matches("Message-ID: <").count(), 6, "{}", server.mailbox());
    wait_at_most(EVENTUALLY, "the ends of all", String::new, || holds(installed.running().is_empty()));
}
