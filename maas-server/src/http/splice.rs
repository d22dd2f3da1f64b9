//! File bytes that go from the page cache into the socket without passing through this process.
//!
//! hyper writes what a body gives it, in order, and knows no files. So for a piece of a file the
//! body gives a stand-in of the same length, a slice of one static buffer, and puts the piece into
//! a queue that it shares with the connection's stream. The stream sees by its address that a slice
//! is a stand-in and has the kernel send the piece in its place (`sendfile(2)`). Framing, keep-alive
//! and time limits stay hyper's.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::CHUNK_LEN;

/// What stands for file bytes until they are sent; nothing ever reads it.
static STAND_IN: [u8; CHUNK_LEN] = [0; CHUNK_LEN];

/// How much is copied at a time where the file system knows no `sendfile`.
const COPY_LEN: usize = 64 * 1024;

/// Pieces of files between a body and the stream of its connection; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces(Arc<Mutex<VecDeque<Piece>>>);

#[derive(Debug)]
struct Piece {
    file: Arc<File>,
    at: u64,
    left: usize,
}

impl Pieces {
    /// Queues a piece of at most [`CHUNK_LEN`] bytes and returns what stands for it.
    pub(super) fn push(&self, file: &Arc<File>, at: u64, length: usize) -> Bytes {
        let length = length.min(CHUNK_LEN);
        self.queue().push_back(Piece { file: Arc::clone(file), at, left: length });
        Bytes::from_static(&STAND_IN[..length])
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Piece>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether bytes of a file are in memory, so that reading them keeps nobody waiting. Looks at the
/// first and the last of them, which is where the kernel's reading ahead begins and ends.
pub(super) fn is_in_memory(file: &File, at: u64, length: usize) -> bool {
    let is_there = |at: u64| {
        let mut byte = [0];
        let mut buffers = [IoSliceMut::new(&mut byte)];
        match rustix::io::preadv2(file, &mut buffers, at, ReadWriteFlags::NOWAIT) {
            Ok(read) => read == 1,
            // A file system that is memory itself, or cannot tell.
            Err(Errno::OPNOTSUPP) => true,
            Err(_) => false,
        }
    };
    length > 0 && is_there(at) && is_there(at + length as u64 - 1)
}

fn is_stand_in(slice: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&slice.as_ptr()) && !slice.is_empty()
}

/// A TCP stream that sends pieces in the place of their stand-ins.
#[derive(Debug)]
pub(super) struct SplicingStream {
    stream: TcpStream,
    pieces: Pieces,
}

impl SplicingStream {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, pieces: Pieces::default() }
    }

    /// The queue that bodies of this connection put their pieces into.
    pub(super) fn pieces(&self) -> Pieces {
        self.pieces.clone()
    }

    /// Sends some of the first piece, whose stand-in has `expected` bytes left.
    fn poll_piece(&self, cx: &mut Context<'_>, expected: usize) -> Poll<io::Result<usize>> {
        let mut queue = self.pieces.queue();
        let Some(piece) = queue.front_mut().filter(|piece| piece.left == expected) else {
            // Cut rather than sending zeros as somebody's kernel.
            return Poll::Ready(Err(io::Error::other("a stand-in without its piece of a file")));
        };
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let sent = self.stream.try_io(Interest::WRITABLE, || {
                let mut at = piece.at;
                match rustix::fs::sendfile(&self.stream, &piece.file, Some(&mut at), piece.left) {
                    Err(Errno::INVAL | Errno::NOSYS) => self.copy(piece),
                    sent => sent.map_err(io::Error::from),
                }
            });
            match sent {
                // The file has become shorter: the client sees fewer bytes than announced.
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(sent) => {
                    piece.at += sent as u64;
                    piece.left = piece.left.saturating_sub(sent);
                    if piece.left == 0 {
                        queue.pop_front();
                    }
                    return Poll::Ready(Ok(sent));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                    _ => return Poll::Ready(Err(error)),
                },
            }
        }
    }

    /// The same where the kernel cannot.
    fn copy(&self, piece: &Piece) -> io::Result<usize> {
        let mut buffer = vec![0; piece.left.min(COPY_LEN)];
        piece.file.read_exact_at(&mut buffer, piece.at)?;
        rustix::io::write(&self.stream, &buffer).map_err(io::Error::from)
    }
}

impl AsyncRead for SplicingStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for SplicingStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if is_stand_in(bytes) {
            return self.poll_piece(cx, bytes.len());
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let plain = slices.iter().position(|slice| is_stand_in(slice)).unwrap_or(slices.len());
        match slices.first() {
            Some(first) if plain == 0 => self.poll_piece(cx, first.len()),
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..plain]),
        }
    }

    // Without this hyper would copy stand-ins into a buffer of its own.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write as _;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (SplicingStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (SplicingStream::new(listener.accept().await.unwrap().0), client)
    }

    fn file(content: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Arc::new(file)
    }

    #[tokio::test]
    async fn a_piece_is_sent_in_the_place_of_its_stand_in_between_other_bytes() {
        let (mut server, mut client) = pair().await;
        let content: Vec<u8> = (0..CHUNK_LEN).map(|i| (i % 251) as u8).collect();
        let file = file(&content);
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            client.read_to_end(&mut all).await.unwrap();
            all
        });
        let stands = server.pieces().push(&file, 10, CHUNK_LEN - 20);
        server.write_all(b"before ").await.unwrap();
        let mut rest = &stands[..];
        while !rest.is_empty() {
            let slices = [IoSlice::new(rest), IoSlice::new(b" after")];
            let sent = server.write_vectored(&slices).await.unwrap();
            assert!(sent <= rest.len(), "a piece is sent by itself");
            rest = &rest[sent..];
        }
        server.write_all(b" after").await.unwrap();
        drop(server);
        let expected = [b"before ", &content[10..CHUNK_LEN - 10], b" after"].concat();
        assert!(reading.await.unwrap() == expected);
    }

    #[tokio::test]
    async fn a_stand_in_whose_piece_is_not_there_or_has_no_bytes_is_an_error_and_no_zeros() {
        let (mut server, _client) = pair().await;
        let file = file(b"short");
        let stands = server.pieces().push(&file, 5, 7);
        let ended = server.write(&stands).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
        let (mut server, _client) = pair().await;
        assert!(server.write(&stands).await.is_err());
    }

    #[test]
    fn bytes_that_were_just_written_are_in_memory_and_those_behind_the_end_are_not() {
        let file = file(b"here");
        assert!(is_in_memory(&file, 0, 4));
        assert!(!is_in_memory(&file, 0, 5));
        assert!(!is_in_memory(&file, 0, 0));
    }
}
