//! Small blobs that wait to be flushed together: a flush for each would cost more than the rest.
//!
//! A staged blob lies whole and proved, but not flushed, in `partial/`, under the name of a blob on
//! its way. It gets its own name after one flush of the whole file system, so that a power cut at
//! any moment leaves no name without its bytes. After a crash before that it is taken up like any
//! other blob on its way, and is not fetched again.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;

use super::hasher::Hasher;
use super::{BlobStore, StoreError, blocking, io_error, rename_unless_there, sync_directory};
use crate::digest::{Sha256, Sha512};

/// From how many files on a flush of the whole file system costs less than one for each.
const WORTH_A_SWEEP: usize = 16;

/// Blobs that are whole and wait for their names.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    /// Those of which nothing was there before: only they are staged.
    absent: HashSet<Sha256>,
    /// What each is called in `partial/`, and its SHA-256: another one when the first stood in.
    blobs: Mutex<Vec<(Sha256, Sha256)>>,
}

impl Staged {
    /// For blobs of which nothing is there, neither whole nor on its way.
    pub(crate) fn for_absent(absent: HashSet<Sha256>) -> Self {
        Self { absent, blobs: Mutex::default() }
    }

    /// Whether a blob can be staged.
    pub(crate) fn takes(&self, sha256: &Sha256) -> bool {
        self.absent.contains(sha256)
    }

    fn blobs(&self) -> MutexGuard<'_, Vec<(Sha256, Sha256)>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a whole blob when its digest is the right one; answers with its SHA-256.
    pub(crate) async fn add(
        &self,
        store: &BlobStore,
        key: Sha256,
        proof: Option<Sha512>,
        whole: BytesMut,
    ) -> Result<Sha256, StoreError> {
        let this = store.clone();
        let name = store.write_work(move || this.stage(key, proof, &whole)).await?;
        self.blobs().push((key, name));
        Ok(name)
    }

    /// Flushes all and gives them their names.
    pub(crate) async fn keep(&self, store: &BlobStore) -> Result<(), StoreError> {
        let mut blobs = std::mem::take(&mut *self.blobs());
        if blobs.is_empty() {
            return Ok(());
        }
        let this = store.clone();
        blocking(&store.root, move || this.keep_staged(&mut blobs)).await
    }
}

impl BlobStore {
    fn stage(
        &self,
        key: Sha256,
        proof: Option<Sha512>,
        whole: &[u8],
    ) -> Result<Sha256, StoreError> {
        let mut hasher = Hasher::new(proof);
        hasher.update(whole);
        let name = hasher.verdict(key)?;
        let part = self.partial_path(&key);
        let busy = || StoreError::Busy { sha256: key };
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&part) {
            Ok(file) => file,
            // Another writer came first.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(busy()),
            Err(error) => return Err(io_error(&part)(error)),
        };
        // Nobody is asked whether the name is still this file's, as one who found the file there
        // would be: what is written is right wherever it lands, and the rename finds out.
        if file.try_lock().is_err() {
            return Err(busy());
        }
        file.write_all(whole).map_err(io_error(&part))?;
        Ok(name)
    }

    fn keep_staged(&self, blobs: &mut [(Sha256, Sha256)]) -> Result<(), StoreError> {
        let swept = blobs.len() >= WORTH_A_SWEEP && self.sweep()?;
        if !swept {
            for (key, _) in blobs.iter() {
                let part = self.partial_path(key);
                match File::open(&part).and_then(|file| file.sync_all()) {
                    // Another writer may have flushed and named it; the rename below finds out.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other.map_err(io_error(&part))?,
                }
            }
        }
        // Shelf by shelf: each directory is looked up and changed in one go.
        blobs.sort_unstable_by_key(|(_, name)| *name);
        let mut shelves = vec![self.blobs()];
        for (key, name) in blobs.iter() {
            let target = self.path(name);
            if let Some(shelf) = target.parent()
                && shelves.last().is_none_or(|last| last != shelf)
            {
                fs::create_dir_all(shelf).map_err(io_error(shelf))?;
                shelves.push(shelf.to_owned());
            }
            rename_unless_there(&self.partial_path(key), &target)?;
        }
        if !(swept && self.sweep()?) {
            for shelf in shelves {
                sync_directory(&shelf).map_err(io_error(&shelf))?;
            }
        }
        Ok(())
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
