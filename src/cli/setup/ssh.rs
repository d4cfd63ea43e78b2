//! `mailknock setup ssh`: how the tunnel gets its key, the mail server its account, and ssh to know the server.

use std::io::{IsTerminal, Read};
use std::net::SocketAddr;
use std::path::Path;

use super::Page;
use super::port::{self, Choice};
use crate::config::{Config, Tunnel, toml_string};
use crate::paths::{config_file, display, expanded, open_file, own_name};
use crate::process::find;
use crate::tunnel;

/// What stands in the packaged files for where the mail server reaches us, for the key, and for the account.
const EXAMPLE_ADDRESS: &str = "127.0.0.1:12525";
const EXAMPLE_KEY: &str = "ssh-ed25519 AAAA... mailknock";
const EXAMPLE_ACCOUNT: &str = "Match User mailknock";

const AUTHORIZED_KEYS: &str = include_str!("../../../packaging/ssh/authorized_keys");
const SSHD_CONFIG: &str = include_str!("../../../packaging/ssh/sshd_config");

/// Where none is configured.
const EXAMPLE_HOST: &str = "mailknock@mail.example.org";
/// The account that is made for the tunnel alone.
const OWN_ACCOUNT: &str = "mailknock";
const KEY_FILE: &str = "~/.ssh/mailknock";
/// A public key is one line.
const MAX_KEY: u64 = 16 * 1024;

/// What a person does, in its order, for the tunnels of the configuration or for the one to this host.
pub fn text(config: &Config, file: Option<&Path>, host: Option<&str>) -> String {
    text_of(config, file, host, &asked_account)
}

/// The account by what ssh itself makes of a host.
fn asked_account(tunnel: &Tunnel) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(tunnel::account(tunnel))
}

type AccountOf<'a> = &'a dyn Fn(&Tunnel) -> Option<String>;

fn text_of(config: &Config, file: Option<&Path>, host: Option<&str>, account_of: AccountOf<'_>) -> String {
    // What is suggested for a host without an account may be there already.
    let is_wanted = |tunnel: &&Tunnel, host: &str| tunnel.host == host || tunnel.host == in_own_account(host);
    let configured: Vec<&Tunnel> =
        config.tunnels.iter().filter(|tunnel| host.is_none_or(|host| is_wanted(tunnel, host))).collect();
    let new = match (configured.is_empty(), host) {
        (false, _) => None,
        (true, None) => {
            let tunnel = new_tunnel(EXAMPLE_HOST);
            Some(New { tunnel, told: String::new(), others: Others::None, named_by: NamedBy::User })
        }
        (true, Some(host)) => Some(New::to(host, config, file, account_of)),
    };
    page(config, file, host, new.as_ref(), configured, account_of)
}

/// The host with the account that is suggested, where it names none.
fn in_own_account(host: &str) -> String {
    match (account_and_name(host), host.strip_prefix("ssh://")) {
        ((Some(_), _), _) => host.to_owned(),
        (_, Some(name)) => format!("ssh://{OWN_ACCOUNT}@{name}"),
        (_, None) => format!("{OWN_ACCOUNT}@{host}"),
    }
}

/// The host as its user would log in there without a word about the account.
fn without_account(host: &str) -> String {
    let (_, name) = account_and_name(host);
    if host.starts_with("ssh://") { format!("ssh://{name}") } else { name.to_owned() }
}

/// A tunnel that is to be put into the configuration.
struct New {
    tunnel: Tunnel,
    /// How its port was come by.
    told: String,
    others: Others,
    named_by: NamedBy,
}

/// Whose word the account is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NamedBy {
    /// The command line's, or that of ssh's configuration.
    User,
    /// Nobody's: it is suggested.
    Us,
}

/// What stands in the configuration already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    None,
    /// In a form that takes no other beside it: `[tunnel]`, or all in one line.
    Alone,
    List,
}

