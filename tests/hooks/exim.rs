//! Exim, with a configuration, a spool and a log of its own.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::installed::{Installed, give};
use super::{Server, mail_arrives_whatever_the_desktop_does};
use crate::support::{require, skip};

/// Whose mail it is, and who runs Exim.
const USER: &str = "nobody";

struct Exim<'a> {
    installed: &'a Installed,
    configuration: PathBuf,
}

impl<'a> Exim<'a> {
    fn new(installed: &'a Installed) -> Exim<'a> {
        let top = installed.path("").display().to_string();
        let [router, transport] =
            ["The router", "The transport"].map(|heading| installed.section("exim/mailknock.conf", heading));
        let text = format!(
            "primary_hostname = mail.example.org
spool_directory = {top}spool
log_file_path = {top}spool/log-%s
domainlist local_domains = example.org
exim_user = {USER}
exim_group = nogroup
never_users =
keep_environment =
# It can't become another user any more, since the configuration isn't the system's.
deliver_drop_privilege
begin routers
{router}
local_user:
  driver = accept
  domains = +local_domains
  transport = local_delivery
begin transports
{transport}
local_delivery:
  driver = appendfile
  file = {top}mail/mbox
  user = {USER}
  group = nogroup
"
        );
        for name in ["spool", "mail"] {
            std::fs::create_dir(installed.path(name)).expect("the directory is ours");
        }
        give(&installed.path("spool"));
        give(&installed.path("mail"));
        let configuration = installed.path("exim.conf");
        std::fs::write(&configuration, text).expect("the directory is ours");
        Exim { installed, configuration }
    }
}

impl Server for Exim<'_> {
    fn deliver(&self, message: &[u8]) {
        let mut command = Command::new("exim4");
        // In the foreground: its end is that of the delivery.
        command.arg("-C").arg(&self.configuration).args(["-odf", "-oi", "-f", "sender@example.org"]);
        command.arg(format!("{USER}@example.org")).env_clear().env("PATH", "/usr/sbin:/usr/bin:/bin").current_dir("/");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("exim4");
        child.stdin.take().expect("it is a pipe").write_all(message).expect("it reads all");
        let output = child.wait_with_output().expect("it is our child");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.is_empty(), "{told}\n{}", self.log());
        assert!(!self.log().contains("defer") && !self.log().contains("failed"), "{}", self.log());
    }

    fn mailbox(&self) -> String {
        std::fs::read_to_string(self.installed.path("mail/mbox")).unwrap_or_default()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.installed.path("spool/log-main")).unwrap_or_default()
    }
}

#[test]
fn exim_delivers_and_tells() {
    if !require(&["exim4"]) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        let _ = skip("only root may deliver with a configuration of its own");
        return;
    }
    let installed = Installed::new();
    let exim = Exim::new(&installed);
    mail_arrives_whatever_the_desktop_does(&installed, &exim, &format!("{USER}@example.org"), None);
}
