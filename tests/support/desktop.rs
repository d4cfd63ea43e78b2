//! A fake desktop on a private bus: a notification service and a tray host, without any window.
//!
//! It does what dunst and xfce4-panel do (`real_desktop.rs` has those), only at once.

mod notifications;
mod tray;
mod watcher;

pub use notifications::{Behaviour, Notification};
pub use tray::{EntryKind, TrayItem};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;
use zbus6::object_server::SignalEmitter;
use zbus6::wire::DynamicDeserialize;
use zbus6::{Connection, DynamicType};

use super::bus::{self, Background, Bus, Place};
use super::wait::{holds, wait_until};
use notifications::{FakeDunst, FakeNotifications, Seen};
use watcher::Items;

/// Whether the program speaks D-Bus itself, or is built with the portable desktop, whose crates do less of what a desktop
/// of Linux can.
pub const SPEAKS_DBUS: bool = cfg!(feature = "dbus");

/// What a desktop offers a program. Both services can be stopped and started while the program runs.
pub struct Desktop {
    address: String,
    capabilities: Vec<String>,
    seen: Arc<Mutex<Seen>>,
    items: Arc<Mutex<Items>>,
    notifications: Option<Connection>,
    watcher: Option<Connection>,
    // Last: the connections above need it until they are gone.
    background: Arc<Background>,
}

/// How a desktop is to be, before it starts.
pub struct DesktopBuilder {
    address: String,
    capabilities: Vec<String>,
    with_notifications: bool,
    with_tray: bool,
}

impl DesktopBuilder {
    /// No tray host, as on GNOME without an extension.
    pub fn without_tray(mut self) -> Self {
        self.with_tray = false;
        self
    }

    /// No notification service, as in a bare window manager.
    pub fn without_notifications(mut self) -> Self {
        self.with_notifications = false;
        self
    }

    /// What the notification service says it can do, instead of `actions`, `body` and `body-markup`.
    pub fn capabilities(mut self, capabilities: &[&str]) -> Self {
        self.capabilities = capabilities.iter().map(ToString::to_string).collect();
        self
    }

    pub fn start(self) -> Desktop {
        let mut desktop = Desktop {
            address: self.address,
            capabilities: self.capabilities,
            seen: Arc::default(),
            items: Arc::default(),
            notifications: None,
            watcher: None,
            background: Arc::new(Background::start()),
        };
        if self.with_notifications {
            desktop.start_notifications();
        }
        if self.with_tray {
            desktop.start_tray();
        }
        desktop
    }
}

impl Desktop {
    /// A desktop with everything.
    pub fn start(bus: &Bus) -> Desktop {
        Self::on(bus).start()
    }

    pub fn on(bus: &Bus) -> DesktopBuilder {
        Self::at(bus.address())
    }

    /// On the bus of this address.
    pub fn at(address: String) -> DesktopBuilder {
        let capabilities = ["actions", "body", "body-markup"].map(String::from).to_vec();
        DesktopBuilder { address, capabilities, with_notifications: true, with_tray: true }
    }

    // ---- the notification service

    /// Starts the service anew; like a real one it counts its ids from 1 again and shows nothing yet.
    pub fn start_notifications(&mut self) {
        self.stop_notifications();
        let service = FakeNotifications::new(Arc::clone(&self.seen), self.capabilities.clone());
        let start = bus::serve(&self.address, notifications::NAME, notifications::PATH, service);
        self.notifications = Some(self.background.wait("starting the notification service", start));
    }

    /// Ends the service as a crash does: it says nothing about the notifications it showed.
    pub fn stop_notifications(&mut self) {
        disconnect(&self.background, self.notifications.take());
    }

    /// How the service behaves from the next call on; what hangs is answered once it behaves otherwise.
    pub fn behave(&self, behaviour: Behaviour) {
        self.seen().behaviour = behaviour;
    }

