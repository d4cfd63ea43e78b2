//! On Windows and macOS: the system itself does, always.

use std::future::pending;

use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};

use super::Change;
use crate::desktop::Availability;
use crate::desktop::note::Caps;
use crate::desktop::showing::ShowError;

const BETWEEN_TRIES: Duration = Duration::from_secs(60);

pub struct Presence(());

impl Presence {
    pub async fn look() -> Result<Self, String> {
        Ok(Self(()))
    }

    pub fn notifications(&self) -> Availability {
        Availability::Here
    }

    pub fn tray(&self) -> Availability {
        Availability::Here
    }

    /// Whether a popup would start a service that isn't there.
    pub fn can_start_notifications(&self) -> bool {
        false
    }

    pub async fn change(&mut self) -> Change {
        pending().await
    }

    pub async fn has_our_icon(&self) -> bool {
        true
    }

    pub async fn capabilities(&self) -> Result<Caps, ShowError> {
        Ok(Caps { body: true, body_markup: false, actions: true, sound: true })
    }

    /// Ends when a service that is silent is worth another try: here nobody can be asked whether it answers again.
    pub fn wait_for_an_answer(&self) -> JoinHandle<()> {
        tokio::spawn(sleep(BETWEEN_TRIES))
    }
}
