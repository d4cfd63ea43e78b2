//! A fake logind on a system bus of its own, which only says that the machine sleeps.

use std::collections::VecDeque;
use std::io::PipeReader;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zbus::Connection;
use zbus::object_server::SignalEmitter;
use zbus::{fdo, zvariant};

use super::bus::{self, Background, Bus, Client};
use super::desktop::Behaviour;
use super::wait::{EVENTUALLY, holds, wait_at_most, wait_until};

const NAME: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";

/// A system bus with logind on it. Both can come and go while the program runs.
pub struct Logind {
    bus: Bus,
    seen: Arc<Mutex<Seen>>,
    service: Option<Connection>,
    /// What programs ask the bus to tell them, since it began.
    subscriptions: Option<(Client, Receiver<zbus::Message>)>,
    // Last: the connection above needs it until it is gone.
    background: Background,
}

/// One call of `Inhibit` that was answered, and our end of what the program got.
#[derive(Debug)]
pub struct Inhibitor {
    pub what: String,
    pub who: String,
    pub why: String,
    pub mode: String,
    pipe: PipeReader,
}

#[derive(Default)]
struct Seen {
    inhibitors: VecDeque<Inhibitor>,
    calls: u32,
    behaviour: Behaviour,
    is_sleeping: bool,
}

impl Logind {
    pub fn start() -> Logind {
        let mut logind = Self::absent();
        logind.come();
        logind
    }

    /// A system bus without logind.
    pub fn absent() -> Logind {
        let bus = Bus::start();
        let background = Background::start();
        let mut logind = Logind { bus, seen: Arc::default(), service: None, subscriptions: None, background };
        logind.listen();
        logind
    }

    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Takes the system bus away, and logind with it.
    pub fn stop_bus(&mut self) {
        self.go();
        self.subscriptions = None;
        self.bus.stop();
    }

    /// Brings the system bus back, without logind.
    pub fn restart_bus(&mut self) {
        self.stop_bus();
        self.bus.restart();
        self.listen();
    }

    fn listen(&mut self) {
        let client = Client::connect(&self.bus.address());
        let subscriptions = client.overhear("type='method_call',interface='org.freedesktop.DBus',member='AddMatch'");
        self.subscriptions = Some((client, subscriptions));
    }

    /// Starts logind, or starts it anew.
    pub fn come(&mut self) {
        self.go();
        self.seen().is_sleeping = false;
        let service = FakeLogind { seen: Arc::clone(&self.seen) };
        let address = self.bus.address();
        let start = bus::serve(&address, NAME, PATH, service);
        self.service = Some(self.background.wait("starting logind", start));
    }

    /// Ends logind as a crash does.
    pub fn go(&mut self) {
        if let Some(service) = self.service.take() {
            // An error says that the bus was gone first.
            let _ = self.background.wait("leaving the bus", service.close());
        }
    }

    /// How it behaves from the next call on; what hangs is answered once it behaves otherwise.
    pub fn behave(&self, behaviour: Behaviour) {
        self.seen().behaviour = behaviour;
    }

    /// Waits until a program has asked this bus to be told of sleep: what was said before, it hasn't heard.
    #[track_caller]
    pub fn wait_watched(&self) {
        let (_, subscriptions) = self.subscriptions.as_ref().expect("the bus is running");
        wait_at_most(EVENTUALLY, "somebody to watch sleep", String::new, || {
            let rules = subscriptions.try_iter().filter_map(|call| call.body().deserialize::<String>().ok());
            holds(rules.into_iter().any(|rule| rule.contains("PrepareForSleep")))
        });
    }

    /// Says that the machine is about to sleep, or that it is awake again.
    #[track_caller]
    pub fn prepare_for_sleep(&self, start: bool) {
        let connection = self.service.as_ref().expect("logind is running");
        let emitter = SignalEmitter::new(connection, PATH).expect("a valid path");
        self.seen().is_sleeping = start;
        let told = FakeLogind::prepare_for_sleep(&emitter, start);
        self.background.wait("telling of sleep", told).expect("the bus takes the signal");
    }

    /// The oldest inhibitor that no test has asked for yet; waits for it, also for programs that look for the bus at
    /// growing distance.
    #[track_caller]
    pub fn next_inhibitor(&self) -> Inhibitor {
        wait_at_most(EVENTUALLY, "an inhibitor", String::new, || self.try_inhibitor())
    }

    /// The oldest inhibitor that no test has asked for yet, if it is there already.
    pub fn try_inhibitor(&self) -> Option<Inhibitor> {
        self.seen().inhibitors.pop_front()
    }

    /// How often `Inhibit` was called, answered or not.
    pub fn calls(&self) -> u32 {
        self.seen().calls
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no test failed while it held this")
    }
}

impl Drop for Logind {
    fn drop(&mut self) {
        self.go();
    }
}

impl Inhibitor {
    /// Says whether nobody has its other end any more, neither the program nor what it started.
    pub fn is_released(&self) -> bool {
        let mut pipe = [PollFd::new(&self.pipe, PollFlags::empty())];
        poll(&mut pipe, Some(&Timespec::default())).expect("a pipe can be polled");
        pipe[0].revents().contains(PollFlags::HUP)
    }

    /// Says whether this process, which is not the test's own, has its other end.
    pub fn is_held_by(&self, pid: u32) -> bool {
        let link = |path: PathBuf| std::fs::read_link(path).ok();
        let ours = link(format!("/proc/self/fd/{}", self.pipe.as_raw_fd()).into());
        // One that has ended has nothing.
        let theirs = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        theirs.map(|entry| link(entry.path())).any(|pipe| pipe.is_some() && pipe == ours)
    }

    #[track_caller]
    pub fn wait_until_released(&self) {
        wait_until("the inhibitor to be given up", || holds(self.is_released()));
    }
}

struct FakeLogind {
    seen: Arc<Mutex<Seen>>,
}

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl FakeLogind {
    async fn inhibit(&self, what: String, who: String, why: String, mode: String) -> fdo::Result<zvariant::OwnedFd> {
        self.seen().calls += 1;
        while self.seen().behaviour == Behaviour::Hang {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut seen = self.seen();
        if seen.behaviour == Behaviour::Refuse {
            return Err(fdo::Error::AccessDenied("not in the mood".to_owned()));
        }
        if seen.is_sleeping {
            // logind's own words, from its announcement of sleep to that of the awakening.
            let why = "The operation inhibition has been requested for is already running";
            return Err(fdo::Error::Failed(why.to_owned()));
        }
        let (pipe, theirs) = std::io::pipe().map_err(|error| fdo::Error::IOError(error.to_string()))?;
        seen.inhibitors.push_back(Inhibitor { what, who, why, mode, pipe });
        Ok(std::os::fd::OwnedFd::from(theirs).into())
    }

    #[zbus(signal)]
    async fn prepare_for_sleep(emitter: &SignalEmitter<'_>, start: bool) -> zbus::Result<()>;
}

impl FakeLogind {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no test failed while it held this")
    }
}
