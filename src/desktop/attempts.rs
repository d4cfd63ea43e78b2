//! How long a desktop is waited for, and how often one is looked for that isn't there.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Duration, Instant, sleep_until};

use super::{Availability, DesktopEvent, Request, Wanted};

/// How long another program has to answer.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// After a loss a bus is looked for this often, at growing distance; then only when there is something to show, so that
/// a machine without a desktop is left in peace.
const ATTEMPTS: u32 = 8;
const MIN_BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// When to try again after so many attempts in vain; none when it was often enough.
pub fn next_attempt(attempt: u32, tried_at: Instant) -> Option<Instant> {
    (attempt < ATTEMPTS).then(|| tried_at + MIN_BETWEEN_ATTEMPTS * 2_u32.pow(attempt.saturating_sub(1)))
}

/// Waits until the desktop is worth another try; false when the program stops. What is asked for meanwhile goes to
/// `keep`.
pub async fn wait_for_a_reason(
    requests: &mut UnboundedReceiver<Request>,
    mut keep: impl FnMut(Request),
    attempt: u32,
    tried_at: Instant,
) -> bool {
    let next = next_attempt(attempt, tried_at);
    loop {
        tokio::select! {
            () = sleep_until(next.unwrap_or(tried_at)), if next.is_some() => return true,
            request = requests.recv() => match request {
                None => return false,
                Some(Request::LookAgain) if tried_at.elapsed() >= MIN_BETWEEN_ATTEMPTS => return true,
                Some(request) => keep(request),
            },
        }
    }
}

pub fn report_absent(wanted: Wanted, events: &UnboundedSender<DesktopEvent>, why: &str) {
    // The program drops its end when it stops; then nobody needs to know.
    if wanted.notifications {
        let _ = events.send(DesktopEvent::Notifications(Availability::Absent(why.to_owned())));
    }
    if wanted.tray {
        let _ = events.send(DesktopEvent::Tray(Availability::Absent(why.to_owned())));
    }
}
