//! `mailknock setup ssh`: how the tunnel gets its key, the mail server its account, and ssh to know the server.

use std::fmt::Write;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

use crate::config::{Config, Tunnel};
use crate::paths::{expanded, open_file};

/// What stands in the packaged files for where the mail server reaches us, for the key, and for the account.
const EXAMPLE_ADDRESS: &str = "127.0.0.1:12525";
const EXAMPLE_KEY: &str = "ssh-ed25519 AAAA... mailknock";
const EXAMPLE_ACCOUNT: &str = "Match User mailknock";

const AUTHORIZED_KEYS: &str = include_str!("../../../packaging/ssh/authorized_keys");
const SSHD_CONFIG: &str = include_str!("../../../packaging/ssh/sshd_config");

/// Where none is configured.
const EXAMPLE_HOST: &str = "mailknock@mail.example.org";
const KEY_FILE: &str = "~/.ssh/mailknock";
/// A public key is one line.
const MAX_KEY: u64 = 16 * 1024;

/// What a person does, in its order.
pub fn text(config: &Config, from: &str) -> String {
    let mut page = Page { text: format!("# The way from the mail server to here, from {from}.\n"), steps: 0 };
    let example = Tunnel {
        host: EXAMPLE_HOST.to_owned(),
        remote: Tunnel::REMOTE,
        ssh: "ssh".to_owned(),
        options: ["-i", KEY_FILE, "-o", "IdentitiesOnly=yes"].map(str::to_owned).into(),
    };
    let is_configured = !config.tunnels.is_empty();
    let tunnels = if is_configured { config.tunnels.iter().collect() } else { vec![&example] };
    if config.auth.is_none() {
        page.note("NOTE: there is no [auth]: every account of the mail server can ring; add one");
    }
    let key = tunnels.iter().find_map(|tunnel| identity(tunnel)).unwrap_or_else(|| KEY_FILE.to_owned());
    page.step("Here, once: a key that is for nothing else");
    page.line(&format!("ssh-keygen -t ed25519 -f {}", quoted(key.trim_end_matches(".pub"))));
    page.note(
        "Give it a passphrase where an agent holds it before Mailknock starts (ssh-add); else none, because nobody is\n\
         there to type it. What a thief of it could do is bounded by the server, below.",
    );
    if !is_configured {
        page.step("Here: in config.toml");
        page.line(&format!(
            "[tunnel]\nhost = \"{EXAMPLE_HOST}\"   # the mail server, as you name it to ssh\n\
             remote = \"{EXAMPLE_ADDRESS}\"                # where its own programs reach you\n\
             options = [\"-i\", \"{KEY_FILE}\", \"-o\", \"IdentitiesOnly=yes\"]"
        ));
    }
    for server in servers(&tunnels) {
        page.server(&server);
    }
    page.step("See that it works");
    page.line("mailknock doctor");
    page.note(
        "To have ssh kept up by systemd in place of Mailknock, which shows it all the same, there is\n\
         packaging/systemd/mailknock-tunnel.service.",
    );
    page.text
}

struct Page {
    text: String,
    steps: u32,
}

// Writing to a string can't fail.
impl Page {
    fn step(&mut self, title: &str) {
        self.steps += 1;
        let _ = writeln!(self.text, "\n# ==== {}. {title}", self.steps);
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "{}", text.trim_end());
    }

    fn note(&mut self, text: &str) {
        for line in text.lines() {
            let _ = writeln!(self.text, "# {line}");
        }
    }

    fn server(&mut self, server: &Server<'_>) {
        let Server { first, account, .. } = server;
        let whose = account.map_or("the account that you log in to".to_owned(), |account| format!("of {account}"));
        self.step(&format!("On {}: one line in ~/.ssh/authorized_keys, {whose}", server.name));
        self.line(&server.authorized_key());
        if server.public_key.is_none() {
            self.note("In the place of the key stands the line of the new file whose name ends in .pub.");
        }
        self.note(&format!(
            "An account for nothing else is best: useradd --create-home --shell /usr/sbin/nologin {}\n\
             In one that somebody uses, put command=\"/usr/sbin/nologin\", in front of the line as well: `restrict` forbids\n\
             no commands.",
            account.unwrap_or("mailknock")
        ));
        self.step(&format!(
            "For the administrator of {}: /etc/ssh/sshd_config.d/mailknock.conf; it works without",
            server.name
        ));
        self.line(&server.sshd_config());
        self.step("Here, once, by hand: see that it is that server");
        let words = [std::slice::from_ref(&first.ssh), &first.options, std::slice::from_ref(&first.host)].concat();
        self.line(&words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "));
        self.note(
            "It asks whether to trust the server's key. Say yes only if the fingerprint is the one that the server itself\n\
             tells, on its console or on another way than this:\n  \
             ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n\
             Mailknock never does that for you. An account with nologin ends the connection at once, which is right.",
        );
    }
}