impl New {
    fn to(host: &str, config: &Config, file: Option<&Path>, account_of: AccountOf<'_>) -> Self {
        let there = config.tunnels.iter().filter(|other| server_name(&other.host) == server_name(host));
        let taken: Vec<u16> = there.map(|other| other.remote.port()).collect();
        let named_by = named_by(host, account_of);
        let host = if named_by == NamedBy::Us { in_own_account(host) } else { host.to_owned() };
        let mut tunnel = new_tunnel(&host);
        let by_default = Tunnel { options: Vec::new(), ..tunnel.clone() };
        let mut ways = Vec::new();
        if public_key(KEY_FILE).is_some() {
            ways.push(tunnel.clone());
        }
        ways.push(by_default.clone());
        // On the first day the account isn't there yet, and its user's own login is.
        let own_login = without_account(&host);
        if own_login != host {
            ways.push(Tunnel { host: own_login, ..by_default });
        }
        if std::io::stderr().is_terminal() {
            eprintln!("asking {} for a free port…", server_name(&host));
        }
        let Choice { port, told } = port::choose(&ways, &own_name(), &taken);
        tunnel.remote.set_port(port);
        let mut new = Self { tunnel, told, others: Others::None, named_by };
        if !config.tunnels.is_empty() {
            new.others = Others::List;
            let text = file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
            if !new.fits_behind(&text) {
                new.others = Others::Alone;
            }
        }
        new
    }

