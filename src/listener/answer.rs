//! What one request is answered.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::connection::Peer;
use super::gate::{self, Refusal, Target};
use super::{Doors, Knock, Shared, Taken, body};
use crate::event::Event;
use crate::store::fingerprint;
use crate::wire::WireFormat;

pub fn router(doors: Doors) -> Router {
    Router::new().fallback(receive).with_state(doors)
}

async fn receive(State(doors): State<Doors>, request: Request) -> Response {
    let shared = doors.shared();
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let (head, body) = request.into_parts();
    // A sender that asks first may hang for ever on a connection that it keeps, when we are frozen in mid-request
    // (Dovecot 2.3's Lua client).
    let asked_first = head.headers.contains_key(header::EXPECT);
    let began = peer.framing.lock().unwrap_or_else(PoisonError::into_inner).head_began().unwrap_or_else(Instant::now);
    let left = || shared.timeout.saturating_sub(began.elapsed());
    let answer = match admitted(&head, &doors, &shared, &peer, left()).await {
        Ok(Target::Alive) => Ok(StatusCode::NO_CONTENT.into_response()),
        Ok(Target::Probe { nonce }) => match doors.0.probes.arrived(&nonce) {
            true => Ok(StatusCode::NO_CONTENT.into_response()),
            false => Err(gate::nothing_here(&shared.rules)),
        },
        Ok(Target::Notify { format }) => {
            let date = head.headers.get(header::DATE).map(|date| date.as_bytes());
            let taken = timeout(left(), take_in(&shared, format, date, body, &peer)).await;
            let late = |_| Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request took too long"));
            let taken = taken.unwrap_or_else(late);
            taken.map(|()| ([(header::CONTENT_TYPE, "application/json")], r#"{"success":true}"#).into_response())
        }
        Err(refusal) => Err(refusal),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(refusal) => {
            if refusal.is_lost {
                // The answer tells what was wrong with the request, not what becomes of this.
                let mut event = Event::unreadable(&refusal.why);
                event.remote = peer.address;
                let _ = timeout(left(), report(&shared, vec![event], None)).await;
            }
            refuse(&refusal, &peer)
        }
    };
    if asked_first { closing(answer) } else { answer }
}

/// Judges by the head alone.
async fn admitted(
    head: &Parts,
    doors: &Doors,
    shared: &Shared,
    peer: &Peer,
    left: Duration,
) -> Result<Target, Refusal> {
    let proven = match &shared.password {
        None => None,
        // Whom no password would help doesn't have one fetched.
        Some(_) if !gate::may_prove(head, peer.address.map(|address| address.ip()), &shared.rules) => Some(false),
        Some(password) => {
            let proven = password.is_proven(&head.headers, &doors.0.password_wanted);
            Some(timeout(left, proven).await.unwrap_or(false))
        }
    };
    let target = gate::judge(head, peer.address.map(|address| address.ip()), proven, &shared.rules)?;
    match peer.framing.lock().unwrap_or_else(PoisonError::into_inner).is_ambiguous() {
        true => Err(Refusal::not_understood("both a length and a transfer encoding".to_owned())),
        false => Ok(target),
    }
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
    let mut events =
        format.parse(&body.bytes).map_err(|error| Refusal::not_understood(format!("{}: {error}", format.name())))?;
    let fingerprint = date.map(|date| fingerprint(date, &body.bytes));
    drop(body);
    for event in &mut events {
        event.remote = peer.address;
    }
    report(shared, events, fingerprint).await
}

/// Hands events on and waits until they are on record.
async fn report(shared: &Shared, events: Vec<Event>, fingerprint: Option<u64>) -> Result<(), Refusal> {
    let (reply, taken) = oneshot::channel();
    shared.knocks.send(Knock { events, fingerprint, reply }).await.map_err(|_| Refusal::stopping())?;
    match taken.await {
        Ok(Taken::OnRecord) => Ok(()),
        Ok(Taken::Stopping) | Err(_) => Err(Refusal::stopping()),
    }
}

fn refuse(refusal: &Refusal, from: &Peer) -> Response {
    let why = &refusal.why;
    match refusal.status {
        StatusCode::UNAUTHORIZED => {
            tracing::warn!(%from, "no or a wrong user or password; the sender's URL must hold those of `[auth]`");
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
