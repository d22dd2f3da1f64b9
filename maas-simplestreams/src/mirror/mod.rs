//! Mirroring a source into a directory that can be served as it is.
//!
//! The directory holds the tree of the source: items under their paths, metadata byte for byte as
//! the source signed it. Everything else is below `.sstream/`: the content-addressed store that
//! the items are hard links into, what is on its way, and the state.
//!
//! A sync goes through steps that can be interrupted anywhere:
//!
//! 1. metadata is fetched (conditionally) and verified; what is to be added and removed is planned;
//! 2. missing content comes into the store, each digest once, however many products share it;
//! 3. items get their paths; the state remembers them;
//! 4. products files are published, then the index, each by a rename;
//! 5. what no document names any more is removed when its grace period is over.
//!
//! Readers therefore always find a complete generation: an index never names a products file, and
//! a products file no wanted item, that is not there.

#[cfg(feature = "archive")]
mod archive;
mod check;
mod plan;
mod run;
mod state;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "archive")]
pub use archive::{ArchiveError, Carried};
pub use check::{Damage, DamageKind, Depth};
pub use plan::{Addition, Plan, Removal};
pub use run::{Mirror, Outcome};
pub use state::{Held, Inventory};

use crate::digest::Sha256;
use crate::fetch::{FetchError, FetchOptions};
use crate::filter::Filter;
use crate::path::SafePath;
use crate::publish::PublishError;
use crate::report::chain;
use crate::repository::RepositoryError;
use crate::store::StoreError;
use crate::transport::SourceUrl;
use crate::work::Retention;

/// Where everything but the served tree is.
pub const STATE_DIRECTORY: &str = ".sstream";

/// What to mirror and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MirrorOptions {
    /// Only items that meet all of these.
    pub filters: Vec<Filter>,
    /// How many versions of each product.
    pub retention: Retention,
    /// Whether items are fetched or only metadata.
    pub items: Items,
    /// How persistent fetches are.
    pub fetch: FetchOptions,
    /// Other roots with the same content; items come from there when the source does not have
    /// them, or not fast enough.
    pub alternatives: Vec<SourceUrl>,
    /// How long an item stays after the last document that named it is gone. Default one day.
    pub grace: Duration,
    /// Bytes that must stay free on the disk. Default 64 MiB.
    pub space_margin: u64,
}

/// Whether items are fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Items {
    /// They are.
    #[default]
    Fetch,
    /// Only metadata is mirrored.
    Skip,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self {
            filters: Vec::new(),
            retention: Retention::AsSource,
            items: Items::Fetch,
            fetch: FetchOptions::default(),
            alternatives: Vec::new(),
            grace: Duration::from_secs(86_400),
            space_margin: 64 << 20,
        }
    }
}

/// Why a mirror cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// Another process works on the mirror.
    #[error("another process works on `{root}`")]
    Locked {
        /// The mirror.
        root: PathBuf,
    },
    /// The disk.
    #[error("`{path}` cannot be accessed")]
    Io {
        /// What was accessed.
        path: PathBuf,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
    /// The state is not what this program wrote.
    #[error("the state `{path}` cannot be read")]
    State {
        /// The state file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
    /// The source.
    #[error("the source cannot be read")]
    Repository(#[source] Box<RepositoryError>),
    /// The store.
    #[error("the store failed")]
    Store(#[source] StoreError),
    /// Metadata cannot be written.
    #[error("metadata cannot be published")]
    Publish(#[source] Box<PublishError>),
    /// Two items claim one path with different content.
    #[error("two items claim `{path}` with different content")]
    PathConflict {
        /// The path.
        path: SafePath,
    },
    /// An item claims a path of the metadata or of the state.
    #[error("the path `{path}` of an item is reserved")]
    ReservedPath {
        /// The path.
        path: SafePath,
    },
    /// The disk has not enough room.
    #[error("{needed} bytes are needed, {available} are free")]
    NoSpace {
        /// Bytes that are to come, the margin included.
        needed: u64,
        /// Bytes that are free.
        available: u64,
    },
    /// Some files could not be fetched; everything else is there, nothing new was published.
    #[error("{} file(s) could not be fetched; the first: {}", failed.len(),
        failed.first().map(|(path, cause)| format!("`{path}`: {}", chain(cause))).unwrap_or_default())]
    Incomplete {
        /// One path of each file and why it failed.
        failed: Vec<(SafePath, FetchError)>,
    },
    /// An item is to be linked, but its content is not in the store.
    #[error("{sha256} is not in the store")]
    Missing {
        /// The content.
        sha256: Sha256,
    },
}

impl From<StoreError> for MirrorError {
    fn from(cause: StoreError) -> Self {
        Self::Store(cause)
    }
}

impl From<RepositoryError> for MirrorError {
    fn from(cause: RepositoryError) -> Self {
        Self::Repository(Box::new(cause))
    }
}

impl From<PublishError> for MirrorError {
    fn from(cause: PublishError) -> Self {
        Self::Publish(Box::new(cause))
    }
}

#[cfg(all(test, feature = "openpgp"))]
mod tests;
