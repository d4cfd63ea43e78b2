//! A web server with a few pages that hands everything else on to another server, and writes down what came of it.
//!
//! To the browser both are one: a page from here may do with the other server whatever a page of its own could, as
//! after DNS rebinding.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::support::http::Connection;

pub struct Web {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What is answered for a path.
#[derive(Clone, Debug)]
pub struct Page {
    pub status: u16,
    /// Whole lines.
    pub headers: String,
    pub body: String,
}

/// One request that was handed on, and what was answered.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// 0 where there was no answer.
    pub status: u16,
    pub answer: String,
    pub answer_headers: Vec<(String, String)>,
}

#[derive(Default)]
struct Shared {
    pages: Mutex<HashMap<String, Page>>,
    /// What has no page, where there is nobody to hand it to.
    unknown: Mutex<Vec<String>>,
    behind: Option<SocketAddr>,
    seen: Mutex<Vec<Seen>>,
    ended: AtomicBool,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl Page {
    pub fn html(body: &str) -> Page {
        Page { status: 200, headers: "Content-Type: text/html; charset=utf-8\r\n".to_owned(), body: body.to_owned() }
    }

    pub fn script(body: &str) -> Page {
        Page { headers: "Content-Type: text/javascript\r\n".to_owned(), ..Self::html(body) }
    }

    /// 307: sent again to `location`, with its method and its body.
    pub fn moved(location: &str) -> Page {
        Page { status: 307, headers: format!("Location: {location}\r\n"), body: String::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Page {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }
}

impl Web {
    /// On a free port. What has no page goes to `behind`.
    pub fn start(behind: Option<SocketAddr>) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared { behind, ..Shared::default() });
        let web = Web { address, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.ended.load(Ordering::Relaxed) {
                    break;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    if let Some((bytes, request)) = read(&mut stream) {
                        shared.answer(&bytes, request, stream.get_mut());
                    }
                });
            }
        });
        web
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn page(&self, path: &str, page: Page) {
        lock(&self.shared.pages).insert(path.to_owned(), page);
    }

    /// The targets that were asked for in vain: so pages say something.
    pub fn unknown(&self) -> Vec<String> {
        lock(&self.shared.unknown).clone()
    }

    /// What was handed on and answered so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // The thread sees it at the next connection.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// Every answer is the last of its connection, as Mailknock's are when it refuses.
    fn answer(&self, request: &[u8], mut seen: Seen, stream: &mut TcpStream) {
        let path = seen.target.split('?').next().unwrap_or_default();
        let page = lock(&self.pages).get(path).cloned();
        if let Some(Page { status, headers, body }) = page {
            return write(stream, &format!("HTTP/1.1 {status} Page\r\n{headers}"), body.as_bytes());
        }
        let Some(behind) = self.behind else {
            lock(&self.unknown).push(seen.target);
            return write(stream, "HTTP/1.1 404 Not Found\r\n", b"");
        };
        let mut connection = Connection::open(behind);
        if let Ok(answer) = connection.try_send(request).and_then(|()| connection.try_response()) {
            let headers = answer.headers.iter().filter(|(name, _)| name != "content-length" && name != "connection");
            let headers: String = headers.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            write(stream, &format!("HTTP/1.1 {} Handed On\r\n{headers}", answer.status), &answer.body);
            (seen.status, seen.answer) = (answer.status, answer.text());
            seen.answer_headers = answer.headers;
        }
        lock(&self.seen).push(seen);
    }
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<(Vec<u8>, Seen)> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut bytes).ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let mut seen = Seen {
        method,
        target,
        headers,
        body: Vec::new(),
        status: 0,
        answer: String::new(),
        answer_headers: Vec::new(),
    };
    let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    seen.body.resize(length, 0);
    stream.read_exact(&mut seen.body).ok()?;
    bytes.extend_from_slice(&seen.body);
    Some((bytes, seen))
}

fn write(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let head = format!("{head}Connection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    // A browser that has gone on to another page reads no more.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
