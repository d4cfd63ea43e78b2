//! What handlers do, and how it ended.

use super::*;

impl App {
    /// Does what runs are for.
    pub(super) fn begin(&mut self, starts: Vec<Start>, mode: Mode, now: Now, effects: &mut Vec<Effect>) {
        for Start { run, handler, trigger, entries } in starts {
            let told = |entry: &Entry| Told {
                entry: entry.id,
                at: entry.at,
                event: entry.event.clone(),
                redelivered: entry.is_redelivered(&handler.name),
            };
            let batch = Batch { trigger, events: entries.iter().map(told).collect() };
            match handler.act(&batch) {
                Act::Run(job) => {
                    tracing::debug!(handler = %handler.name, trigger = trigger.name(), "run");
                    effects.push(Effect::Run { run, job });
                }
                Act::Log { level, lines } => {
                    effects.push(Effect::Log { level, lines });
                    self.finish(run, "logged", now);
                }
                Act::Popups => {
                    let Kind::Notify(notify) = &handler.kind else { continue };
                    let requests = self.popups.present(notify, &handler.name, &entries, mode, now.instant);
                    for request in requests {
                        if let Request::Show { slot, .. } = &request {
                            self.unanswered.insert(*slot, run);
                        }
                        effects.push(Effect::Desktop(request));
                    }
                    self.finish_if_answered(run, "shown", now);
                }
            }
        }
    }

    pub(super) fn settle(&mut self, now: Now) {
        if self.settle_at.is_some_and(|then| then <= now.instant) {
            self.settle_at = None;
            self.store.settle();
        }
        self.settle_at = match (self.store.is_unsettled(), self.settle_at) {
            (false, _) => None,
            (true, then) => then.or(Some(now.instant + SETTLED_AFTER)),
        };
    }

    pub(super) fn record_is(&mut self, fault: Option<Fault>) {
        match (&self.record_fault, &fault) {
            (None, Some(fault)) => tracing::warn!("{fault}"),
            (Some(_), None) => tracing::info!("the record is written again"),
            _ => {}
        }
        self.record_fault = fault;
    }

    pub(super) fn finish(&mut self, run: RunId, outcome: &str, now: Now) {
        self.store.finish(run, outcome);
        let last = LastRun { at: now.wall, result: outcome.to_owned(), succeeded: true, last_line: String::new() };
        self.dispatcher.finished(run, Some(last), now);
    }

    pub(super) fn finish_if_answered(&mut self, run: RunId, outcome: &str, now: Now) {
        if !self.unanswered.values().any(|waiting| *waiting == run) {
            self.finish(run, outcome, now);
        }
    }

    pub(super) fn command_ended(&mut self, run: RunId, ended: &Ended, now: Now, effects: &mut Vec<Effect>) {
        if ended.exit == Exit::Stopped {
            self.store.interrupt(run);
            self.dispatcher.finished(run, None, now);
            return;
        }
        let last = last_run(ended, now);
        let left_behind = if ended.left_behind { "; something that it started still runs" } else { "" };
        self.store.finish(run, &format!("{}{left_behind}", last.result));
        let (succeeded, told) = (last.succeeded, last.clone());
        let elapsed = ended.elapsed.as_millis();
        let Some(handler) = self.dispatcher.finished(run, Some(last), now) else { return };
        self.tell_fetchers(&handler.name, &told, effects);
        match succeeded {
            true => tracing::debug!(handler = %handler.name, elapsed_ms = elapsed, "done"),
            false => tracing::warn!(handler = %handler.name, elapsed_ms = elapsed, "{}", ended.exit),
        }
    }
}
