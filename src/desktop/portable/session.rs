//! One life of the desktop: until the program closes the link, or on Linux until the bus goes.

use std::future::pending;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep_until};

use super::event_loop::Loop;
use super::popups::{Answer, CAN_CHANGE, Popups, Said};
use super::presence::{Change, Presence};
use super::tray::Errand;
use crate::desktop::menu::TrayView;
use crate::desktop::note::Note;
use crate::desktop::showing::{Later, ShowError, Try};
use crate::desktop::{Availability, ClosedBy, DesktopEvent, Request, Slot, Wanted};

/// How long an icon takes to be in a panel that has come.
const TO_REGISTER: Duration = Duration::from_secs(1);

pub enum Ended {
    /// The program closed the link.
    Closed,
    BusLost,
}

pub struct Session<'a> {
    wanted: Wanted,
    events: UnboundedSender<DesktopEvent>,
    presence: Presence,
    icon: &'a Loop,
    popups: Popups,
    /// How often the program was told that nothing can be shown, and hasn't answered yet.
    unanswered: u32,
    /// A service that didn't answer is there again when this ends.
    revival: Option<JoinHandle<()>>,
}

impl<'a> Session<'a> {
    pub fn new(wanted: Wanted, events: UnboundedSender<DesktopEvent>, presence: Presence, icon: &'a Loop) -> Self {
        Self { wanted, events, presence, icon, popups: Popups::default(), unanswered: 0, revival: None }
    }

    /// Carries until either side is gone. The view is for this session and the next.
    pub async fn run(mut self, requests: &mut UnboundedReceiver<Request>, view: &mut Option<TrayView>) -> Ended {
        // In this order: where there is no panel yet, that is told before an icon is tried.
        if self.wanted.tray
            && let absent @ Availability::Absent(_) = self.presence.tray()
        {
            self.say(DesktopEvent::Tray(absent));
        }
        if let Some(view) = view {
            self.show_icon(view);
        }
        self.say_notifications(self.presence.notifications());
        // When a panel that has come should have the icon.
        let mut icon_due = None;
        let ended = loop {
            let later_at = self.popups.waiting.next_at();
            tokio::select! {
                biased;
                answer = self.popups.answer() => self.answered(answer).await,
                change = self.presence.change() => match change {
                    Change::BusGone => break Ended::BusLost,
                    Change::Notifications { had_owner, has_owner } => self.service_changed(had_owner, has_owner),
                    Change::PanelCame => {
                        icon_due = Some(Instant::now() + TO_REGISTER);
                        self.say_tray(Availability::Here);
                    }
                    Change::PanelWent => {
                        icon_due = None;
                        self.say_tray(Availability::Absent("no panel with a tray".to_owned()));
                    }
                },
                // One that came while the icon was being registered, after the first try and before panels were watched
                // for, would be missed for good.
                () = sleep_until(icon_due.unwrap_or_else(Instant::now)), if icon_due.is_some() => {
                    icon_due = None;
                    if self.wanted.tray && !self.presence.has_our_icon().await {
                        self.icon.send(Errand::Renew);
                    }
                }
                () = revived(&mut self.revival), if self.revival.is_some() => {
                    self.revival = None;
                    self.say_notifications(Availability::Here);
                }
                () = sleep_until(later_at.unwrap_or_else(Instant::now)), if later_at.is_some() => {
                    if let Some(Later { slot, note, attempt, .. }) = self.popups.waiting.take() {
                        self.show(slot, note, attempt).await;
                    }
                }
                request = requests.recv() => match request {
                    None => break Ended::Closed,
                    Some(Request::Tray(newer)) => self.show_icon(view.insert(newer)),
                    Some(Request::HideTray) => {
                        *view = None;
                        self.icon.send(Errand::Hide);
                    }
                    Some(Request::AbsenceKnown) => self.unanswered = self.unanswered.saturating_sub(1),
                    // Meant for a service that was there then.
                    Some(Request::Show { .. } | Request::Change { .. } | Request::Withdraw { .. })
                        if self.unanswered > 0 => {}
                    Some(Request::Show { slot, note }) => match self.popups.may_change_at(slot) {
                        Some(due) => self.popups.waiting.show_later(due, slot, note),
                        None => self.show(slot, note, Try::First).await,
                    },
                    Some(Request::Change { slot, note }) => {
                        if self.popups.has(slot) && CAN_CHANGE {
                            self.show(slot, note, Try::First).await;
                        }
                    }
                    Some(Request::Withdraw { slot }) => {
                        if self.popups.waiting.remove(slot) {
                            // Somebody waits to hear what became of it.
                            self.say(DesktopEvent::PopupClosed { slot, by: ClosedBy::Us });
                        }
                        self.withdraw(slot).await;
                    }
                    Some(Request::LookAgain) => {
                        if self.presence.can_start_notifications() && self.revival.is_none() {
                            self.say_notifications(Availability::Here);
                        }
                    }
                    // Nobody tells of locks, and what we start lives on by itself.
                    Some(Request::WatchLock(_) | Request::Adopt { .. }) => {}
                },
            }
        };
        if let Some(revival) = self.revival {
            revival.abort();
        }
        // With the bus the icon is lost, which nobody has told it.
        self.icon.send(Errand::Hide);
        ended
    }

