//! The tunnels that are kept up: begun, changed and ended with the configuration and the listeners.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::listening::Listening;
use crate::config::{Address, Config, Tunnel as Wish};
use crate::listener::own;
use crate::paths;
use crate::tunnel::{Standing, Tunnel, Wanted};

/// ssh that is asked to end does so at once, or is killed after two seconds.
const FAREWELL: Duration = Duration::from_secs(3);
/// The socket of one that is kept up outside of us.
const FOREIGN: &str = "tunnel.sock";

/// A tunnel's name, absent for one that is kept up outside of us, and how it stands, absent where there is none.
pub type News = (Option<String>, Option<Standing>);

pub struct Tunnels {
    kept: Vec<Kept>,
    /// With the socket of its probes.
    foreign: Option<(PathBuf, Tunnel)>,
    looks_out: bool,
    news: mpsc::UnboundedSender<News>,
}

struct Kept {
    wish: Wish,
    target: Address,
    name: String,
    /// Of its probes.
    socket: Address,
    tunnel: Tunnel,
}

impl Tunnels {
    /// `looks_out`: whether one that is kept up outside of us is ours to look at.
    pub fn new(news: mpsc::UnboundedSender<News>, looks_out: bool) -> Self {
        Self { kept: Vec::new(), foreign: None, looks_out, news }
    }

    /// Ends those that another configuration doesn't have, or whose listener it takes away: nobody else may get what
    /// comes through them.
    pub async fn end_unwanted(&mut self, config: &Config, listening: Option<&Listening>) {
        let is_wanted = |kept: &Kept| {
            let is_kept = listening.is_some_and(|listening| listening.stays(&kept.target, config));
            is_kept && config.tunnels.contains(&kept.wish) && kept.name == config.name_of(&kept.wish)
        };
        let (wanted, unwanted) = std::mem::take(&mut self.kept).into_iter().partition(is_wanted);
        self.kept = wanted;
        end_all(unwanted).await;
    }

    /// Begins those that are not there yet; ends those that lead to another listener.
    pub async fn begin(&mut self, config: &Config, listening: &Listening) {
        let Some(target) = listening.tunnels_end() else { return };
        let (right, wrong) = std::mem::take(&mut self.kept).into_iter().partition(|kept| kept.target == target);
        self.kept = right;
        end_all(wrong).await;
        for wish in &config.tunnels {
            if self.kept.iter().any(|kept| kept.wish == *wish) {
                continue;
            }
            let Some(socket) = self.free_socket() else {
                tracing::warn!("there is no place for the tunnels' sockets");
                return;
            };
            let name = config.name_of(wish);
            let wanted = Wanted {
                config: wish.clone(),
                target: target.clone(),
                socket: socket.clone(),
                doors: listening.doors().clone(),
            };
            let tunnel = Tunnel::keep(wanted, self.tell(Some(name.clone())));
            self.kept.push(Kept { wish: wish.clone(), target: target.clone(), name, socket, tunnel });
        }
        match (config.tunnels.is_empty(), foreign_socket().filter(|_| self.looks_out)) {
            (true, Some(socket)) if self.foreign.is_none() => {
                let tunnel = Tunnel::watch(&socket, listening.doors().clone(), self.tell(None));
                self.foreign = Some((socket, tunnel));
            }
            (false, _) => {
                if let Some((_, foreign)) = self.foreign.take() {
                    foreign.end().await;
                    let _ = self.news.send((None, None));
                }
            }
            _ => {}
        }
    }

    fn tell(&self, name: Option<String>) -> impl Fn(Option<Standing>) + Send + 'static {
        let news = self.news.clone();
        // At our end nobody listens any more.
        move |standing| drop(news.send((name.clone(), standing)))
    }

    fn free_socket(&self) -> Option<Address> {
        let is_free = |socket: &Address| !self.kept.iter().any(|kept| kept.socket == *socket);
        let directory = paths::runtime_directory()?;
        (1..1000).map_while(|number| own(&directory, &format!("tunnel-{number}.sock")).ok()).find(is_free)
    }

    fn all(&self) -> impl Iterator<Item = &Tunnel> {
        self.kept.iter().map(|kept| &kept.tunnel).chain(self.foreign.iter().map(|(_, tunnel)| tunnel))
    }

    /// Their names, and where the way through each can be tried.
    pub fn ways(&self) -> Vec<(Option<String>, Address)> {
        let kept = self.kept.iter().map(|kept| (Some(kept.name.clone()), kept.socket.clone()));
        kept.chain(self.foreign.iter().map(|(socket, _)| (None, Address::Unix(socket.clone())))).collect()
    }

    pub fn hold(&self) {
        self.all().for_each(Tunnel::hold);
    }

    pub fn wake(&self) {
        self.all().for_each(Tunnel::wake);
    }

    /// Tries them all; resolves when that is known.
    pub fn look(&self) -> impl Future<Output = ()> + Send + 'static {
        let looks: Vec<_> = self.all().map(Tunnel::look).collect();
        async move { drop(join_all(looks).await) }
    }

    /// Resolves when no ssh of ours is left.
    pub fn end(&mut self) -> impl Future<Output = ()> + use<> {
        let foreign = self.foreign.take().map(|(_, tunnel)| tunnel.end());
        let kept = std::mem::take(&mut self.kept);
        async move {
            if let Some(foreign) = foreign {
                foreign.await;
            }
            end_all(kept).await;
        }
    }
}

async fn end_all(tunnels: Vec<Kept>) {
    let ends: Vec<_> = tunnels.into_iter().map(|kept| kept.tunnel.end()).collect();
    if timeout(FAREWELL, join_all(ends)).await.is_err() {
        tracing::warn!("ssh does not end");
    }
}

fn foreign_socket() -> Option<PathBuf> {
    cfg!(unix).then(paths::runtime_directory).flatten().map(|directory| directory.join(FOREIGN))
}
