//! The program's decisions: one closed set of inputs, a synchronous answer to each, no I/O.
//!
//! [`App::on_input`] takes what happened and the time, and gives what is to be done. `session` owns the loop that
//! feeds it and does what it says.

mod asks;
mod catch_up;
mod desktop;
mod pause;
mod session;
mod tunnels;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::clock::{Now, tomorrow};
use crate::config::{Click, Config};
use crate::control::{Ask, Reply};
use crate::desktop::menu::{TrayView, tray_view};
use crate::desktop::{Availability, Choice, DesktopEvent, PauseFor, PowerRequest, Request, Slot, Wanted};
use crate::dispatcher::{Dispatcher, Popups as PopupsMay, Start, last_run};
use crate::event::{EntryId, Event, EventKind};
use crate::handler::notify::{what, who};
use crate::handler::{Act, Batch, Handler, Kind, Told, Trigger, field};
use crate::listener::{Knock, Taken};
use crate::popups::{Mode, Popups};
use crate::problem::{EACH_TIME, Problem};
use crate::process::{Ended, Exit, GroupId, Job};
use crate::router::route;
use crate::status::{LastRun, Mailbox, Paused, Recent, Status, TunnelStatus};
use crate::store::record::Fault;
use crate::store::{Accepted, Change, Entry, Known, Loaded, RunId, Store};
use crate::tunnel::Standing;
use crate::unseen::Unseen;

use asks::Fetcher;
use catch_up::CatchUp;
pub use session::{Options, Print, Signal, run};

/// The tray changes at most four times a second, however many events come.
const TRAY_PERIOD: Duration = Duration::from_millis(250);
/// New messages that are known one by one; the store knows no more of them.
const MAX_NEW: usize = 4096;
/// A run that goes on for so long is not what crashes us.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub enum Input {
    Knock(Knock),
    /// A command's run is over.
    Finished {
        run: RunId,
        ended: Ended,
    },
    /// A run's process group, by which it can be found after a crash.
    Started {
        run: RunId,
        group: GroupId,
    },
    Desktop(DesktopEvent),
    /// Another command asks something of us.
    Ask(Ask),
    /// The configuration's file has changed, or somebody wants it read again.
    Reload(Asked),
    /// A configuration to go on with.
    Reloaded {
        config: Arc<Config>,
        warnings: Vec<Problem>,
    },
    NotReloaded(Vec<Problem>),
    /// How the record is; none where all is well.
    Record(Option<Fault>),
    /// What is wrong with the password or the certificate of the listener.
    Listener(Vec<String>),
    /// How a tunnel stands. It has no name where it is kept up outside of us, and no standing where there is none.
    Tunnel {
        name: Option<String>,
        standing: Option<Standing>,
    },
    /// The tunnels have been tried, for somebody who waits.
    Tried(oneshot::Sender<Reply>),
    /// A button's command is over.
    ButtonEnded {
        label: String,
        ended: Ended,
    },
    /// The machine slept, for so long, and did not say so before.
    Slept(Duration),
    /// What the message that came with an event says; none where it says nothing more than the event.
    Read {
        id: EntryId,
        read: Option<Box<Event>>,
    },
    /// Nothing but time has passed.
    Deadline,
    Stop,
}

/// Whether a person asked for a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    ByUser,
    /// The file has changed.
    ByFile,
}

#[derive(Debug)]
pub enum Effect {
    Answer(oneshot::Sender<Taken>, Taken),
    Run {
        run: RunId,
        job: Job,
    },
    Log {
        level: tracing::Level,
        lines: Vec<String>,
    },
    Desktop(Request),
    /// Read the message that came with an event.
    Read {
        id: EntryId,
        message: Box<str>,
    },
    /// Start a program that outlives us; none means the desktop's mail program.
    Open {
        words: Option<Vec<String>>,
        activation_token: Option<String>,
    },
    /// Do what a popup's button says.
    Button {
        label: String,
        words: Vec<String>,
        activation_token: Option<String>,
    },
    Reply(oneshot::Sender<Reply>, Reply),
    /// Ends all ssh of ours until the machine is awake again.
    HoldTunnels,
    WakeTunnels,
    /// Tries all tunnels; [`Input::Tried`] comes afterwards.
    TryTunnels(oneshot::Sender<Reply>),
    Power(PowerRequest),
    /// Read the configuration anew and say how it went, also to whoever asked.
    Reload {
        asked: Asked,
        reply: Option<oneshot::Sender<Reply>>,
    },
    /// For those who watch the terminal.
    Print(Entry),
    /// What is answered is on disk: this comes before any answer.
    Record(Vec<Change>),
    Stop,
}

