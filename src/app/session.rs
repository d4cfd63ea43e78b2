//! The one loop: takes what happens to the program, asks [`App`] what to do, does it. Ends in phases, each with a
//! deadline, and leaves nothing behind but what `open` started.

mod autostarting;
mod certificate;
mod listening;
mod opening;
mod reading;
mod reloading;
mod tunnelling;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::{App, Asked, Effect, Input};
use crate::autostart::Autostart;
use crate::clock::{self, Now};
use crate::config::{Config, Pass};
use crate::control::{self, Instance, Reply};
use crate::desktop::{Desktop, Link, Request, Wanted};
use crate::event::EntryId;
use crate::listener::{Doors, Knock};
use crate::problem::{EACH_TIME, Problem};
use crate::process::{self, Ended, GroupId, Job, Signal};
use crate::schema::{Retention, StatusJson};
use crate::secret;
use crate::store::record::Record;
use crate::store::{Change, Entry, Loaded, RunId};
use crate::watcher::Watcher;
use certificate::Certificate;
use listening::Listening;
use reading::Reader;
use tunnelling::Tunnels;

/// Events that wait for the loop; senders wait beyond that.
const QUEUE: usize = 64;
/// Nothing was written for so long: the record can be put in order.
const QUIET: Duration = Duration::from_secs(2);
/// Under load it is put in order this often.
const UNTIDY_AT_MOST: Duration = Duration::from_secs(30);
/// A button's command has so long; somebody waits for it.
const BUTTON_TIMEOUT: Duration = Duration::from_secs(60);
/// How a program is told of the click that it was started by: the Wayland protocol's name, and the older one that X11
/// programs read.
const ACTIVATION: [&str; 2] = ["XDG_ACTIVATION_TOKEN", "DESKTOP_STARTUP_ID"];
/// Followers see at most four changes a second.
const STATUS_PERIOD: Duration = Duration::from_millis(250);
/// The listener's last answers and the ends of all commands; a desktop that doesn't answer gets one second more.
const FAREWELL: Duration = Duration::from_secs(3);
const DESKTOP_FAREWELL: Duration = Duration::from_secs(1);

/// Writes an accepted event to wherever somebody watches.
pub type Print = Box<dyn Fn(&Entry)>;

/// What a session is given.
pub struct Options {
    /// None where the file is wrong: then nothing is listened to until it is mended.
    pub config: Option<Config>,
    /// Where the configuration is, or would be.
    pub config_file: Option<PathBuf>,
    /// What its reader found wrong or questionable.
    pub problems: Vec<Problem>,
    /// What is wrong whatever the configuration says.
    pub standing: Vec<String>,
    pub wanted: Wanted,
    pub print: Option<Print>,
    /// Where the record is kept; nowhere, if none.
    pub record: Option<PathBuf>,
    /// What to say, once, to somebody who starts it for the first time.
    pub welcome: Option<String>,
    /// What says whether we are started at login; none where nobody is to be asked.
    pub autostart: Option<Autostart>,
    /// Lets other commands talk to us.
    pub instance: Option<Instance>,
    /// Told the address once it is bound.
    pub bound: Option<oneshot::Sender<std::net::SocketAddr>>,
}

