//! A new user's first day, on two machines where nothing is configured. What is typed and written there is what the
//! program prints, and nothing else. `cargo test first_day -- --nocapture` shows how it went.

mod machines;
mod printed;

use rustix::process::Signal;

use crate::support::daemon::Finished;
use crate::support::desktop::Notification;
use crate::support::dovecot::Dovecot;
use crate::support::machine::{Machine, Who};
use crate::support::network::Network;
use crate::support::program::{self, Program};
use crate::support::require;
use crate::support::sshd::Sshd;
use crate::support::wait::{EVENTUALLY, holds, wait_at_most};
use machines::{Desk, HOST, MailServer, ZOE};
use printed::{Section, listed, quoted, sections, starting};

/// Answers for the one who sits at the terminal: no passphrase, and yes to a server whose fingerprint is that on a sheet
/// of paper.
const ANSWERS: &str = r#"#!/bin/sh
echo "$1" >>"$HOME/questions"
case "$1" in
  *passphrase*) echo ;;
  *"$(cat "$HOME/paper")"*yes/no*) echo yes ;;
  *) exit 1 ;;
esac
"#;

/// Both machines, and the person who goes from one to the other.
struct FirstDay {
    desk: Desk,
    mail: MailServer,
    network: Network,
}

#[test]
fn whoever_follows_what_is_printed_gets_from_nothing_to_a_knock() {
    let programs = ["dbus-daemon", "useradd", "install", "desktop-file-validate", "gio"];
    if !Machine::available() || !Sshd::available() || !Dovecot::available() || !require(&programs) {
        return;
    }
    let day = FirstDay::begin();

    // Nothing is configured.
    let mut session = day.desk.machine.spawn(ZOE, "mailknock run");
    let welcome = day.popup();
    assert!(welcome.body.contains("127.0.0.1:12525"), "{welcome:?}");
    let config_init = starting("mailknock config", quoted(&welcome.body));
    for command in quoted(&welcome.body) {
        wait_at_most(EVENTUALLY, command, || session.log(), || holds(session.log().contains(command)));
    }
    let made = day.type_here(config_init).succeeded().stdout;
    let (config, _) = made.split_once(" is written").expect("it says where");
    let todo: Vec<&str> = listed(&made).collect();
    let next = |start: &str| starting(start, todo.iter().copied());
    let [set_up_ssh, set_up_dovecot] = ["mailknock setup ssh", "mailknock setup dovecot"].map(next);
    let [doctor, autostart] = ["mailknock doctor", "mailknock autostart"].map(next);

    let page = day.type_here(&set_up_ssh.replace("HOST", &format!("mailknock@{HOST}"))).succeeded().stdout;
    day.open_the_way(&page, config);
    day.see_no_failure(doctor);

    let page = day.type_here(set_up_dovecot).succeeded().stdout;
    day.set_up_dovecot(&page);
    day.see_no_failure(doctor);
    day.knocks("Grüße aus Köln", "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?=");
    // The one that came too early is known to nobody here.
    for (command, text) in [("mailknock status", "2 new messages\n"), ("mailknock recent", "Grüße aus Köln")] {
        let said = day.type_here(command).succeeded().stdout;
        assert!(said.contains(text) && !said.contains("Unheard"), "no `{text}` in\n{said}");
    }

    // And ever after: a login starts what the file says.
    let said = day.type_here(autostart).succeeded().stdout;
    let entry = said.split(": ").nth(1).and_then(|said| said.split_once(" starts ")).expect("it says which file").0;
    day.log_out(&mut session);
    day.type_here(&format!("desktop-file-validate {entry}")).succeeded();
    day.type_here(&format!("gio launch {entry} >.session-errors 2>&1")).succeeded();
    day.see_no_failure(doctor);
    day.knocks("Jeden Tag", "Subject: Jeden Tag");
    assert!(!day.mail.log().contains("rror"), "{}", day.mail.log());
}

impl FirstDay {
    #[track_caller]
    fn begin() -> FirstDay {
        let network = Network::new();
        let day = FirstDay { desk: Desk::start(&network), mail: MailServer::start(&network), network };
        day.desk.machine.write(Who::Root, "/usr/local/bin/zoe-answers", 0o755, ANSWERS);
        println!("---- The day begins.");
        day
    }

    /// At the desktop's terminal.
    #[track_caller]
    fn type_here(&self, line: &str) -> Finished {
        self.desk.machine.run(ZOE, line)
    }

    /// At the mail server's.
    #[track_caller]
    fn type_there(&self, line: &str) -> Finished {
        self.mail.machine.run(Who::Root, line)
    }

    /// The one popup that is there.
    #[track_caller]
    fn popup(&self) -> Notification {
        let popup = self.desk.desktop.next_notification();
        println!("---- A popup: {}\n{}", popup.summary, popup.body);
        assert!(self.desk.desktop.try_notification().is_none(), "there are two");
        popup
    }