pub struct App {
    config: Arc<Config>,
    config_file: Option<PathBuf>,
    wanted: Wanted,
    store: Store,
    dispatcher: Dispatcher,
    popups: Popups,
    /// The screen is.
    is_locked: bool,
    /// When the last input came.
    wall: Timestamp,
    /// Whether we asked to be told of that.
    lock_asked: Option<bool>,
    notifications: Option<Availability>,
    tray: Option<Availability>,
    /// Popups that the desktop has not yet answered for, and the run that waits for them.
    unanswered: HashMap<Slot, RunId>,
    paused: Option<Paused>,
    /// When the quiet hours that it is now end.
    quiet_until: Option<Timestamp>,
    /// Somebody ended the quiet hours early; they would have lasted until then.
    unquiet_until: Option<Timestamp>,
    new: NewMail,
    looked: bool,
    unseen: Unseen,
    standing_problems: Vec<String>,
    /// Of the configuration, or of one that was not taken.
    config_problems: Vec<String>,
    listener_problems: Vec<String>,
    /// In the order of the configuration.
    tunnels: Vec<TunnelStatus>,
    catch_up: CatchUp,
    /// The machine waits until our connections have ended.
    is_falling_asleep: bool,
    /// What was asked of the power management last.
    power_asked: Option<PowerRequest>,
    /// Something to say as a popup of our own.
    announcement: Option<String>,
    fetchers: Vec<Fetcher>,
    listening: Vec<String>,
    has_record: bool,
    has_configuration: bool,
    record_fault: Option<Fault>,
    /// When the newest run has lived long enough.
    settle_at: Option<Instant>,
    tray_shown: Option<(TrayView, Instant)>,
    tray_stale: bool,
    stopping: bool,
}

/// Messages that came since the user last looked.
#[derive(Debug, Default)]
struct NewMail {
    count: u32,
    /// Those that can still be found when they are read elsewhere.
    entries: BTreeSet<EntryId>,
}

impl NewMail {
    fn came(&mut self, id: EntryId) {
        self.count = self.count.saturating_add(1);
        self.entries.insert(id);
        if self.entries.len() > MAX_NEW {
            self.entries.pop_first();
        }
    }

    fn went(&mut self, id: EntryId) {
        self.count = self.count.saturating_sub(u32::from(self.entries.remove(&id)));
    }
}

impl App {
    /// `warnings` are the configuration's; `config_file` is where it can be edited; `loaded` is where the record ends.
    pub fn new(
        config: Arc<Config>,
        config_file: Option<PathBuf>,
        warnings: &[Problem],
        wanted: Wanted,
        loaded: Loaded,
        now: Now,
    ) -> Self {
        let paused = loaded.paused;
        let (mut store, waiting, set_aside) = Store::resume(loaded);
        store.drop_handlers(|name| config.handlers.iter().any(|handler| &*handler.name == name));
        let mut dispatcher = Dispatcher::new(&config.handlers, now);
        waiting.iter().for_each(|handler| dispatcher.arrived(handler, now));
        let tunnels = Self::tunnels_of(&config, &[], now);
        let accounts = config.accounts.clone();
        let mut standing_problems = Vec::new();
        if set_aside > 0 {
            let problem = format!("{set_aside} events were set aside: the program ended twice over them");
            tracing::warn!("{problem}");
            standing_problems.push(problem);
        }
        Self {
            dispatcher,
            config,
            config_file,
            wanted,
            store,
            popups: Popups::of(accounts),
            is_locked: false,
            wall: now.wall,
            lock_asked: None,
            notifications: None,
            tray: None,
            unanswered: HashMap::new(),
            paused,
            quiet_until: None,
            unquiet_until: None,
            new: NewMail::default(),
            looked: false,
            unseen: Unseen::default(),
            standing_problems,
            tunnels,
            catch_up: CatchUp::default(),
            is_falling_asleep: false,
            power_asked: None,
            config_problems: warnings.iter().map(|problem| problem.message.clone()).collect(),
            listener_problems: Vec::new(),
            announcement: None,
            fetchers: Vec::new(),
            listening: Vec::new(),
            has_record: false,
            has_configuration: false,
            record_fault: None,
            settle_at: None,
            tray_shown: None,
            tray_stale: true,
            stopping: false,
        }
    }

