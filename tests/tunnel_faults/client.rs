//! Mailknock on the desktop, with a tray, popups, somebody who follows its status, and mail that comes in meanwhile.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::control::{handler, wait_answers};
use crate::record::{recent, subjects};
use crate::support::bus::Bus;
use crate::support::daemon::{Daemon, Finished, Running, is_error};
use crate::support::desktop::Desktop;
use crate::support::http::Request;
use crate::support::mail::Mail;
use crate::support::network::Network;
use crate::support::program::{Process, started_with};
use crate::support::sshd::{Sshd, TUNNEL};
use crate::support::wait::{holds, wait_at_most, wait_until};

/// `knock` and `s3cret`.
const PASSWORD: &str = "Basic a25vY2s6czNjcmV0";
/// Further than a wait between two attempts and a minute for what only a probe can notice.
const PATIENCE: Duration = Duration::from_secs(90);

pub struct Client {
    daemon: Option<Running>,
    follower: Option<Running>,
    pub desktop: Desktop,
    _bus: Bus,
    pub recipe: Daemon,
    network: Network,
    host: String,
    options: Vec<String>,
    /// The subjects of what the mail server has sent.
    pushed: Vec<String>,
    /// How often it has begun and has had a tunnel: so often it has fetched.
    fetches: usize,
}

impl Client {
    /// In a home and on a desktop of its own, not started yet.
    pub fn new(network: &Network, sshd: &Sshd) -> Client {
        let bus = Bus::start();
        Client {
            daemon: None,
            follower: None,
            desktop: Desktop::start(&bus),
            recipe: Daemon::new().bus(&bus).inside(&network.desktop()),
            _bus: bus,
            network: network.clone(),
            host: sshd.host(),
            options: sshd.options(),
            pushed: Vec::new(),
            fetches: 0,
        }
    }

    // ---- configurations

    /// One with a password, popups, something that is fetched, and one tunnel.
    pub fn with_tunnel(&self) -> String {
        self.config("", &self.tunnel(""))
    }

    /// One with these lines before and behind what all have.
    pub fn config(&self, keys: &str, tables: &str) -> String {
        let fetch = handler("name = \"fetch\"\nuser = \"nobody\"", "echo $IMSE_TRIGGER >>fetches");
        let auth = "[auth]\nuser = \"knock\"\npass = \"s3cret\"\n";
        format!("{keys}\n{auth}[[handler]]\nnotify = {{ summarise_over = 20 }}\n{fetch}{tables}")
    }

    /// A tunnel to the mail server, with further keys.
    pub fn tunnel(&self, keys: &str) -> String {
        self.tunnel_with(&[], keys)
    }

    /// The same with these options before those that lead to the server.
    pub fn tunnel_with(&self, options: &[&str], keys: &str) -> String {
        let own = self.options.iter().map(String::as_str);
        let options = json!(options.iter().copied().chain(own).collect::<Vec<_>>());
        format!("[[tunnel]]\nhost = \"{}\"\noptions = {options}\n{keys}\n", self.host)
    }

    // ---- its life

    #[track_caller]
    pub fn start(&mut self, config: &str) {
        self.recipe.write_config(config);
        let mut daemon = self.recipe.spawn();
        daemon.wait_log("listening on ");
        wait_answers(&self.recipe);
        self.daemon = Some(daemon);
        self.follower = Some(self.recipe.clone().args(&["status", "--follow", "--json"]).spawn());
    }

    /// Starts it and waits for its tunnel.
    #[track_caller]
    pub fn start_up(&mut self, config: &str) {
        self.start(config);
        self.wait_tunnel("up");
        self.wait_fetch();
    }

    pub fn daemon(&self) -> &Running {
        self.daemon.as_ref().expect("it was started")
    }

    /// Kills it when what it was about to do is on record: what isn't, it does again in its next life.
    #[track_caller]
    pub fn kill(&mut self) {
        let is_done = |entry: &Value| entry["deliveries"][0]["state"] == "finished";
        wait_until("the popups to be on record", || holds(recent(&self.recipe, &[]).iter().all(is_done)));
        self.daemon.take().expect("it was started").kill();
        self.follower = None;
    }

