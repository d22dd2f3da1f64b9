//! File bytes that go from the page cache into the socket without passing through this process.
//!
//! hyper writes what a body gives it, in order, and knows no files. So for a piece of a file the
//! body gives a stand-in of the same length, a slice of one static buffer that is never read, and
//! puts the piece into a queue that it shares with the connection's stream. The stream sees by its
//! address that a slice is a stand-in and has the kernel send the piece in its place
//! (`sendfile(2)`): at once when it is small and the socket takes it, and else by lending the
//! socket to a thread that sends files. Framing and keep-alive stay hyper's.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future as _;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use rustix::io::{Errno, ReadWriteFlags};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::CHUNK_LEN;
use super::file::FilePart;
use super::sender::{Senders, Transfer};
use super::stall::StallGuard;

/// The longest piece of a file: what goes out without hyper being asked in between.
const PIECE_LEN: usize = 64 << 20;

/// What stands for file bytes until they are sent. Nothing ever reads it, so that the system gives
/// it addresses and no memory.
static STAND_IN: LazyLock<Vec<u8>> = LazyLock::new(|| vec![0; PIECE_LEN]);

/// How much is copied at a time where the file system knows no `sendfile`.
const COPY_LEN: usize = 64 * 1024;

/// Pieces of files between a body and the stream of its connection; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces(Arc<Mutex<VecDeque<FilePart>>>);

