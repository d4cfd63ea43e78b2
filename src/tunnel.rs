//! SSH reverse tunnels, kept up: the mail server's end is a port there, ours is the listener.
//!
//! ssh is a child that ends with us; what it says about itself counts for nothing, only that a request of our own comes
//! round the whole way ([`probe`]). What to do next is decided by [`course`], which knows nothing but the time.

mod course;
mod probe;
mod words;

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::{Address, Tunnel as Config};
use crate::listener::Doors;
use crate::process::{self, Ended, Job};
use crate::watcher::Watcher;
use course::{Course, Next};

pub use course::Standing;
use probe::{Lost, probe};
pub use words::{Diagnosis, Step, diagnose};

/// Ours come before the user's: of two values ssh takes the first. They are what keeps a host key that we don't know,
/// a bad server and the user's other connections apart from us.
const OURS: [&str; 11] = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ExitOnForwardFailure=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    // A connection that somebody else shares, or ends, would hold the port for ever, or not at all.
    "ControlMaster=no",
    "ControlPath=none",
    // What a socket of an earlier life left behind is in the way.
    "StreamLocalBindUnlink=yes",
    "StreamLocalBindMask=0177",
    "LogLevel=INFO",
];
/// These are for the user to change.
const DEFAULTS: [&str; 3] = ["ServerAliveInterval=15", "ServerAliveCountMax=3", "ConnectTimeout=10"];

/// What ssh says when it got a port that the mail server chose.
const PORT_GIVEN: &str = "Allocated port";
/// How long to wait for it.
const PATIENCE_WITH_A_PORT: Duration = Duration::from_secs(8);

/// ssh and its arguments. `target` is where the listener is, `socket` where the way can be tried.
fn command(config: &Config, target: &Address, socket: &Address) -> Vec<String> {
    let end = |address: &Address| match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => escaped(path),
    };
    let there = format!("{}:{}", config.remote, end(target));
    let here = format!("{}:{}", end(socket), config.reached_at());
    forwarding(config, &["-R".to_owned(), there, "-L".to_owned(), here])
}

fn forwarding(config: &Config, forwardings: &[String]) -> Vec<String> {
    let option = |option: &&str| ["-o".to_owned(), (*option).to_owned()];
    let mut words = vec![config.ssh.clone(), "-N".to_owned(), "-T".to_owned()];
    words.extend(OURS.iter().flat_map(option));
    words.extend(config.options.iter().cloned());
    words.extend(DEFAULTS.iter().flat_map(option));
    words.extend(forwardings.iter().cloned());
    words.extend(["--".to_owned(), config.host.clone()]);
    words
}

/// A socket's path as ssh reads it in a forwarding (ssh_config(5), `LocalForward`): a colon ends it, `%` and `${` begin
/// something.
fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for c in path.to_string_lossy().chars() {
        match c {
            ':' | '\\' => text.extend(['\\', c]),
            '%' => text.push_str("%%"),
            c => text.push(c),
        }
    }
    text
}

/// Whether the mail server gives us another port than ours as well; none where it didn't say in time. What is asked for
/// is one of the server's choice that leads nowhere, for a moment.
pub async fn gets_any_port(config: &Config) -> Option<bool> {
    let words = forwarding(config, &["-R".to_owned(), "127.0.0.1:0:127.0.0.1:9".to_owned()]);
    let job = Job { dies_with_us: true, until: Some(PORT_GIVEN), timeout: PATIENCE_WITH_A_PORT, ..Job::new(words) };
    let (_stop, stopped) = watch::channel(false);
    let ended = process::run(job, |_| {}, stopped).await;
    match words::diagnose(&ended.stderr).broke_at {
        _ if ended.stderr.contains(PORT_GIVEN) => Some(true),
        Some(Step::Port) => Some(false),
        _ => None,
    }
}

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

/// The way of a tunnel, and those who want to know of it.
struct Line<T> {
    course: Course,
    doors: Doors,
    socket: Address,
    tell: T,
    told: Option<Option<Standing>>,
    looking: Vec<oneshot::Sender<()>>,
}

