//! Bodies that read files: for connections which cannot take pieces of them as they are.

use std::fs::File;
use std::future::Future as _;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body::{Body, Frame, SizeHint};
use http_body_util::StreamBody;
use tokio::task::JoinHandle;

use super::{CHUNK_LEN, FilePart};

/// The bytes of a file from `next` to `end`, read on the blocking threads one chunk ahead.
///
/// No thread waits while the client is slow: a read is started when the chunk before it goes
/// out, so hundreds of stalled downloads hold no more than their chunks.
pub(super) struct FileBody {
    file: Arc<File>,
    next: u64,
    end: u64,
    sent: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    // Chunks that were handed out; when the connection has dropped its half, the memory is used
    // again and need not be cleared.
    spare: Vec<Bytes>,
}

impl FileBody {
    pub(super) fn new(part: FilePart) -> Self {
        let (start, end) = (part.start(), part.start() + part.length());
        let file = Arc::clone(part.file());
        Self { file, next: start, end, sent: start, reading: None, spare: Vec::new() }
    }

    fn read_ahead(&mut self) {
        let length = chunk_length(self.end - self.next);
        if length == 0 {
            return;
        }
        let (file, at) = (Arc::clone(&self.file), self.next);
        let buffer = self.buffer();
        self.next += length as u64;
        self.reading =
            Some(tokio::task::spawn_blocking(move || read_chunk(&file, at, length, buffer)));
    }

    /// A used buffer when one is free.
    fn buffer(&mut self) -> BytesMut {
        for _ in 0..self.spare.len() {
            match self.spare.remove(0).try_into_mut() {
                Ok(free) => return free,
                Err(busy) => self.spare.push(busy),
            }
        }
        BytesMut::new()
    }
}

fn chunk_length(left: u64) -> usize {
    usize::try_from(left).unwrap_or(CHUNK_LEN).min(CHUNK_LEN)
}

pub(super) fn read_chunk(
    file: &File,
    at: u64,
    length: usize,
    mut buffer: BytesMut,
) -> io::Result<Bytes> {
    buffer.resize(length, 0);
    file.read_exact_at(&mut buffer, at)?;
    Ok(buffer.freeze())
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if this.reading.is_none() {
            this.read_ahead();
        }
        let Some(reading) = &mut this.reading else { return Poll::Ready(None) };
        let read = ready!(Pin::new(reading).poll(cx));
        this.reading = None;
        let bytes = read.map_err(io::Error::other).flatten();
        match bytes {
            Ok(bytes) => {
                this.sent += bytes.len() as u64;
                this.read_ahead();
                if this.next < this.end && this.spare.len() < 3 {
                    this.spare.push(bytes.clone());
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Err(error) => {
                // The file shrank or the disk fails: the connection is cut, so that the client
                // sees fewer bytes than announced.
                this.next = this.end;
                tracing::error!(error = %error, "a file could not be read to its end");
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.sent >= self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end.saturating_sub(self.sent))
    }
}

/// The bytes of a file that is still being written, as soon as they are there; an error cuts the
/// connection, so that the client sees fewer bytes than it was promised.
pub(super) fn growing(part: FilePart) -> impl Body<Data = Bytes, Error = io::Error> + Send {
    StreamBody::new(stream::try_unfold(part, |mut part| async move {
        if part.length() == 0 {
            return Ok(None);
        }
        let now = part.readable().await?;
        let chunk = part.split_to(now.min(CHUNK_LEN as u64));
        let bytes = tokio::task::spawn_blocking(move || {
            read_chunk(chunk.file(), chunk.start(), chunk_length(chunk.length()), BytesMut::new())
        });
        let bytes = bytes.await.map_err(io::Error::other)??;
        Ok(Some((Frame::data(bytes), part)))
    }))
}
