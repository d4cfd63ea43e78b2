//! The desktop over D-Bus, on one thread: our own connection for notifications, ksni's for the tray icon.
//!
//! One life of the connection is a session; it ends with the bus, and a new one begins when there is a bus again.
//! Every call to another program has a deadline: a frozen panel or notification service holds up nothing but itself.
//! Sleep and a session's locks are told on the system bus, and have a connection of their own.

mod disturb;
mod lock;
mod logind;
mod notifications;
mod say;
mod scope;
mod session;
mod survey;
mod tray;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use zbus::Connection;
use zbus::fdo::DBusProxy;
use zbus::names::OwnedUniqueName;

use super::menu::TrayView;
use super::{Availability, DesktopEvent, Request, Wanted};
use lock::Lock;
use session::{Ended, Session};

pub use logind::power;
pub use say::say;
pub use survey::survey;

/// How long another program has to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a loss a bus is looked for this often, at growing distance; then only when there is something to show, so that
/// a machine without a desktop is left in peace.
const ATTEMPTS: u32 = 8;
const MIN_BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// What is wanted for longer than a bus may live.
#[derive(Default)]
struct Wishes {
    /// The last one of the tray.
    view: Option<TrayView>,
    lock: Lock,
}

impl Wishes {
    /// Remembers what can be remembered where nothing can be done yet; the rest would come too late.
    fn keep(&mut self, request: Request) {
        match request {
            Request::Tray(newer) => self.view = Some(newer),
            Request::HideTray => self.view = None,
            Request::WatchLock(wanted) => self.lock.is_wanted = wanted,
            _ => {}
        }
    }
}

/// Carries requests to the desktop and events from it until the sender of the requests is gone.
pub async fn carry(
    wanted: Wanted,
    mut requests: mpsc::UnboundedReceiver<Request>,
    events: mpsc::UnboundedSender<DesktopEvent>,
) {
    if !wanted.tray && !wanted.notifications {
        while requests.recv().await.is_some() {}
        return;
    }
    let mut wishes = Wishes::default();
    // Nothing is to be shown before it is known whether the screen is locked.
    while let Ok(request) = requests.try_recv() {
        wishes.keep(request);
    }
    let mut attempt = 0;
    loop {
        let tried_at = Instant::now();
        match open(wanted, &events, &wishes).await {
            Ok(session) => {
                attempt = 0;
                if let Ended::Closed = session.run(&mut requests, &mut wishes).await {
                    return;
                }
                report_absent(wanted, &events, "the session bus is gone");
            }
            Err(why) if attempt == 0 => report_absent(wanted, &events, &why),
            Err(_) => {}
        }
        attempt += 1;
        if !wait_for_a_reason(&mut requests, &mut wishes, attempt, tried_at).await {
            return;
        }
    }
}

async fn open(
    wanted: Wanted,
    events: &mpsc::UnboundedSender<DesktopEvent>,
    wishes: &Wishes,
) -> Result<Session, String> {
    match timeout(PATIENCE, Session::open(wanted, events.clone(), wishes)).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(error)) => Err(format!("no session bus: {error}")),
        Err(_) => Err("the session bus does not answer".to_owned()),
    }
}

/// Who has a name now; nobody is started for it, and none is asked before the bus has answered.
async fn owner(connection: &Connection, name: &'static str) -> Option<OwnedUniqueName> {
    let bus = DBusProxy::new(connection).await.ok()?;
    timeout(PATIENCE, bus.get_name_owner(name.try_into().ok()?)).await.ok()?.ok()
}

fn report_absent(wanted: Wanted, events: &mpsc::UnboundedSender<DesktopEvent>, why: &str) {
    // The program drops its end when it stops; then nobody needs to know.
    if wanted.notifications {
        let _ = events.send(DesktopEvent::Notifications(Availability::Absent(why.to_owned())));
    }
    if wanted.tray {
        let _ = events.send(DesktopEvent::Tray(Availability::Absent(why.to_owned())));
    }
}

/// Waits until the bus is worth another try; false when the program stops.
async fn wait_for_a_reason(
    requests: &mut mpsc::UnboundedReceiver<Request>,
    wishes: &mut Wishes,
    attempt: u32,
    tried_at: Instant,
) -> bool {
    let next = next_attempt(attempt, tried_at);
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next.unwrap_or(tried_at)), if next.is_some() => return true,
            request = requests.recv() => match request {
                None => return false,
                Some(Request::LookAgain) if tried_at.elapsed() >= MIN_BETWEEN_ATTEMPTS => return true,
                Some(request) => wishes.keep(request),
            },
        }
    }
}

/// When to try again after so many attempts in vain; none when it was often enough.
fn next_attempt(attempt: u32, tried_at: Instant) -> Option<Instant> {
    (attempt < ATTEMPTS).then(|| tried_at + MIN_BETWEEN_ATTEMPTS * 2_u32.pow(attempt.saturating_sub(1)))
}
