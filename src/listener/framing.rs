//! Watches the bytes of a connection for requests whose end is in doubt.
//!
//! A head with both a length and a transfer encoding means one request to us and another to whoever stands before us
//! (RFC 9112 section 6.1). hyper takes the length out before anybody can see it, so the bytes are read along here: just
//! enough of HTTP/1.1 to know where heads begin.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::MAX_HEAD;

#[derive(Debug, Default)]
pub struct Framing {
    state: State,
    head: Vec<u8>,
    head_began: Option<Instant>,
    is_ambiguous: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Head,
    /// So many bytes are left of a body with a length.
    Body(u64),
    /// In the line that gives a chunk's size; how far it has come, and whether its digits are over.
    ChunkSize { size: u64, is_over: bool },
    /// So many bytes are left of a chunk, its line's end included.
    Chunk(u64),
    /// After the last chunk, in a line. Other than in a head, a line feed alone doesn't end it.
    Trailer { is_empty: bool, is_ending: bool },
    /// Nothing more can be told.
    Lost,
}

impl State {
    const TRAILER: State = State::Trailer { is_empty: true, is_ending: false };
}

impl Framing {
    /// Whether any head so far had both a length and a transfer encoding.
    pub fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    /// When the first byte of the newest head came.
    pub fn head_began(&self) -> Option<Instant> {
        self.head_began
    }

    pub fn read(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            match &mut self.state {
                State::Lost => return,
                State::Body(left) | State::Chunk(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= taken as u64;
                    bytes = &bytes[taken..];
                    self.end_of_part();
                    continue;
                }
                State::Head => {
                    if self.head.is_empty() {
                        self.head_began = Some(Instant::now());
                    }
                    self.head.push(byte);
                    if self.head.ends_with(b"\n\r\n") || self.head.ends_with(b"\n\n") {
                        self.end_of_head();
                    } else if self.head.len() > MAX_HEAD {
                        self.state = State::Lost;
                    }
                }
                State::ChunkSize { size, is_over } => match byte {
                    b'\n' => {
                        self.state = if *size == 0 { State::TRAILER } else { State::Chunk(size.saturating_add(2)) }
                    }
                    _ => match (char::from(byte).to_digit(16), *is_over) {
                        (Some(digit), false) => *size = size.saturating_mul(16).saturating_add(u64::from(digit)),
                        _ => *is_over = true,
                    },
                },
                State::Trailer { is_empty, is_ending } => match byte {
                    b'\n' if *is_ending => self.state = if *is_empty { State::Head } else { State::TRAILER },
                    b'\r' => *is_ending = true,
                    _ => (*is_empty, *is_ending) = (false, false),
                },
            }
            bytes = rest;
        }
    }

    fn end_of_part(&mut self) {
        match self.state {
            State::Body(0) => self.state = State::Head,
            State::Chunk(0) => self.state = State::ChunkSize { size: 0, is_over: false },
            _ => {}
        }
    }

    fn end_of_head(&mut self) {
        let head = std::mem::take(&mut self.head);
        let mut length = None;
        let mut is_encoded = false;
        for line in head.split(|byte| *byte == b'\n').skip(1) {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.trim_ascii().eq_ignore_ascii_case(b"content-length") {
                length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse::<u64>().ok()).or(Some(0));
            } else if name.trim_ascii().eq_ignore_ascii_case(b"transfer-encoding") {
                is_encoded = true;
            }
        }
        self.is_ambiguous |= length.is_some() && is_encoded;
        self.state = match (length, is_encoded) {
            _ if self.is_ambiguous => State::Lost,
            (_, true) => State::ChunkSize { size: 0, is_over: false },
            (Some(1..), false) => State::Body(length.unwrap_or(0)),
            _ => State::Head,
        };
    }
}

/// A connection that is watched.
pub struct Watched<T> {
    stream: T,
    framing: Arc<Mutex<Framing>>,
}

impl<T> Watched<T> {
    pub fn new(stream: T) -> (Self, Arc<Mutex<Framing>>) {
        let framing = Arc::default();
        (Self { stream, framing: Arc::clone(&framing) }, framing)
    }

    pub fn into_inner(self) -> T {
        self.stream
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let mut framing = self.framing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        framing.read(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &str, expected: bool) {
        let mut whole = Framing::default();
        whole.read(bytes.as_bytes());
        let mut split = Framing::default();
        bytes.as_bytes().iter().for_each(|byte| split.read(std::slice::from_ref(byte)));
        assert_eq!((whole.is_ambiguous(), split.is_ambiguous()), (expected, expected), "{bytes:?}");
    }

    const BOTH: &str = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-length: 5\r\n\r\n";

    #[test]
    fn both_in_one_head_is_ambiguous_in_either_order() {
        check(BOTH, true);
        check("PUT / HTTP/1.1\r\nContent-Length: 5\r\ntransfer-encoding: chunked\r\n\r\n", true);
        check("PUT / HTTP/1.1\nContent-Length : x\nTRANSFER-ENCODING:gzip\n\n", true);
    }

    #[test]
    fn bodies_are_no_heads_and_heads_behind_them_are_seen() {
        let body = "a: b\r\ncontent-length: 1\r\ntransfer-encoding: x\r\n\r\n";
        let with_length = format!("PUT / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        check(&with_length, false);
        check(&format!("{with_length}GET / HTTP/1.1\r\n\r\n{BOTH}"), true);
        let chunked = format!(
            "PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{:X};ext=1\r\n{body}\r\n3\r\nabc\r\n0\r\ntrailer: x\r\n\r\n",
            body.len()
        );
        check(&chunked, false);
        check(&format!("{chunked}{BOTH}"), true);
    }

    #[test]
    fn heads_end_as_hyper_sees_it_and_so_do_trailers() {
        check("PUT / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\n\r\n", true);
        let first = "PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n";
        let hidden = format!("x: y\n\nPUT / HTTP/1.1\nContent-Length: {}\r\n\r\n", BOTH.len());
        check(&format!("{first}{hidden}{BOTH}"), true);
        check(&format!("{first}x: y\r\n\r\n{BOTH}"), true);
        check(&format!("{first}{BOTH}\r\n"), false);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(0_u8.., 0..300)) {
            Framing::default().read(&bytes);
        }
    }
}
