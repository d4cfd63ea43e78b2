//! ssh's last words, and what a person can do about them.

use std::net::SocketAddr;

use crate::mime::{one_line, shorten};

/// What a connection comes to, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// ssh starts, and understands its options.
    Ssh,
    Server,
    HostKey,
    Key,
    Port,
    Events,
}

/// Something that ssh says (OpenSSH 7 to 10), or that we say of what came through.
struct Known {
    said: &'static str,
    /// What did not go well; all before it did.
    broke_at: Step,
    /// What to do. `HOST` and `PORT` stand for the tunnel's.
    advice: Option<&'static str>,
}

const fn known(said: &'static str, broke_at: Step, advice: &'static str) -> Known {
    Known { said, broke_at, advice: Some(advice) }
}

const fn plain(said: &'static str, broke_at: Step) -> Known {
    Known { said, broke_at, advice: None }
}

/// What ssh says of a host key that it doesn't know, and of one that it knows otherwise.
const NO_HOST_KEY: &str = "Host key verification failed";
/// The first that is found counts.
const KNOWN: [Known; 18] = [
    known(
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        Step::HostKey,
        "the server shows another host key than before: somebody may be in between. If its administrator says that it \
         has a new one, run `ssh-keygen -R` with its name, then `ssh HOST`, and compare the fingerprint",
    ),
    known("REVOKED", Step::HostKey, "the server's host key is revoked; ask its administrator"),
    known(
        NO_HOST_KEY,
        Step::HostKey,
        "the server's host key is not known yet: run `ssh HOST` once, compare the fingerprint and say yes",
    ),
    // A firewall's "Permission denied" is none of the keys'.
    plain("connect to host", Step::Server),
    plain("Could not resolve hostname", Step::Server),
    plain("kex_exchange_identification", Step::Server),
    plain("banner exchange", Step::Server),
    known(
        "Too many authentication failures",
        Step::Key,
        "name the one key with `options = [\"-i\", \"KEY\", \"-o\", \"IdentitiesOnly=yes\"]`",
    ),
    known(
        "Permission denied (",
        Step::Key,
        "the server takes none of the keys: is the right one in the agent or named with `options = [\"-i\", \"KEY\"]`, and in \
         authorized_keys? See `mailknock setup ssh`",
    ),
    known(
        "remote port forwarding failed",
        Step::Port,
        "the server does not give port PORT: another program holds it, or an earlier connection that it has not missed \
         yet, or it may not be forwarded. See `mailknock setup ssh`",
    ),
    known("administratively prohibited", Step::Port, "the server forbids forwarding. See `mailknock setup ssh`"),
    known("Bad configuration option", Step::Ssh, "ssh does not understand its configuration or `tunnel.options`"),
    plain("not found. Is it installed", Step::Ssh),
    plain("may not be executed", Step::Ssh),
    plain("nothing comes through", Step::Events),
    plain("another program answers in our place", Step::Events),
    plain("but not our answers", Step::Events),
    plain("unknown option", Step::Ssh),
];
/// What ssh prints before the reason, or as well.
const FRAME: [&str; 4] = ["@@@", "Warning: Permanently added", "Authorized uses only", "debug1:"];
/// What says more than so many characters is not ssh, or a server's wish to fill the screen.
const MAX_SAID: usize = 200;

/// Why ssh ended, in one line: what it said last, and what to do where that is known.
pub fn explain(stderr: &str, exit: &str, host: &str, remote: SocketAddr) -> String {
    let mut lines = stderr.lines().map(one_line).filter(|line| !line.is_empty());
    let last = lines.rfind(|line| !FRAME.iter().any(|frame| line.contains(frame)));
    let said = last.map_or_else(|| ended(exit), |last| shorten(&last, MAX_SAID));
    match cause(stderr, &said).and_then(|known| known.advice) {
        Some(advice) => {
            let port = remote.port().to_string();
            let parts = advice.split("HOST").map(|part| part.replace("PORT", &port));
            format!("{said}; {}", parts.collect::<Vec<_>>().join(host))
        }
        None => said,
    }
}

fn ended(exit: &str) -> String {
    match exit {
        // It goes on where we can't end it, and holds the port.
        "done" => "ssh went into the background; take `ForkAfterAuthentication` out of its configuration".to_owned(),
        exit => format!("ssh ended: {exit}"),
    }
}

/// A server can print anything before it is trusted: what tells of its host key counts only where ssh ended over that.
fn cause(stderr: &str, said: &str) -> Option<&'static Known> {
    let is_possible = |known: &&Known| known.broke_at != Step::HostKey || said.contains(NO_HOST_KEY);
    KNOWN.iter().filter(is_possible).find(|known| stderr.contains(known.said))
}

/// Why a tunnel is down, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    pub said: String,
    pub advice: Option<String>,
    /// None where that can't be told.
    pub broke_at: Option<Step>,
}

impl Diagnosis {
    /// Whether ssh has never been there, which is no fault; another key than before would be.
    pub fn is_first_time(&self) -> bool {
        let known =
            KNOWN.iter().find(|known| known.said == NO_HOST_KEY).and_then(|known| known.advice?.split("HOST").next());
        self.broke_at == Some(Step::HostKey)
            && known.is_some_and(|known| self.advice.as_ref().is_some_and(|advice| advice.starts_with(known)))
    }
}

