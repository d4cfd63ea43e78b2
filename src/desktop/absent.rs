//! No desktop: every part of it is told to be absent, and the program goes on without.

use tokio::sync::mpsc;

use super::{Availability, DesktopEvent, Request, Wanted};

pub async fn carry(
    wanted: Wanted,
    mut requests: mpsc::UnboundedReceiver<Request>,
    events: mpsc::UnboundedSender<DesktopEvent>,
) {
    let why = || Availability::Absent("this build has no desktop backend".to_owned());
    if wanted.notifications {
        let _ = events.send(DesktopEvent::Notifications(why()));
    }
    if wanted.tray {
        let _ = events.send(DesktopEvent::Tray(why()));
    }
    while requests.recv().await.is_some() {}
}
