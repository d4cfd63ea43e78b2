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
use crate::desktop::findings::{self, Panel, Service};
use crate::finding::Finding;
use crate::mime::one_line;

#[zbus::proxy(
    crate = "zbus",
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
        Err(why) => return vec![findings::bus(Err(why))],
    };
    let mut found = vec![findings::bus(Ok(()))];
    if wanted.notifications {
        found.push(findings::notifications(service(&connection, &bus).await));
    }
    if wanted.tray {
        found.push(findings::tray(panel(&connection, &bus).await));
    }
    // At our end it closes by itself.
    let _ = timeout(PATIENCE, connection.close()).await;
    found
}

async fn service(connection: &Connection, bus: &DBusProxy<'_>) -> Result<Service, String> {
    if !has_owner(bus, SERVICE).await? {
        let names = answered(async { Ok(bus.list_activatable_names().await?) }).await;
        return Ok(match names.is_ok_and(|names| names.iter().any(|name| name.as_str() == SERVICE)) {
            true => Service::Startable,
            false => Service::Absent,
        });
    }
    let asked = async {
        let proxy = NotificationsProxy::builder(connection).cache_properties(CacheProperties::No).build().await?;
        let (name, _, version, _) = proxy.get_server_information().await?;
        Ok((format!("{name} {version}"), proxy.get_capabilities().await?))
    };
    Ok(match answered(asked).await {
        Ok((name, capabilities)) => Service::Runs { name, capabilities },
        Err(why) => Service::Fails(why),
    })
}

async fn panel(connection: &Connection, bus: &DBusProxy<'_>) -> Result<Panel, String> {
    if !has_owner(bus, WATCHER).await? {
        return Ok(Panel::Absent);
    }
    let asked = async {
        let watcher = WatcherProxy::builder(connection).cache_properties(CacheProperties::No).build().await?;
        watcher.is_status_notifier_host_registered().await
    };
    Ok(match answered(asked).await {
        Ok(true) => Panel::Shows,
        Ok(false) => Panel::Blind,
        Err(why) => Panel::Fails(why),
    })
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
