//! One life of the session bus connection.

use futures_util::StreamExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use zbus::Connection;
use zbus::fdo::{DBusProxy, NameOwnerChangedStream};

use super::lock::{Lock, Lockers};
use super::notifications::{ActionInvokedStream, ActivationTokenStream, NotificationClosedStream, Popups, SERVICE};
use super::tray::{Icon, Item};
use super::{PATIENCE, Wishes, scope};
use crate::desktop::menu::TrayView;
use crate::desktop::note::Note;
use crate::desktop::showing::{Later, ShowError, Try};
use crate::desktop::{Availability, ClosedBy, DesktopEvent, Request, Slot, Wanted};

pub const WATCHER: &str = "org.kde.StatusNotifierWatcher";

pub enum Ended {
    /// The program closed the link.
    Closed,
    BusLost,
}

pub struct Session {
    wanted: Wanted,
    events: UnboundedSender<DesktopEvent>,
    connection: Connection,
    popups: Popups,
    signals: Signals,
    icon: Option<Icon>,
    /// How often the program was told that nothing can be shown, and hasn't answered yet.
    unanswered: u32,
    /// A service that didn't answer is there again when this answers.
    revival: Option<tokio::task::JoinHandle<()>>,
    activatable: bool,
    /// Whether there was a notification service at the start, before anybody is told.
    at_first: Availability,
    /// Where somebody wants to know whether the screen is locked.
    lockers: Option<Lockers>,
    /// What is asked of others without waiting for them.
    errands: JoinSet<()>,
}

struct Signals {
    actions: ActionInvokedStream,
    tokens: ActivationTokenStream,
    closed: NotificationClosedStream,
    service: NameOwnerChangedStream,
    watcher: NameOwnerChangedStream,
}

impl Session {
    /// Connects and subscribes, before the first popup, so that no click is missed.
    pub async fn open(wanted: Wanted, events: UnboundedSender<DesktopEvent>, wishes: &Wishes) -> zbus::Result<Self> {
        let connection = Connection::session().await?;
        let popups = Popups::new(&connection).await?;
        let bus = DBusProxy::new(&connection).await?;
        let signals = Signals {
            actions: popups.proxy().receive_action_invoked().await?,
            tokens: popups.proxy().receive_activation_token().await?,
            closed: popups.proxy().receive_notification_closed().await?,
            service: bus.receive_name_owner_changed_with_args(&[(0, SERVICE)]).await?,
            watcher: bus.receive_name_owner_changed_with_args(&[(0, WATCHER)]).await?,
        };
        let running = bus.name_has_owner(SERVICE.try_into()?).await?;
        let activatable = bus.list_activatable_names().await?.iter().any(|name| name.as_str() == SERVICE);
        let at_first = match running || activatable {
            true => Availability::Here,
            false => Availability::Absent("no notification service".to_owned()),
        };
        let lockers = match wishes.lock.is_wanted {
            true => Some(Lockers::watch(&connection).await?),
            false => None,
        };
        Ok(Self {
            wanted,
            events,
            connection,
            popups,
            signals,
            icon: None,
            unanswered: 0,
            revival: None,
            activatable,
            at_first,
            lockers,
            errands: JoinSet::new(),
        })
    }

