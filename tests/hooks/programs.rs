//! Delivery programs that are started for each mail: procmail, maildrop, fdm, and what maddy does.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::installed::Installed;
use super::{Server, listener, mail_arrives_whatever_the_desktop_does, message, wait_event};
use crate::support::find_program;
use crate::support::require;

/// A program that delivers what it reads into a file.
struct Delivery<'a> {
    installed: &'a Installed,
    program: PathBuf,
    arguments: Vec<String>,
}

impl<'a> Delivery<'a> {
    fn new(installed: &'a Installed, program: &str, arguments: &[&str]) -> Delivery<'a> {
        let program = find_program(program).expect("the test asked for it");
        Delivery { installed, program, arguments: arguments.iter().map(|word| (*word).to_owned()).collect() }
    }
}

impl Server for Delivery<'_> {
    fn deliver(&self, message: &[u8]) {
        let mut command = self.installed.command(&self.program.display().to_string());
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it is installed");
        child.stdin.take().expect("it is a pipe").write_all(message).expect("it reads all");
        let output = child.wait_with_output().expect("it is our child");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{:?}: {told}", self.program);
    }

    fn mailbox(&self) -> String {
        std::fs::read_to_string(self.installed.home("mbox")).unwrap_or_default()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.installed.home("log")).unwrap_or_default()
    }
}

#[test]
fn procmail_delivers_and_tells() {
    if !require(&["procmail"]) {
        return;
    }
    // It knows its user by the number, whatever LOGNAME says.
    let id = Command::new("id").arg("-un").output().expect("every system has `id`");
    let own = String::from_utf8_lossy(&id.stdout).trim().to_owned();
    let user = if own == "root" { "nobody" } else { &own };
    let installed = Installed::new();
    let [home, log] = ["", "log"].map(|name| installed.home(name).display().to_string());
    let snippet = installed.snippet("procmail/procmailrc");
    let text = format!("MAILDIR={home}\nLOGFILE={log}\n{snippet}\n:0\nmbox\n");
    let file = installed.write_private("rc", &text);
    let server = Delivery::new(&installed, "procmail", &[&file.display().to_string()]);
    mail_arrives_whatever_the_desktop_does(&installed, &server, user, Some("INBOX"));
}

#[test]
fn maildrop_delivers_and_tells() {
    if !require(&["maildrop"]) {
        return;
    }
    let id = Command::new("id").arg("-un").output().expect("every system has `id`");
    let own = String::from_utf8_lossy(&id.stdout).trim().to_owned();
    let user = if own == "root" { "nobody" } else { &own };
    let installed = Installed::new();
    let [mbox, log] = ["mbox", "log"].map(|name| installed.home(name).display().to_string());
    let text = format!("logfile \"{log}\"\n{}\nto \"{mbox}\"\n", installed.snippet("maildrop/mailfilter"));
    let file = installed.write_private("filter", &text);
    let server = Delivery::new(&installed, "maildrop", &[&file.display().to_string()]);
    mail_arrives_whatever_the_desktop_does(&installed, &server, user, Some("INBOX"));
}

#[test]
fn fdm_delivers_and_tells() {
    if !require(&["fdm"]) {
        return;
    }
    let installed = Installed::new();
    let [mbox, lock] = ["mbox", "lock"].map(|name| installed.home(name).display().to_string());
    let basic = format!("set lock-file \"{lock}\"\naccount \"in\" stdin\naction \"keep\" mbox \"{mbox}\"\n");
    let text = format!("{basic}{}match all action \"keep\"\n", installed.snippet("fdm/fdm.conf"));
    let file = installed.write_private("fdm.conf", &text);
    let server = Delivery::new(&installed, "fdm", &["-f", &file.display().to_string(), "fetch"]);
    mail_arrives_whatever_the_desktop_does(&installed, &server, "alice", None);
}

/// maddy's `imap_filter`, as its `imap.filter.command` goes about it: no shell, placeholders filled in, nobody hears
/// stderr, what comes on stdout to its end would be a folder and flags, and it is waited for.
struct Maddy<'a> {
    installed: &'a Installed,
    words: Vec<String>,
}

impl<'a> Maddy<'a> {
    fn new(installed: &'a Installed) -> Maddy<'a> {
        let text = installed.snippet("maddy/maddy.conf");
        let line = text.lines().find_map(|line| line.trim().strip_prefix("command "));
        let words = line.expect("the snippet has it").split_whitespace().map(str::to_owned).collect();
        Maddy { installed, words }
    }

    fn filter(&self, account: &str, sender: &str, message: &[u8]) {
        let filled = |word: &String| word.replace("{account_name}", account).replace("{sender}", sender);
        let mut command = self.installed.command(&self.words[0]);
        command.args(self.words[1..].iter().map(filled)).current_dir("/").env_remove("LOGNAME");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it is there");
        let crlf = String::from_utf8_lossy(message).replace('\n', "\r\n");
        let mut stdin = child.stdin.take().expect("it is a pipe");
        let writing = std::thread::spawn(move || stdin.write_all(crlf.as_bytes()));
        let mut stdout = Vec::new();
        child.stdout.take().expect("it is a pipe").read_to_end(&mut stdout).expect("it ends");
        let status = child.wait().expect("it is our child");
        assert_eq!((status.code(), stdout.as_slice()), (Some(0), &b""[..]));
        writing.join().expect("writing doesn't panic").expect("it reads all");
    }
}

impl Server for Maddy<'_> {
    fn deliver(&self, message: &[u8]) {
        self.filter("alice@example.org", "sender@example.org", message);
        let mut mailbox = self.mailbox().into_bytes();
        mailbox.extend_from_slice(message);
        std::fs::write(self.installed.home("mbox"), mailbox).expect("the directory is ours");
    }

    fn mailbox(&self) -> String {
        std::fs::read_to_string(self.installed.home("mbox")).unwrap_or_default()
    }

    fn log(&self) -> String {
        String::new()
    }
}

#[test]
fn what_maddy_does_delivers_and_tells() {
    let installed = Installed::new();
    let maddy = Maddy::new(&installed);
    mail_arrives_whatever_the_desktop_does(&installed, &maddy, "alice@example.org", Some("INBOX"));
}

#[test]
fn maddys_recipients_are_told_one_after_the_other() {
    let _place = crate::support::send::place();
    let (daemon, installed) = (listener(), Installed::new());
    installed.sends_to(daemon.url());
    let maddy = Maddy::new(&installed);
    for number in 0..5 {
        maddy.filter(&format!("user{number}"), "", &message(&format!("number{number}")));
    }
    for number in 0..5 {
        assert_eq!(wait_event(&daemon, &format!("number{number}"), String::new)["user"], format!("user{number}"));
    }
    // No sender and no From: nothing is made up.
    maddy.filter("last", "{sender}", b"Subject: last\n\n");
    assert!(wait_event(&daemon, "last", String::new)["from"].is_null());
    daemon.stop();
}
