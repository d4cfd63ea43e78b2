//! Whether the session is started at login: its files are read and written here, at once, since they are small.

use super::{Input, Session};
use crate::autostart::{Autostart, TELL_SYSTEMD, Way};
use crate::process;

impl Session {
    /// Before the menu is first shown.
    pub(super) fn stand_at_login(&mut self) {
        self.app.autostart_is(Ok(self.autostart.as_ref().map(Autostart::is_enabled)));
    }

    pub(super) fn look_at_autostart(&mut self) {
        if let Some(autostart) = &self.autostart {
            let state = autostart.is_enabled();
            self.turn([Input::Autostart(Ok(Some(state)))]);
        }
    }

    pub(super) fn start_at_login(&mut self, wanted: bool) {
        let Some(autostart) = &self.autostart else { return };
        let changed = if wanted { autostart.enable(Way::Desktop) } else { autostart.disable() };
        match changed {
            Ok(changed) => {
                tracing::info!("start at login: {}", if wanted { "enabled" } else { "disabled" });
                if changed.units
                    && let Err(why) = process::start_detached(&TELL_SYSTEMD.map(str::to_owned), &[])
                {
                    tracing::debug!("systemd sees it at the next login: {why}");
                }
            }
            Err(why) => self.turn([Input::Autostart(Err(why.to_string()))]),
        }
        self.look_at_autostart();
    }
}
