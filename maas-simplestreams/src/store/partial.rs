//! One blob on its way in: written from its first byte to its last by one stream.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;

use bytes::BytesMut;

use super::hasher::Hasher;
use super::ranged::Ranged;
use super::ranges::{Ranges, read_journal};
use super::{
    BLOCK, BlobStore, DiskWork, Staged, StoreError, blocking, hash_start, io_error, is_same_file,
};
use crate::digest::{Sha256, Sha512};

/// From how many bytes on a piece is written as it comes, without waiting for more.
const WORTH_A_WRITE: usize = 32 << 10;

/// What the start of a write finds.
#[derive(Debug)]
pub enum Begun {
    /// The blob is there already.
    Present,
    /// Bytes are to be written.
    Partial(Box<Partial>),
}

#[derive(Debug)]
pub(super) struct Parts {
    pub(super) file: File,
    pub(super) hasher: Hasher,
}

impl Parts {
    pub(super) fn write(&mut self, block: &[u8]) -> io::Result<()> {
        self.file.write_all(block)?;
        self.hasher.update(block);
        Ok(())
    }
}

/// A blob that is being written. Dropping it keeps what was written for a later attempt.
#[derive(Debug)]
pub struct Partial {
    store: BlobStore,
    sha256: Sha256,
    size: u64,
    /// Bytes from the start without a gap, hashed.
    written: u64,
    /// What the journal of an attempt with several streams names; `None` without a journal.
    scattered: Option<Ranges>,
    buffer: BytesMut,
    /// Away while a block is being written; a writer that was cancelled there is of no more use.
    parts: Option<Parts>,
}

impl Partial {
    /// How many bytes there are: where to go on.
    pub fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Bytes in all.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn path(&self) -> PathBuf {
        self.store.partial_path(&self.sha256)
    }

    fn take_parts(&mut self) -> Result<Parts, StoreError> {
        let path = self.path();
        self.parts
            .take()
            .ok_or_else(|| io_error(&path)(io::Error::other("the write was cancelled")))
    }

    /// How many bytes are there, those of scattered ranges included.
    pub fn received(&self) -> u64 {
        self.scattered.as_ref().map_or(self.written, Ranges::total) + self.buffer.len() as u64
    }

    /// Goes on with several streams, each with a range of its own.
    pub async fn into_ranged(mut self) -> Result<Ranged, StoreError> {
        self.flush().await?;
        let Parts { file, hasher } = self.take_parts()?;
        let there = self.scattered.take().unwrap_or_else(|| Ranges::prefix(self.written));
        let (store, sha256, size) = (self.store.clone(), self.sha256, self.size);
        let written = self.written;
        blocking(&self.store.root, move || {
            Ranged::new(store, sha256, size, file, there, (hasher, written))
        })
        .await
    }

    /// Gives up what lies beyond the first gap, so that the length of the file says it all again.
    fn forget_scattered(&mut self, file: &File) -> Result<(), StoreError> {
        if self.scattered.take().is_some() {
            let (path, journal) = (self.path(), self.store.journal_path(&self.sha256));
            // In this order: nothing counts that a journal names beyond the end of the file.
            file.set_len(self.written).map_err(io_error(&path))?;
            fs::remove_file(&journal).map_err(io_error(&journal))?;
        }
        Ok(())
    }

