//! Where a password comes from, and where it doesn't go.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{TAKEN, newest};
use crate::record::AT_ONCE;
use crate::support::certificate::Pair;
use crate::support::daemon::Daemon;
use crate::support::peer::Peer;
use crate::support::require;
use crate::support::send::Send;
use crate::support::wait::SOON;

const MESSAGE: &[u8] = b"From: b@x\nSubject: s\n\nText.\n";
const AUTH: &str = "[auth]\nuser = \"knock\"\npass = \"s3cret: ü\"\n";

#[test]
fn it_comes_from_a_file_that_an_option_or_a_variable_names() {
    let daemon = Daemon::new().config(&format!("{AUTH}{AT_ONCE}")).start();
    let file = daemon.home().join("auth");
    let name = file.display().to_string();
    let write = |text: &str| fs::write(&file, text).expect("it is ours");
    let by_option = Send::to(daemon.url(), &["--user=me", "--auth-file", &name]);
    let by_variable = Send::to(daemon.url(), &["--user=you"]).env("MAILKNOCK_AUTH_FILE", &name);
    for text in ["knock:s3cret: ü", "knock:s3cret: ü\n", "knock:s3cret: ü\r\nanything\n"] {
        write(text);
        by_option.ends(0, MESSAGE);
        by_variable.ends(0, MESSAGE);
    }
    write("knock:wrong");
    by_option.ends(1, MESSAGE).says("refused with 401");
    for text in ["", "\nknock:s3cret: ü\n", "s3cret"] {
        write(text);
        by_option.ends(1, MESSAGE).says("is not user:password");
    }
    write("knock:s3cret: ü");
    for mode in [0o602, 0o666, 0o660] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("it is ours");
        // A group of the user's own may write; root's is not such a one for others.
        if mode != 0o660 {
            by_option.ends(1, MESSAGE).says("others can write it");
        }
    }
    fs::remove_file(&file).expect("it is ours");
    for send in [&by_option, &by_variable] {
        let sent = send.ends(1, MESSAGE);
        assert!(sent.says("failed to read").stderr.lines().count() == 1 && !sent.stderr.contains("s3cret"), "{sent:?}");
    }
    assert_eq!(newest(&daemon)["subject"], "s");
    daemon.stop();
}

#[test]
fn it_has_no_place_in_an_address() {
    let peer = Peer::answering(TAKEN);
    let url = peer.url().replace("http://", "http://knock:s3cret@");
    let sent = Send::to(&url, &["--user=me"]).ends(1, MESSAGE);
    assert!(sent.says("auth file").stderr.lines().count() == 1 && !sent.stderr.contains("s3cret"), "{sent:?}");
    let sent = Send::new(&["--user=me"]).env("MAILKNOCK_URL", &url).ends(1, MESSAGE);
    assert!(!sent.stderr.contains("s3cret"), "{sent:?}");
    assert_eq!(peer.received(), [""; 0]);
}

