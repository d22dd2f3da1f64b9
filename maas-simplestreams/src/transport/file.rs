//! Mirrors in local directories (`file:` URLs).

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use url::Url;

use super::{Body, BoxFuture, Request, Response, Transport, TransportError, TransportErrorKind};

/// How many bytes are read at once.
const CHUNK: usize = 256 << 10;

/// Fetches `file:` URLs.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileTransport;

struct Piece {
    url: Url,
    file: tokio::fs::File,
    left: u64,
}

impl Body for Piece {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(async move {
            let size = usize::try_from(self.left).unwrap_or(CHUNK).min(CHUNK);
            if size == 0 {
                return Ok(None);
            }
            let mut buffer = BytesMut::with_capacity(size);
            let read = (&mut self.file)
                .take(size as u64)
                .read_buf(&mut buffer)
                .await
                .map_err(|error| failed(&self.url, error))?;
            self.left -= read as u64;
            Ok((read > 0).then(|| buffer.freeze()))
        })
    }

    fn rest(&mut self) -> BoxFuture<'_, Option<Result<Bytes, TransportError>>> {
        Box::pin(async move {
            let read = async {
                let mut file = self.file.try_clone().await?.into_std().await;
                let length = self.left;
                tokio::task::spawn_blocking(move || {
                    let mut whole = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
                    std::io::Read::read_to_end(
                        &mut std::io::Read::take(&mut file, length),
                        &mut whole,
                    )?;
                    Ok::<_, std::io::Error>(whole)
                })
                .await?
            };
            let whole = match read.await {
                Ok(whole) => whole,
                Err(error) => return Some(Err(failed(&self.url, error))),
            };
            if whole.len() as u64 != self.left {
                return Some(Err(TransportError::new(&self.url, TransportErrorKind::Truncated)));
            }
            self.left = 0;
            Some(Ok(whole.into()))
        })
    }
}

fn failed(url: &Url, error: std::io::Error) -> TransportError {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            TransportErrorKind::NotFound
        }
        _ => TransportErrorKind::Connection,
    };
    TransportError::new(url, kind).because(error)
}

impl Transport for FileTransport {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let url = request.url;
            if url.scheme() != "file" {
                return Err(TransportError::new(&url, TransportErrorKind::UnsupportedScheme));
            }
            let path = url
                .to_file_path()
                .map_err(|()| TransportError::new(&url, TransportErrorKind::UnsupportedScheme))?;
            let mut file = tokio::fs::File::open(&path).await.map_err(|e| failed(&url, e))?;
            let facts = file.metadata().await.map_err(|e| failed(&url, e))?;
            if !facts.is_file() {
                return Err(TransportError::new(&url, TransportErrorKind::NotFound));
            }
            let end = request.end.unwrap_or(u64::MAX).min(facts.len());
            if request.offset > 0 && request.offset >= facts.len() {
                return Err(TransportError::new(&url, TransportErrorKind::RangeNotSatisfiable));
            }
            file.seek(std::io::SeekFrom::Start(request.offset))
                .await
                .map_err(|e| failed(&url, e))?;
            let left = end.saturating_sub(request.offset);
            Ok(Response {
                offset: request.offset,
                length: Some(left),
                etag: None,
                body: Box::new(Piece { url, file, left }),
            })
        })
    }
}
