//! No desktop: every part of it is told to be absent, and the program goes on without.

use std::process::ExitCode;

use tokio::sync::mpsc;

use super::note::Note;
use super::{Availability, DesktopEvent, PowerRequest, Request, Wanted};
use crate::finding::Finding;

const WHY: &str = "this build has no desktop backend";

pub async fn survey(_wanted: Wanted) -> Vec<Finding> {
    vec![Finding::warning("desktop", WHY)]
}

pub async fn say(_note: &Note) -> Result<(), String> {
    Err(WHY.to_owned())
}

/// Nothing is handed over.
#[derive(Debug)]
pub struct Handed(());

pub fn main<R: Future<Output = ExitCode>>(program: impl FnOnce(Handed) -> R) -> ExitCode {
    super::without_icon(program(Handed(())))
}

pub async fn carry(
    _handed: Handed,
    wanted: Wanted,
    mut requests: mpsc::UnboundedReceiver<Request>,
    events: mpsc::UnboundedSender<DesktopEvent>,
) {
    let why = || Availability::Absent(WHY.to_owned());
    if wanted.notifications {
        let _ = events.send(DesktopEvent::Notifications(why()));
    }
    if wanted.tray {
        let _ = events.send(DesktopEvent::Tray(why()));
    }
    while requests.recv().await.is_some() {}
}

/// Nobody tells us of sleep or locks.
pub async fn power(mut requests: mpsc::UnboundedReceiver<PowerRequest>, _events: mpsc::UnboundedSender<DesktopEvent>) {
    while requests.recv().await.is_some() {}
}
