//! A small blocking HTTP/1.1 client with one deadline for everything: looking the name up, connecting, TLS, sending,
//! the answer. For `send` and for our own requests to ourselves; those over a connection that is open already don't
//! block. It follows no redirect and knows no proxy.

mod trust;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// More of an answer is not read: the first line says it all, and the rest why.
const MAX_ANSWER: usize = 16 * 1024;

/// As good as none.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The host that our own listener is asked for.
const OURSELVES: &str = "127.0.0.1";

/// Where a listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    is_https: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// With its query.
    path: String,
}

impl Url {
    /// `http://HOST[:PORT]/PATH` or `https://…`. A password in it is an error: whoever lists processes would see it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err("it begins with http:// or https://".to_owned()),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("it holds a user or password, which belong into the auth file".to_owned());
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(literal) => {
                let (host, port) = literal.split_once(']').ok_or("a `]` is missing")?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| format!("`{host}` is no IPv6 address"))?;
                (host, port.strip_prefix(':').or(port.is_empty().then_some("")).ok_or("what is behind `]`?")?)
            }
            None => authority.split_once(':').unwrap_or((authority, "")),
        };
        let port = match port {
            "" if is_https => 443,
            "" => 80,
            port => port.parse().map_err(|_| format!("`{port}` is no port"))?,
        };
        let is_clean = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        if host.is_empty() || !is_clean(host) || !is_clean(path) || path.contains('#') {
            return Err("it is no address of a web server".to_owned());
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { is_https, host: host.to_owned(), port, path })
    }

    pub fn of(address: SocketAddr, path: &str) -> Self {
        Self { is_https: false, host: address.ip().to_string(), port: address.port(), path: path.to_owned() }
    }

    /// Whether nobody on the way can read what is sent.
    pub fn is_private(&self) -> bool {
        let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
        self.is_https || self.host.eq_ignore_ascii_case("localhost") || self.host.parse().is_ok_and(is_loopback)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "{scheme}://{host}:{}{}", self.port, self.path)
    }
}

/// What a listener answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Its text, as it came.
    pub text: String,
}

/// Sends a JSON body with `PUT`. `credentials` are `user:password`; `roots` are those certificates to trust, as PEM, in
/// place of the system's.
pub fn put_json(
    url: &Url,
    credentials: Option<&str>,
    roots: Option<&[u8]>,
    body: &[u8],
    deadline: Duration,
) -> io::Result<Answer> {
    let end = Instant::now() + deadline.min(LONGEST);
    let mut stream = Timed { stream: connect(url, end)?, end };
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    let request = put(&format!("{host}:{}", url.port), &url.path, credentials, body);
    match url.is_https {
        false => exchange(&mut stream, &request),
        true => {
            let mut tls = tls(&url.host, roots)?;
            exchange(&mut rustls::Stream::new(&mut tls, &mut stream), &request)
        }
    }
}

/// Asks for a path over a connection that is open already, and gives the first line of the answer and maybe more; empty
/// where none came. With a `certificate` it speaks TLS, to whoever shows just that one. It knows no deadline.
pub async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    certificate: Option<CertificateDer<'static>>,
    path: &str,
    credentials: Option<&str>,
) -> io::Result<Vec<u8>> {
    let login = login(credentials);
    let request = format!("GET {path} HTTP/1.1\r\nhost: {OURSELVES}\r\n{login}connection: close\r\n\r\n");
    over(stream, certificate, request.as_bytes(), |answer| answer.contains(&b'\n')).await
}

/// Sends a JSON body as [`put_json`] does, over a connection as [`ask`] takes one. It knows no deadline.
pub async fn tell(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    certificate: Option<CertificateDer<'static>>,
    path: &str,
    credentials: Option<&str>,
    body: &[u8],
) -> io::Result<Answer> {
    let request = put(OURSELVES, path, credentials, body);
    read(&over(stream, certificate, &request, is_complete).await?)
}

async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    certificate: Option<CertificateDer<'static>>,
    request: &[u8],
    is_enough: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    let Some(certificate) = certificate else { return plainly(stream, request, is_enough).await };
    let connector = tokio_rustls::TlsConnector::from(Arc::new(trust::pinned(certificate)?));
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    plainly(connector.connect(name, stream).await?, request, is_enough).await
}

