//! The listener behind TLS, as curl and openssl speak it: which versions, whose certificate, for which names, and what
//! becomes of another pair while it runs.

mod reload;
mod strangers;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::control::start;
use crate::record::{AT_ONCE, recent};
use crate::support::certificate::{self, Pair};
use crate::support::daemon::{Daemon, Running};
use crate::support::output::Output;
use crate::support::program;
use crate::support::require;
use crate::support::wait::{SOON, wait_until};

const EVENT: &str = r#"{"user":"me","event":"messageNew"}"#;
const NAMES: [&str; 3] = ["IP:127.0.0.1", "DNS:mail.example.org", "DNS:*.push.example.org"];

/// A home with a pair in it, where the programs that these tests need are installed.
fn prepared() -> Option<(Daemon, Pair)> {
    if !require(&["openssl", "curl"]) {
        return None;
    }
    let recipe = Daemon::new();
    let pair = Pair::new(&recipe, "own", &NAMES);
    Some((recipe, pair))
}

/// Certificate and key of a pair in one file, which is replaced in one step: nobody sees one of each of two pairs.
fn put(pair: &Pair, file: &Path) {
    let texts = [&pair.certificate, &pair.key].map(|part| fs::read_to_string(part).expect("openssl wrote it"));
    replace(file, &texts.concat());
}

fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).expect("the home is ours");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    fs::rename(&new, file).expect("the home is ours");
}

/// The `[tls]` of a file that holds both.
fn both_in(file: &Path) -> String {
    let file = file.to_owned();
    Pair { certificate: file.clone(), key: file }.config("")
}

/// The status that curl gets of a server whose certificate is this one; `000` of none such.
#[track_caller]
fn push(daemon: &Running, certificate: &Path) -> String {
    certificate::push(&format!("https://{}{}", daemon.addr(), daemon.url_path()), certificate, EVENT, &[])
}

/// `openssl s_client`, which believes every certificate and passes on what it is given.
struct Client {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
    complaints: Output,
}

impl Client {
    fn connect(daemon: &Running, options: &[&str]) -> Client {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &daemon.addr().to_string(), "-brief", "-ign_eof"]).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("openssl is installed");
        let answers = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let complaints = Output::read(child.stderr.take().expect("it is a pipe"));
        Client { child, answers, complaints }
    }

    /// Sends a request, and gives the status of the answer and the answer; 0 where none comes.
    fn request(&mut self, bytes: &[u8]) -> (u16, String) {
        let mut input = self.child.stdin.as_ref().expect("it is a pipe");
        // Where the handshake failed there is nobody to write to.
        let _ = input.write_all(bytes);
        let mut answer = String::new();
        // A status and a body are all that these tests ask of an answer: the body is the last line, without an end.
        loop {
            let read = self.answers.read_line(&mut answer).unwrap_or(0);
            if read == 0 || answer.ends_with("\r\n\r\n") {
                break;
            }
        }
        let length = answer.to_ascii_lowercase().split("content-length: ").nth(1).map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<usize>().expect("a length")
        });
        let mut body = vec![0; length.unwrap_or(0)];
        std::io::Read::read_exact(&mut self.answers, &mut body).expect("the whole body");
        answer.push_str(&String::from_utf8_lossy(&body));
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or(0), answer)
    }

    /// What it says about the connection, once it contains this.
    #[track_caller]
    fn wait_said(&self, text: &str) -> String {
        let said = || Some(self.complaints.text()).filter(|said| said.contains(text));
        wait_until(&format!("openssl to say `{text}`, not {}", self.complaints.text()), said)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        program::end(&mut self.child, SOON);
    }
}

/// The status that a push to this host is answered.
#[track_caller]
fn push_as(daemon: &Running, options: &[&str], host: &str) -> u16 {
    let request = daemon.request().json(EVENT).bytes();
    let request = String::from_utf8(request).expect("it is text").replace("127.0.0.1", host);
    Client::connect(daemon, options).request(request.as_bytes()).0
}

