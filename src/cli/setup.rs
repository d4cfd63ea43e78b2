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

/// What to do where everybody can ring.
fn no_auth(file: Option<&Path>) -> String {
    let how = match file {
        None => "`mailknock config init` makes a\nconfiguration that has one, with a password".to_owned(),
        Some(file) => format!(
            "Add it to\n{}, with `user` and `pass`; where its three lines are there behind a #, take that away",
            display(file)
        ),
    };
    format!("there is no [auth]: every account of the mail server can ring. {how}")
}

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
    /// Leave out what is for the other version (dovecot, dovecot-lua, sieve)
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
    /// Where it goes, and whose it is, where that is not root's for everybody to read.
    path: &'static str,
    place: Place,
    /// As in `packaging`.
    text: &'static str,
    /// How the server wants a `%` that begins none of its variables.
    percent: &'static str,
}

/// What a text is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The whole file.
    New,
    /// A part of one that is there.
    Added,
}

macro_rules! packaged {
    ($name:literal) => {
        include_str!(concat!("../../packaging/", $name))
    };
}

const fn part(path: &'static str, text: &'static str) -> Part {
    Part { version: None, path, place: Place::New, text, percent: "%" }
}

const fn addition(path: &'static str, text: &'static str) -> Part {
    Part { place: Place::Added, ..part(path, text) }
}

