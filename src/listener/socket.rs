//! What is listened on: a TCP address or a Unix socket.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use crate::config::Address;

#[cfg(not(unix))]
mod absent;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use absent as local;
#[cfg(unix)]
use unix as local;

pub use local::{is_taken, own};

/// A connection's bytes, whatever carries them.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to whoever listens there.
pub async fn connect(address: &Address) -> io::Result<Box<dyn Stream>> {
    match address {
        Address::Tcp(address) => Ok(Box::new(TcpStream::connect(address).await?)),
        Address::Unix(path) => Ok(Box::new(local::connect(path).await?)),
    }
}

#[derive(Debug)]
pub enum Socket {
    Tcp(TcpListener),
    Unix(local::Bound),
}

impl Socket {
    pub async fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Address::Unix(path) => Ok(Self::Unix(local::Bound::new(path)?)),
        }
    }

    /// Where it listens, with the port that the system chose.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(Address::Tcp),
            Self::Unix(socket) => Ok(Address::Unix(socket.path().to_owned())),
        }
    }

    /// The next connection, and where it comes from; over a Unix socket that is nowhere.
    pub async fn accept(&self) -> io::Result<(Box<dyn Stream>, Option<SocketAddr>)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok((Box::new(stream), Some(peer)))
            }
            Self::Unix(socket) => Ok((Box::new(socket.accept().await?), None)),
        }
    }
}
