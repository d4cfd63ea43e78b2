//! The one loop: takes what happens to the program, asks [`App`] what to do, does it. Ends in phases, each with a
//! deadline, and leaves nothing behind but what `open` started.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
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
use crate::process::{self, Ended};
use crate::store::{Entry, RunId};

/// Events that wait for the loop; senders wait beyond that.
const QUEUE: usize = 64;
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
    let wanted = Wanted { tray: options.wanted.tray && config.tray.enabled, ..options.wanted };
    let mut session = Session {
        app: App::new(Arc::new(config), options.config_file, &options.warnings, wanted, Now::read()),
        link: desktop.connect(wanted, desktop_event),
        runs: JoinSet::new(),
        print: options.print,
        stopping,
        stopped,
    };
    session.take(Input::Deadline);

    let mut stop = std::pin::pin!(stop);
    while !session.is_stopping() {
        let deadline = session.app.deadline(Now::read()).map(Instant::from_std);
        let input = tokio::select! {
            Some(knock) = knocks.recv() => Input::Knock(knock),
            Some(event) = desktop_events.recv() => Input::Desktop(event),
            Some(ended) = session.runs.join_next() => match finished(ended) {
                Some(input) => input,
                None => continue,
            },
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Input::Deadline,
            () = &mut stop => Input::Stop,
        };
        session.take(input);
    }

    let farewell = async {
        let mut is_listening = true;
        while is_listening || !session.runs.is_empty() {
            tokio::select! {
                Some(knock) = knocks.recv() => session.take(Input::Knock(knock)),
                Some(ended) = session.runs.join_next() => {
                    if let Some(input) = finished(ended) {
                        session.take(input);
                    }
                }
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
    print: Option<Print>,
    stopping: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
}

impl Session {
    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    fn take(&mut self, input: Input) {
        for effect in self.app.on_input(input, Now::read()) {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            // A sender that has gone away needs no answer.
            Effect::Answer(reply, taken) => drop(reply.send(taken)),
            Effect::Run { run, job } => {
                let stopped = self.stopped.clone();
                self.runs.spawn(async move { (run, process::run(job, stopped).await) });
            }
            Effect::Log { level, lines } => lines.iter().for_each(|line| log(level, line)),
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
