//! On Linux and the BSDs: what comes and goes on the session bus.

use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zbus6::fdo::{DBusProxy, NameOwnerChangedStream};
use zbus6::{Connection, OwnedVariant, wire};

use super::Change;
use crate::desktop::Availability;
use crate::desktop::attempts::PATIENCE;
use crate::desktop::findings::{Panel, Service};
use crate::desktop::note::Caps;
use crate::desktop::showing::ShowError;
use crate::mime::one_line;

const SERVICE: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
const WATCHER: &str = "org.kde.StatusNotifierWatcher";
const WATCHER_PATH: &str = "/StatusNotifierWatcher";

pub struct Presence {
    connection: Connection,
    service: NameOwnerChangedStream,
    watcher: NameOwnerChangedStream,
    has_service: bool,
    has_watcher: bool,
    /// Whether the bus starts a service for a popup.
    activatable: bool,
}

impl Presence {
    pub async fn look() -> Result<Self, String> {
        Self::open().await.map_err(|error| format!("no session bus: {error}"))
    }

    async fn open() -> zbus6::Result<Self> {
        let connection = Connection::session().await?;
        let bus = DBusProxy::new(&connection).await?;
        let service = bus.receive_name_owner_changed_with_args(&[(0, SERVICE)]).await?;
        let watcher = bus.receive_name_owner_changed_with_args(&[(0, WATCHER)]).await?;
        let has_service = bus.name_has_owner(SERVICE.try_into()?).await?;
        let has_watcher = bus.name_has_owner(WATCHER.try_into()?).await?;
        let activatable = bus.list_activatable_names().await?.iter().any(|name| name.as_str() == SERVICE);
        Ok(Self { connection, service, watcher, has_service, has_watcher, activatable })
    }

    pub fn notifications(&self) -> Availability {
        match self.has_service || self.activatable {
            true => Availability::Here,
            false => Availability::Absent("no notification service".to_owned()),
        }
    }

    pub fn tray(&self) -> Availability {
        match self.has_watcher {
            true => Availability::Here,
            false => Availability::Absent("no panel with a tray".to_owned()),
        }
    }

    /// Whether a popup would start a service that isn't there.
    pub fn can_start_notifications(&self) -> bool {
        self.activatable
    }

    pub async fn change(&mut self) -> Change {
        loop {
            tokio::select! {
                signal = self.service.next() => {
                    let Some(signal) = signal else { return Change::BusGone };
                    let Ok(arguments) = signal.args() else { continue };
                    let (had_owner, has_owner) = (arguments.old_owner.is_some(), arguments.new_owner.is_some());
                    return Change::Notifications { had_owner, has_owner };
                }
                signal = self.watcher.next() => {
                    let Some(signal) = signal else { return Change::BusGone };
                    let Ok(arguments) = signal.args() else { continue };
                    return if arguments.new_owner.is_some() { Change::PanelCame } else { Change::PanelWent };
                }
            }
        }
    }

    /// Whether the panel knows of our icon. One that doesn't say is believed to.
    pub async fn has_our_icon(&self) -> bool {
        // As ksni names it.
        let ours = format!("-{}-", std::process::id());
        match answered(self.property::<Vec<String>>("RegisteredStatusNotifierItems")).await {
            Ok(items) => items.iter().any(|item| item.contains(&ours)),
            Err(_) => true,
        }
    }

    pub async fn capabilities(&self) -> Result<Caps, ShowError> {
        let names: Vec<String> = answered(ask(self.connection.clone(), "GetCapabilities")).await?;
        Ok(Caps::from_names(&names))
    }

    /// What there is to show popups, asked anew.
    pub async fn service(&self) -> Service {
        match (self.has_service, self.activatable) {
            (true, _) => {}
            (false, true) => return Service::Startable,
            (false, false) => return Service::Absent,
        }
        type Information = (String, String, String, String);
        let asked = async {
            let (name, _, version, _): Information = ask(self.connection.clone(), "GetServerInformation").await?;
            Ok((format!("{name} {version}"), ask(self.connection.clone(), "GetCapabilities").await?))
        };
        match answered(asked).await {
            Ok((name, capabilities)) => Service::Runs { name, capabilities },
            Err(error) => Service::Fails(in_words(error)),
        }
    }

    /// What there is to show an icon, asked anew.
    pub async fn panel(&self) -> Panel {
        if !self.has_watcher {
            return Panel::Absent;
        }
        match answered(self.property("IsStatusNotifierHostRegistered")).await {
            Ok(true) => Panel::Shows,
            Ok(false) => Panel::Blind,
            Err(error) => Panel::Fails(in_words(error)),
        }
    }

    /// A property of the panel's watcher.
    async fn property<T: TryFrom<OwnedVariant>>(&self, name: &str) -> zbus6::Result<T> {
        let properties = Some("org.freedesktop.DBus.Properties");
        let asked = (WATCHER, name);
        let answer = self.connection.call_method(Some(WATCHER), WATCHER_PATH, properties, "Get", &asked).await?;
        let value: OwnedVariant = answer.body().deserialize()?;
        T::try_from(value).map_err(|_| zbus6::Error::Failure(format!("`{name}` has an unexpected type")))
    }

    /// Ends when a service that is silent answers again.
    pub fn wait_for_an_answer(&self) -> JoinHandle<()> {
        let connection = self.connection.clone();
        tokio::spawn(async move {
            // One that is gone is told otherwise.
            let _ = ask::<Vec<String>>(connection, "GetCapabilities").await;
        })
    }
}

async fn ask<T: DeserializeOwned + wire::Type>(connection: Connection, method: &str) -> zbus6::Result<T> {
    let answer = connection.call_method(Some(SERVICE), PATH, Some(SERVICE), method, &()).await?;
    answer.body().deserialize()
}

fn in_words(error: ShowError) -> String {
    match error {
        ShowError::Silent => "no answer in time".to_owned(),
        ShowError::ServiceAbsent(why) | ShowError::Refused(why) | ShowError::TooSoon(why) => one_line(&why),
    }
}

/// The answer within the time we have for it.
async fn answered<T>(call: impl Future<Output = zbus6::Result<T>>) -> Result<T, ShowError> {
    match timeout(PATIENCE, call).await {
        Err(_) => Err(ShowError::Silent),
        Ok(answer) => answer.map_err(|error| why(&error.to_string())),
    }
}

/// Why the service, or the bus in its place, said no. notify-rust shows of an error no more than its text, which begins
/// with the error's name where somebody answered with one.
pub fn why(text: &str) -> ShowError {
    match text.split_once(": ") {
        Some((name, why)) if name.contains('.') && !name.contains(' ') => {
            ShowError::answered(name, Some(why.to_owned()))
        }
        _ => ShowError::ServiceAbsent(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_known_by_the_name_that_its_text_begins_with() {
        let failed = zbus6::Error::from(zbus6::fdo::Error::Failed("not now: busy".into()));
        assert!(matches!(why(&failed.to_string()), ShowError::Refused(why) if why == "not now: busy"));
        let unknown = zbus6::Error::from(zbus6::fdo::Error::ServiceUnknown("nobody".into()));
        assert!(matches!(why(&unknown.to_string()), ShowError::ServiceAbsent(why) if why == "nobody"));
        let repeat = "org.freedesktop.Notifications.Error.ExcessNotificationGeneration: too many";
        assert!(matches!(why(repeat), ShowError::TooSoon(why) if why == "too many"));
        assert!(matches!(why("I/O error: broken pipe"), ShowError::ServiceAbsent(_)), "the bus is gone");
    }
}
