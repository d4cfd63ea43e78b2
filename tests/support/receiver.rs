//! An HTTP server in Mailknock's place, which keeps every byte that a mail server sends, and can stop in the middle.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use serde_json::Value;

use super::wait::EVENTUALLY;

/// What the server no longer does. What the kernel does for it goes on: connections are made, and bytes are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frozen {
    /// Read a request.
    Reading,
    /// Having read its head, ask for the body.
    Agreeing,
    /// Having read all of it, answer.
    Answering,
}

/// The server. It answers 200, and keeps connections open even if it is asked to close them.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    thawed: Condvar,
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    frozen: Option<Frozen>,
    ending: bool,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Received {
    /// With the empty line at its end.
    pub head: String,
    pub body: Vec<u8>,
}

impl Receiver {
    pub fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared: Arc<Shared> = Arc::default();
        let receiver = Receiver { address, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.state().ending {
                    return;
                }
                let shared = Arc::clone(&shared);
                // The other side may go at any time; what came before is kept.
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        receiver
    }

    /// For Dovecot's settings.
    pub fn url(&self) -> String {
        format!("http://knock:s3cret@{}/notify", self.address)
    }

    /// Takes the requests so far out.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.shared.state().received)
    }

    /// Stops there from now on, on every connection.
    pub fn freeze(&self, point: Frozen) {
        self.shared.state().frozen = Some(point);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.ending = true;
        state.frozen = None;
        drop(state);
        self.shared.thawed.notify_all();
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("its holders don't panic")
    }

    fn wait_while_frozen(&self, point: Frozen) {
        let state = self.state();
        let _state = self.thawed.wait_while(state, |state| state.frozen == Some(point)).expect("nobody panics");
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        stream.set_read_timeout(Some(EVENTUALLY)).ok()?;
        let mut stream = BufReader::new(stream);
        loop {
            // Looks for the beginning first, so that a stop between two requests is before the second one's head.
            if stream.fill_buf().ok()?.is_empty() {
                return None;
            }
            self.wait_while_frozen(Frozen::Reading);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if stream.read_line(&mut head).ok()? == 0 {
                    return None;
                }
            }
            self.wait_while_frozen(Frozen::Agreeing);
            let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if header("Expect:").is_some() {
                stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
            }
            let mut body = vec![0; header("Content-Length:")?.parse().ok()?];
            stream.read_exact(&mut body).ok()?;
            self.state().received.push(Received { head, body });
            self.wait_while_frozen(Frozen::Answering);
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
        }
    }
}

impl Received {
    pub fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }

    /// The events of its JSON array.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let events = serde_json::from_slice(&self.body);
        events.unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&self.body)))
    }
}
