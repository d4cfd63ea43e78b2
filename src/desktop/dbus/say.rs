//! The one popup of a program that ends then, on a connection of its own.

use tokio::time::timeout;
use zbus::Connection;

use super::PATIENCE;
use super::notifications::Popups;
use crate::desktop::Slot;
use crate::desktop::note::Note;
use crate::desktop::showing::in_words;

const ONLY: Slot = Slot(1);

pub async fn say(note: &Note) -> Result<(), String> {
    // All of it together: somebody waits for the end.
    timeout(PATIENCE, show(note)).await.unwrap_or_else(|_| Err("the desktop does not answer".to_owned()))
}

async fn show(note: &Note) -> Result<(), String> {
    let no_bus = |error: zbus::Error| format!("no session bus: {error}");
    let connection = Connection::session().await.map_err(no_bus)?;
    let mut popups = Popups::new(&connection).await.map_err(no_bus)?;
    let shown = popups.show(ONLY, note).await;
    // What is shown stays when we go, and at our end it closes by itself.
    let _ = connection.close().await;
    in_words(shown)
}
