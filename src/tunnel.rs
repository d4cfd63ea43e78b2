//! SSH reverse tunnels, kept up: the mail server's end is a port there, ours is the listener.
//!
//! ssh is a child that ends with us; what it says about itself counts for nothing, only that a request of our own comes
//! round the whole way (`probe`). What to do next is decided by `course`, which knows nothing but the time.

mod course;
mod line;
mod probe;
mod ssh;
mod words;

use std::future::Future;
use std::path::Path;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::{Address, Tunnel as Config};
use crate::listener::Doors;
use crate::watcher::Watcher;
use course::Course;
use line::Line;

pub use course::Standing;
pub use ssh::{Offer, account, gets_any_port, ports_given};
pub use words::{Diagnosis, Step, diagnose};

/// What a tunnel is told.
#[derive(Debug)]
enum Order {
    Hold,
    Wake,
    Look(oneshot::Sender<()>),
}

/// One tunnel, kept up as long as this lives.
#[derive(Debug)]
pub struct Tunnel {
    orders: mpsc::UnboundedSender<Order>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What is needed to keep one up.
pub struct Wanted {
    pub config: Config,
    /// Where the listener is.
    pub target: Address,
    /// For the probes; a socket is below a directory of ours.
    pub socket: Address,
    pub doors: Doors,
}

impl Tunnel {
    /// Starts it; `tell` is told how it stands, at the start and at every change.
    pub fn keep(wanted: Wanted, tell: impl Fn(Option<Standing>) + Send + 'static) -> Self {
        Self::spawn(|orders, stop| async move {
            let line = Line::new(Course::new(Instant::now()), wanted.doors.clone(), wanted.socket.clone(), tell);
            line.keep(&wanted, orders, stop).await;
            if let Address::Unix(socket) = &wanted.socket {
                // ssh leaves it behind.
                let _ = std::fs::remove_file(socket);
            }
        })
    }

    /// Looks after one that somebody else keeps, by the socket with which it can be tried. `tell` is told nothing where
    /// there is none.
    pub fn watch(socket: &Path, doors: Doors, tell: impl Fn(Option<Standing>) + Send + 'static) -> Self {
        let watcher = Watcher::new(socket.to_owned());
        let line = Line::new(Course::foreign(Instant::now()), doors, Address::Unix(socket.to_owned()), tell);
        Self::spawn(|orders, stop| line.watch(watcher, orders, stop))
    }

    fn spawn<F>(begin: impl FnOnce(mpsc::UnboundedReceiver<Order>, watch::Receiver<bool>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (orders, incoming) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(begin(incoming, stopped));
        Self { orders, stop, task }
    }

    /// Before the machine sleeps.
    pub fn hold(&self) {
        let _ = self.orders.send(Order::Hold);
    }

    /// The machine is awake.
    pub fn wake(&self) {
        let _ = self.orders.send(Order::Wake);
    }

    /// Tries the way now; resolves when it has been told how that went.
    pub fn look(&self) -> impl Future<Output = ()> + Send + 'static {
        let (done, looked) = oneshot::channel();
        let _ = self.orders.send(Order::Look(done));
        async move { drop(looked.await) }
    }

    /// Ends ssh; resolves when it has ended.
    pub fn end(self) -> impl Future<Output = ()> + Send + 'static {
        self.stop.send_replace(true);
        async move { drop(self.task.await) }
    }
}
