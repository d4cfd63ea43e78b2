//! The desktop of Windows and macOS: tray-icon for the icon, notify-rust for popups, tao for the event loop that the icon
//! needs there.
//!
//! On Linux and the BSDs the same can be built as feature `portable`, without tao: there the icon has a thread of its own,
//! and the bus is watched for what comes and goes, which neither of the two crates tells. Sleep and locks are nowhere
//! told; what else a platform can't do is left out where it would be done.

mod event_loop;
mod popups;
mod presence;
mod session;
mod survey;
mod tray;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::attempts::{PATIENCE, report_absent, wait_for_a_reason};
use super::menu::TrayView;
use super::note::Note;
use super::showing::in_words;
use super::{DesktopEvent, PowerRequest, Request, Wanted};
use presence::Presence;
use session::{Ended, Session};

pub use event_loop::{Handed, main};
pub use survey::survey;

/// Carries requests to the desktop and events from it until the sender of the requests is gone.
pub async fn carry(
    handed: Handed,
    wanted: Wanted,
    mut requests: mpsc::UnboundedReceiver<Request>,
    events: mpsc::UnboundedSender<DesktopEvent>,
) {
    if !wanted.tray && !wanted.notifications {
        while requests.recv().await.is_some() {}
        return;
    }
    if wanted.notifications {
        popups::introduce_us();
    }
    let icon = handed.begin(&events);
    // The last one, for a desktop that comes later.
    let mut view = None;
    let mut attempt = 0;
    loop {
        let tried_at = Instant::now();
        match look().await {
            Ok(presence) => {
                attempt = 0;
                let session = Session::new(wanted, events.clone(), presence, &icon);
                if let Ended::Closed = session.run(&mut requests, &mut view).await {
                    break;
                }
                report_absent(wanted, &events, "the session bus is gone");
            }
            Err(why) if attempt == 0 => report_absent(wanted, &events, &why),
            Err(_) => {}
        }
        attempt += 1;
        if !wait_for_a_reason(&mut requests, |request| keep(&mut view, request), attempt, tried_at).await {
            break;
        }
    }
    icon.end().await;
}

async fn look() -> Result<Presence, String> {
    match timeout(PATIENCE, Presence::look()).await {
        Ok(found) => found,
        Err(_) => Err("the session bus does not answer".to_owned()),
    }
}

/// Shows the one popup of a program that ends then.
pub async fn say(note: &Note) -> Result<(), String> {
    // All of it together: somebody waits for the end.
    let shown = async {
        popups::introduce_us();
        let presence = Presence::look().await?;
        in_words(popups::say(note, &presence).await)
    };
    timeout(PATIENCE, shown).await.unwrap_or_else(|_| Err("the desktop does not answer".to_owned()))
}

/// Remembers what can be remembered where nothing can be done yet; the rest would come too late.
fn keep(view: &mut Option<TrayView>, request: Request) {
    match request {
        Request::Tray(newer) => *view = Some(newer),
        Request::HideTray => *view = None,
        _ => {}
    }
}

/// Nobody tells us of sleep or locks.
pub async fn power(mut requests: mpsc::UnboundedReceiver<PowerRequest>, _events: mpsc::UnboundedSender<DesktopEvent>) {
    while requests.recv().await.is_some() {}
}
