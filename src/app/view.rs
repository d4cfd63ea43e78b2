//! How things stand, for the tray, the menu and whoever asks.

use super::*;

impl App {
    pub(super) fn refresh_tray(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.wanted.tray || !self.tray_stale || self.stopping {
            return;
        }
        if matches!(&self.tray_shown, Some((_, shown)) if now.instant.duration_since(*shown) < TRAY_PERIOD) {
            return;
        }
        self.tray_stale = false;
        let view = tray_view(&self.status(), self.config.tray.theme);
        if self.tray_shown.as_ref().is_none_or(|(shown, _)| *shown != view) {
            self.tray_shown = Some((view.clone(), now.instant));
            effects.push(Effect::Desktop(Request::Tray(view)));
        }
    }

    pub(super) fn notifies_anybody(&self) -> bool {
        self.config.handlers.iter().any(|handler| handler.is_notify())
    }

    /// Folders whose new mail would be shown, as far as their server tells how full they are.
    pub(super) fn mailboxes(&self) -> Vec<Mailbox> {
        let is_shown = |user: &str, folder: &str| {
            let mut mail = Event::new(EventKind::MessageNew, user);
            mail.folder = Some(folder.to_owned());
            !self.notifies_anybody() || route(&self.config.handlers, &mail).any(|handler| handler.is_notify())
        };
        let shown = self.unseen.counts().filter(|(user, folder, _)| is_shown(user, folder));
        shown
            .map(|(user, folder, unseen)| Mailbox { user: user.to_owned(), folder: folder.to_owned(), unseen })
            .collect()
    }

    pub fn status(&self) -> Status {
        let handlers = self.dispatcher.status();
        let failed = handlers.iter().filter_map(|handler| {
            let last = handler.last.as_ref().filter(|last| !last.succeeded)?;
            let said = if last.last_line.is_empty() { String::new() } else { format!(": {}", last.last_line) };
            Some(format!("{}: {}{said}", handler.name, last.result))
        });
        let tunnels = self.tunnels.iter().filter_map(TunnelStatus::problem);
        let record = self.record_fault.as_ref().map(ToString::to_string);
        let recent = self.store.recent().filter(|entry| !entry.event.is_noise()).map(|entry| Recent {
            entry: entry.id,
            at: entry.at,
            account: self.config.accounts.label(&entry.event.user).map(str::to_owned),
            who: who(&entry.event),
            what: what(&entry.event),
            is_unread: entry.event.is_new_mail() && !entry.read && self.unseen.is_tracked(&entry.event.user),
        });
        Status {
            now: self.wall,
            new: self.new.count,
            looked: self.looked,
            unseen: self.mailboxes(),
            paused: self.paused(),
            recent: recent.take(self.config.tray.recent).collect(),
            recent_slots: self.config.tray.recent,
            problems: self
                .config_problems
                .iter()
                .chain(&self.standing_problems)
                .chain(&self.listener_problems)
                .cloned()
                .chain(tunnels)
                .chain(record)
                .chain(failed)
                .collect(),
            handlers,
            tunnels: self.tunnels.clone(),
            has_configuration: self.config_file.is_some(),
            starts_at_login: self.starts_at_login,
        }
    }
}
