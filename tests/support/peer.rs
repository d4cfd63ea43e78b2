//! A server in the listener's place, which may be anything but one. It keeps what it is sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};

use super::wait::{SOON, wait_until};

/// The server. When it is dropped, so are its connections, and its port is free.
pub struct Peer {
    listener: Arc<TcpListener>,
    accepting: Option<JoinHandle<()>>,
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
        Self::start(0, |stream, shared| lock(&shared.held).push(stream))
    }

    /// Answers each request with these bytes, and keeps the connection open.
    pub fn answering(answer: &str) -> Peer {
        Self::answering_at(0, answer)
    }

    /// The same at a port that the program under test knows.
    pub fn answering_at(port: u16, answer: &str) -> Peer {
        let answer = answer.to_owned();
        Self::start(port, move |stream, shared| {
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
        Self::start(0, move |mut stream, _| {
            for byte in answer.bytes() {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        })
    }

    fn start(port: u16, serve: impl Fn(TcpStream, &Shared) + Send + Sync + 'static) -> Peer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a free port");
        let listener = Arc::new(listener);
        let shared: Arc<Shared> = Arc::default();
        let (listening, used) = (Arc::clone(&listener), Arc::clone(&shared));
        let serve = Arc::new(serve);
        let accepting = std::thread::spawn(move || {
            for stream in listening.incoming() {
                if used.is_ending.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (shared, serve) = (Arc::clone(&used), Arc::clone(&serve));
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Peer { listener, accepting: Some(accepting), shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}/notify", self.address())
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
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
        // Wakes the thread that waits for connections. Its address may be in a network where we aren't.
        let _ = shutdown(&*self.listener, Shutdown::Both);
        let _ = self.accepting.take().map(JoinHandle::join);
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
    let lines = text.lines().map(str::to_ascii_lowercase);
    let length = lines.filter_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).next().unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(text + &String::from_utf8_lossy(&body))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
