//! What people do on the desktop, and what the desktop does.

use super::*;
use crate::config::WhenLocked;
use crate::desktop::{ClosedBy, note};
use crate::dispatcher::last_line;

impl App {
    pub(super) fn on_desktop(&mut self, event: DesktopEvent, now: Now, effects: &mut Vec<Effect>) {
        match event {
            DesktopEvent::Notifications(availability) => self.notifications_changed(availability, now, effects),
            DesktopEvent::Tray(availability) => {
                if let (Availability::Absent(why), None) = (&availability, &self.tray) {
                    tracing::info!("no tray icon for now: {why}");
                }
                self.tray = Some(availability);
            }
            DesktopEvent::PopupShown { slot } => self.answered(slot, "shown", now),
            DesktopEvent::PopupFailed { slot, why } => {
                tracing::warn!("the notification service refused a popup: {why}");
                self.popups.closed(slot);
                self.answered(slot, &format!("not shown: {why}"), now);
            }
            DesktopEvent::PopupClosed { slot, by } => {
                self.popups.closed(slot);
                if by == ClosedBy::Us {
                    // One that was withdrawn before it was shown: its run is over too.
                    self.answered(slot, "not shown: withdrawn before", now);
                }
            }
            DesktopEvent::PopupAction { slot, action, activation_token } => {
                if let Some(button) = note::button(&action) {
                    self.button(slot, button, activation_token, effects);
                    self.popups.closed(slot);
                } else {
                    let entry = self.popups.closed(slot);
                    self.open(entry, activation_token, effects);
                }
            }
            DesktopEvent::Locked(by_screen_saver) => {
                self.lock_changed(Locked { by_screen_saver, ..self.locked }, effects);
            }
            DesktopEvent::SessionLocked(by_session) => {
                self.lock_changed(Locked { by_session, ..self.locked }, effects);
            }
            DesktopEvent::AboutToSleep => self.about_to_sleep(effects),
            DesktopEvent::Resumed => self.awake(Duration::ZERO, now, effects),
            DesktopEvent::MenuOpened => {
                self.looked = true;
                effects.push(Effect::LookAtAutostart);
            }
            DesktopEvent::TrayClicked { activation_token } => {
                self.looked = true;
                match self.config.tray.click {
                    Click::Fetch => self.fetch(None, activation_token, effects),
                    Click::Open => self.open(None, activation_token, effects),
                    Click::Pause => self.toggle_pause(Paused::UntilResumed),
                    Click::None => {}
                }
            }
            DesktopEvent::Chosen { choice, activation_token } => self.chosen(choice, activation_token, now, effects),
        }
    }

    fn chosen(&mut self, choice: Choice, activation_token: Option<String>, now: Now, effects: &mut Vec<Effect>) {
        match choice {
            Choice::Fetch => self.fetch(None, activation_token, effects),
            Choice::RunHandler(name) => self.fetch(Some(&name), activation_token, effects),
            Choice::OpenMail => self.open(None, activation_token, effects),
            Choice::OpenEntry(entry) => self.open(Some(entry), activation_token, effects),
            Choice::Pause(length) => self.pause(length, now),
            Choice::Resume => self.resume(),
            Choice::OpenConfiguration => {
                let file = self.config_file.clone();
                effects.extend(file.map(|file| Effect::OpenConfiguration { file, activation_token }));
            }
            Choice::ReloadConfiguration => effects.push(Effect::Reload { asked: Asked::ByUser, reply: None }),
            Choice::StartAtLogin(wanted) => effects.push(Effect::Autostart(wanted)),
            Choice::Quit => {
                self.stopping = true;
                effects.push(Effect::Stop);
            }
        }
    }

    pub(super) fn autostart_is(&mut self, told: Result<Option<bool>, String>) {
        match told {
            Ok(state) => self.starts_at_login = state,
            // Who clicked waits for the mark to change, and looks at the screen.
            Err(why) => {
                tracing::warn!(target: EACH_TIME, "start at login: {why}");
                let text = format!("Start at login was not changed.\n{why}");
                self.announcement = Some(Announcement::Trouble(text));
            }
        }
    }

    /// Who wanted to see the configuration looks at the screen.
    pub(super) fn not_opened(&mut self, why: &str) {
        tracing::warn!(target: EACH_TIME, "{why}");
        self.announcement = Some(Announcement::Trouble(why.to_owned()));
    }

    /// Runs the fetch handlers now, or the one named; where there are none, opens mail instead.
    fn fetch(&mut self, name: Option<&str>, activation_token: Option<String>, effects: &mut Vec<Effect>) {
        if name.is_none() && !self.config.can_fetch() {
            return self.open(None, activation_token, effects);
        }
        self.dispatcher.fetch(name, Trigger::Fetch);
    }

