//! Certificates, each signed with its own key, and a client that believes one of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::daemon::Daemon;

/// A certificate and its key, in two files of the program's home.
#[derive(Clone, Debug)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Pair {
    /// For names like `IP:127.0.0.1` or `DNS:mail.example.org`, and a few days.
    #[track_caller]
    pub fn new(daemon: &Daemon, name: &str, names: &[&str]) -> Pair {
        Self::valid_for(daemon, name, names, 2)
    }

    /// Valid for so many days from now; with a negative number it has expired.
    #[track_caller]
    pub fn valid_for(daemon: &Daemon, name: &str, names: &[&str], days: i32) -> Pair {
        let pair = Pair {
            certificate: daemon.home().join(format!("{name}.crt")),
            key: daemon.home().join(format!("{name}.key")),
        };
        let names = format!("subjectAltName={}", names.join(","));
        let mut command = Command::new("openssl");
        // `req` makes none that has expired; `x509` does.
        command.args(["req", "-x509", "-nodes", "-subj", "/CN=test", "-addext", &names, "-days"]);
        command.arg(days.max(1).to_string()).args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        run(command.arg("-out").arg(&pair.certificate).arg("-keyout").arg(&pair.key));
        if days < 1 {
            let mut command = Command::new("openssl");
            command.args(["x509", "-days", &days.to_string(), "-copy_extensions", "copyall", "-in"]);
            command.arg(&pair.certificate).arg("-signkey").arg(&pair.key).arg("-out").arg(&pair.certificate);
            run(&mut command);
        }
        pair
    }

    /// IMSErious' example with these files.
    pub fn in_place_of_the_examples(&self, example: &str) -> String {
        let [certificate, key] = ["/etc/ssl/foo.example.com.crt", "/etc/ssl/foo.example.com.key"];
        assert!(example.contains(certificate) && example.contains(key), "the example has changed");
        let replaced = example.replace(certificate, &self.certificate.display().to_string());
        replaced.replace(key, &self.key.display().to_string())
    }

    /// The `[tls]` of a configuration.
    pub fn config(&self, more: &str) -> String {
        format!("[tls]\ncert = \"{}\"\nkey = \"{}\"\n{more}", self.certificate.display(), self.key.display())
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The status that a JSON body is answered over HTTPS by a server whose certificate is this one; `000` by none such.
pub fn push(url: &str, certificate: &Path, body: &str, more: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["-q", "--silent", "--noproxy", "*", "--max-time", "10", "-X", "PUT", "--cacert"]).arg(certificate);
    command.args(["--output", "/dev/null", "--write-out", "%{http_code}", "-H", "Content-Type: application/json"]);
    let output = command.args(["-d", body]).args(more).arg(url).stdin(Stdio::null()).output();
    String::from_utf8_lossy(&output.expect("curl is installed").stdout).into_owned()
}
