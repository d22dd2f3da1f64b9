//! The data directory: what lies where, and clear errors when it cannot be used.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
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
    /// Another server works on it: two would perform every power command twice.
    #[error("data directory {path} is in use by another server")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It holds no database.
    #[error(
        "data directory {path} holds no database: expected one made by `maas-server serve` or \
         `maas-server user create`; name the right directory with --data-dir or --config"
    )]
    Empty {
        /// The directory.
        path: PathBuf,
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

/// A data directory that this process serves; given up when it is dropped.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

/// Takes the data directory for a server; commands like `user create` work beside it.
///
/// # Errors
///
/// [`DataDirError::InUse`] when another server has it.
pub fn lock(data_dir: &Path) -> Result<DataDirLock, DataDirError> {
    let path = || data_dir.to_owned();
    let file = File::create(data_dir.join("server.lock"))
        .map_err(|source| DataDirError::NotWritable { path: path(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(DataDirLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: path() }),
        Err(TryLockError::Error(source)) if source.kind() == ErrorKind::Unsupported => {
            tracing::warn!(path = %data_dir.display(), "this file system has no locks");
            Ok(DataDirLock { _file: file })
        }
        Err(TryLockError::Error(source)) => Err(DataDirError::NotWritable { path: path(), source }),
    }
}

/// Opens the database that is there, for commands that only read: a mistyped directory is not
/// made.
///
/// # Errors
///
/// [`DataDirError::Empty`] when there is none.
pub async fn open_existing_store(config: &Config) -> Result<Arc<dyn Store>, DataDirError> {
    if config.database.is_none() && !database_file(&config.data_dir).exists() {
        return Err(DataDirError::Empty { path: config.data_dir.clone() });
    }
    open_store(config).await
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn one_server_at_a_time_has_a_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        assert!(matches!(lock(dir.path()), Err(DataDirError::InUse { .. })));
        drop(first);
        assert!(lock(dir.path()).is_ok());
    }

    #[test]
    fn a_file_in_its_place_is_named_with_the_cause() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let error = prepare(&file).unwrap_err();
        let text = crate::with_causes(&error);
        assert!(text.contains("file") && text.contains("os error"), "{text}");
    }

    #[tokio::test]
    async fn a_mistyped_directory_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { data_dir: dir.path().join("typo"), ..Config::default() };
        let opened = open_existing_store(&config).await;
        assert!(matches!(opened, Err(DataDirError::Empty { .. })));
        assert!(!config.data_dir.exists());
        open_store(&config).await.unwrap().close().await.unwrap();
        open_existing_store(&config).await.unwrap().close().await.unwrap();
    }
}