    /// What `setup ssh` says.
    #[track_caller]
    fn open_the_way(&self, page: &str, config: &str) {
        let mut public_key = String::new();
        for section in sections(page) {
            match section.file() {
                _ if section.title.contains("config.toml") => {
                    self.desk.machine.append(ZOE, section.file().unwrap_or(config), &format!("\n{}", section.text));
                    self.see("mailknock status", HOST);
                }
                Some(file) if section.title.contains("one line") => self.authorize(&section, file, &public_key),
                Some(file) => {
                    self.put(&section, file);
                    self.do_what_is_told(&section);
                }
                None if section.is_here() => {
                    // On paper: what the server itself says of it.
                    for command in section.told() {
                        let said = self.type_there(command).succeeded().stdout;
                        let fingerprint = said.split(' ').nth(1).expect("a fingerprint is its second word");
                        self.desk.machine.write(ZOE, "paper", 0o600, fingerprint);
                    }
                    for line in section.lines() {
                        let said = self.type_and_answer(line).stdout;
                        if let Some((_, file)) = said.split_once("public key has been saved in ") {
                            let file = file.lines().next().unwrap_or_default();
                            public_key = self.type_here(&format!("cat '{file}'")).succeeded().stdout;
                        }
                    }
                }
                None if section.title.contains(HOST) => section.lines().for_each(|line| {
                    self.type_there(line).succeeded();
                }),
                None => section.lines().for_each(|line| self.see_no_failure(line)),
            }
        }
        let questions = self.type_here("cat questions").succeeded().stdout;
        assert!(questions.contains("yes/no") && questions.contains("passphrase"), "{questions}");
    }

    /// With the real key, where the page knows none.
    #[track_caller]
    fn authorize(&self, section: &Section<'_>, file: &str, public_key: &str) {
        let line = section.lines().next().expect("there is a line to copy");
        let (options, key) = line.split_once(" ssh-").expect("it ends with a key");
        let key = if key.contains("...") { public_key.trim() } else { &format!("ssh-{key}") };
        let (_, account) = section.title.split_once(", of ").expect("it says whose file that is");
        let file = file.replacen('~', &format!("~{account}"), 1);
        self.mail.machine.append(Who::Root, &file, &format!("{options} {key}\n"));
        self.do_what_is_told(section);
    }

    /// When a file is there.
    #[track_caller]
    fn do_what_is_told(&self, section: &Section<'_>) {
        section.told().for_each(|line| {
            self.type_there(line).succeeded();
        });
    }

    /// A file of the mail server's.
    #[track_caller]
    fn put(&self, section: &Section<'_>, file: &str) {
        self.mail.machine.write(Who::Root, file, section.mode().unwrap_or(0o644), section.text);
    }

    /// What `setup dovecot` says.
    #[track_caller]
    fn set_up_dovecot(&self, page: &str) {
        let version = self.type_there("dovecot --version").succeeded().stdout;
        let other = |section: &Section<'_>| {
            let named = section.title.strip_prefix("Dovecot ").and_then(|rest| rest.split_once(": "));
            named.is_some_and(|(named, _)| !version.starts_with(named))
        };
        for section in sections(page).into_iter().filter(|section| !other(section)) {
            match section.file() {
                Some(file) => self.put(&section, file),
                None => section.lines().for_each(|line| self.type_for_mail(line)),
            }
        }
    }

    #[track_caller]
    fn type_for_mail(&self, line: &str) {
        let tells_of_a_user = line.contains("metadata");
        if tells_of_a_user {
            // Too early: the popup that comes next tells of another.
            self.mail.deliver("From: Bob <bob@example.org>\nSubject: Unheard\n");
        }
        self.type_there(line).succeeded();
        if line.contains("sendmail") {
            assert_eq!(self.popup().body.lines().next(), Some("Test"));
        }
    }

    /// Types what may ask something.
    #[track_caller]
    fn type_and_answer(&self, line: &str) -> Finished {
        // As at a terminal: without it they would ask there.
        let answers = "SSH_ASKPASS=/usr/local/bin/zoe-answers SSH_ASKPASS_REQUIRE=force";
        self.type_here(&format!("export {answers}\n{line}"))
    }

    /// Asks until nothing has failed.
    #[track_caller]
    fn see_no_failure(&self, command: &str) {
        let ask = || {
            let said = self.type_here(command);
            let is_well = said.status.success() && !said.stdout.lines().any(|line| line.starts_with("failed"));
            holds(is_well && said.stdout.contains(HOST))
        };
        wait_at_most(EVENTUALLY, command, || self.mail.log(), ask);
    }

    /// Asks until it says so.
    #[track_caller]
    fn see(&self, command: &str, text: &str) {
        let ask = || holds(self.type_here(command).stdout.contains(text));
        wait_at_most(EVENTUALLY, command, String::new, ask);
    }

    /// A mail comes, and is heard of at the desktop.
    #[track_caller]
    fn knocks(&self, subject: &str, header: &str) {
        self.mail.deliver(&format!("From: =?utf-8?Q?J=C3=B6rg_M=C3=BCller?= <joerg@example.org>\n{header}\n"));
        let popup = self.popup();
        assert_eq!((popup.summary.as_str(), popup.body.lines().next()), ("Jörg Müller", Some(subject)));
    }

    /// Everything of the session ends, and nothing is left.
    #[track_caller]
    fn log_out(&self, session: &mut Program) {
        let ours = || {
            let mut found = self.network.desktop_processes();
            found.retain(|process| ["mailknock", "ssh"].contains(&process.name.as_str()));
            found
        };
        let running = ours().into_iter().find(|process| process.name == "mailknock").expect("it runs");
        program::signal(running.pid, Signal::TERM);
        let status = session.wait();
        println!("---- The session ends. What it has written:\n{}", session.log());
        assert!(status.success(), "it ended with {status}");
        assert_eq!(ours(), [], "they are left behind");
    }
}
