//! The life of one tunnel: does what its course says, and tells how it stands.

use std::future::Future;
use std::time::Instant;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{mpsc, oneshot, watch};

use super::course::{Course, Next};
use super::probe::{Lost, probe};
use super::{Order, Standing, Wanted, ssh, words};
use crate::config::{Address, Tunnel as Config};
use crate::listener::Doors;
use crate::process::{self, Ended, Job};
use crate::watcher::Watcher;

/// The way of a tunnel, and those who want to know of it.
pub struct Line<T> {
    course: Course,
    doors: Doors,
    socket: Address,
    tell: T,
    told: Option<Option<Standing>>,
    looking: Vec<oneshot::Sender<()>>,
}

impl<T: Fn(Option<Standing>)> Line<T> {
    pub fn new(course: Course, doors: Doors, socket: Address, tell: T) -> Self {
        Self { course, doors, socket, tell, told: None, looking: Vec::new() }
    }

    fn report(&mut self, standing: Option<Standing>) {
        if self.told.as_ref() != Some(&standing) {
            self.told = Some(standing.clone());
            (self.tell)(standing);
        }
    }

    fn take(&mut self, order: Order) {
        let now = Instant::now();
        match order {
            Order::Hold => self.course.hold(),
            Order::Wake => self.course.wake(now),
            Order::Look(done) if self.course.look(now) => self.looking.push(done),
            // There is nothing to see: what was told last is all.
            Order::Look(_) => {}
        }
    }

    pub async fn keep(
        mut self,
        wanted: &Wanted,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut ssh = None;
        let mut probing = None;
        let mut stop_ssh = watch::channel(false).0;
        loop {
            let next = self.course.next(Instant::now());
            self.report(Some(self.course.standing().clone()));
            let due = match next {
                Next::Start => {
                    let job = Job::new(ssh::command(&wanted.config, &wanted.target, &self.socket));
                    let (stop, stopped) = watch::channel(false);
                    stop_ssh = stop;
                    ssh = Some(Box::pin(process::run(Job { dies_with_us: true, ..job }, |_| {}, stopped)));
                    continue;
                }
                Next::Probe => {
                    probing = Some(Box::pin(self.probe()));
                    continue;
                }
                Next::End => {
                    stop_ssh.send_replace(true);
                    continue;
                }
                Next::Wait(due) => due,
            };
            tokio::select! {
                ended = settled(&mut ssh), if ssh.is_some() => {
                    (ssh, probing) = (None, None);
                    self.ssh_ended(&ended, &wanted.config);
                }
                result = settled(&mut probing), if probing.is_some() => {
                    probing = None;
                    self.course.probed(result, Instant::now());
                    self.report(Some(self.course.standing().clone()));
                    self.looked();
                }
                Some(order) = orders.recv() => self.take(order),
                () = sleep_until(due) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        stop_ssh.send_replace(true);
        if let Some(ssh) = ssh {
            ssh.await;
        }
    }

    pub async fn watch(
        mut self,
        mut watcher: Watcher,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut probing = None;
        loop {
            let due = match self.course.next(Instant::now()) {
                Next::Probe => {
                    probing = Some(Box::pin(self.probe()));
                    continue;
                }
                Next::Wait(due) => due,
                // It is not ours to start or to end.
                Next::Start | Next::End => None,
            };
            tokio::select! {
                result = settled(&mut probing), if probing.is_some() => {
                    probing = None;
                    let is_dead = matches!(result, Err(Lost::NoWay | Lost::Refused));
                    let is_there = result != Err(Lost::NoWay);
                    self.course.probed(result, Instant::now());
                    if is_dead {
                        // Nothing will change until the socket is another.
                        self.course.rest();
                    }
                    let standing = is_there.then(|| self.course.standing().clone());
                    self.report(standing);
                    self.looked();
                }
                () = watcher.changed() => self.course.wake(Instant::now()),
                Some(order) = orders.recv() => self.take(order),
                () = sleep_until(due) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn probe(&self) -> impl Future<Output = Result<(), Lost>> + Send + use<T> {
        let (socket, doors) = (self.socket.clone(), self.doors.clone());
        async move { probe(&socket, &doors).await }
    }

    fn ssh_ended(&mut self, ended: &Ended, config: &Config) {
        let why = words::explain(&ended.stderr, &ended.exit.to_string(), &config.host, config.remote);
        tracing::debug!(host = %config.host, "ssh: {}", ended.exit);
        let is_reason = words::diagnose(&why).advice.is_some();
        self.course.ended(why, is_reason, chance(), Instant::now());
        self.report(Some(self.course.standing().clone()));
        self.looked();
    }

    /// Whoever waits is told after everybody else, so that what they find is new.
    fn looked(&mut self) {
        self.looking.clear();
    }
}

async fn settled<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// A number between 0 and 1, another each time.
fn chance() -> f64 {
    let mut byte = [0_u8];
    // Without one the wait is the shortest.
    let _ = SystemRandom::new().fill(&mut byte);
    f64::from(byte[0]) / 255.0
}
