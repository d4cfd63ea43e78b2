//! `mailknock setup SERVER`: the mail server's side, filled in from the configuration. It changes nothing.
//!
//! What is printed are the files under `packaging`, where they are tested with the servers themselves, with the
//! address and the password of this configuration in the place of the examples'.

mod guide;
mod port;
mod ssh;

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::config::{Config, Pass, Tunnel};
use crate::paths::display;
use guide::Guide;

/// What stands in the files for the listener's address, and for its user and password.
const EXAMPLE_URL: &str = "http://127.0.0.1:12525/notify";
const EXAMPLE_LOGIN: &str = "mailknock:a-long-random-word";
const UNKNOWN_PASSWORD: &str = "PASSWORD";
const NO_AUTH: &str = "there is no [auth]: every account of the mail server can ring. `mailknock config init` makes a\n\
    configuration that has one, with a password; or add it to yours";

/// What makes Dovecot's OX driver tell of a user.
pub(super) fn metadata(user: &str) -> String {
    format!("doveadm mailbox metadata set -u {user} -s \"\" /private/vendor/vendor.dovecot/http-notify user={user}")
}

#[derive(Debug, Args)]
pub struct Arguments {
    /// What the mail server runs
    #[arg(value_enum)]
    server: Server,
    /// The mail server, as you name it to ssh (ssh)
    #[arg(value_parser = Tunnel::parse_host)]
    host: Option<String>,
    /// Leave out what is for the other version (dovecot, dovecot-lua)
    #[arg(long, value_enum, value_name = "VERSION")]
    server_version: Option<Version>,
    /// Print the script that goes with it, and nothing else (dovecot-lua)
    #[arg(long)]
    script: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Server {
    Dovecot,
    DovecotLua,
    Sieve,
    Maddy,
    Exim,
    Postfix,
    Cyrus,
    Procmail,
    Maildrop,
    Fdm,
    /// The tunnel that leads from the server to here
    Ssh,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Version {
    #[value(name = "2.3")]
    V2_3,
    #[value(name = "2.4")]
    V2_4,
}

/// A file of the server's.
struct Part {
    /// Dovecot's, where not all take it.
    version: Option<Version>,
    /// Where it goes, and who may read it where not everybody may.
    path: &'static str,
    /// As in `packaging`.
    text: &'static str,
    /// How the server wants a `%` that begins none of its variables.
    percent: &'static str,
}

macro_rules! packaged {
    ($name:literal) => {
        include_str!(concat!("../../packaging/", $name))
    };
}

const fn part(path: &'static str, text: &'static str) -> Part {
    Part { version: None, path, text, percent: "%" }
}

const fn part_of(version: Version, path: &'static str, text: &'static str) -> Part {
    let percent = match version {
        Version::V2_3 => "%%",
        Version::V2_4 => "%",
    };
    Part { version: Some(version), path, text, percent }
}

const SECRET: &str = "/etc/dovecot/mailknock.conf.ext, root, mode 600";
const DOVECOT: [Part; 4] = [
    part_of(Version::V2_3, "/etc/dovecot/conf.d/11-mailknock.conf", packaged!("dovecot/2.3/ox.conf")),
    part_of(Version::V2_3, SECRET, packaged!("dovecot/2.3/ox-secret.conf")),
    part_of(Version::V2_4, "/etc/dovecot/conf.d/95-mailknock.conf", packaged!("dovecot/2.4/ox.conf")),
    part_of(Version::V2_4, SECRET, packaged!("dovecot/2.4/ox-secret.conf")),
];
const DOVECOT_LUA: [Part; 4] = [
    part_of(Version::V2_3, "/etc/dovecot/conf.d/11-mailknock.conf", packaged!("dovecot/2.3/lua.conf")),
    part_of(Version::V2_3, SECRET, packaged!("dovecot/2.3/lua-secret.conf")),
    part_of(Version::V2_4, "/etc/dovecot/conf.d/95-mailknock.conf", packaged!("dovecot/2.4/lua.conf")),
    part_of(Version::V2_4, SECRET, packaged!("dovecot/2.4/lua-secret.conf")),
];
const SIEVE: [Part; 2] = [
    part("/etc/dovecot/conf.d/95-mailknock-sieve.conf", packaged!("sieve/dovecot-sieve.conf")),
    part("/etc/dovecot/mailknock.sieve", packaged!("sieve/mailknock.sieve")),
];
const MADDY: [Part; 1] = [part("/etc/maddy/maddy.conf", packaged!("maddy/maddy.conf"))];
const EXIM: [Part; 1] = [part("Exim's configuration", packaged!("exim/mailknock.conf"))];
const POSTFIX: [Part; 2] = [
    part("users of the machine: ~/.forward", packaged!("postfix/forward")),
    part("virtual users: Postfix' configuration", packaged!("postfix/mailknock.cf")),
];
const CYRUS: [Part; 3] = [
    part("/etc/imapd.conf", packaged!("cyrus/imapd.conf")),
    part("/etc/cyrus.conf", packaged!("cyrus/cyrus.conf")),
    part("/usr/lib/mailknock/mailknock-hook, mode 755", packaged!("cyrus/mailknock-hook")),
];
const PROCMAIL: [Part; 1] = [part("~/.procmailrc or /etc/procmailrc", packaged!("procmail/procmailrc"))];
const MAILDROP: [Part; 1] = [part("~/.mailfilter or /etc/maildroprc", packaged!("maildrop/mailfilter"))];
const FDM: [Part; 1] = [part("~/.fdm.conf", packaged!("fdm/fdm.conf"))];
const SEND: Part = part("/etc/mailknock/send.toml", packaged!("send/send.toml"));

impl Server {
    fn parts(self) -> &'static [Part] {
        match self {
            Self::Dovecot => &DOVECOT,
            Self::DovecotLua => &DOVECOT_LUA,
            Self::Sieve => &SIEVE,
            Self::Maddy => &MADDY,
            Self::Exim => &EXIM,
            Self::Postfix => &POSTFIX,
            Self::Cyrus => &CYRUS,
            Self::Procmail => &PROCMAIL,
            Self::Maildrop => &MAILDROP,
            Self::Fdm => &FDM,
            // It has a page of its own.
            Self::Ssh => &[],
        }
    }

    /// Whether it runs `mailknock send`.
    fn sends(self) -> bool {
        !matches!(self, Self::Dovecot | Self::DovecotLua | Self::Ssh)
    }

    /// Whether it is one of those that differ so much from version to version.
    fn has_versions(self) -> bool {
        self.parts().iter().any(|part| part.version.is_some())
    }
}

pub fn setup(file: Option<&Path>, arguments: &Arguments) -> ExitCode {
    let server = arguments.server;
    let misuse = [
        (arguments.script && server != Server::DovecotLua, "only dovecot-lua has a script"),
        (arguments.host.is_some() && server != Server::Ssh, "only ssh takes a HOST"),
        (arguments.server_version.is_some() && !server.has_versions(), "only dovecot and dovecot-lua have versions"),
    ];
    if let Some((_, why)) = misuse.iter().find(|(is_so, _)| *is_so) {
        eprintln!("mailknock: {why}");
        return ExitCode::from(2);
    }
    if arguments.script {
        super::terminal::print_all(packaged!("dovecot/mailknock.lua"));
        return ExitCode::SUCCESS;
    }
    let read = super::read(file);
    let Some(config) = read.config else {
        super::print_problems(&read.problems);
        return ExitCode::from(super::WRONG_CONFIGURATION);
    };
    let file = read.file.as_deref();
    super::terminal::print_all(&match server {
        Server::Ssh => ssh::text(&config, file, arguments.host.as_deref()),
        _ => page(server, arguments.server_version, &Access::of(&config), &name_of(file)),
    });
    ExitCode::SUCCESS
}

/// What a configuration is called.
fn name_of(file: Option<&Path>) -> String {
    file.map_or("the built-in configuration".to_owned(), display)
}

/// What a person does for a server, in its order.
fn page(server: Server, version: Option<Version>, access: &Access, from: &str) -> String {
    let guide = Guide::of(server);
    let mut page = Page::default();
    page.note(&format!("The mail server's side, from {from}. All of it is done on the server."));
    for note in &access.notes {
        page.note(&format!("NOTE: {note}"));
    }
    page.note(&format!("Needed there: {}.", guide.needs));
    page.note("alice is an example of a user, and example.org of a domain.");
    if server.has_versions() && version.is_none() {
        page.note(
            "There are files for two versions. `dovecot --version` on the server tells which it is, and\n\
             --server-version 2.3 or 2.4 leaves the other out.",
        );
    }
    page.step("First, as root");
    if server.sends() {
        page.line("install -m 755 mailknock /usr/bin/mailknock");
        page.line("install -d /etc/mailknock");
        if access.login.is_some() {
            page.line(&format!("install -m 600 -o {} /dev/null /etc/mailknock/auth", guide.owner));
        }
    } else {
        page.line("install -m 600 /dev/null /etc/dovecot/mailknock.conf.ext");
    }
    page.lines(guide.first);
    if server.sends() {
        page.note("The program is this one, built for the server; it needs no desktop there.");
    }
    if access.login.is_some() {
        page.note("The empty file is for the password: nobody else may read it even before that is in it.");
    }
    for part in server.parts().iter().filter(|part| version.is_none() || part.version == version) {
        page.file(&part.title(), &access.filled_in(part));
    }
    if server.sends() {
        page.file(SEND.path, &access.settings());
        if let Some((user_and_pass, _)) = &access.login {
            page.file(&format!("/etc/mailknock/auth, {}, mode 600", guide.owner), user_and_pass);
        }
    }
    if server == Server::DovecotLua {
        page.step("/etc/dovecot/mailknock.lua, for everybody to read: what this prints");
        page.line("mailknock setup dovecot-lua --script");
    }
    if !guide.then.is_empty() {
        page.step("Then, as root");
        page.lines(guide.then);
    }
    if server == Server::Dovecot {
        page.line(&metadata("alice"));
        page.note(
            "The last for each user, once: without it Dovecot tells nothing of them, and its log doesn't say so.",
        );
    }
    page.step("See that it works");
    if server.sends() {
        page.line(&format!(
            "runuser -u {} -- mailknock send -c /etc/mailknock/send.toml --strict --input=none --user=alice --subject=Test",
            guide.owner
        ));
        page.note(&format!(
            "It says nothing, and on the desktop a notification says \"Test\". Else it says why: `refused with 401` is\n\
             another password than the desktop's; `can't be reached`, that the tunnel or Mailknock is down: see\n\
             `mailknock doctor` there; `Permission denied`, that {} can't read a file of /etc/mailknock. Then the same by a mail:",
            guide.owner
        ));
    }
    page.lines(guide.see);
    page.note("`mailknock doctor` and `mailknock recent` on the desktop tell what comes in there.");
    page.text
}

/// Text for people, in which only what they copy stands without a `#`.
#[derive(Default)]
struct Page {
    text: String,
    steps: u32,
}

// Writing to a string can't fail.
impl Page {
    fn step(&mut self, title: &str) {
        let _ = writeln!(self.text, "\n# ==== {title}");
    }

