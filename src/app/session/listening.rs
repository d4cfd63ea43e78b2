//! The open listeners: how they are opened, changed and closed.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::{Address, Config};
use crate::listener::{Doors, Identity, Knock, Listener};

/// An address that was let go is free again within moments.
const SOON: Duration = Duration::from_secs(1);

pub struct Listening {
    doors: Doors,
    open: Vec<Open>,
    /// How URLs of it look.
    scheme: &'static str,
    endpoint: String,
}

/// What a change of the configuration will listen on besides.
pub struct Prepared {
    new: Vec<Address>,
    /// None where an old address must go first.
    opened: Option<Vec<Open>>,
}

struct Open {
    /// As the configuration has it; its port may be 0.
    wanted: Address,
    bound: Address,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Binds the configured addresses and serves them.
    pub async fn open(
        config: &Config,
        identity: Option<Arc<Identity>>,
        knock: &mpsc::Sender<Knock>,
    ) -> anyhow::Result<Self> {
        let doors = Doors::new(config, identity.clone(), knock.clone());
        let open = open_all(&config.listen, &doors).await?;
        let opened = Self { doors, open, scheme: scheme(identity.as_deref()), endpoint: config.endpoint.clone() };
        opened.urls().iter().for_each(|url| tracing::info!("listening on {url}"));
        Ok(opened)
    }

    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// The first address that is one of the network's.
    pub fn address(&self) -> Option<SocketAddr> {
        self.open.iter().find_map(|open| open.bound.tcp())
    }

    /// Where a tunnel of ours ends: at a socket that only we can reach, else at an address of this machine.
    pub fn tunnels_end(&self) -> Option<Address> {
        let unix = self.open.iter().find(|open| open.bound.tcp().is_none());
        let is_ours = |open: &&Open| open.bound.within().tcp().is_some_and(|address| address.ip().is_loopback());
        unix.or_else(|| self.open.iter().find(is_ours)).or(self.open.first()).map(|open| open.bound.within())
    }

    /// Whether what listens at a tunnel's end will listen there under another configuration.
    pub fn stays(&self, end: &Address, config: &Config) -> bool {
        self.open.iter().any(|open| open.bound.within() == *end && config.listen.contains(&open.wanted))
    }

    pub fn urls(&self) -> Vec<String> {
        let url = |open: &Open| match &open.bound {
            Address::Tcp(address) => format!("{}://{address}{}", self.scheme, self.endpoint),
            unix @ Address::Unix(_) => unix.to_string(),
        };
        self.open.iter().map(url).collect()
    }

    /// Binds what another configuration wants besides; or says why that fails. Nothing has changed yet.
    pub async fn prepare(&self, config: &Config) -> anyhow::Result<Prepared> {
        let is_open = |address: &&Address| self.open.iter().any(|open| open.wanted == **address);
        let new: Vec<Address> = config.listen.iter().filter(|address| !is_open(address)).cloned().collect();
        match open_all(&new, &self.doors).await {
            Err(error) if is_in_use(&error) && self.is_in_its_own_way(config) => Ok(Prepared { new, opened: None }),
            opened => Ok(Prepared { new, opened: Some(opened?) }),
        }
    }

    /// Goes by another configuration; or changes nothing, and says why.
    pub async fn change(
        &mut self,
        prepared: Prepared,
        config: &Config,
        identity: Option<Arc<Identity>>,
    ) -> anyhow::Result<()> {
        let is_wanted = |open: &Open| config.listen.contains(&open.wanted);
        let Prepared { new, opened } = prepared;
        let opened = match opened {
            Some(opened) => opened,
            None => {
                let (kept, old) = std::mem::take(&mut self.open).into_iter().partition(is_wanted);
                self.open = kept;
                self.open_instead(&new, old).await?
            }
        };
        self.open.retain(is_wanted);
        self.open.extend(opened);
        self.open.sort_by_key(|open| config.listen.iter().position(|address| *address == open.wanted));
        (self.scheme, self.endpoint) = (scheme(identity.as_deref()), config.endpoint.clone());
        self.doors.reconfigure(config, identity);
        self.urls().iter().filter(|_| !new.is_empty()).for_each(|url| tracing::info!("listening on {url}"));
        Ok(())
    }

    /// `0.0.0.0:1` can't be bound while `127.0.0.1:1` is, nor the other way round.
    fn is_in_its_own_way(&self, config: &Config) -> bool {
        let ports = |address: &Address| address.tcp().map(|address| address.port());
        let wanted: Vec<u16> = config.listen.iter().filter_map(ports).collect();
        self.open.iter().filter_map(|open| ports(&open.bound)).any(|port| wanted.contains(&port))
    }

    /// Lets the old addresses go first; they come back where the new ones can't be had.
    async fn open_instead(&mut self, new: &[Address], old: Vec<Open>) -> anyhow::Result<Vec<Open>> {
        let before: Vec<(Address, Address)> =
            old.into_iter().map(|open| (open.wanted.clone(), open.bound.clone())).collect();
        let opened = open_soon(new, &self.doors).await;
        if opened.is_err() {
            for (wanted, bound) in before {
                let again = open_soon(&[bound], &self.doors).await.unwrap_or_default();
                self.open.extend(again.into_iter().map(|open| Open { wanted: wanted.clone(), ..open }));
            }
        }
        opened
    }

    /// Takes no more connections; done after the last answers.
    pub fn close(self) -> impl Future<Output = ()> {
        let tasks: Vec<_> = self
            .open
            .into_iter()
            .map(|open| {
                open.stop.send_replace(true);
                open.task
            })
            .collect();
        async move { drop(join_all(tasks).await) }
    }
}

fn scheme(identity: Option<&Identity>) -> &'static str {
    if identity.is_some() { "https" } else { "http" }
}

/// All or none. One that is dropped closes by itself, after its last answers.
async fn open_all(addresses: &[Address], doors: &Doors) -> anyhow::Result<Vec<Open>> {
    let mut opened = Vec::new();
    for address in addresses {
        let listener = Listener::bind(address, doors.clone()).await.map_err(|error| {
            let maybe = match error.kind() {
                std::io::ErrorKind::AddrInUse => ". Is another instance running?",
                _ => "",
            };
            anyhow::Error::new(error).context(format!("failed to listen on {address}{maybe}"))
        })?;
        let bound = listener.address().context("failed to learn the address")?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(listener.serve(stopped));
        opened.push(Open { wanted: address.clone(), bound, stop, task });
    }
    Ok(opened)
}

/// The old sockets are closed in a moment, by their own tasks.
async fn open_soon(addresses: &[Address], doors: &Doors) -> anyhow::Result<Vec<Open>> {
    let given_up = Instant::now() + SOON;
    loop {
        match open_all(addresses, doors).await {
            Err(error) if is_in_use(&error) && Instant::now() < given_up => {
                tokio::time::sleep(Duration::from_millis(10)).await
            }
            opened => return opened,
        }
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    let error = error.root_cause().downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}
