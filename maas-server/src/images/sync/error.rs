//! Why boot sources are not synchronised.

use maas_simplestreams::repository::RepositoryError;
use maas_simplestreams::signature::KeyringError;
use maas_simplestreams::transport::{SourceUrlError, TransportError};

use crate::images::ImagesError;
use crate::images::bootloaders::UnpackError;
use crate::store::{DocumentError, StoreError};

/// Why a boot source could not be synchronised; what was there before still is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// Another synchronisation is going on.
    #[error("images are being synchronised already")]
    Busy,
    /// No boot source is enabled.
    #[error("no boot source is enabled: add one, or enable one")]
    NoSource,
    /// The URL cannot be used.
    #[error("boot source {url}")]
    Url {
        /// The boot source.
        url: String,
        /// Why.
        #[source]
        source: SourceUrlError,
    },
    /// The keyring cannot be used.
    #[error("boot source {url}: its keyring {keyring} cannot be used")]
    Keyring {
        /// The boot source.
        url: String,
        /// The keyring's file, or where it is from.
        keyring: String,
        /// Why.
        #[source]
        source: KeyringProblem,
    },
    /// Its documents cannot be fetched or trusted.
    #[error("boot source {url}")]
    Repository {
        /// The boot source.
        url: String,
        /// Why.
        #[source]
        source: Box<RepositoryError>,
    },
    /// No transport.
    #[error("boot source {url}")]
    Transport {
        /// The boot source.
        url: String,
        /// Why.
        #[source]
        source: TransportError,
    },
    /// Files could not be fetched; the images that need them are left as they were.
    #[error(
        "boot source {url}: {failed} of {files} files could not be fetched; the first: {first}"
    )]
    Files {
        /// The boot source.
        url: String,
        /// How many failed.
        failed: usize,
        /// How many were wanted.
        files: usize,
        /// The first failure.
        first: String,
    },
    /// A boot loader's archive.
    #[error(transparent)]
    Bootloader(#[from] UnpackError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The image store.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// The image store.
    #[error(transparent)]
    Blobs(#[from] maas_simplestreams::store::StoreError),
}

/// What is wrong with a keyring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringProblem {
    /// The file.
    #[error("cannot be read")]
    Io(#[from] std::io::Error),
    /// The content.
    #[error(transparent)]
    Content(#[from] KeyringError),
}
