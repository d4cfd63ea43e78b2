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

use std::process::ExitCode;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use zbus::Connection;
use zbus::fdo::DBusProxy;
use zbus::names::OwnedUniqueName;

use super::attempts::{PATIENCE, next_attempt, report_absent, wait_for_a_reason};
use super::menu::TrayView;
use super::{DesktopEvent, Request, Wanted};
use lock::Lock;
use session::{Ended, Session};

pub use logind::power;
pub use say::say;
pub use survey::survey;

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

/// Nothing: the bus is open to everybody.
#[derive(Debug)]
pub struct Handed(());

pub fn main<R: Future<Output = ExitCode>>(program: impl FnOnce(Handed) -> R) -> ExitCode {
    super::without_icon(program(Handed(())))
}

/// Carries requests to the desktop and events from it until the sender of the requests is gone.
pub async fn carry(
    _handed: Handed,
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
        if !wait_for_a_reason(&mut requests, |request| wishes.keep(request), attempt, tried_at).await {
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
