//! An open listener and how to close it.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::listener::{Doors, Knock, Listener};

pub struct Listening {
    address: SocketAddr,
    endpoint: String,
    doors: Doors,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Binds the configured address and serves it.
    pub async fn open(config: &Config, knock: &mpsc::Sender<Knock>) -> anyhow::Result<Self> {
        let listener = Listener::bind(config, knock.clone())
            .await
            .with_context(|| format!("failed to listen on {}. Is another instance running?", config.listen))?;
        let address = listener.address().context("failed to learn the address")?;
        let (stop, stopped) = watch::channel(false);
        let doors = listener.doors();
        let task = tokio::spawn(listener.serve(stopped));
        let opened = Self { address, endpoint: config.endpoint.clone(), doors, stop, task };
        tracing::info!("listening on {}", opened.url());
        Ok(opened)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.endpoint)
    }

    /// Goes by another configuration; the address stays.
    pub fn reconfigure(&mut self, config: &Config) {
        self.endpoint.clone_from(&config.endpoint);
        self.doors.reconfigure(config);
    }

    /// Takes no more connections; the task ends after the last answers.
    pub fn close(self) -> JoinHandle<()> {
        self.stop.send_replace(true);
        self.task
    }
}
