//! Whether what the mail server sends arrives: a request of our own, sent the whole way round.
//!
//! It goes into a socket of ssh's here, comes out at the mail server, goes where the server's events go, and back
//! through the tunnel to our listener. Only that it came there counts, not what is answered.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use crate::client;
use crate::config::Address;
use crate::listener::{Doors, PROBE, connect};

/// How long a probe may be on its way.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Why nothing came through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// There is no such socket: no tunnel, or none that can be tried.
    NoWay,
    /// There is one of somebody who has gone.
    Refused,
    /// In words for people.
    Why(String),
}

impl Lost {
    pub fn in_words(self) -> String {
        match self {
            Self::NoWay | Self::Refused => "ssh is not there".to_owned(),
            Self::Why(why) => why,
        }
    }
}

/// Sends a request into ssh's socket and looks whether it comes to the listener.
pub async fn probe(socket: &Address, doors: &Doors) -> Result<(), Lost> {
    let why = |why: &str| Lost::Why(why.to_owned());
    let awaited = doors.expect().ok_or_else(|| why("the system has no random numbers"))?;
    let sent = timeout(PATIENCE, exchange(socket, awaited.nonce(), doors)).await;
    match (sent, awaited.has_come()) {
        (Ok(Ok(answer)), true) if !answer.is_empty() => Ok(()),
        (_, true) => Err(why("what the mail server sends arrives, but not our answers")),
        (Err(_), false) => Err(why("nothing comes through: no answer in time")),
        (Ok(Err(error)), false) => match error.kind() {
            io::ErrorKind::NotFound => Err(Lost::NoWay),
            io::ErrorKind::ConnectionRefused => Err(Lost::Refused),
            _ => Err(Lost::Why(format!("nothing comes through: {error}"))),
        },
        (Ok(Ok(answer)), false) if answer.is_empty() => {
            Err(why("nothing comes through: the mail server closes the connection"))
        }
        (Ok(Ok(_)), false) => Err(why("on the mail server another program answers in our place")),
    }
}

/// What was answered, as far as it matters; empty where nothing was.
async fn exchange(socket: &Address, nonce: &str, doors: &Doors) -> io::Result<Vec<u8>> {
    let certificate = doors.identity().map(|identity| identity.certificate());
    let path = format!("{PROBE}{nonce}");
    client::ask(connect(socket).await?, certificate, &path, None).await
}
