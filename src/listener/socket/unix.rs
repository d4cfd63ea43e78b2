//! Sockets that have a name among the files.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::config::Address;

/// A connection to whoever listens there.
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path).await
}

/// Whether somebody listens at this socket.
pub fn is_taken(path: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(path).is_ok()
}

/// An address that only this user reaches, for a purpose of ours.
pub fn own(directory: &Path, name: &str) -> io::Result<Address> {
    Ok(Address::Unix(directory.join(name)))
}

/// A Unix socket with its name; the name goes with it.
#[derive(Debug)]
pub struct Bound {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Bound {
    /// Binds it for this user alone. One that nobody listens on any more is replaced.
    pub fn new(path: &Path) -> io::Result<Self> {
        // Nobody could reach it.
        std::os::unix::net::SocketAddr::from_pathname(path).map_err(too_long)?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
            let text = format!("failed to make the directory {}: {error}", directory.display());
            io::Error::new(error.kind(), text)
        })?;
        check_directory(directory)?;
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(found) if !found.file_type().is_socket() => {
                return Err(io::Error::new(ErrorKind::AlreadyExists, "there is something that is no socket"));
            }
            Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => return Err(ErrorKind::AddrInUse.into()),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error),
            },
        }
        // A socket is born open to others. So it is born where they can't get at it, and moved when it is ours.
        let cradle = tempfile_in(directory)?;
        let made = bind_in(&cradle, path);
        let _ = fs::remove_dir_all(&cradle);
        made
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Another one may have taken the name.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn bind_in(cradle: &Path, path: &Path) -> io::Result<Bound> {
    let young = cradle.join("s");
    let listener = UnixListener::bind(&young).map_err(too_long)?;
    fs::set_permissions(&young, Permissions::from_mode(0o600))?;
    let inode = fs::symlink_metadata(&young)?.ino();
    fs::rename(&young, path)?;
    Ok(Bound { listener, path: path.to_owned(), inode })
}

fn too_long(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::InvalidInput => {
            io::Error::new(ErrorKind::InvalidInput, "the path is too long for a socket; choose a shorter one")
        }
        _ => error,
    }
}

/// A new directory for us alone.
fn tempfile_in(directory: &Path) -> io::Result<PathBuf> {
    let own = std::process::id();
    for number in 0..100 {
        let path = directory.join(format!(".{own}-{number}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|()| path),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Whoever can write the directory could put another socket in the place of ours.
fn check_directory(directory: &Path) -> io::Result<()> {
    match crate::paths::is_unsafe(&fs::metadata(directory)?) {
        Some(why) => {
            let text = format!("{} {why}", directory.display());
            Err(io::Error::new(ErrorKind::PermissionDenied, text))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_for_us_alone_and_goes_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("below/push.sock");
        let bound = Bound::new(&path).unwrap();
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left there");
        assert_eq!(Bound::new(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        let (_client, accepted) = tokio::join!(UnixStream::connect(&path), bound.accept());
        accepted.unwrap();
        drop(bound);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn one_left_behind_is_replaced_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("push.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let bound = Bound::new(&path).unwrap();
        // Somebody else's of the same name stays when ours goes.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        drop(bound);
        assert!(path.exists());
        assert_eq!(Bound::new(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(Bound::new(&directory.path().join("x")).unwrap_err().to_string().contains("others can write it"));
    }
}
