//! The embedded HTTP listener: takes what senders push, answers at once, hands events on.
//!
//! axum's router runs over hyper's own HTTP/1 connections, because `axum::serve` knows no deadline for heads and
//! bodies: a half-sent request would stay for ever. A request is judged by its head alone (`gate`); only one that
//! passed may send a body, and only a complete body takes one of the `max_connections` places.

mod body;
mod connections;
mod framing;
mod gate;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::Config;
use crate::event::Event;
use crate::store::fingerprint;
use crate::wire::WireFormat;
use body::Budget;
use connections::{Connections, Place};
use framing::{Framing, Watched};
use gate::{Refusal, Rules, Target};

const MAX_HEAD: usize = 16 * 1024;
/// All bodies together, in memory at once.
const MAX_BODIES: usize = 32 << 20;
/// Open connections have so long for their last answer when we stop.
const FAREWELL: Duration = Duration::from_secs(1);
/// What is still on its way to us after a refusal is read for so long, and so much: closing on unread bytes would
/// take the answer from the sender.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 8 << 20;

/// Events that somebody reported; `reply` wants to know whether they are on record.
#[derive(Debug)]
pub struct Knock {
    pub events: Vec<Event>,
    /// The same for the same request sent again; none where the sender doesn't date its requests.
    pub fingerprint: Option<u64>,
    pub reply: oneshot::Sender<Taken>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    OnRecord,
    Stopping,
}

pub struct Listener {
    socket: TcpListener,
    doors: Doors,
}

/// Who is let in by an open listener; can be changed while it is open.
#[derive(Clone)]
pub struct Doors(Arc<RwLock<Arc<Shared>>>);

struct Shared {
    rules: Rules,
    timeout: Duration,
    places: Semaphore,
    budget: Budget,
    knocks: mpsc::Sender<Knock>,
    warned_of_passwords: Mutex<Option<Instant>>,
}

impl Listener {
    /// Binds the configured address; events go to `knocks`.
    pub async fn bind(config: &Config, knocks: mpsc::Sender<Knock>) -> io::Result<Self> {
        let socket = TcpListener::bind(config.listen).await?;
        let shared = Arc::new(Shared::new(config, knocks));
        Ok(Self { socket, doors: Doors(Arc::new(RwLock::new(shared))) })
    }

