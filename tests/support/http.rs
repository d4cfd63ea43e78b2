//! A small blocking HTTP/1.1 client that can be as rude as a test wants: raw bytes, in pieces, with pauses between.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::repository_file;
use super::wait::SOON;

/// The bytes of a request.
#[derive(Clone, Debug)]
pub struct Request {
    head: String,
    body: Vec<u8>,
    with_length: bool,
}

impl Request {
    /// A request with the headers `Host` and, unless a header here says otherwise, `Content-Length`.
    pub fn new(method: &str, path: &str) -> Request {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        Request { head, body: Vec::new(), with_length: true }
    }

    pub fn put(path: &str) -> Request {
        Self::new("PUT", path)
    }

    pub fn get(path: &str) -> Request {
        Self::new("GET", path)
    }

    /// Adds a header as it stands, wrong or not.
    pub fn header(mut self, name: &str, value: &str) -> Request {
        let framing = ["content-length", "transfer-encoding"];
        self.with_length &= !framing.contains(&name.to_ascii_lowercase().as_str());
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub fn json(self, body: &str) -> Request {
        self.header("Content-Type", "application/json; charset=utf-8").body(body)
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Request {
        self.body = body.as_ref().to_vec();
        self
    }

    /// The head, its empty line included, and the body: for tests that send only a part, or one after the other.
    pub fn parts(&self) -> (Vec<u8>, Vec<u8>) {
        let length = if self.with_length { format!("Content-Length: {}\r\n", self.body.len()) } else { String::new() };
        (format!("{}{length}\r\n", self.head).into_bytes(), self.body.clone())
    }

    pub fn bytes(&self) -> Vec<u8> {
        let (head, body) = self.parts();
        [head, body].concat()
    }

    /// Sends it on a connection of its own and returns the answer.
    #[track_caller]
    pub fn send(&self, to: SocketAddr) -> Response {
        let mut connection = Connection::open(to);
        connection.send(&self.bytes());
        connection.response()
    }
}

/// Sends a request that was captured from a real server, byte for byte. `path` is that of the file, from the top of
/// the repository.
#[track_caller]
pub fn fixture_request(path: &str, to: SocketAddr) -> Response {
    let file = repository_file(path);
    let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("failed to read {}: {error}", file.display()));
    let mut connection = Connection::open(to);
    connection.send(&bytes);
    connection.response()
}

/// One connection, for several requests or for less than one. Reading and writing have a bound.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    #[track_caller]
    pub fn open(to: SocketAddr) -> Connection {
        Self::try_open(to).unwrap_or_else(|error| panic!("failed to connect to {to}: {error}"))
    }

    /// For where nobody may be.
    pub fn try_open(to: SocketAddr) -> std::io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&to, SOON)?;
        stream.set_read_timeout(Some(SOON)).expect("the bound isn't zero");
        stream.set_write_timeout(Some(SOON)).expect("the bound isn't zero");
        // Without this the kernel would join the pieces that a test sends one by one.
        stream.set_nodelay(true).expect("it is a TCP stream");
        Ok(Connection { stream: BufReader::new(stream) })
    }

    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the other side takes the bytes");
    }

    /// For bytes that the other side may refuse to take.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    #[track_caller]
    pub fn send_in_pieces(&mut self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size) {
            self.send(piece);
        }
    }

    /// Says that no more bytes come, but goes on reading.
    pub fn finish_sending(&mut self) {
        let _ = self.stream.get_ref().shutdown(std::net::Shutdown::Write);
    }

    /// Reads the next answer to its end.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.try_response().unwrap_or_else(|error| panic!("no complete answer: {error}"))
    }

    pub fn try_response(&mut self) -> std::io::Result<Response> {
        let mut interim = Vec::new();
        let (status, headers) = loop {
            let (status, headers) = self.head()?;
            if status >= 200 {
                break (status, headers);
            }
            interim.push(status);
        };
        let mut response = Response { status, headers, interim, body: Vec::new(), closed: false };
        let length = response.header("content-length").map(|length| length.parse().map_err(|_| invalid("length")));
        if response.header("transfer-encoding") == Some("chunked") {
            response.body = self.chunks()?;
        } else if let Some(length) = length.transpose()? {
            response.body = self.exactly(length)?;
        } else if status != 204 && status != 304 {
            self.stream.read_to_end(&mut response.body)?;
            response.closed = true;
        }
        // Only where it was announced: on a connection that stays open this would wait for the whole bound.
        let announced = response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        response.closed = response.closed || (announced && self.is_closed(SOON));
        Ok(response)
    }

    /// Reads one interim answer (1xx), whose status it returns. After `Expect: 100-continue`.
    #[track_caller]
    pub fn interim(&mut self) -> u16 {
        self.head().expect("an interim answer").0
    }

    /// Waits at most `limit` for the other side to close the connection. Answers on the way are thrown away.
    pub fn is_closed(&mut self, limit: Duration) -> bool {
        self.stream.get_ref().set_read_timeout(Some(limit)).expect("the bound isn't zero");
        let end = self.stream.read_to_end(&mut Vec::new());
        self.stream.get_ref().set_read_timeout(Some(SOON)).expect("the bound isn't zero");
        // A reset is an end too: it comes when our bytes were left unread.
        end.map_or_else(|error| !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), |_| true)
    }

    fn head(&mut self) -> std::io::Result<(u16, Vec<(String, String)>)> {
        let first = self.line()?;
        let rest = first.strip_prefix("HTTP/1.1 ").or_else(|| first.strip_prefix("HTTP/1.0 "));
        let status = rest.and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| invalid(&first))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok((status, headers));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| invalid(&line))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let whole = line.strip_suffix("\r\n").map(str::to_owned);
        whole.ok_or_else(|| std::io::Error::new(ErrorKind::UnexpectedEof, format!("the answer ends in `{line}`")))
    }

    fn chunks(&mut self) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(&line, 16).map_err(|_| invalid(&line))?;
            body.extend(self.exactly(size)?);
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn exactly(&mut self, length: usize) -> std::io::Result<Vec<u8>> {
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }
}

fn invalid(what: &str) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, format!("not HTTP: `{what}`"))
}

/// A complete answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The 1xx answers that came before.
    pub interim: Vec<u16>,
    pub body: Vec<u8>,
    /// Whether the server closed the connection after it. Only looked at where it announced that.
    pub closed: bool,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Asserts that the server took the request.
    #[track_caller]
    pub fn accepted(&self) -> &Response {
        assert!((200..300).contains(&self.status), "refused with {}: {}", self.status, self.text());
        self
    }

    #[track_caller]
    pub fn refused(&self, status: u16) -> &Response {
        assert_eq!(self.status, status, "the answer says: {}", self.text());
        self
    }
}
