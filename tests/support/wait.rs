//! Waiting for something that can be observed. No test sleeps for a guessed time.

use std::time::{Duration, Instant};

/// Bound for our own program and for the fakes: far beyond what they need even on a busy machine.
pub const SOON: Duration = Duration::from_secs(10);
/// Bound for real programs, which load fonts, themes and plugins from a cold disk.
pub const EVENTUALLY: Duration = Duration::from_secs(30);

/// Asks `condition` every few milliseconds until it has an answer; panics with `what` after [`SOON`].
#[track_caller]
pub fn wait_until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_at_most(SOON, what, String::new, condition)
}

/// [`wait_until`] for real programs: gives up after [`EVENTUALLY`].
#[track_caller]
pub fn wait_long<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_at_most(EVENTUALLY, what, String::new, condition)
}

/// [`wait_until`] with its bound, and with a log that the failure shows.
#[track_caller]
pub fn wait_at_most<T>(
    limit: Duration,
    what: &str,
    log: impl FnOnce() -> String,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = condition() {
            return answer;
        }
        if Instant::now() >= end {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let log = log();
    let log = if log.is_empty() { log } else { format!("\n---- log ----\n{log}") };
    panic!("waited {limit:?} in vain for: {what}{log}");
}

/// Some(()) where the condition holds: lets a plain `bool` be waited for.
pub fn holds(condition: bool) -> Option<()> {
    condition.then_some(())
}
