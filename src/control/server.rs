//! The program's end of the control socket, and the lock that makes it the only one.

use std::fs::{File, TryLockError};
use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::platform::{self, Listener, Stream};
use super::{Ask, Asked, MAX_LINE, Place, Reply, Request, VERSION};
use crate::schema::StatusJson;

const MAX_CLIENTS: usize = 16;
/// How long a lock may be held by nobody who can be asked.
const NEARLY_GONE: Duration = Duration::from_secs(1);
const PATIENCE_WITH_A_LOCK: Duration = Duration::from_millis(300);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// A request is one line, and whoever connects has it ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// The right to be the running program; gone with the value, or with us.
#[derive(Debug)]
pub struct Instance {
    place: Place,
    _lock: File,
}

/// Why we can't be the running program.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    #[error("Mailknock is running already")]
    Running,
    #[error("{path}: {why}")]
    Directory { path: String, why: String },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Instance {
    /// Takes the lock. The kernel lets go of it when we end, however we end: no lock is ever stale.
    pub fn take(place: Place) -> Result<Self, InstanceError> {
        let directory = place.directory();
        platform::prepare(directory)?
            .map_err(|why| InstanceError::Directory { path: directory.display().to_string(), why: why.to_owned() })?;
        let lock = platform::lock_file(&place.lock())?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { place, _lock: lock }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            // Somebody who answers is running. Where nobody does, one may be about to; or one was killed while it
            // started another program, which holds all its files, this lock and the socket too, until it is that other.
            let answers = super::ask(&place, Request::Status, Some(PATIENCE_WITH_A_LOCK), |_| super::Next::Stop);
            if answers.is_ok() || begun.elapsed() > NEARLY_GONE {
                return Err(InstanceError::Running);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Opens the socket. One that an earlier life left behind goes: we have the lock.
    pub fn open(self) -> io::Result<Server> {
        let listener = Listener::bind(&self.place)?;
        Ok(Server { _instance: self, listener })
    }
}

/// An open control socket.
#[derive(Debug)]
pub struct Server {
    /// Goes before the right to it.
    listener: Listener,
    _instance: Instance,
}

impl Server {
    /// Serves until `stop` turns true. Requests go to `asks`; followers see what `status` holds whenever it changes.
    pub async fn serve(
        mut self,
        asks: mpsc::Sender<Ask>,
        status: watch::Receiver<StatusJson>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                () = async { drop(stop.wait_for(|stop| *stop).await) } => break,
                Some(_) = clients.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok(stream) if !platform::is_ours(&stream) => refuse(&stream, "this program belongs to another user"),
                    Ok(stream) if clients.len() >= MAX_CLIENTS => refuse(&stream, "too many clients"),
                    Ok(stream) => drop(clients.spawn(client(stream, asks.clone(), status.clone()))),
                    Err(error) => {
                        tracing::warn!("control socket: {error}");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                },
            }
        }
        // Whoever still waits for a fetch gets its last words.
        let ended = async { while clients.join_next().await.is_some() {} };
        let _ = timeout(Duration::from_millis(500), ended).await;
    }
}

/// One line says why; nobody waits until it is read.
fn refuse(stream: &Stream, why: &str) {
    let reply = serde_json::to_string(&Reply::failed(why)).unwrap_or_default();
    let _ = stream.try_write(format!("{reply}\n").as_bytes());
}

async fn client(stream: Stream, asks: mpsc::Sender<Ask>, mut status: watch::Receiver<StatusJson>) {
    let (reading, mut writing) = tokio::io::split(stream);
    let mut reading = BufReader::new(reading);
    let request = match timeout(PATIENCE, read_request(&mut reading)).await {
        Ok(Ok(Some(request))) => request,
        Ok(Ok(None)) | Err(_) => return,
        Ok(Err(why)) => {
            let _ = write(&mut writing, &Reply::failed(why)).await;
            return;
        }
    };
    // A client that goes away stops waiting, and following.
    let mut rest = [0; 64];
    let gone = async { while let Ok(1..) = reading.read(&mut rest).await {} };
    let answered = async {
        let follows = request == Request::Follow;
        let (reply, answer) = oneshot::channel();
        if asks.send(Ask { request, reply }).await.is_err() {
            return;
        }
        let mut answer = answer.await.unwrap_or_else(|_| Reply::failed("the program is stopping"));
        while write(&mut writing, &answer).await.is_ok() && follows {
            // Only the newest is kept for a follower that reads slowly.
            let told = answer.status.take();
            match status.wait_for(|now| told.as_ref() != Some(now)).await {
                Ok(now) => answer = Reply::status(now.clone()),
                Err(_) => return,
            }
        }
    };
    tokio::select! {
        () = gone => {}
        () = answered => {}
    }
}

