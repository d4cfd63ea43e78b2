//! The program's end of the control socket, and the lock that makes it the only one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

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
        prepare(place.directory())?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600).custom_flags(no_follow());
        let lock = options.open(place.lock())?;
        let begun = Instant::now();
        loop {
            match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { place, _lock: lock }),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(io::Error::from(error).into()),
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
        let path = self.place.socket();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        // Nobody else gets into its directory in the meantime.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Server { instance: self, listener })
    }
}

fn no_follow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

/// Makes the directory, for us alone; one that is there already must be just that.
fn prepare(directory: &Path) -> Result<(), InstanceError> {
    match fs::DirBuilder::new().recursive(true).mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let refuse = |why: &str| {
        let path = directory.display().to_string();
        Err(InstanceError::Directory { path, why: why.to_owned() })
    };
    let found = fs::symlink_metadata(directory)?;
    if !found.is_dir() {
        return refuse("it is no directory; remove it");
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return refuse("it belongs to another user");
    }
    if found.mode() & 0o077 != 0 {
        return refuse("others can get into it; `chmod 700` it");
    }
    Ok(())
}

/// Whether the process at the other end runs as the same user; or as root, who may do what we may anyway.
pub fn is_ours(stream: &impl AsFd) -> bool {
    #[cfg(target_os = "linux")]
    return rustix::net::sockopt::socket_peercred(stream)
        .is_ok_and(|peer| peer.uid == rustix::process::geteuid() || peer.uid.is_root());
    // Elsewhere the directory alone must do.
    #[cfg(not(target_os = "linux"))]
    {
        let _ = stream;
        true
    }
}

/// An open control socket.
#[derive(Debug)]
pub struct Server {
    instance: Instance,
    listener: UnixListener,
}

impl Server {
    /// Serves until `stop` turns true. Requests go to `asks`; followers see what `status` holds whenever it changes.
    pub async fn serve(
        self,
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
                    Ok((stream, _)) if !is_ours(&stream) => refuse(&stream, "this program belongs to another user"),
                    Ok((stream, _)) if clients.len() >= MAX_CLIENTS => refuse(&stream, "too many clients"),
                    Ok((stream, _)) => drop(clients.spawn(client(stream, asks.clone(), status.clone()))),
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
        let _ = fs::remove_file(self.instance.place.socket());
    }
}

/// One line says why; nobody waits until it is read.
fn refuse(stream: &UnixStream, why: &str) {
    let reply = serde_json::to_string(&Reply::failed(why)).unwrap_or_default();
    let _ = stream.try_write(format!("{reply}\n").as_bytes());
}

async fn client(stream: UnixStream, asks: mpsc::Sender<Ask>, mut status: watch::Receiver<StatusJson>) {
    let (reading, mut writing) = stream.into_split();
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

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let (directory, place) = place();
        fs::create_dir(place.directory()).unwrap();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = Instance::take(place).unwrap_err().to_string();
        assert!(error.contains("others can get into it"), "{error}");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        assert!(Instance::take(Place::new(link)).unwrap_err().to_string().contains("no directory"));
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
