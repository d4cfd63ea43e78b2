//! The two machines of the first day, as they are before anybody has heard of Mailknock.

use std::path::Path;

use crate::support::bus;
use crate::support::desktop::Desktop;
use crate::support::dovecot::deliver_at;
use crate::support::machine::{Machine, RUNTIME_DIRECTORY, Who};
use crate::support::network::{MAIL, Network};
use crate::support::program::Program;
use crate::support::wait::{EVENTUALLY, holds, wait_at_most, wait_long};

/// What the mail server is called by those who use it.
pub const HOST: &str = "mail.example.org";
/// Who has a mailbox there, as in the examples.
const MAILBOX: &str = "alice";
/// Who has the desktop.
const USER: &str = "zoe";
pub const ZOE: Who<'static> = Who::User(USER);

/// Names lead to the mail server, as they would by DNS.
fn name(machine: &Machine) {
    machine.append(Who::Root, "/etc/hosts", &format!("{MAIL} {HOST}\n"));
}

/// A mail server with Debian's own settings.
pub struct MailServer {
    pub machine: Machine,
}

impl MailServer {
    #[track_caller]
    pub fn start(network: &Network) -> MailServer {
        let machine = Machine::start("mail", &network.mail());
        name(&machine);
        for line in [
            // As they come with the packages, whatever this system's are like.
            "cp /usr/share/openssh/sshd_config /etc/ssh/ && rm -rf /etc/ssh/sshd_config.d/* /etc/ssh/ssh_host_*",
            "rm -rf /etc/dovecot/conf.d && cp -r /usr/share/dovecot/dovecot.conf /usr/share/dovecot/conf.d /etc/dovecot",
            // There is no syslog to look into.
            "echo 'log_path = /var/log/dovecot.log' >/etc/dovecot/local.conf",
            &format!("useradd --create-home {MAILBOX}"),
            "ssh-keygen -A && mkdir /run/sshd && /usr/sbin/sshd -E /var/log/sshd.log",
            "dovecot",
        ] {
            machine.run(Who::Root, line).succeeded();
        }
        // There is no systemd, which would have started sshd and dovecot; what it would do is this.
        let systemctl = "#!/bin/sh\n[ \"$*\" = 'reload ssh' ] && kill -HUP \"$(cat /run/sshd.pid)\"\n";
        machine.write(Who::Root, "/usr/local/sbin/systemctl", 0o755, systemctl);
        // Nor another mail system than Dovecot.
        let sendmail = "#!/bin/sh\nexec /usr/lib/dovecot/dovecot-lda -d \"$1\"\n";
        machine.write(Who::Root, "/usr/local/sbin/sendmail", 0o755, sendmail);
        let server = MailServer { machine };
        wait_long("sshd and Dovecot to listen", || {
            holds(["/run/sshd.pid", "/run/dovecot/lmtp"].iter().all(|path| server.machine.path(path).exists()))
        });
        server
    }

    /// A mail comes for its user.
    #[track_caller]
    pub fn deliver(&self, headers: &str) {
        println!("---- A mail comes for {MAILBOX}:\n{headers}");
        let message = format!("{headers}\nBis bald.\n");
        let delivery = || deliver_at(&self.machine.path("/run/dovecot/lmtp"), MAILBOX, message.as_bytes());
        // Right after a reload nobody may answer.
        wait_at_most(EVENTUALLY, "Dovecot to take the mail", || self.log(), || delivery().ok());
    }

    /// What sshd and Dovecot say.
    pub fn log(&self) -> String {
        let read = |path| std::fs::read_to_string(self.machine.path(path)).unwrap_or_default();
        read("/var/log/sshd.log") + &read("/var/log/dovecot.log")
    }
}

/// A machine with a session of somebody whose home has a name like few others.
pub struct Desk {
    // Before the machine, by whose bus it is reached.
    pub desktop: Desktop,
    _bus: Program,
    pub machine: Machine,
}

impl Desk {
    #[track_caller]
    pub fn start(network: &Network) -> Desk {
        let program = Path::new(env!("CARGO_BIN_EXE_mailknock"));
        let machine = Machine::start_with("desk", &network.desktop(), Some(program));
        name(&machine);
        machine.add_user(USER, "/home/zoë möller");
        // It starts nothing by itself.
        let socket = format!("{RUNTIME_DIRECTORY}/bus");
        let text = bus::configuration(Path::new(&socket), Path::new("/nonexistent"));
        machine.write(Who::Root, "/run/bus.conf", 0o644, &text);
        let bus = machine.spawn(ZOE, "dbus-daemon --config-file=/run/bus.conf --nofork --nopidfile --nosyslog");
        let seen_from_here = machine.path(&socket);
        wait_at_most(EVENTUALLY, "the session's bus", || bus.log(), || holds(seen_from_here.exists()));
        let desktop = Desktop::at(format!("unix:path={}", seen_from_here.display())).start();
        Desk { desktop, _bus: bus, machine }
    }
}
