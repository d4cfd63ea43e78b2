//! `mailknock setup SERVER`: the mail server's side, filled in from the configuration. It changes nothing.
//!
//! What is printed are the files under `packaging`, where they are tested with the servers themselves, with the
//! address and the password of this configuration in the place of the examples'.

mod ssh;

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::config::{Config, Pass};
use crate::paths::display;

/// What stands in the files for the listener's address, and for its user and password.
const EXAMPLE_URL: &str = "http://127.0.0.1:12525/notify";
const EXAMPLE_LOGIN: &str = "mailknock:a-long-random-word";
const UNKNOWN_PASSWORD: &str = "PASSWORD";

#[derive(Debug, Args)]
pub struct Arguments {
    /// What the mail server runs
    #[arg(value_enum)]
    server: Server,
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

/// A file of the server's.
struct Part {
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
    Part { path, text, percent: "%" }
}

const fn part_of_2_3(path: &'static str, text: &'static str) -> Part {
    Part { path, text, percent: "%%" }
}

const DOVECOT: [Part; 4] = [
    part_of_2_3("Dovecot 2.3: /etc/dovecot/conf.d/11-mailknock.conf", packaged!("dovecot/2.3/ox.conf")),
    part_of_2_3("Dovecot 2.3: /etc/dovecot/mailknock.conf.ext", packaged!("dovecot/2.3/ox-secret.conf")),
    part("Dovecot 2.4: /etc/dovecot/conf.d/95-mailknock.conf", packaged!("dovecot/2.4/ox.conf")),
    part("Dovecot 2.4: /etc/dovecot/mailknock.conf.ext", packaged!("dovecot/2.4/ox-secret.conf")),
];
const DOVECOT_LUA: [Part; 4] = [
    part_of_2_3("Dovecot 2.3: /etc/dovecot/conf.d/11-mailknock.conf", packaged!("dovecot/2.3/lua.conf")),
    part_of_2_3("Dovecot 2.3: /etc/dovecot/mailknock.conf.ext", packaged!("dovecot/2.3/lua-secret.conf")),
    part("Dovecot 2.4: /etc/dovecot/conf.d/95-mailknock.conf", packaged!("dovecot/2.4/lua.conf")),
    part("Dovecot 2.4: /etc/dovecot/mailknock.conf.ext", packaged!("dovecot/2.4/lua-secret.conf")),
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

    /// What else is to be done, and how to see that it works.
    fn words(self) -> &'static str {
        match self {
            Self::Dovecot => {
                "Each user is told of once their METADATA asks for it; without that Dovecot is silent, also in its log:\n  \
                 doveadm mailbox metadata set -u USER -s \"\" /private/vendor/vendor.dovecot/http-notify user=USER\n\
                 Then `doveadm reload`, and send a mail to yourself. It works for LMTP and dovecot-lda alike.\n\
                 In Dovecot's log, 401 means another password than here, `Connection refused` that the tunnel or\n\
                 Mailknock is down."
            }
            Self::DovecotLua => {
                "The script is /etc/dovecot/mailknock.lua, for everybody to read: mailknock setup dovecot-lua --script\n\
                 Then `doveadm reload`, and send a mail to yourself. It works for LMTP, dovecot-lda and IMAP alike.\n\
                 In Dovecot's log, 401 means another password than here, 9003 or 9005 that the tunnel or Mailknock is\n\
                 down."
            }
            _ => {
                "The server needs the program mailknock, as /usr/bin/mailknock. To see that it works, as the user who runs\n\
                 the hook:\n  \
                 mailknock send -c /etc/mailknock/send.toml --strict --input=none --user=USER --subject=Test"
            }
        }
    }
}

pub fn setup(file: Option<&Path>, arguments: &Arguments) -> ExitCode {
    if arguments.script {
        if arguments.server != Server::DovecotLua {
            eprintln!("mailknock: only dovecot-lua has a script");
            return ExitCode::from(2);
        }
        super::terminal::print_all(packaged!("dovecot/mailknock.lua"));
        return ExitCode::SUCCESS;
    }
    let read = super::read(file);
    let Some(config) = read.config else {
        super::print_problems(&read.problems);
        return ExitCode::from(super::WRONG_CONFIGURATION);
    };
    let from = read.file.as_deref().map_or("the built-in configuration".to_owned(), display);
    if arguments.server == Server::Ssh {
        super::terminal::print_all(&ssh::text(&config, &from));
        return ExitCode::SUCCESS;
    }
    let access = Access::of(&config);
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = writeln!(text, "# The mail server's side, from {from}.");
    for note in &access.notes {
        let _ = writeln!(text, "# NOTE: {note}");
    }
    for part in arguments.server.parts() {
        access.write(&mut text, part);
    }
    if arguments.server.sends() {
        access.write(&mut text, &SEND);
        let login = access.login.as_ref().map_or("(nothing: there is no [auth])", |(user_and_pass, _)| user_and_pass);
        let _ = writeln!(text, "\n# ==== /etc/mailknock/auth, mode 600, for whoever runs the hook\n{login}");
    }
    let words: String = arguments.server.words().lines().map(|line| format!("# {line}\n")).collect();
    let _ = write!(text, "\n{words}# On this side: MAILKNOCK_LOG=debug mailknock run --print\n");
    super::terminal::print_all(&text);
    ExitCode::SUCCESS
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
        if config.tunnels.is_empty() && address.starts_with("127.") {
            let port = address.rsplit(':').next().unwrap_or_default();
            notes.push(format!(
                "{address} is the server's end of your tunnel, for example: ssh -N -R 127.0.0.1:{port}:{} SERVER",
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
            notes.push("there is no [auth]: every account of the mail server can ring; add one".to_owned());
        }
        Self { url: format!("{scheme}://{address}{}", config.endpoint), login, notes }
    }

    fn write(&self, text: &mut String, part: &Part) {
        // Writing to a string can't fail.
        let _ = writeln!(text, "\n# ==== {}\n{}", part.path, self.filled_in(part).trim_end());
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
