//! Whether there is anybody who shows popups and icons.

#[cfg(not(any(windows, target_os = "macos")))]
mod bus;
#[cfg(any(windows, target_os = "macos"))]
mod always;

#[cfg(any(windows, target_os = "macos"))]
pub use always::Presence;
#[cfg(not(any(windows, target_os = "macos")))]
pub use bus::{Presence, why};

#[cfg_attr(any(windows, target_os = "macos"), expect(dead_code, reason = "there nothing of this ever happens"))]
pub enum Change {
    Notifications { had_owner: bool, has_owner: bool },
    PanelCame,
    PanelWent,
    BusGone,
}
