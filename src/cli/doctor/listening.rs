//! Whether what is listened on answers; or, where nothing runs, could be listened on.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::trial::Trial;
use crate::client;
use crate::config::{Address, Config};
use crate::finding::Finding;
use crate::listener::{Identity, connect, is_taken};
use crate::paths::{display, is_unsafe};
use crate::schema::StatusJson;

const NAME: &str = "listener";
/// It is on this machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// With a `trial`, where that `sends`, each takes a test event as well.
pub async fn answers(
    status: &StatusJson,
    config: Option<&Config>,
    trial: Option<&Trial<'_>>,
    sends: bool,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for url in &status.listening {
        found.push(asked(url, config, trial, sends).await);
    }
    if found.is_empty() {
        found.push(Finding::failed(NAME, "the running program listens to nothing").advise("see its problems above"));
    }
    found
}

async fn asked(url: &str, config: Option<&Config>, trial: Option<&Trial<'_>>, sends: bool) -> Finding {
    let Some((scheme, address)) = parse(url) else {
        return Finding::unknown(NAME, format!("{url}: that is no address"));
    };
    let tls = config.and_then(|config| config.tls.as_ref());
    // Over a socket the scheme isn't told.
    let identity = match (scheme, tls) {
        (Some("http"), _) | (None, None) => None,
        (_, Some(tls)) => match Identity::load(tls) {
            Ok(identity) => Some(identity),
            Err(problem) => return Finding::failed(NAME, format!("{url}: {problem}")),
        },
        (_, None) => return Finding::unknown(NAME, format!("{url}: its certificate isn't in the configuration")),
    };
    let certificate = identity.map(|identity| identity.certificate());
    // Without it the running program would write down that somebody has none.
    let login = trial.and_then(Trial::login);
    let answer =
        async { client::ask(connect(&address.within()).await?, certificate, "/healthz", login.as_deref()).await };
    let answer = timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match answer.map(|answer| client::status(&answer)) {
        Ok(Some(204 | 401)) => match trial.filter(|_| sends) {
            None => Finding::ok(NAME, format!("{url}: answers")),
            Some(trial) => match trial.arrives(&address.within()).await {
                Ok(arrived) => Finding::ok(NAME, format!("{url}: answers; {arrived}")),
                Err(fault) => fault.at(url).finding(NAME),
            },
        },
        Ok(Some(403)) => Finding::ok(NAME, format!("{url}: answers, and turns this machine away, as `allow` says")),
        Ok(Some(status)) => Finding::failed(NAME, format!("{url}: answers {status}")),
        Ok(None) => Finding::failed(NAME, format!("{url}: what answers is no web server")),
        Err(error) => Finding::failed(NAME, format!("{url}: {error}")).advise("restart Mailknock"),
    }
}

/// The scheme, where it is told, and the address of `http://127.0.0.1:12525/notify` or `unix:/PATH`.
fn parse(url: &str) -> Option<(Option<&str>, Address)> {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let address = rest.split('/').next()?.parse().ok()?;
            Some((Some(scheme), Address::Tcp(address)))
        }
        None => Some((None, Address::parse(url).ok()?)),
    }
}

/// Takes each address for a moment.
pub fn could_be_bound(config: &Config) -> Vec<Finding> {
    let look = |address: &Address| {
        let free = match address {
            Address::Tcp(address) => TcpListener::bind(address).map(drop),
            Address::Unix(path) => socket_is_free(path),
        };
        match free {
            Ok(()) => Finding::ok(NAME, format!("{address}: is free")),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Finding::failed(NAME, format!("{address}: another program listens there"))
                    .advise("end that program, or choose another address as `listen`")
            }
            Err(error) => Finding::failed(NAME, format!("{address}: {error}")).advise("choose another `listen`"),
        }
    };
    config.listen.iter().map(look).collect()
}

/// Looks only: making it would leave a directory behind.
fn socket_is_free(path: &Path) -> io::Result<()> {
    if is_taken(path) {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    match std::fs::metadata(directory) {
        Ok(found) => match is_unsafe(&found) {
            Some(why) => Err(io::Error::other(format!("{} {why}", display(directory)))),
            None => Ok(()),
        },
        // It will be made.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::State;

    #[test]
    fn what_the_status_says_is_an_address() {
        let tcp = |text: &str| Address::Tcp(text.parse().unwrap());
        assert_eq!(parse("https://[::1]:7/x"), Some((Some("https"), tcp("[::1]:7"))));
        assert_eq!(parse("http://127.0.0.1:7/"), Some((Some("http"), tcp("127.0.0.1:7"))));
        // Where there are no such sockets it is none.
        assert_eq!(parse("unix:/a b"), cfg!(unix).then(|| (None, Address::Unix("/a b".into()))));
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn an_address_in_use_is_another_programs() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = |address: &str| Config::parse("f", &format!("listen = \"{address}\"")).0.unwrap();
        let found = could_be_bound(&config(&taken.local_addr().unwrap().to_string()));
        assert_eq!(found[0].state, State::Failed);
        assert!(found[0].said.ends_with("another program listens there"), "{found:?}");
        assert_eq!(could_be_bound(&config("127.0.0.1:0"))[0].state, State::Ok);
    }

    #[cfg(unix)]
    #[test]
    fn a_sockets_directory_is_looked_at_and_not_made() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("below");
        assert!(socket_is_free(&below.join("s")).is_ok() && !below.exists());
        let taken = directory.path().join("taken");
        let _listener = std::os::unix::net::UnixListener::bind(&taken).unwrap();
        assert_eq!(socket_is_free(&taken).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
        assert!(socket_is_free(&below).unwrap_err().to_string().contains("others can write it"));
    }
}
