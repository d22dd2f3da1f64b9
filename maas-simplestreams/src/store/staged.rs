//! Blobs that wait to be flushed together: a flush for each small one would cost more than the rest,
//! and for each large one a tenth of it.
//!
//! A staged blob lies whole and proved, but not flushed: a small one on a shelf of its own kind,
//! `staged/<batch>/ab/<digest>`, a large one where it came in, in `partial/`. After one flush of the
//! whole file system they get their names in `blobs/`, a shelf as a whole where the store has none
//! of that name yet, so that a power cut at any moment leaves no name without its bytes. What a
//! crash leaves is [taken up](BlobStore::take_up_staged) like any other blob on its way, and is not
//! fetched again.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;

use super::hasher::Hasher;
use super::{BlobStore, StoreError, blocking, io_error, rename_unless_there, sync_directory};
use crate::digest::{Sha256, Sha512};

/// From how many files on a flush of the whole file system costs less than one for each.
const WORTH_A_SWEEP: usize = 16;

/// As soon as so many bytes of large blobs wait, they are flushed: what a crash leaves without a
/// name is read and proved again.
pub(super) const MOST_WAITING: u64 = 1 << 30;

/// The directory of all batches.
const STAGED: &str = "staged";

static BATCHES: AtomicU64 = AtomicU64::new(0);

/// Blobs that are whole and wait for their names.
#[derive(Debug)]
pub(crate) struct Staged {
    /// Those of which nothing was there before: only they can lie on a shelf.
    absent: HashSet<Sha256>,
    /// Names the directory of this batch, which nobody else writes to: all that lies there is
    /// whole when the batch is kept.
    batch: String,
    small: Mutex<Vec<Waiting>>,
    large: Mutex<Large>,
}

/// Large blobs that wait, and how many bytes they have.
#[derive(Debug, Default)]
struct Large {
    blobs: Vec<Waiting>,
    bytes: u64,
}

/// A blob that waits for its name.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    name: Sha256,
    /// What it is called in `partial/` when it is there: it is large, or only its SHA-512 was known
    /// and others may have staged the same content by its SHA-256.
    stand_in: Option<Sha256>,
}

impl Staged {
    /// `absent` are the blobs of which nothing is there, neither whole nor on its way.
    pub(crate) fn for_absent(absent: HashSet<Sha256>) -> Self {
        let batch = BATCHES.fetch_add(1, Ordering::Relaxed);
        let batch = format!("{}-{batch}", std::process::id());
        Self { absent, batch, small: Mutex::default(), large: Mutex::default() }
    }

    /// Whether a small blob can be staged; a large one always can.
    pub(crate) fn takes(&self, sha256: &Sha256) -> bool {
        self.absent.contains(sha256)
    }

    fn small(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.small.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn large(&self) -> MutexGuard<'_, Large> {
        self.large.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a small blob whole when its digest is the right one; answers with its SHA-256.
    pub(crate) async fn add(
        &self,
        store: &BlobStore,
        key: Sha256,
        proof: Option<Sha512>,
        whole: BytesMut,
    ) -> Result<Sha256, StoreError> {
        let batch = Batch::of(store, &self.batch);
        let waiting = store.write_work(move || batch.stage(key, proof, &whole)).await?;
        self.small().push(waiting);
        Ok(waiting.name)
    }

    /// Takes a blob that lies whole and proved in `partial/`, where it is called `key`.
    pub(super) async fn add_large(
        &self,
        store: &BlobStore,
        key: Sha256,
        name: Sha256,
        size: u64,
    ) -> Result<(), StoreError> {
        let mut full = {
            let mut large = self.large();
            large.blobs.push(Waiting { name, stand_in: Some(key) });
            large.bytes = large.bytes.saturating_add(size);
            if large.bytes < MOST_WAITING {
                return Ok(());
            }
            std::mem::take(&mut *large).blobs
        };
        let batch = Batch::of(store, &self.batch);
        blocking(&store.root, move || batch.name(&mut full)).await
    }

    /// Flushes all and gives them their names.
    pub(crate) async fn keep(&self, store: &BlobStore) -> Result<(), StoreError> {
        let mut blobs = std::mem::take(&mut *self.small());
        blobs.append(&mut std::mem::take(&mut *self.large()).blobs);
        if blobs.is_empty() {
            return Ok(());
        }
        let batch = Batch::of(store, &self.batch);
        blocking(&store.root, move || {
            batch.name(&mut blobs)?;
            // All that lay there has moved away.
            fs::remove_dir_all(&batch.root).ok();
            Ok(())
        })
        .await
    }
}

/// The directory of a batch and the store that it is for.
struct Batch {
    store: BlobStore,
    root: PathBuf,
}

impl Batch {
    fn of(store: &BlobStore, name: &str) -> Self {
        Self { store: store.clone(), root: store.below(&[STAGED, name]) }
    }

