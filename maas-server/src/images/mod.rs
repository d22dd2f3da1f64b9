//! Boot sources and boot resources: selected, synchronised, verified and stored.

pub mod bootloaders;
pub mod documents;
mod garbage;
pub mod sync;
pub mod uploads;

pub(crate) use garbage::collect as collect_garbage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use maas_core::image::Images as Resources;
use maas_simplestreams::digest::Sha256;
use maas_simplestreams::store::BlobStore;
use tokio::sync::watch;

use self::documents::ResourceDocument;
use crate::store::{Store, StoreError};

/// The image store and what is in it.
#[derive(Debug)]
pub struct Images {
    dir: PathBuf,
    blobs: BlobStore,
    current: RwLock<Arc<Current>>,
    importing: Mutex<Importing>,
    import_requested: watch::Sender<u64>,
    import_stopped: tokio::sync::Notify,
    uploads: uploads::Uploads,
}

/// What machines can be given, and the files that the rack serves.
#[derive(Debug, Default)]
struct Current {
    resources: Arc<Resources>,
    /// Bytes by whole SHA-256: every file that is there, also those that only the plan of a
    /// deployment still names.
    files: Arc<BTreeMap<String, u64>>,
}

/// How the import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Importing {
    #[default]
    Idle,
    Running,
}

/// A file of an image on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobFile {
    /// Its whole SHA-256 in lower-case hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// Why the image store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImagesError {
    /// The directory.
    #[error("the image store {dir} cannot be used")]
    Blobs {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: maas_simplestreams::store::StoreError,
    },
    /// The directory of uploads that are not complete.
    #[error("the image store {dir} cannot be used")]
    Uploads {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Images {
    /// Opens the image store in `dir` with the resources that the database lists.
    ///
    /// # Errors
    ///
    /// [`ImagesError`] when the directory or the database cannot be used.
    pub async fn open(dir: PathBuf, store: &dyn Store) -> Result<Self, ImagesError> {
        let blobs = BlobStore::open(dir.join("blobs"))
            .await
            .map_err(|source| ImagesError::Blobs { dir: dir.clone(), source })?;
        let uploads = uploads::Uploads::open(dir.join("uploads"))
            .map_err(|source| ImagesError::Uploads { dir: dir.clone(), source })?;
        let images = Self {
            uploads,
            import_stopped: tokio::sync::Notify::new(),
            dir,
            blobs,
            current: RwLock::default(),
            importing: Mutex::default(),
            import_requested: watch::Sender::new(0),
        };
        images.reload(store).await?;
        Ok(images)
    }

    /// Reads the list of resources and files anew, after it was changed.
    ///
    /// # Errors
    ///
    /// [`ImagesError`] when the directory or the database cannot be read.
    pub async fn reload(&self, store: &dyn Store) -> Result<(), ImagesError> {
        let documents = store.list::<ResourceDocument>().await?;
        let resources: Vec<_> =
            documents.into_iter().map(|document| document.value.resource).collect();
        let blobs = self.blobs.list().await.map_err(|source| self.unusable(source))?;
        let files = blobs.into_iter().map(|blob| (blob.sha256.to_string(), blob.size)).collect();
        let current = Current { resources: Arc::new(Resources(resources)), files: Arc::new(files) };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
        Ok(())
    }

    /// The resources that can be served now.
    #[must_use]
    pub fn current(&self) -> Arc<Resources> {
        Arc::clone(&self.snapshot().resources)
    }

    /// Bytes of every file that is here, by its whole SHA-256.
    #[must_use]
    pub fn files(&self) -> Arc<BTreeMap<String, u64>> {
        Arc::clone(&self.snapshot().files)
    }

    fn unusable(&self, source: maas_simplestreams::store::StoreError) -> ImagesError {
        ImagesError::Blobs { dir: self.dir.clone(), source }
    }

    fn snapshot(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The directory of the image store.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the boot loaders of a type and architecture are, as paths of the rack name them.
    #[must_use]
    pub fn bootloader_dir(&self, bootloader_type: &str, arch: &str) -> PathBuf {
        self.dir.join("bootloaders").join(bootloader_type).join(arch)
    }

    /// The verified blobs.
    #[must_use]
    pub const fn blobs(&self) -> &BlobStore {
        &self.blobs
    }

    /// The file whose hash begins with `prefix`, lower-case hex; `None` when there is none or
    /// more than one.
    #[must_use]
    pub fn blob(&self, prefix: &str) -> Option<BlobFile> {
        let current = self.snapshot();
        let mut found = current
            .files
            .range(prefix.to_owned()..)
            .take_while(|(sha256, _)| sha256.starts_with(prefix));
        let (sha256, size) = found.next()?;
        if found.next().is_some() {
            return None;
        }
        let digest: Sha256 = sha256.parse().ok()?;
        let path = self.blobs.path(&digest);
        Some(BlobFile { sha256: sha256.clone(), size: *size, path })
    }

    /// Whether an import is going on.
    #[must_use]
    pub fn is_importing(&self) -> bool {
        *self.importing.lock().unwrap_or_else(PoisonError::into_inner) == Importing::Running
    }

    /// Asks the worker for an import; one that is going on is followed by another.
    pub fn request_import(&self) {
        self.import_requested.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Asks the worker to break the import off that is going on; what arrived stays.
    pub fn stop_import(&self) {
        self.import_stopped.notify_waiters();
    }

    /// The uploads that are under way.
    pub(crate) const fn uploads(&self) -> &uploads::Uploads {
        &self.uploads
    }

    /// Rings when an import is asked for.
    #[must_use]
    pub fn import_requests(&self) -> watch::Receiver<u64> {
        self.import_requested.subscribe()
    }

    /// Marks an import as going on until the guard is dropped; `None` when one is.
    fn begin_import(&self) -> Option<ImportGuard<'_>> {
        let mut importing = self.importing.lock().unwrap_or_else(PoisonError::into_inner);
        if *importing == Importing::Running {
            return None;
        }
        *importing = Importing::Running;
        Some(ImportGuard(self))
    }
}

/// An import that is going on.
#[derive(Debug)]
struct ImportGuard<'a>(&'a Images);

impl Drop for ImportGuard<'_> {
    fn drop(&mut self) {
        *self.0.importing.lock().unwrap_or_else(PoisonError::into_inner) = Importing::Idle;
    }
}
