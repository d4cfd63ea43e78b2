//! What there is of a desktop now, for somebody who wants to know why nothing is shown.
//!
//! Only what runs is asked anything: a question to a service that doesn't would start it.

use tokio::time::timeout;
use zbus::Connection;
use zbus::fdo::DBusProxy;
use zbus::proxy::CacheProperties;

use super::PATIENCE;
use super::notifications::{NotificationsProxy, SERVICE};
use super::session::WATCHER;
use crate::desktop::Wanted;
use crate::finding::Finding;
use crate::mime::one_line;

const BUS: &str = "session bus";
const NOTIFICATIONS: &str = "notifications";
const TRAY: &str = "tray";
/// What makes a difference to what we show, and what is missing without it.
const CAPABILITIES: [(&str, &str); 3] = [
    ("actions", "clicks do nothing"),
    ("body-markup", "texts are shown plainly"),
    ("persistence", "popups that are over are not kept in a list"),
];

#[zbus::proxy(
    interface = "org.kde.StatusNotifierWatcher",
    default_service = "org.kde.StatusNotifierWatcher",
    default_path = "/StatusNotifierWatcher",
    gen_blocking = false
)]
trait Watcher {
    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> zbus::Result<bool>;
}

pub async fn survey(wanted: Wanted) -> Vec<Finding> {
    let connected = async {
        let connection = Connection::session().await?;
        let bus = DBusProxy::new(&connection).await?;
        zbus::Result::Ok((connection, bus))
    };
    let (connection, bus) = match answered(connected).await {
        Ok(connected) => connected,
        Err(why) => {
            let advice = "without one there are no notifications and no tray icon; all else works. In a desktop session, \
                see that DBUS_SESSION_BUS_ADDRESS is set where Mailknock starts";
            return vec![Finding::warning(BUS, why).advise(advice)];
        }
    };
    let mut found = vec![Finding::ok(BUS, "answers")];
    if wanted.notifications {
        found.push(notifications(&connection, &bus).await);
    }
    if wanted.tray {
        found.push(tray(&connection, &bus).await);
    }
    // At our end it closes by itself.
    let _ = timeout(PATIENCE, connection.close()).await;
    found
}

async fn notifications(connection: &Connection, bus: &DBusProxy<'_>) -> Finding {
    let advice = "start one, such as dunst or mako, or that of your desktop";
    match has_owner(bus, SERVICE).await {
        Err(why) => return Finding::unknown(NOTIFICATIONS, why),
        Ok(true) => {}
        Ok(false) => {
            let names = answered(async { Ok(bus.list_activatable_names().await?) }).await;
            return match names.is_ok_and(|names| names.iter().any(|name| name.as_str() == SERVICE)) {
                true => Finding::ok(NOTIFICATIONS, "the service starts with the first one"),
                false => Finding::warning(NOTIFICATIONS, "there is no notification service").advise(advice),
            };
        }
    }
    let asked = async {
        let proxy = NotificationsProxy::builder(connection).cache_properties(CacheProperties::No).build().await?;
        let (name, _, version, _) = proxy.get_server_information().await?;
        Ok((format!("{name} {version}"), proxy.get_capabilities().await?))
    };
    match answered(asked).await {
        Ok((service, names)) => Finding::ok(NOTIFICATIONS, one_line(&format!("{service}{}", abilities(&names)))),
        Err(why) => Finding::failed(NOTIFICATIONS, format!("the service is there, but fails: {why}"))
            .advise("restart it; what waits meanwhile becomes one summary"),
    }
}

/// `, with actions; without body-markup (texts are shown plainly)`.
fn abilities(names: &[String]) -> String {
    let (with, without): (Vec<_>, Vec<_>) =
        CAPABILITIES.iter().partition(|(capability, _)| names.iter().any(|name| name == capability));
    let with: Vec<&str> = with.iter().map(|(name, _)| *name).collect();
    let without: Vec<String> = without.iter().map(|(name, loss)| format!("{name} ({loss})")).collect();
    let mut text = String::new();
    if !with.is_empty() {
        text = format!(", with {}", with.join(", "));
    }
    if !without.is_empty() {
        text += &format!("; without {}", without.join(", "));
    }
    text
}

async fn tray(connection: &Connection, bus: &DBusProxy<'_>) -> Finding {
    let advice =
        "add one to your panel; GNOME needs the AppIndicator extension. All that the icon does, commands do too";
    match has_owner(bus, WATCHER).await {
        Err(why) => return Finding::unknown(TRAY, why),
        Ok(true) => {}
        Ok(false) => return Finding::warning(TRAY, "there is no panel with a tray").advise(advice),
    }
    let asked = async {
        let watcher = WatcherProxy::builder(connection).cache_properties(CacheProperties::No).build().await?;
        watcher.is_status_notifier_host_registered().await
    };
    match answered(asked).await {
        Ok(true) => Finding::ok(TRAY, "a panel shows icons"),
        Ok(false) => Finding::warning(TRAY, "icons are collected, but no panel shows them").advise(advice),
        Err(why) => Finding::failed(TRAY, format!("the panel's tray is there, but fails: {why}"))
            .advise("restart the panel; the icon comes back with it"),
    }
}

async fn has_owner(bus: &DBusProxy<'_>, name: &'static str) -> Result<bool, String> {
    answered(async { Ok(bus.name_has_owner(name.try_into()?).await?) }).await
}

/// The answer within the time we have for it, or why there is none.
async fn answered<T>(call: impl Future<Output = zbus::Result<T>>) -> Result<T, String> {
    match timeout(PATIENCE, call).await {
        Ok(answer) => answer.map_err(|error| one_line(&error.to_string())),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_with_what_it_costs() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            abilities(&names(&["actions", "body", "persistence"])),
            ", with actions, persistence; without body-markup (texts are shown plainly)"
        );
        assert_eq!(
            abilities(&names(&["actions", "body-markup", "persistence"])),
            ", with actions, body-markup, persistence"
        );
        assert!(abilities(&[]).starts_with("; without actions (clicks do nothing), "));
    }
}