    fn open(&mut self, entry: Option<EntryId>, activation_token: Option<String>, effects: &mut Vec<Effect>) {
        (self.new, self.looked) = (NewMail::default(), false);
        let entry = entry.and_then(|id| self.store.entry(id));
        let account = entry.and_then(|entry| self.config.accounts.of(&entry.event.user));
        let (name, command) = match account.and_then(|account| account.open.as_ref()) {
            Some(command) => ("account.open", Some(command)),
            None => ("tray.open", self.config.tray.open.as_ref()),
        };
        let lookup = |name: &str| self.command_field(&entry?.event, name);
        let words = match command {
            None => None,
            Some(command) => match command.fill(&lookup) {
                Ok(words) => Some(words),
                Err(refused) => {
                    tracing::warn!(target: EACH_TIME, "`{name}` was not run: {refused}");
                    return;
                }
            },
        };
        effects.push(Effect::Open { words, activation_token });
    }

    /// Does what a popup's button is for, once: the popup goes with the click.
    fn button(&mut self, slot: Slot, button: usize, activation_token: Option<String>, effects: &mut Vec<Effect>) {
        let Some((action, entry, event)) = self.popups.action(slot, button) else { return };
        let label = action.label.clone();
        let lookup = |name: &str| self.command_field(event, name);
        match action.command.fill(&lookup) {
            Ok(words) => effects.push(Effect::Button { entry, label, words, activation_token }),
            Err(refused) => self.button_failed(entry, &label, &refused.to_string(), ""),
        }
    }

    /// What a field of a command that somebody's click starts holds.
    fn command_field(&self, event: &Event, name: &str) -> Option<String> {
        match name {
            "account" => self.config.accounts.label(&event.user).map(str::to_owned),
            name => exact_field(event, name),
        }
    }

    pub(super) fn button_ended(&mut self, entry: EntryId, label: &str, ended: &Ended) {
        match (ended.exit.is_success(), last_line(ended)) {
            (true, _) => self.store.note(entry, &button_name(label), "done"),
            (false, said) => self.button_failed(entry, label, &ended.exit.to_string(), &said),
        }
    }

    /// Somebody clicked and waits for something to happen.
    ///
    /// What the command said may hold what the mail says: it goes to the screen alone, and not where strangers may look.
    fn button_failed(&mut self, entry: EntryId, label: &str, why: &str, said: &str) {
        self.store.note(entry, &button_name(label), why);
        tracing::warn!(target: EACH_TIME, "`{label}` was not done: {why}");
        let said = if said.is_empty() || self.is_locked() { String::new() } else { format!(": {said}") };
        self.announcement = Some(Announcement::Trouble(format!("{label} was not done: {why}{said}")));
    }

    fn lock_changed(&mut self, locked: Locked, effects: &mut Vec<Effect>) {
        let was_locked = self.is_locked();
        self.locked = locked;
        if self.is_locked() != was_locked {
            tracing::debug!("the screen is {}", if was_locked { "unlocked" } else { "locked" });
            self.cover(effects);
        }
    }

    pub(super) fn is_locked(&self) -> bool {
        self.locked.by_screen_saver || self.locked.by_session
    }

    /// Covers what is on the screen while it is locked, if that is wanted.
    pub(super) fn cover(&mut self, effects: &mut Vec<Effect>) {
        let is_covered = self.is_locked() && self.config.pause.when_locked == WhenLocked::HideContent;
        effects.extend(self.popups.cover(is_covered).into_iter().map(Effect::Desktop));
    }

    /// Whether a locked screen makes a difference to us.
    pub(super) fn minds_lock(&self) -> bool {
        self.wanted.notifications && self.config.pause.when_locked != WhenLocked::Show
    }

    /// Asks the screen saver to tell of locks where that makes a difference.
    pub(super) fn watch_lock(&mut self, effects: &mut Vec<Effect>) {
        let minds = self.minds_lock();
        if std::mem::replace(&mut self.lock_asked, minds) != minds {
            effects.push(Effect::Desktop(Request::WatchLock(minds)));
        }
    }

    fn notifications_changed(&mut self, availability: Availability, now: Now, effects: &mut Vec<Effect>) {
        if let Availability::Absent(why) = &availability {
            if !matches!(self.notifications, Some(Availability::Absent(_))) {
                tracing::info!("no notifications for now: {why}");
            }
            effects.push(Effect::Desktop(Request::AbsenceKnown));
            self.popups.clear();
            let mut runs: Vec<RunId> = self.unanswered.drain().map(|(_, run)| run).collect();
            runs.sort_unstable();
            runs.dedup();
            for run in runs {
                self.store.give_back(run);
                self.dispatcher.gave_back(run, now);
            }
        }
        self.notifications = Some(availability);
    }

    fn answered(&mut self, slot: Slot, outcome: &str, now: Now) {
        if let Some(run) = self.unanswered.remove(&slot) {
            self.finish_if_answered(run, outcome, now);
        }
    }
}

/// As what a button stands on record beside the handlers.
fn button_name(label: &str) -> String {
    format!("button {label}")
}
