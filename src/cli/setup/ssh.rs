//! `mailknock setup ssh`: how the tunnel gets its key, the mail server its account, and ssh to know the server.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

use super::Page;
use super::port::{self, Choice};
use crate::config::{Config, Tunnel, toml_string};
use crate::paths::{config_file, display, expanded, open_file, own_name};
use crate::process::find;

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

/// What a person does, in its order, for the tunnels of the configuration or for the one to this host.
pub fn text(config: &Config, file: Option<&Path>, host: Option<&str>) -> String {
    let configured: Vec<&Tunnel> =
        config.tunnels.iter().filter(|tunnel| host.is_none_or(|host| tunnel.host == host)).collect();
    let new = match (configured.is_empty(), host) {
        (false, _) => None,
        (true, None) => Some(New { tunnel: new_tunnel(EXAMPLE_HOST), told: String::new(), others: Others::None }),
        (true, Some(host)) => Some(New::to(host, config, file)),
    };
    page(config, file, host, new.as_ref(), configured)
}

/// A tunnel that is to be put into the configuration.
struct New {
    tunnel: Tunnel,
    /// How its port was come by.
    told: String,
    others: Others,
}

/// What stands in the configuration already. TOML takes only one of the two forms.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    None,
    One,
    List,
}

impl New {
    fn to(host: &str, config: &Config, file: Option<&Path>) -> Self {
        let there = config.tunnels.iter().filter(|other| server_name(&other.host) == server_name(host));
        let taken: Vec<u16> = there.map(|other| other.remote.port()).collect();
        let mut tunnel = new_tunnel(host);
        let mut ways = vec![Tunnel { options: Vec::new(), ..tunnel.clone() }];
        if public_key(KEY_FILE).is_some() {
            ways.insert(0, tunnel.clone());
        }
        let Choice { port, told } = port::choose(&ways, &own_name(), &taken);
        tunnel.remote.set_port(port);
        let is_list = || file.and_then(|file| std::fs::read_to_string(file).ok()).is_some_and(|text| has_list(&text));
        let others = match config.tunnels.len() {
            0 => Others::None,
            1 if !is_list() => Others::One,
            _ => Others::List,
        };
        Self { tunnel, told, others }
    }

    fn toml(&self) -> String {
        let Tunnel { host, remote, options, .. } = &self.tunnel;
        let head = if self.others == Others::None { "[tunnel]" } else { "[[tunnel]]" };
        let options: Vec<String> = options.iter().map(toml_string).collect();
        let options = options.join(", ");
        let (host, remote) = (toml_string(host), toml_string(remote));
        format!(
            "{head}\nhost = {host}   # the mail server, as you name it to ssh\n\
             remote = {remote}   # where its own programs reach you\noptions = [{options}]"
        )
    }
}

fn new_tunnel(host: &str) -> Tunnel {
    Tunnel {
        host: host.to_owned(),
        remote: Tunnel::REMOTE,
        ssh: "ssh".to_owned(),
        options: ["-i", KEY_FILE, "-o", "IdentitiesOnly=yes"].map(str::to_owned).into(),
    }
}

/// Whether the tunnels of a configuration stand under `[[tunnel]]`.
fn has_list(text: &str) -> bool {
    let without_blanks = |line: &str| line.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    text.lines().any(|line| without_blanks(line).starts_with("[[tunnel]]"))
}

