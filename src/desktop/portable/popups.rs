//! Popups by notify-rust, and what people do with them.

#[cfg(not(any(windows, target_os = "macos")))]
mod bus;
#[cfg(any(windows, target_os = "macos"))]
mod system;

use std::collections::HashMap;
use std::time::Duration;

use notify_rust::{CloseReason, Notification, NotificationResponse, Timeout};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::presence::Presence;
use crate::desktop::note::{Caps, DEFAULT_ACTION, Note, Rendered, rendered, without_nul};
use crate::desktop::showing::{ShowError, Waiting};
use crate::desktop::{ClosedBy, Slot};
#[cfg(not(any(windows, target_os = "macos")))]
use bus as platform;
#[cfg(any(windows, target_os = "macos"))]
use system as platform;

pub use platform::{CAN_CHANGE, introduce_us};

/// A summary changes at most four times a second, however much comes; where each change is a popup of its own, and
/// makes its noise, there is one in a while.
const BETWEEN_CHANGES: Duration = if CAN_CHANGE { Duration::from_millis(250) } else { Duration::from_secs(15) };

/// What became of a popup.
pub struct Answer {
    pub slot: Slot,
    pub said: Said,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// The popup was clicked, or one of its buttons.
    Chosen(String),
    Closed(ClosedBy),
    /// It turned out later that it isn't shown.
    #[cfg_attr(not(any(windows, target_os = "macos")), expect(dead_code, reason = "there it is known at once"))]
    Failed(String),
}

impl From<&NotificationResponse> for Said {
    fn from(response: &NotificationResponse) -> Self {
        match response {
            NotificationResponse::Default => Self::Chosen(DEFAULT_ACTION.to_owned()),
            NotificationResponse::Action(action) => Self::Chosen(action.clone()),
            // We never ask for one.
            NotificationResponse::Reply(_) => Self::Closed(ClosedBy::Other),
            NotificationResponse::Closed(CloseReason::Expired) => Self::Closed(ClosedBy::Expiry),
            NotificationResponse::Closed(CloseReason::Dismissed) => Self::Closed(ClosedBy::User),
            NotificationResponse::Closed(CloseReason::CloseAction) => Self::Closed(ClosedBy::Us),
            NotificationResponse::Closed(CloseReason::Other(_)) => Self::Closed(ClosedBy::Other),
        }
    }
}

/// One life of the notification service.
pub struct Popups {
    shown: HashMap<Slot, Shown>,
    caps: Option<Caps>,
    /// What came too soon.
    pub waiting: Waiting,
    /// Which of the popups that a slot has had it has now.
    last: u64,
    tell: UnboundedSender<(Slot, u64, Said)>,
    told: UnboundedReceiver<(Slot, u64, Said)>,
}

struct Shown {
    number: u64,
    at: Instant,
    popup: platform::Popup,
}

impl Default for Popups {
    fn default() -> Self {
        let (tell, told) = unbounded_channel();
        Self { shown: HashMap::new(), caps: None, waiting: Waiting::default(), last: 0, tell, told }
    }
}

impl Popups {
    /// A new service begins: nothing that we know of is on its screen.
    pub fn forget(&mut self) {
        self.shown.clear();
        self.caps = None;
        self.waiting.clear();
    }

    /// Whether the slot has a popup, on the screen or about to come there.
    pub fn has(&self, slot: Slot) -> bool {
        self.shown.contains_key(&slot) || self.waiting.has(slot)
    }

    /// When the slot may change again, if that is not now.
    pub fn may_change_at(&self, slot: Slot) -> Option<Instant> {
        let due = self.shown.get(&slot)?.at + BETWEEN_CHANGES;
        (due > Instant::now()).then_some(due)
    }

    pub async fn show(&mut self, slot: Slot, note: &Note, presence: &Presence) -> Result<(), ShowError> {
        // This is newer than what waits.
        self.waiting.remove(slot);
        let caps = match &self.caps {
            Some(caps) => caps.clone(),
            None => self.caps.insert(presence.capabilities().await?).clone(),
        };
        self.last += 1;
        let (number, tell) = (self.last, self.tell.clone());
        let earlier = self.shown.get(&slot).map(|shown| &shown.popup);
        let said = move |said| {
            // Nobody listens once the service or the program is gone.
            let _ = tell.send((slot, number, said));
        };
        let popup = platform::show(notification(note, &caps), earlier, said).await?;
        self.shown.insert(slot, Shown { number, at: Instant::now(), popup });
        Ok(())
    }

    /// Fails only where the service is silent.
    pub async fn withdraw(&mut self, slot: Slot) -> Result<(), ShowError> {
        match self.shown.remove(&slot) {
            Some(shown) => shown.popup.close().await,
            None => Ok(()),
        }
    }

    /// Returns when something became of a popup.
    pub async fn answer(&mut self) -> Answer {
        loop {
            let Some((slot, number, said)) = self.told.recv().await else { return std::future::pending().await };
            if self.shown.get(&slot).is_none_or(|shown| shown.number != number) {
                continue;
            }
            if let Said::Closed(_) | Said::Failed(_) = said {
                self.shown.remove(&slot);
            }
            return Answer { slot, said };
        }
    }
}

/// Shows one popup for a program that ends then.
pub async fn say(note: &Note, presence: &Presence) -> Result<(), ShowError> {
    let caps = presence.capabilities().await?;
    platform::show(notification(note, &caps), None, |_| {}).await.map(drop)
}

fn notification(note: &Note, caps: &Caps) -> Notification {
    let rendered = rendered(note, caps);
    let mut notification = Notification::new();
    notification.appname("Mailknock");
    notification.summary(&without_nul(&rendered.summary)).body(&without_nul(&rendered.body));
    notification.timeout(timeout(&rendered));
    for action in rendered.actions.chunks(2) {
        if let [key, label] = action
            && platform::has_button(key)
        {
            notification.action(key, label);
        }
    }
    platform::finish(&mut notification, note, &rendered, caps);
    notification
}

fn timeout(rendered: &Rendered) -> Timeout {
    match u32::try_from(rendered.expire_timeout) {
        Err(_) => Timeout::Default,
        Ok(0) => Timeout::Never,
        Ok(milliseconds) => Timeout::Milliseconds(milliseconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_do_is_told_in_our_words() {
        for (response, said) in [
            (NotificationResponse::Default, Said::Chosen("default".into())),
            (NotificationResponse::Action("button-0".into()), Said::Chosen("button-0".into())),
            (NotificationResponse::Closed(CloseReason::Expired), Said::Closed(ClosedBy::Expiry)),
            (NotificationResponse::Closed(CloseReason::Dismissed), Said::Closed(ClosedBy::User)),
            (NotificationResponse::Closed(CloseReason::Other(4)), Said::Closed(ClosedBy::Other)),
        ] {
            assert_eq!(Said::from(&response), said);
        }
    }
}
