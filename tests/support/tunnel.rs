//! Mailknock on a desktop that its mail server reaches through Mailknock's own tunnel alone, and what a user, a mail
//! server and a bar see of that tunnel.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bus::Bus;
use super::daemon::{Daemon, Running};
use super::desktop::{Desktop, TrayItem};
use super::http::{Connection, Request};
use super::mail::Mail;
use super::network::Network;
use super::program::{Process, processes};
use super::recorder::Recorder;
use super::require;
use super::sshd::{Sshd, TUNNEL};
use super::wait::{EVENTUALLY, holds, wait_at_most, wait_until};

/// Where the mail server's programs send to, and with what.
pub const PUSH_URL: &str = "http://knock:s3cret@127.0.0.1:12525/notify";
/// `knock:s3cret`.
const AUTHORIZATION: &str = "Basic a25vY2s6czNjcmV0";
/// ssh notices a dead connection after six seconds, in place of a minute.
pub const QUICK: [&str; 4] = ["-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=2"];
/// As long as a tunnel may be dead before that is known.
pub const KNOWN: Duration = Duration::from_secs(60);
/// The longest wait between two tries, and the try.
pub const HEALED: Duration = Duration::from_secs(75);

/// The icon's pixels.
type Icon = Vec<(i32, i32, Vec<u8>)>;

/// The whole of it. It ends with this value; [`Link::stop`] also looks whether it ends well.
pub struct Link {
    daemon: Running,
    follower: Running,
    /// Runs at fetches alone: it is for the mail of nobody.
    pub fetch: Recorder,
    pub desktop: Desktop,
    _bus: Bus,
    pub sshd: Sshd,
    pub network: Network,
    numbers: Cell<u32>,
    /// Subjects of what was answered 200.
    accepted: RefCell<Vec<String>>,
    /// Subjects of what was not, and may have arrived all the same.
    doubtful: RefCell<Vec<String>>,
    /// While the tunnel was last down.
    icon_of_a_problem: RefCell<Option<Icon>>,
}

impl Link {
    /// Says whether all that is needed is here. See [`require`].
    #[must_use]
    pub fn available() -> bool {
        Network::available() && Sshd::available() && require(&["setpriv", "dbus-daemon"])
    }

    /// With an sshd that soon gives up silent clients, and a tunnel that is up. `options` are further ones for ssh.
    #[track_caller]
    pub fn up(options: &[&str]) -> Link {
        let network = Network::new();
        let sshd = Sshd::start_alive(&network, 1, 3);
        let link = Link::start(network, sshd, options);
        link.wait_first_up();
        link
    }

    /// With this sshd, whether it runs or not. Returns when Mailknock listens.
    #[track_caller]
    pub fn start(network: Network, sshd: Sshd, options: &[&str]) -> Link {
        let bus = Bus::start();
        let desktop = Desktop::start(&bus);
        let recipe = Daemon::new().bus(&bus).inside(&network.desktop());
        let fetch = Recorder::new(&recipe, "fetch");
        // No `listen`: a socket is the default beside a tunnel, which `Daemon::config` would not leave.
        std::fs::write(recipe.config_path(), configuration(&sshd, options, &fetch)).expect("its directory is there");
        let mut daemon = recipe.spawn();
        daemon.wait_log("listening on unix:");
        wait_until("the control socket to open", || UnixStream::connect(control(&recipe)).ok());
        let follower = recipe.clone().args(&["status", "--json", "--follow"]).spawn();
        Link {
            daemon,
            follower,
            fetch,
            desktop,
            _bus: bus,
            sshd,
            network,
            numbers: Cell::new(0),
            accepted: RefCell::default(),
            doubtful: RefCell::default(),
            icon_of_a_problem: RefCell::default(),
        }
    }

    /// How it was started, for commands in the same home.
    pub fn recipe(&self) -> &Daemon {
        self.daemon.recipe()
    }

    pub fn daemon(&self) -> &Running {
        &self.daemon
    }

    pub fn tray(&self) -> TrayItem {
        self.desktop.tray()
    }

    /// Everything that was said, for a failure.
    pub fn log(&self) -> String {
        let (daemon, follower, sshd) = (self.daemon.log(), self.follower.stdout(), self.sshd.log());
        format!("{daemon}\n---- status ----\n{follower}\n---- sshd ----\n{sshd}")
    }

    // ---- how it stands

    /// The tunnel in each line of the follower, oldest first.
    fn told(&self) -> Vec<Value> {
        let lines = self.follower.stdout();
        // The last may be on its way.
        let read = |line| serde_json::from_str::<Value>(line).ok();
        lines.lines().filter_map(read).map(|status| status["tunnels"][0].clone()).collect()
    }

