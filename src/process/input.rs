//! What a child may read.

pub use kind::{feed, feed_all, readable};

/// A file in memory, read from its beginning: a child that doesn't read it neither blocks nor breaks anything.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
mod kind {
    use std::io::{self, Seek, Write};
    use std::process::Stdio;

    use tokio::process::Child;

    pub fn readable(bytes: &[u8]) -> io::Result<Stdio> {
        let file = rustix::fs::memfd_create("mailknock-events", rustix::fs::MemfdFlags::CLOEXEC)?;
        let mut file = std::fs::File::from(file);
        file.write_all(bytes)?;
        file.rewind()?;
        Ok(Stdio::from(file))
    }

    pub fn feed(_child: &mut Child, _bytes: Vec<u8>) {}

    pub fn feed_all(_child: std::process::Child, _bytes: &[u8]) {}
}

/// A pipe; a child that closes its end early is no error.
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
mod kind {
    use std::io::{self, Write};
    use std::process::Stdio;

    use tokio::io::AsyncWriteExt;
    use tokio::process::Child;

    pub fn readable(_bytes: &[u8]) -> io::Result<Stdio> {
        Ok(Stdio::piped())
    }

    /// In the background.
    pub fn feed(child: &mut Child, bytes: Vec<u8>) {
        if let Some(mut stdin) = child.stdin.take() {
            tokio::spawn(async move { stdin.write_all(&bytes).await });
        }
    }

    pub fn feed_all(child: std::process::Child, bytes: &[u8]) {
        if let Some(mut stdin) = child.stdin {
            // One that has gone needs nothing.
            let _ = stdin.write_all(bytes);
        }
    }
}
