//! One blob on its way in, written by several streams at once.
//!
//! Every block that was written is noted in a journal, so that after a crash only blocks that were
//! under way are fetched again. The digest follows the bytes that are there without a gap.

use std::fs::{self, File};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::sync::Semaphore;

use super::hasher::Hasher;
use super::ranges::{Ranges, note, open_journal};
use super::{BLOCK, BlobStore, DiskWork, Staged, StoreError, blocking, io_error};
use crate::digest::Sha256;

/// Writes that can be under way at once.
const WRITES: u32 = 64;
/// Blocks that one write adds to the digest beside its own.
const CATCH_UP: usize = 4;

/// A blob that several streams write. Dropping it keeps what was written for a later attempt.
#[derive(Debug)]
pub struct Ranged {
    inner: Arc<Inner>,
    writes: Arc<Semaphore>,
}

#[derive(Debug)]
struct Inner {
    store: BlobStore,
    sha256: Sha256,
    size: u64,
    file: File,
    journal: File,
    there: Mutex<Ranges>,
    head: Mutex<Head>,
}

/// The digest and how far it is.
#[derive(Debug)]
struct Head {
    hasher: Hasher,
    at: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ranged {
    /// Whether this system can write at any place of a file.
    pub const fn is_supported() -> bool {
        cfg!(unix)
    }

    pub(super) fn new(
        store: BlobStore,
        sha256: Sha256,
        size: u64,
        file: File,
        there: Ranges,
        (hasher, at): (Hasher, u64),
    ) -> Result<Self, StoreError> {
        let path = store.journal_path(&sha256);
        let journal = open_journal(&path, &there).map_err(io_error(&path))?;
        let (there, head) = (Mutex::new(there), Mutex::new(Head { hasher, at }));
        let inner = Inner { store, sha256, size, file, journal, there, head };
        let writes = Arc::new(Semaphore::new(WRITES as usize));
        Ok(Self { inner: Arc::new(inner), writes })
    }

    /// The gaps: what is still to be fetched, in order.
    pub fn missing(&self) -> Vec<Range<u64>> {
        lock(&self.inner.there).missing(self.inner.size)
    }

    /// How many bytes are there.
    pub fn received(&self) -> u64 {
        lock(&self.inner.there).total()
    }

    /// Writes a block at its place, none beyond the size, and answers with memory for the next one.
    pub(crate) async fn put(
        &self,
        offset: u64,
        mut block: BytesMut,
    ) -> Result<BytesMut, StoreError> {
        if self.inner.store.disk_work == DiskWork::Aside {
            let capacity = block.capacity();
            self.write(offset, block).await?;
            return Ok(BytesMut::with_capacity(capacity));
        }
        let Inner { sha256, size, .. } = *self.inner;
        if offset.saturating_add(block.len() as u64) > size {
            return Err(StoreError::TooLong { sha256, size });
        }
        self.inner.put(offset, &block)?;
        block.clear();
        Ok(block)
    }

    /// Writes a block at its place; none beyond the size.
    pub async fn write(&self, offset: u64, block: BytesMut) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        if offset.saturating_add(block.len() as u64) > inner.size {
            return Err(StoreError::TooLong { sha256: inner.sha256, size: inner.size });
        }
        // Held until the write is over, even when nobody waits for it any more.
        let permit = Arc::clone(&self.writes).acquire_owned().await.ok();
        blocking(&self.inner.store.root, move || {
            let _permit = permit;
            inner.put(offset, &block)
        })
        .await
    }

    /// Waits until no write is under way: cancelled streams may have left some.
    pub async fn settle(&self) {
        self.writes.acquire_many(WRITES).await.ok();
    }

    /// Checks the digest, flushes to the disk and gives the blob its name; see
    /// [`Partial::finish`](super::Partial::finish).
    pub async fn finish(self) -> Result<(), StoreError> {
        self.finish_named(None).await.map(|_| ())
    }

    /// [`Self::finish`], and the SHA-256 that the blob is kept under. A staged one gets its name when
    /// others are flushed too.
    pub(crate) async fn finish_named(self, staged: Option<&Staged>) -> Result<Sha256, StoreError> {
        self.settle().await;
        let (inner, waits) = (Arc::clone(&self.inner), staged.is_some());
        let Inner { store, sha256, size, .. } = &*self.inner;
        let name = blocking(&store.root, move || inner.finish(waits)).await?;
        if let Some(staged) = staged {
            staged.add_large(store, *sha256, name, *size).await?;
        }
        Ok(name)
    }
}

impl Inner {
    fn put(&self, offset: u64, block: &[u8]) -> Result<(), StoreError> {
        let path = self.store.partial_path(&self.sha256);
        write_at(&self.file, block, offset).map_err(io_error(&path))?;
        let range = offset..offset + block.len() as u64;
        {
            let mut there = lock(&self.there);
            note(&self.journal, &range).map_err(io_error(&path))?;
            there.insert(range);
        }
        let Ok(mut head) = self.head.try_lock() else { return Ok(()) };
        if head.at == offset {
            head.hasher.update(block);
            head.at += block.len() as u64;
        }
        self.catch_up(&mut head, CATCH_UP)
    }

    /// Adds to the digest what is there, at most so many blocks of it.
    fn catch_up(&self, head: &mut Head, blocks: usize) -> Result<(), StoreError> {
        let path = self.store.partial_path(&self.sha256);
        let mut block = Vec::new();
        for _ in 0..blocks {
            let end = lock(&self.there).end_from(head.at).min(head.at + BLOCK as u64);
            let length = usize::try_from(end - head.at).unwrap_or(0);
            if length == 0 {
                break;
            }
            block.resize(length, 0);
            read_at(&self.file, &mut block, head.at).map_err(io_error(&path))?;
            head.hasher.update(&block);
            head.at = end;
        }
        Ok(())
    }

    /// Checks the digest and gives the blob its name, unless it waits for others.
    fn finish(&self, waits: bool) -> Result<Sha256, StoreError> {
        let path = self.store.partial_path(&self.sha256);
        let journal = self.store.journal_path(&self.sha256);
        let mut head = lock(&self.head);
        self.catch_up(&mut head, usize::MAX)?;
        let (expected, size) = (self.sha256, self.size);
        if head.at < size {
            let received = lock(&self.there).total();
            return Err(StoreError::TooShort { sha256: expected, received, size });
        }
        let name = match head.hasher.clone().verdict(expected) {
            Ok(name) => name,
            Err(refused) => {
                fs::remove_file(&path).map_err(io_error(&path))?;
                fs::remove_file(&journal).map_err(io_error(&journal))?;
                return Err(refused);
            }
        };
        if !waits {
            self.file.sync_all().map_err(io_error(&path))?;
            self.store.keep(&path, &name)?;
        }
        fs::remove_file(&journal).map_err(io_error(&journal))?;
        Ok(name)
    }
}

#[cfg(unix)]
fn write_at(file: &File, block: &[u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, block, offset)
}

#[cfg(unix)]
fn read_at(file: &File, block: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, block, offset)
}

#[cfg(not(unix))]
fn write_at(_: &File, _: &[u8], _: u64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn read_at(_: &File, _: &mut [u8], _: u64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
