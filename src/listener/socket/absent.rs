//! Where there are no such sockets: to listen at one is an error, and a port of this machine stands in for those of ours.

use std::io;
use std::path::Path;

use tokio::net::TcpStream;

use crate::config::Address;

pub async fn connect(_path: &Path) -> io::Result<TcpStream> {
    Err(io::ErrorKind::Unsupported.into())
}

pub fn is_taken(_path: &Path) -> bool {
    false
}

/// A port that was free a moment ago. Where another program has taken it by then, whoever binds it says so.
pub fn own(_directory: &Path, _name: &str) -> io::Result<Address> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr().map(Address::Tcp)
}

#[derive(Debug)]
pub enum Bound {}

impl Bound {
    pub fn new(_path: &Path) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "there are no such sockets here; listen on 127.0.0.1:12525"))
    }

    pub fn path(&self) -> &Path {
        match *self {}
    }

    pub async fn accept(&self) -> io::Result<TcpStream> {
        match *self {}
    }
}