    fn numbered(&mut self, title: &str) {
        self.steps += 1;
        self.step(&format!("{}. {title}", self.steps));
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "{}", text.trim_end());
    }

    /// Lines and notes, as they are.
    fn lines(&mut self, text: &str) {
        text.lines().for_each(|line| self.line(line));
    }

    fn note(&mut self, text: &str) {
        for line in text.lines() {
            let _ = writeln!(self.text, "# {line}");
        }
    }

    fn file(&mut self, title: &str, text: &str) {
        self.step(title);
        self.line(text);
    }
}

impl Part {
    fn title(&self) -> String {
        let version = self.version.as_ref().and_then(ValueEnum::to_possible_value);
        version.map_or(self.path.to_owned(), |version| format!("Dovecot {}: {}", version.get_name(), self.path))
    }
}

/// How the server gets to us.
struct Access {
    url: String,
    /// `user:password` as it is, and as it stands in a URL.
    login: Option<(String, String)>,
    notes: Vec<String>,
}

impl Access {
    fn of(config: &Config) -> Self {
        let mut notes = Vec::new();
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let tcp = config.listen.iter().find_map(crate::config::Address::tcp).filter(|address| address.port() != 0);
        let address = match tcp {
            // Where a tunnel of ours ends the server reaches us, whatever we listen on.
            _ if !config.tunnels.is_empty() => config.tunnels[0].reached_at().to_string(),
            // A name could lead elsewhere on the server, and the tunnel's end is there.
            Some(address) if address.ip().is_loopback() || address.ip().is_unspecified() => {
                format!("127.0.0.1:{}", address.port())
            }
            Some(address) => address.to_string(),
            None => "127.0.0.1:12525".to_owned(),
        };
        for tunnel in &config.tunnels {
            let (at, name) = (tunnel.reached_at(), config.name_of(tunnel));
            notes
                .push(format!("{at} is the server's end of the tunnel to {name}, which Mailknock keeps up: setup ssh"));
        }
        if config.tunnels.iter().any(|tunnel| tunnel.reached_at() != config.tunnels[0].reached_at()) {
            notes.push(format!("the address below is {}'s; another server gets its own", config.tunnels[0].host));
        }
        if config.tunnels.is_empty() && address.starts_with("127.") {
            let port = address.rsplit(':').next().unwrap_or_default();
            notes.push(format!(
                "{address} is the server's end of your tunnel: `mailknock setup ssh HOST` says how to have Mailknock keep\n\
                 it up; or for example: ssh -N -R 127.0.0.1:{port}:{} SERVER",
                config.listen.first().map_or(address.clone(), |ours| match ours {
                    crate::config::Address::Unix(path) => path.display().to_string(),
                    crate::config::Address::Tcp(ours) => ours.to_string(),
                })
            ));
        }
        let login = config.auth.as_ref().map(|auth| {
            let pass = match &auth.pass {
                Pass::Text(pass) => Some(pass.clone()),
                Pass::File(file) => crate::secret::of_file(file).ok(),
                Pass::Command(_) => None,
            };
            if pass.is_none() {
                notes.push(format!("put the password in the place of {UNKNOWN_PASSWORD}"));
            }
            let (user, pass) = (&auth.user, pass.as_deref().unwrap_or(UNKNOWN_PASSWORD));
            (format!("{user}:{pass}"), format!("{}:{}", escaped(user), escaped(pass)))
        });
        if login.is_none() {
            notes.push(NO_AUTH.to_owned());
        }
        Self { url: format!("{scheme}://{address}{}", config.endpoint), login, notes }
    }

