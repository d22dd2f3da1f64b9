//! A content-addressed store on the local disk: one file per SHA-256, whole or not there.
//!
//! `blobs/sha256/ab/<digest>` holds finished blobs, `partial/<digest>` what is on its way, and
//! `partial/<digest>.ranges` which parts of it are there when several streams bring it. A blob
//! appears under its name by a rename after its digest was checked and its bytes were flushed to
//! the disk, so a crash at any moment leaves either nothing or the whole blob. The blobs of a sync
//! wait, small ones in `staged/`, and are flushed together, by one `syncfs` before the first of them
//! gets its name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

mod hasher;
mod missing;
mod partial;
mod ranged;
mod ranges;
mod staged;

use bytes::BytesMut;
use sha2::Digest as _;
use tokio::io::{AsyncRead, AsyncReadExt};

use hasher::Hasher;
pub(crate) use missing::Missing;
use partial::Parts;
pub use partial::{Begun, Partial};
pub use ranged::Ranged;
use ranges::read_journal;
pub(crate) use staged::Staged;

use crate::digest::{Sha256, Sha512};

/// Bytes that are hashed and written at once.
const BLOCK: usize = 256 << 10;

/// The ending of journals.
const JOURNAL: &str = "ranges";

static IMPORTS: AtomicU64 = AtomicU64::new(0);

/// Where bytes are written and hashed while they arrive. Flushing to the disk is always done aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskWork {
    /// On the runtime's threads for work that blocks: nothing else on the runtime waits.
    #[default]
    Aside,
    /// On the task that receives the bytes, while they are still in the processor's cache: least
    /// CPU and memory, for a runtime that does nothing else.
    Inline,
}

/// A directory of blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobStore {
    root: PathBuf,
    disk_work: DiskWork,
}

/// A blob in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Blob {
    /// Its name.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
}

/// Why the store cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk.
    #[error("`{path}` cannot be accessed")]
    Io {
        /// What was accessed.
        path: PathBuf,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
    /// Another writer is on the same blob.
    #[error("another writer is fetching {sha256}")]
    Busy {
        /// The blob.
        sha256: Sha256,
    },
    /// More bytes came than the blob has.
    #[error("more than the {size} bytes of {sha256} came")]
    TooLong {
        /// The blob.
        sha256: Sha256,
        /// Its size in bytes.
        size: u64,
    },
    /// Fewer bytes came than the blob has; they stay for a later attempt.
    #[error("only {received} of the {size} bytes of {sha256} came")]
    TooShort {
        /// The blob.
        sha256: Sha256,
        /// Bytes so far.
        received: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// The bytes are other ones.
    #[error("the digest is {actual}, expected {expected}")]
    Digest {
        /// The digest that was asked for.
        expected: Sha256,
        /// The digest of what came.
        actual: Sha256,
    },
    /// The bytes are other ones, by the SHA-512 that was known of them.
    #[error("the SHA-512 is {actual}, expected {expected}")]
    Sha512 {
        /// The digest that was asked for.
        expected: Box<Sha512>,
        /// The digest of what came.
        actual: Box<Sha512>,
    },
    /// An upload is larger than allowed.
    #[error("the upload is larger than {limit} bytes")]
    UploadTooLarge {
        /// The largest size in bytes.
        limit: u64,
    },
    /// A blob in the store has another size than the document says.
    #[error("{sha256} has {actual} bytes in the store, the document says {expected}")]
    SizeDiffers {
        /// The blob.
        sha256: Sha256,
        /// Bytes according to the document.
        expected: u64,
        /// Bytes in the store.
        actual: u64,
    },
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |cause| StoreError::Io { path, cause }
}

async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(cause) => Err(io_error(path)(io::Error::other(cause))),
    }
}

/// Renames a file, unless another writer has.
fn rename_unless_there(from: &Path, target: &Path) -> Result<(), StoreError> {
    match fs::rename(from, target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && target.exists() => Ok(()),
        other => other.map_err(io_error(target)),
    }
}

/// Flushes a directory, so that a rename in it survives a power cut.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

