//! What a mirror remembers between syncs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{MirrorError, STATE_DIRECTORY};
use crate::date::Timestamp;
use crate::digest::{Sha256, Sha512};
use crate::path::SafePath;
use crate::publish::write_file;
use crate::trust::TrustMemory;

/// An item that the mirror holds. Items without a file are held in name only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Held {
    /// Relative to the root.
    pub path: SafePath,
    /// Its content.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
}

/// Item name to what is held of it.
pub(super) type Items = BTreeMap<String, Option<Held>>;
/// Version name to its items.
pub(super) type Versions = BTreeMap<String, Items>;

/// Everything that the mirror holds: content id, product, version, item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Inventory {
    pub(super) contents: BTreeMap<String, BTreeMap<String, Versions>>,
}

impl Inventory {
    /// Every file, once for each item that names it.
    pub fn files(&self) -> impl Iterator<Item = &Held> {
        let versions = self.contents.values().flat_map(BTreeMap::values);
        versions.flat_map(BTreeMap::values).flat_map(BTreeMap::values).flatten()
    }

    /// Every path and its content.
    pub fn paths(&self) -> BTreeMap<&SafePath, &Held> {
        self.files().map(|held| (&held.path, held)).collect()
    }

    /// The versions of a product that are held.
    pub fn versions(&self, content_id: &str, product: &str) -> impl Iterator<Item = &str> {
        let versions = self.contents.get(content_id).and_then(|products| products.get(product));
        versions.into_iter().flat_map(|versions| versions.keys().map(String::as_str))
    }

    /// Gives content its name where another stood for it.
    pub(super) fn rename(&mut self, names: &BTreeMap<Sha256, Sha256>) {
        for versions in self.contents.values_mut().flat_map(BTreeMap::values_mut) {
            let items = versions.values_mut().flat_map(BTreeMap::values_mut);
            for held in items.flatten() {
                if let Some(name) = names.get(&held.sha256) {
                    held.sha256 = *name;
                }
            }
        }
    }

    /// Drops every version of which a file is not one to keep.
    #[cfg(feature = "archive")]
    pub(super) fn keep_only(&mut self, keep: impl Fn(&Held) -> bool) {
        for versions in self.contents.values_mut().flat_map(BTreeMap::values_mut) {
            versions.retain(|_, items| items.values().flatten().all(&keep));
        }
    }

    /// Forgets items whose path is one of these, so that the next sync fetches them again.
    pub(super) fn forget(&mut self, paths: &BTreeSet<SafePath>) {
        for products in self.contents.values_mut() {
            for versions in products.values_mut() {
                versions.retain(|_, items| {
                    !items.values().flatten().any(|held| paths.contains(&held.path))
                });
            }
        }
    }
}

/// A metadata document as it was published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Metadata {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    /// The digest of the document on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<Sha256>,
    /// The digest of its detached signature, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<Sha256>,
    /// The digest of the document that is to take its place: until that is done either is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) incoming: Option<Sha256>,
}

impl Metadata {
    /// A document that stands on the disk.
    pub(super) fn published(raw: &[u8], signature: Option<&[u8]>, etag: Option<String>) -> Self {
        let (sha256, signature) = (Some(Sha256::of(raw)), signature.map(Sha256::of));
        Self { etag, sha256, signature, incoming: None }
    }
}

/// The state file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    #[serde(default)]
    pub(super) memory: TrustMemory,
    #[serde(default)]
    pub(super) inventory: Inventory,
    #[serde(default)]
    pub(super) metadata: BTreeMap<SafePath, Metadata>,
    /// The SHA-256 of content of which documents name only the SHA-512.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) named: BTreeMap<Sha512, Sha256>,
    /// Paths that no document names any more, and since when.
    #[serde(default)]
    pub(super) doomed: BTreeMap<SafePath, Timestamp>,
}

impl State {
    pub(super) fn path(root: &Path) -> PathBuf {
        root.join(STATE_DIRECTORY).join("state.json")
    }

    pub(super) fn load(root: &Path) -> Result<Self, MirrorError> {
        let path = Self::path(root);
        match std::fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|cause| MirrorError::State { path, cause })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(cause) => Err(MirrorError::Io { path, cause }),
        }
    }

    pub(super) fn save(&self, root: &Path) -> Result<(), MirrorError> {
        let path = Self::path(root);
        let text = serde_json::to_vec(self)
            .map_err(|cause| MirrorError::State { path: path.clone(), cause })?;
        Ok(write_file(&path, &text)?)
    }
}
