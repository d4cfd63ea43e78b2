//! What the user wrote, checked. It does nothing by itself.

mod account;
mod auth;
mod history;
mod imserious;
mod listen;
mod log;
mod opener;
mod pause;
mod print;
pub mod starter;
mod tls;
mod tray;
mod tunnel;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::document::{Document, Table};
use crate::handler::{Handler, Kind};
use crate::problem::Problem;
use crate::schema::Retention;

pub use account::{Account, Accounts};
pub use auth::{Auth, Pass};
pub use listen::Address;
pub use log::{Log, LogFormat};
pub use opener::{Opener, preset_names};
pub use pause::{Pause, QuietHours, WhenLocked};
pub use print::quoted as toml_string;
pub use tls::Tls;
pub use tray::{Click, Tray};
pub use tunnel::Tunnel;

/// The commented default configuration, as a user would edit it.
pub const DEFAULT_FILE: &str = include_str!("../assets/default-config.toml");
/// Longer files are some other file.
const MAX_FILE: u64 = 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Never empty, nothing twice.
    pub listen: Vec<Address>,
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
    pub tls: Option<Tls>,
    pub tunnels: Vec<Tunnel>,
    pub log: Log,
    pub tray: Tray,
    pub accounts: Accounts,
    pub history: Retention,
    pub pause: Pause,
    /// In the order of the file; never empty.
    pub handlers: Vec<Arc<Handler>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Address::DEFAULT],
            allow: listen::loopback(),
            hosts: Vec::new(),
            endpoint: "/notify".to_owned(),
            max_connections: 8,
            timeout: Duration::from_secs(5),
            max_body: 2 * 1024 * 1024,
            auth: None,
            tls: None,
            tunnels: Vec::new(),
            log: Log::default(),
            tray: Tray::default(),
            accounts: Accounts::default(),
            history: Retention::default(),
            pause: Pause::default(),
            handlers: vec![Arc::new(Handler::built_in())],
        }
    }
}

impl Config {
    /// Reads a file. All its problems are found; with an error among them there is no configuration.
    pub fn load(path: &Path) -> (Option<Self>, Vec<Problem>) {
        let name = crate::paths::display(path);
        match read_file(path) {
            Ok(text) => Self::parse(&name, &text),
            Err(why) => (None, vec![Problem::error(format!("failed to read {name}: {why}"))]),
        }
    }

    /// Whether IMSErious would take the file too.
    pub fn is_imserious(path: &Path) -> bool {
        read_file(path).is_ok_and(|text| imserious::is_its_file(&text))
    }

    /// As [`Config::load`], of a text; `name` stands for the file in problems.
    pub fn parse(name: &str, text: &str) -> (Option<Self>, Vec<Problem>) {
        let (config, problems) = Document::read(name, text, Self::read);
        let config = config.filter(|_| !problems.iter().any(Problem::is_error));
        (config, problems)
    }

    /// Whether a fetch would run anything.
    pub fn can_fetch(&self) -> bool {
        self.handlers.iter().any(|handler| handler.fetch)
    }

    /// Whether any mail would be shown.
    pub fn shows_popups(&self) -> bool {
        self.handlers.iter().any(|handler| matches!(handler.kind, Kind::Notify(_)))
    }

    fn read(root: &Table<'_, '_>) -> Option<Self> {
        let default = Self::default();
        let listen = listen::read_listen(root);
        let allow = listen::read_allow(root, &listen);
        let tunnels = tunnel::read(root, &listen, &allow);
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
            auth: root.table("auth", Auth::read).flatten(),
            tls: root.table("tls", Tls::read).flatten(),
            tunnels,
            log: root.table("log", Log::read).unwrap_or_default(),
            tray: root.table("tray", Tray::read).unwrap_or_default(),
            accounts: Accounts::read(root),
            history: root.table("history", history::read).unwrap_or_default(),
            pause: root.table("pause", Pause::read).unwrap_or_default(),
            handlers: read_handlers(root),
        };
        Some(config)
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if let Some(why) = crate::paths::is_unsafe(&metadata) {
        return Err(format!("it {why}"));
    }
    let mut text = String::new();
    match file.take(MAX_FILE + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 <= MAX_FILE => Ok(crate::paths::without_mark(&text).to_owned()),
        Ok(_) => Err("it is larger than 1 MiB".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_endpoint(text: &str) -> Result<String, String> {
    match text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#')) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is no path; it begins with `/`, and has no blanks, `?` or `#`")),
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

    pub(super) fn problems(text: &str) -> Vec<String> {
        Config::parse("f", text).1.iter().map(ToString::to_string).collect()
    }

    pub(super) fn good(text: &str) -> Config {
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
        assert_eq!(config.listen, [Address::Tcp("10.0.0.1:12525".parse().unwrap())]);
        assert_eq!(config.allow, ["10.0.0.2/32".parse::<IpNet>().unwrap()]);
        assert_eq!(config.max_connections, 8);
        assert!(config.auth.is_some());
        let tls = config.tls.unwrap();
        assert_eq!(tls.key, Path::new("/etc/ssl/foo.example.com.key"));
        assert_eq!(tls.periodic_reload, Some(Duration::from_secs(24 * 3600)));
        let handler = &config.handlers[0];
        assert_eq!(handler.timing.periodic, Some(Duration::from_secs(300)));
        assert_eq!(handler.timing.delay, Some(Duration::from_secs(5)));
        assert!(handler.fetch && handler.is_command());
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
    fn a_missing_or_huge_file_is_a_problem_not_a_crash() {
        let (config, problems) = Config::load(Path::new("/nonexistent/config.toml"));
        assert!(config.is_none() && problems[0].message.starts_with("failed to read /nonexistent/config.toml: "));
        let directory = tempfile::tempdir().unwrap();
        let huge = directory.path().join("huge");
        std::fs::write(&huge, "#".repeat(MAX_FILE as usize + 1)).unwrap();
        assert!(Config::load(&huge).1[0].message.ends_with("it is larger than 1 MiB"));
    }

    #[test]
    fn a_file_as_windows_editors_write_it_is_read_and_its_places_are_right() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a b ü.toml");
        let lines = "\u{feff}# Jörg\r\nendpoint = \"/x\"\r\n\r\n[[handler]]\r\ncommand = \"\"\"\r\nfdm\r\n-a\"\"\"\r\n";
        std::fs::write(&file, lines).unwrap();
        let (config, problems) = Config::load(&file);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(config.unwrap().endpoint, "/x");
        std::fs::write(&file, "\u{feff}endpoint = 5\r\ntimeout = \"x\"\r\n").unwrap();
        let places: Vec<String> = Config::load(&file).1.iter().map(ToString::to_string).collect();
        assert!(places[0].contains("ü.toml:1:12: ") && places[1].contains("ü.toml:2:11: "), "{places:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_write_is_no_configuration() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Config::load(file.path()).0.is_some());
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(Config::load(file.path()).1[0].message.contains("others can write it"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z\\[\\]=\"#.\\n0-9{}, ]{0,120}") {
            let _ = Config::parse("f", &text);
        }
    }
}
