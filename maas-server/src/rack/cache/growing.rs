//! Replies from a file that is still being fetched.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::watch;

use super::fill::{Fill, Progress};
use crate::http::{CHUNK_LEN, Reply, ranged_reply};

/// The answer to a request with these headers.
pub(super) fn reply(fill: Arc<Fill>, sha256: &str, request: &HeaderMap) -> Reply {
    let (size, tag) = (fill.size, format!("\"{sha256}\""));
    ranged_reply(request, size, "application/octet-stream", Some(&tag), move |start, end| {
        let progress = fill.progress();
        let reader = Reader { fill, progress, next: start, end };
        StreamBody::new(stream::try_unfold(reader, |mut reader| async move {
            let bytes = reader.next().await?;
            Ok::<_, io::Error>(bytes.map(|bytes| (Frame::data(bytes), reader)))
        }))
    })
}

struct Reader {
    fill: Arc<Fill>,
    progress: watch::Receiver<Progress>,
    next: u64,
    end: u64,
}

impl Reader {
    /// The next bytes as soon as they are there; an error cuts the connection, so that the client
    /// sees fewer bytes than it was promised.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.next == self.end {
            return Ok(None);
        }
        let (at, size) = (self.next, self.fill.size);
        let reached = self.progress.wait_for(|progress| match progress {
            Progress::Readable(readable) => *readable > at,
            Progress::Verified | Progress::Failed => true,
        });
        let readable = match reached.await.map(|progress| *progress) {
            Ok(Progress::Readable(readable)) => readable,
            Ok(Progress::Verified) => size,
            Ok(Progress::Failed) | Err(_) => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the transfer failed"));
            }
        };
        let length = (self.end.min(readable) - at).min(CHUNK_LEN as u64);
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let bytes = self.fill.read(at, length).await?;
        self.next += bytes.len() as u64;
        Ok(Some(bytes))
    }
}