    /// The oldest notification that no test has asked for yet; waits for it.
    #[track_caller]
    pub fn next_notification(&self) -> Notification {
        wait_until("a notification", || self.try_notification())
    }

    /// The oldest notification that no test has asked for yet, if it is there already.
    pub fn try_notification(&self) -> Option<Notification> {
        self.seen().notifications.pop_front()
    }

    /// Returns when the service's answers so far are on their way: a notification is seen here a moment before the
    /// program has its id, and a service that ends in that moment has shown it for the program's part in vain.
    pub fn settle(&self) {
        let connection = self.notifications.as_ref().expect("the notification service is running");
        let place = Place { service: notifications::NAME, path: notifications::PATH, interface: notifications::NAME };
        let asked = bus::call::<_, (String, String, String, String)>(connection, place, "GetServerInformation", &());
        self.background.wait("asking the notification service", asked).expect("it answers");
        // Where the bus goes before notify-rust listens, it panics.
        let owners: Vec<String> = self.seen().shown.values().cloned().collect();
        owners.iter().for_each(|owner| self.wait_heard(owner));
    }

    /// The id of the next notification that the program itself withdraws; waits for it.
    #[track_caller]
    pub fn next_close(&self) -> u32 {
        wait_until("a notification to be withdrawn", || self.seen().withdrawn.pop_front())
    }

    /// How many notifications the service has taken and not answered.
    pub fn hanging(&self) -> usize {
        self.seen().hanging
    }

    /// How many notifications the service has refused so far.
    pub fn refused(&self) -> usize {
        self.seen().refused.len()
    }

    /// Plasma's do-not-disturb; none on services that have no such thing, as at the beginning.
    pub fn inhibit(&self, inhibited: Option<bool>) {
        self.seen().inhibited = inhibited;
    }

    /// How often somebody asked for it.
    pub fn asked_inhibited(&self) -> usize {
        self.seen().asked_inhibited
    }

    /// dunst's do-not-disturb, until the service ends.
    pub fn pause_as_dunst(&self, paused: bool) {
        let connection = self.notifications.as_ref().expect("the notification service is running");
        let added = connection.object_server().at(notifications::PATH, FakeDunst { paused });
        let refused = self.background.wait("adding dunst's interface", added).expect("a valid path");
        assert!(refused.is_none(), "it is there already");
    }

    /// The program that shows a notification, by its name on the bus.
    #[track_caller]
    pub fn owner(&self, id: u32) -> String {
        let owner = self.seen().shown.get(&id).cloned();
        owner.unwrap_or_else(|| panic!("notification {id} isn't on the screen"))
    }

    /// The service tells this program of a click on something that isn't on the screen.
    pub fn click_nothing(&self, owner: &str, id: u32, action: &str) {
        self.emit("clicking nothing", owner, async |emitter| {
            FakeNotifications::action_invoked(&emitter, id, action).await
        });
    }

    /// The ids of what is on the screen now.
    pub fn shown(&self) -> Vec<u32> {
        self.seen().shown.keys().copied().collect()
    }

    /// The user clicks a notification, or its button `action`; the service hands over a token for raising windows
    /// first. The notification stays, as it does for a resident one: see [`Desktop::dismiss`].
    #[track_caller]
    pub fn click(&self, id: u32, action: &str) {
        let owner = self.owner(id);
        self.wait_heard(&owner);
        self.emit("clicking a notification", &owner, async |emitter| {
            // notify-rust misses what comes right behind another signal.
            if SPEAKS_DBUS {
                FakeNotifications::activation_token(&emitter, id, &format!("token-{id}")).await?;
            }
            FakeNotifications::action_invoked(&emitter, id, action).await
        });
    }

