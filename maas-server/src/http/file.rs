//! Files as replies: whole or one range of them, with validators, never shorter than announced.

use std::future::Future as _;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use super::splice::{Pieces, is_in_memory};
use super::{BoxError, Problem, Reply};

/// How many bytes are read and sent at a time.
pub const CHUNK_LEN: usize = 256 * 1024;

/// A file ready to be sent; its length is known to be right.
#[derive(Clone, Debug)]
pub struct FileContent {
    file: Arc<std::fs::File>,
    length: u64,
    media_type: String,
    tag: Option<String>,
}

/// Why a file cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// There is no such file.
    #[error("no file {path}")]
    Absent {
        /// Its path.
        path: PathBuf,
    },
    /// It is a directory or a device.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// Its path.
        path: PathBuf,
    },
    /// It is shorter or longer than it must be.
    #[error("{path} has {found} bytes in place of {expected}")]
    Length {
        /// Its path.
        path: PathBuf,
        /// The bytes it must have.
        expected: u64,
        /// The bytes it has.
        found: u64,
    },
    /// The system refuses.
    #[error("cannot read {path}")]
    Io {
        /// Its path.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Absent { .. } | FileError::NotAFile { .. } => Self::not_found("Not Found"),
            other => Self::internal(other),
        }
    }
}

impl FileContent {
    /// Opens a file. With `expected`, in bytes, a file of any other length is an error: a
    /// truncated image must not be answered as a whole one.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn open(path: &Path, expected: Option<u64>) -> Result<Self, FileError> {
        let path = path.to_owned();
        let at = path.clone();
        let opened = tokio::task::spawn_blocking(move || open(&path, expected)).await;
        opened.map_err(|error| FileError::Io { path: at, source: io::Error::other(error) })?
    }

    /// The media type in place of `application/octet-stream`.
    #[must_use]
    pub fn media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = media_type.into();
        self
    }

    /// A digest of the content (hex SHA-256): becomes the strong `ETag`.
    #[must_use]
    pub fn digest(mut self, digest: &str) -> Self {
        self.tag = Some(format!("\"{digest}\""));
        self
    }

    /// The length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// At most `length` bytes from `at` on; fewer only at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read or has become shorter.
    pub async fn read_at(&self, at: u64, length: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
        let (file, length) = (Arc::clone(&self.file), length.min(left));
        let read =
            tokio::task::spawn_blocking(move || read_chunk(&file, at, length, BytesMut::new()));
        read.await.map_err(io::Error::other)?
    }

    /// Notes that it is used now, as its time of modification: what least recently was used
    /// survives a restart by that.
    pub(crate) fn mark_used(&self) {
        if let Err(error) = self.file.set_modified(std::time::SystemTime::now()) {
            tracing::debug!(%error, "the use of a file cannot be noted");
        }
    }

    /// A file that is open already, which must have this length in bytes.
    pub(crate) async fn of_file(
        file: Arc<std::fs::File>,
        expected: u64,
    ) -> Result<Self, FileError> {
        let path = PathBuf::from("(open file)");
        let length = file.metadata().map_err(|source| FileError::Io { path: path.clone(), source });
        let found = length?.len();
        if found != expected {
            return Err(FileError::Length { path, expected, found });
        }
        let media_type = "application/octet-stream".to_owned();
        Ok(Self { file, length: found, media_type, tag: None })
    }

    /// The answer to a request with these headers: 200, 206, 304 or 416.
    #[must_use]
    pub fn reply(self, request: &HeaderMap) -> Reply {
        let Self { file, length, media_type, tag } = self;
        ranged(request, length, tag.as_deref(), |start, end| {
            Reply::file(&media_type, FilePart { file, start, end })
        })
    }
}

/// The bytes of a file from `start` to, not including, `end`.
#[derive(Clone, Debug)]
pub(super) struct FilePart {
    file: Arc<std::fs::File>,
    start: u64,
    end: u64,
}

impl FilePart {
    pub(super) const fn length(&self) -> u64 {
        self.end - self.start
    }

    /// A body that reads them.
    pub(super) fn read(self) -> FileBody {
        FileBody::new(self, None)
    }

    /// A body for a connection that can send pieces of files itself.
    pub(super) fn spliced(self, pieces: Pieces) -> FileBody {
        FileBody::new(self, Some(pieces))
    }
}

/// The answer to a request with these headers for `length` bytes under the entity tag `tag`:
/// 200, 206, 304 or 416. `body` gives the bytes from its first to, not including, its second.
#[must_use]
pub fn ranged_reply<B>(
    request: &HeaderMap,
    length: u64,
    media_type: &str,
    tag: Option<&str>,
    body: impl FnOnce(u64, u64) -> B,
) -> Reply
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    ranged(request, length, tag, |start, end| {
        Reply::stream(media_type, Some(end - start), body(start, end))
    })
}

