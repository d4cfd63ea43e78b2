//! `[tunnel]`, or `[[tunnel]]` for several: the SSH reverse tunnels that are kept up.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::Config;
use super::listen::{Address, lacks_loopback, within};
use crate::document::{Table, Value};
use crate::problem::Problem;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// The mail server, as given to ssh; its configuration applies.
    pub host: String,
    /// Where the mail server reaches us, on its side.
    pub remote: SocketAddr,
    /// The program.
    pub ssh: String,
    /// Further arguments to it.
    pub options: Vec<String>,
}

impl Tunnel {
    pub const REMOTE: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), Address::DEFAULT_PORT);

    /// Where the mail server's own programs reach what is bound there.
    pub fn reached_at(&self) -> SocketAddr {
        within(self.remote)
    }

    /// A mail server, as given to ssh, which would take a word that begins with `-` for an option.
    pub fn parse_host(text: &str) -> Result<String, String> {
        match text {
            "" => Err("it is empty".to_owned()),
            _ if text.starts_with('-') => Err(format!("`{text}` is no host: it begins with `-`")),
            _ if text.chars().any(|c| c.is_whitespace() || c.is_control()) => {
                Err(format!("`{}` is no host", text.escape_debug()))
            }
            _ => Ok(text.to_owned()),
        }
    }

    fn read(table: &Table<'_, '_>) -> Option<Self> {
        if !table.has("host") {
            table.report(Problem::error("`tunnel.host` is missing").suggest("name the mail server as you do to ssh"));
        }
        let host = table.parsed("host", Self::parse_host);
        let remote = table.get("remote").map_or(Some(Self::REMOTE), |value| read_remote(&value));
        let ssh = table.get("ssh").map_or(Some("ssh".to_owned()), |value| read_program(&value));
        let options = table.get("options").and_then(|value| read_options(&value));
        Some(Self { host: host?, remote: remote?, ssh: ssh?, options: options.unwrap_or_default() })
    }
}

pub(super) fn is_wanted(root: &Table<'_, '_>) -> bool {
    root.has("tunnel")
}

pub(super) fn read(root: &Table<'_, '_>, listen: &[Address], allow: &[IpNet]) -> Vec<Tunnel> {
    let Some(value) = root.get("tunnel") else { return Vec::new() };
    let mut found: Vec<Tunnel> = Vec::new();
    let mut read = |table: &Table<'_, '_>| {
        let Some(tunnel) = Tunnel::read(table) else { return };
        if found.iter().any(|other| (&other.host, other.remote) == (&tunnel.host, tunnel.remote)) {
            let problem = format!("two tunnels to `{}` end at {}", tunnel.host, tunnel.remote);
            table.report(Problem::error(problem).suggest("give one of them another `remote`"));
        }
        let is_guarded = root.has("auth") && root.has("tls");
        if !tunnel.remote.ip().to_canonical().is_loopback() && !is_guarded {
            let problem = format!("{} can be reached from other machines than the mail server", tunnel.remote);
            table.report(Problem::error(problem).suggest("use 127.0.0.1, or add `[auth]` and `[tls]`"));
        }
        found.push(tunnel);
    };
    match value.is_table() {
        true => drop(value.table(&mut read)),
        false => drop(root.tables("tunnel", &mut read)),
    }
    if !root.has("auth") {
        let problem = Problem::warning("every account of the mail server can ring through the tunnel");
        value.fail::<()>(problem.suggest("add `[auth]` with `user` and `pass`"));
    }
    if listen.iter().all(|address| address.tcp().is_some()) && lacks_loopback(allow) {
        let problem = Problem::error("`allow` shuts the tunnel out: what comes through it comes from this machine");
        value.fail::<()>(problem.suggest("add \"127.0.0.0/8\" to `allow`"));
    }
    found
}