    /// The states that the tunnel went through, oldest first.
    pub fn states(&self) -> Vec<String> {
        let state = |tunnel: &Value| tunnel["state"].as_str().map(str::to_owned);
        let mut states: Vec<String> = self.told().iter().filter_map(state).collect();
        states.dedup();
        states
    }

    /// Why it has been down, as told one after the other.
    pub fn reasons(&self) -> Vec<String> {
        let reason = |tunnel: &Value| tunnel["why"].as_str().map(str::to_owned);
        let mut reasons: Vec<String> = self.told().iter().filter_map(reason).collect();
        reasons.dedup();
        reasons
    }

    /// Waits until it was down for a reason that contains `text`.
    #[track_caller]
    pub fn wait_reason(&self, text: &str) {
        let is_told = || holds(self.reasons().iter().any(|reason| reason.contains(text)));
        wait_at_most(HEALED, &format!("`{text}` as the reason"), || self.log(), is_told);
    }

    /// Waits until followers and the tray say that the tunnel is in this state; returns when that was.
    #[track_caller]
    fn wait_state(&self, state: &str, limit: Duration) -> Instant {
        let is_so = || holds(self.told().last().is_some_and(|tunnel| tunnel["state"] == state));
        wait_at_most(limit, &format!("the tunnel to be {state}"), || self.log(), is_so);
        let line = format!("Tunnel to {}: {state} since ", self.sshd.host());
        self.tray().wait_menu(|labels| labels.iter().any(|label| label.trim_start_matches("⚠ ").starts_with(&line)));
        Instant::now()
    }

    /// Waits until everybody is told that it is down, and why; returns when that was.
    #[track_caller]
    pub fn wait_down(&self) -> Instant {
        let then = self.wait_state("down", KNOWN);
        let tray = self.tray();
        let labels = tray.labels();
        let problems: Vec<&String> = labels.iter().filter(|label| label.starts_with('⚠')).collect();
        assert!(matches!(problems[..], [one] if one.contains("Tunnel to ")), "once: {labels:#?}");
        *self.icon_of_a_problem.borrow_mut() = Some(tray.icon());
        then
    }

    /// Waits until everybody is told that it is up; returns when that was.
    #[track_caller]
    pub fn wait_up(&self) -> Instant {
        let then = self.wait_state("up", HEALED);
        let tray = self.tray();
        let labels = tray.labels();
        assert!(!labels.iter().any(|label| label.starts_with('⚠')), "{labels:#?}");
        if let Some(icon) = self.icon_of_a_problem.take() {
            wait_until("another icon than that of a problem", || holds(tray.icon() != icon));
        }
        then
    }

    /// The first time, when what was missed before is fetched.
    #[track_caller]
    pub fn wait_first_up(&self) -> Instant {
        let then = self.wait_up();
        assert_eq!(self.fetch.wait_starts(1)[0].trigger, "resume");
        then
    }

    /// Tries the way now, as long as that takes; a way that is up was seen to work a moment ago when this returns.
    #[track_caller]
    pub fn look(&self) {
        self.look_later().wait();
    }

    /// Tries the way now, and does not wait for what comes of it.
    #[track_caller]
    pub fn look_later(&self) -> Look {
        let mut stream = UnixStream::connect(control(self.recipe())).expect("the program listens there");
        stream.set_read_timeout(Some(EVENTUALLY)).expect("the bound isn't zero");
        stream.write_all(b"{\"version\":1,\"command\":\"probe\"}\n").expect("the program takes it");
        Look(stream)
    }

