//! Files as replies: whole or one range of them, with validators, never shorter than announced.

mod body;
mod part;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::sync::watch;

use self::body::read_chunk;
pub(super) use self::part::FilePart;
pub use self::part::Reach;
use super::{Problem, Reply};

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
        let content = self.clone();
        let read = tokio::task::spawn_blocking(move || content.read_here(at, length));
        read.await.map_err(io::Error::other)?
    }

    /// The same on this thread, which may wait.
    pub(crate) fn read_here(&self, at: u64, length: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
        read_chunk(&self.file, at, length.min(left), BytesMut::new())
    }

    /// Notes that it is used now, as its time of modification: what least recently was used
    /// survives a restart by that.
    pub(crate) fn mark_used(&self) {
        if let Err(error) = self.file.set_modified(std::time::SystemTime::now()) {
            tracing::debug!(%error, "the use of a file cannot be noted");
        }
    }

    /// Whether it still has its name and its length; asks the system nothing that waits.
    pub(crate) fn is_as_it_was(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let now = self.file.metadata();
        now.is_ok_and(|now| now.nlink() > 0 && now.len() == self.length)
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
            Reply::file(&media_type, FilePart::new(file, start, end))
        })
    }
}

/// The answer to a request with these headers from a file that is still being written: as
/// [`FileContent::reply`], but bytes go out as `growth` tells of them, and a file that breaks off
/// ends the connection. `length` is what the file will have in the end, in bytes, and `digest`
/// the hex SHA-256 of that.
#[must_use]
pub fn growing_reply(
    request: &HeaderMap,
    file: Arc<std::fs::File>,
    length: u64,
    digest: &str,
    growth: watch::Receiver<Reach>,
) -> Reply {
    let tag = format!("\"{digest}\"");
    ranged(request, length, Some(&tag), |start, end| {
        let part = FilePart::new(file, start, end).growing(growth);
        Reply::file("application/octet-stream", part)
    })
}

/// The answer to a request with these headers for `length` bytes under the entity tag `tag`: 200,
/// 206, 304 or 416. `bytes` gives those from its first to, not including, its second.
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

/// Removes a `Range` that has no meaning: it is defined for GET, and every other method ignores it
/// (RFC 9110 14.2). A HEAD with one tells the whole length.
pub fn ignore_range_unless_get(method: &Method, headers: &mut HeaderMap) {
    if *method != Method::GET {
        headers.remove(header::RANGE);
    }
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

#[cfg(test)]
mod tests;
