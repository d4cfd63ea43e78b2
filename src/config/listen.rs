//! Where events come in, and who may bring them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::{Config, tunnel};
use crate::document::{Table, Value};
use crate::handler::parse_network;
use crate::problem::Problem;

/// Something to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    /// A Unix socket's path, absolute.
    Unix(PathBuf),
}

impl Address {
    pub const DEFAULT_PORT: u16 = 12525;
    pub const DEFAULT: Self = Self::Tcp(SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), Self::DEFAULT_PORT));

    pub fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(_) if !cfg!(unix) => Err("there are no Unix sockets on this system".to_owned()),
            Some(path) if path.starts_with('/') && !path.ends_with('/') => Ok(Self::Unix(path.into())),
            Some(path) => {
                Err(format!("`{path}` is no absolute path of a socket, such as \"unix:/run/user/1000/push\""))
            }
            None => text.parse().map(Self::Tcp).map_err(|_| {
                format!(
                    "`{text}` is no address with a port, such as \"127.0.0.1:12525\", \"[::1]:12525\" or \"unix:/PATH\""
                )
            }),
        }
    }

    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// How the machine itself reaches what is bound there.
    pub fn within(&self) -> Self {
        match self {
            Self::Tcp(address) => Self::Tcp(within(*address)),
            unix @ Self::Unix(_) => unix.clone(),
        }
    }

    /// The address, if other machines can reach it.
    fn exposed(&self) -> Option<IpAddr> {
        self.tcp().map(|address| address.ip().to_canonical()).filter(|ip| !ip.is_loopback())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// [`Address::within`] of one of the network's.
pub(super) fn within(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

pub(super) fn loopback() -> Vec<IpNet> {
    ["127.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network in CIDR notation")).into()
}

pub(super) fn everywhere() -> Vec<IpNet> {
    ["0.0.0.0/0", "::/0"].map(|network| network.parse().expect("a network in CIDR notation")).into()
}

pub(super) fn read_listen(root: &Table<'_, '_>) -> Vec<Address> {
    let Some(value) = root.get("listen") else { return vec![unsaid(root)] };
    let given = value.each_string(Address::parse).unwrap_or_else(|| vec![Address::DEFAULT]);
    if given.is_empty() {
        value.fail::<()>(Problem::error("`listen` names nothing to listen on"));
    }
    let is_twice = |(place, address): (usize, &Address)| given[..place].contains(address);
    if given.iter().enumerate().any(is_twice) {
        value.fail::<()>(Problem::error("`listen` names an address twice"));
    }
    given
}

/// Where nothing is said. What comes through a tunnel of ours needs no port, which others of this machine could reach.
fn unsaid(root: &Table<'_, '_>) -> Address {
    match crate::paths::runtime_directory() {
        Some(directory) if cfg!(unix) && tunnel::is_wanted(root) => Address::Unix(directory.join("push.sock")),
        _ => Address::DEFAULT,
    }
}

/// Whether `allow` leaves out this machine.
pub(super) fn lacks_loopback(allow: &[IpNet]) -> bool {
    let covers = |ip: IpAddr| allow.iter().any(|network| network.contains(&ip));
    !covers(std::net::Ipv4Addr::LOCALHOST.into()) && !covers(std::net::Ipv6Addr::LOCALHOST.into())
}

/// Who may notify where nothing is said: this machine's own programs, or who knows the password.
pub(super) fn read_allow(root: &Table<'_, '_>, listen: &[Address]) -> Vec<IpNet> {
    const AUTH: &str = "add `[auth]` with `user` and `pass`, or list the mail server's address in `allow`";
    let has_auth = root.has("auth");
    let is_exposed = listen.iter().any(|address| address.exposed().is_some());
    let fail_listen = |problem: Problem| {
        if let Some(value) = root.get("listen") {
            value.fail::<()>(problem);
        }
    };
    if is_exposed && has_auth && !root.has("tls") {
        let problem = Problem::warning("the password and the mail's subjects cross the network in clear");
        fail_listen(
            problem.suggest("add `[tls]`, or listen on 127.0.0.1 and let the mail server come through an SSH tunnel"),
        );
    }
    let value = root.get("allow");
    let given = value.as_ref().and_then(|value| value.each_string(parse_network)).filter(|list| !list.is_empty());
    match (given, value) {
        (Some(networks), Some(value)) => {
            if networks.iter().any(|network| network.prefix_len() == 0) && !has_auth {
                value.fail::<()>(Problem::error("`allow` lets everybody in, without a password").suggest(AUTH));
            }
            networks
        }
        _ if !is_exposed => loopback(),
        _ => {
            if !has_auth {
                fail_listen(Problem::error("`listen` can be reached from other machines, by everybody").suggest(AUTH));
            }
            everywhere()
        }
    }
}

impl Config {
    /// In what this lets more people in than `other` does; none if in nothing.
    pub fn is_wider_than(&self, other: &Self) -> Option<&'static str> {
        let exposed = |config: &Self| -> Vec<IpAddr> { config.listen.iter().filter_map(Address::exposed).collect() };
        let (now, before) = (exposed(self), exposed(other));
        let was_exposed = |ip: &IpAddr| {
            before.iter().any(|known| known == ip || (known.is_unspecified() && known.is_ipv4() == ip.is_ipv4()))
        };
        let is_covered = |network: &IpNet| other.allow.iter().any(|known| known.contains(network));
        if self.auth.is_none() && other.auth.is_some() {
            Some("it has no `[auth]` any more")
        } else if !now.iter().all(was_exposed) {
            Some("`listen` can be reached from more machines")
        } else if self.listen.iter().any(|address| address.tcp().is_some())
            && other.listen.iter().all(|address| address.tcp().is_none())
        {
            Some("`listen` can be reached by other users of this machine")
        } else if !now.is_empty() && self.tls.is_none() && other.tls.is_some() {
            Some("it has no `[tls]` any more")
        } else if !self.allow.iter().all(is_covered) {
            Some("`allow` lets more networks in")
        } else {
            None
        }
    }
}