impl<T: Fn(Option<Standing>)> Line<T> {
    fn new(course: Course, doors: Doors, socket: Address, tell: T) -> Self {
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

    async fn keep(
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
                    let job = Job::new(command(&wanted.config, &wanted.target, &self.socket));
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
                    self.course.probed(result.map_err(Lost::in_words), Instant::now());
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

    async fn watch(
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
                    self.course.probed(result.map_err(Lost::in_words), Instant::now());
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
        self.course.ended(why, chance(), Instant::now());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(options: &[&str], target: &Address, remote: &str) -> Vec<String> {
        let config = Config {
            host: "me@mail".into(),
            remote: remote.parse().unwrap(),
            ssh: "ssh".into(),
            options: options.iter().map(ToString::to_string).collect(),
        };
        command(&config, target, &Address::Unix("/run/user/1/tunnel-1.sock".into()))
    }

    #[test]
    fn what_keeps_us_safe_comes_before_the_users_options_and_the_rest_after() {
        let words = words(&["-o", "StrictHostKeyChecking=no"], &Address::DEFAULT, "127.0.0.1:7");
        let at = |word: &str| words.iter().position(|found| found == word).unwrap();
        for ours in OURS {
            assert!(at(ours) < at("StrictHostKeyChecking=no"), "{ours}");
        }
        for default in DEFAULTS {
            assert!(at("StrictHostKeyChecking=no") < at(default), "{default}");
        }
        assert_eq!(words[words.len() - 2..], ["--", "me@mail"], "a host is never an option");
    }

    /// The words of the service's command, by systemd.service(5): no quotes stand in it.
    fn service() -> Vec<&'static str> {
        let unit = include_str!("../packaging/systemd/mailknock-tunnel.service");
        let (_, command) = unit.split_once("\nExecStart=").unwrap();
        let lines = command.lines().map(|line| (line.trim_end_matches('\\'), line.ends_with('\\')));
        let mut words = Vec::new();
        for (line, goes_on) in lines {
            words.extend(line.split_whitespace());
            if !goes_on {
                break;
            }
        }
        words
    }

    #[test]
    fn the_service_keeps_to_the_same_rules() {
        let words = service();
        let at = |word: &str| words.iter().position(|found| *found == word).unwrap_or_else(|| panic!("no {word}"));
        for ours in OURS {
            assert_eq!(words[at(ours) - 1], "-o");
            assert!(at(ours) < at("$OPTIONS"), "{ours}");
        }
        for default in DEFAULTS {
            assert_eq!(words[at(default) - 1], "-o");
            assert!(at("$OPTIONS") < at(default), "{default}");
        }
        assert_eq!(words[at("-R") + 1], format!("{}:{}", Config::REMOTE, Address::DEFAULT));
        assert_eq!(words[at("-L") + 1], format!("%t/mailknock/tunnel.sock:{}", Config::REMOTE));
        assert_eq!(words[words.len() - 2..], ["--", "${HOST}"], "a host is never an option");
    }

    #[test]
    fn the_two_ends_are_as_ssh_reads_them() {
        let forwarding = |target: &Address, remote| {
            let words = words(&[], target, remote);
            let after = |flag| words[words.iter().position(|word| word == flag).unwrap() + 1].clone();
            (after("-R"), after("-L"))
        };
        let socket = Address::Unix("/run/a b/100%:x".into());
        let (there, here) = forwarding(&socket, "127.0.0.1:7");
        assert_eq!(there, "127.0.0.1:7:/run/a b/100%%\\:x");
        assert_eq!(here, "/run/user/1/tunnel-1.sock:127.0.0.1:7");
        let (there, here) = forwarding(&Address::Tcp("[::1]:9".parse().unwrap()), "0.0.0.0:7");
        assert_eq!((&*there, &*here), ("0.0.0.0:7:[::1]:9", "/run/user/1/tunnel-1.sock:127.0.0.1:7"));
    }
}
