//! What a look at the session bus found, in words for somebody who wants to know why nothing is shown.

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

/// The notification service.
pub enum Service {
    Absent,
    /// The bus can start one.
    Startable,
    Runs {
        /// And its version.
        name: String,
        capabilities: Vec<String>,
    },
    /// It is there; this is why it is of no use.
    Fails(String),
}

/// The part of the panel that collects icons.
pub enum Panel {
    Absent,
    /// Icons are collected for nobody.
    Blind,
    Shows,
    Fails(String),
}

pub fn bus(found: Result<(), String>) -> Finding {
    match found {
        Ok(()) => Finding::ok(BUS, "answers"),
        Err(why) => Finding::warning(BUS, why).advise(
            "without one there are no notifications and no tray icon; all else works. In a desktop session, see that \
                DBUS_SESSION_BUS_ADDRESS is set where Mailknock starts",
        ),
    }
}

/// An error is one of the bus, which didn't tell.
pub fn notifications(service: Result<Service, String>) -> Finding {
    match service {
        Err(why) => Finding::unknown(NOTIFICATIONS, why),
        Ok(Service::Absent) => Finding::warning(NOTIFICATIONS, "there is no notification service")
            .advise("start one, such as dunst or mako, or that of your desktop"),
        Ok(Service::Startable) => Finding::ok(NOTIFICATIONS, "the service starts with the first one"),
        Ok(Service::Runs { name, capabilities }) => {
            Finding::ok(NOTIFICATIONS, one_line(&format!("{name}{}", abilities(&capabilities))))
        }
        Ok(Service::Fails(why)) => Finding::failed(NOTIFICATIONS, format!("the service is there, but fails: {why}"))
            .advise("restart it; what waits meanwhile becomes one summary"),
    }
}

/// As above.
pub fn tray(panel: Result<Panel, String>) -> Finding {
    let advice =
        "add one to your panel; GNOME needs the AppIndicator extension. All that the icon does, commands do too";
    match panel {
        Err(why) => Finding::unknown(TRAY, why),
        Ok(Panel::Absent) => Finding::warning(TRAY, "there is no panel with a tray").advise(advice),
        Ok(Panel::Blind) => Finding::warning(TRAY, "icons are collected, but no panel shows them").advise(advice),
        Ok(Panel::Shows) => Finding::ok(TRAY, "a panel shows icons"),
        Ok(Panel::Fails(why)) => Finding::failed(TRAY, format!("the panel's tray is there, but fails: {why}"))
            .advise("restart the panel; the icon comes back with it"),
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
