//! What the user wrote, checked. It does nothing by itself.

mod auth;
mod history;
mod log;
mod pause;
mod print;
mod tray;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::document::{Document, Table};
use crate::handler::{Handler, parse_network};
use crate::problem::Problem;
use crate::schema::Retention;

pub use auth::Auth;
pub use log::{Log, LogFormat};
pub use pause::{Pause, QuietHours};
pub use tray::{Click, Tray};

/// The commented default configuration, as a user would edit it.
pub const DEFAULT_FILE: &str = include_str!("../assets/default-config.toml");
/// Longer files are some other file.
const MAX_FILE: u64 = 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub listen: SocketAddr,
    /// Networks that may notify.
    pub allow: Vec<IpNet>,
    /// Host names that are ours besides the obvious ones.
    pub hosts: Vec<String>,
    pub endpoint: String,
    /// Requests in progress.
    pub max_connections: usize,
    /// Of a whole request: head, body, answer.
    pub timeout: Duration,
    /// Bytes.
    pub max_body: usize,
    pub auth: Option<Auth>,
    pub log: Log,
    pub tray: Tray,
    pub history: Retention,
    pub pause: Pause,
    /// In the order of the file; never empty.
    pub handlers: Vec<Arc<Handler>>,
}

impl Default for Config {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 12525));
        Self {
            listen,
            allow: loopback(),
            hosts: Vec::new(),
            endpoint: "/notify".to_owned(),
            max_connections: 8,
            timeout: Duration::from_secs(5),
            max_body: 2 * 1024 * 1024,
            auth: None,
            log: Log::default(),
            tray: Tray::default(),
            history: Retention::default(),
            pause: Pause::default(),
            handlers: vec![Arc::new(Handler::built_in())],
        }
    }
}

fn loopback() -> Vec<IpNet> {
    ["127.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network in CIDR notation")).into()
}

fn everywhere() -> Vec<IpNet> {
    ["0.0.0.0/0", "::/0"].map(|network| network.parse().expect("a network in CIDR notation")).into()
}

impl Config {
    /// Reads a file. All its problems are found; with an error among them there is no configuration.
    pub fn load(path: &Path) -> (Option<Self>, Vec<Problem>) {
        let name = crate::paths::display(path);
        match read_file(path) {
            Ok(text) => Self::parse(&name, &text),
            Err(error) => (None, vec![Problem::error(format!("failed to read {name}: {error}"))]),
        }
    }

    /// As [`Config::load`], of a text; `name` stands for the file in problems.
    pub fn parse(name: &str, text: &str) -> (Option<Self>, Vec<Problem>) {
        let (config, problems) = Document::read(name, text, Self::read);
        let config = config.filter(|_| !problems.iter().any(Problem::is_error));
        (config, problems)
    }

    fn read(root: &Table<'_, '_>) -> Option<Self> {
        let default = Self::default();
        let listen = root.parsed("listen", parse_listen).unwrap_or(default.listen);
        let auth = root.table("auth", Auth::read).flatten();
        let has_auth = root.has("auth");
        let allow = read_allow(root, listen.ip(), has_auth);
        let bounded = |number: u64, default| usize::try_from(number).unwrap_or(default);
        let config = Self {
            listen,
            allow,
            hosts: root.strings("hosts").unwrap_or_default(),
            endpoint: root.parsed("endpoint", parse_endpoint).unwrap_or(default.endpoint),
            max_connections: root
                .integer("max_connections", 1..=65535)
                .map_or(default.max_connections, |number| bounded(number, default.max_connections)),
            timeout: root.duration("timeout").unwrap_or(default.timeout),
            max_body: root
                .get("max_body")
                .and_then(|value| value.size(1024..=32 << 20))
                .map_or(default.max_body, |bytes| bounded(bytes, default.max_body)),
            auth,
            log: root.table("log", Log::read).unwrap_or_default(),
            tray: root.table("tray", Tray::read).unwrap_or_default(),
            history: root.table("history", history::read).unwrap_or_default(),
            pause: root.table("pause", Pause::read).unwrap_or_default(),
            handlers: read_handlers(root),
        };
        Some(config)
    }
}