/// Runs until a signal says to stop, or the tray's *Quit*.
pub async fn run(options: Options, desktop: Desktop, mut signals: mpsc::Receiver<Signal>) -> anyhow::Result<()> {
    let (knock, mut knocks) = mpsc::channel(QUEUE);
    let (ask, mut asks) = mpsc::channel(QUEUE);
    let config = Arc::new(options.config.clone().unwrap_or_default());
    // What changes while the rest begins is noticed.
    let watcher = options.config_file.clone().map(Watcher::new);
    let (stopping, stopped) = watch::channel(false);
    let (status, followed) = watch::channel(StatusJson::default());
    let mut serving: JoinSet<()> = JoinSet::new();
    if let Some(instance) = options.instance {
        serving.spawn(instance.open()?.serve(ask.clone(), followed, stopped.clone()));
    }
    // Without a socket nobody asks; the channel stays open all the same.
    let _ask = ask;
    // Bound before the desktop is asked for anything: events count more than icons.
    let certificate = config.tls.as_ref().map(|tls| Certificate::load(tls, None, Timestamp::now()));
    let certificate = certificate.transpose().map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let listening = match options.config {
        Some(_) => Some(Listening::open(&config, certificate.as_ref().map(Certificate::identity), &knock).await?),
        None => None,
    };
    if let (Some(bound), Some(address)) = (options.bound, listening.as_ref().and_then(Listening::address)) {
        // Nobody waits for it any more: nothing is lost.
        let _ = bound.send(address);
    }
    let (desktop_event, mut desktop_events) = mpsc::unbounded_channel();
    let (started, mut starts) = mpsc::unbounded_channel();
    let (read, mut reads) = mpsc::unbounded_channel();
    let wanted = Wanted { tray: options.wanted.tray && config.tray.enabled, ..options.wanted };
    let (mut record, loaded) = open_record(options.record.as_deref(), config.history);
    let mut watching = JoinSet::new();
    let (file_changed, mut file_changes) = mpsc::channel(1);
    if let Some(mut watcher) = watcher {
        watching.spawn(async move {
            loop {
                watcher.changed().await;
                if file_changed.send(()).await.is_err() {
                    return;
                }
            }
        });
    }
    let (slept, mut sleeps) = mpsc::channel(1);
    watching.spawn(async move {
        let mut before = clock::slept();
        loop {
            let all = clock::slept_more_than(before).await;
            if slept.send(all - before).await.is_err() {
                return;
            }
            before = all;
        }
    });
    let (news, mut news_of_tunnels) = mpsc::unbounded_channel();
    let (tried, mut tries) = mpsc::unbounded_channel();
    // What an earlier life of ours left running ends before it is run again.
    futures_util::future::join_all(loaded.groups.iter().map(GroupId::end)).await;
    if let Some(record) = record.as_mut().filter(|_| !loaded.groups.is_empty()) {
        record.forget_groups();
    }
    let warnings = if listening.is_some() { options.problems.as_slice() } else { &[] };
    let mut app = App::new(config.clone(), options.config_file.clone(), warnings, wanted, loaded, Now::read());
    app.stands_with(options.standing);
    let has_home = options.config_file.is_some();
    let mut session = Session {
        app,
        config,
        config_file: options.config_file,
        autostart: options.autostart,
        wanted: options.wanted,
        knock,
        listening,
        certificate,
        obtaining: JoinSet::new(),
        password_problem: None,
        listener_problems: Vec::new(),
        // Both parts are asked for: the tray can be switched on by a reload.
        link: desktop.connect(options.wanted, desktop_event),
        runs: JoinSet::new(),
        buttons: JoinSet::new(),
        started,
        record,
        tidying: None,
        status,
        status_told: Instant::now(),
        status_stale: false,
        reloads: Vec::new(),
        print: options.print,
        stopping,
        stopped,
        reader: Reader::new(read),
        // A session without a configuration of its own has no business with what others keep up.
        tunnels: Tunnels::new(news, has_home),
        tried,
    };
    session.stand();
    if let Some(advice) = &options.welcome {
        session.app.introduce(advice);
    }
    session.stand_at_login();
    session.turn([match session.listening {
        Some(_) => Input::Deadline,
        None => Input::NotReloaded(options.problems),
    }]);
    session.report_record();
    session.obtain_password();
    session.report_listener();
    session.begin_tunnels().await;

    while !session.is_stopping() {
        let now = Now::read();
        let deadline = session.app.deadline(now).map(Instant::from_std);
        let deadline = [deadline, session.status_due()].into_iter().flatten().min();
        let certificate_due = session.certificate.as_ref().and_then(Certificate::due);
        let wall_deadline = [session.app.wall_deadline(now), certificate_due].into_iter().flatten().min();
        let doors = session.listening.as_ref().map(|listening| listening.doors().clone());
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
            Some(Ok((entry, label, ended))) = session.buttons.join_next() => Input::ButtonEnded { entry, label, ended },
            Some(ask) = asks.recv() => Input::Ask(ask),
            Some(signal) = signals.recv() => match signal {
                Signal::Stop => Input::Stop,
                Signal::Reload => Input::Reload(Asked::ByUser),
            },
            Some(()) = file_changes.recv() => Input::Reload(Asked::ByFile),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Input::Deadline,
            () = wall_sleep(wall_deadline), if wall_deadline.is_some() => {
                // A pause or quiet hours begin or end.
                session.status_stale = true;
                session.renew_certificate();
                Input::Deadline
            }
            Some((name, standing)) = news_of_tunnels.recv() => Input::Tunnel { name, standing },
            Some(reply) = tries.recv() => {
                // What the try found was told before, and is to be in the answer.
                let news = std::iter::from_fn(|| news_of_tunnels.try_recv().ok());
                let news = news.map(|(name, standing)| Input::Tunnel { name, standing });
                session.turn(news.chain([Input::Tried { reply, ways: session.tunnels.ways() }]));
                continue;
            }
            Some(slept) = sleeps.recv() => Input::Slept(slept),
            Some((id, read)) = reads.recv() => {
                session.reader.next();
                Input::Read { id, read }
            }
            Some(obtained) = session.obtaining.join_next() => {
                session.password_obtained(obtained);
                continue;
            }
            () = password_wanted(doors.as_ref()), if doors.is_some() => {
                session.obtain_password();
                continue;
            }
            () = sleep_until(tidying.unwrap_or_else(Instant::now)), if tidying.is_some() => {
                session.tidy();
                continue;
            }
        };
        session.turn([input]);
        session.reload_all().await;
    }

    watching.shutdown().await;
    let (tunnels, listening) = (session.tunnels.end(), session.listening.take());
    let mut leaving = Some(Box::pin(async move {
        // Before the listener: what is at the tunnel's end must be ours as long as it stands.
        tunnels.await;
        if let Some(listening) = listening {
            listening.close().await;
        }
    }));
    let farewell = async {
        while leaving.is_some()
            || !session.runs.is_empty()
            || !session.buttons.is_empty()
            || !session.obtaining.is_empty()
        {
            tokio::select! {
                Some(knock) = knocks.recv() => session.turn([Input::Knock(knock)]),
                Some(ended) = session.runs.join_next() => session.turn(finished(ended)),
                Some(_) = session.obtaining.join_next() => {}
                Some(ended) = session.buttons.join_next() => {
                    let ended = ended.ok().map(|(entry, label, ended)| Input::ButtonEnded { entry, label, ended });
                    session.turn(ended);
                }
                () = closed(leaving.as_mut()), if leaving.is_some() => leaving = None,
                // A second signal is at once: what still runs is killed below.
                Some(Signal::Stop) = signals.recv() => break,
            }
        }
    };
    if timeout(FAREWELL, farewell).await.is_err() {
        tracing::warn!("not everything ended in time");
    }
    session.runs.shutdown().await;
    session.buttons.shutdown().await;
    session.obtaining.shutdown().await;
    session.write_what_is_missing();
    let _ = timeout(DESKTOP_FAREWELL, async {
        session.link.close().await;
        while serving.join_next().await.is_some() {}
    })
    .await;
    tracing::info!("stopped");
    Ok(())
}