/// A file's path as people write it in a configuration: `~/` is the home directory.
pub(super) fn path(value: &Value<'_, '_>) -> Option<PathBuf> {
    match value.string()? {
        "" => value.fail(Problem::error(format!("`{}` is empty", value.name()))),
        text => Some(crate::paths::expanded(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{good, problems};

    const AUTH: &str = "[auth]\nuser = \"u\"\npass = \"p\"";
    const TLS: &str = "[tls]\ncert = \"c\"\nkey = \"k\"";

    #[test]
    fn addresses_are_tcp_or_unix_and_one_or_many() {
        let listen =
            |text: &str| good(&format!("listen = {text}")).listen.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(listen("\"[::1]:7\""), ["[::1]:7"]);
        match cfg!(unix) {
            true => {
                assert_eq!(listen("[\"127.0.0.1:7\", \"unix:/a b/push\"]"), ["127.0.0.1:7", "unix:/a b/push"]);
                assert!(
                    problems("listen = \"unix:push\"")[0].starts_with("f:1:10: `listen`: `push` is no absolute path")
                );
            }
            false => assert!(problems("listen = \"unix:/x\"")[0].contains("there are no Unix sockets")),
        }
        assert!(problems("listen = \"localhost:7\"")[0].contains("is no address with a port"));
        assert!(problems("listen = []")[0].contains("nothing to listen on"));
        assert!(problems("listen = [\"[::1]:7\", \"[::1]:7\"]")[0].contains("twice"));
    }

    #[test]
    fn an_open_door_needs_a_key() {
        assert!(problems("listen = \"0.0.0.0:1\"")[0].starts_with("f:1:10: `listen` can be reached"));
        assert!(problems("listen = [\"127.0.0.1:1\", \"10.0.0.1:1\"]")[0].contains("`listen` can be reached"));
        assert!(problems("allow = [\"::/0\"]")[0].contains("lets everybody in"));
        assert_eq!(good("listen = \"[::1]:1\"").allow, loopback());
        assert_eq!(good("listen = \"[::ffff:127.0.0.1]:1\"").allow, loopback());
        assert_eq!(
            good("listen = \"10.0.0.1:1\"\nallow = [\"10.0.0.2\"]").allow,
            ["10.0.0.2/32".parse::<IpNet>().unwrap()]
        );
        assert_eq!(good(&format!("listen = \"10.0.0.1:1\"\n{AUTH}")).allow, everywhere());
        assert_eq!(good("allow = []").allow, loopback(), "as IMSErious: an empty list says nothing");
    }

    #[cfg(unix)]
    #[test]
    fn a_unix_socket_is_an_open_door_only_where_everybody_is_let_in() {
        assert!(problems("listen = \"unix:/x\"\nallow = [\"0.0.0.0/0\"]")[0].contains("lets everybody in"));
        assert_eq!(good("listen = \"unix:/x\"").allow, loopback());
        let check = |new: &str, old: &str, expected: bool| {
            assert_eq!(good(new).is_wider_than(&good(old)).is_some(), expected, "{new} after {old}");
        };
        check("listen = [\"127.0.0.1:7\", \"unix:/x\"]", "", false);
        check("", "listen = \"unix:/x\"", true);
        check("listen = \"unix:/y\"", "listen = \"unix:/x\"", false);
    }

    #[test]
    fn a_password_in_clear_on_the_network_is_a_problem() {
        let clear = |text: &str| problems(text).iter().any(|problem| problem.contains("warning: the password"));
        assert!(clear(&format!("listen = \"10.0.0.1:1\"\n{AUTH}")));
        assert!(clear(&format!("listen = \"10.0.0.1:1\"\nallow = [\"10.0.0.2\"]\n{AUTH}")));
        assert!(!clear(&format!("listen = \"10.0.0.1:1\"\n{AUTH}\n{TLS}")));
        assert!(!clear(AUTH));
    }

    #[test]
    fn what_lets_more_people_in_is_noticed() {
        let check = |new: &str, old: &str, expected: bool| {
            assert_eq!(good(new).is_wider_than(&good(old)).is_some(), expected, "{new} after {old}");
        };
        check("", "", false);
        check(AUTH, "", false);
        check("", AUTH, true);
        check("allow = [\"10.0.0.0/8\"]", "", true);
        check("allow = [\"127.0.0.1\"]", "", false);
        let exposed = |listen: &str, more: &str| format!("listen = {listen}\nallow = [\"127.0.0.1\"]\n{AUTH}\n{more}");
        check(&exposed("\"10.0.0.1:1\"", ""), AUTH, true);
        check(AUTH, &format!("listen = \"10.0.0.1:1\"\n{AUTH}"), false);
        check(&exposed("\"10.0.0.1:1\"", ""), &exposed("\"0.0.0.0:1\"", ""), false);
        check(&exposed("\"0.0.0.0:1\"", ""), &exposed("\"10.0.0.1:1\"", ""), true);
        check(&exposed("[\"10.0.0.1:1\", \"10.0.0.2:1\"]", ""), &exposed("\"10.0.0.1:1\"", ""), true);
        check(&exposed("\"10.0.0.1:1\"", ""), &exposed("\"10.0.0.1:1\"", TLS), true);
    }
}
