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
        let pair = Pair {
            certificate: daemon.home().join(format!("{name}.crt")),
            key: daemon.home().join(format!("{name}.key")),
        };
        let mut command = request(&pair, names);
        run(command.args(["-x509", "-days", "2", "-out"]).arg(&pair.certificate));
        pair
    }

    /// One whose time is over.
    #[track_caller]
    pub fn expired(daemon: &Daemon, name: &str, names: &[&str]) -> Pair {
        let pair = Self::new(daemon, name, names);
        // `req` and `x509` make certificates that begin now; only `ca`, which keeps books, makes older ones.
        let books = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: &str| {
            std::fs::write(books.path().join(name), text).expect("the directory is ours");
        };
        write("index.txt", "");
        write("serial", "01\n");
        write("ca.cnf", BOOKS);
        run(request(&pair, names).arg("-new").arg("-out").arg(books.path().join("request")));
        let mut command = Command::new("openssl");
        command.current_dir(books.path()).args(["ca", "-config", "ca.cnf", "-batch", "-notext", "-selfsign"]);
        command.args(["-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-in", "request", "-keyfile"]);
        run(command.arg(&pair.key).arg("-out").arg(&pair.certificate));
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

const BOOKS: &str = "[ca]\ndefault_ca = books\n[books]\ndatabase = index.txt\nserial = serial\nnew_certs_dir = .\n\
    default_md = sha256\npolicy = any\ncopy_extensions = copy\n[any]\ncommonName = supplied\n";

/// `openssl req` for these names, with a new key.
fn request(pair: &Pair, names: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    let names = format!("subjectAltName={}", names.join(","));
    command.args(["req", "-nodes", "-subj", "/CN=test", "-addext", &names]);
    command.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout"]).arg(&pair.key);
    command
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