async fn closed(leaving: Option<&mut Pin<Box<impl Future<Output = ()>>>>) {
    if let Some(leaving) = leaving {
        leaving.await;
    }
}

async fn password_wanted(doors: Option<&Doors>) {
    if let Some(doors) = doors {
        doors.password_wanted().await;
    }
}

async fn wall_sleep(moment: Option<jiff::Timestamp>) {
    let Some(moment) = moment else { return };
    if clock::sleep_until(moment).await.is_err() {
        // No timer to be had now: look again in a while.
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
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
    config: Arc<Config>,
    config_file: Option<PathBuf>,
    autostart: Option<Autostart>,
    /// As the command line says; the configuration may want less.
    wanted: Wanted,
    knock: mpsc::Sender<Knock>,
    listening: Option<Listening>,
    certificate: Option<Certificate>,
    /// The password, on its way from where it is kept.
    obtaining: JoinSet<Result<String, String>>,
    password_problem: Option<String>,
    /// As last told.
    listener_problems: Vec<String>,
    link: Link,
    runs: JoinSet<(RunId, Ended)>,
    /// Of buttons, with their labels.
    buttons: JoinSet<(EntryId, String, Ended)>,
    started: mpsc::UnboundedSender<(RunId, GroupId)>,
    record: Option<Record>,
    tidying: Option<Tidying>,
    status: watch::Sender<StatusJson>,
    status_told: Instant,
    status_stale: bool,
    reloads: Vec<(Asked, Option<oneshot::Sender<Reply>>)>,
    print: Option<Print>,
    stopping: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    reader: Reader,
    tunnels: Tunnels,
    /// Told when the tunnels have been tried.
    tried: mpsc::UnboundedSender<oneshot::Sender<Reply>>,
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
        let mut has_new_follower = false;
        for input in inputs {
            has_new_follower |= matches!(&input, Input::Ask(ask) if ask.request == control::Request::Follow);
            self.status_stale |= !matches!(input, Input::Deadline);
            for effect in self.app.on_input(input, Now::read()) {
                // Also where only time has passed: a run may have begun.
                self.status_stale = true;
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
        if has_new_follower {
            // It compares what is there with its answer: nothing older may be left.
            self.status.send_replace(self.app.status_json());
        }
        effects.into_iter().for_each(|effect| self.perform(effect));
        self.tell_followers();
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

    /// The last chance for what the record has missed.
    fn write_what_is_missing(&mut self) {
        if let Some(record) = self.record.as_mut().filter(|record| record.is_behind()) {
            record.write(&self.app.snapshot());
        }
    }

    fn report_record(&mut self) {
        let fault = self.record.as_ref().and_then(|record| record.fault().cloned());
        self.turn([Input::Record(fault)]);
    }

    /// Has the password brought from where the configuration says it is.
    fn obtain_password(&mut self) {
        self.obtaining = JoinSet::new();
        match self.config.auth.as_ref().map(|auth| &auth.pass) {
            Some(pass @ (Pass::File(_) | Pass::Command(_))) if self.listening.is_some() => {
                self.obtaining.spawn(secret::obtain(pass.clone(), self.stopped.clone()));
            }
            _ => self.password_problem = None,
        }
    }

    fn password_obtained(&mut self, obtained: Result<Result<String, String>, tokio::task::JoinError>) {
        let obtained = obtained.unwrap_or_else(|error| Err(error.to_string()));
        if let Some(listening) = &self.listening {
            listening.doors().password_is(obtained.as_deref().ok());
        }
        self.password_problem = obtained.err().map(|why| format!("{why}. Nothing is let in until it is mended"));
        self.report_listener();
    }

    fn renew_certificate(&mut self) {
        let now = Timestamp::now();
        // Also where nothing is due: the clock may have been set, and what was wrong by it is right.
        let Some(certificate) = self.certificate.as_ref().map(|certificate| certificate.again(now)) else { return };
        if let Some(listening) = &self.listening {
            listening.doors().show(certificate.identity());
        }
        tracing::debug!("the certificate was read again");
        self.certificate = Some(certificate);
        self.report_listener();
    }

    fn report_listener(&mut self) {
        let certificate = self.certificate.iter().flat_map(|certificate| certificate.complaints().iter().cloned());
        let problems: Vec<String> = certificate.chain(self.password_problem.clone()).collect();
        if problems != self.listener_problems {
            self.listener_problems.clone_from(&problems);
            self.turn([Input::Listener(problems)]);
        }
    }

    fn tidy(&mut self) {
        self.tidying = None;
        if let Some(waiting_for_the_disk) = self.record.as_mut().and_then(Record::tidy) {
            tokio::task::spawn_blocking(waiting_for_the_disk);
        }
    }

    async fn begin_tunnels(&mut self) {
        if let Some(listening) = &self.listening {
            self.tunnels.begin(&self.config, listening).await;
        }
    }

    /// Tells the decisions what we stand on.
    fn stand(&mut self) {
        let listening = self.listening.iter().flat_map(Listening::urls).collect();
        self.app.stands_on(listening, self.record.is_some());
    }

    /// When followers are due to be told.
    fn status_due(&self) -> Option<Instant> {
        self.is_followed().then_some(()).filter(|()| self.status_stale).map(|()| self.status_told + STATUS_PERIOD)
    }

    /// The server keeps one receiver, each follower another.
    fn is_followed(&self) -> bool {
        self.status.receiver_count() > 1
    }

    fn tell_followers(&mut self) {
        if self.status_stale && self.is_followed() && self.status_told.elapsed() >= STATUS_PERIOD {
            (self.status_stale, self.status_told) = (false, Instant::now());
            // Each follower knows by itself what it was told last.
            self.status.send_replace(self.app.status_json());
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
            Effect::Read { id, message } => self.reader.read(id, message),
            Effect::Open { words, activation_token } => self.open(words, activation_token.as_deref()),
            Effect::Print(entry) => {
                if let Some(print) = &self.print {
                    print(&entry);
                }
            }
            Effect::Reply(reply, answer) => drop(reply.send(answer)),
            Effect::Button { entry, label, words, activation_token } => {
                let mut job = Job { timeout: BUTTON_TIMEOUT, ..Job::new(words) };
                let token = activation_token.iter().flat_map(|token| ACTIVATION.map(|name| (name, token)));
                job.environment = token.map(|(name, token)| (name, Some(token.into()))).collect();
                let stopped = self.stopped.clone();
                self.buttons.spawn(async move { (entry, label, process::run(job, |_| {}, stopped).await) });
            }
            Effect::HoldTunnels => self.tunnels.hold(),
            Effect::WakeTunnels => self.tunnels.wake(),
            Effect::TryTunnels(reply) => {
                let (looks, tried) = (self.tunnels.look(), self.tried.clone());
                tokio::spawn(async move {
                    looks.await;
                    // At our end nobody answers any more.
                    let _ = tried.send(reply);
                });
            }
            Effect::Power(request) => self.link.power(request),
            Effect::OpenConfiguration { file, activation_token } => {
                self.open_configuration(&file, activation_token.as_deref());
            }
            Effect::Autostart(wanted) => self.start_at_login(wanted),
            Effect::LookAtAutostart => self.look_at_autostart(),
            Effect::Reload { asked, reply } => self.reloads.push((asked, reply)),
            Effect::Stop => {
                self.stopping.send_replace(true);
            }
        }
    }
}

fn log(level: tracing::Level, line: &str) {
    match level {
        tracing::Level::ERROR => tracing::error!("{line}"),
        tracing::Level::WARN => tracing::warn!(target: EACH_TIME, "{line}"),
        tracing::Level::INFO => tracing::info!("{line}"),
        tracing::Level::DEBUG => tracing::debug!("{line}"),
        tracing::Level::TRACE => tracing::trace!("{line}"),
    }
}
