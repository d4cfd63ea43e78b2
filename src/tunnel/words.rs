//! ssh's last words, and what a person can do about them.

use std::net::SocketAddr;

use crate::mime::one_line;

/// What ssh says (OpenSSH 7 to 10), and what to do. `HOST` and `PORT` stand for the tunnel's.
const ADVICE: [(&str, &str); 8] = [
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the server shows another host key than before: somebody may be in between. If its administrator says that it \
         has a new one, run `ssh-keygen -R` with its name, then `ssh HOST`, and compare the fingerprint",
    ),
    ("REVOKED", "the server's host key is revoked; ask its administrator"),
    (
        "Host key verification failed",
        "the server's host key is not known yet: run `ssh HOST` once, compare the fingerprint and say yes",
    ),
    (
        "Too many authentication failures",
        "name the one key with `options = [\"-i\", \"KEY\", \"-o\", \"IdentitiesOnly=yes\"]`",
    ),
    (
        "Permission denied",
        "the server takes none of the keys: is the right one in the agent or named with `options = [\"-i\", \"KEY\"]`, and in \
         authorized_keys? See `mailknock setup ssh`",
    ),
    (
        "remote port forwarding failed",
        "the server does not give port PORT: another program holds it, or an earlier connection that it has not missed \
         yet, or it may not be forwarded. See `mailknock setup ssh`",
    ),
    ("administratively prohibited", "the server forbids forwarding. See `mailknock setup ssh`"),
    ("Bad configuration option", "ssh does not understand its configuration or `tunnel.options`"),
];
/// What ssh prints before the reason, or as well.
const FRAME: [&str; 4] = ["@@@", "Warning: Permanently added", "Authorized uses only", "debug1:"];

/// Why ssh ended, in one line: what it said last, and what to do where that is known.
pub fn explain(stderr: &str, exit: &str, host: &str, remote: SocketAddr) -> String {
    let is_reason = |line: &String| !line.is_empty() && !FRAME.iter().any(|frame| line.contains(frame));
    let last = stderr.lines().map(one_line).rfind(is_reason);
    let said = last.unwrap_or_else(|| format!("ssh ended: {exit}"));
    match advice(stderr) {
        Some(advice) => {
            let advice = advice.replace("HOST", host).replace("PORT", &remote.port().to_string());
            format!("{said}; {advice}")
        }
        None => said,
    }
}

fn advice(stderr: &str) -> Option<&'static str> {
    ADVICE.iter().find(|(said, _)| stderr.contains(said)).map(|(_, advice)| *advice)
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
    }
}
