//! The notification service (Desktop Notifications Specification 1.3) and which of its ids are ours.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use zbus::Connection;
use zbus::proxy::CacheProperties;
use zbus::zvariant::Value;

use super::{PATIENCE, disturb};
use crate::desktop::icons::{Picture, mailknock};
use crate::desktop::note::{Caps, Note, rendered, without_nul};
use crate::desktop::showing::{ShowError, Waiting};
use crate::desktop::{ClosedBy, Slot};

pub const SERVICE: &str = "org.freedesktop.Notifications";
pub const PATH: &str = "/org/freedesktop/Notifications";
/// A summary changes at most four times a second, however much comes.
const BETWEEN_CHANGES: Duration = Duration::from_millis(250);

#[zbus::proxy(
    crate = "zbus",
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications",
    gen_blocking = false
)]
pub trait Notifications {
    #[expect(clippy::too_many_arguments, reason = "the specification's signature")]
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: HashMap<&str, Value<'_>>,
        expire_timeout: i32,
    ) -> zbus::Result<u32>;
    fn close_notification(&self, id: u32) -> zbus::Result<()>;
    fn get_capabilities(&self) -> zbus::Result<Vec<String>>;
    /// Name, vendor, version, version of the specification.
    fn get_server_information(&self) -> zbus::Result<(String, String, String, String)>;
    #[zbus(signal)]
    fn action_invoked(&self, id: u32, action_key: String) -> zbus::Result<()>;
    #[zbus(signal)]
    fn activation_token(&self, id: u32, activation_token: String) -> zbus::Result<()>;
    #[zbus(signal)]
    fn notification_closed(&self, id: u32, reason: u32) -> zbus::Result<()>;
}

/// One life of the notification service: ids are forgotten with it.
pub struct Popups {
    proxy: NotificationsProxy<'static>,
    shown: HashMap<Slot, Shown>,
    caps: Option<Caps>,
    /// A token comes just before the click that it is for.
    token: Option<(u32, String)>,
    pub waiting: Waiting,
}

struct Shown {
    id: u32,
    at: Instant,
}

impl Popups {
    pub async fn new(connection: &Connection) -> zbus::Result<Self> {
        let proxy = NotificationsProxy::builder(connection).cache_properties(CacheProperties::No).build().await?;
        Ok(Self { proxy, shown: HashMap::new(), caps: None, token: None, waiting: Waiting::default() })
    }

    pub fn proxy(&self) -> &NotificationsProxy<'static> {
        &self.proxy
    }

    /// A new service begins: nothing that we know of is on its screen.
    pub fn forget(&mut self) {
        self.shown.clear();
        self.caps = None;
        self.token = None;
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

    pub async fn show(&mut self, slot: Slot, note: &Note) -> Result<(), ShowError> {
        // This is newer than what waits.
        self.waiting.remove(slot);
        let caps = match &self.caps {
            Some(caps) => caps.clone(),
            None => {
                let names = answered(self.proxy.get_capabilities()).await?;
                self.caps.insert(Caps::from_names(&names)).clone()
            }
        };
        let rendered = rendered(note, &caps);
        let mut hints =
            HashMap::from([("category", Value::from("email.arrived")), ("urgency", Value::from(rendered.urgency))]);
        // GNOME takes down what belongs to a program of its list as soon as who showed it leaves the bus
        // (`_onNameVanished` in its notificationDaemon.js).
        if note.open_label.is_some() {
            hints.insert("desktop-entry", Value::from("mailknock"));
        }
        if note.icon.is_none() {
            hints.insert("image-data", image_data(mailknock()));
        }
        // Plasma writes it beside the program's name. (`x-kde-display-appname` would take that name's place.)
        let account = note.account.as_deref().map(without_nul);
        if let Some(account) = &account {
            hints.insert("x-kde-origin-name", Value::from(account.as_str()));
        }
        match &rendered.sound {
            Some(sound) if !disturb::is_on(self.proxy.inner().connection()).await? => {
                hints.insert("sound-name", Value::from(sound.as_str()));
            }
            _ if caps.sound => {
                hints.insert("suppress-sound", Value::from(true));
            }
            _ => {}
        }
        let replaces = self.shown.get(&slot).map_or(0, |shown| shown.id);
        let summary = without_nul(&rendered.summary);
        let body = without_nul(&rendered.body);
        let actions: Vec<&str> = rendered.actions.iter().map(String::as_str).collect();
        let icon = note.icon.as_deref().unwrap_or_default();
        let sent =
            self.proxy.notify("Mailknock", replaces, icon, &summary, &body, &actions, hints, rendered.expire_timeout);
        let id = answered(sent).await?;
        self.shown.insert(slot, Shown { id, at: Instant::now() });
        Ok(())
    }

    /// Fails only where the service is silent.
    pub async fn withdraw(&mut self, slot: Slot) -> Result<(), ShowError> {
        let Some(shown) = self.shown.remove(&slot) else { return Ok(()) };
        match answered(self.proxy.close_notification(shown.id)).await {
            Err(ShowError::Silent) => Err(ShowError::Silent),
            // One that is closed already is an error for some services and what we wanted for us.
            _ => Ok(()),
        }
    }

    pub fn closed(&mut self, id: u32, reason: u32) -> Option<(Slot, ClosedBy)> {
        let slot = self.slot(id)?;
        self.shown.remove(&slot);
        let by = match reason {
            1 => ClosedBy::Expiry,
            2 => ClosedBy::User,
            3 => ClosedBy::Us,
            _ => ClosedBy::Other,
        };
        Some((slot, by))
    }

    pub fn token(&mut self, id: u32, token: String) {
        if self.slot(id).is_some() {
            self.token = Some((id, token));
        }
    }

    /// A click counts once: the popup has done its work with it, and is to be withdrawn.
    pub fn clicked(&mut self, id: u32) -> Option<(Slot, Option<String>)> {
        let slot = self.slot(id)?;
        let token = self.token.take().filter(|(of, _)| *of == id).map(|(_, token)| token);
        Some((slot, token))
    }

    fn slot(&self, id: u32) -> Option<Slot> {
        self.shown.iter().find(|(_, shown)| shown.id == id).map(|(slot, _)| *slot)
    }
}

/// The answer within the time we have for it.
pub async fn answered<T>(call: impl Future<Output = zbus::Result<T>>) -> Result<T, ShowError> {
    match timeout(PATIENCE, call).await {
        Err(_) => Err(ShowError::Silent),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(zbus::Error::MethodError(name, text, _))) => Err(ShowError::answered(&name, text)),
        Ok(Err(error)) => Err(ShowError::ServiceAbsent(error.to_string())),
    }
}

fn image_data(picture: Picture) -> Value<'static> {
    let (width, height) = (i32::from(picture.width), i32::from(picture.height));
    Value::new((width, height, width * 4, true, 8_i32, 4_i32, picture.rgba))
}