    fn show_icon(&self, view: &TrayView) {
        if self.wanted.tray {
            self.icon.send(Errand::Show(Box::new(view.clone())));
        }
    }

    async fn answered(&mut self, Answer { slot, said }: Answer) {
        match said {
            // A click counts once: the popup has done its work with it.
            Said::Chosen(action) => {
                self.say(DesktopEvent::PopupAction { slot, action, activation_token: None });
                self.withdraw(slot).await;
            }
            Said::Closed(by) => self.say(DesktopEvent::PopupClosed { slot, by }),
            Said::Failed(why) => self.say(DesktopEvent::PopupFailed { slot, why }),
        }
    }

    fn service_changed(&mut self, had_owner: bool, has_owner: bool) {
        if let Some(revival) = self.revival.take() {
            revival.abort();
        }
        // One that begins from nothing may have been started by our own popup, which is on its screen by now.
        if had_owner || !has_owner {
            self.popups.forget();
            self.say_notifications(Availability::Absent("the notification service is gone".to_owned()));
        }
        if has_owner {
            self.say_notifications(Availability::Here);
        }
    }

    async fn show(&mut self, slot: Slot, note: Note, attempt: Try) {
        match self.popups.show(slot, &note, &self.presence).await {
            Ok(()) => self.say(DesktopEvent::PopupShown { slot }),
            Err(ShowError::TooSoon(_)) if attempt == Try::First => {
                self.withdraw(slot).await;
                if self.revival.is_none() {
                    self.popups.waiting.try_again(slot, note);
                }
            }
            Err(ShowError::Refused(why) | ShowError::TooSoon(why)) => {
                self.withdraw(slot).await;
                self.say(DesktopEvent::PopupFailed { slot, why });
            }
            Err(ShowError::ServiceAbsent(why)) => self.say_notifications(Availability::Absent(why)),
            Err(ShowError::Silent) => self.fell_silent(),
        }
    }

    async fn withdraw(&mut self, slot: Slot) {
        if self.popups.withdraw(slot).await.is_err() {
            self.fell_silent();
        }
    }

    fn fell_silent(&mut self) {
        self.say_notifications(Availability::Absent("the notification service does not answer".to_owned()));
        if self.revival.is_none() {
            self.revival = Some(self.presence.wait_for_an_answer());
        }
    }

    fn say_notifications(&mut self, availability: Availability) {
        if let Availability::Absent(_) = availability {
            self.popups.waiting.clear();
        }
        if self.wanted.notifications {
            self.unanswered += u32::from(matches!(availability, Availability::Absent(_)));
            self.say(DesktopEvent::Notifications(availability));
        }
    }

    fn say_tray(&self, availability: Availability) {
        if self.wanted.tray {
            self.say(DesktopEvent::Tray(availability));
        }
    }

    fn say(&self, event: DesktopEvent) {
        // The program drops its end when it stops; then nobody needs to know.
        let _ = self.events.send(event);
    }
}

async fn revived(revival: &mut Option<JoinHandle<()>>) {
    match revival {
        Some(revival) => drop(revival.await),
        None => pending().await,
    }
}