    pub fn on_input(&mut self, input: Input, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.wall = now.wall;
        let could_show = self.popups_may() == PopupsMay::Shown;
        self.tray_stale |= !matches!(input, Input::Deadline);
        match input {
            Input::Knock(Knock { reply, .. }) if self.stopping => effects.push(Effect::Answer(reply, Taken::Stopping)),
            Input::Knock(Knock { events, fingerprint, reply }) => {
                let is_repeat = fingerprint.is_some_and(|request| self.store.is_repeated_request(request, now.instant));
                for event in events.into_iter().filter(|_| !is_repeat) {
                    self.accept(event, now, &mut effects);
                }
                effects.push(Effect::Answer(reply, Taken::OnRecord));
            }
            Input::Finished { run, ended } => self.command_ended(run, &ended, now, &mut effects),
            Input::Started { run, group } => self.store.group(run, group),
            Input::Desktop(event) => self.on_desktop(event, now, &mut effects),
            Input::Ask(ask) => self.on_ask(ask, now, &mut effects),
            Input::Reload(asked) => effects.push(Effect::Reload { asked, reply: None }),
            Input::Reloaded { config, warnings } => self.reloaded(config, &warnings, now, &mut effects),
            Input::NotReloaded(problems) => self.not_reloaded(&problems),
            Input::Record(fault) => self.record_is(fault),
            Input::Listener(problems) => {
                problems.iter().for_each(|problem| tracing::warn!("{problem}"));
                self.listener_problems = problems;
            }
            Input::Read { id, read } => self.message_read(id, read, now, &mut effects),
            Input::Tunnel { name, standing } => self.tunnel_is(name, standing, now, &mut effects),
            Input::ButtonEnded { label, ended } => self.button_ended(&label, &ended),
            Input::Tried(reply) => effects.push(Effect::Reply(reply, Reply::status(self.status_json()))),
            Input::Slept(slept) => self.awake(slept, now, &mut effects),
            Input::Deadline => {}
            Input::Stop => {
                self.stopping = true;
                effects.push(Effect::Stop);
            }
        }
        self.look_at_the_clock(now);
        self.announce(&mut effects);
        if !self.stopping {
            self.watch_sleep(&mut effects);
            self.watch_lock(&mut effects);
            self.catch_up(now);
            let popups = self.popups_may();
            // Popups were held and may be shown again: what waited comes as one.
            let mode = if !could_show && popups == PopupsMay::Shown { Mode::Together } else { Mode::Each };
            let starts = self.dispatcher.start_due(&mut self.store, popups, now);
            self.begin(starts, mode, now, &mut effects);
        }
        self.settle(now);
        self.refresh_tray(now, &mut effects);
        let changes = self.store.take_changes();
        if !changes.is_empty() {
            effects.push(Effect::Record(changes));
        }
        // Lines are written before the record says so, everything else after: at least once, whenever we are killed.
        effects.sort_by_key(|effect| match effect {
            Effect::Log { .. } => 0,
            Effect::Record(_) => 1,
            _ => 2,
        });
        effects
    }

    /// Whether there is to be an icon, from now on.
    pub fn want_tray(&mut self, wanted: bool) {
        if wanted != self.wanted.tray {
            self.wanted.tray = wanted;
            self.tray_shown = None;
        }
    }

    /// Where events come in, in words, whether they are kept on disk, and whether there is a file to edit.
    pub fn stands_on(&mut self, listening: Vec<String>, has_record: bool, has_configuration: bool) {
        (self.listening, self.has_record, self.has_configuration) = (listening, has_record, has_configuration);
    }

    /// Problems that stay as long as we run.
    pub fn stands_with(&mut self, problems: Vec<String>) {
        self.standing_problems.extend(problems);
    }

    /// Everything that is not finished, for a record that has missed something.
    pub fn snapshot(&self) -> Vec<Change> {
        self.store.snapshot()
    }

    /// When [`Input::Deadline`] is due; none while there is nothing to wait for.
    pub fn deadline(&self, now: Now) -> Option<Instant> {
        let tray = self.tray_shown.as_ref().filter(|_| self.tray_stale).map(|(_, shown)| *shown + TRAY_PERIOD);
        let runs = self.dispatcher.deadline(&self.store, self.popups_may(), now).filter(|_| !self.stopping);
        let catch_up = self.catch_up.due().filter(|_| !self.stopping);
        [tray, runs, self.settle_at, catch_up].into_iter().flatten().min()
    }