    /// Carries until either side is gone. The wishes are for this session and the next.
    pub async fn run(mut self, requests: &mut UnboundedReceiver<Request>, wishes: &mut Wishes) -> Ended {
        let Wishes { view, lock } = wishes;
        self.show_icon(view.as_ref()).await;
        // Before anything is shown. What was said on an earlier bus counts no more.
        lock.forget();
        if let Some(lockers) = &mut self.lockers {
            lockers.settle(lock).await;
        }
        self.tell_lock(lock);
        self.say_notifications(self.at_first.clone());
        let ended = loop {
            let later_at = self.popups.waiting.next_at();
            // In this order: with a click a service sends a token, the click itself and often the popup's end, and what
            // arrived in three streams would otherwise be taken in any order.
            tokio::select! {
                biased;
                Some(signal) = self.signals.tokens.next() => {
                    if let Ok(arguments) = signal.args() {
                        self.popups.token(arguments.id, arguments.activation_token);
                    }
                }
                signal = self.signals.actions.next() => {
                    let Some(signal) = signal else { break Ended::BusLost };
                    let Ok(arguments) = signal.args() else { continue };
                    if let Some((slot, activation_token)) = self.popups.clicked(arguments.id) {
                        self.say(DesktopEvent::PopupAction { slot, action: arguments.action_key, activation_token });
                        self.withdraw(slot).await;
                    }
                }
                Some(signal) = self.signals.closed.next() => {
                    let Ok(arguments) = signal.args() else { continue };
                    if let Some((slot, by)) = self.popups.closed(arguments.id, arguments.reason) {
                        self.say(DesktopEvent::PopupClosed { slot, by });
                    }
                }
                Some(signal) = self.signals.service.next() => {
                    let Ok(arguments) = signal.args() else { continue };
                    let (had_owner, has_owner) = (arguments.old_owner.is_some(), arguments.new_owner.is_some());
                    self.service_changed(had_owner, has_owner);
                }
                Some(signal) = self.signals.watcher.next() => {
                    // ksni registers again by itself; this is for an icon that could not be registered at all.
                    let appeared = signal.args().is_ok_and(|arguments| arguments.new_owner.is_some());
                    if appeared && self.icon.is_none() {
                        self.show_icon(view.as_ref()).await;
                    }
                }
                () = hear(&mut self.lockers, lock), if self.lockers.is_some() => self.tell_lock(lock),
                () = sleep_until(later_at.unwrap_or_else(Instant::now)), if later_at.is_some() => {
                    if let Some(Later { slot, note, attempt, .. }) = self.popups.waiting.take() {
                        self.show(slot, note, attempt).await;
                    }
                }
                Some(_) = self.errands.join_next() => {}
                request = requests.recv() => match request {
                    None => break Ended::Closed,
                    Some(Request::Tray(newer)) => {
                        *view = Some(newer);
                        self.show_icon(view.as_ref()).await;
                    }
                    Some(Request::HideTray) => {
                        *view = None;
                        if let Some(icon) = self.icon.take() {
                            icon.remove().await;
                        }
                    }
                    Some(Request::AbsenceKnown) => self.unanswered = self.unanswered.saturating_sub(1),
                    // Meant for a service that was there then. To ask the next one would show the mail twice, and to
                    // ask a silent one would hold up the icon.
                    Some(Request::Show { .. } | Request::Change { .. } | Request::Withdraw { .. })
                        if self.unanswered > 0 => {}
                    Some(Request::Show { slot, note }) => match self.popups.may_change_at(slot) {
                        Some(due) => self.popups.waiting.show_later(due, slot, note),
                        None => self.show(slot, note, Try::First).await,
                    },
                    Some(Request::Change { slot, note }) => {
                        if self.popups.has(slot) {
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
                    Some(Request::WatchLock(wanted)) => {
                        lock.is_wanted = wanted;
                        if wanted != self.lockers.is_some() {
                            lock.forget();
                            self.lockers = match wanted {
                                false => None,
                                true => match timeout(PATIENCE, Lockers::watch(&self.connection)).await {
                                    Ok(Ok(lockers)) => Some(lockers),
                                    _ => break Ended::BusLost,
                                },
                            };
                            self.tell_lock(lock);
                        }
                    }
                    Some(Request::Adopt { pid }) => drop(self.errands.spawn(scope::adopt(self.connection.clone(), pid))),
                    Some(Request::LookAgain) => {
                        if self.activatable && !self.is_silent() {
                            self.say_notifications(Availability::Here);
                        }
                    }
                },
            }
        };
        self.end().await;
        ended
    }

    /// Tells whether the screen is locked, where that has changed.
    fn tell_lock(&self, lock: &mut Lock) {
        let is_settled = self.lockers.as_ref().is_none_or(Lockers::are_settled);
        if let Some(is_locked) = lock.change(is_settled) {
            self.say(DesktopEvent::Locked(is_locked));
        }
    }

    async fn show_icon(&mut self, view: Option<&TrayView>) {
        let Some(view) = view.filter(|_| self.wanted.tray) else { return };
        match &self.icon {
            Some(icon) => icon.show(view.clone()).await,
            None => {
                self.register(view).await;
                // A panel that came while ksni was registering, after its first try and before it began to watch for
                // panels, would be missed for good.
                if self.icon.as_ref().is_some_and(|icon| !icon.is_online()) && self.has_watcher().await {
                    if let Some(icon) = self.icon.take() {
                        icon.remove().await;
                    }
                    self.register(view).await;
                }
            }
        }
    }

    async fn register(&mut self, view: &TrayView) {
        match Item::register(view.clone(), self.events.clone()).await {
            Ok(icon) => self.icon = Some(icon),
            Err(why) => self.say(DesktopEvent::Tray(Availability::Absent(why))),
        }
    }

    async fn has_watcher(&self) -> bool {
        let asked = async {
            let bus = DBusProxy::new(&self.connection).await?;
            bus.name_has_owner(WATCHER.try_into()?).await.map_err(zbus::Error::from)
        };
        matches!(timeout(PATIENCE, asked).await, Ok(Ok(true)))
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
        match self.popups.show(slot, &note).await {
            Ok(()) => self.say(DesktopEvent::PopupShown { slot }),
            Err(ShowError::TooSoon(_)) if attempt == Try::First => {
                // What is on the screen in its place may be what strangers are not to see.
                self.withdraw(slot).await;
                if !self.is_silent() {
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
        self.wait_for_an_answer();
    }

    fn is_silent(&self) -> bool {
        self.revival.as_ref().is_some_and(|revival| !revival.is_finished())
    }

    /// Asks a silent service once more, without a deadline: it answers when it thaws, and nothing has to look.
    fn wait_for_an_answer(&mut self) {
        if self.is_silent() {
            return;
        }
        let (proxy, events, wanted) = (self.popups.proxy().clone(), self.events.clone(), self.wanted);
        self.revival = Some(tokio::spawn(async move {
            if proxy.get_capabilities().await.is_ok() && wanted.notifications {
                let _ = events.send(DesktopEvent::Notifications(Availability::Here));
            }
        }));
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

    fn say(&self, event: DesktopEvent) {
        // The program drops its end when it stops; then nobody needs to know.
        let _ = self.events.send(event);
    }

    async fn end(self) {
        if let Some(revival) = self.revival {
            revival.abort();
        }
        let mut errands = self.errands;
        // Each has a deadline.
        let errands = async { while errands.join_next().await.is_some() {} };
        let icon = async {
            if let Some(icon) = self.icon {
                icon.remove().await;
            }
        };
        futures_util::join!(errands, icon);
        let _ = timeout(PATIENCE, self.connection.close()).await;
    }
}

/// Returns when a locker has said something.
async fn hear(lockers: &mut Option<Lockers>, lock: &mut Lock) {
    if let Some(lockers) = lockers {
        lockers.hear(lock).await;
    }
}