const fn part_of(version: Version, path: &'static str, text: &'static str) -> Part {
    let percent = match version {
        Version::V2_3 => "%%",
        Version::V2_4 => "%",
    };
    Part { version: Some(version), percent, ..part(path, text) }
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
const SIEVE: [Part; 3] = [
    part_of(Version::V2_3, "/etc/dovecot/conf.d/95-mailknock-sieve.conf", packaged!("sieve/2.3/sieve.conf")),
    part_of(Version::V2_4, "/etc/dovecot/conf.d/95-mailknock-sieve.conf", packaged!("sieve/2.4/sieve.conf")),
    part("/etc/dovecot/mailknock.sieve", packaged!("sieve/mailknock.sieve")),
];
const MADDY: [Part; 1] = [addition("/etc/maddy/maddy.conf", packaged!("maddy/maddy.conf"))];
const EXIM: [Part; 1] = [addition("Exim's configuration", packaged!("exim/mailknock.conf"))];
const POSTFIX: [Part; 2] = [
    addition("~alice/.forward, alice, mode 600, for users of the machine", packaged!("postfix/forward")),
    addition("the files below /etc/postfix, for virtual users", packaged!("postfix/mailknock.cf")),
];
const CYRUS: [Part; 3] = [
    addition("/etc/imapd.conf", packaged!("cyrus/imapd.conf")),
    addition("/etc/cyrus.conf", packaged!("cyrus/cyrus.conf")),
    part("/usr/lib/mailknock/mailknock-hook, root, mode 755", packaged!("cyrus/mailknock-hook")),
];
const PROCMAIL: [Part; 1] =
    [addition("~alice/.procmailrc, alice, mode 600, or /etc/procmailrc", packaged!("procmail/procmailrc"))];
const MAILDROP: [Part; 1] =
    [addition("~alice/.mailfilter, alice, mode 600, or /etc/maildroprc", packaged!("maildrop/mailfilter"))];
const FDM: [Part; 1] = [addition("~alice/.fdm.conf, alice, mode 600", packaged!("fdm/fdm.conf"))];
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
        (
            arguments.server_version.is_some() && !server.has_versions(),
            "only dovecot, dovecot-lua and sieve have versions",
        ),
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
        _ => page(server, arguments.server_version, &Access::of(&config, file), &name_of(file)),
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
    let place = match server {
        Server::DovecotLua => "All but the script's step is done on the server.",
        _ => "All of it is done on the server.",
    };
    page.note(&format!("The mail server's side, from {from}. {place}"));
    for note in &access.notes {
        page.note(&format!("NOTE: {note}"));
    }
    page.note(&format!("Needed there: {}.", guide.needs));
    page.note("alice is an example of a user, and example.org of a domain.");
    page.note(
        "A title that names no owner and no mode means root's, for everybody to read; `chown` and `chmod` as it says.",
    );
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
        page.lines(guide.more);
    }
    for part in
        server.parts().iter().filter(|part| version.is_none() || part.version.is_none() || part.version == version)
    {
        page.file(&part.title(), &access.filled_in(part));
    }
    if server.sends() {
        page.file(SEND.path, &access.settings());
        if let Some((user_and_pass, _)) = &access.login {
            page.file(&format!("/etc/mailknock/auth, {}, mode 600", guide.owner), user_and_pass);
        }
    }
    if server == Server::DovecotLua {
        page.step("Here, on the desktop: the script");
        page.line(
            "mailknock setup dovecot-lua --script | ssh root@SERVER 'cat > /etc/dovecot/mailknock.lua && chmod 644 /etc/dovecot/mailknock.lua'",
        );
        page.note(
            "SERVER is the mail server. Where root can't log in by ssh, take what\n  \
             mailknock setup dovecot-lua --script\n\
             prints to that file on another way. It holds no password, and is for everybody to read.",
        );
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
            "runuser -u {} -- mailknock send -c /etc/mailknock/send.toml --strict --input=none --user={} --subject=Test",
            guide.owner, guide.user
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
        let place = match self.place {
            Place::New => self.path.to_owned(),
            Place::Added => format!("Add to {}", self.path),
        };
        version.map_or(place.clone(), |version| format!("Dovecot {}: {place}", version.get_name()))
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
    fn of(config: &Config, file: Option<&Path>) -> Self {
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
            notes.push(no_auth(file));
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
        let access = Access::of(&config.unwrap_or_else(|| panic!("{problems:?}")), None);
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
        if cfg!(unix) {
            assert_eq!(filled_in("listen = \"unix:/x\"").0, "mailknock_url = http://127.0.0.1:12525/notify");
        }
        let tunnel = "listen = \"127.0.0.1:8\"\n[tunnel]\nhost = \"m\"\nremote = \"127.0.0.1:7\"";
        assert_eq!(filled_in(tunnel).0, "mailknock_url = http://127.0.0.1:7/notify");
        let everywhere = "[auth]\nuser = \"u\"\npass = \"p\"\n[tls]\ncert = \"c\"\nkey = \"k\"\n[tunnel]\nhost = \"m\"\nremote = \"0.0.0.0:7\"";
        assert_eq!(filled_in(everywhere).0, "mailknock_url = https://u:p@127.0.0.1:7/notify");
        let command = filled_in("[auth]\nuser = \"u\"\npass_command = \"false\"").0;
        assert_eq!(command, "mailknock_url = http://u:PASSWORD@127.0.0.1:12525/notify");
    }

    #[test]
    fn where_there_is_a_tunnel_nobody_is_told_to_make_one() {
        let notes = |config: &str| Access::of(&Config::parse("f", config).0.unwrap(), None).notes.join("\n");
        assert!(notes("").contains("ssh -N -R 127.0.0.1:12525:127.0.0.1:12525 SERVER"));
        let told = notes("[tunnel]\nhost = \"m\"\nremote = \"127.0.0.1:7\"");
        assert!(
            told.contains("127.0.0.1:7 is the server's end of the tunnel to m") && !told.contains("ssh -N"),
            "{told}"
        );
    }

    fn printed(server: Server, version: Option<Version>, config: &str) -> String {
        page(server, version, &Access::of(&Config::parse("f", config).0.unwrap(), None), "f")
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
        for (server, files) in [(Server::Dovecot, 2), (Server::DovecotLua, 2), (Server::Sieve, 1)] {
            let both = printed(server, None, AUTH);
            assert!(both.contains("`dovecot --version`") && both.contains("# ==== Dovecot 2.4: "), "{both}");
            for (version, own, other) in [(Version::V2_3, "2.3", "2.4"), (Version::V2_4, "2.4", "2.3")] {
                let text = printed(server, Some(version), AUTH);
                assert_eq!(text.matches(&format!("# ==== Dovecot {own}: ")).count(), files, "{text}");
                assert!(!text.contains(&format!("# ==== Dovecot {other}: ")) && !text.contains("--version"), "{text}");
                let is_whole = server != Server::Sieve || text.contains("# ==== /etc/dovecot/mailknock.sieve\n");
                assert!(is_whole, "what both have is missing in\n{text}");
            }
        }
    }

    #[test]
    fn what_is_printed_names_no_file_of_the_sources() {
        for server in Server::value_variants() {
            let text = printed(*server, None, AUTH);
            assert!(!text.contains("../") && !text.contains("packaging/"), "{server:?}:\n{text}");
        }
    }

    #[test]
    fn a_server_is_never_told_to_go_on_after_a_failed_check() {
        let after = |text: &str, check: &str, next: &str| {
            let line = text
                .lines()
                .find(|line| !line.starts_with('#') && line.contains(next))
                .unwrap_or_else(|| panic!("no `{next}` in\n{text}"));
            assert!(line.contains(&format!("{check} && {next}")), "{line}");
        };
        for server in [Server::Dovecot, Server::DovecotLua, Server::Sieve] {
            after(&printed(server, None, AUTH), "doveconf > /dev/null", "doveadm reload");
        }
        after(&printed(Server::Postfix, None, AUTH), "postfix check", "postfix reload");
        after(&printed(Server::Exim, None, AUTH), "exim4 -bt alice", "systemctl reload exim4");
    }

    #[test]
    fn what_is_added_to_a_file_and_whose_it_is_stands_in_its_title() {
        let titles = |server| {
            let text = printed(server, None, AUTH);
            text.lines().filter_map(|line| line.strip_prefix("# ==== ")).map(str::to_owned).collect::<Vec<_>>()
        };
        for (server, title) in [
            (Server::Maddy, "Add to /etc/maddy/maddy.conf"),
            (Server::Cyrus, "Add to /etc/imapd.conf"),
            (Server::Cyrus, "/usr/lib/mailknock/mailknock-hook, root, mode 755"),
            (Server::Fdm, "Add to ~alice/.fdm.conf, alice, mode 600"),
            (Server::Sieve, "/etc/dovecot/mailknock.sieve"),
        ] {
            assert!(titles(server).iter().any(|found| found == title), "no `{title}` in {:?}", titles(server));
        }
        for server in Server::value_variants() {
            assert!(!titles(*server).iter().any(|title| title.contains("~/")), "{server:?}: whose home is that?");
        }
    }

    #[test]
    fn several_users_and_one_password_are_told_of_where_each_runs_it() {
        for server in [Server::Exim, Server::Postfix, Server::Procmail, Server::Maildrop] {
            let text = printed(server, None, AUTH);
            assert!(text.contains("setfacl -m u:alice:r,u:bob:r /etc/mailknock/auth"), "{server:?}:\n{text}");
        }
        assert!(!printed(Server::Maddy, None, AUTH).contains("setfacl"));
    }

    #[test]
    fn who_has_a_configuration_is_told_to_add_to_it() {
        let config = Config::default();
        let notes = |file: Option<&Path>| Access::of(&config, file).notes.join("\n");
        assert!(notes(None).contains("`mailknock config init`"));
        let told = notes(Some(Path::new("/x/config.toml")));
        assert!(told.contains("Add it to\n/x/config.toml, ") && !told.contains("config init"), "{told}");
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
        let access = Access::of(&config.unwrap(), None);
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
