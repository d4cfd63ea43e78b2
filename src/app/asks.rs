//! What the other commands ask of the running program, and a new configuration.

use super::*;
use crate::control::{Ask, Reply, Request, RunJson};
use crate::schema::{RecordJson, StatusJson};

/// Somebody who waits for the end of a fetch.
#[derive(Debug)]
pub struct Fetcher {
    waiting: Vec<Arc<str>>,
    runs: Vec<RunJson>,
    reply: oneshot::Sender<Reply>,
}

impl App {
    pub(super) fn on_ask(&mut self, ask: Ask, now: Now, effects: &mut Vec<Effect>) {
        let Ask { request, reply } = ask;
        let answer = match request {
            Request::Fetch { handlers } => return self.fetch_and_wait(&handlers, reply, effects),
            Request::Reload => return effects.push(Effect::Reload { asked: Asked::ByUser, reply: Some(reply) }),
            Request::Status | Request::Follow => Reply::status(self.status_json()),
            Request::Probe => return effects.push(Effect::TryTunnels(reply)),
            Request::Pause { seconds } => {
                self.pause_until(length(seconds, now));
                Reply::status(self.status_json())
            }
            Request::Toggle { seconds } => {
                self.toggle_pause(length(seconds, now));
                Reply::status(self.status_json())
            }
            Request::Resume => {
                self.resume();
                Reply::status(self.status_json())
            }
            Request::Forget => {
                self.store.forget_finished();
                Reply::done()
            }
            Request::Present => {
                let text = format!("Mailknock is running already.\n{}", self.in_words());
                self.announcement = Some(Announcement::News(text));
                Reply::done()
            }
            Request::Recent => {
                let entries = self.store.recent().map(Entry::json);
                Reply { entries: entries.collect(), ..Reply::done() }
            }
        };
        effects.push(Effect::Reply(reply, answer));
    }

    fn fetch_and_wait(&mut self, names: &[String], reply: oneshot::Sender<Reply>, effects: &mut Vec<Effect>) {
        let command = |name: &str| {
            let handler = self.config.handlers.iter().find(|handler| *handler.name == *name);
            handler.filter(|handler| handler.is_command()).map(|handler| handler.name.clone())
        };
        let unknown: Vec<&str> = names.iter().map(String::as_str).filter(|name| command(name).is_none()).collect();
        if !unknown.is_empty() {
            let known = self.config.handlers.iter().filter(|handler| handler.is_command());
            let known: Vec<&str> = known.map(|handler| &*handler.name).collect();
            let why =
                format!("no command handler is named `{}`; there are: {}", unknown.join("`, `"), known.join(", "));
            return effects.push(Effect::Reply(reply, Reply::failed(why)));
        }
        let waiting: Vec<Arc<str>> = match names.is_empty() {
            true => self
                .config
                .handlers
                .iter()
                .filter(|handler| handler.fetch)
                .map(|handler| handler.name.clone())
                .collect(),
            false => names.iter().filter_map(|name| command(name)).collect(),
        };
        if waiting.is_empty() {
            return effects.push(Effect::Reply(reply, Reply::failed("no handler fetches; add a command handler")));
        }
        waiting.iter().for_each(|name| self.dispatcher.fetch(Some(name), Trigger::Fetch));
        self.fetchers.push(Fetcher { waiting, runs: Vec::new(), reply });
    }

    /// Tells those who wait for it how a run ended.
    pub(super) fn tell_fetchers(&mut self, handler: &str, last: &LastRun, effects: &mut Vec<Effect>) {
        let run = RunJson {
            handler: handler.to_owned(),
            result: last.result.clone(),
            succeeded: last.succeeded,
            last_line: last.last_line.clone(),
        };
        self.end_wait(&run, effects);
    }

    fn end_wait(&mut self, run: &RunJson, effects: &mut Vec<Effect>) {
        for fetcher in &mut self.fetchers {
            let Some(at) = fetcher.waiting.iter().position(|name| **name == *run.handler) else { continue };
            fetcher.waiting.remove(at);
            fetcher.runs.push(run.clone());
        }
        let (done, waiting) =
            std::mem::take(&mut self.fetchers).into_iter().partition(|fetcher| fetcher.waiting.is_empty());
        self.fetchers = waiting;
        let done: Vec<Fetcher> = done;
        effects.extend(done.into_iter().map(|fetcher| {
            let reply = Reply { runs: fetcher.runs, ..Reply::done() };
            Effect::Reply(fetcher.reply, reply)
        }));
    }

