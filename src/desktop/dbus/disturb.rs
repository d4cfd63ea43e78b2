//! The desktop's own do-not-disturb. It has no common form, and matters for sounds alone: popups are the service's to
//! hold. So it is asked about at the moment when a sound would be made, and never watched.

use tokio::time::timeout;
use zbus::Connection;
use zbus::names::OwnedUniqueName;
use zbus::zvariant::OwnedValue;

use super::notifications::{PATH, SERVICE, answered};
use super::{PATIENCE, owner};
use crate::desktop::showing::ShowError;

/// Plasma's, and dunst's: a property of the notification service, by its interface and name.
const OF_SERVICE: [(&str, &str); 2] = [(SERVICE, "Inhibited"), ("org.dunstproject.cmd0", "paused")];
/// Where xfce4-notifyd keeps its own.
const XFCE_SETTINGS: &str = "org.xfce.Xfconf";

/// Whether it is on; whoever doesn't know has it off. Fails only where the notification service is silent, which then has
/// not to be waited for again. Everybody is asked by the name that the bus gave it: nobody is started.
pub async fn is_on(connection: &Connection) -> Result<bool, ShowError> {
    let Some(service) = owner(connection, SERVICE).await else { return Ok(false) };
    let [plasma, dunst] = OF_SERVICE.map(|property| said_by(connection, &service, property));
    let (plasma, dunst, xfce) = futures_util::join!(plasma, dunst, xfce(connection));
    Ok(plasma? || dunst? || xfce)
}

async fn said_by(
    connection: &Connection,
    service: &OwnedUniqueName,
    property: (&str, &str),
) -> Result<bool, ShowError> {
    let properties = Some("org.freedesktop.DBus.Properties");
    match answered(connection.call_method(Some(service), PATH, properties, "Get", &property)).await {
        Ok(answer) => Ok(truth(&answer)),
        Err(ShowError::Silent) => Err(ShowError::Silent),
        Err(_) => Ok(false),
    }
}

async fn xfce(connection: &Connection) -> bool {
    let Some(settings) = owner(connection, XFCE_SETTINGS).await else { return false };
    let key = ("xfce4-notifyd", "/do-not-disturb");
    let asked = connection.call_method(Some(&settings), "/org/xfce/Xfconf", Some(XFCE_SETTINGS), "GetProperty", &key);
    timeout(PATIENCE, asked).await.is_ok_and(|answer| answer.is_ok_and(|answer| truth(&answer)))
}

fn truth(answer: &zbus::Message) -> bool {
    let value = answer.body().deserialize::<OwnedValue>();
    value.ok().and_then(|value| bool::try_from(value).ok()).unwrap_or(false)
}
