//! A fake logind on a system bus of its own, which says that the machine sleeps and that the screen is locked.

use std::collections::{HashMap, VecDeque};
use std::io::PipeReader;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zbus6::Connection;
use zbus6::names::InterfaceName;
use zbus6::object_server::SignalEmitter;
use zbus6::{ObjectPath, OwnedFd, OwnedObjectPath, fdo};

use super::bus::{self, Background, Bus, Client};
use super::daemon;
use super::desktop::Behaviour;
use super::wait::{EVENTUALLY, holds, wait_at_most, wait_until};

const NAME: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
/// The session of a program that was started by ssh: it has no screen.
const TERMINAL: &str = "c0";

/// A system bus with logind on it. Both can come and go while the program runs.
pub struct Logind {
    bus: Bus,
    seen: Arc<Mutex<Seen>>,
    service: Option<Connection>,
    /// What programs ask the bus to tell them, since it began.
    subscriptions: Option<(Client, Receiver<zbus6::Message>)>,
    // Last: the connection above needs it until it is gone.
    background: Background,
}

/// Where a program was started, and so which session logind takes it to be in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// The user's systemd, as most desktops do it: no session at all.
    #[default]
    Service,
    /// The session on the screen, while logind takes another for the user's display.
    Screen,
    /// ssh, while somebody is at the screen too.
    Terminal,
    /// logind knows neither the program nor its user: only `XDG_SESSION_ID` can say.
    Elsewhere,
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
    origin: Origin,
    /// How often somebody looked for a session.
    looks: u32,
    /// How many sessions there were on the screen; the last is there still, unless nobody is logged in.
    logins: u32,
    is_logged_in: bool,
    is_locked: bool,
}

impl Seen {
    /// The session on the screen.
    fn screen(&self) -> Option<String> {
        self.is_logged_in.then(|| format!("c{}", self.logins))
    }
}

fn session_path(id: &str) -> OwnedObjectPath {
    ObjectPath::try_from(format!("{PATH}/session/{id}")).expect("a valid path").into()
}

/// Whose programs and sessions all of this is about.
fn user() -> u32 {
    daemon::somebody().unwrap_or(rustix::process::getuid().as_raw())
}

