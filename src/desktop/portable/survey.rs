//! What there is of a desktop now, for somebody who wants to know why nothing is shown.

use crate::desktop::Wanted;
use crate::finding::Finding;

#[cfg(any(windows, target_os = "macos"))]
pub async fn survey(wanted: Wanted) -> Vec<Finding> {
    let mut found = Vec::new();
    if wanted.notifications {
        let said = "the system shows them unless its settings say otherwise; it can't be asked";
        found.push(Finding::unknown("notifications", said));
    }
    if wanted.tray {
        found.push(Finding::ok("tray", "the system has one"));
    }
    found
}

#[cfg(not(any(windows, target_os = "macos")))]
pub async fn survey(wanted: Wanted) -> Vec<Finding> {
    use crate::desktop::findings;

    let presence = match super::look().await {
        Ok(presence) => presence,
        Err(why) => return vec![findings::bus(Err(why))],
    };
    let mut found = vec![findings::bus(Ok(()))];
    if wanted.notifications {
        found.push(findings::notifications(Ok(presence.service().await)));
    }
    if wanted.tray {
        found.push(findings::tray(Ok(presence.panel().await)));
    }
    found
}
