//! The program's decisions: one closed set of inputs, a synchronous answer to each, no I/O.
//!
//! [`App::on_input`] takes what happened and the time, and gives what is to be done. `session` owns the loop that
//! feeds it and does what it says.

mod asks;
mod catch_up;
mod desktop;
mod mail;
mod pause;
mod runs;
mod session;
mod tunnels;
mod view;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::clock::{Now, tomorrow};
use crate::config::{Address, Click, Config};
use crate::control::{Ask, Reply};
use crate::desktop::menu::{TrayView, tray_view};
use crate::desktop::{Availability, Choice, DesktopEvent, PauseFor, PowerRequest, Request, Slot, Wanted};
use crate::dispatcher::{Dispatcher, Popups as PopupsMay, Start, last_run};
use crate::event::{EntryId, Event, EventKind};
use crate::handler::notify::{what, who};
use crate::handler::{Act, Batch, Handler, Kind, Told, Trigger, exact_field};
use crate::listener::{Knock, Taken};
use crate::popups::{Announcement, Mode, Popups};
use crate::problem::{EACH_TIME, Problem};
use crate::process::{Ended, Exit, GroupId, Job};
use crate::router::route;
use crate::status::{LastRun, Mailbox, Paused, Recent, Status, TunnelStatus};
use crate::store::record::Fault;
use crate::store::{Accepted, Change, Entry, Known, Loaded, RunId, Store};
use crate::tunnel::Standing;
use crate::unseen::Unseen;

pub use crate::process::Signal;
use asks::Fetcher;
use catch_up::CatchUp;
pub use session::{Options, Print, run};

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
    /// The tunnels have been tried, for somebody who waits; `ways` are their names and where each can be tried.
    Tried {
        reply: oneshot::Sender<Reply>,
        ways: Vec<(Option<String>, Address)>,
    },
    /// A button's command is over.
    ButtonEnded {
        entry: EntryId,
        label: String,
        ended: Ended,
    },
    /// Whether we are started at login, or why that could not be changed. None where it can't be told or changed.
    Autostart(Result<Option<bool>, String>),
    /// Why there is no configuration to look at.
    NotOpened(String),
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
        entry: EntryId,
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
    /// Open the configuration's file, and make it before where there is none; [`Input::NotOpened`] says why it failed.
    OpenConfiguration {
        file: PathBuf,
        activation_token: Option<String>,
    },
    /// Have us started at login, or not any more; [`Input::Autostart`] says how it went.
    Autostart(bool),
    /// Somebody else may have changed whether we are started at login; [`Input::Autostart`] says how it is.
    LookAtAutostart,
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
    locked: Locked,
    /// When the last input came.
    wall: Timestamp,
    /// Whether we asked the screen saver to tell of locks.
    lock_asked: bool,
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
    /// It has been told that they have.
    is_asleep: bool,
    /// What was asked of the power management last.
    power_asked: Option<PowerRequest>,
    /// Something to say as a popup of our own.
    announcement: Option<Announcement>,
    fetchers: Vec<Fetcher>,
    listening: Vec<String>,
    has_record: bool,
    starts_at_login: Option<bool>,
    record_fault: Option<Fault>,
    /// When the newest run has lived long enough.
    settle_at: Option<Instant>,
    tray_shown: Option<(TrayView, Instant)>,
    tray_stale: bool,
    stopping: bool,
}

/// Who says that the screen is locked. On most desktops only one of them knows; it is when either says so.
#[derive(Debug, Default)]
struct Locked {
    by_screen_saver: bool,
    by_session: bool,
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
        let tunnels = Self::tunnels_of(&config, &config, &[], now);
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
            locked: Locked::default(),
            wall: now.wall,
            lock_asked: false,
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
            is_asleep: false,
            power_asked: None,
            config_problems: warnings.iter().map(|problem| problem.message.clone()).collect(),
            listener_problems: Vec::new(),
            announcement: None,
            fetchers: Vec::new(),
            listening: Vec::new(),
            has_record: false,
            starts_at_login: None,
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
            Input::ButtonEnded { entry, label, ended } => self.button_ended(entry, &label, &ended),
            Input::Tried { reply, ways } => effects.push(Effect::Reply(reply, self.tried(&ways))),
            Input::Autostart(told) => self.autostart_is(told),
            Input::NotOpened(why) => self.not_opened(&why),
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
            self.watch_power(&mut effects);
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

    /// Where events come in, in words, and whether they are kept on disk.
    pub fn stands_on(&mut self, listening: Vec<String>, has_record: bool) {
        (self.listening, self.has_record) = (listening, has_record);
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
}

#[cfg(test)]
mod tests;
