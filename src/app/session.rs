//! The one loop: takes what happens to the program, asks [`App`] what to do, does it. Ends in phases, each with a
//! deadline, and leaves nothing behind but what `open` started.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::{App, Effect, Input};
use crate::clock::Now;
use crate::config::Config;
use crate::desktop::{Desktop, Link, Wanted, mail_program};
use crate::listener::Listener;
use crate::problem::Problem;
use crate::process::{self, Ended, GroupId};
use crate::schema::Retention;
use crate::store::record::Record;
use crate::store::{Change, Entry, Loaded, RunId};

/// Events that wait for the loop; senders wait beyond that.
const QUEUE: usize = 64;
/// Nothing was written for so long: the record can be put in order.
const QUIET: Duration = Duration::from_secs(2);
/// Under load it is put in order this often.
const UNTIDY_AT_MOST: Duration = Duration::from_secs(30);
/// The listener's last answers and the ends of all commands; a desktop that doesn't answer gets one second more.
const FAREWELL: Duration = Duration::from_secs(3);
const DESKTOP_FAREWELL: Duration = Duration::from_secs(1);

/// Writes an accepted event to wherever somebody watches.
pub type Print = Box<dyn Fn(&Entry)>;

/// What a session is given besides its configuration.
pub struct Options {
    pub config_file: Option<PathBuf>,
    /// What the configuration's reader found questionable.
    pub warnings: Vec<Problem>,
    pub wanted: Wanted,
    pub print: Option<Print>,
    /// Where the record is kept; nowhere, if none.
    pub record: Option<PathBuf>,
    /// Told the address once it is bound.
    pub bound: Option<oneshot::Sender<SocketAddr>>,
}

/// Runs until `stop` resolves, or the tray's *Quit*.
pub async fn run(
    config: Config,
    options: Options,
    desktop: Desktop,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (knock, mut knocks) = mpsc::channel(QUEUE);
    // Bound before the desktop is asked for anything: events count more than icons.
    let listener = Listener::bind(&config, knock).await.with_context(|| cannot_listen(config.listen))?;
    let address = listener.address().context("failed to learn the address")?;
    tracing::info!("listening on http://{address}{}", config.endpoint);
    if let Some(bound) = options.bound {
        // Nobody waits for it any more: nothing is lost.
        let _ = bound.send(address);
    }
    let (stopping, stopped) = watch::channel(false);
    let mut listening = tokio::spawn(listener.serve(stopped.clone()));
    let (desktop_event, mut desktop_events) = mpsc::unbounded_channel();
    let (started, mut starts) = mpsc::unbounded_channel();
    let wanted = Wanted { tray: options.wanted.tray && config.tray.enabled, ..options.wanted };
    let (record, loaded) = open_record(options.record.as_deref(), config.history);
    // What an earlier life of ours left running ends before it is run again.
    futures_util::future::join_all(loaded.groups.iter().map(GroupId::end)).await;
    let mut session = Session {
        app: App::new(Arc::new(config), options.config_file, &options.warnings, wanted, loaded, Now::read()),
        link: desktop.connect(wanted, desktop_event),
        runs: JoinSet::new(),
        started,
        record,
        tidying: None,
        print: options.print,
        stopping,
        stopped,
    };
    session.turn([Input::Deadline]);
    session.report_record();

    let mut stop = std::pin::pin!(stop);
    while !session.is_stopping() {
        let deadline = session.app.deadline(Now::read()).map(Instant::from_std);
        let tidying = session.tidying.as_ref().map(Tidying::due);
        let input = tokio::select! {
            Some(knock) = knocks.recv() => {
                let more = std::iter::from_fn(|| knocks.try_recv().ok()).take(QUEUE);
                session.turn(std::iter::once(knock).chain(more).map(Input::Knock));
                continue;
            }
            Some(event) = desktop_events.recv() => Input::Desktop(event),
            Some((run, group)) = starts.recv() => Input::Started { run, group },
            Some(ended) = session.runs.join_next() => match finished(ended) {
                Some(input) => input,
                None => continue,
            },
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Input::Deadline,
            () = sleep_until(tidying.unwrap_or_else(Instant::now)), if tidying.is_some() => {
                session.tidy();
                continue;
            }
            () = &mut stop => Input::Stop,
        };
        session.turn([input]);
    }

    let farewell = async {
        let mut is_listening = true;
        while is_listening || !session.runs.is_empty() {
            tokio::select! {
                Some(knock) = knocks.recv() => session.turn([Input::Knock(knock)]),
                Some(ended) = session.runs.join_next() => session.turn(finished(ended)),
                _ = &mut listening, if is_listening => is_listening = false,
            }
        }
    };
    if timeout(FAREWELL, farewell).await.is_err() {
        tracing::warn!("not everything ended in time");
    }
    listening.abort();
    let _ = timeout(DESKTOP_FAREWELL, session.link.close()).await;
    tracing::info!("stopped");
    Ok(())
}