    fn in_words(&self) -> String {
        let status = self.status();
        // Not the newest mail: strangers may look.
        let line = crate::desktop::menu::tooltip(&Status { recent: Vec::new(), ..status });
        format!("{line}\n{}", self.listening_in_words())
    }

    fn listening_in_words(&self) -> String {
        match self.listening.is_empty() {
            true => "It listens to nothing.".to_owned(),
            false => format!("It listens on {}.", self.listening.join(", ")),
        }
    }

    /// Says, as soon as a popup can be shown, what somebody new to it wants to know.
    pub fn introduce(&mut self, advice: &str) {
        self.announcement = Some(Announcement::News(format!("{}\n{advice}", self.listening_in_words())));
    }

    /// How it stands after the tunnels have been tried, and where they can be.
    pub(super) fn tried(&self, ways: &[(Option<String>, Address)]) -> Reply {
        let mut status = self.status_json();
        for tunnel in &mut status.tunnels {
            let way = ways.iter().find(|(name, _)| *name == tunnel.host);
            tunnel.probe = way.map(|(_, socket)| socket.to_string());
        }
        Reply::status(status)
    }

    pub fn status_json(&self) -> StatusJson {
        let record = match (self.has_record, &self.record_fault) {
            (true, None) => RecordJson::Disk,
            _ => RecordJson::Memory,
        };
        StatusJson::new(&self.status(), record, self.listening.clone())
    }

    /// Goes on with another configuration. Handlers keep their state; so do popups and everything that waits.
    pub(super) fn reloaded(&mut self, config: Arc<Config>, warnings: &[Problem], now: Now, effects: &mut Vec<Effect>) {
        let renamed = self.dispatcher.replace(&config.handlers, now);
        self.fetchers_follow(renamed, effects);
        self.store.drop_handlers(|name| config.handlers.iter().any(|handler| *handler.name == *name));
        self.config_problems = warnings.iter().map(|problem| problem.message.clone()).collect();
        // What was wrong is mended: nobody need be told any more.
        self.announcement = None;
        let foreign = self.tunnels.iter().find(|tunnel| tunnel.name.is_none()).cloned();
        self.tunnels = Self::tunnels_of(&config, &self.config, &self.tunnels, now);
        self.tunnels.extend(foreign);
        self.popups.call(config.accounts.clone());
        self.config = config;
        self.tunnels_changed(effects);
        self.cover(effects);
    }

    /// Nobody waits for a handler that is no more.
    fn fetchers_follow(&mut self, renamed: Vec<(Arc<str>, Option<Arc<str>>)>, effects: &mut Vec<Effect>) {
        // The gone ones first: what is renamed may take one's name.
        for (old, _) in renamed.iter().filter(|(_, new)| new.is_none()) {
            let result = "the handler is no more".to_owned();
            let run = RunJson { handler: old.to_string(), result, succeeded: false, last_line: String::new() };
            self.end_wait(&run, effects);
        }
        for name in self.fetchers.iter_mut().flat_map(|fetcher| &mut fetcher.waiting) {
            let now = renamed.iter().find_map(|(old, new)| new.as_ref().filter(|_| old == name));
            if let Some(now) = now {
                *name = now.clone();
            }
        }
    }

    /// The old configuration stays, and everybody is told why.
    pub(super) fn not_reloaded(&mut self, problems: &[Problem]) {
        for problem in problems {
            tracing::warn!(target: EACH_TIME, "configuration: {problem}");
        }
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        if told != self.config_problems {
            let first = told.first().cloned().unwrap_or_default();
            let more = if told.len() > 1 {
                format!("\nand {} more; `mailknock check` lists them", told.len() - 1)
            } else {
                String::new()
            };
            self.announcement = Some(Announcement::Trouble(format!("{first}{more}")));
        }
        self.config_problems = told;
    }

    /// Says something as a popup of our own, as soon as one can be shown.
    pub(super) fn announce(&mut self, effects: &mut Vec<Effect>) {
        if self.notifications == Some(Availability::Here)
            && let Some(announcement) = self.announcement.take()
        {
            effects.extend(self.popups.announce(&announcement).into_iter().map(Effect::Desktop));
        }
    }
}

/// How long a pause is that lasts so many seconds; beyond the end of time it is one until resumed.
fn length(seconds: Option<u64>, now: Now) -> Paused {
    let end = seconds.and_then(|seconds| now.wall.checked_add(Duration::from_secs(seconds)).ok());
    end.map_or(Paused::UntilResumed, Paused::Until)
}
