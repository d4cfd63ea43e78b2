//! A server in the listener's place, which may be anything but one. It keeps what it is sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::wait::{SOON, wait_until};

/// The server. When it is dropped, so are its connections.
pub struct Peer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<String>>,
    /// Those that nobody answers.
    held: Mutex<Vec<TcpStream>>,
    is_ending: AtomicBool,
}

impl Peer {
    /// Takes connections, and does nothing with them.
    pub fn silent() -> Peer {
        Self::start(|stream, shared| lock(&shared.held).push(stream))
    }

    /// Answers each request with these bytes, and keeps the connection open.
    pub fn answering(answer: &str) -> Peer {
        let answer = answer.to_owned();
        Self::start(move |stream, shared| {
            let mut stream = BufReader::new(stream);
            if let Some(request) = request(&mut stream) {
                lock(&shared.received).push(request);
            }
            let _ = stream.get_mut().write_all(answer.as_bytes());
            lock(&shared.held).push(stream.into_inner());
        })
    }

    /// Answers with one byte of this every 20 ms.
    pub fn dripping(answer: &str) -> Peer {
        let answer = answer.to_owned();
        Self::start(move |mut stream, _| {
            for byte in answer.bytes() {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        })
    }

    fn start(serve: impl Fn(TcpStream, &Shared) + Send + Sync + 'static) -> Peer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared: Arc<Shared> = Arc::default();
        let peer = Peer { address, shared: Arc::clone(&shared) };
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.is_ending.load(Ordering::SeqCst) {
                    return;
                }
                let (shared, serve) = (Arc::clone(&shared), Arc::clone(&serve));
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        peer
    }

    pub fn url(&self) -> String {
        format!("http://{}/notify", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far, their heads and bodies.
    pub fn received(&self) -> Vec<String> {
        lock(&self.shared.received).clone()
    }

    /// The connections that a silent one holds.
    pub fn connections(&self) -> usize {
        lock(&self.shared.held).len()
    }

    /// Waits for so many requests and returns them.
    #[track_caller]
    pub fn wait_received(&self, count: usize) -> Vec<String> {
        wait_until("a request", || Some(self.received()).filter(|received| received.len() >= count))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::SeqCst);
        lock(&self.shared.held).clear();
        // It waits for one more connection.
        let _ = TcpStream::connect(self.address);
    }
}

fn request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    stream.get_ref().set_read_timeout(Some(SOON)).ok()?;
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        if stream.read_line(&mut text).ok()? == 0 {
            return None;
        }
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(text + &String::from_utf8_lossy(&body))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
