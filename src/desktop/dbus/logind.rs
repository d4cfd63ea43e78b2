//! Sleep, awakening and locks, as logind (`org.freedesktop.login1`) tells of them on the system bus.
//!
//! That bus is left alone until somebody wants to know. Who is to be waited for holds a delay inhibitor: logind lets the
//! machine sleep once all of these are given up, or after its `InhibitDelayMaxSec`, 5 s by default.

mod lock_hint;

use std::future::{Future, pending};
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, once};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use zbus::fdo::{DBusProxy, NameOwnerChangedStream};
use zbus::proxy::CacheProperties;
use zbus::{Connection, zvariant};

use super::{PATIENCE, next_attempt};
use crate::desktop::{DesktopEvent, PowerRequest};

const SERVICE: &str = "org.freedesktop.login1";
/// What `systemd-inhibit --list` says of us.
const WHY: &str = "The tunnel to the mail server is closed first";

#[zbus::proxy(
    crate = "zbus",
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1",
    gen_blocking = false
)]
trait Manager {
    /// A machine that runs without logind is not made to start it.
    #[zbus(no_autostart)]
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::Result<zvariant::OwnedFd>;
    /// Of the process; 0 is whoever asks.
    #[zbus(name = "GetSessionByPID", no_autostart)]
    fn get_session_by_pid(&self, process: u32) -> zbus::Result<zvariant::OwnedObjectPath>;
    #[zbus(no_autostart)]
    fn get_session(&self, id: &str) -> zbus::Result<zvariant::OwnedObjectPath>;
    #[zbus(no_autostart)]
    fn get_user(&self, user: u32) -> zbus::Result<zvariant::OwnedObjectPath>;
    #[zbus(signal)]
    fn prepare_for_sleep(&self, start: bool) -> zbus::Result<()>;
    #[zbus(signal)]
    fn session_new(&self, id: &str, session: zvariant::ObjectPath<'_>) -> zbus::Result<()>;
    #[zbus(signal)]
    fn session_removed(&self, id: &str, session: zvariant::ObjectPath<'_>) -> zbus::Result<()>;
}

/// What the program wants at the moment.
#[derive(Debug, Clone, Copy)]
enum Wish {
    /// To end.
    Closed,
    Nothing,
    Watch {
        sleep: bool,
        hold: bool,
        lock: bool,
    },
}

impl Wish {
    fn hear(&mut self, request: Option<PowerRequest>) {
        *self = match request {
            None => Self::Closed,
            Some(PowerRequest::Watch { sleep: false, lock: false, .. }) => Self::Nothing,
            Some(PowerRequest::Watch { sleep, hold, lock }) => Self::Watch { sleep, hold: sleep && hold, lock },
            Some(PowerRequest::ReadyToSleep) => *self,
        };
    }
}

/// Tells of sleep and locks whenever that is wanted, until the sender of the requests is gone.
pub async fn power(mut requests: UnboundedReceiver<PowerRequest>, events: UnboundedSender<DesktopEvent>) {
    let mut wish = Wish::Nothing;
    let mut attempt = 0;
    loop {
        match wish {
            Wish::Closed => return,
            Wish::Nothing => {
                attempt = 0;
                wish.hear(requests.recv().await);
                continue;
            }
            Wish::Watch { .. } => {}
        }
        let tried_at = Instant::now();
        match meanwhile(open(&events), &mut wish, &mut requests).await {
            Some(Ok(watch)) => {
                attempt = 0;
                watch.run(&mut wish, &mut requests).await;
                if matches!(wish, Wish::Watch { .. }) {
                    tracing::debug!("nobody tells of sleep or locks: the system bus is gone");
                }
            }
            Some(Err(why)) if attempt == 0 => tracing::debug!("nobody tells of sleep or locks: {why}"),
            Some(Err(_)) | None => {}
        }
        attempt += 1;
        // No wait where nothing is wanted any more.
        meanwhile(backoff(attempt, tried_at), &mut wish, &mut requests).await;
    }
}

/// Does some work that is for watching; leaves it, with none, when that is no longer wanted.
async fn meanwhile<T>(
    work: impl Future<Output = T>,
    wish: &mut Wish,
    requests: &mut UnboundedReceiver<PowerRequest>,
) -> Option<T> {
    let mut work = pin!(work);
    while let Wish::Watch { .. } = wish {
        tokio::select! {
            done = &mut work => return Some(done),
            request = requests.recv() => wish.hear(request),
        }
    }
    None
}

async fn backoff(attempt: u32, tried_at: Instant) {
    match next_attempt(attempt, tried_at) {
        Some(then) => sleep_until(then).await,
        None => pending().await,
    }
}

async fn open(events: &UnboundedSender<DesktopEvent>) -> Result<Watch, String> {
    match timeout(PATIENCE, Watch::open(events.clone())).await {
        Ok(Ok(watch)) => Ok(watch),
        Ok(Err(error)) => Err(format!("no system bus: {error}")),
        Err(_) => Err("the system bus does not answer".to_owned()),
    }
}

/// One life of the system bus connection.
struct Watch {
    events: UnboundedSender<DesktopEvent>,
    connection: Connection,
    logind: ManagerProxy<'static>,
    sleep: PrepareForSleepStream,
    owner: NameOwnerChangedStream,
    logind_is_here: bool,
    /// The program was told of sleep, and not yet of the awakening.
    is_sleeping: bool,
    wants_inhibitor: bool,
    inhibitor: Option<OwnedFd>,
    taking: Option<Pin<Box<dyn Future<Output = Option<OwnedFd>> + Send>>>,
    wants_lock: bool,
    /// As the program was told.
    is_locked: bool,
    hints: Option<BoxStream<'static, bool>>,
}

impl Watch {
    async fn open(events: UnboundedSender<DesktopEvent>) -> zbus::Result<Self> {
        let connection = Connection::system().await?;
        let logind = ManagerProxy::builder(&connection).cache_properties(CacheProperties::No).build().await?;
        let bus = DBusProxy::new(&connection).await?;
        let owner = bus.receive_name_owner_changed_with_args(&[(0, SERVICE)]).await?;
        let sleep = logind.receive_prepare_for_sleep().await?;
        let logind_is_here = bus.name_has_owner(SERVICE.try_into()?).await?;
        if !logind_is_here {
            tracing::debug!("nobody tells of sleep or locks: no logind");
        }
        Ok(Self {
            events,
            connection,
            logind,
            sleep,
            owner,
            logind_is_here,
            is_sleeping: false,
            wants_inhibitor: false,
            inhibitor: None,
            taking: None,
            wants_lock: false,
            is_locked: false,
            hints: None,
        })
    }

    /// Watches until the bus is gone or nobody wants to know any more.
    async fn run(mut self, wish: &mut Wish, requests: &mut UnboundedReceiver<PowerRequest>) {
        while let Wish::Watch { sleep, hold, lock } = *wish {
            if !sleep {
                self.nobody_tells_of_waking();
            }
            self.want_inhibitor(hold);
            self.want_lock(lock);
            // In this order: a new logind is known before what it says.
            tokio::select! {
                biased;
                request = requests.recv() => {
                    if request == Some(PowerRequest::ReadyToSleep) {
                        self.ready_to_sleep();
                    }
                    wish.hear(request);
                }
                change = self.owner.next() => {
                    let Some(change) = change else { break };
                    let Ok(arguments) = change.args() else { continue };
                    let is_here = arguments.new_owner.is_some();
                    self.logind_changed(is_here);
                }
                Some(signal) = self.sleep.next() => {
                    let Ok(arguments) = signal.args() else { continue };
                    match arguments.start {
                        _ if !sleep => {}
                        true => self.about_to_sleep(),
                        false => self.resumed(),
                    }
                }
                Some(is_locked) = next_hint(&mut self.hints), if self.hints.is_some() => self.locked(is_locked),
                inhibitor = taken(&mut self.taking), if self.taking.is_some() => {
                    self.taking = None;
                    // It takes the place of an older one, which ends only now.
                    self.inhibitor = inhibitor.or(self.inhibitor.take());
                }
            }
        }
        self.end().await;
    }

    fn want_lock(&mut self, wanted: bool) {
        if wanted == self.wants_lock {
            return;
        }
        self.wants_lock = wanted;
        match wanted {
            true => self.listen_for_locks(),
            false => self.leave_locks(),
        }
    }

    fn listen_for_locks(&mut self) {
        if !self.wants_lock {
            return;
        }
        self.hints = Some(match self.logind_is_here {
            true => lock_hint::hints(self.logind.clone()),
            // One that restarts is back at once, and meanwhile nobody has unlocked the screen.
            false => once(async {
                sleep(PATIENCE).await;
                false
            })
            .boxed(),
        });
    }

    fn leave_locks(&mut self) {
        self.hints = None;
        self.locked(false);
    }

    fn locked(&mut self, is_locked: bool) {
        if is_locked != self.is_locked {
            self.is_locked = is_locked;
            self.say(DesktopEvent::SessionLocked(is_locked));
        }
    }

    fn want_inhibitor(&mut self, wanted: bool) {
        if wanted == self.wants_inhibitor {
            return;
        }
        self.wants_inhibitor = wanted;
        match wanted {
            // Nobody gets one on the way to sleep.
            true if !self.is_sleeping => self.take(),
            true => {}
            false => self.give_up(),
        }
    }

    /// Has an inhibitor brought.
    fn take(&mut self) {
        if self.wants_inhibitor && self.logind_is_here {
            self.taking = Some(Box::pin(take(self.logind.clone())));
        }
    }

    fn give_up(&mut self) {
        self.taking = None;
        self.inhibitor = None;
    }

    fn about_to_sleep(&mut self) {
        // Said twice: the program makes ready, or is.
        if !self.is_sleeping {
            self.is_sleeping = true;
            self.say(DesktopEvent::AboutToSleep);
        }
    }

    /// An answer that comes too late, when the machine is awake again, says nothing about the next time.
    fn ready_to_sleep(&mut self) {
        if self.is_sleeping {
            self.give_up();
        }
    }

    /// The machine slept, or didn't in the end; we may also have come in the middle of it.
    fn resumed(&mut self) {
        self.is_sleeping = false;
        self.say(DesktopEvent::Resumed);
        if self.inhibitor.is_none() && self.taking.is_none() {
            self.take();
        }
    }

    /// One that begins anew may know of our inhibitor, as systemd's does, or not. The old one is kept until there is
    /// another.
    fn logind_changed(&mut self, is_here: bool) {
        self.logind_is_here = is_here;
        self.taking = None;
        self.nobody_tells_of_waking();
        self.take();
        self.listen_for_locks();
    }

    /// Who was told of sleep must not wait for ever.
    fn nobody_tells_of_waking(&mut self) {
        if self.is_sleeping {
            self.is_sleeping = false;
            self.say(DesktopEvent::Resumed);
        }
    }

    fn say(&self, event: DesktopEvent) {
        // The program drops its end when it stops; then nobody needs to know.
        let _ = self.events.send(event);
    }

    async fn end(mut self) {
        self.give_up();
        self.nobody_tells_of_waking();
        self.leave_locks();
        let _ = timeout(PATIENCE, self.connection.close()).await;
    }
}

async fn next_hint(hints: &mut Option<BoxStream<'static, bool>>) -> Option<bool> {
    hints.as_mut()?.next().await
}

async fn taken<T>(taking: &mut Option<Pin<Box<dyn Future<Output = Option<T>> + Send>>>) -> Option<T> {
    taking.as_mut()?.await
}

/// Asks for an inhibitor, several times where logind doesn't answer; none where it refuses.
async fn take(logind: ManagerProxy<'static>) -> Option<OwnedFd> {
    let mut attempt = 0;
    loop {
        let tried_at = Instant::now();
        match timeout(PATIENCE, logind.inhibit("sleep", "Mailknock", WHY, "delay")).await {
            // It is a copy that no program of ours inherits; the one that zbus received is not, and is closed by now.
            Ok(Ok(inhibitor)) => return Some(inhibitor.into()),
            Ok(Err(error)) => {
                tracing::debug!("sleep does not wait for us: {error}");
                return None;
            }
            // An answer that comes later is thrown away with its inhibitor.
            Err(_) if attempt == 0 => tracing::debug!("sleep does not wait for us: logind does not answer"),
            Err(_) => {}
        }
        attempt += 1;
        sleep_until(next_attempt(attempt, tried_at)?).await;
    }
}