    fn shelf(&self, shelf: &str) -> PathBuf {
        self.root.join(shelf)
    }

    fn path(&self, waiting: &Waiting) -> PathBuf {
        match waiting.stand_in {
            Some(key) => self.store.partial_path(&key),
            None => {
                let name = waiting.name.to_string();
                let mut path = PathBuf::with_capacity(self.root.as_os_str().len() + 80);
                path.push(&self.root);
                path.push(name.get(..2).unwrap_or_default());
                path.push(name);
                path
            }
        }
    }

    fn stage(
        &self,
        key: Sha256,
        proof: Option<Sha512>,
        whole: &[u8],
    ) -> Result<Waiting, StoreError> {
        let mut hasher = Hasher::new(proof);
        hasher.update(whole);
        let name = hasher.verdict(key)?;
        let waiting = Waiting { name, stand_in: proof.map(|_| key) };
        let path = self.path(&waiting);
        let create = || OpenOptions::new().write(true).create_new(true).open(&path);
        let file = create().or_else(|error| match path.parent() {
            // The first blob of its shelf.
            Some(shelf) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(shelf)?;
                create()
            }
            _ => Err(error),
        });
        let mut file = match file {
            Ok(file) => file,
            // Another writer came first.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(StoreError::Busy { sha256: key });
            }
            Err(error) => return Err(io_error(&path)(error)),
        };
        if let Err(error) = file.write_all(whole) {
            fs::remove_file(&path).ok();
            return Err(io_error(&path)(error));
        }
        Ok(waiting)
    }

    /// Flushes blobs and gives them their names.
    fn name(&self, blobs: &mut [Waiting]) -> Result<(), StoreError> {
        let swept = blobs.len() >= WORTH_A_SWEEP && self.store.sweep()?;
        if !swept {
            for blob in blobs.iter() {
                let path = self.path(blob);
                match File::open(&path).and_then(|file| file.sync_all()) {
                    // Another writer may have flushed and named it; the rename finds out.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other.map_err(io_error(&path))?,
                }
            }
        }
        blobs.sort_unstable_by_key(|blob| blob.name);
        let shelf_of = |blob: &Waiting| blob.name.as_bytes().first().copied();
        let mut shelves = vec![self.store.blobs()];
        for blobs in blobs.chunk_by(|one, other| shelf_of(one) == shelf_of(other)) {
            if let Some(first) = blobs.first() {
                shelves.push(self.store.shelf(&first.name));
                self.keep_shelf(blobs, &first.name)?;
            }
        }
        if !(swept && self.store.sweep()?) {
            for shelf in shelves {
                sync_directory(&shelf).map_err(io_error(&shelf))?;
            }
        }
        Ok(())
    }

    /// Moves the blobs of one shelf: the shelf itself when the store has none of that name.
    fn keep_shelf(&self, blobs: &[Waiting], one: &Sha256) -> Result<(), StoreError> {
        let target = self.store.shelf(one);
        let source = self.shelf(&target.file_name().unwrap_or_default().to_string_lossy());
        // Nothing else may lie there: what could not be written whole, or be removed then.
        let is_whole = blobs.iter().all(|blob| blob.stand_in.is_none())
            && entries(&source)?.len() == blobs.len();
        if is_whole && fs::rename(&source, &target).is_ok() {
            return Ok(());
        }
        fs::create_dir_all(&target).map_err(io_error(&target))?;
        for blob in blobs {
            rename_unless_there(&self.path(blob), &self.store.path(&blob.name))?;
        }
        Ok(())
    }
}

impl BlobStore {
    /// Takes up what a crash has left of batches: every blob is then on its way like one whose
    /// fetch was interrupted. To be called where nobody else stages blobs in this store.
    pub(crate) async fn take_up_staged(&self) -> Result<(), StoreError> {
        let this = self.clone();
        blocking(&self.root, move || {
            let staged = this.below(&[STAGED]);
            for batch in entries(&staged)? {
                for shelf in entries(&batch)? {
                    for left in entries(&shelf)? {
                        let target = this.partials().join(left.file_name().unwrap_or_default());
                        if !target.exists() {
                            fs::rename(&left, &target).map_err(io_error(&left))?;
                        }
                    }
                }
                fs::remove_dir_all(&batch).map_err(io_error(&batch))?;
            }
            Ok(())
        })
        .await
    }

    /// Flushes the whole file system, where that can be asked for; whether it was done.
    #[cfg(target_os = "linux")]
    fn sweep(&self) -> Result<bool, StoreError> {
        let directory = File::open(&self.root).map_err(io_error(&self.root))?;
        match rustix::fs::syncfs(&directory) {
            Ok(()) => Ok(true),
            Err(error) => Err(io_error(&self.root)(error.into())),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn sweep(&self) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// What a directory holds; nothing when it is not there.
fn entries(directory: &std::path::Path) -> Result<Vec<PathBuf>, StoreError> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .map_err(io_error(directory)),
    }
}
