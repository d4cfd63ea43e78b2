//! Cyrus, whose notifyd starts our script for each event.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::installed::{Installed, give};
use super::{Server, listener, mail_arrives_whatever_the_desktop_does, wait_event};
use crate::support::program::{Program, install_script};
use crate::support::wait::{EVENTUALLY, wait_at_most};
use crate::support::{find_program, require};

const PROGRAMS: [&str; 4] = ["cyrmaster", "lmtpd", "notifyd", "ctl_cyrusdb"];

/// The master, which starts the services that deliver and notify. It has no IMAP service.
struct Cyrus<'a> {
    // Before the directory, whose files it has open.
    master: Program,
    installed: &'a Installed,
}

impl<'a> Cyrus<'a> {
    fn start(installed: &'a Installed) -> Cyrus<'a> {
        let top = installed.path("home").display().to_string();
        let id = Command::new("id").arg("-un").output().expect("every system has `id`");
        let own = String::from_utf8_lossy(&id.stdout).trim().to_owned();
        let user = if own == "root" { "nobody" } else { &own };
        for name in ["conf", "conf/socket", "conf/db", "conf/proc", "conf/lock", "spool"] {
            let path = installed.home(name);
            std::fs::create_dir(&path).expect("the directory is ours");
            give(&path);
        }
        let basic = format!(
            "configdirectory: {top}/conf
partition-default: {top}/spool
defaultpartition: default
cyrus_user: {user}
lmtpsocket: {top}/conf/socket/lmtp
notifysocket: {top}/conf/socket/notify
unixhierarchysep: yes
autocreate_post: yes
autocreate_quota: 0
"
        );
        let imapd = installed.write_private("imapd.conf", &(basic + &installed.snippet("cyrus/imapd.conf")));
        let script = installed.path("bin/mailknock-hook");
        install_script(&installed.snippet("cyrus/mailknock-hook"), &script);
        // Each of its programs is told of the configuration, and its sockets are below our directory.
        let ours = |text: String| {
            let own_socket = text.replace("/run/cyrus/socket", &format!("{top}/conf/socket"));
            own_socket.replace("notifyd\"", &format!("notifyd -C {}\"", imapd.display()))
        };
        let notify = ours(installed.snippet("cyrus/cyrus.conf")).replace("SERVICES {\n", "");
        let imapd = imapd.display();
        let start = format!("START {{\n recover cmd=\"ctl_cyrusdb -C {imapd} -r\"\n}}\n");
        let lmtp =
            format!("SERVICES {{\n lmtp cmd=\"lmtpd -C {imapd} -a\" listen=\"{top}/conf/socket/lmtp\" prefork=1\n");
        let services = installed.write_private("cyrus.conf", &format!("{start}{lmtp}{notify}EVENTS {{\n}}\n"));
        let master = find_program("cyrmaster").expect("the test asked for it").display().to_string();
        let mut command = installed.command(&master);
        command.arg("-C").arg(installed.home("imapd.conf")).arg("-M").arg(services);
        // At its end it ends all of its process group.
        command.arg("-p").arg(installed.home("pid")).process_group(0);
        let master = Program::start(&mut command, &installed.path("log"));
        let cyrus = Cyrus { master, installed };
        let ready = || cyrus.connect().ok();
        wait_at_most(EVENTUALLY, "Cyrus to take mail", || cyrus.log(), ready);
        cyrus
    }

    fn connect(&self) -> std::io::Result<BufReader<UnixStream>> {
        let stream = UnixStream::connect(self.installed.home("conf/socket/lmtp"))?;
        stream.set_read_timeout(Some(EVENTUALLY))?;
        let mut stream = BufReader::new(stream);
        answer(&mut stream)?;
        Ok(stream)
    }

    fn lmtp(&self, message: &[u8]) -> std::io::Result<()> {
        let mut stream = self.connect()?;
        let text = String::from_utf8_lossy(message).replace('\n', "\r\n");
        let end = format!("{text}.\r\n");
        for line in ["LHLO tests\r\n", "MAIL FROM:<s@x>\r\n", "RCPT TO:<alice>\r\n", "DATA\r\n", &end, "QUIT\r\n"] {
            stream.get_mut().write_all(line.as_bytes())?;
            answer(&mut stream)?;
        }
        Ok(())
    }
}

fn answer(stream: &mut BufReader<UnixStream>) -> std::io::Result<()> {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match (line.as_bytes().first(), line.as_bytes().get(3)) {
            (Some(b'2' | b'3'), Some(b'-')) => {}
            (Some(b'2' | b'3'), Some(_)) => return Ok(()),
            _ => return Err(std::io::Error::other(format!("the server says `{}`", line.trim()))),
        }
    }
}

impl Server for Cyrus<'_> {
    const SNIPPET: Option<&'static str> = None;

    fn deliver(&self, message: &[u8]) {
        if let Err(error) = self.lmtp(message) {
            panic!("failed to deliver: {error}\n{}", self.log());
        }
    }

    fn mailbox(&self) -> String {
        // One file for each message.
        let mut directories = vec![self.installed.home("spool")];
        let mut text = String::new();
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                let path = entry.path();
                match path.is_dir() {
                    true => directories.push(path),
                    false if path.extension().is_none() => {}
                    false => text += &String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()),
                }
            }
        }
        text
    }

    fn log(&self) -> String {
        self.master.log()
    }
}

#[test]
fn cyrus_delivers_and_tells() {
    if !require(&PROGRAMS) {
        return;
    }
    let installed = Installed::new();
    let cyrus = Cyrus::start(&installed);
    mail_arrives_whatever_the_desktop_does(&installed, &cyrus, "alice", Some("INBOX"));
}

#[test]
fn its_script_tells_of_what_else_happens() {
    let _place = crate::support::send::place();
    let (daemon, installed) = (listener(), Installed::new());
    installed.sends_to(daemon.url());
    // As Cyrus 3.6 says it, but for the subject.
    let told = r#"{"event":"MessageRead","timestamp":"2026-11-21T18:26:01.401Z","uri":"imap://vm/user/alice/A.B;UIDVALIDITY=1795285562",
        "vnd.cmu.unseenMessages":1,"uidset":"7","pid":8174,"user":"alice","serverFQDN":"vm",
        "vnd.cmu.envelope":"(NIL \"read\" NIL NIL NIL NIL NIL NIL NIL NIL)"}"#;
    let mut command = installed.command("/bin/sh");
    command.args(["-c", &installed.snippet("cyrus/mailknock-hook"), "sh"]);
    command.args(["-c", "EVENT", "-p", "", "-u", "", "-m", "", "-f"]).stdin(Stdio::piped());
    let mut child = command.spawn().expect("there is a shell");
    child.stdin.take().expect("it is a pipe").write_all(told.as_bytes()).expect("it reads all");
    assert!(child.wait().expect("it is our child").success());
    let event = wait_event(&daemon, "read", String::new);
    let numbers = ["uid", "uid_validity", "unseen"].map(|key| event[key].as_u64());
    assert_eq!(numbers, [Some(7), Some(1_795_285_562), Some(1)]);
    let texts = ["event", "user", "folder"].map(|key| event[key].as_str());
    assert_eq!(texts, [Some("MessageRead"), Some("alice"), Some("A.B")]);
    daemon.stop();
}
