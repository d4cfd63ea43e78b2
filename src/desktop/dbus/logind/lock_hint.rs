//! Whether the session that popups are shown in is locked, as its screen locker tells logind (`LockedHint`).
//!
//! logind signals changes only on a session's own object, never on `session/auto` or `session/self`: that object is
//! looked for, and again whenever sessions come and go.

use std::collections::HashMap;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use tokio::time::{Instant, timeout};
use zbus::proxy::CacheProperties;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value};

use super::{ManagerProxy, SERVICE, SessionNewStream, SessionRemovedStream, backoff};
use crate::desktop::dbus::PATIENCE;

const SESSION: &str = "org.freedesktop.login1.Session";
const USER: &str = "org.freedesktop.login1.User";
const HINT: &str = "LockedHint";
/// The types of sessions that have a screen to lock.
const GRAPHICAL: [&str; 3] = ["x11", "wayland", "mir"];

// Not zbus' own: that one would start a logind that isn't there.
#[zbus::proxy(crate = "zbus", interface = "org.freedesktop.DBus.Properties", gen_blocking = false)]
trait Properties {
    #[zbus(no_autostart)]
    fn get(&self, interface: &str, name: &str) -> zbus::Result<OwnedValue>;
    #[zbus(signal)]
    fn properties_changed(
        &self,
        interface: &str,
        changed: HashMap<&str, Value<'_>>,
        invalidated: Vec<&str>,
    ) -> zbus::Result<()>;
}

/// Says how it is, and then each change; how it is may be said again. What nobody knows counts as unlocked.
pub fn hints(logind: ManagerProxy<'static>) -> BoxStream<'static, bool> {
    let start = Watch { logind, watched: None, attempt: 0, tried_at: Instant::now() };
    unfold(start, |mut watch| async {
        let hint = watch.next().await;
        Some((hint, watch))
    })
    .boxed()
}

struct Watch {
    logind: ManagerProxy<'static>,
    watched: Option<Watched>,
    attempt: u32,
    tried_at: Instant,
}

/// What is listened to from one look to the next.
struct Watched {
    came: SessionNewStream,
    went: SessionRemovedStream,
    /// Of our session, if there is one.
    changes: Option<PropertiesChangedStream>,
}

impl Watch {
    async fn next(&mut self) -> bool {
        loop {
            match &mut self.watched {
                None => return self.look().await,
                Some(watched) => match watched.change().await {
                    Some(hint) => return hint,
                    None => self.watched = None,
                },
            }
        }
    }

    async fn look(&mut self) -> bool {
        if self.attempt > 0 {
            backoff(self.attempt, self.tried_at).await;
        }
        self.tried_at = Instant::now();
        let why = match timeout(PATIENCE, look(&self.logind)).await {
            Ok(Ok((watched, hint))) => {
                self.watched = Some(watched);
                self.attempt = 0;
                return hint;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "logind does not answer".to_owned(),
        };
        if self.attempt == 0 {
            tracing::debug!("nobody tells of locks: {why}");
        }
        self.attempt += 1;
        false
    }
}

impl Watched {
    /// What the hint is now; none when it is time to look anew.
    async fn change(&mut self) -> Option<bool> {
        loop {
            tokio::select! {
                biased;
                _ = self.came.next() => return None,
                _ = self.went.next() => return None,
                change = next(&mut self.changes), if self.changes.is_some() => {
                    let change = change?;
                    let Ok(arguments) = change.args() else { continue };
                    if let Some(hint) = arguments.changed.get(HINT) {
                        return bool::try_from(hint).ok();
                    }
                    if arguments.invalidated.contains(&HINT) {
                        return None;
                    }
                }
            }
        }
    }
}

async fn next(changes: &mut Option<PropertiesChangedStream>) -> Option<PropertiesChanged> {
    changes.as_mut()?.next().await
}

/// Listens, and then asks: what changes in between is not missed.
async fn look(logind: &ManagerProxy<'static>) -> zbus::Result<(Watched, bool)> {
    let (came, went) = (logind.receive_session_new().await?, logind.receive_session_removed().await?);
    let Some(session) = our_session(logind).await else {
        tracing::debug!("nobody tells of locks: no session");
        return Ok((Watched { came, went, changes: None }, false));
    };
    let session = properties(logind, session.into_inner()).await?;
    let changes = session.receive_properties_changed_with_args(&[(0, SESSION)]).await?;
    let hint = bool::try_from(session.get(SESSION, HINT).await?)?;
    Ok((Watched { came, went, changes: Some(changes) }, hint))
}

/// The session that popups are shown in.
///
/// That is ours if it has a screen. One that ssh or an old tmux is in has none, and what the user's systemd starts is in
/// no session at all: then it is the one that logind calls the user's display.
async fn our_session(logind: &ManagerProxy<'static>) -> Option<OwnedObjectPath> {
    if let Ok(own) = logind.get_session_by_pid(0).await
        && is_graphical(logind, &own).await
    {
        return Some(own);
    }
    if let Some(display) = display(logind).await {
        return Some(display);
    }
    let id = std::env::var("XDG_SESSION_ID").ok().filter(|id| !id.is_empty())?;
    logind.get_session(&id).await.ok()
}

async fn is_graphical(logind: &ManagerProxy<'static>, session: &OwnedObjectPath) -> bool {
    let kind = property(logind, session.to_owned(), SESSION, "Type").await;
    kind.and_then(|kind| String::try_from(kind).ok()).is_some_and(|kind| GRAPHICAL.contains(&kind.as_str()))
}

async fn display(logind: &ManagerProxy<'static>) -> Option<OwnedObjectPath> {
    let user = logind.get_user(rustix::process::getuid().as_raw()).await.ok()?;
    let display = property(logind, user, USER, "Display").await?;
    let (id, session) = <(String, OwnedObjectPath)>::try_from(display).ok()?;
    // Without one it is `/`.
    (!id.is_empty()).then_some(session)
}

async fn property(
    logind: &ManagerProxy<'static>,
    object: OwnedObjectPath,
    interface: &str,
    name: &str,
) -> Option<OwnedValue> {
    properties(logind, object.into_inner()).await.ok()?.get(interface, name).await.ok()
}

async fn properties(
    logind: &ManagerProxy<'static>,
    object: ObjectPath<'static>,
) -> zbus::Result<PropertiesProxy<'static>> {
    let proxy = PropertiesProxy::builder(logind.inner().connection()).destination(SERVICE)?.path(object)?;
    proxy.cache_properties(CacheProperties::No).build().await
}
