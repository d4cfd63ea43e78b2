//! A systemd scope of its own for a program that we started and that is to outlive us.
//!
//! Where systemd runs us as a service or scope of the session, it ends with us whatever is in our control group
//! (`KillMode=control-group`). Nothing else would take the mail program out of it.

use tokio::time::timeout;
use zbus::Connection;
use zbus::zvariant::Value;

use super::{PATIENCE, owner};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// Asks the session's systemd, if there is one, to move the process.
pub async fn adopt(connection: Connection, pid: u32) {
    let Some(systemd) = owner(&connection, SYSTEMD).await else { return };
    let name = format!("app-mailknock-open-{pid}.scope");
    let properties = vec![
        ("PIDs", Value::from(vec![pid])),
        ("Slice", Value::from("app.slice")),
        ("CollectMode", Value::from("inactive-or-failed")),
        ("Description", Value::from("Mail, opened by Mailknock")),
    ];
    let none: Vec<(&str, Vec<(&str, Value<'_>)>)> = Vec::new();
    let arguments = (&name, "fail", properties, none);
    let asked = connection.call_method(Some(&systemd), PATH, Some(MANAGER), "StartTransientUnit", &arguments);
    match timeout(PATIENCE, asked).await {
        Ok(Ok(_)) => tracing::debug!("{name} lives on by itself"),
        Ok(Err(error)) => tracing::debug!("no {name}, so what was opened may end with us: {error}"),
        Err(_) => tracing::debug!("no {name}, so what was opened may end with us: systemd does not answer"),
    }
}
