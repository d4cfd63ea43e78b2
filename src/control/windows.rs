//! A named pipe. By the system's own rule for pipes that name no other, its user, administrators and the system may write
//! to it, and everybody may read: who only reads is told nothing, since nothing is said unasked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeClient, NamedPipeServer, ServerOptions};
use tokio::runtime::Runtime;

use super::{AskError, Place};

/// All doors are taken for a moment, until the server has made the next (winerror.h).
const PIPE_BUSY: i32 = 231;
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Where somebody would wait for ever, it is for an answer and not for a door.
const DOOR: Duration = Duration::from_secs(5);

pub type Stream = NamedPipeServer;

/// The asker's end, on which each step may take so long. Only by a runtime can a pipe be waited for in bounded time.
pub struct Pipe {
    runtime: Runtime,
    stream: NamedPipeClient,
    patience: Option<Duration>,
}

pub fn connect(place: &Place, patience: Option<Duration>) -> Result<Pipe, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (name, begun) = (place.pipe(), Instant::now());
    let stream = loop {
        let _entered = runtime.enter();
        // The server learns who we are, and no more: it can't act in our name.
        match ClientOptions::new().open(&name) {
            Err(error) if error.raw_os_error() == Some(PIPE_BUSY) && begun.elapsed() < patience.unwrap_or(DOOR) => {
                std::thread::sleep(LOOK_AGAIN);
            }
            opened => break opened?,
        }
    };
    Ok(Pipe { runtime, stream, patience })
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self { runtime, stream, patience } = self;
        match runtime.block_on(within(*patience, stream.read(buffer))) {
            // So a pipe says that the other end is gone.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            read => read,
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { runtime, stream, patience } = self;
        runtime.block_on(within(*patience, stream.write(bytes)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn within<T>(patience: Option<Duration>, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match patience {
        Some(patience) => tokio::time::timeout(patience, step).await.unwrap_or(Err(io::ErrorKind::TimedOut.into())),
        None => step.await,
    }
}

/// Who isn't could open it for reading only, and so never asks.
pub fn is_ours(_stream: &Stream) -> bool {
    true
}

#[derive(Debug)]
pub struct Listener {
    name: String,
    /// The door that the next client comes through.
    next: NamedPipeServer,
}

impl Listener {
    /// Fails where somebody else has a pipe of this name, whoever they are.
    pub fn bind(place: &Place) -> io::Result<Self> {
        let name = place.pipe();
        let next = options().first_pipe_instance(true).create(&name)?;
        Ok(Self { name, next })
    }

    pub async fn accept(&mut self) -> io::Result<Stream> {
        let connected = self.next.connect().await;
        // Before this client is served: at no moment is there no pipe. A door that failed isn't tried again.
        let next = options().create(&self.name)?;
        let stream = std::mem::replace(&mut self.next, next);
        connected.map(|()| stream)
    }
}

fn options() -> ServerOptions {
    let mut options = ServerOptions::new();
    options.reject_remote_clients(true);
    options
}

pub fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// Makes the directory. It is below the user's own, which others can't get into.
pub fn prepare(directory: &Path) -> io::Result<Result<(), &'static str>> {
    fs::create_dir_all(directory).map(Ok)
}