impl Config {
    /// In what this lets more people in than `other` does; none if in nothing.
    pub fn is_wider_than(&self, other: &Self) -> Option<&'static str> {
        let is_loopback = |config: &Self| config.listen.ip().to_canonical().is_loopback();
        let is_covered = |network: &IpNet| other.allow.iter().any(|known| known.contains(network));
        if self.auth.is_none() && other.auth.is_some() {
            Some("it has no `[auth]` any more")
        } else if !is_loopback(self)
            && (is_loopback(other) || (self.listen.ip().is_unspecified() && !other.listen.ip().is_unspecified()))
        {
            Some("`listen` can be reached from more machines")
        } else if !self.allow.iter().all(is_covered) {
            Some("`allow` lets more networks in")
        } else {
            None
        }
    }
}

fn read_file(path: &Path) -> std::io::Result<String> {
    use std::io::{Error, ErrorKind, Read};
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    if file.take(MAX_FILE + 1).read_to_string(&mut text)? as u64 > MAX_FILE {
        return Err(Error::new(ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(text)
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no address with a port, such as \"127.0.0.1:12525\" or \"[::1]:12525\""))
}

fn parse_endpoint(text: &str) -> Result<String, String> {
    match text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#')) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is no path; it begins with `/`, and has no blanks, `?` or `#`")),
    }
}

/// Who may notify where nothing is said: this machine's own programs, or who knows the password.
fn read_allow(root: &Table<'_, '_>, listen: IpAddr, has_auth: bool) -> Vec<IpNet> {
    let value = root.get("allow");
    let given = value.as_ref().and_then(|value| value.each_string(parse_network)).filter(|list| !list.is_empty());
    let is_open = |networks: &[IpNet]| networks.iter().any(|network| network.prefix_len() == 0);
    const AUTH: &str = "add `[auth]` with `user` and `pass`, or list the mail server's address in `allow`";
    match (given, value) {
        (Some(networks), Some(value)) => {
            if is_open(&networks) && !has_auth {
                value.fail::<()>(Problem::error("`allow` lets everybody in, without a password").suggest(AUTH));
            }
            warn_of_clear_passwords(root, listen, has_auth);
            networks
        }
        _ if listen.to_canonical().is_loopback() => loopback(),
        _ => {
            if !has_auth && let Some(value) = root.get("listen") {
                let problem = Problem::error("`listen` can be reached from other machines, by everybody");
                value.fail::<()>(problem.suggest(AUTH));
            }
            warn_of_clear_passwords(root, listen, has_auth);
            everywhere()
        }
    }
}

fn warn_of_clear_passwords(root: &Table<'_, '_>, listen: IpAddr, has_auth: bool) {
    if has_auth
        && !listen.to_canonical().is_loopback()
        && let Some(value) = root.get("listen")
    {
        let problem = Problem::warning("the password and the mail's subjects cross the network in clear");
        value.fail::<()>(problem.suggest("listen on 127.0.0.1 and let the mail server come through an SSH tunnel"));
    }
}