    /// Whether the configuration is right with this at its end. Only TOML's own reader can tell.
    fn fits_behind(&self, text: &str) -> bool {
        Config::parse("", &format!("{text}\n{}\n", self.toml())).0.is_some()
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

/// ssh tells an account in any case: only one that its configuration changes is named there.
fn named_by(host: &str, account_of: AccountOf<'_>) -> NamedBy {
    let (None, _) = account_and_name(host) else { return NamedBy::User };
    let by = |options: &[&str]| {
        let options = options.iter().map(ToString::to_string).collect();
        account_of(&Tunnel { options, ..new_tunnel(host) })
    };
    match (by(&[]), by(&["-F", "none"])) {
        (Some(named), Some(default)) if named != default => NamedBy::User,
        _ => NamedBy::Us,
    }
}

fn page(
    config: &Config,
    file: Option<&Path>,
    host: Option<&str>,
    new: Option<&New>,
    configured: Vec<&Tunnel>,
    account_of: AccountOf<'_>,
) -> String {
    let mut page = Page::default();
    if new.is_some() && host.is_none() {
        page.note(
            "An example. `mailknock setup ssh HOST`, with the mail server as you name it to ssh, is for that one.",
        );
    }
    page.note(&format!("The way from the mail server to here, from {}.", super::name_of(file)));
    if config.auth.is_none() {
        page.note(&format!("NOTE: {}", super::no_auth(file)));
    }
    let tunnels = match new {
        Some(new) => vec![&new.tunnel],
        None => configured,
    };
    let mut programs: Vec<&str> = tunnels.iter().map(|tunnel| tunnel.ssh.as_str()).collect();
    programs.sort_unstable();
    programs.dedup();
    for why in programs.iter().filter_map(|program| find(program).err()) {
        page.note(&format!("NOTE: {why} Debian's package is openssh-client."));
    }
    page.keys(&tunnels);
    if let Some(new) = new {
        let place = file.map(Path::to_owned).or_else(config_file).map(|file| format!(": {}", display(&file)));
        page.numbered(&format!("Here: add to config.toml{}", place.unwrap_or_default()));
        page.line(&new.toml());
        page.note(&new.told);
        if new.others == Others::Alone {
            page.note(
                "Make each tunnel that is there a `[[tunnel]]` too, with its keys in lines below: TOML takes no mixture.",
            );
        }
        if new.named_by == NamedBy::Us {
            page.note(&format!(
                "{OWN_ACCOUNT} is an account for nothing else, made below. For one that is there already:\n  \
                 mailknock setup ssh ACCOUNT@{}",
                server_name(&new.tunnel.host)
            ));
        }
    }
    for server in servers(&tunnels, account_of) {
        page.server(&server);
    }
    page.numbered("See that it works");
    page.line("mailknock doctor");
    page.text
}

impl Page {
    /// How the keys come to be. One that is there may lead to other servers already.
    fn keys(&mut self, tunnels: &[&Tunnel]) {
        let mut keys: Vec<String> = tunnels.iter().filter_map(|tunnel| identity(tunnel)).collect();
        if keys.is_empty() {
            keys.push(KEY_FILE.to_owned());
        }
        keys.sort_unstable();
        keys.dedup();
        let (there, missing): (Vec<String>, Vec<String>) = keys.into_iter().partition(|key| public_key(key).is_some());
        self.numbered("Here, once: a key that is for nothing else");
        for key in &missing {
            self.line(&format!("ssh-keygen -t ed25519 -f {}", quoted(key.trim_end_matches(".pub"))));
        }
        for key in &there {
            self.note(&format!("The key is there already, and stays as it is: {}", key.trim_end_matches(".pub")));
        }
        if !missing.is_empty() {
            self.note(
                "Give it a passphrase where an agent holds it before Mailknock starts (ssh-add); else none, because nobody is\n\
                 there to type it. What a thief of it could do is bounded by the server, below.",
            );
        }
    }

    fn server(&mut self, server: &Server<'_>) {
        let Server { first, account, .. } = server;
        let whose = match account {
            Some(account) => format!("of {account}"),
            None => "the account that you log in to".to_owned(),
        };
        let user = quoted(account.as_deref().unwrap_or(OWN_ACCOUNT));
        let create = format!("useradd --create-home --shell /usr/sbin/nologin {user}");
        let directory = format!("install -d -m 700 -o {user} ~{user}/.ssh");
        let is_for_nothing_else = account.as_ref().is_none_or(|account| account.contains(OWN_ACCOUNT));
        if is_for_nothing_else {
            self.numbered(&format!("On {}, as root: an account for nothing else", server.name));
            self.line(&create);
            self.line(&directory);
            self.note("For an account that is there already leave out the first, and for one that somebody uses both.");
        }
        self.numbered(&format!("On {}: one line in ~/.ssh/authorized_keys, {whose}", server.name));
        self.line(&server.authorized_key());
        if server.public_key.is_none() {
            self.note("In the place of the key stands the line of the file whose name ends in .pub.");
        }
        self.note(&format!(
            "That user must be able to read it, and no other to write it. If root wrote it:\n  \
             chown {user} ~{user}/.ssh/authorized_keys && chmod 600 ~{user}/.ssh/authorized_keys\n\
             In an account that somebody uses, put command=\"/usr/sbin/nologin\", in front of the line as well: `restrict`\n\
             forbids no commands."
        ));
        if !is_for_nothing_else && user != "root" {
            self.note(&format!(
                "Where {user} is nobody's login, and not there yet, root makes it before:\n  {create} && {directory}"
            ));
        }
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
    /// None where not even ssh can tell.
    account: Option<String>,
    tunnels: Vec<&'a Tunnel>,
    public_key: Option<String>,
}

fn servers<'a>(tunnels: &[&'a Tunnel], account_of: AccountOf<'_>) -> Vec<Server<'a>> {
    let mut found: Vec<Server<'a>> = Vec::new();
    for tunnel in tunnels {
        let is_same =
            |server: &&mut Server<'_>| (&server.first.host, &server.first.options) == (&tunnel.host, &tunnel.options);
        match found.iter_mut().find(is_same) {
            Some(server) => server.tunnels.push(tunnel),
            None => {
                let (account, name) = account_and_name(&tunnel.host);
                let account = account.map(str::to_owned).or_else(|| account_of(tunnel));
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
            .replace(EXAMPLE_ACCOUNT, &format!("Match User {}", self.account.as_deref().unwrap_or("ACCOUNT")));
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
        text_of(&parsed(&format!("{AUTH}{tunnels}")), None, None, &nobody)
    }

    fn new(host: &str, others: Others) -> New {
        New { tunnel: new_tunnel(host), told: "It is free.".to_owned(), others, named_by: NamedBy::User }
    }

    /// As where there is no ssh.
    fn nobody(_: &Tunnel) -> Option<String> {
        None
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
        let shown = |others| page(&config, None, Some("m"), Some(&new("m", others)), Vec::new(), &nobody);
        let text = shown(Others::Alone);
        has(&text, "[[tunnel]]");
        assert!(
            text.contains("Make each tunnel that is there a `[[tunnel]]` too") && !text.contains("other\n"),
            "{text}"
        );
        let text = shown(Others::List);
        has(&text, "[[tunnel]]");
        has(&text, "# It is free.");
        assert!(!text.contains("Make each"), "{text}");
    }

    #[test]
    fn whether_it_fits_beside_others_is_told_by_what_reads_the_file() {
        let fits = |tunnels: &str| new("m", Others::List).fits_behind(&format!("{AUTH}{tunnels}"));
        assert!(fits("[[tunnel]]\nhost = \"a\"") && fits(" [[ tunnel ]] # a\nhost = \"a\"\n[log]"));
        assert!(!fits("[tunnel]\nhost = \"a\"\n# [[tunnel]]"));
        let first = |tunnels: &str| new("m", Others::List).fits_behind(&format!("{tunnels}\n{AUTH}"));
        assert!(!first("tunnel = [{ host = \"a\" }]") && !first("tunnel = { host = \"a\" }"));
        assert!(!first("tunnel.host = \"a\"") && first(""));
    }

    #[test]
    fn an_account_is_suggested_where_nobody_names_one() {
        assert!(named_by("mail", &nobody) == NamedBy::Us);
        assert!(named_by("me@mail", &nobody) == NamedBy::User);
        assert!(named_by("mail", &|_| Some("zoe".to_owned())) == NamedBy::Us, "as ssh says without a configuration");
        let configured = |tunnel: &Tunnel| Some(if tunnel.options.is_empty() { "post" } else { "zoe" }.to_owned());
        assert!(named_by("mail", &configured) == NamedBy::User);
        for (host, suggested, login) in [
            ("mail", "mailknock@mail", "mail"),
            ("me@mail", "me@mail", "mail"),
            ("ssh://mail:22", "ssh://mailknock@mail:22", "ssh://mail:22"),
            ("ssh://me@mail:22", "ssh://me@mail:22", "ssh://mail:22"),
        ] {
            assert_eq!((in_own_account(host), without_account(host)), (suggested.to_owned(), login.to_owned()));
        }
        // Where that was followed, the same command tells of it.
        let config = parsed(&format!("{AUTH}[tunnel]\nhost = \"mailknock@mail\"\nremote = \"127.0.0.1:7\""));
        let text = text_of(&config, None, Some("mail"), &nobody);
        assert!(text.contains("PermitListen 127.0.0.1:7\n") && !text.contains("config.toml"), "{text}");
    }

    #[test]
    fn the_page_is_of_one_account_from_end_to_end() {
        let mut suggested = new("mailknock@mail", Others::None);
        suggested.named_by = NamedBy::Us;
        let text = page(&parsed(AUTH), None, Some("mail"), Some(&suggested), Vec::new(), &nobody);
        has(&text, "#   mailknock setup ssh ACCOUNT@mail");
        has(&text, "useradd --create-home --shell /usr/sbin/nologin mailknock");
        has(&text, "Match User mailknock");
        assert!(text.contains("\nhost = \"mailknock@mail\" "), "{text}");
        // What may be a login of somebody's is not made anew.
        let configured = "[tunnel]\nhost = \"mail\"\n";
        let text = text_of(&parsed(&format!("{AUTH}{configured}")), None, None, &|_| Some("zoe".to_owned()));
        has(&text, "Match User zoe");
        assert!(text.contains("authorized_keys, of zoe\n") && !text.contains("ACCOUNT"), "{text}");
        assert!(!text.contains("\nuseradd") && text.contains("\n#   useradd"), "{text}");
    }

    #[test]
    fn of_a_host_that_is_configured_only_its_own_tunnels_are_told() {
        let tunnel = "[[tunnel]]\nhost = \"me@mail\"\nremote = \"127.0.0.1:7\"\n[[tunnel]]\nhost = \"other\"\n";
        let text = text_of(&parsed(&format!("{AUTH}{tunnel}")), None, Some("me@mail"), &nobody);
        has(&text, "PermitListen 127.0.0.1:7");
        assert!(!text.contains("other\n") && !text.contains("to config.toml"), "{text}");
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
        let text = page(&parsed(AUTH), None, Some("m"), Some(&new), Vec::new(), &nobody);
        let words = |start: &str| {
            let line = text
                .lines()
                .map(|line| line.trim_start_matches("# "))
                .find_map(|line| line.find(start).map(|at| &line[at..]));
            shell_words::split(line.unwrap_or_else(|| panic!("no `{start}` in {text}"))).unwrap()
        };
        assert_eq!(words("ssh -i").last().unwrap(), "a;b'c@m&n");
        assert_eq!(words("useradd")[4], "a;b'c");
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
            // A path of Windows would be full of escapes.
            let option = option.replace("FILE", &file.display().to_string().replace('\\', "\\\\"));
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
        let text = with("\"-i\", \"FILE\"");
        assert!(!text.contains("ssh-keygen -t") && text.contains("The key is there already"), "{text}");
        std::fs::write(file.with_extension("pub"), "command=\"x\" ssh-ed25519 AAAAC3Nz\n").unwrap();
        assert!(with("\"-i\", \"FILE\"").contains(EXAMPLE_KEY));
    }
}