    /// Waits until this program hears what becomes of its notification: notify-rust begins to listen only after it has
    /// shown one.
    #[track_caller]
    fn wait_heard(&self, program: &str) {
        if SPEAKS_DBUS {
            return;
        }
        let statistics = Place { interface: "org.freedesktop.DBus.Debug.Stats", ..Place::BUS };
        wait_until("the program to listen to its notification", || {
            let rules: HashMap<String, Vec<String>> = self.ask_bus(statistics, "GetAllMatchRules", &()).ok()?;
            // A program of the tests itself listens to everything.
            let is_heard = |rule: &String| rule.contains("NotificationClosed") || !rule.contains("member=");
            holds(rules.get(program).is_none_or(|rules| rules.iter().any(is_heard)))
        });
        // One that has left the bus hears nothing any more.
        let Ok(pid) = self.ask_bus::<_, u32>(Place::BUS, "GetConnectionUnixProcessID", &program) else { return };
        // The bus has answered it by now; when it rests it has heard that, too.
        wait_until("the program to rest", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            holds(stat.rsplit(") ").next().is_none_or(|rest| !rest.starts_with('R')))
        });
    }

    #[track_caller]
    fn ask_bus<A, R>(&self, place: Place<'_>, method: &str, arguments: &A) -> zbus6::Result<R>
    where
        A: Serialize + DynamicType,
        R: for<'d> DynamicDeserialize<'d>,
    {
        let connection = self.notifications.as_ref().expect("the notification service is running");
        let asked = bus::call(connection, place, method, arguments);
        self.background.wait(method, asked)
    }

    /// The user closes a notification.
    #[track_caller]
    pub fn dismiss(&self, id: u32) {
        self.close(id, 2);
    }

    /// A notification's time is over.
    #[track_caller]
    pub fn expire(&self, id: u32) {
        self.close(id, 1);
    }

    #[track_caller]
    fn close(&self, id: u32, reason: u32) {
        let owner = self.owner(id);
        self.wait_heard(&owner);
        self.seen().shown.remove(&id);
        self.emit("closing a notification", &owner, async |emitter| {
            FakeNotifications::notification_closed(&emitter, id, reason).await
        });
    }

    fn emit(&self, what: &str, owner: &str, send: impl AsyncFnOnce(SignalEmitter<'_>) -> zbus6::Result<()>) {
        let connection = self.notifications.as_ref().expect("the notification service is running");
        let emitter = SignalEmitter::new(connection, notifications::PATH).expect("a valid path");
        let emitter = notifications::to_owner(emitter, owner);
        self.background.wait(what, send(emitter)).expect("the bus takes the signal");
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no test failed while it held this")
    }

    // ---- the tray

    /// Starts the tray host; programs that wait for one now register their items.
    pub fn start_tray(&mut self) {
        self.stop_tray();
        let start = watcher::start(&self.address, Arc::clone(&self.items));
        self.watcher = Some(self.background.wait("starting the tray host", start));
    }

    /// Ends the tray host as a crash does.
    pub fn stop_tray(&mut self) {
        disconnect(&self.background, self.watcher.take());
        *self.items.lock().expect("no test failed while it held this") = Items::default();
    }

    /// The item in the tray; waits until there is one.
    #[track_caller]
    pub fn tray(&self) -> TrayItem {
        let address = wait_until("an item in the tray", || self.tray_items().pop());
        let connection = self.watcher.clone().expect("the tray host is running");
        TrayItem::new(address, connection, Arc::clone(&self.background))
    }

    /// The bus names of what is in the tray now, oldest first.
    pub fn tray_items(&self) -> Vec<String> {
        self.items.lock().expect("no test failed while it held this").registered.clone()
    }

    /// Waits until the tray is empty: the program that had an item there is gone.
    #[track_caller]
    pub fn wait_tray_empty(&self) {
        wait_until("the tray to be empty", || self.tray_items().is_empty().then_some(()));
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        self.stop_notifications();
        self.stop_tray();
    }
}

fn disconnect(background: &Background, connection: Option<Connection>) {
    if let Some(connection) = connection {
        // An error says that the bus was gone first.
        let _ = background.wait("leaving the bus", connection.close());
    }
}
