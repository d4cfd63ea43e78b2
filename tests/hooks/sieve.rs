//! Dovecot's Sieve, which starts programs for mail.

use super::installed::Installed;
use super::{Server, mail_arrives_whatever_the_desktop_does};
use crate::support::dovecot::Dovecot;

struct Sieve(Dovecot);

impl Sieve {
    fn start(installed: &Installed) -> Sieve {
        let script = installed.path("mailknock.sieve");
        std::fs::write(&script, installed.snippet("sieve/mailknock.sieve")).expect("the directory is ours");
        let settings = installed.snippet("sieve/2.3/sieve.conf");
        let settings = settings.replace("/etc/dovecot/mailknock.sieve", &script.display().to_string());
        Sieve(Dovecot::start_2_3(&settings))
    }
}

impl Server for Sieve {
    fn deliver(&self, message: &[u8]) {
        self.0.deliver("alice", message);
    }

    fn mailbox(&self) -> String {
        self.0.doveadm(&["fetch", "-u", "alice", "hdr", "mailbox", "INBOX", "all"])
    }

    fn log(&self) -> String {
        self.0.log()
    }
}

#[test]
fn sieve_delivers_and_tells() {
    if !Dovecot::sieve_available() {
        return;
    }
    let installed = Installed::new();
    let sieve = Sieve::start(&installed);
    mail_arrives_whatever_the_desktop_does(&installed, &sieve, "alice", Some("INBOX"));
}