impl BlobStore {
    /// Opens the store below `root` and makes its directories. What interrupted uploads left is
    /// removed; what interrupted fetches left stays, to be resumed.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { root: root.into(), disk_work: DiskWork::Aside };
        let this = store.clone();
        blocking(&store.root, move || {
            for directory in [this.blobs(), this.partials()] {
                fs::create_dir_all(&directory).map_err(io_error(&directory))?;
            }
            this.remove_abandoned_uploads()
        })
        .await?;
        Ok(store)
    }

    /// The same store, written in another way.
    pub(crate) fn with_disk_work(&self, disk_work: DiskWork) -> Self {
        Self { root: self.root.clone(), disk_work }
    }

    /// Does work that writes what has arrived.
    async fn write_work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.disk_work {
            DiskWork::Aside => blocking(&self.root, work).await,
            DiskWork::Inline => work(),
        }
    }

    /// A path below the root, made by one allocation: a sync of many files makes many paths.
    fn below(&self, segments: &[&str]) -> PathBuf {
        let length: usize = segments.iter().map(|segment| segment.len() + 1).sum();
        let mut path = PathBuf::with_capacity(self.root.as_os_str().len() + length);
        path.push(&self.root);
        path.extend(segments);
        path
    }

    fn blobs(&self) -> PathBuf {
        self.below(&["blobs", "sha256"])
    }

    fn partials(&self) -> PathBuf {
        self.below(&["partial"])
    }

    fn partial_path(&self, sha256: &Sha256) -> PathBuf {
        self.below(&["partial", &sha256.to_string()])
    }

    /// Where it stands which ranges of a partial blob are there, when several streams write it.
    fn journal_path(&self, sha256: &Sha256) -> PathBuf {
        self.partials().join(format!("{sha256}.{JOURNAL}"))
    }

    fn remove_abandoned_uploads(&self) -> Result<(), StoreError> {
        let partials = self.partials();
        for entry in fs::read_dir(&partials).map_err(io_error(&partials))? {
            let entry = entry.map_err(io_error(&partials))?;
            let path = entry.path();
            if path.extension().is_some_and(|ending| ending == JOURNAL) {
                // A crash between the rename of the blob and the removal of its journal.
                if !path.with_extension("").exists() {
                    fs::remove_file(&path).map_err(io_error(&path))?;
                }
                continue;
            }
            if !entry.file_name().to_string_lossy().starts_with("upload-") {
                continue;
            }
            let free = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
            if free {
                fs::remove_file(&path).map_err(io_error(&path))?;
            }
        }
        Ok(())
    }

    /// Where the store is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a blob is, whether it is there or not.
    pub fn path(&self, sha256: &Sha256) -> PathBuf {
        let name = sha256.to_string();
        self.below(&["blobs", "sha256", name.get(..2).unwrap_or_default(), &name])
    }

    /// The directory of a blob: named by the first two digits.
    fn shelf(&self, sha256: &Sha256) -> PathBuf {
        let name = sha256.to_string();
        self.below(&["blobs", "sha256", name.get(..2).unwrap_or_default()])
    }

    /// The size of a blob; `None` when it is not there.
    pub async fn size(&self, sha256: &Sha256) -> Result<Option<u64>, StoreError> {
        let path = self.path(sha256);
        match tokio::fs::metadata(&path).await {
            Ok(facts) if facts.is_file() => Ok(Some(facts.len())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&path)(error)),
        }
    }

    /// Whether a blob is there.
    pub async fn contains(&self, sha256: &Sha256) -> Result<bool, StoreError> {
        self.size(sha256).await.map(|size| size.is_some())
    }

    /// Opens a blob for reading; `None` when it is not there. A reader that has it open keeps it
    /// even when it is removed meanwhile.
    pub async fn open_blob(&self, sha256: &Sha256) -> Result<Option<tokio::fs::File>, StoreError> {
        let path = self.path(sha256);
        match tokio::fs::File::open(&path).await {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&path)(error)),
        }
    }

    /// Starts writing a blob whose digest and size are known, or goes on where an earlier attempt
    /// stopped: what is there is hashed again first.
    pub async fn begin(&self, sha256: Sha256, size: u64) -> Result<Begun, StoreError> {
        let store = self.clone();
        blocking(&self.root, move || store.begin_blocking(sha256, size, None)).await
    }

    /// Like [`Self::begin`] of a blob of which only the SHA-512 is known; `key` names what is on
    /// its way.
    pub(crate) async fn begin_proved(
        &self,
        key: Sha256,
        size: u64,
        proof: Option<Sha512>,
    ) -> Result<Begun, StoreError> {
        let store = self.clone();
        blocking(&self.root, move || store.begin_blocking(key, size, proof)).await
    }

    /// Takes in bytes whose digest is not known yet, for instance an uploaded image.
    pub async fn import(
        &self,
        mut reader: impl AsyncRead + Unpin,
        limit: u64,
    ) -> Result<Blob, StoreError> {
        let name =
            format!("upload-{}-{}", std::process::id(), IMPORTS.fetch_add(1, Ordering::Relaxed));
        let path = self.partials().join(name);
        let opened = path.clone();
        let file = blocking(&path, move || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&opened)
                .map_err(io_error(&opened))?;
            file.try_lock().ok();
            Ok(file)
        })
        .await?;
        let _abandoned = RemoveOnDrop(path.clone());
        let mut parts = Parts { file, hasher: Hasher::new(None) };
        let mut size = 0u64;
        loop {
            let mut block = BytesMut::with_capacity(BLOCK);
            while block.len() < BLOCK {
                if reader.read_buf(&mut block).await.map_err(io_error(&path))? == 0 {
                    break;
                }
            }
            if block.is_empty() {
                break;
            }
            size += block.len() as u64;
            if size > limit {
                return Err(StoreError::UploadTooLarge { limit });
            }
            let at = path.clone();
            parts = blocking(&path, move || {
                parts.write(&block).map_err(io_error(&at))?;
                Ok(parts)
            })
            .await?;
        }
        let store = self.clone();
        let from = path.clone();
        blocking(&path, move || {
            let Parts { file, hasher } = parts;
            let sha256 = hasher.digest();
            file.sync_all().map_err(io_error(&from))?;
            store.keep(&from, &sha256)?;
            Ok(Blob { sha256, size })
        })
        .await
    }

    /// Takes in bytes that are in memory.
    pub async fn import_bytes(&self, bytes: &[u8]) -> Result<Blob, StoreError> {
        self.import(bytes, u64::MAX).await
    }

    /// Takes over a file on the same file system whose digest the caller has computed, e.g. of an
    /// upload that arrived in pieces.
    pub async fn adopt(&self, file: &Path, sha256: &Sha256) -> Result<(), StoreError> {
        let (store, from, sha256) = (self.clone(), file.to_owned(), *sha256);
        blocking(file, move || {
            let opened = File::open(&from).map_err(io_error(&from))?;
            opened.sync_all().map_err(io_error(&from))?;
            store.keep(&from, &sha256)
        })
        .await
    }

    /// Gives a finished file its name.
    fn keep(&self, from: &Path, sha256: &Sha256) -> Result<(), StoreError> {
        let target = self.path(sha256);
        let shelf = target.parent().unwrap_or(&self.root);
        match fs::rename(from, &target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The first blob of its shelf.
                fs::create_dir_all(shelf).map_err(io_error(shelf))?;
                let above = self.blobs();
                sync_directory(&above).map_err(io_error(&above))?;
                rename_unless_there(from, &target)?;
            }
            other => other.map_err(io_error(&target))?,
        }
        sync_directory(shelf).map_err(io_error(shelf))
    }

    /// Removes a blob; whether it was there.
    pub async fn remove(&self, sha256: &Sha256) -> Result<bool, StoreError> {
        let path = self.path(sha256);
        match tokio::fs::remove_file(&path).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error(&path)(error)),
        }
    }

    /// Removes what an unfinished fetch left; whether there was anything. A fetch that is going on
    /// is left alone.
    pub async fn remove_partial(&self, sha256: &Sha256) -> Result<bool, StoreError> {
        let (path, journal) = (self.partial_path(sha256), self.journal_path(sha256));
        let sha256 = *sha256;
        blocking(&self.root, move || match File::open(&path) {
            Ok(file) => match file.try_lock() {
                Ok(()) => {
                    fs::remove_file(&path).map_err(io_error(&path))?;
                    fs::remove_file(&journal).ok();
                    Ok(true)
                }
                Err(TryLockError::WouldBlock) => Err(StoreError::Busy { sha256 }),
                Err(TryLockError::Error(error)) => Err(io_error(&path)(error)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error(&path)(error)),
        })
        .await
    }

    /// How many bytes of an unfinished fetch are there.
    pub async fn partial_size(&self, sha256: &Sha256) -> Result<u64, StoreError> {
        let (store, sha256) = (self.clone(), *sha256);
        blocking(&self.root, move || store.partial_size_blocking(&sha256)).await
    }

    fn partial_size_blocking(&self, sha256: &Sha256) -> Result<u64, StoreError> {
        let (path, journal) = (self.partial_path(sha256), self.journal_path(sha256));
        let length = match fs::metadata(&path) {
            Ok(facts) => facts.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(io_error(&path)(error)),
        };
        let scattered = read_journal(&journal, length).map_err(io_error(&journal))?;
        Ok(scattered.map_or(length, |ranges| ranges.total()))
    }

    /// Every blob, in order of digest. Files with other names are not the store's and are ignored.
    pub async fn list(&self) -> Result<Vec<Blob>, StoreError> {
        let blobs = self.blobs();
        blocking(&self.root, move || {
            let mut found = Vec::new();
            for shelf in fs::read_dir(&blobs).map_err(io_error(&blobs))? {
                let shelf = shelf.map_err(io_error(&blobs))?.path();
                let Ok(entries) = fs::read_dir(&shelf) else { continue };
                for entry in entries {
                    let entry = entry.map_err(io_error(&shelf))?;
                    let name = entry.file_name();
                    let Some(Ok(sha256)) = name.to_str().map(str::parse::<Sha256>) else {
                        continue;
                    };
                    let facts = entry.metadata().map_err(io_error(&shelf))?;
                    if facts.is_file() {
                        found.push(Blob { sha256, size: facts.len() });
                    }
                }
            }
            found.sort_unstable();
            Ok(found)
        })
        .await
    }

    /// Reads a blob whole and says whether its bytes still have the digest of its name; `None`
    /// when it is not there.
    pub async fn check(&self, sha256: &Sha256) -> Result<Option<bool>, StoreError> {
        let (path, expected) = (self.path(sha256), *sha256);
        blocking(&self.root, move || {
            let mut file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(io_error(&path)(error)),
            };
            let mut hasher = sha2::Sha256::new();
            hash_start(&mut file, u64::MAX, |block| hasher.update(block))
                .map_err(io_error(&path))?;
            Ok(Some(Sha256::from_hasher(hasher) == expected))
        })
        .await
    }
}

struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        // After a success the file has moved away and there is nothing to remove.
        fs::remove_file(&self.0).ok();
    }
}

/// The digest of a file.
pub(crate) fn digest_of_file(path: &Path) -> io::Result<Sha256> {
    let mut hasher = sha2::Sha256::new();
    hash_start(&mut File::open(path)?, u64::MAX, |block| hasher.update(block))?;
    Ok(Sha256::from_hasher(hasher))
}

/// Reads the first bytes of a file block by block, for a hasher, and leaves the file there.
fn hash_start(file: &mut File, length: u64, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut block = vec![0; BLOCK];
    let mut left = length;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let read = file.read(block.get_mut(..most).unwrap_or_default())?;
        if read == 0 {
            break;
        }
        each(block.get(..read).unwrap_or_default());
        left -= read as u64;
    }
    Ok(())
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.ino() == named.ino() && open.dev() == named.dev(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same_file(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests;
