//! What is not there of many blobs at once, found out by reading directories instead of asking for
//! every file.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{BlobStore, StoreError, blocking, io_error};
use crate::digest::Sha256;

/// What is to come of some blobs.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    /// Bytes that are not there.
    pub(crate) bytes: u64,
    /// Blobs of which nothing is there, neither whole nor on its way.
    pub(crate) absent: HashSet<Sha256>,
}

impl BlobStore {
    /// What is not there of these blobs.
    pub(crate) async fn missing(&self, wanted: Vec<(Sha256, u64)>) -> Result<Missing, StoreError> {
        let store = self.clone();
        blocking(&self.root, move || store.missing_blocking(&wanted)).await
    }

    fn missing_blocking(&self, wanted: &[(Sha256, u64)]) -> Result<Missing, StoreError> {
        let mut missing = Missing::default();
        if wanted.is_empty() {
            return Ok(missing);
        }
        let begun = names_in(&self.partials())?;
        let mut shelves: HashMap<PathBuf, HashSet<Sha256>> = HashMap::new();
        for (sha256, size) in wanted {
            let shelf = self.shelf(sha256);
            let shelf = match shelves.get(&shelf) {
                Some(names) => names,
                None => {
                    let names = names_in(&shelf)?;
                    shelves.entry(shelf).or_insert(names)
                }
            };
            if shelf.contains(sha256) {
                continue;
            }
            let mut there = 0;
            if begun.contains(sha256) {
                there = self.partial_size_blocking(sha256)?;
            } else {
                missing.absent.insert(*sha256);
            }
            missing.bytes = missing.bytes.saturating_add(size.saturating_sub(there));
        }
        Ok(missing)
    }

    /// The digests of all blobs.
    pub(crate) async fn names(&self) -> Result<Vec<Sha256>, StoreError> {
        let blobs = self.blobs();
        blocking(&self.root, move || {
            let mut names = Vec::new();
            for shelf in fs::read_dir(&blobs).map_err(io_error(&blobs))? {
                let shelf = shelf.map_err(io_error(&blobs))?;
                if shelf.file_type().is_ok_and(|kind| kind.is_dir()) {
                    names.extend(names_in(&shelf.path())?);
                }
            }
            Ok(names)
        })
        .await
    }
}

/// The files in a directory whose names are digests; none when it is not there.
fn names_in(directory: &Path) -> Result<HashSet<Sha256>, StoreError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        other => other.map_err(io_error(directory))?,
    };
    let mut names = HashSet::new();
    for entry in entries {
        let entry = entry.map_err(io_error(directory))?;
        let name = entry.file_name();
        if let Some(Ok(sha256)) = name.to_str().map(str::parse)
            && entry.file_type().is_ok_and(|kind| kind.is_file())
        {
            names.insert(sha256);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::Begun;

    #[tokio::test]
    async fn whole_begun_and_absent_blobs_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let store = BlobStore::open(root.path()).await.unwrap();
        let whole = store.import_bytes(b"whole").await.unwrap().sha256;
        let (begun, absent) = (Sha256::of(b"begun"), Sha256::of(b"absent"));
        let Begun::Partial(mut partial) = store.begin(begun, 5).await.unwrap() else {
            panic!("nothing of it is there");
        };
        partial.write(b"be").await.unwrap();
        partial.flush().await.unwrap();
        drop(partial);
        let missing = store.missing(vec![(whole, 5), (begun, 5), (absent, 6)]).await.unwrap();
        assert_eq!(missing.bytes, 3 + 6);
        assert_eq!(missing.absent, HashSet::from([absent]));
        assert_eq!(store.names().await.unwrap(), [whole]);
    }
}
