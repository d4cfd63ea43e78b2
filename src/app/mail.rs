//! What comes in: accepted once, welcomed by its handlers, and gone again when somebody has read it.

use super::*;

impl App {
    pub(super) fn accept(&mut self, mut event: Event, now: Now, effects: &mut Vec<Effect>) {
        self.unseen.hear(&event);
        let message = event.message.take();
        let names = names_for(&self.config.handlers, self.wanted, &event);
        if event.settles_message() {
            self.withdraw(&event, effects);
        } else if event.unsettles_message() {
            self.store.mark_read(&event, false);
        }
        let known = if message.is_some() { Known::InPart } else { Known::All };
        let id = match self.store.accept(event, &names, now.wall, known) {
            Accepted::New(id) => id,
            Accepted::Repeat(known) => {
                tracing::debug!("a repeat");
                known.into_iter().for_each(|known| self.show_anew(known, effects));
                return;
            }
        };
        match message {
            Some(message) => effects.push(Effect::Read { id, message }),
            None => self.welcome(id, now, effects),
        }
        if let Some(entry) = self.store.entry(id) {
            tracing::debug!(event = entry.event.kind.name(), handlers = names.len(), "accepted");
            effects.push(Effect::Print(entry.clone()));
        }
    }

    /// An entry that says all that it will say goes to its handlers.
    pub(super) fn welcome(&mut self, id: EntryId, now: Now, effects: &mut Vec<Effect>) {
        let Some(entry) = self.store.entry(id) else { return };
        let is_shown = route(&self.config.handlers, &entry.event).any(|handler| handler.is_notify());
        let is_counted = entry.event.is_new_mail() && !entry.read && (is_shown || !self.notifies_anybody());
        for delivery in &entry.deliveries {
            self.dispatcher.arrived(&delivery.handler, now);
        }
        if is_counted {
            if std::mem::take(&mut self.looked) {
                self.new = NewMail::default();
            }
            self.new.came(id);
        }
        if is_shown && matches!(self.notifications, Some(Availability::Absent(_))) {
            effects.push(Effect::Desktop(Request::LookAgain));
        }
    }

    /// A message has been read for what it says; none where it says nothing more.
    pub(super) fn message_read(&mut self, id: EntryId, read: Option<Box<Event>>, now: Now, effects: &mut Vec<Effect>) {
        let route = |event: &Event| names_for(&self.config.handlers, self.wanted, event);
        let Some(shown) = self.store.release(id, read.as_deref(), route) else { return };
        if shown == id {
            let entry = self.store.entry(id).filter(|entry| entry.read);
            if let Some(event) = entry.map(|entry| entry.event.clone()) {
                // Somebody was faster.
                self.cancel_popups(&event);
            }
            self.welcome(id, now, effects);
        } else {
            // It may be on the screen already, with less.
            self.show_anew(shown, effects);
        }
    }

    /// More is known about a message than its popups say.
    pub(super) fn show_anew(&mut self, id: EntryId, effects: &mut Vec<Effect>) {
        let Some(entry) = self.store.entry(id) else { return };
        let handlers = &self.config.handlers;
        let notify = |name: &str| match &handlers.iter().find(|handler| &*handler.name == name)?.kind {
            Kind::Notify(notify) => Some(notify),
            _ => None,
        };
        effects.extend(self.popups.update(entry, notify).into_iter().map(Effect::Desktop));
    }

    /// The message needs no attention any more, whatever handlers' filters say about this event.
    pub(super) fn withdraw(&mut self, event: &Event, effects: &mut Vec<Effect>) {
        self.store.mark_read(event, true).into_iter().for_each(|id| self.new.went(id));
        effects.extend(self.popups.withdraw(event).into_iter().map(Effect::Desktop));
        self.cancel_popups(event);
    }

    /// Popups that wait to be shown and needn't be any more.
    pub(super) fn cancel_popups(&mut self, event: &Event) {
        for handler in &self.config.handlers {
            if matches!(&handler.kind, Kind::Notify(notify) if notify.withdraw) {
                let is_moot = |waiting: &Event| waiting.is_about_the_same_message(event);
                self.store.cancel(&handler.name, is_moot, "not shown: it was read or deleted before");
            }
        }
    }
}

/// The handlers that an event is for, as far as popups are wanted at all.
fn names_for(handlers: &[Arc<Handler>], wanted: Wanted, event: &Event) -> Vec<Arc<str>> {
    let routed = route(handlers, event).filter(|handler| wanted.notifications || !handler.is_notify());
    routed.map(|handler| handler.name.clone()).collect()
}