    /// What `mailknock send` reads there. Of a file that isn't there it would complain.
    fn settings(&self) -> String {
        let text = self.filled_in(&SEND);
        if self.login.is_some() { text } else { text.replace("\nauth_file =", "\n#auth_file =") }
    }

    /// The part with this access in it.
    fn filled_in(&self, part: &Part) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("http", &self.url));
        let (_, example) = EXAMPLE_URL.split_once("://").unwrap_or_default();
        let login = self.login.as_ref().map(|(_, login)| login.replace('%', part.percent));
        let at = login.as_ref().map_or(String::new(), |login| format!("{login}@"));
        part.text
            .replace(&format!("http://{EXAMPLE_LOGIN}@{example}"), &format!("{scheme}://{at}{rest}"))
            .replace(EXAMPLE_URL, &self.url)
    }
}

/// As it stands in a URL (RFC 3986 section 2.3).
fn escaped(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled_in(config: &str) -> (String, String) {
        let (config, problems) = Config::parse("f", config);
        let access = Access::of(&config.unwrap_or_else(|| panic!("{problems:?}")));
        let parts = Server::DovecotLua.parts();
        let line = |part: &Part| {
            let text = access.filled_in(part);
            text.lines().find(|line| line.contains("mailknock_url =")).unwrap_or_default().trim().to_owned()
        };
        (line(&parts[1]), line(&parts[3]))
    }

    #[test]
    fn the_address_and_the_password_are_those_of_the_configuration() {
        let (old, new) =
            filled_in("listen = \"127.0.0.1:7\"\nendpoint = \"/x\"\n[auth]\nuser = \"a b\"\npass = \"p%@:/\"");
        assert_eq!(old, "mailknock_url = http://a%%20b:p%%25%%40%%3A%%2F@127.0.0.1:7/x");
        assert_eq!(new, "mailknock_url = http://a%20b:p%25%40%3A%2F@127.0.0.1:7/x");
        assert_eq!(filled_in("listen = \"unix:/x\"").0, "mailknock_url = http://127.0.0.1:12525/notify");
        let tunnel = "listen = \"127.0.0.1:8\"\n[tunnel]\nhost = \"m\"\nremote = \"127.0.0.1:7\"";
        assert_eq!(filled_in(tunnel).0, "mailknock_url = http://127.0.0.1:7/notify");
        let everywhere = "[auth]\nuser = \"u\"\npass = \"p\"\n[tls]\ncert = \"c\"\nkey = \"k\"\n[tunnel]\nhost = \"m\"\nremote = \"0.0.0.0:7\"";
        assert_eq!(filled_in(everywhere).0, "mailknock_url = https://u:p@127.0.0.1:7/notify");
        let command = filled_in("[auth]\nuser = \"u\"\npass_command = \"false\"").0;
        assert_eq!(command, "mailknock_url = http://u:PASSWORD@127.0.0.1:12525/notify");
    }

    #[test]
    fn where_there_is_a_tunnel_nobody_is_told_to_make_one() {
        let notes = |config: &str| Access::of(&Config::parse("f", config).0.unwrap()).notes.join("\n");
        assert!(notes("").contains("ssh -N -R 127.0.0.1:12525:127.0.0.1:12525 SERVER"));
        let told = notes("[tunnel]\nhost = \"m\"\nremote = \"127.0.0.1:7\"");
        assert!(
            told.contains("127.0.0.1:7 is the server's end of the tunnel to m") && !told.contains("ssh -N"),
            "{told}"
        );
    }

    fn printed(server: Server, version: Option<Version>, config: &str) -> String {
        page(server, version, &Access::of(&Config::parse("f", config).0.unwrap()), "f")
    }

    const AUTH: &str = "[auth]\nuser = \"u\"\npass = \"sesame\"\n";

    #[test]
    fn a_password_stands_only_in_files_that_are_their_readers_alone() {
        for server in Server::value_variants().iter().filter(|server| **server != Server::Ssh) {
            let text = printed(*server, None, AUTH);
            let mut secrets = 0;
            for section in text.split("\n# ==== ").filter(|section| section.contains("sesame")) {
                let title = section.lines().next().unwrap();
                assert!(title.ends_with(", mode 600"), "{server:?}: {title}");
                let file = title.split_once('/').unwrap().1.split_once(',').unwrap().0;
                assert!(text.contains(&format!(" /dev/null /{file}\n")), "{server:?}: {file} gets its mode too late");
                secrets += 1;
            }
            assert!(secrets > 0, "{text}");
            assert_eq!(text.matches("alice is an example").count(), 1, "{text}");
            assert!(text.contains("# ==== See that it works\n"), "{text}");
        }
    }

    #[test]
    fn without_a_password_no_file_for_it_is_named() {
        let text = printed(Server::Maddy, None, "");
        assert!(text.contains("\n#auth_file =") && !text.contains("\n# ==== /etc/mailknock/auth"), "{text}");
        assert!(!text.contains("/dev/null"), "{text}");
        assert!(text.contains("# NOTE: there is no [auth]") && text.contains("`mailknock config init`"), "{text}");
        let text = printed(Server::Maddy, None, AUTH);
        assert!(
            text.contains("\nauth_file =") && text.contains("# ==== /etc/mailknock/auth, maddy, mode 600\nu:sesame\n")
        );
    }

    #[test]
    fn one_version_is_told_without_the_other() {
        for server in [Server::Dovecot, Server::DovecotLua] {
            let both = printed(server, None, AUTH);
            assert!(both.contains("`dovecot --version`") && both.contains("# ==== Dovecot 2.4: "), "{both}");
            for (version, own, other) in [(Version::V2_3, "2.3", "2.4"), (Version::V2_4, "2.4", "2.3")] {
                let text = printed(server, Some(version), AUTH);
                assert_eq!(text.matches(&format!("# ==== Dovecot {own}: ")).count(), 2, "{text}");
                assert!(!text.contains(&format!("# ==== Dovecot {other}: ")) && !text.contains("--version"), "{text}");
            }
        }
    }

    #[test]
    fn what_makes_dovecot_tell_is_said_alike_everywhere() {
        let command = metadata("alice");
        for text in
            [packaged!("dovecot/2.3/ox.conf"), packaged!("dovecot/2.4/ox.conf"), include_str!("../../README.md")]
        {
            assert!(text.contains(&command), "no `{command}` in\n{text}");
        }
        assert!(printed(Server::Dovecot, None, AUTH).contains(&format!("\n{command}\n")));
    }

    #[test]
    fn tunnels_that_end_at_other_ports_are_told_apart() {
        let tunnels = "[[tunnel]]\nhost = \"m\"\nremote = \"127.0.0.1:7\"\n[[tunnel]]\nhost = \"n\"\n";
        let text = printed(Server::Fdm, None, &format!("{AUTH}{tunnels}"));
        assert!(text.contains("# NOTE: the address below is m's"), "{text}");
    }

    #[test]
    fn nothing_of_the_examples_is_left() {
        let (config, _) = Config::parse("f", "listen = \"127.0.0.1:7\"\n[auth]\nuser = \"u\"\npass = \"p\"");
        let access = Access::of(&config.unwrap());
        for server in Server::value_variants() {
            for part in server.parts() {
                let text = access.filled_in(part);
                assert!(!text.contains("12525"), "{}:\n{text}", part.path);
                assert!(!text.contains(&format!("{EXAMPLE_LOGIN}@")), "{}:\n{text}", part.path);
            }
        }
        assert!(access.filled_in(&SEND).contains("\nurl = \"http://127.0.0.1:7/notify\"\n"));
    }
}