impl Pieces {
    /// Queues the first [`PIECE_LEN`] bytes of a part, at most, and returns what stands for them.
    fn push(&self, part: &mut FilePart) -> Bytes {
        let length = usize::try_from(part.length()).unwrap_or(PIECE_LEN).min(PIECE_LEN);
        self.queue().push_back(part.split_to(length as u64));
        Bytes::from_static(&STAND_IN[..length])
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<FilePart>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body of stand-ins for a part of a file.
pub(super) struct PieceBody {
    part: FilePart,
    pieces: Pieces,
}

impl PieceBody {
    pub(super) const fn new(part: FilePart, pieces: Pieces) -> Self {
        Self { part, pieces }
    }
}

impl Body for PieceBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        let more = this.part.length() > 0;
        Poll::Ready(more.then(|| Ok(Frame::data(this.pieces.push(&mut this.part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.part.length() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.part.length())
    }
}

/// Whether a part is in memory, so that reading it keeps nobody waiting. Looks at its first and
/// its last byte, which is where the kernel's reading ahead begins and ends.
pub(super) fn is_in_memory(part: &FilePart) -> bool {
    let is_there = |at: u64| {
        let mut byte = [0];
        let mut buffers = [IoSliceMut::new(&mut byte)];
        match rustix::io::preadv2(part.file(), &mut buffers, at, ReadWriteFlags::NOWAIT) {
            Ok(read) => read == 1,
            // A file system that is memory itself, or cannot tell.
            Err(Errno::OPNOTSUPP) => true,
            Err(_) => false,
        }
    };
    let (start, length) = (part.start(), part.length());
    length > 0 && is_there(start) && is_there(start + length - 1)
}

/// Sends some of the first `length` bytes of a part over a socket that does not block.
pub(super) fn send_some(stream: &TcpStream, part: &FilePart, length: u64) -> io::Result<u64> {
    let length = usize::try_from(length).unwrap_or(PIECE_LEN);
    let mut at = part.start();
    let sent = match rustix::fs::sendfile(stream, part.file(), Some(&mut at), length) {
        Err(Errno::INVAL | Errno::NOSYS) => copy_some(stream, part.file(), at, length),
        sent => sent.map_err(io::Error::from),
    };
    sent.map(|sent| sent as u64)
}

/// The same where the kernel cannot.
fn copy_some(stream: &TcpStream, file: &File, at: u64, length: usize) -> io::Result<usize> {
    let mut buffer = vec![0; length.min(COPY_LEN)];
    file.read_exact_at(&mut buffer, at)?;
    rustix::io::write(stream, &buffer).map_err(io::Error::from)
}

fn is_stand_in(slice: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&slice.as_ptr()) && !slice.is_empty()
}

/// A TCP stream that sends pieces in the place of their stand-ins.
#[derive(Debug)]
pub(super) struct SplicingStream {
    socket: Socket,
    pieces: Pieces,
    senders: Arc<Senders>,
}

/// Where the socket is.
#[derive(Debug)]
enum Socket {
    Here(StallGuard<TcpStream>),
    /// A thread sends a piece of this many bytes over it.
    Lent {
        transfer: Transfer,
        length: usize,
        patience: Duration,
    },
    /// It was lost with a transfer that failed.
    Gone,
}

impl SplicingStream {
    /// A client that takes nothing for as long as `patience` is given up.
    pub(super) fn new(stream: TcpStream, patience: Duration, senders: Arc<Senders>) -> Self {
        let socket = Socket::Here(StallGuard::new(stream, patience));
        Self { socket, pieces: Pieces::default(), senders }
    }

    /// The queue that bodies of this connection put their pieces into.
    pub(super) fn pieces(&self) -> Pieces {
        self.pieces.clone()
    }

    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Here(stream) => stream.stream().local_addr().ok(),
            Socket::Lent { .. } | Socket::Gone => None,
        }
    }

    /// The socket for hyper's own bytes, which never come while a piece is being sent.
    fn here(&mut self) -> io::Result<Pin<&mut StallGuard<TcpStream>>> {
        match &mut self.socket {
            Socket::Here(stream) => Ok(Pin::new(stream)),
            Socket::Lent { .. } | Socket::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Sends some of the first piece, whose stand-in has `expected` bytes left.
    fn poll_piece(&mut self, cx: &mut Context<'_>, expected: usize) -> Poll<io::Result<usize>> {
        if let Socket::Here(stream) = &self.socket {
            let mut queue = self.pieces.queue();
            let piece = queue.front_mut().filter(|piece| piece.length() == expected as u64);
            let Some(piece) = piece else {
                // Cut rather than sending zeros as somebody's kernel.
                return Poll::Ready(Err(io::Error::other("a stand-in without its piece")));
            };
            if let Some(sent) = send_now(stream.stream(), piece) {
                if piece.length() == 0 {
                    queue.pop_front();
                }
                return Poll::Ready(sent);
            }
            let piece = queue.pop_front();
            drop(queue);
            if let Some(piece) = piece {
                self.lend(piece, expected)?;
            }
        }
        let Socket::Lent { transfer, length, patience } = &mut self.socket else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let ended = ready!(Pin::new(transfer).poll(cx));
        let (length, patience) = (*length, *patience);
        self.socket = Socket::Gone;
        let stream = TcpStream::from_std(ended.map_err(io::Error::other)??)?;
        self.socket = Socket::Here(StallGuard::new(stream, patience));
        Poll::Ready(Ok(length))
    }

    /// Hands the socket to a thread that sends the piece and gives it back.
    fn lend(&mut self, piece: FilePart, length: usize) -> io::Result<()> {
        let Socket::Here(stream) = std::mem::replace(&mut self.socket, Socket::Gone) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let patience = stream.longest();
        let socket = stream.into_stream().into_std()?;
        let transfer = self.senders.send(socket, piece, patience);
        self.socket = Socket::Lent { transfer, length, patience };
        Ok(())
    }
}

/// Sends some of a small piece, if that keeps nobody waiting.
fn send_now(stream: &TcpStream, piece: &mut FilePart) -> Option<io::Result<usize>> {
    let length = piece.length();
    if length > CHUNK_LEN as u64 || !piece.is_written() || !is_in_memory(piece) {
        return None;
    }
    match stream.try_io(Interest::WRITABLE, || send_some(stream, piece, length)) {
        Ok(0) | Err(_) => None,
        Ok(sent) => {
            drop(piece.split_to(sent));
            Some(usize::try_from(sent).map_err(io::Error::other))
        }
    }
}

impl AsyncRead for SplicingStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.socket {
            Socket::Here(stream) => Pin::new(stream).poll_read(cx, buf),
            // hyper looks again when the piece is sent, and a client that is gone ends that.
            Socket::Lent { .. } => Poll::Pending,
            Socket::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for SplicingStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if is_stand_in(bytes) {
            return this.poll_piece(cx, bytes.len());
        }
        this.here()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let plain = slices.iter().position(|slice| is_stand_in(slice)).unwrap_or(slices.len());
        match slices.first() {
            Some(first) if plain == 0 => this.poll_piece(cx, first.len()),
            _ => this.here()?.poll_write_vectored(cx, &slices[..plain]),
        }
    }

    // Without this hyper would copy stand-ins into a buffer of its own.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().here()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Here(stream) => Pin::new(stream).poll_shutdown(cx),
            // Dropping it cuts the connection.
            Socket::Lent { .. } | Socket::Gone => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests;