/// ssh's flags that take an argument, which may be the next word (ssh(1)).
const WITH_ARGUMENT: &str = "BbcDEeFIiJLlmOoPpQRSWw";

/// Options, each with its argument: another word would be the host, and ours a command.
fn read_options(value: &Value<'_, '_>) -> Option<Vec<String>> {
    let words = if value.is_list() { value.strings()? } else { value.command()? };
    let fail = |why: String| {
        let problem = Problem::error(format!("`tunnel.options`: {why}"));
        value.fail::<()>(problem.suggest("take it out"));
        None
    };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let Some(flags) = word.strip_prefix('-').filter(|flags| !flags.is_empty() && !flags.starts_with('-')) else {
            return fail(format!("`{}` is no option of ssh's", word.escape_debug()));
        };
        if let Some((flag, why)) = forbidden(flags) {
            return fail(format!("`-{flag}` {why}"));
        }
        let argument = flags.find(|flag| WITH_ARGUMENT.contains(flag));
        if argument.is_some_and(|at| at + 1 == flags.len()) && rest.next().is_none() {
            return fail(format!("`{word}` lacks its argument"));
        }
    }
    Some(words)
}

/// Flags that no `-o` of ours overrules, and that would take the tunnel away from us.
fn forbidden(flags: &str) -> Option<(char, &'static str)> {
    for flag in flags.chars() {
        match flag {
            'f' => return Some((flag, "sends ssh where nobody ends it any more")),
            'M' | 'S' | 'O' => return Some((flag, "shares the connection with others, who can end it or keep it")),
            'A' => return Some((flag, "lends your keys to the mail server")),
            'X' | 'Y' => return Some((flag, "lets the mail server draw on your screen")),
            'q' | 'E' | 'y' => return Some((flag, "keeps to itself why there is no tunnel")),
            'W' | 'G' | 'Q' | 'V' => return Some((flag, "makes no tunnel")),
            _ if WITH_ARGUMENT.contains(flag) => return None,
            _ => {}
        }
    }
    None
}

fn read_remote(value: &Value<'_, '_>) -> Option<SocketAddr> {
    let text = value.string()?;
    let fail = |why: &str| value.fail(Problem::error(format!("`tunnel.remote`: `{text}` {why}")));
    match text.parse::<SocketAddr>() {
        Ok(remote) if remote.port() == 0 => fail("has no port that the mail server could know"),
        Ok(remote) => Some(remote),
        Err(_) if text.starts_with("unix:") || text.starts_with('/') => {
            fail("is a socket, which a dropped connection leaves in the way of the next; use \"127.0.0.1:12525\"")
        }
        Err(_) => fail("is no address with a port, such as \"127.0.0.1:12525\""),
    }
}

fn read_program(value: &Value<'_, '_>) -> Option<String> {
    match value.string()? {
        "" => value.fail(Problem::error("`tunnel.ssh` is empty")),
        text => Some(crate::paths::expanded(text).to_string_lossy().into_owned()),
    }
}