#[test]
fn in_clear_it_does_not_leave_this_machine() {
    if !require(&["strace"]) {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::write(path("auth"), "knock:s3cret").expect("it is ours");
    for url in ["http://192.0.2.1:9/", "http://localhost.example.org/", "http://0.0.0.0:9/", "http://[2001:db8::1]/"] {
        let send = Send::to(url, &["--user=me", "--strict", "--auth-file", &path("auth")]);
        let sent = send.inside(&["strace", "-f", "-e", "trace=%network", "-o", &path("trace")]).reads(MESSAGE);
        sent.says("to this machine or over https only").within(Duration::from_secs(5));
        let trace = fs::read_to_string(path("trace")).expect("strace wrote it");
        assert!(sent.code == Some(1) && !trace.contains("socket("), "{trace}");
    }
    let peer = Peer::answering(TAKEN);
    for host in ["127.0.0.1", "localhost", "LOCALHOST", "[::ffff:127.0.0.1]"] {
        let url = peer.url().replace("127.0.0.1", host);
        Send::to(&url, &["--user=me", "--auth-file", &path("auth")]).ends(0, MESSAGE);
    }
    assert!(peer.received().iter().all(|request| request.contains("authorization: Basic a25vY2s6czNjcmV0\r\n")));
}

#[test]
fn over_https_it_reaches_those_with_the_right_certificate() {
    if !require(&["openssl"]) {
        return;
    }
    let recipe = Daemon::new();
    let pair = Pair::new(&recipe, "own", &["IP:127.0.0.1"]);
    recipe.give(&pair.key);
    let daemon = recipe.config(&format!("{AUTH}{}{AT_ONCE}", pair.config(""))).start();
    let auth = daemon.home().join("auth");
    fs::write(&auth, "knock:s3cret: ü").expect("it is ours");
    let send = Send::to(daemon.url(), &["--user=me", "--auth-file"]).args(&[&auth]);
    assert!(daemon.url().starts_with("https://"), "{}", daemon.url());
    send.clone().args(&["--ca-file"]).args(&[&pair.certificate]).ends(0, MESSAGE);
    assert_eq!(newest(&daemon)["subject"], "s");
    send.ends(1, MESSAGE).says("can't be reached");
    daemon.stop();
}

/// An HTTPS server for one connection, and what it was sent.
fn serve_once(pair: &Pair) -> (u16, JoinHandle<String>) {
    let certificates = CertificateDer::pem_file_iter(&pair.certificate).expect("openssl wrote it");
    let certificates = certificates.collect::<Result<Vec<_>, _>>().expect("openssl wrote it");
    let key = PrivateKeyDer::from_pem_file(&pair.key).expect("openssl wrote it");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("these are known")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .expect("they belong together");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let served = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("it comes");
        stream.set_read_timeout(Some(SOON)).expect("the bound isn't zero");
        let connection = ServerConnection::new(Arc::new(config)).expect("a right configuration");
        let mut sent = Vec::new();
        // Until it goes away, in whatever manner.
        let _ = StreamOwned::new(connection, stream).read_to_end(&mut sent);
        String::from_utf8_lossy(&sent).into_owned()
    });
    (port, served)
}

#[test]
fn over_https_it_reaches_nobody_else() {
    if !require(&["openssl"]) {
        return;
    }
    let home = Daemon::new();
    let pair = Pair::new(&home, "own", &["IP:127.0.0.1", "DNS:mail.example.org"]);
    let other = Pair::new(&home, "other", &["IP:127.0.0.1", "DNS:localhost"]);
    let auth = home.home().join("auth");
    fs::write(&auth, "knock:s3cret").expect("it is ours");
    let empty = home.home().join("empty.pem");
    fs::write(&empty, "").expect("it is ours");
    let sent = |host: &str, trusted: Option<&std::path::Path>| {
        let (port, served) = serve_once(&pair);
        let send = Send::to(&format!("https://{host}:{port}/"), &["--user=me", "--strict", "--deadline=500ms"]);
        let mut send = send.args(&["--auth-file"]).args(&[&auth]);
        if let Some(trusted) = trusted {
            send = send.args(&["--ca-file"]).args(&[trusted]);
        }
        let sent = send.reads(MESSAGE);
        assert_eq!(sent.code, Some(1), "{sent:?}");
        (sent, served.join().expect("it doesn't panic"))
    };
    // It is heard where all is right, so that silence means something.
    let (_, request) = sent("127.0.0.1", Some(&pair.certificate));
    assert!(request.contains("authorization: Basic a25vY2s6czNjcmV0\r\n") && request.contains("\"me\""), "{request}");
    for (host, trusted, says) in [
        ("127.0.0.1", None, "certificate"),
        ("127.0.0.1", Some(&other.certificate), "certificate"),
        ("127.0.0.1", Some(&empty), "no root"),
        ("localhost", Some(&pair.certificate), "certificate"),
    ] {
        let (sent, request) = sent(host, trusted.map(std::path::PathBuf::as_path));
        assert_eq!(request, "", "{host}, {trusted:?}");
        sent.says(says);
    }
}

#[test]
fn proxies_are_not_asked() {
    let (peer, proxy) = (Peer::answering(TAKEN), Peer::answering(TAKEN));
    let names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let send = names.iter().fold(Send::to(&peer.url(), &["--user=me"]), |send, name| send.env(name, proxy.url()));
    send.ends(0, MESSAGE);
    assert_eq!((peer.received().len(), proxy.received().len()), (2, 0));
}