/// Takes apart what `explain` put together, or what ssh or a probe said itself.
pub fn diagnose(why: &str) -> Diagnosis {
    for known in &KNOWN {
        // As far as it is the same for every tunnel.
        let Some(advice) = known.advice.and_then(|advice| advice.split("HOST").next()?.split("PORT").next()) else {
            continue;
        };
        if let Some((said, _)) = why.split_once(&format!("; {advice}")) {
            let advice = why[said.len()..].strip_prefix("; ").map(str::to_owned);
            return Diagnosis { said: said.to_owned(), advice, broke_at: Some(known.broke_at) };
        }
    }
    let known = KNOWN.iter().find(|known| why.contains(known.said));
    Diagnosis { said: one_line(why), advice: None, broke_at: known.map(|known| known.broke_at) }
}

impl Step {
    /// All but the first, which nobody asks for where it goes well.
    const LADDER: [(Self, &'static str, &'static str); 5] = [
        (Self::Server, "mail server reached", "mail server NOT reached"),
        (Self::HostKey, "host key known", "host key NOT trusted"),
        (Self::Key, "key accepted", "key NOT accepted"),
        (Self::Port, "port given", "port NOT given"),
        (Self::Events, "events arrive", "events do NOT arrive"),
    ];

    /// How far it got, where it broke at this.
    pub fn ladder(self) -> String {
        let reached = Self::LADDER.iter().filter(|(step, ..)| *step < self).map(|(_, well, _)| *well);
        let broken = Self::LADDER.iter().find(|(step, ..)| *step == self).map_or("ssh does NOT start", |(.., bad)| bad);
        reached.chain([broken]).collect::<Vec<_>>().join(" → ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(stderr: &str) -> String {
        explain(stderr, "exit 255", "me@mail", "127.0.0.1:7".parse().unwrap())
    }

    #[test]
    fn a_changed_key_is_told_from_one_that_is_not_known() {
        let changed = "@@@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@@@@@@@\r\n\
            IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\nHost key for [m]:2 has changed and you have requested strict checking.\n\
            Host key verification failed.\r\n";
        let text = explained(changed);
        assert!(text.starts_with("Host key verification failed.; the server shows another host key"), "{text}");
        let text = explained(
            "No ED25519 host key is known for m and you have requested strict checking.\nHost key verification failed.\n",
        );
        assert!(text.contains("run `ssh me@mail` once"), "{text}");
    }

    #[test]
    fn what_can_be_mended_says_how() {
        let text = explained("Error: remote port forwarding failed for listen port 7\n");
        assert!(
            text.starts_with(
                "Error: remote port forwarding failed for listen port 7; the server does not give port 7:"
            )
        );
        assert!(explained("nobody@m: Permission denied (publickey).\n").contains("authorized_keys"));
    }

    #[test]
    fn what_the_network_says_stands_alone() {
        let text = explained(
            "Warning: Permanently added 'x' (ED25519)\nssh: connect to host m port 22: Connection refused\r\n",
        );
        assert_eq!(text, "ssh: connect to host m port 22: Connection refused");
        assert_eq!(explained("\n"), "ssh ended: exit 255");
    }

    #[test]
    fn a_servers_words_are_shown_safely() {
        let text = explained("banner \u{1b}[31m\u{202e}evil\n");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        assert_eq!(explained(&"A".repeat(4096)).chars().count(), MAX_SAID);
    }

    #[test]
    fn a_servers_banner_gives_no_advice_about_its_own_key() {
        let banner = "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\nme@mail: Permission denied (publickey).\n";
        assert!(explained(banner).contains("authorized_keys") && !explained(banner).contains("ssh-keygen"));
        let port = explain("Host key verification failed.", "", "PORT", "127.0.0.1:7".parse().unwrap());
        assert!(port.contains("run `ssh PORT` once"), "{port}");
    }

    #[test]
    fn what_is_said_tells_how_far_it_got() {
        let check = |stderr: &str, ladder: &str| {
            let why = explained(stderr);
            let found = diagnose(&why);
            assert_eq!(found.broke_at.map(Step::ladder).as_deref(), Some(ladder), "{found:?}");
            let again = found.advice.map_or(found.said.clone(), |advice| format!("{}; {advice}", found.said));
            assert_eq!(again, why);
        };
        check("ssh: connect to host m port 22: Permission denied\r\n", "mail server NOT reached");
        check("ssh: Could not resolve hostname m: Name or service not known\r\n", "mail server NOT reached");
        check("Host key verification failed.\r\n", "mail server reached → host key NOT trusted");
        check(
            "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed.\r\n",
            "mail server reached → host key NOT trusted",
        );
        let is_first_time = |stderr: &str| diagnose(&explained(stderr)).is_first_time();
        assert!(is_first_time("Host key verification failed.\r\n"));
        assert!(!is_first_time("REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed.\r\n"));
        let key = "mail server reached → host key known → key NOT accepted";
        check("me@m: Permission denied (publickey).\r\n", key);
        let port = "mail server reached → host key known → key accepted → port NOT given";
        check("Error: remote port forwarding failed for listen port 7\r\n", port);
        check("`ssh` not found. Is it installed, and on PATH or with its whole path?\n", "ssh does NOT start");
        let events = diagnose("nothing comes through: no answer in time");
        assert!(events.broke_at.unwrap().ladder().ends_with("port given → events do NOT arrive"));
        assert_eq!(diagnose("nothing came through").broke_at, None, "ssh never said why");
    }
}