fn page(
    config: &Config,
    file: Option<&Path>,
    host: Option<&str>,
    new: Option<&New>,
    configured: Vec<&Tunnel>,
) -> String {
    let mut page = Page::default();
    if new.is_some() && host.is_none() {
        page.note(
            "An example. `mailknock setup ssh HOST`, with the mail server as you name it to ssh, is for that one.",
        );
    }
    page.note(&format!("The way from the mail server to here, from {}.", super::name_of(file)));
    if config.auth.is_none() {
        page.note(&format!("NOTE: {}", super::NO_AUTH));
    }
    let tunnels = match new {
        Some(new) => vec![&new.tunnel],
        None => configured,
    };
    let mut programs: Vec<&str> = tunnels.iter().map(|tunnel| tunnel.ssh.as_str()).collect();
    programs.dedup();
    for why in programs.iter().filter_map(|program| find(program).err()) {
        page.note(&format!("NOTE: {why} Debian's package is openssh-client."));
    }
    let key = tunnels.iter().find_map(|tunnel| identity(tunnel)).unwrap_or_else(|| KEY_FILE.to_owned());
    page.numbered("Here, once: a key that is for nothing else");
    page.line(&format!("ssh-keygen -t ed25519 -f {}", quoted(key.trim_end_matches(".pub"))));
    page.note(
        "Give it a passphrase where an agent holds it before Mailknock starts (ssh-add); else none, because nobody is\n\
         there to type it. What a thief of it could do is bounded by the server, below.",
    );
    if let Some(new) = new {
        let place = file.map(Path::to_owned).or_else(config_file).map(|file| format!(": {}", display(&file)));
        page.numbered(&format!("Here: in config.toml{}", place.unwrap_or_default()));
        page.line(&new.toml());
        page.note(&new.told);
        if new.others == Others::One {
            page.note("Make the `[tunnel]` that is there `[[tunnel]]` as well: TOML takes only one of the two.");
        }
    }
    for server in servers(&tunnels) {
        page.server(&server);
    }
    page.numbered("See that it works");
    page.line("mailknock doctor");
    page.note(
        "To have ssh kept up by systemd in place of Mailknock, which shows it all the same, there is\n\
         packaging/systemd/mailknock-tunnel.service.",
    );
    page.text
}

impl Page {
    fn server(&mut self, server: &Server<'_>) {
        let Server { first, account, .. } = server;
        let whose = account.map_or("the account that you log in to".to_owned(), |account| format!("of {account}"));
        let user = quoted(account.unwrap_or("mailknock"));
        self.numbered(&format!("On {}, as root: an account for nothing else", server.name));
        self.line(&format!("useradd --create-home --shell /usr/sbin/nologin {user}"));
        self.line(&format!("install -d -m 700 -o {user} ~{user}/.ssh"));
        self.note("For an account that somebody uses leave this out.");
        self.numbered(&format!("On {}: one line in ~/.ssh/authorized_keys, {whose}", server.name));
        self.line(&server.authorized_key());
        if server.public_key.is_none() {
            self.note("In the place of the key stands the line of the new file whose name ends in .pub.");
        }
        self.note(&format!(
            "That user must be able to read it, and no other to write it. If root wrote it:\n  \
             chown {user} ~{user}/.ssh/authorized_keys && chmod 600 ~{user}/.ssh/authorized_keys\n\
             In an account that somebody uses, put command=\"/usr/sbin/nologin\", in front of the line as well: `restrict`\n\
             forbids no commands."
        ));
        self.numbered(&format!(
            "For the administrator of {}: /etc/ssh/sshd_config.d/mailknock.conf; it works without",
            server.name
        ));
        self.line(&server.sshd_config());
        self.note("When it is there, as root; some systems call the service sshd:\n  sshd -t && systemctl reload ssh");
        self.numbered("Here, once, by hand: see that it is that server");
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
                let (account, name) = account_and_name(&tunnel.host);
                let public_key = identity(tunnel).and_then(|file| public_key(&file));
                found.push(Server { first: tunnel, name, account, tunnels: vec![tunnel], public_key });
            }
        }
    }
    found
}

fn account_and_name(host: &str) -> (Option<&str>, &str) {
    let destination = host.strip_prefix("ssh://").unwrap_or(host);
    match destination.rsplit_once('@') {
        Some((account, name)) => (Some(account), name),
        None => (None, destination),
    }
}

