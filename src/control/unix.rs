//! A Unix socket, in a directory that is its user's alone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixListener;

use super::{AskError, Place};

pub type Stream = tokio::net::UnixStream;

/// A connection to the running program, on which each step may take so long.
pub fn connect(place: &Place, patience: Option<Duration>) -> Result<UnixStream, AskError> {
    let stream = UnixStream::connect(place.socket())?;
    is_ours(&stream).then_some(()).ok_or_else(|| AskError::Broken("it belongs to somebody else".to_owned()))?;
    stream.set_write_timeout(patience)?;
    stream.set_read_timeout(patience)?;
    Ok(stream)
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

/// A socket with its name; the name goes with it.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    pub fn bind(place: &Place) -> io::Result<Self> {
        let path = place.socket();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        // Nobody else gets into its directory in the meantime.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    pub async fn accept(&mut self) -> io::Result<Stream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Opens the file of the lock, and makes it where there is none.
pub fn lock_file(path: &Path) -> io::Result<File> {
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600).custom_flags(no_follow).open(path)
}

/// Makes the directory, for us alone; one that is there already must be just that, or it is said why it isn't.
pub fn prepare(directory: &Path) -> io::Result<Result<(), &'static str>> {
    match fs::DirBuilder::new().recursive(true).mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(directory)?;
    Ok(if !found.is_dir() {
        Err("it is no directory; remove it")
    } else if found.uid() != rustix::process::geteuid().as_raw() {
        Err("it belongs to another user")
    } else if found.mode() & 0o077 != 0 {
        Err("others can get into it; `chmod 700` it")
    } else {
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::super::Instance;
    use super::*;

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path().join("mailknock"));
        fs::create_dir(place.directory()).unwrap();
        fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = Instance::take(place).unwrap_err().to_string();
        assert!(error.contains("others can get into it"), "{error}");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        assert!(Instance::take(Place::new(link)).unwrap_err().to_string().contains("no directory"));
    }
}