fn read_handlers(root: &Table<'_, '_>) -> Vec<Arc<Handler>> {
    let mut number = 0;
    let mut names: Vec<Arc<str>> = Vec::new();
    let handlers = root.tables("handler", |table| {
        number += 1;
        let handler = Handler::read(table, number)?;
        if names.contains(&handler.name) {
            table.report(Problem::error(format!("two handlers are named `{}`", handler.name)));
        }
        names.push(handler.name.clone());
        Some(Arc::new(handler))
    });
    if handlers.is_empty() { Config::default().handlers } else { handlers.into_iter().flatten().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        Config::parse("f", text).1.iter().map(ToString::to_string).collect()
    }

    fn good(text: &str) -> Config {
        let (config, problems) = Config::parse("f", text);
        config.unwrap_or_else(|| panic!("{problems:?}"))
    }

    #[test]
    fn an_empty_file_and_the_default_file_are_the_default() {
        assert_eq!(good(""), Config::default());
        assert_eq!(good(DEFAULT_FILE), Config::default());
    }

    #[test]
    fn what_the_default_file_shows_commented_out_is_right() {
        let uncommented: String =
            DEFAULT_FILE.lines().map(|line| format!("{}\n", line.strip_prefix("#= ").unwrap_or(line))).collect();
        assert_ne!(uncommented, DEFAULT_FILE);
        assert_eq!(problems(&uncommented), [""; 0]);
    }

    #[test]
    fn imseriouss_own_example_is_understood() {
        let config = good(include_str!("../tests/data/imserious-example.toml"));
        assert_eq!(config.listen, "10.0.0.1:12525".parse().unwrap());
        assert_eq!(config.allow, ["10.0.0.2/32".parse::<IpNet>().unwrap()]);
        assert_eq!(config.max_connections, 8);
        assert!(config.auth.is_some());
        let handler = &config.handlers[0];
        assert_eq!(handler.timing.periodic, Some(Duration::from_secs(300)));
        assert_eq!(handler.timing.delay, Some(Duration::from_secs(5)));
        assert!(handler.fetch && handler.is_command());
    }

    #[test]
    fn an_open_door_needs_a_key() {
        assert!(problems("listen = \"0.0.0.0:1\"")[0].starts_with("f:1:10: `listen` can be reached"));
        assert!(problems("allow = [\"::/0\"]")[0].contains("lets everybody in"));
        assert_eq!(good("listen = \"[::1]:1\"").allow, loopback());
        assert_eq!(good("listen = \"[::ffff:127.0.0.1]:1\"").allow, loopback());
        assert_eq!(
            good("listen = \"10.0.0.1:1\"\nallow = [\"10.0.0.2\"]").allow,
            ["10.0.0.2/32".parse::<IpNet>().unwrap()]
        );
        let auth = "[auth]\nuser = \"u\"\npass = \"p\"";
        assert_eq!(good(&format!("listen = \"10.0.0.1:1\"\n{auth}")).allow, everywhere());
        assert!(problems(&format!("listen = \"10.0.0.1:1\"\n{auth}"))[0].contains("warning: the password"));
        assert_eq!(good("allow = []").allow, loopback(), "as IMSErious: an empty list says nothing");
    }

    #[test]
    fn every_problem_of_a_file_is_found_with_its_place() {
        let found = problems(
            "lisen = \"x\"\nendpoint = \"notify\"\ntimeout = \"0s\"\nmax_connections = 0\nmax_body = \"9GiB\"\n\
             [auth]\nuser = \"a:b\"\npass = \"\"\n[log]\nformat = \"xml\"\n[tray]\nclick = \"dance\"\nopen = \"ssh {subject}\"\n\
             [[handler]]\nusr = \"me\"\ncommand = \"x\"\n[[handler]]\nname = \"command-1\"\ncommand = \"y\"\n",
        );
        let places: Vec<&str> = found.iter().map(|problem| problem.split(": ").next().unwrap_or_default()).collect();
        assert_eq!(
            places,
            [
                "f:1:1", "f:2:12", "f:3:11", "f:4:19", "f:5:12", "f:7:8", "f:8:8", "f:10:10", "f:12:9", "f:13:8",
                "f:15:1", "f:17:1"
            ],
            "{found:#?}"
        );
    }

    #[test]
    fn what_lets_more_people_in_is_noticed() {
        let auth = "[auth]\nuser = \"u\"\npass = \"p\"";
        let check = |new: &str, old: &str, expected: bool| {
            assert_eq!(good(new).is_wider_than(&good(old)).is_some(), expected, "{new} after {old}");
        };
        check("", "", false);
        check(auth, "", false);
        check("", auth, true);
        check("allow = [\"10.0.0.0/8\"]", "", true);
        check("allow = [\"127.0.0.1\"]", "", false);
        check(&format!("listen = \"10.0.0.1:1\"\n{auth}"), auth, true);
        check(auth, &format!("listen = \"10.0.0.1:1\"\n{auth}"), false);
        check("listen = \"127.0.0.1:7\"", "", false);
    }

    #[test]
    fn a_missing_or_huge_file_is_a_problem_not_a_crash() {
        let (config, problems) = Config::load(Path::new("/nonexistent/config.toml"));
        assert!(config.is_none() && problems[0].message.starts_with("failed to read /nonexistent/config.toml: "));
        assert!(Config::load(Path::new("/dev/zero")).0.is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z\\[\\]=\"#.\\n0-9{}, ]{0,120}") {
            let _ = Config::parse("f", &text);
        }
    }
}
