//! One connection, from its first byte to its last.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;

use super::connections::Place;
use super::framing::{Framing, Watched};
use super::socket::Stream;
use super::tls::{self, Identity};
use super::{MAX_HEAD, Shared};

/// What is still on its way to us after a refusal is read for so long, and so much: closing on unread bytes would
/// take the answer from the sender.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 8 << 20;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// None at a Unix socket.
    pub address: Option<SocketAddr>,
    pub place: Arc<Place>,
    pub framing: Arc<Mutex<Framing>>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => address.fmt(f),
            None => f.write_str("the socket"),
        }
    }
}

pub async fn serve(
    stream: Box<dyn Stream>,
    address: Option<SocketAddr>,
    router: Router,
    shared: Arc<Shared>,
    place: Arc<Place>,
    mut stop: watch::Receiver<bool>,
) {
    let stream = match shared.rules.identity() {
        None => stream,
        // On the heap: a plain connection shall not pay for it.
        Some(identity) => match Box::pin(secured(stream, &identity, &shared, &place, &mut stop)).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(?address, "TLS: {error}");
                return;
            }
        },
    };
    let (stream, framing) = Watched::new(stream);
    let peer = Peer { address, place: place.clone(), framing };
    let told = peer.clone();
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
        tracing::debug!(from = %told, "connection: {error}");
        // hyper closes a half-sent head without a word. A connection that only sat there is told nothing: a sender
        // could take it for the answer to its next request.
        if error.is_timeout() && !parts.read_buf.is_empty() {
            let _ = stream
                .write_all(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    }
    tokio::select! {
        () = linger(stream) => {}
        () = place.asked_to_leave() => {}
        // Whoever hangs on to a refusal doesn't hold up our end.
        () = async { drop(stop.wait_for(|stop| *stop).await) } => {}
    }
}

/// The connection behind a TLS handshake, which has as long as a request.
async fn secured(
    stream: Box<dyn Stream>,
    identity: &Identity,
    shared: &Shared,
    place: &Place,
    stop: &mut watch::Receiver<bool>,
) -> io::Result<Box<dyn Stream>> {
    tokio::select! {
        secured = timeout(shared.timeout, tls::accept(stream, identity)) => secured.unwrap_or_else(|late| Err(late.into())),
        () = place.asked_to_leave() => Err(io::Error::other("too many connections")),
        () = async { drop(stop.wait_for(|stop| *stop).await) } => Err(io::Error::other("stopping")),
    }
}

/// Ends a connection so that the other side can read our last words.
pub async fn linger(mut stream: impl Stream) {
    let end = async {
        if stream.shutdown().await.is_ok() {
            let mut rest = stream.take(LINGER_BYTES);
            let mut buffer = [0; 4096];
            while let Ok(1..) = rest.read(&mut buffer).await {}
        }
    };
    let _ = timeout(LINGER, end).await;
}
