//! One life of the session bus connection.

use futures_util::StreamExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use zbus::Connection;
use zbus::fdo::{DBusProxy, NameOwnerChangedStream};

use super::notifications::{
    ActionInvokedStream, ActivationTokenStream, NotificationClosedStream, Popups, SERVICE, ShowError,
};
use super::tray::{Icon, Item};
use crate::desktop::menu::TrayView;
use crate::desktop::{Availability, DesktopEvent, Request, Slot, Wanted};

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
    pub async fn open(wanted: Wanted, events: UnboundedSender<DesktopEvent>) -> zbus::Result<Self> {
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
        let mut session =
            Self { wanted, events, connection, popups, signals, icon: None, unanswered: 0, revival: None, activatable };
        session.say_notifications(match running || activatable {
            true => Availability::Here,
            false => Availability::Absent("no notification service".to_owned()),
        });
        Ok(session)
    }

    /// Carries until either side is gone. `view` is the last tray view, for this session and the next.
    pub async fn run(mut self, requests: &mut UnboundedReceiver<Request>, view: &mut Option<TrayView>) -> Ended {
        self.show_icon(view.as_ref()).await;
        let ended = loop {
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
                    let has_owner = arguments.new_owner.is_some();
                    self.service_changed(has_owner);
                }
                Some(signal) = self.signals.watcher.next() => {
                    // ksni registers again by itself; this is for an icon that could not be registered at all.
                    let appeared = signal.args().is_ok_and(|arguments| arguments.new_owner.is_some());
                    if appeared && self.icon.is_none() {
                        self.show_icon(view.as_ref()).await;
                    }
                }
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
                    Some(Request::Show { .. } | Request::Withdraw { .. }) if self.unanswered > 0 => {}
                    Some(Request::Show { slot, note }) => {
                        let shown = self.popups.show(slot, &note).await;
                        self.say_shown(slot, shown);
                    }
                    Some(Request::Withdraw { slot }) => self.withdraw(slot).await,
                    Some(Request::WatchLock(_)) => {}
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
        matches!(tokio::time::timeout(super::PATIENCE, asked).await, Ok(Ok(true)))
    }

    fn service_changed(&mut self, has_owner: bool) {
        self.popups.forget();
        if let Some(revival) = self.revival.take() {
            revival.abort();
        }
        self.say_notifications(Availability::Absent("the notification service is gone".to_owned()));
        if has_owner {
            self.say_notifications(Availability::Here);
        }
    }

    fn say_shown(&mut self, slot: Slot, shown: Result<(), ShowError>) {
        match shown {
            Ok(()) => self.say(DesktopEvent::PopupShown { slot }),
            Err(ShowError::Refused(why)) => self.say(DesktopEvent::PopupFailed { slot, why }),
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
        if let Some(icon) = self.icon {
            icon.remove().await;
        }
        let _ = tokio::time::timeout(super::PATIENCE, self.connection.close()).await;
    }
}