/// A mail server with all tunnels that end there.
struct Server<'a> {
    first: &'a Tunnel,
    name: &'a str,
    /// As far as it is told here: ssh's own configuration may name another.
    account: Option<&'a str>,
    tunnels: Vec<&'a Tunnel>,
    public_key: Option<String>,
}

fn servers<'a>(tunnels: &[&'a Tunnel]) -> Vec<Server<'a>> {
    let mut found: Vec<Server<'a>> = Vec::new();
    for tunnel in tunnels {
        let is_same =
            |server: &&mut Server<'_>| (&server.first.host, &server.first.options) == (&tunnel.host, &tunnel.options);
        match found.iter_mut().find(is_same) {
            Some(server) => server.tunnels.push(tunnel),
            None => {
                let destination = tunnel.host.strip_prefix("ssh://").unwrap_or(&tunnel.host);
                let (account, name) = match destination.rsplit_once('@') {
                    Some((account, name)) => (Some(account), name),
                    None => (None, destination),
                };
                let public_key = identity(tunnel).and_then(|file| public_key(&file));
                found.push(Server { first: tunnel, name, account, tunnels: vec![tunnel], public_key });
            }
        }
    }
    found
}

impl Server<'_> {
    /// sshd compares what is asked for as text (sshd(8), `permitlisten`): with the address, never a name for it.
    fn listens(&self) -> impl Iterator<Item = SocketAddr> {
        self.tunnels.iter().map(|tunnel| tunnel.remote)
    }

    fn opens(&self) -> impl Iterator<Item = SocketAddr> {
        self.tunnels.iter().map(|tunnel| tunnel.reached_at())
    }

    fn authorized_key(&self) -> String {
        let each = |name: &str, addresses: &mut dyn Iterator<Item = SocketAddr>| {
            addresses.map(|address| format!("{name}=\"{address}\"")).collect::<Vec<_>>().join(",")
        };
        let line = AUTHORIZED_KEYS
            .replace(&format!("permitlisten=\"{EXAMPLE_ADDRESS}\""), &each("permitlisten", &mut self.listens()))
            .replace(&format!("permitopen=\"{EXAMPLE_ADDRESS}\""), &each("permitopen", &mut self.opens()));
        match &self.public_key {
            Some(key) => line.replace(EXAMPLE_KEY, key),
            None => line,
        }
    }

    fn sshd_config(&self) -> String {
        let each = |addresses: &mut dyn Iterator<Item = SocketAddr>| {
            addresses.map(|address| address.to_string()).collect::<Vec<_>>().join(" ")
        };
        let text = SSHD_CONFIG
            .replace(&format!("PermitListen {EXAMPLE_ADDRESS}"), &format!("PermitListen {}", each(&mut self.listens())))
            .replace(&format!("PermitOpen {EXAMPLE_ADDRESS}"), &format!("PermitOpen {}", each(&mut self.opens())))
            .replace(EXAMPLE_ACCOUNT, &format!("Match User {}", self.account.unwrap_or("ACCOUNT")));
        match self.listens().all(|address| address.ip().to_canonical().is_loopback()) {
            true => text,
            false => format!(
                "{}\n    # Its end is for other machines too.\n    GatewayPorts clientspecified\n",
                text.trim_end()
            ),
        }
    }
}

/// The file that `-i FILE` or `-o IdentityFile=FILE` names, as it stands there.
fn identity(tunnel: &Tunnel) -> Option<String> {
    let mut words = tunnel.options.iter();
    while let Some(word) = words.next() {
        let named = match word.as_str() {
            "-i" => words.next().cloned(),
            "-o" => words.next().and_then(|option| identity_option(option)),
            word => match (word.strip_prefix("-o"), word.strip_prefix("-i")) {
                (Some(option), _) => identity_option(option),
                (None, Some(file)) => Some(file.to_owned()),
                (None, None) => None,
            },
        };
        if named.is_some() {
            return named;
        }
    }
    None
}

fn identity_option(option: &str) -> Option<String> {
    let (name, file) = option.split_once(['=', ' '])?;
    name.trim().eq_ignore_ascii_case("IdentityFile").then(|| file.trim().to_owned())
}

/// The public half of a key. Of the private one not even whether it is there is looked at.
fn public_key(file: &str) -> Option<String> {
    let file = if file.ends_with(".pub") { file.to_owned() } else { format!("{file}.pub") };
    read_key(&expanded(&file))
}

fn read_key(file: &Path) -> Option<String> {
    let mut text = String::new();
    open_file(file).ok()?.take(MAX_KEY).read_to_string(&mut text).ok()?;
    let mut words = text.lines().next()?.split_ascii_whitespace();
    let (kind, key) = (words.next()?, words.next()?);
    let is_kind = ["ssh-", "ecdsa-", "sk-"].iter().any(|start| kind.starts_with(start))
        && kind.chars().all(|c| c.is_ascii_alphanumeric() || "-@.".contains(c));
    let is_key = key.chars().all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c));
    (is_kind && is_key).then(|| format!("{kind} {key} mailknock"))
}