impl Config {
    /// What a tunnel is called where people read of it: its host, and more where that is not enough.
    pub fn name_of(&self, tunnel: &Tunnel) -> String {
        match self.tunnels.iter().filter(|other| other.host == tunnel.host).count() {
            0 | 1 => tunnel.host.clone(),
            _ => format!("{} ({})", tunnel.host, tunnel.remote),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{good, problems};

    const AUTH: &str = "[auth]\nuser = \"u\"\npass = \"p\"\n";
    const TLS: &str = "[tls]\ncert = \"c\"\nkey = \"k\"\n";

    #[test]
    fn one_or_several() {
        let config = good(&format!("{AUTH}[tunnel]\nhost = \"me@mail\""));
        let expected = Tunnel { host: "me@mail".into(), remote: Tunnel::REMOTE, ssh: "ssh".into(), options: vec![] };
        assert_eq!(config.tunnels, [expected]);
        let two = good(&format!(
            "{AUTH}[[tunnel]]\nhost = \"a\"\noptions = \"-p 2222\"\n[[tunnel]]\nhost = \"a\"\nremote = \"[::1]:7\"\nssh = \"/opt/ssh\""
        ));
        assert_eq!(two.tunnels[0].options, ["-p", "2222"]);
        assert_eq!((two.tunnels[1].remote.to_string(), &*two.tunnels[1].ssh), ("[::1]:7".into(), "/opt/ssh"));
        assert_eq!(two.name_of(&two.tunnels[1]), "a ([::1]:7)");
        assert_eq!(config.name_of(&config.tunnels[0]), "me@mail");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_of_this_machine_reaches_what_only_the_tunnel_needs() {
        let listen = |text: &str| good(&format!("{text}{AUTH}[tunnel]\nhost = \"mail\"")).listen;
        let socket = crate::paths::runtime_directory().unwrap().join("push.sock");
        assert_eq!(listen(""), [Address::Unix(socket)]);
        assert_eq!(listen("listen = \"127.0.0.1:7\"\n"), [Address::Tcp("127.0.0.1:7".parse().unwrap())]);
    }

    #[test]
    fn what_is_dangerous_or_cannot_work_is_said() {
        let check = |text: &str, expected: &str| {
            let found = problems(&format!("{AUTH}{text}"));
            assert!(found.iter().any(|problem| problem.contains(expected)), "{text}: {found:?}");
        };
        check("[tunnel]", "`tunnel.host` is missing");
        check("[tunnel]\nhost = \"-oProxyCommand=x\"", "begins with `-`");
        check("[tunnel]\nhost = \"a b\"", "is no host");
        check("[tunnel]\nhost = \"\"", "is empty");
        check("[tunnel]\nhost = \"m\"\nremote = \"localhost:12525\"", "is no address with a port");
        check("[tunnel]\nhost = \"m\"\nremote = \"127.0.0.1:0\"", "has no port");
        check("[tunnel]\nhost = \"m\"\nremote = \"unix:/run/x\"", "is a socket");
        check("[tunnel]\nhost = \"m\"\nssh = \"\"", "`tunnel.ssh` is empty");
        for (options, flag) in
            [("-f", 'f'), ("-4Af", 'A'), ("-p 22 -M", 'M'), ("-S /x", 'S'), ("-X", 'X'), ("-vq", 'q')]
        {
            check(&format!("[tunnel]\nhost = \"m\"\noptions = \"{options}\""), &format!("`tunnel.options`: `-{flag}`"));
        }
        check("[tunnel]\nhost = \"m\"\noptions = \"other\"", "`other` is no option");
        check("[tunnel]\nhost = \"m\"\noptions = \"-v -p\"", "`-p` lacks its argument");
        for options in ["-p 2222 -i ~/.ssh/Af", "-i -f", "-4C -o ForwardAgent=no", "-l fMA", "-lfMA -J jump"] {
            good(&format!("{AUTH}[tunnel]\nhost = \"m\"\noptions = \"{options}\""));
        }
        check("[tunnel]\nhost = \"m\"\nremote = \"0.0.0.0:7\"", "can be reached from other machines");
        check("[[tunnel]]\nhost = \"m\"\n[[tunnel]]\nhost = \"m\"", "two tunnels to `m` end at 127.0.0.1:12525");
        assert!(problems("tunnel = 5")[0].contains("`tunnel`"));
        let shut = format!("listen = \"127.0.0.1:7\"\nallow = [\"10.0.0.1\"]\n{AUTH}[tunnel]\nhost = \"m\"");
        assert!(problems(&shut)[0].contains("shuts the tunnel out"));
        good(&format!("{AUTH}{TLS}[tunnel]\nhost = \"m\"\nremote = \"0.0.0.0:7\""));
        assert!(problems("[tunnel]\nhost = \"m\"")[0].contains("warning: every account of the mail server"));
    }
}
