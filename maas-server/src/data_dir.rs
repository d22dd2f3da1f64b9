//! The data directory: what lies where, and clear errors when it cannot be used.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use maas_core::secret::Secret;

use crate::config::Config;
use crate::store::{SqlStore, Store, StoreError};

/// A data directory that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// It cannot be made or written.
    #[error("data directory {path} is not writable")]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database in it cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The SQLite database below a data directory.
#[must_use]
pub fn database_file(data_dir: &Path) -> PathBuf {
    data_dir.join("maas.sqlite")
}

/// The image store below a data directory.
#[must_use]
pub fn image_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("images")
}

/// Makes the data directory, if needed, and proves that it can be written.
///
/// # Errors
///
/// [`DataDirError::NotWritable`] with the cause.
pub fn prepare(data_dir: &Path) -> Result<(), DataDirError> {
    let not_writable = |source| DataDirError::NotWritable { path: data_dir.to_owned(), source };
    std::fs::create_dir_all(data_dir).map_err(not_writable)?;
    // Permission bits do not tell (root, read-only mounts): a file does.
    let probe = data_dir.join(format!(".writable-{}", std::process::id()));
    std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)).map_err(not_writable)
}

/// Opens the database that the configuration names.
///
/// # Errors
///
/// [`DataDirError`] when the directory or the database cannot be used.
pub async fn open_store(config: &Config) -> Result<Arc<dyn Store>, DataDirError> {
    prepare(&config.data_dir)?;
    let store = match &config.database {
        Some(url) => SqlStore::open(&Secret::new(url.clone())).await?,
        None => SqlStore::sqlite(&database_file(&config.data_dir)).await?,
    };
    Ok(Arc::new(store))
}
