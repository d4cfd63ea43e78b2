//! How ssh is started.

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;

use super::words::{self, Diagnosis, Step};
use crate::config::{Address, Tunnel as Config};
use crate::mime::one_line;
use crate::process::{self, Exit, Job};

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
pub fn command(config: &Config, target: &Address, socket: &Address) -> Vec<String> {
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

/// Only the end of what a program prints is kept, and these lists would push the account out of it.
const SHORT_LISTS: [&str; 4] =
    ["HostKeyAlgorithms=ssh-ed25519", "KexAlgorithms=curve25519-sha256", "Ciphers=aes128-ctr", "MACs=hmac-sha2-256"];
/// Nothing is asked over the network, unless ssh's configuration wants the server's name looked up.
const PATIENCE_WITH_ITSELF: Duration = Duration::from_secs(2);

/// The account that ssh would log in to, by this tunnel's options and ssh's own configuration. No connection is made.
pub async fn account(config: &Config) -> Option<String> {
    let mut words = vec![config.ssh.clone(), "-G".to_owned()];
    words.extend(SHORT_LISTS.iter().flat_map(|list| ["-o".to_owned(), (*list).to_owned()]));
    words.extend(config.options.iter().cloned());
    words.extend(["--".to_owned(), config.host.clone()]);
    let job = Job { dies_with_us: true, timeout: PATIENCE_WITH_ITSELF, ..Job::new(words) };
    let (_stop, stopped) = watch::channel(false);
    let ended = process::run(job, |_| {}, stopped).await;
    let name = ended.stdout.lines().find_map(|line| line.strip_prefix("user "))?;
    let is_name = !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control());
    (ended.exit.is_success() && is_name).then(|| name.to_owned())
}

/// What the mail server says to the question for ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// It gave these, in the order in which they were asked for.
    Given(Vec<u16>),
    /// It gave none of them; ssh's words.
    Refused(String),
    /// It could not be asked.
    Unasked(Diagnosis),
}

/// What ssh says where it did not get a port.
const PORT_REFUSED: &str = "remote port forwarding failed";
/// Where what is asked for last leads to; ssh says so in its answer, which is the last.
const LAST: &str = "connect 127.0.0.1:8";

/// Which of these ports of its loopback the mail server gives us, all asked for in one connection, for a moment. They
/// lead nowhere.
pub async fn ports_given(config: &Config, ports: &[u16], patience: Duration) -> Offer {
    if let Err(said) = process::find(&config.ssh) {
        return Offer::Unasked(Diagnosis { said, advice: None, broke_at: Some(Step::Ssh) });
    }
    let words = asking(config, ports);
    let job = Job { dies_with_us: true, until: Some(LAST), timeout: patience, ..Job::new(words) };
    let (_stop, stopped) = watch::channel(false);
    let ended = process::run(job, |_| {}, stopped).await;
    match answered(&ended.stderr, ports) {
        Some(offer) => offer,
        None => {
            let said = ended.stderr.lines().filter(|line| !line.starts_with("debug1:"));
            let said = match ended.exit {
                Exit::TimedOut(_) => String::new(),
                _ => said.collect::<Vec<_>>().join("\n"),
            };
            let why = words::explain(&said, &ended.exit.to_string(), &config.host, config.remote);
            Offer::Unasked(words::diagnose(&why))
        }
    }
}

fn asking(config: &Config, ports: &[u16]) -> Vec<String> {
    let forwardings = ports.iter().enumerate().flat_map(|(place, port)| {
        let nowhere = if place + 1 == ports.len() { 8 } else { 9 };
        ["-R".to_owned(), format!("127.0.0.1:{port}:127.0.0.1:{nowhere}")]
    });
    let mut words = forwarding(config, &forwardings.collect::<Vec<_>>());
    // In front of ours: one port that is taken must not keep us from the others, and what is given is said at this level.
    let first = ["-o", "ExitOnForwardFailure=no", "-o", "LogLevel=DEBUG1"];
    words.splice(1..1, first.map(str::to_owned));
    words
}

/// None where it said nothing of ports.
fn answered(stderr: &str, ports: &[u16]) -> Option<Offer> {
    let is_given = |port: &&u16| stderr.contains(&format!("remote forward success for: listen 127.0.0.1:{port}, "));
    let given: Vec<u16> = ports.iter().filter(is_given).copied().collect();
    let refused = stderr.lines().find(|line| line.contains(PORT_REFUSED));
    match (given.is_empty(), refused) {
        (false, _) => Some(Offer::Given(given)),
        (true, Some(line)) => Some(Offer::Refused(one_line(line))),
        (true, None) => None,
    }
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
        let unit = include_str!("../../packaging/systemd/mailknock-tunnel.service");
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
    fn ports_are_asked_for_together_and_as_carefully_as_a_tunnel() {
        let remote = "127.0.0.1:7".parse().unwrap();
        let config = Config { host: "me@mail".into(), remote, ssh: "ssh".into(), options: vec!["-4".into()] };
        let words = asking(&config, &[7, 8]);
        let at = |word: &str| words.iter().position(|found| found == word).unwrap();
        assert!(at("ExitOnForwardFailure=no") < at("ExitOnForwardFailure=yes"), "the first of two counts");
        assert!(at("StrictHostKeyChecking=yes") < at("-4") && at("BatchMode=yes") < at("-4"));
        let end = ["-R", "127.0.0.1:7:127.0.0.1:9", "-R", "127.0.0.1:8:127.0.0.1:8", "--", "me@mail"];
        assert_eq!(words[words.len() - end.len()..], end);
    }

    #[test]
    fn the_answers_for_ports_are_told_apart() {
        // OpenSSH 9.2.
        let refused = "debug1: remote forward failure for: listen 127.0.0.1:7, connect 127.0.0.1:9\r\n\
            Warning: remote port forwarding failed for listen port 7\r\n";
        let given = "debug1: remote forward success for: listen 127.0.0.1:78, connect 127.0.0.1:8\r\n";
        assert_eq!(answered(&format!("{refused}{given}"), &[7, 78]), Some(Offer::Given(vec![78])));
        let words = "Warning: remote port forwarding failed for listen port 7";
        assert_eq!(answered(refused, &[7]), Some(Offer::Refused(words.to_owned())));
        assert_eq!(answered("me@mail: Permission denied (publickey).\r\n", &[7]), None);
        assert!(given.contains(LAST) && !refused.contains(LAST), "that is when it ends");
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