fn user_path() -> OwnedObjectPath {
    ObjectPath::try_from(format!("{PATH}/user/_{}", user())).expect("a valid path").into()
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
        let seen = Seen { logins: 1, is_logged_in: true, ..Seen::default() };
        let seen = Arc::new(Mutex::new(seen));
        let mut logind = Logind { bus, seen, service: None, subscriptions: None, background };
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

    /// Starts logind, or starts it anew. It knows the sessions that there are, and whether the one on the screen is
    /// locked.
    pub fn come(&mut self) {
        self.go();
        self.seen().is_sleeping = false;
        let screen = self.seen().screen();
        let address = self.bus.address();
        let mut service = bus::service(&address, NAME)
            .serve_at(PATH, FakeLogind { seen: Arc::clone(&self.seen) })
            .serve_at(user_path(), FakeUser { seen: Arc::clone(&self.seen) });
        for id in screen.into_iter().chain([TERMINAL.to_owned()]) {
            service = service.serve_at(session_path(&id), self.session(&id));
        }
        let service = self.background.wait("starting logind", service.build());
        self.service = Some(service.expect("the bus accepts connections, and nobody else has the name"));
    }

    fn session(&self, id: &str) -> FakeSession {
        FakeSession { id: id.to_owned(), seen: Arc::clone(&self.seen) }
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

    /// From where programs ask from now on.
    pub fn ask_from(&self, origin: Origin) {
        self.seen().origin = origin;
    }

    /// Locks the screen, or unlocks it; a logind that isn't there tells nobody.
    #[track_caller]
    pub fn set_locked(&self, is_locked: bool) {
        self.seen().is_locked = is_locked;
        let id = self.seen().screen().expect("somebody is logged in");
        let Some(connection) = &self.service else { return };
        let emitter = SignalEmitter::new(connection, session_path(&id)).expect("a valid path");
        let session = self.session(&id);
        self.background.wait("telling of a lock", session.locked_hint_changed(&emitter)).expect("the bus takes it");
    }

    /// [`Logind::set_locked`] where the signal says that something changed, and not to what.
    #[track_caller]
    pub fn set_locked_silently(&self, is_locked: bool) {
        self.seen().is_locked = is_locked;
        let id = self.seen().screen().expect("somebody is logged in");
        let connection = self.service.as_ref().expect("logind is running");
        let emitter = SignalEmitter::new(connection, session_path(&id)).expect("a valid path");
        let interface = InterfaceName::from_static_str_unchecked("org.freedesktop.login1.Session");
        let told = fdo::Properties::properties_changed(&emitter, interface, HashMap::new(), (&["LockedHint"]).into());
        self.background.wait("telling of a lock", told).expect("the bus takes it");
    }

    /// Ends the session on the screen.
    #[track_caller]
    pub fn log_out(&self) {
        let id = self.seen().screen().expect("somebody is logged in");
        (self.seen().is_logged_in, self.seen().is_locked) = (false, false);
        let path = session_path(&id);
        self.announce("a logout", async |connection, emitter| {
            connection.object_server().remove::<FakeSession, _>(&path).await?;
            FakeLogind::session_removed(&emitter, &id, path.as_ref()).await
        });
    }

    /// Begins a session on the screen, another than before.
    #[track_caller]
    pub fn log_in(&self) {
        self.seen().logins += 1;
        self.seen().is_logged_in = true;
        let id = self.seen().screen().expect("somebody is logged in");
        let (path, session) = (session_path(&id), self.session(&id));
        self.announce("a login", async |connection, emitter| {
            connection.object_server().at(&path, session).await?;
            FakeLogind::session_new(&emitter, &id, path.as_ref()).await
        });
    }

    fn announce(&self, what: &str, send: impl AsyncFnOnce(&Connection, SignalEmitter<'_>) -> zbus6::Result<()>) {
        let connection = self.service.as_ref().expect("logind is running");
        let emitter = SignalEmitter::new(connection, PATH).expect("a valid path");
        self.background.wait(what, send(connection, emitter)).expect("the bus takes the signal");
    }

    /// How often somebody looked for the session, answered or not.
    pub fn looks(&self) -> u32 {
        self.seen().looks
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

#[zbus6::interface(crate = "zbus6", name = "org.freedesktop.login1.Manager")]
impl FakeLogind {
    async fn inhibit(&self, what: String, who: String, why: String, mode: String) -> fdo::Result<OwnedFd> {
        self.seen().calls += 1;
        self.behave().await?;
        let mut seen = self.seen();
        if seen.is_sleeping {
            // logind's own words, from its announcement of sleep to that of the awakening.
            let why = "The operation inhibition has been requested for is already running";
            return Err(fdo::Error::Failed(why.to_owned()));
        }
        let (pipe, theirs) = std::io::pipe().map_err(|error| fdo::Error::IOError(error.to_string()))?;
        seen.inhibitors.push_back(Inhibitor { what, who, why, mode, pipe });
        Ok(std::os::fd::OwnedFd::from(theirs).into())
    }

    #[zbus(name = "GetSessionByPID")]
    async fn get_session_by_pid(&self, pid: u32) -> fdo::Result<OwnedObjectPath> {
        self.seen().looks += 1;
        self.behave().await?;
        if pid != 0 {
            return Err(fdo::Error::NotSupported("only whoever asks is looked for".to_owned()));
        }
        let seen = self.seen();
        let session = match seen.origin {
            Origin::Screen => seen.screen(),
            Origin::Terminal => Some(TERMINAL.to_owned()),
            Origin::Service | Origin::Elsewhere => None,
        };
        let none = || fdo::Error::Failed("Caller does not belong to any known session".to_owned());
        session.map(|id| session_path(&id)).ok_or_else(none)
    }

    async fn get_session(&self, id: String) -> fdo::Result<OwnedObjectPath> {
        self.behave().await?;
        let is_known = id == TERMINAL || self.seen().screen().is_some_and(|screen| screen == id);
        is_known.then(|| session_path(&id)).ok_or_else(|| fdo::Error::Failed(format!("No session '{id}' known")))
    }

    async fn get_user(&self, uid: u32) -> fdo::Result<OwnedObjectPath> {
        self.behave().await?;
        let is_known = uid == user() && self.seen().origin != Origin::Elsewhere;
        let none = || fdo::Error::Failed(format!("User ID {uid} is not logged in or lingering"));
        is_known.then(user_path).ok_or_else(none)
    }

    #[zbus(signal)]
    async fn prepare_for_sleep(emitter: &SignalEmitter<'_>, start: bool) -> zbus6::Result<()>;

    #[zbus(signal)]
    async fn session_new(emitter: &SignalEmitter<'_>, id: &str, path: ObjectPath<'_>) -> zbus6::Result<()>;

    #[zbus(signal)]
    async fn session_removed(emitter: &SignalEmitter<'_>, id: &str, path: ObjectPath<'_>) -> zbus6::Result<()>;
}

impl FakeLogind {
    async fn behave(&self) -> fdo::Result<()> {
        while self.seen().behaviour == Behaviour::Hang {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        match self.seen().behaviour {
            Behaviour::Refuse => Err(fdo::Error::AccessDenied("not in the mood".to_owned())),
            _ => Ok(()),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no test failed while it held this")
    }
}

struct FakeUser {
    seen: Arc<Mutex<Seen>>,
}

#[zbus6::interface(crate = "zbus6", name = "org.freedesktop.login1.User")]
impl FakeUser {
    #[zbus(property)]
    fn display(&self) -> (String, OwnedObjectPath) {
        let seen = self.seen.lock().expect("no test failed while it held this");
        let none = || (String::new(), ObjectPath::from_static_str_unchecked("/").into());
        let display = if seen.origin == Origin::Screen { Some(TERMINAL.to_owned()) } else { seen.screen() };
        display.map_or_else(none, |id| (id.clone(), session_path(&id)))
    }
}

struct FakeSession {
    id: String,
    seen: Arc<Mutex<Seen>>,
}

#[zbus6::interface(crate = "zbus6", name = "org.freedesktop.login1.Session")]
impl FakeSession {
    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> String {
        self.id.clone()
    }

    #[zbus(property)]
    fn r#type(&self) -> &str {
        if self.id == TERMINAL { "tty" } else { "wayland" }
    }

    #[zbus(property)]
    fn locked_hint(&self) -> bool {
        self.id != TERMINAL && self.seen.lock().expect("no test failed while it held this").is_locked
    }
}