#[test]
fn only_versions_that_are_still_safe_are_spoken() {
    let Some((recipe, pair)) = prepared() else { return };
    let daemon = start(&recipe.config(&format!("{AT_ONCE}{}", pair.config(""))));
    assert!(daemon.url().starts_with("https://127.0.0.1:"), "{}", daemon.url());
    let request = daemon.request().json(EVENT).bytes();
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let mut client = Client::connect(&daemon, &[option]);
        for _ in 0..2 {
            let (status, answer) = client.request(&request);
            assert!(status == 200 && answer.ends_with(r#"{"success":true}"#), "{version}: {answer}");
        }
        client.wait_said(&format!("Protocol version: {version}"));
    }
    for old in ["-tls1_1", "-tls1"] {
        let mut client = Client::connect(&daemon, &[old, "-cipher", "DEFAULT@SECLEVEL=0"]);
        assert_eq!(client.request(&request).0, 0, "{old}");
        // The other side's word: openssl itself would have spoken it.
        client.wait_said("SSL alert number");
    }
    assert_eq!(push(&daemon, &pair.certificate), "200");
    assert_eq!(recent(daemon.recipe(), &[]).len(), 5);
    daemon.stop();
}

#[test]
fn every_name_of_the_certificate_is_ours_and_no_other() {
    let Some((recipe, pair)) = prepared() else { return };
    let daemon = start(&recipe.config(&format!("{AT_ONCE}{}", pair.config(""))));
    // Whatever name is asked for in the handshake, there is one certificate.
    for options in [&["-noservername"][..], &["-servername", "elsewhere.example"]] {
        assert_eq!(push_as(&daemon, options, "127.0.0.1"), 200, "{options:?}");
        assert_eq!(push_as(&daemon, options, "elsewhere.example"), 403, "{options:?}");
    }
    for (host, status) in [
        ("mail.example.org", 200),
        ("MAIL.example.org:12525", 200),
        ("a.push.example.org", 200),
        ("b.a.push.example.org", 403),
        ("push.example.org", 403),
        ("mail.example.org.evil.example", 403),
        ("example.org", 403),
    ] {
        assert_eq!(push_as(&daemon, &["-servername", "mail.example.org"], host), status, "{host}");
    }
    daemon.stop();
}

#[test]
fn without_its_certificate_it_does_not_start_and_says_why() {
    let Some((recipe, pair)) = prepared() else { return };
    let other = Pair::new(&recipe, "other", &NAMES);
    let missing = Pair { certificate: recipe.home().join("missing.crt"), ..pair.clone() };
    let mixed = Pair { key: other.key.clone(), ..pair.clone() };
    for (wrong, why) in [
        (&missing, "failed to read ~/missing.crt: No such file or directory"),
        (&mixed, "`tls.cert` ~/own.crt and `tls.key` ~/other.key: "),
        (&Pair { key: pair.certificate.clone(), ..pair.clone() }, "`tls.key` ~/own.crt holds no key"),
        (&Pair { certificate: pair.key.clone(), ..pair.clone() }, "`tls.cert` ~/own.key holds no certificate"),
    ] {
        recipe.write_config(&wrong.config(""));
        for command in [&["run"][..], &["check"], &["-t"]] {
            let said = recipe.command(command).ended_with(78).stderr;
            assert!(said.contains(why), "{command:?}: {said}");
        }
    }
    // In a desktop session it stays up until that is mended. Nothing of ours asks the display.
    recipe.write_config(&missing.config(""));
    let mut daemon = recipe.clone().env("DISPLAY", ":4711").spawn();
    crate::control::wait_answers(&recipe);
    let status = crate::control::status(&recipe);
    assert!(status["problems"][0].as_str().is_some_and(|why| why.contains("~/missing.crt")), "{status}");
    fs::copy(&pair.certificate, &missing.certificate).expect("the home is ours");
    recipe.command(&["reload"]).succeeded();
    let line = daemon.wait_log("listening on https://");
    let url = line.split_whitespace().last().expect("a URL");
    assert_eq!(certificate::push(url, &pair.certificate, EVENT, &[]), "200");
    daemon.stop();
}