/// The machine's name alone. Of what is no URL, all may be the name.
fn server_name(host: &str) -> &str {
    let (_, name) = account_and_name(host);
    match (host.starts_with("ssh://"), name.rsplit_once(':')) {
        (true, Some((name, port))) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => name,
    }
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

    fn parsed(text: &str) -> Config {
        let (config, problems) = Config::parse("f", text);
        config.unwrap_or_else(|| panic!("{problems:?}"))
    }

    fn printed(tunnels: &str) -> String {
        text(&parsed(&format!("{AUTH}{tunnels}")), None, None)
    }

    fn new(host: &str, others: Others) -> New {
        New { tunnel: new_tunnel(host), told: "It is free.".to_owned(), others }
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
        assert_eq!(parsed(&format!("{AUTH}[tunnel]\n{lines}")).tunnels[0].host, EXAMPLE_HOST);
        assert!(text.lines().next().unwrap().contains("mailknock setup ssh HOST"), "{text}");
        has(&text, "ssh-keygen -t ed25519 -f ~/.ssh/mailknock");
        has(&text, "ssh -i ~/.ssh/mailknock -o IdentitiesOnly=yes mailknock@mail.example.org");
        has(&text, AUTHORIZED_KEYS.trim());
        has(&text, "mailknock doctor");
        assert_eq!(text.matches("# ==== ").count(), 7, "{text}");
        assert!(!text.contains("localhost"), "{text}");
    }

    #[test]
    fn the_printed_block_means_this_host_whatever_it_is_called() {
        for host in ["mail", "me@mail", "ssh://me@[::1]:22", "a\"b", "a\\b#c", "$(x)'y"] {
            let mut new = new(host, Others::None);
            new.tunnel.remote.set_port(20_000);
            let found = parsed(&format!("{AUTH}{}\n# {}", new.toml(), new.told));
            assert_eq!(found.tunnels, [new.tunnel]);
        }
    }

    #[test]
    fn a_tunnel_beside_others_is_one_of_a_list() {
        let config = parsed(&format!("{AUTH}[tunnel]\nhost = \"other\""));
        let shown = |others| page(&config, None, Some("m"), Some(&new("m", others)), Vec::new());
        let text = shown(Others::One);
        has(&text, "[[tunnel]]");
        assert!(text.contains("Make the `[tunnel]`") && !text.contains("other\n"), "{text}");
        let text = shown(Others::List);
        has(&text, "[[tunnel]]");
        has(&text, "# It is free.");
        assert!(!text.contains("Make the"), "{text}");
        assert!(has_list("x = 1\n [[ tunnel ]] # a\n") && !has_list("[tunnel]\n# [[tunnel]]"));
    }

    #[test]
    fn of_a_host_that_is_configured_only_its_own_tunnels_are_told() {
        let tunnel = "[[tunnel]]\nhost = \"me@mail\"\nremote = \"127.0.0.1:7\"\n[[tunnel]]\nhost = \"other\"\n";
        let text = text(&parsed(&format!("{AUTH}{tunnel}")), None, Some("me@mail"));
        has(&text, "PermitListen 127.0.0.1:7");
        assert!(!text.contains("other\n") && !text.contains("in config.toml"), "{text}");
    }

    #[test]
    fn a_server_is_the_same_whoever_logs_in() {
        for host in ["mail", "me@mail", "ssh://mail", "ssh://a@mail:22"] {
            assert_eq!(server_name(host), "mail", "{host}");
        }
        assert_eq!(server_name("ssh://[::1]"), "[::1]");
        assert_eq!(server_name("::1"), "::1");
    }

    #[test]
    fn a_shells_words_are_quoted() {
        let new = new("a;b'c@m&n", Others::None);
        let text = page(&parsed(AUTH), None, Some("m"), Some(&new), Vec::new());
        let words = |start: &str| {
            let line = text
                .lines()
                .map(|line| line.trim_start_matches("# "))
                .find_map(|line| line.find(start).map(|at| &line[at..]));
            shell_words::split(line.unwrap_or_else(|| panic!("no `{start}` in {text}"))).unwrap()
        };
        assert_eq!(words("ssh -i").last().unwrap(), "a;b'c@m&n");
        assert_eq!(words("useradd").last().unwrap(), "a;b'c");
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