/// A word for the shell, which is to read a `~/`. Quoted only where it must be: a person reads it too.
fn quoted(word: &str) -> String {
    let (home, rest) = word.strip_prefix("~/").map_or(("", word), |below| ("~/", below));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    match !rest.is_empty() && rest.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("{home}{}", shell_words::quote(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTH: &str = "[auth]\nuser = \"u\"\npass = \"p\"\n";

    fn printed(tunnels: &str) -> String {
        let (config, problems) = Config::parse("f", &format!("{AUTH}{tunnels}"));
        text(&config.unwrap_or_else(|| panic!("{problems:?}")), "here")
    }

    #[track_caller]
    fn has(text: &str, line: &str) {
        assert!(text.lines().any(|found| found.trim() == line), "no `{line}` in\n{text}");
    }

    #[test]
    fn without_a_tunnel_the_example_is_whole_and_its_configuration_is_right() {
        let text = printed("");
        let (_, rest) = text.split_once("\n[tunnel]\n").unwrap();
        let (lines, _) = rest.split_once("\n\n").unwrap();
        let (config, problems) = Config::parse("f", &format!("{AUTH}[tunnel]\n{lines}"));
        let config = config.unwrap_or_else(|| panic!("{problems:?}"));
        assert_eq!(config.tunnels[0].host, EXAMPLE_HOST);
        has(&text, "ssh-keygen -t ed25519 -f ~/.ssh/mailknock");
        has(&text, "ssh -i ~/.ssh/mailknock -o IdentitiesOnly=yes mailknock@mail.example.org");
        has(&text, AUTHORIZED_KEYS.trim());
        has(&text, "mailknock doctor");
        assert_eq!(text.matches("# ==== ").count(), 6, "{text}");
        assert!(!text.contains("localhost"), "{text}");
    }

    #[test]
    fn addresses_and_accounts_are_those_of_the_tunnels() {
        let tunnel = "[[tunnel]]\nhost = \"ssh://me@mail:22\"\n";
        let text = printed(&format!(
            "{tunnel}remote = \"[::1]:7\"\n{tunnel}remote = \"127.0.0.1:8\"\n[[tunnel]]\nhost = \"other\"\n"
        ));
        let ours =
            "permitlisten=\"[::1]:7\",permitlisten=\"127.0.0.1:8\",permitopen=\"[::1]:7\",permitopen=\"127.0.0.1:8\"";
        has(&text, &format!("restrict,port-forwarding,{ours} {EXAMPLE_KEY}"));
        has(&text, "PermitListen [::1]:7 127.0.0.1:8");
        has(&text, "Match User me");
        has(&text, "Match User ACCOUNT");
        has(&text, "ssh other");
        assert!(!text.contains("GatewayPorts"), "{text}");
    }

    #[test]
    fn a_way_for_other_machines_is_asked_for_as_such_and_tried_from_within() {
        let text = printed("[tls]\ncert = \"c\"\nkey = \"k\"\n[tunnel]\nhost = \"m\"\nremote = \"0.0.0.0:7\"");
        has(
            &text,
            &format!("restrict,port-forwarding,permitlisten=\"0.0.0.0:7\",permitopen=\"127.0.0.1:7\" {EXAMPLE_KEY}"),
        );
        has(&text, "GatewayPorts clientspecified");
    }

    #[test]
    fn the_public_key_is_put_in_and_the_private_one_never() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a key");
        std::fs::write(&file, "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
        let with = |option: &str| {
            let option = option.replace("FILE", &file.display().to_string());
            printed(&format!("[tunnel]\nhost = \"m\"\noptions = [{option}]"))
        };
        let text = with("\"-i\", \"FILE\"");
        assert!(text.contains(EXAMPLE_KEY) && !text.contains("PRIVATE"), "{text}");
        has(&text, &format!("ssh-keygen -t ed25519 -f '{}'", file.display()));
        std::fs::write(file.with_extension("pub"), "ssh-ed25519 AAAAC3Nz me@desktop of mine\nmore\n").unwrap();
        for option in
            ["\"-i\", \"FILE\"", "\"-iFILE\"", "\"-4\", \"-o\", \"IdentityFile=FILE\"", "\"-i\", \"FILE.pub\""]
        {
            assert!(with(option).contains("\" ssh-ed25519 AAAAC3Nz mailknock\n"), "{option}");
        }
        std::fs::write(file.with_extension("pub"), "command=\"x\" ssh-ed25519 AAAAC3Nz\n").unwrap();
        assert!(with("\"-i\", \"FILE\"").contains(EXAMPLE_KEY));
    }
}