/// None where the client has gone without a word.
async fn read_request(reading: &mut (impl AsyncBufReadExt + Unpin)) -> Result<Option<Request>, String> {
    let mut line = Vec::new();
    let limit = MAX_LINE as u64 + 1;
    let count = reading.take(limit).read_until(b'\n', &mut line).await.map_err(|error| error.to_string())?;
    match count {
        0 => return Ok(None),
        _ if line.len() > MAX_LINE => return Err("the line is too long".to_owned()),
        _ => {}
    }
    let asked: Asked = serde_json::from_slice(&line).map_err(|error| format!("this is no request: {error}"))?;
    match asked.version {
        VERSION => Ok(Some(asked.request)),
        other => Err(format!("this program speaks version {VERSION}, not {other}; restart it")),
    }
}

async fn write(writing: &mut (impl AsyncWriteExt + Unpin), reply: &Reply) -> io::Result<()> {
    let line = serde_json::to_string(reply)?;
    writing.write_all(format!("{line}\n").as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path().join("mailknock"));
        (directory, place)
    }

    #[test]
    fn only_one_instance_at_a_time_and_no_lock_is_stale() {
        let (_directory, place) = place();
        let first = Instance::take(place.clone()).unwrap();
        assert!(matches!(Instance::take(place.clone()), Err(InstanceError::Running)));
        drop(first);
        assert!(place.lock().exists());
        assert!(Instance::take(place).is_ok());
    }

    #[tokio::test]
    async fn who_asks_is_answered_and_nobody_else_is_the_program_meanwhile() {
        let (_directory, place) = place();
        let (asks, mut asked) = mpsc::channel(1);
        let (_status, followed) = watch::channel(StatusJson::default());
        let (stop, stopped) = watch::channel(false);
        let server = Instance::take(place.clone()).unwrap().open().unwrap();
        let serving = tokio::spawn(server.serve(asks, followed, stopped));
        // One after the other: each finds a door.
        for _ in 0..3 {
            let asking = place.clone();
            let asking = tokio::task::spawn_blocking(move || {
                let mut errors = Vec::new();
                let done = super::super::ask(&asking, Request::Reload, Some(PATIENCE), |reply| {
                    errors.extend(reply.error);
                    super::super::Next::Stop
                });
                done.map(|()| errors)
            });
            let Ask { request, reply } = asked.recv().await.unwrap();
            assert_eq!(request, Request::Reload);
            reply.send(Reply::failed("not today")).unwrap();
            assert_eq!(asking.await.unwrap().unwrap(), ["not today"]);
        }
        let second = place.clone();
        let second = tokio::task::spawn_blocking(move || Instance::take(second));
        drop(asked.recv().await.unwrap().reply.send(Reply::done()));
        assert!(matches!(second.await.unwrap(), Err(InstanceError::Running)));
        stop.send_replace(true);
        serving.await.unwrap();
        let ask = tokio::task::spawn_blocking(move || {
            super::super::ask(&place, Request::Status, Some(PATIENCE), |_| super::super::Next::Stop)
        });
        assert!(matches!(ask.await.unwrap(), Err(super::super::AskError::NotRunning)));
    }

    #[test]
    fn requests_are_lines_of_json() {
        let read = |text: &str| {
            let asked: Asked = serde_json::from_str(text).unwrap();
            asked.request
        };
        assert_eq!(read(r#"{"version":1,"command":"status"}"#), Request::Status);
        assert_eq!(
            read(r#"{"version":1,"command":"fetch","handlers":["a"]}"#),
            Request::Fetch { handlers: vec!["a".into()] }
        );
        assert_eq!(read(r#"{"version":1,"command":"pause","seconds":5}"#), Request::Pause { seconds: Some(5) });
        assert_eq!(read(r#"{"version":1,"command":"toggle","seconds":5}"#), Request::Toggle { seconds: Some(5) });
        assert!(serde_json::from_str::<Asked>(r#"{"version":1,"command":"run","path":"/bin/sh"}"#).is_err());
    }
}
