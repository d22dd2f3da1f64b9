//! One transfer into the cache: hashed as it is written, resumed when it breaks off.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::{Upstream, Wanted};
use crate::http::{BoxError, CHUNK_LEN, FileContent, FileError, Reach};

/// How often a transfer that brings nothing new is tried.
const ATTEMPTS: u32 = 5;

/// The longest wait for the upstream's next bytes.
const SILENCE: Duration = Duration::from_secs(30);

/// A file that is being fetched.
#[derive(Debug)]
pub(super) struct Fill {
    pub(super) size: u64,
    pub(super) file: Arc<File>,
    growth: watch::Sender<Reach>,
}

/// What came is not what was wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum Wrong {
    #[error("the upstream sent more than {expected} bytes")]
    TooLong { expected: u64 },
    #[error("the SHA-256 is {found}, expected {expected}")]
    Hash { expected: String, found: String },
    #[error("the upstream broke off after {found} of {expected} bytes")]
    BrokeOff { expected: u64, found: u64 },
    #[error("the upstream was silent for {SILENCE:?}")]
    Silent,
}

impl Fill {
    pub(super) fn create(part: &Path, size: u64) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(part)?;
        Ok(Self { size, file: Arc::new(file), growth: watch::Sender::new(Reach::Bytes(0)) })
    }

    /// How far it is; [`Reach::Whole`] when all of it is there and is what was wanted.
    pub(super) fn growth(&self) -> watch::Receiver<Reach> {
        self.growth.subscribe()
    }

    pub(super) fn settle(&self, end: Reach) {
        self.growth.send_replace(end);
    }

    /// Waits for the end.
    pub(super) async fn settled(&self) -> Reach {
        let mut growth = self.growth();
        let settled = growth.wait_for(|reach| !matches!(reach, Reach::Bytes(_))).await;
        settled.map_or(Reach::Broken, |reach| *reach)
    }

    /// The file itself, for after the end.
    pub(super) async fn content(&self) -> Result<FileContent, FileError> {
        FileContent::of_file(Arc::clone(&self.file), self.size).await
    }

    /// Fetches the whole file; with `Ok` its hash was right.
    pub(super) async fn fetch(
        &self,
        upstream: &dyn Upstream,
        wanted: &Wanted,
        first_pause: Duration,
    ) -> Result<(), BoxError> {
        let mut writer = Writer { hasher: Sha256::new(), written: 0 };
        let (mut attempt, mut pause) = (0, first_pause);
        while writer.written < self.size || self.size == 0 && attempt == 0 {
            let before = writer.written;
            let failure = match self.transfer(upstream, wanted, &mut writer).await {
                Ok(()) => break,
                Err(failure) => failure,
            };
            if matches!(failure.downcast_ref(), Some(Wrong::TooLong { .. })) {
                return Err(failure);
            }
            if writer.written > before {
                (attempt, pause) = (0, first_pause);
            }
            attempt += 1;
            if attempt == ATTEMPTS {
                return Err(failure);
            }
            tracing::warn!(
                sha256 = wanted.sha256,
                at = writer.written,
                error = crate::with_causes(&*failure),
                "a transfer is taken up again"
            );
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        let found: String = writer.hasher.finalize().iter().map(|b| format!("{b:02x}")).collect();
        if found != wanted.sha256 {
            return Err(Wrong::Hash { expected: wanted.sha256.clone(), found }.into());
        }
        Ok(())
    }

    /// One attempt, from where the last one ended.
    async fn transfer(
        &self,
        upstream: &dyn Upstream,
        wanted: &Wanted,
        writer: &mut Writer,
    ) -> Result<(), BoxError> {
        let began = tokio::time::timeout(SILENCE, upstream.fetch(&wanted.path, writer.written));
        let mut stream = began.await.map_err(|_| Wrong::Silent)??;
        let mut pending = BytesMut::new();
        let ended = loop {
            let next = tokio::time::timeout(SILENCE, stream.next()).await;
            let ended = match next {
                Err(_) => Some(Err(Wrong::Silent.into())),
                Ok(None) => Some(Ok(())),
                Ok(Some(Err(error))) => Some(Err(error)),
                Ok(Some(Ok(bytes))) => {
                    pending.extend_from_slice(&bytes);
                    None
                }
            };
            if writer.written + pending.len() as u64 > self.size {
                return Err(Wrong::TooLong { expected: self.size }.into());
            }
            // What came before a failure is not fetched again.
            if pending.len() >= CHUNK_LEN || ended.is_some() {
                self.write(pending.split().freeze(), writer).await?;
            }
            if let Some(ended) = ended {
                break ended;
            }
        };
        ended?;
        if writer.written < self.size {
            return Err(Wrong::BrokeOff { expected: self.size, found: writer.written }.into());
        }
        Ok(())
    }

    async fn write(&self, bytes: Bytes, writer: &mut Writer) -> Result<(), BoxError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let (file, at, length) = (Arc::clone(&self.file), writer.written, bytes.len() as u64);
        let mut hasher = std::mem::take(&mut writer.hasher);
        let written = tokio::task::spawn_blocking(move || {
            hasher.update(&bytes);
            file.write_all_at(&bytes, at).map(|()| hasher)
        });
        writer.hasher = written.await??;
        writer.written += length;
        // The last byte is shown when all of them are known to be right.
        let readable = writer.written.min(self.size.saturating_sub(1));
        self.growth.send_replace(Reach::Bytes(readable));
        Ok(())
    }
}

#[derive(Debug)]
struct Writer {
    hasher: Sha256,
    written: u64,
}