async fn plainly(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
    is_enough: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    let mut chunk = [0; 512];
    while answer.len() < MAX_ANSWER && !is_enough(&answer) {
        match stream.read(&mut chunk).await {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            // What there is may do, as below.
            Err(_) if status(&answer).is_some() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// A request with a JSON body.
fn put(host: &str, path: &str, credentials: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut head = format!("PUT {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n");
    head += &login(credentials);
    head += &format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// The line of a head that says who asks.
fn login(credentials: Option<&str>) -> String {
    let line = |credentials| format!("authorization: Basic {}\r\n", STANDARD.encode(credentials));
    credentials.map_or_else(String::new, line)
}

fn exchange(stream: &mut (impl Read + Write), request: &[u8]) -> io::Result<Answer> {
    let sent = stream.write_all(request).and_then(|()| stream.flush());
    let mut answer = Vec::new();
    let mut chunk = [0; 2048];
    while answer.len() < MAX_ANSWER && !is_complete(&answer) {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            // What there is may do: some close without a word of goodbye.
            Err(_) if status(&answer).is_some() => break,
            Err(error) => return sent.and(Err(error)),
        }
    }
    read(&answer)
}

fn read(answer: &[u8]) -> io::Result<Answer> {
    let status = status(answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))?;
    let text = String::from_utf8_lossy(&answer[body(answer).unwrap_or(answer.len())..]).into_owned();
    Ok(Answer { status, text })
}

/// Where the body of an answer begins.
fn body(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|end| end == b"\r\n\r\n").map(|end| end + 4)
}

/// Whether the length that was announced is there: some servers keep the connection open, asked or not.
fn is_complete(answer: &[u8]) -> bool {
    let Some(body) = body(answer) else { return false };
    let head = String::from_utf8_lossy(&answer[..body]);
    let lengths = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths
        .next()
        .and_then(|(_, length)| length.trim().parse().ok())
        .is_some_and(|length: usize| answer.len() - body >= length)
}

fn connect(url: &Url, end: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("no address is known for `{}`", url.host));
    for address in addresses(&url.host, url.port, end)? {
        match TcpStream::connect_timeout(&address, left(end)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn addresses(host: &str, port: u16, end: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    // Looking up knows no deadline of ours. It ends when the resolver gives up, or with us.
    let (tell, told) = mpsc::channel();
    let host = host.to_owned();
    std::thread::spawn(move || {
        let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        // Nobody listens after the deadline.
        let _ = tell.send(found);
    });
    told.recv_timeout(left(end)?).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn tls(host: &str, roots: Option<&[u8]>) -> io::Result<ClientConnection> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    ClientConnection::new(Arc::new(trust::config(roots)?), name).map_err(io::Error::other)
}

fn left(end: Instant) -> io::Result<Duration> {
    match end.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// Reads and writes until the deadline, however small the pieces are.
struct Timed {
    stream: TcpStream,
    end: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.end)?))?;
        self.stream.read(buffer).map_err(in_time)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.end)?))?;
        self.stream.write(bytes).map_err(in_time)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Unix says of a socket whose time is up that it would block.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

/// The status of `HTTP/1.x NNN …`, once that line is there to its end.
pub fn status(answer: &[u8]) -> Option<u16> {
    let line = &answer[..answer.iter().position(|byte| *byte == b'\n')?];
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_status_is_read_from_the_first_line() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 503\n"), Some(503));
        assert_eq!(status(b"HTTP/1.1 20"), None);
        assert_eq!(status(b"SSH-2.0-OpenSSH\r\n"), None);
        assert_eq!(status(b""), None);
    }

    #[test]
    fn an_answer_is_complete_with_the_bytes_it_announced() {
        let head = "HTTP/1.1 200 OK\r\nContent-LENGTH: 2\r\n\r\n";
        assert!(!is_complete(&head.as_bytes()[..head.len() - 1]) && !is_complete(head.as_bytes()));
        assert!(!is_complete(format!("{head}x").as_bytes()) && is_complete(format!("{head}xy").as_bytes()));
        assert!(!is_complete(b"HTTP/1.1 200 OK\r\n\r\n"), "its end is that of the connection");
    }

    #[test]
    fn urls_are_of_listeners_and_hold_no_secret() {
        let check = |text: &str, expected: &str| assert_eq!(Url::parse(text).unwrap().to_string(), expected);
        check("http://127.0.0.1:12525/notify", "http://127.0.0.1:12525/notify");
        check("HTTPS://mail.example.org", "https://mail.example.org:443/");
        check("http://[::1]:7?a=b", "http://[::1]:7/?a=b");
        check("http://[::1]/x", "http://[::1]:80/x");
        for wrong in [
            "",
            "127.0.0.1:12525",
            "ftp://x/",
            "http://",
            "http://:80/",
            "http://a:b@127.0.0.1/",
            "http://a b/",
            "http://x:99999/",
            "http://[::1/",
            "http://[x]:1/",
            "http://[::1]1/",
            "http://x/#y",
            "http://x/\r\nHost: y",
        ] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
        let private = |text: &str| Url::parse(text).unwrap().is_private();
        assert!(private("http://127.1.2.3/") && private("http://[::1]/") && private("https://x/"));
        assert!(private("http://LocalHost/") && private("http://[::ffff:127.0.0.1]/"));
        assert!(!private("http://localhost.example/") && !private("http://10.0.0.1/"));
    }

    #[tokio::test]
    async fn over_an_open_connection_the_whole_answer_is_read() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let serving = async move {
            let mut request = vec![0; 1024];
            let length = theirs.read(&mut request).await.unwrap();
            theirs.write_all(b"HTTP/1.1 401 No\r\ncontent-length: 2\r\n").await.unwrap();
            theirs.write_all(b"\r\nno, and what does not belong to it").await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        };
        let (answer, request) = tokio::join!(tell(ours, None, "/x", Some("u:p"), b"{}"), serving);
        let answer = answer.unwrap();
        assert_eq!(answer.status, 401);
        assert!(answer.text.starts_with("no"), "{answer:?}");
        let head = "PUT /x HTTP/1.1\r\nhost: 127.0.0.1\r\n";
        assert!(request.starts_with(head) && request.contains("authorization: Basic dTpw\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{}"), "{request}");
    }

    #[test]
    fn a_silent_server_is_given_up_at_the_deadline() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let started = Instant::now();
        let url = Url::of(silent.local_addr().unwrap(), "/");
        let error = put_json(&url, None, None, b"{}", Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
