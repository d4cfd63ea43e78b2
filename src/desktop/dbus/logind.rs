//! Sleep and awakening, as logind (`org.freedesktop.login1`) tells of them on the system bus.
//!
//! That bus is left alone until somebody wants to know. Who is to be waited for holds a delay inhibitor: logind lets the
//! machine sleep once all of these are given up, or after its `InhibitDelayMaxSec`, 5 s by default.

use std::future::{Future, pending};
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};

use futures_util::StreamExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until, timeout};
use zbus::fdo::{DBusProxy, NameOwnerChangedStream};
use zbus::proxy::CacheProperties;
use zbus::{Connection, zvariant};

use super::{PATIENCE, next_attempt};
use crate::desktop::{DesktopEvent, PowerRequest};

const SERVICE: &str = "org.freedesktop.login1";
/// What `systemd-inhibit --list` says of us.
const WHY: &str = "The tunnel to the mail server is closed first";

#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1",
    gen_blocking = false
)]
trait Manager {
    /// A machine that runs without logind is not made to start it.
    #[zbus(no_autostart)]
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::Result<zvariant::OwnedFd>;
    #[zbus(signal)]
    fn prepare_for_sleep(&self, start: bool) -> zbus::Result<()>;
}

/// What the program wants at the moment.
#[derive(Debug, Clone, Copy)]
enum Wish {
    /// To end.
    Closed,
    Nothing,
    Sleep {
        hold: bool,
    },
}

impl Wish {
    fn hear(&mut self, request: Option<PowerRequest>) {
        *self = match request {
            None => Self::Closed,
            Some(PowerRequest::Watch { sleep: true, hold }) => Self::Sleep { hold },
            Some(PowerRequest::Watch { sleep: false, .. }) => Self::Nothing,
            Some(PowerRequest::ReadyToSleep) => *self,
        };
    }
}

/// Tells of sleep whenever that is wanted, until the sender of the requests is gone.
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
            Wish::Sleep { .. } => {}
        }
        let tried_at = Instant::now();
        match meanwhile(open(&events), &mut wish, &mut requests).await {
            Some(Ok(watch)) => {
                attempt = 0;
                watch.run(&mut wish, &mut requests).await;
                if matches!(wish, Wish::Sleep { .. }) {
                    tracing::debug!("nobody tells of sleep: the system bus is gone");
                }
            }
            Some(Err(why)) if attempt == 0 => tracing::debug!("nobody tells of sleep: {why}"),
            Some(Err(_)) | None => {}
        }
        attempt += 1;
        // No wait where nothing is wanted any more.
        meanwhile(backoff(attempt, tried_at), &mut wish, &mut requests).await;
    }
}

/// Does some work that is for watching sleep; leaves it, with none, when that is no longer wanted.
async fn meanwhile<T>(
    work: impl Future<Output = T>,
    wish: &mut Wish,
    requests: &mut UnboundedReceiver<PowerRequest>,
) -> Option<T> {
    let mut work = pin!(work);
    while let Wish::Sleep { .. } = wish {
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
            tracing::debug!("nobody tells of sleep: no logind");
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
        })
    }

    /// Watches until the bus is gone or nobody wants to know any more.
    async fn run(mut self, wish: &mut Wish, requests: &mut UnboundedReceiver<PowerRequest>) {
        while let Wish::Sleep { hold } = *wish {
            self.want_inhibitor(hold);
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
                        true => self.about_to_sleep(),
                        false => self.resumed(),
                    }
                }
                inhibitor = taken(&mut self.taking), if self.taking.is_some() => {
                    self.taking = None;
                    // It takes the place of an older one, which ends only now.
                    self.inhibitor = inhibitor.or(self.inhibitor.take());
                }
            }
        }
        self.end().await;
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
        let _ = timeout(PATIENCE, self.connection.close()).await;
    }
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