/// The same with the whole of the answer made by `bytes`.
fn ranged(
    request: &HeaderMap,
    length: u64,
    tag: Option<&str>,
    bytes: impl FnOnce(u64, u64) -> Reply,
) -> Reply {
    let tag_value = tag.and_then(|tag| HeaderValue::from_str(tag).ok());
    let with_tag = |reply: Reply| match &tag_value {
        Some(tag) => reply.header(header::ETAG, tag.clone()),
        None => reply,
    };
    let text = |name| request.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let (Some(tag), Some(sent)) = (tag, text(header::IF_NONE_MATCH))
        && if_none_match(sent, tag)
    {
        return with_tag(Reply::empty(StatusCode::NOT_MODIFIED));
    }
    // A range of another version of the file would be worse than all of this one.
    let same = text(header::IF_RANGE).is_none_or(|sent| Some(sent) == tag);
    let range = text(header::RANGE).filter(|_| same);
    let range = range.map_or(Range::Whole, |range| parse_range(range, length));
    let (start, end) = match range {
        Range::Whole => (0, length),
        Range::Part { start, end } => (start, end),
        Range::Outside => {
            let reply = Reply::text("The range lies outside the file.")
                .status(StatusCode::RANGE_NOT_SATISFIABLE);
            return content_range(with_tag(reply), &format!("bytes */{length}"));
        }
    };
    let reply = bytes(start, end).header(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let reply = with_tag(reply);
    if range == Range::Whole {
        return reply;
    }
    let range = format!("bytes {start}-{}/{length}", end - 1);
    content_range(reply.status(StatusCode::PARTIAL_CONTENT), &range)
}

fn content_range(reply: Reply, range: &str) -> Reply {
    match HeaderValue::from_str(range) {
        Ok(value) => reply.header(header::CONTENT_RANGE, value),
        Err(error) => Problem::internal(error).into_reply(),
    }
}

fn open(path: &Path, expected: Option<u64>) -> Result<FileContent, FileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            FileError::Absent { path: path.to_owned() }
        }
        _ => FileError::Io { path: path.to_owned(), source },
    };
    // Looked at before it is opened: opening a FIFO would wait for its writer.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(FileError::NotAFile { path: path.to_owned() });
    }
    let file = std::fs::File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if let Some(expected) = expected.filter(|expected| *expected != length) {
        return Err(FileError::Length { path: path.to_owned(), expected, found: length });
    }
    let media_type = "application/octet-stream".to_owned();
    Ok(FileContent { file: Arc::new(file), length, media_type, tag: None })
}

/// Whether an `If-None-Match` names the tag (weak comparison, RFC 9110 13.1.2).
#[must_use]
pub fn if_none_match(sent: &str, tag: &str) -> bool {
    let mut tags = sent.split(',').map(str::trim);
    tags.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// What a `Range` asks of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// All of it: the header is to be ignored (another unit, several ranges, bad syntax).
    Whole,
    /// The bytes from `start` up to, not including, `end`.
    Part {
        /// The first byte.
        start: u64,
        /// The byte after the last.
        end: u64,
    },
    /// Bytes that the file has not.
    Outside,
}

/// Reads a `Range` header for a file of `length` bytes (RFC 9110 14.2).
#[must_use]
pub fn parse_range(value: &str, length: u64) -> Range {
    match read_range(value) {
        None => Range::Whole,
        Some((None, count)) => match count {
            Some(count) if count > 0 && length > 0 => {
                Range::Part { start: length.saturating_sub(count), end: length }
            }
            _ => Range::Outside,
        },
        Some((Some(first), Some(last))) if last < first => Range::Whole,
        Some((Some(first), _)) if first >= length => Range::Outside,
        Some((Some(start), last)) => {
            let end = last.map_or(length, |last| last.saturating_add(1).min(length));
            Range::Part { start, end }
        }
    }
}

/// The two numbers of `bytes=1-2`, one of which may be missing.
fn read_range(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(first) || !digits(last) || (first.is_empty() && last.is_empty()) {
        return None;
    }
    // A number too large for us is larger than any file.
    let number = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap_or(u64::MAX));
    Some((number(first), number(last)))
}

/// The bytes of a file from `next` to `end`: those that are in memory go to a connection that
/// takes them as they are, others are read on the blocking threads one chunk ahead.
///
/// No thread waits while the client is slow: a read is started when the chunk before it goes
/// out, so hundreds of stalled downloads hold no more than their chunks. And no task waits while
/// another client is fast: after each piece the others have their turn.
pub(super) struct FileBody {
    file: Arc<std::fs::File>,
    next: u64,
    end: u64,
    sent: u64,
    pieces: Option<Pieces>,
    turn: Turn,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    // Chunks that were handed out; when the connection has dropped its half, the memory is used
    // again and need not be cleared.
    spare: Vec<Bytes>,
}

/// Whose turn it is among the connections of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Ours,
    Others,
}

impl FileBody {
    fn new(part: FilePart, pieces: Option<Pieces>) -> Self {
        let FilePart { file, start, end } = part;
        Self {
            file,
            next: start,
            end,
            sent: start,
            pieces,
            turn: Turn::Ours,
            reading: None,
            spare: Vec::new(),
        }
    }

    /// The next piece, when it can be sent as it is.
    fn piece(&mut self) -> Option<Bytes> {
        let pieces = self.pieces.as_ref()?;
        let length = self.chunk_length();
        if self.reading.is_some() || !is_in_memory(&self.file, self.next, length) {
            return None;
        }
        let stands = pieces.push(&self.file, self.next, length);
        self.next += length as u64;
        self.sent += length as u64;
        Some(stands)
    }

    fn chunk_length(&self) -> usize {
        usize::try_from(self.end - self.next).unwrap_or(CHUNK_LEN).min(CHUNK_LEN)
    }

    fn read_ahead(&mut self) {
        let length = self.chunk_length();
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

fn read_chunk(
    file: &std::fs::File,
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
        if this.turn == Turn::Others {
            this.turn = Turn::Ours;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(stands) = this.piece() {
            this.turn = Turn::Others;
            return Poll::Ready(Some(Ok(Frame::data(stands))));
        }
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
                // What the kernel has read ahead meanwhile need not be read again.
                if this.pieces.is_none() {
                    this.read_ahead();
                }
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

#[cfg(test)]
mod tests;
