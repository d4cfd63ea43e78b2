//! The embedded HTTP listener: takes what senders push, answers at once, hands events on.
//!
//! axum's router runs over hyper's own HTTP/1 connections, because `axum::serve` knows no deadline for heads and
//! bodies: a half-sent request would stay for ever. A request is judged by its head alone (`gate`); only one that
//! passed may send a body, and only a complete body takes one of the `max_connections` places.

mod answer;
mod body;
mod connection;
mod connections;
mod framing;
mod gate;
mod password;
mod probes;
mod socket;
mod tls;

use std::io;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::{Address, Config};
use crate::event::Event;
use body::Budget;
use connections::Connections;
use gate::Rules;
use password::Password;
use probes::Probes;
use socket::Socket;

pub use gate::PROBE;
pub use probes::{Awaited, nonce};
pub use socket::{connect, is_taken, own};
pub use tls::Identity;

const MAX_HEAD: usize = 16 * 1024;
/// All bodies together, in memory at once.
const MAX_BODIES: usize = 32 << 20;
/// Open connections have so long for their last answer when we stop.
const FAREWELL: Duration = Duration::from_secs(1);

/// Events that somebody reported; `reply` wants to know whether they are on record.
#[derive(Debug)]
pub struct Knock {
    pub events: Vec<Event>,
    /// The same for the same request sent again; none where the sender doesn't date its requests.
    pub fingerprint: Option<u64>,
    pub reply: oneshot::Sender<Taken>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    OnRecord,
    Stopping,
}

/// Who is let in, by every listener alike; can be changed while they are open.
#[derive(Clone)]
pub struct Doors(Arc<Inner>);

struct Inner {
    shared: RwLock<Arc<Shared>>,
    connections: Connections,
    probes: Probes,
    /// Told when a password that wasn't to be had is needed.
    password_wanted: Notify,
}

/// What requests go by. One that has begun keeps to what it began with.
struct Shared {
    rules: Rules,
    timeout: Duration,
    places: Semaphore,
    budget: Budget,
    knocks: mpsc::Sender<Knock>,
    password: Option<Arc<Password>>,
}

impl Doors {
    /// Events go to `knocks`. With a `[tls]` there must be an identity.
    pub fn new(config: &Config, identity: Option<Arc<Identity>>, knocks: mpsc::Sender<Knock>) -> Self {
        Self(Arc::new(Inner {
            shared: RwLock::new(Arc::new(Shared::new(config, identity, knocks, None))),
            connections: Connections::default(),
            probes: Probes::default(),
            password_wanted: Notify::new(),
        }))
    }

    /// Goes by another configuration from the next request on; where it listens stays.
    pub fn reconfigure(&self, config: &Config, identity: Option<Arc<Identity>>) {
        let mut current = self.0.shared.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *current = Arc::new(Shared::new(config, identity, current.knocks.clone(), current.password.as_ref()));
    }

    /// Shows another certificate from the next connection on.
    pub fn show(&self, identity: Arc<Identity>) {
        self.shared().rules.show(identity);
    }

    /// What obtaining the password came to; without one nobody gets in.
    pub fn password_is(&self, pass: Option<&str>) {
        if let Some(password) = &self.shared().password {
            password.set(pass);
        }
    }

    /// Resolves when a request needs a password that was not to be had before.
    pub async fn password_wanted(&self) {
        self.0.password_wanted.notified().await;
    }

    /// A word that only we know, and that is waited for, as the end of the path of a request.
    pub fn expect(&self) -> Option<Awaited> {
        self.0.probes.expect()
    }

    /// The certificate that we show; none where we speak plain HTTP.
    pub fn identity(&self) -> Option<Arc<Identity>> {
        self.shared().rules.identity()
    }

    fn shared(&self) -> Arc<Shared> {
        self.0.shared.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn new(
        config: &Config,
        identity: Option<Arc<Identity>>,
        knocks: mpsc::Sender<Knock>,
        old: Option<&Arc<Password>>,
    ) -> Self {
        let password = |auth| match old.filter(|old| old.is_of(auth)) {
            // Requests that wait for it go on waiting.
            Some(old) => {
                old.begin_anew();
                old.clone()
            }
            None => Arc::new(Password::new(auth)),
        };
        Self {
            rules: Rules::new(config, identity),
            timeout: config.timeout,
            places: Semaphore::new(config.max_connections),
            budget: Budget::new(MAX_BODIES, config.max_body),
            knocks,
            password: config.auth.as_ref().map(password),
        }
    }
}

/// One open socket.
pub struct Listener {
    socket: Socket,
    doors: Doors,
}

impl Listener {
    pub async fn bind(address: &Address, doors: Doors) -> io::Result<Self> {
        Ok(Self { socket: Socket::bind(address).await?, doors })
    }

    /// Where it listens, with the port that the system chose.
    pub fn address(&self) -> io::Result<Address> {
        self.socket.address()
    }

    /// Serves until `stop` turns true, then lets requests in progress end.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        let Self { socket, doors } = self;
        let router = answer::router(doors.clone());
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = async { drop(stop.wait_for(|stop| *stop).await) } => break,
                Some(_) = tasks.join_next() => continue,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let Some(place) = doors.0.connections.enter() else { continue };
                    let serving =
                        connection::serve(stream, address, router.clone(), doors.shared(), place, stop.clone());
                    tasks.spawn(serving);
                }
                Err(error) => {
                    // Out of descriptors: connections must end before another can begin.
                    tracing::warn!("failed to accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
        drop(socket);
        let ended = async { while tasks.join_next().await.is_some() {} };
        let _ = timeout(FAREWELL, ended).await;
    }
}
