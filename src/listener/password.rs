//! What a sender must prove: the user and password of `[auth]` (Basic authentication, RFC 7617).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use tokio::sync::{Notify, watch};

use crate::config::{Auth, Pass};

/// After a failure it is asked for again at most this often.
const AGAIN: Duration = Duration::from_secs(5);

pub struct Password {
    auth: Auth,
    state: watch::Sender<State>,
    asked: Mutex<Instant>,
}

#[derive(Clone)]
enum State {
    /// Being obtained; requests wait for it.
    Pending,
    Known(Box<Secret>),
    /// Not to be had. Nobody gets in.
    Unknown,
}

/// A keyed digest of `user:pass`: comparing digests takes as long whatever was given.
#[derive(Clone)]
struct Secret {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl Secret {
    fn new(user: &str, pass: &str) -> Option<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new()).ok()?;
        let tag = hmac::sign(&key, format!("{user}:{pass}").as_bytes());
        Some(Self { key, tag })
    }

    fn is(&self, given: &[u8]) -> bool {
        hmac::verify(&self.key, given, self.tag.as_ref()).is_ok()
    }
}

impl Password {
    /// Pending, unless the configuration itself holds it.
    pub fn new(auth: &Auth) -> Self {
        let password =
            Self { auth: auth.clone(), state: watch::Sender::new(State::Pending), asked: Mutex::new(Instant::now()) };
        password.begin_anew();
        password
    }

    /// Whether it is this configuration's.
    pub fn is_of(&self, auth: &Auth) -> bool {
        self.auth == *auth
    }

    /// It is being obtained, once more or for the first time.
    pub fn begin_anew(&self) {
        match &self.auth.pass {
            Pass::Text(pass) => self.set(Some(pass)),
            // One that worked goes on until another is there.
            Pass::File(_) | Pass::Command(_) => drop(self.state.send_if_modified(|state| {
                let is_unknown = matches!(state, State::Unknown);
                if is_unknown {
                    *state = State::Pending;
                }
                is_unknown
            })),
        }
        *self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
    }

    /// What obtaining it came to.
    pub fn set(&self, pass: Option<&str>) {
        let secret = pass.filter(|pass| !pass.is_empty()).and_then(|pass| Secret::new(&self.auth.user, pass));
        self.state.send_replace(secret.map_or(State::Unknown, |secret| State::Known(Box::new(secret))));
    }

    /// Whether the request names the user and the password. Waits while that can't be told yet; after a failure has
    /// it obtained anew, through `wanted`.
    pub async fn is_proven(&self, headers: &HeaderMap, wanted: &Notify) -> bool {
        let Some(given) = credentials(headers) else { return false };
        if matches!(*self.state.borrow(), State::Unknown) && self.may_ask_again() {
            self.state.send_replace(State::Pending);
            wanted.notify_one();
        }
        let mut state = self.state.subscribe();
        let Ok(state) = state.wait_for(|state| !matches!(state, State::Pending)).await else { return false };
        matches!(&*state, State::Known(secret) if secret.is(&given))
    }

    fn may_ask_again(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let may = asked.elapsed() >= AGAIN;
        if may {
            *asked = Instant::now();
        }
        may
    }
}

/// `user:pass` as given; none where nothing is, or not that.
fn credentials(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(credentials.trim()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;

    fn auth(pass: Pass) -> Auth {
        Auth { user: "foo".into(), pass }
    }

    fn given(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (header::AUTHORIZATION, value.parse().unwrap())).collect()
    }

    const GOOD: &str = "Basic Zm9vOmJhcg==";

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let password = Password::new(&auth(Pass::Text("bar".into())));
        let wanted = Notify::new();
        for good in [GOOD, "basic  Zm9vOmJhcg== ", "BASIC Zm9vOmJhcg=="] {
            assert!(password.is_proven(&given(&[good]), &wanted).await, "{good}");
        }
        for wrong in [
            "Basic Zm9vOmJheg==",
            "Basic Zm9vOmJhcjo=",
            "Basic Zm9v",
            "Basic",
            "",
            "Bearer Zm9vOmJhcg==",
            "Basic !!!",
            "Basic Zm9vOmJhcmZvbzpiYXI=",
        ] {
            assert!(!password.is_proven(&given(&[wrong]), &wanted).await, "{wrong}");
        }
        assert!(!password.is_proven(&given(&[GOOD, GOOD]), &wanted).await, "given twice");
        assert!(!password.is_proven(&given(&[]), &wanted).await);
    }

    #[tokio::test]
    async fn requests_wait_for_it_and_get_nowhere_without_it() {
        let password = Password::new(&auth(Pass::File("/x".into())));
        let wanted = Notify::new();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let headers = given(&[GOOD]);
        {
            let mut waiting = std::pin::pin!(password.is_proven(&headers, &wanted));
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            password.set(Some("bar"));
            assert!(waiting.await);
        }
        for nothing in [None, Some("")] {
            password.set(nothing);
            assert!(!password.is_proven(&headers, &wanted).await);
            assert!(!password.is_proven(&given(&["Basic Zm9vOg=="]), &wanted).await, "an empty password");
        }

        // Asked for again, but not by each of many.
        let Some(long_ago) = Instant::now().checked_sub(AGAIN) else { return };
        *password.asked.lock().unwrap() = long_ago;
        let mut waiting = std::pin::pin!(password.is_proven(&headers, &wanted));
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        wanted.notified().await;
        password.set(None);
        assert!(!waiting.await);
        assert!(!password.is_proven(&headers, &wanted).await, "it would wait if it were asked for");
    }
}