/// The record, unless none is wanted.
fn open_record(path: Option<&Path>, retention: Retention) -> (Option<Record>, Loaded) {
    match path {
        Some(path) if retention.keep > 0 => {
            let (record, loaded, moved) = Record::open(path, retention);
            if let Some(moved) = moved {
                tracing::warn!("{moved}");
            }
            (Some(record), loaded)
        }
        Some(_) => {
            tracing::info!("`history.keep` is 0: no event survives a crash");
            (None, Loaded::default())
        }
        None => (None, Loaded::default()),
    }
}

fn cannot_listen(address: SocketAddr) -> String {
    format!("failed to listen on {address}. Is another instance running?")
}

fn finished(ended: Result<(RunId, Ended), tokio::task::JoinError>) -> Option<Input> {
    match ended {
        Ok((run, ended)) => Some(Input::Finished { run, ended }),
        Err(error) => {
            tracing::error!("a run broke off: {error}");
            None
        }
    }
}

struct Session {
    app: App,
    link: Link,
    runs: JoinSet<(RunId, Ended)>,
    started: mpsc::UnboundedSender<(RunId, GroupId)>,
    record: Option<Record>,
    tidying: Option<Tidying>,
    print: Option<Print>,
    stopping: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
}

/// When the record is next put in order: in the first quiet moment, and under load now and then.
struct Tidying {
    since: Instant,
    last_write: Instant,
}

impl Tidying {
    fn due(&self) -> Instant {
        (self.last_write + QUIET).min(self.since + UNTIDY_AT_MOST)
    }
}

impl Session {
    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// One turn of the loop: all that changes on disk does so in one transaction, before anything is answered.
    fn turn(&mut self, inputs: impl IntoIterator<Item = Input>) {
        let mut changes = Vec::new();
        let mut effects = Vec::new();
        for input in inputs {
            for effect in self.app.on_input(input, Now::read()) {
                match effect {
                    Effect::Log { level, lines } => lines.iter().for_each(|line| log(level, line)),
                    Effect::Record(more) => changes.extend(more),
                    effect => effects.push(effect),
                }
            }
        }
        if !changes.is_empty() {
            self.write(&changes);
        }
        effects.into_iter().for_each(|effect| self.perform(effect));
    }

    fn write(&mut self, changes: &[Change]) {
        let Some(record) = &mut self.record else { return };
        let was = record.fault().cloned();
        match record.is_behind() {
            // What failed before may be missing; memory has it all, these changes among it.
            true => record.write(&self.app.snapshot()),
            false => record.write(changes),
        };
        let changed = record.fault() != was.as_ref();
        if record.is_untidy() {
            let now = Instant::now();
            let since = self.tidying.as_ref().map_or(now, |tidying| tidying.since);
            self.tidying = Some(Tidying { since, last_write: now });
        }
        if changed {
            self.report_record();
        }
    }

    fn report_record(&mut self) {
        let fault = self.record.as_ref().and_then(|record| record.fault().cloned());
        self.turn([Input::Record(fault)]);
    }

    fn tidy(&mut self) {
        self.tidying = None;
        if let Some(waiting_for_the_disk) = self.record.as_mut().and_then(Record::tidy) {
            tokio::task::spawn_blocking(waiting_for_the_disk);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            // A sender that has gone away needs no answer.
            Effect::Answer(reply, taken) => drop(reply.send(taken)),
            Effect::Run { run, job } => {
                let stopped = self.stopped.clone();
                let tell = self.started.clone();
                // Once the loop has ended nobody keeps the ledger.
                let started = move |group| drop(tell.send((run, group)));
                self.runs.spawn(async move { (run, process::run(job, started, stopped).await) });
            }
            // Done already, in `turn`.
            Effect::Log { .. } | Effect::Record(_) => {}
            Effect::Desktop(request) => self.link.send(request),
            Effect::Open { words, activation_token } => open(words, activation_token.as_deref()),
            Effect::Print(entry) => {
                if let Some(print) = &self.print {
                    print(&entry);
                }
            }
            Effect::Stop => {
                self.stopping.send_replace(true);
            }
        }
    }
}

fn log(level: tracing::Level, line: &str) {
    match level {
        tracing::Level::ERROR => tracing::error!("{line}"),
        tracing::Level::WARN => tracing::warn!("{line}"),
        tracing::Level::INFO => tracing::info!("{line}"),
        tracing::Level::DEBUG => tracing::debug!("{line}"),
        tracing::Level::TRACE => tracing::trace!("{line}"),
    }
}

fn open(words: Option<Vec<String>>, activation_token: Option<&str>) {
    let Some(words) = words.or_else(mail_program) else {
        tracing::warn!("no mail program is known to the desktop; name one with `open` in `[tray]`");
        return;
    };
    // Both names: the Wayland protocol's, and the older one that X11 programs read.
    let token = activation_token.map(|token| [("XDG_ACTIVATION_TOKEN", token), ("DESKTOP_STARTUP_ID", token)]);
    if let Err(why) = process::start_detached(&words, token.as_ref().map_or(&[], |token| token.as_slice())) {
        tracing::warn!("could not open mail: {why}");
    }
}