    #[track_caller]
    pub fn reload(&self, config: &str) -> Finished {
        self.recipe.write_config(config);
        self.recipe.command(&["reload"])
    }

    /// Changes the file and waits until this comes of it, by the log.
    #[track_caller]
    pub fn change(&mut self, config: &str, outcome: &str) -> String {
        let daemon = self.daemon.as_mut().expect("it was started");
        let before = daemon.log_length();
        self.recipe.write_config(config);
        daemon.wait_log_after(before, outcome)
    }

    /// Ends it, and looks whether all was well.
    #[track_caller]
    pub fn stop(&mut self) {
        self.account();
        self.daemon.take().expect("it was started").stop();
        self.is_gone();
    }

    /// Asserts that each event has come once, and that what came before a tunnel was fetched once.
    #[track_caller]
    fn account(&mut self) {
        // Each event once, in whatever order two of one moment stand.
        let mut seen = subjects(&self.recipe, &["-n", "1000"]);
        seen.sort();
        self.pushed.sort();
        assert_eq!(seen, self.pushed);
        assert_eq!(self.fetched(), vec!["resume"; self.fetches]);
    }

    #[track_caller]
    fn is_gone(&mut self) {
        self.follower = None;
        let left = started_with("XDG_RUNTIME_DIR", &self.recipe.path("runtime").display().to_string());
        assert!(left.is_empty(), "these were left behind: {left:?}");
        assert!(self.desktop.try_notification().is_none());
    }

    /// [`Client::stop`] where somebody has asked it to end already.
    #[track_caller]
    pub fn ended(mut self) {
        let finished = self.daemon.take().expect("it was started").finish().succeeded();
        let errors: Vec<_> = finished.stderr.lines().filter(|line| is_error(line)).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        self.account();
        self.is_gone();
        assert_eq!(self.network.desktop_processes(), []);
    }

    /// [`Client::stop`] where it is alone on its machine.
    #[track_caller]
    pub fn finish(mut self) {
        self.stop();
        let left = self.network.desktop_processes();
        assert!(left.is_empty(), "these were left behind: {left:?}");
    }

    // ---- what is seen of it

    /// The status as somebody who follows it was told last.
    pub fn seen(&self) -> Value {
        let text = self.follower.as_ref().expect("it was started").stdout();
        text.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
    }

    /// Waits until the status is as the test wants it.
    #[track_caller]
    pub fn wait_seen<T>(&self, what: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        wait_at_most(PATIENCE, what, || self.seen().to_string(), || wanted(&self.seen()))
    }

    /// Waits until the status and then the tray say that the tunnel is up, down or whatever.
    #[track_caller]
    pub fn wait_tunnel(&self, state: &str) {
        self.wait_line(Some(&self.host), state);
    }

    /// The same for one of several, or for that which has no name.
    #[track_caller]
    pub fn wait_line(&self, name: Option<&str>, state: &str) {
        let title = name.map_or("Tunnel".to_owned(), |name| format!("Tunnel to {name}"));
        let is_so = |tunnel: &Value| tunnel["host"].as_str() == name && tunnel["state"] == state;
        let is_told = |seen: &Value| holds(seen["tunnels"].as_array().is_some_and(|tunnels| tunnels.iter().any(is_so)));
        self.wait_seen(&format!("{title} to be {state}"), is_told);
        let line = format!("{title}: {state} since ");
        self.desktop
            .tray()
            .wait_menu(|labels| labels.iter().any(|label| label.trim_start_matches("⚠ ").starts_with(&line)));
    }

    /// Waits until neither status nor tray know of a tunnel.
    #[track_caller]
    pub fn wait_no_tunnel(&self) {
        self.wait_seen("no tunnel", |seen| holds(seen.is_object() && seen.get("tunnels").is_none()));
        self.desktop.tray().wait_menu(|labels| !labels.iter().any(|label| label.contains("Tunnel")));
    }