    pub fn doors(&self) -> Doors {
        self.doors.clone()
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `stop` turns true, then lets requests in progress end.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        let Self { socket, doors } = self;
        let router = Router::new().fallback(receive).with_state(doors.clone());
        let connections = Connections::default();
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = async { drop(stop.wait_for(|stop| *stop).await) } => break,
                Some(_) = tasks.join_next() => continue,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let Some(place) = connections.enter() else { continue };
                    tasks.spawn(connection(stream, peer, router.clone(), doors.shared(), place, stop.clone()));
                }
                Err(error) => {
                    // Out of descriptors: connections must end before another can begin.
                    tracing::warn!("failed to accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
        drop(socket);
        let ended = async { while tasks.join_next().await.is_some() {} };
        let _ = timeout(FAREWELL, ended).await;
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
struct Peer {
    address: SocketAddr,
    place: Arc<Place>,
    framing: Arc<Mutex<Framing>>,
}

/// One connection, from its first byte to its last.
async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    shared: Arc<Shared>,
    place: Arc<Place>,
    mut stop: watch::Receiver<bool>,
) {
    let (stream, framing) = Watched::new(stream);
    let peer = Peer { address, place: place.clone(), framing };
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.call(request)
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.timeout)
        .max_buf_size(MAX_HEAD)
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut leaving = false;
    let served = loop {
        tokio::select! {
            served = std::future::poll_fn(|cx| connection.poll_without_shutdown(cx)) => break served,
            () = place.asked_to_leave() => return,
            () = async { drop(stop.wait_for(|stop| *stop).await) }, if !leaving => {
                leaving = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner().into_inner();
    if let Err(error) = served {
        tracing::debug!(%address, "connection: {error}");
        // hyper closes a half-sent head without a word. A connection that only sat there is told nothing: a sender
        // could take it for the answer to its next request.
        if error.is_timeout() && !parts.read_buf.is_empty() {
            let _ = stream
                .write_all(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    }
    linger(stream).await;
}

async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut rest = stream.take(LINGER_BYTES);
    let mut buffer = [0; 4096];
    let drain = async { while let Ok(1..) = rest.read(&mut buffer).await {} };
    let _ = timeout(LINGER, drain).await;
}

/// Answers one request.
async fn receive(State(doors): State<Doors>, request: Request) -> Response {
    let shared = doors.shared();
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let (is_ambiguous, began) = {
        let framing = peer.framing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (framing.is_ambiguous(), framing.head_began().unwrap_or_else(Instant::now))
    };
    let (head, body) = request.into_parts();
    // A sender that asks first may hang for ever on a connection that it keeps, when we are frozen in mid-request
    // (Dovecot 2.3's Lua client).
    let asked_first = head.headers.contains_key(header::EXPECT);
    let verdict = gate::judge(&head, peer.address.ip(), &shared.rules).and_then(|target| match is_ambiguous {
        true => Err(Refusal::new(StatusCode::BAD_REQUEST, "both a length and a transfer encoding")),
        false => Ok(target),
    });
    let answer = match verdict {
        Ok(Target::Alive) => StatusCode::NO_CONTENT.into_response(),
        Ok(Target::Notify { format }) => {
            let date = head.headers.get(header::DATE).map(|date| date.as_bytes());
            let left = shared.timeout.saturating_sub(began.elapsed());
            let taken = timeout(left, take_in(&shared, format, date, body, &peer)).await;
            match taken.unwrap_or_else(|_| Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request took too long")))
            {
                Ok(()) => ([(header::CONTENT_TYPE, "application/json")], r#"{"success":true}"#).into_response(),
                Err(refusal) => refuse(&shared, &refusal, peer.address),
            }
        }
        Err(refusal) => refuse(&shared, &refusal, peer.address),
    };
    if asked_first { closing(answer) } else { answer }
}

/// Reads the body, makes events of it and waits until they are on record.
async fn take_in(
    shared: &Shared,
    format: &dyn WireFormat,
    date: Option<&[u8]>,
    body: Body,
    peer: &Peer,
) -> Result<(), Refusal> {
    let receiving = peer.place.receive();
    let body = body::read(body, shared.rules.max_body, &shared.budget).await?;
    drop(receiving);
    let _working = peer.place.work();
    let _place = shared.places.acquire().await.map_err(|_| Refusal::stopping())?;
    let mut events = format
        .parse(&body.bytes)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("{}: {error}", format.name())))?;
    let fingerprint = date.map(|date| fingerprint(date, &body.bytes));
    drop(body);
    for event in &mut events {
        event.remote = Some(peer.address);
    }
    let (reply, taken) = oneshot::channel();
    shared.knocks.send(Knock { events, fingerprint, reply }).await.map_err(|_| Refusal::stopping())?;
    match taken.await {
        Ok(Taken::OnRecord) => Ok(()),
        Ok(Taken::Stopping) | Err(_) => Err(Refusal::stopping()),
    }
}

fn refuse(shared: &Shared, refusal: &Refusal, from: SocketAddr) -> Response {
    let why = &refusal.why;
    match refusal.status {
        StatusCode::UNAUTHORIZED if shared.is_first_this_minute() => {
            tracing::warn!("{from} gave no or a wrong user or password; its URL must hold those of `[auth]`");
        }
        status => tracing::debug!(%from, status = status.as_u16(), "refused: {why}"),
    }
    let body = serde_json::json!({ "success": false, "error": why }).to_string();
    let mut answer = (refusal.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    let headers = answer.headers_mut();
    match refusal.status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"mailknock\", charset=\"UTF-8\""),
            );
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(header::ALLOW, HeaderValue::from_static(refusal.allowed));
        }
        _ => {}
    }
    closing(answer)
}

fn closing(mut answer: Response) -> Response {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

impl Doors {
    /// Goes by another configuration from the next request on; where it listens stays.
    pub fn reconfigure(&self, config: &Config) {
        let mut current = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *current = Arc::new(Shared::new(config, current.knocks.clone()));
    }

    fn shared(&self) -> Arc<Shared> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn new(config: &Config, knocks: mpsc::Sender<Knock>) -> Self {
        Self {
            rules: Rules::new(config),
            timeout: config.timeout,
            places: Semaphore::new(config.max_connections),
            budget: Budget::new(MAX_BODIES),
            knocks,
            warned_of_passwords: Mutex::default(),
        }
    }

    fn is_first_this_minute(&self) -> bool {
        let mut last = self.warned_of_passwords.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_first = last.is_none_or(|last| last.elapsed() >= Duration::from_secs(60));
        if is_first {
            *last = Some(Instant::now());
        }
        is_first
    }
}