    fn accept(&mut self, mut event: Event, now: Now, effects: &mut Vec<Effect>) {
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
    fn welcome(&mut self, id: EntryId, now: Now, effects: &mut Vec<Effect>) {
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
    fn message_read(&mut self, id: EntryId, read: Option<Box<Event>>, now: Now, effects: &mut Vec<Effect>) {
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
    fn show_anew(&mut self, id: EntryId, effects: &mut Vec<Effect>) {
        let Some(entry) = self.store.entry(id) else { return };
        let handlers = &self.config.handlers;
        let notify = |name: &str| match &handlers.iter().find(|handler| &*handler.name == name)?.kind {
            Kind::Notify(notify) => Some(notify),
            _ => None,
        };
        effects.extend(self.popups.update(entry, notify).into_iter().map(Effect::Desktop));
    }

    /// The message needs no attention any more, whatever handlers' filters say about this event.
    fn withdraw(&mut self, event: &Event, effects: &mut Vec<Effect>) {
        self.store.mark_read(event, true).into_iter().for_each(|id| self.new.went(id));
        effects.extend(self.popups.withdraw(event).into_iter().map(Effect::Desktop));
        self.cancel_popups(event);
    }

    /// Popups that wait to be shown and needn't be any more.
    fn cancel_popups(&mut self, event: &Event) {
        for handler in &self.config.handlers {
            if matches!(&handler.kind, Kind::Notify(notify) if notify.withdraw) {
                let is_moot = |waiting: &Event| waiting.is_about_the_same_message(event);
                self.store.cancel(&handler.name, is_moot, "not shown: it was read or deleted before");
            }
        }
    }

    /// Does what runs are for.
    fn begin(&mut self, starts: Vec<Start>, mode: Mode, now: Now, effects: &mut Vec<Effect>) {
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

    fn settle(&mut self, now: Now) {
        if self.settle_at.is_some_and(|then| then <= now.instant) {
            self.settle_at = None;
            self.store.settle();
        }
        self.settle_at = match (self.store.is_unsettled(), self.settle_at) {
            (false, _) => None,
            (true, then) => then.or(Some(now.instant + SETTLED_AFTER)),
        };
    }

    fn record_is(&mut self, fault: Option<Fault>) {
        match (&self.record_fault, &fault) {
            (None, Some(fault)) => tracing::warn!("{fault}"),
            (Some(_), None) => tracing::info!("the record is written again"),
            _ => {}
        }
        self.record_fault = fault;
    }

    fn finish(&mut self, run: RunId, outcome: &str, now: Now) {
        self.store.finish(run, outcome);
        let last = LastRun { at: now.wall, result: outcome.to_owned(), succeeded: true, last_line: String::new() };
        self.dispatcher.finished(run, Some(last), now);
    }

    fn finish_if_answered(&mut self, run: RunId, outcome: &str, now: Now) {
        if !self.unanswered.values().any(|waiting| *waiting == run) {
            self.finish(run, outcome, now);
        }
    }

    fn command_ended(&mut self, run: RunId, ended: &Ended, now: Now, effects: &mut Vec<Effect>) {
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

    fn refresh_tray(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.wanted.tray || !self.tray_stale || self.stopping {
            return;
        }
        if matches!(&self.tray_shown, Some((_, shown)) if now.instant.duration_since(*shown) < TRAY_PERIOD) {
            return;
        }
        self.tray_stale = false;
        let view = tray_view(&self.status());
        if self.tray_shown.as_ref().is_none_or(|(shown, _)| *shown != view) {
            self.tray_shown = Some((view.clone(), now.instant));
            effects.push(Effect::Desktop(Request::Tray(view)));
        }
    }

    fn notifies_anybody(&self) -> bool {
        self.config.handlers.iter().any(|handler| handler.is_notify())
    }

    /// Folders whose new mail would be shown, as far as their server tells how full they are.
    fn mailboxes(&self) -> Vec<Mailbox> {
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
            has_configuration: self.has_configuration,
        }
    }
}

/// The handlers that an event is for, as far as popups are wanted at all.
fn names_for(handlers: &[Arc<Handler>], wanted: Wanted, event: &Event) -> Vec<Arc<str>> {
    let routed = route(handlers, event).filter(|handler| wanted.notifications || !handler.is_notify());
    routed.map(|handler| handler.name.clone()).collect()
}

#[cfg(test)]
mod tests;