    /// Waits until the tunnel is down for a reason that holds these words, and gives all of it.
    #[track_caller]
    pub fn wait_why(&self, words: &str) -> String {
        let why =
            |seen: &Value| seen["tunnels"][0]["why"].as_str().filter(|why| why.contains(words)).map(str::to_owned);
        let why = self.wait_seen(&format!("`{words}` as why it is down"), why);
        let starts = |label: &String| label.starts_with("⚠ Tunnel to ") && label.contains(": down since ");
        self.desktop.tray().wait_menu(|labels| labels.iter().any(starts));
        why
    }

    /// The lines of the tray's menu that are about tunnels.
    pub fn lines(&self) -> Vec<String> {
        let mut labels = self.desktop.tray().labels();
        labels.retain(|label| label.contains("Tunnel"));
        labels
    }

    /// The ssh processes that this one started.
    pub fn ssh(&self) -> Vec<Process> {
        let mut found = self.daemon().descendants();
        found.retain(|process| process.name == "ssh");
        found
    }

    /// The one that keeps the tunnel.
    #[track_caller]
    pub fn the_ssh(&self) -> Process {
        wait_until("one ssh", || <[Process; 1]>::try_from(self.ssh()).ok())[0].clone()
    }

    /// What is in its runtime directory.
    pub fn runtime(&self, name: &str) -> PathBuf {
        self.recipe.path("runtime/mailknock").join(name)
    }

    // ---- mail

    /// A mail comes and is told to the tunnel's end: it is taken, and shown.
    #[track_caller]
    pub fn push(&mut self, subject: &str) {
        self.push_to(TUNNEL, subject);
    }

    #[track_caller]
    pub fn push_to(&mut self, end: SocketAddr, subject: &str) {
        let request = Request::put("/notify").header("Authorization", PASSWORD).json(&mail(subject));
        self.network.in_mail(|| request.send(end)).accepted();
        self.shown(subject);
    }

    /// A mail that was pushed is shown.
    #[track_caller]
    pub fn shown(&mut self, subject: &str) {
        assert_eq!(self.desktop.next_notification().body, subject);
        self.pushed.push(subject.to_owned());
    }

    /// Waits for the fetch that makes up for what came before its tunnel.
    #[track_caller]
    pub fn wait_fetch(&mut self) {
        self.fetches += 1;
        wait_until("the fetch", || holds(self.fetched().len() >= self.fetches));
    }

    fn fetched(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.recipe.home().join("fetches")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// What the mail server says of a new mail.
pub fn mail(subject: &str) -> String {
    Mail::new("Bob <bob@example.org>", subject).json()
}

/// How long it takes until a fault is told in the tray, and until its remedy is.
pub struct Fault {
    name: &'static str,
    began: Instant,
    down_after: Duration,
    /// While the tray has its line.
    icon: Option<Icon>,
}

/// Width, height and pixels, for each size.
type Icon = Vec<(i32, i32, Vec<u8>)>;

impl Fault {
    /// The fault itself comes after this.
    pub fn begins(name: &'static str) -> Fault {
        Fault { name, began: Instant::now(), down_after: Duration::ZERO, icon: None }
    }

    /// Waits until the tray says that the tunnel is down, and then why.
    #[track_caller]
    pub fn down(&mut self, client: &Client, words: &str) -> String {
        client.wait_tunnel("down");
        self.is_down();
        let why = client.wait_why(words);
        self.icon = Some(client.desktop.tray().icon());
        why
    }

    /// It is known, or all that there is to know has happened.
    pub fn is_down(&mut self) -> Duration {
        self.down_after = self.began.elapsed();
        self.down_after
    }

    /// The remedy comes before this: waits until the tray says that the tunnel is up.
    #[track_caller]
    pub fn up(mut self, client: &Client) {
        let icon = self.icon.take();
        self.up_when(|| client.wait_tunnel("up"));
        if let Some(icon) = icon {
            wait_until("another icon than that of the problem", || holds(client.desktop.tray().icon() != icon));
        }
    }

    #[track_caller]
    pub fn up_when(self, wait: impl FnOnce()) {
        let remedied = Instant::now();
        wait();
        let seconds = |duration: Duration| format!("{:.1} s", duration.as_secs_f64());
        let (down, up) = (seconds(self.down_after), seconds(remedied.elapsed()));
        println!("TUNNEL-TABLE | {} | {down} | {up} |", self.name);
    }
}