    /// Our ssh.
    #[track_caller]
    pub fn ssh(&self) -> Process {
        let mut found = self.daemon.descendants();
        found.retain(|process| process.name == "ssh");
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// Waits until an ssh has ended.
    #[track_caller]
    pub fn wait_gone(&self, ssh: &Process) {
        let is_gone = || holds(!processes().iter().any(|process| process.is_same(ssh)));
        wait_at_most(HEALED, "the end of ssh", || self.log(), is_gone);
    }

    // ---- what the mail server does

    /// A mail that nobody else has.
    pub fn mail(&self, subject: &str) -> Mail {
        self.numbers.set(self.numbers.get() + 1);
        Mail::new("Bob <bob@example.org>", subject).with("imap-uidvalidity", 1).with("imap-uid", self.numbers.get())
    }

    /// Tells of a mail, which becomes a popup.
    #[track_caller]
    pub fn push(&self, subject: &str) {
        self.push_mail(&self.mail(subject), subject);
        self.wait_popup(subject);
    }

    /// Tells of this mail, which may be known already.
    #[track_caller]
    pub fn push_mail(&self, mail: &Mail, subject: &str) {
        let request = request(mail);
        self.network.in_mail(|| request.send(TUNNEL)).accepted();
        self.accept(subject);
    }

    /// Something with this subject was taken.
    pub fn accept(&self, subject: &str) {
        self.accepted.borrow_mut().push(subject.to_owned());
    }

    /// Tells of a mail, to nobody or to somebody who does not answer now.
    #[track_caller]
    pub fn push_unanswered(&self, mail: &Mail, subject: &str) -> Option<Connection> {
        self.doubtful.borrow_mut().push(subject.to_owned());
        let request = request(mail);
        let mut connection = self.network.in_mail(|| Connection::try_open(TUNNEL)).ok()?;
        connection.try_send(&request.bytes()).ok().map(|()| connection)
    }

    /// Tells of a mail in vain: nobody takes it.
    #[track_caller]
    pub fn push_refused(&self, subject: &str) {
        let refused = self.push_unanswered(&self.mail(subject), subject).is_none();
        assert!(refused, "somebody takes mail at the tunnel's end\n{}", self.log());
    }

    /// Waits for the next popup, which is to tell of this mail.
    #[track_caller]
    pub fn wait_popup(&self, subject: &str) {
        let popup = self.desktop.next_notification();
        let first = popup.body.lines().next();
        assert_eq!((popup.summary.as_str(), first), ("Bob", Some(subject)), "{}", self.log());
    }

    // ---- the end

    /// Ends it and asserts that it ends well, that each mail that was taken is on record once and was shown, and that
    /// what may have been missed was fetched `fetches` times.
    #[track_caller]
    pub fn stop(self, fetches: usize) {
        let said = self.recipe().command(&["recent", "--json", "-n", "1000"]).succeeded().stdout;
        let entry = |line| serde_json::from_str::<Value>(line).expect("a line of JSON");
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for entry in said.lines().map(entry) {
            *counts.entry(entry["subject_text"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        assert!(counts.values().all(|count| *count == 1), "taken twice: {counts:?}\n{}", self.log());
        let (accepted, doubtful) = (self.accepted.take(), self.doubtful.take());
        assert!(accepted.iter().all(|subject| counts.contains_key(subject)), "{accepted:?}: {counts:?}");
        let is_known = |subject: &String| accepted.contains(subject) || doubtful.contains(subject);
        assert!(counts.keys().all(is_known), "{counts:?}");
        let triggers: Vec<_> = self.fetch.starts().into_iter().map(|start| start.trigger).collect();
        assert_eq!(triggers, vec!["resume"; fetches], "{}", self.log());

        let Link { daemon, follower, sshd, network, .. } = self;
        daemon.stop();
        follower.finish();
        assert_eq!(network.desktop_processes(), [], "they are left behind");
        wait_at_most(EVENTUALLY, "the server to miss us", || sshd.log(), || holds(sshd.connections().is_empty()));
    }
}

/// A try that is on its way.
#[must_use]
pub struct Look(UnixStream);

impl Look {
    /// Waits until it is known how it went.
    #[track_caller]
    pub fn wait(mut self) {
        self.0.read_exact(&mut [0]).expect("it is told in time");
    }
}

fn control(recipe: &Daemon) -> PathBuf {
    recipe.path("runtime/mailknock/control.sock")
}

fn request(mail: &Mail) -> Request {
    Request::put("/notify").header("Authorization", AUTHORIZATION).json(&mail.json())
}

fn configuration(sshd: &Sshd, options: &[&str], fetch: &Recorder) -> String {
    let options: Vec<String> = sshd.options().into_iter().chain(options.iter().map(ToString::to_string)).collect();
    format!(
        "[auth]\nuser = \"knock\"\npass = \"s3cret\"\n\
         [tunnel]\nhost = \"{}\"\noptions = {}\n\
         [[handler]]\nnotify = true\n\
         [[handler]]\nname = \"fetch\"\nuser = \"nobody\"\ncommand = {}\n\
         [log]\nlevel = true\nmax_level = \"debug\"\n",
        sshd.host(),
        serde_json::json!(options),
        fetch.command(&[]),
    )
}

/// Prints what was measured, for those who look: `cargo test … -- --nocapture | grep TUNNEL-TABLE`.
pub fn table(fault: &str, down: Option<Duration>, up: Option<Duration>) {
    let seconds =
        |after: Option<Duration>| after.map_or("never".to_owned(), |after| format!("{:.1} s", after.as_secs_f64()));
    println!("TUNNEL-TABLE | {fault} | {} | {} |", seconds(down), seconds(up));
}