    /// Adds bytes; not one more than the size is ever written.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.offset() + bytes.len() as u64 > self.size {
            return Err(StoreError::TooLong { sha256: self.sha256, size: self.size });
        }
        if self.store.disk_work == DiskWork::Inline
            && self.buffer.is_empty()
            && bytes.len() >= WORTH_A_WRITE
        {
            return self.write_inline(bytes);
        }
        // Filled to the brim and no further: a buffer that grows is copied.
        let mut left = bytes;
        while !left.is_empty() {
            self.buffer.reserve(BLOCK - self.buffer.len());
            let (now, later) = left.split_at((BLOCK - self.buffer.len()).min(left.len()));
            self.buffer.extend_from_slice(now);
            left = later;
            if self.buffer.len() == BLOCK {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Writes bytes on this task, without a copy.
    fn write_inline(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let mut parts = self.take_parts()?;
        self.forget_scattered(&parts.file)?;
        parts.write(bytes).map_err(io_error(&self.path()))?;
        self.parts = Some(parts);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Writes out what is buffered.
    pub async fn flush(&mut self) -> Result<(), StoreError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.store.disk_work == DiskWork::Inline {
            let mut block = std::mem::take(&mut self.buffer);
            self.write_inline(&block)?;
            // Its memory serves the next block.
            block.clear();
            self.buffer = block;
            return Ok(());
        }
        let mut parts = self.take_parts()?;
        self.forget_scattered(&parts.file)?;
        let block = self.buffer.split();
        let length = block.len() as u64;
        let path = self.path();
        let work = move || {
            parts.write(&block).map_err(io_error(&path))?;
            Ok(parts)
        };
        self.parts = Some(self.store.write_work(work).await?);
        self.written += length;
        Ok(())
    }

    /// Throws away what was written and starts from the first byte.
    pub async fn restart(&mut self) -> Result<(), StoreError> {
        self.buffer.clear();
        self.written = 0;
        let mut parts = self.take_parts()?;
        self.forget_scattered(&parts.file)?;
        let path = self.path();
        let parts = blocking(&self.store.root, move || {
            parts.file.set_len(0).map_err(io_error(&path))?;
            parts.file.seek(SeekFrom::Start(0)).map_err(io_error(&path))?;
            parts.hasher.restart();
            Ok(parts)
        })
        .await?;
        self.parts = Some(parts);
        self.written = 0;
        Ok(())
    }

    /// Checks the digest, flushes to the disk and gives the blob its name.
    ///
    /// When bytes are missing, what is there stays for a later attempt; when the digest differs,
    /// it is removed.
    pub async fn finish(self) -> Result<(), StoreError> {
        self.finish_named(None).await.map(|_| ())
    }

    /// [`Self::finish`], and the SHA-256 that the blob is kept under. A staged one gets its name when
    /// others are flushed too.
    pub(crate) async fn finish_named(
        mut self,
        staged: Option<&Staged>,
    ) -> Result<Sha256, StoreError> {
        self.flush().await?;
        let Parts { file, hasher } = self.take_parts()?;
        let (received, size, expected) = (self.written, self.size, self.sha256);
        if received < size {
            return Err(StoreError::TooShort { sha256: expected, received, size });
        }
        let (store, path, waits) = (self.store.clone(), self.path(), staged.is_some());
        let journal = self.scattered.take().map(|_| store.journal_path(&expected));
        let name = blocking(&self.store.root, move || {
            let forget =
                || journal.map_or(Ok(()), |path| fs::remove_file(&path).map_err(io_error(&path)));
            let name = match hasher.verdict(expected) {
                Ok(name) => name,
                Err(refused) => {
                    fs::remove_file(&path).map_err(io_error(&path))?;
                    forget()?;
                    return Err(refused);
                }
            };
            if !waits {
                file.sync_all().map_err(io_error(&path))?;
                store.keep(&path, &name)?;
            }
            forget()?;
            Ok(name)
        })
        .await?;
        if let Some(staged) = staged {
            staged.add_large(&self.store, expected, name, size).await?;
        }
        Ok(name)
    }
}

impl BlobStore {
    /// `proof` is the SHA-512 of a blob whose SHA-256 is not known; then `sha256` only names what
    /// is on its way.
    pub(super) fn begin_blocking(
        &self,
        sha256: Sha256,
        size: u64,
        proof: Option<Sha512>,
    ) -> Result<Begun, StoreError> {
        let part = self.partial_path(&sha256);
        loop {
            let target = self.path(&sha256);
            match fs::metadata(&target) {
                Ok(facts) if facts.len() == size => return Ok(Begun::Present),
                Ok(facts) => {
                    let actual = facts.len();
                    return Err(StoreError::SizeDiffers { sha256, expected: size, actual });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(io_error(&target)(error)),
            }
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&part)
                .map_err(io_error(&part))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(StoreError::Busy { sha256 }),
                Err(TryLockError::Error(error)) => return Err(io_error(&part)(error)),
            }
            // Between opening and locking another writer may have finished and renamed the file.
            if !is_same_file(&file, &part) {
                continue;
            }
            let mut length = file.metadata().map_err(io_error(&part))?.len();
            if length > size {
                file.set_len(0).map_err(io_error(&part))?;
                length = 0;
            }
            let journal = self.journal_path(&sha256);
            let scattered = read_journal(&journal, length).map_err(io_error(&journal))?;
            let written = scattered.as_ref().map_or(length, |ranges| ranges.end_from(0));
            let mut hasher = Hasher::new(proof);
            hash_start(&mut file, written, |block| hasher.update(block))
                .map_err(io_error(&part))?;
            let parts = Parts { file, hasher };
            return Ok(Begun::Partial(Box::new(Partial {
                store: self.clone(),
                sha256,
                size,
                written,
                scattered,
                buffer: BytesMut::new(),
                parts: Some(parts),
            })));
        }
    }

    /// Takes in a blob whose digest and size are known, from a reader that blocks.
    #[cfg(feature = "archive")]
    pub(crate) fn import_known_blocking(
        &self,
        mut reader: impl io::Read,
        sha256: Sha256,
        size: u64,
    ) -> Result<(), StoreError> {
        let path = self.partial_path(&sha256);
        let Begun::Partial(mut partial) = self.begin_blocking(sha256, size, None)? else {
            return Ok(());
        };
        let mut parts = partial.take_parts()?;
        partial.written = 0;
        partial.forget_scattered(&parts.file)?;
        parts.file.set_len(0).map_err(io_error(&path))?;
        parts.file.seek(SeekFrom::Start(0)).map_err(io_error(&path))?;
        parts.hasher.restart();
        let mut block = vec![0; BLOCK];
        let mut received = 0;
        loop {
            let read = reader.read(&mut block).map_err(io_error(&path))?;
            if read == 0 {
                break;
            }
            received += read as u64;
            if received > size {
                return Err(StoreError::TooLong { sha256, size });
            }
            parts.write(block.get(..read).unwrap_or_default()).map_err(io_error(&path))?;
        }
        if received < size {
            return Err(StoreError::TooShort { sha256, received, size });
        }
        if let Err(refused) = parts.hasher.verdict(sha256) {
            fs::remove_file(&path).map_err(io_error(&path))?;
            return Err(refused);
        }
        parts.file.sync_all().map_err(io_error(&path))?;
        self.keep(&path, &sha256)
    }
}
