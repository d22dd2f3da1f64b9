//! What a sync will do: worked out before the first byte of content is fetched.

use std::collections::BTreeMap;

use super::state::{Held, Inventory, Items as HeldItems, State};
use super::{Items, MirrorError, MirrorOptions, STATE_DIRECTORY};
use crate::digest::{Digest, Sha256, Sha512};
use crate::document::{Complaint, Pedigree, Problem};
use crate::filter::matches_all;
use crate::path::SafePath;
use crate::products::{ItemRef, Products};
use crate::repository::{Document, Repository, Start};
use crate::select::Wanted;
use crate::work::resolve_work;

/// Where metadata stands.
const METADATA: &str = "streams/v1/";

/// What a sync will do.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Plan {
    /// Versions that come in, product by product.
    pub added: Vec<Addition>,
    /// Versions that go.
    pub removed: Vec<Removal>,
    /// Content that is not held yet, each digest once.
    pub wanted: Vec<Wanted>,
    /// Items that are left out because nothing proves their content.
    pub skipped: Vec<Problem>,
    /// Content of which only the SHA-512 is known, by what stands for its name.
    pub(super) proofs: BTreeMap<Sha256, Sha512>,
    /// What the mirror will hold.
    pub(super) inventory: Inventory,
    /// Documents to publish, in order: products files, nested indexes, the first index.
    pub(super) documents: Vec<Publication>,
}

/// A version that comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Addition {
    /// Content id, product and version.
    pub pedigree: Pedigree,
    /// The files of its items.
    pub files: Vec<Held>,
}

/// A version that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removal {
    /// Content id, product and version.
    pub pedigree: Pedigree,
    /// The files of its items.
    pub files: Vec<Held>,
}

#[derive(Debug)]
pub(super) struct Publication {
    pub(super) path: SafePath,
    pub(super) raw: bytes::Bytes,
    pub(super) etag: Option<String>,
    pub(super) detached_signature: Option<bytes::Bytes>,
}

impl Publication {
    fn of<T>(document: &Document<T>) -> Self {
        Self {
            path: document.path.clone(),
            raw: document.raw.clone(),
            etag: document.etag.clone(),
            detached_signature: document.detached_signature.clone(),
        }
    }
}

impl Plan {
    /// Bytes that are to be fetched.
    pub fn bytes(&self) -> u64 {
        self.wanted.iter().map(|file| file.size).fold(0, u64::saturating_add)
    }

    /// Every path that the mirror will hold for an item.
    pub fn paths(&self) -> Vec<SafePath> {
        self.inventory.paths().into_keys().cloned().collect()
    }

    /// Reads every products file of the source and holds it against what is there.
    pub(super) async fn make(
        repository: &mut Repository,
        state: &State,
        options: &MirrorOptions,
    ) -> Result<Self, MirrorError> {
        let mut plan = Self::default();
        let entries = repository.entries().to_vec();
        for (content_id, entry) in entries {
            let known = matches!(repository.start(), Start::Products(_))
                || entry.format() == Some(crate::products::FORMAT);
            if !known {
                continue;
            }
            let document = repository.products(&content_id).await?;
            plan.weigh(content_id.as_str(), document.verified_or_unverified(), state, options);
            plan.documents.push(Publication::of(&document));
        }
        let mut indexes: Vec<Publication> = repository.indexes().map(Publication::of).collect();
        indexes.reverse();
        plan.documents.append(&mut indexes);
        plan.want(state, options)?;
        Ok(plan)
    }

    fn weigh(
        &mut self,
        content_id: &str,
        products: &Products,
        state: &State,
        options: &MirrorOptions,
    ) {
        let held = state.inventory.contents.get(content_id);
        let mut contents = BTreeMap::new();
        for (product_name, product) in products.products.iter() {
            let mut source: BTreeMap<&str, HeldItems> = BTreeMap::new();
            for (version_name, version) in product.versions.iter() {
                let mut items = HeldItems::new();
                for (item_name, item) in version.items.iter() {
                    let item = ItemRef {
                        products,
                        product_name,
                        product,
                        version_name,
                        version,
                        item_name,
                        item,
                    };
                    if !matches_all(&options.filters, &item) {
                        continue;
                    }
                    match self.held_form(&item, state) {
                        Ok(held) => {
                            items.insert(item_name.to_owned(), held);
                        }
                        Err(complaint) => {
                            self.skipped.push(Problem { pedigree: item.pedigree(), complaint });
                        }
                    }
                }
                if !items.is_empty() {
                    source.insert(version_name, items);
                }
            }
            let target = held.and_then(|products| products.get(product_name));
            let target_names = target.into_iter().flat_map(|versions| versions.keys());
            let work = resolve_work(
                source.keys().copied(),
                target_names.map(String::as_str),
                options.retention,
            );
            let mut after = target.cloned().unwrap_or_default();
            for version in &work.remove {
                if let Some(items) = after.remove(version) {
                    let pedigree = pedigree(content_id, product_name, version);
                    let files = items.into_values().flatten().collect();
                    self.removed.push(Removal { pedigree, files });
                }
            }
            for version in &work.add {
                let items = source.get(version.as_str()).cloned().unwrap_or_default();
                let pedigree = pedigree(content_id, product_name, version);
                let files = items.values().flatten().cloned().collect();
                self.added.push(Addition { pedigree, files });
            }
            // A version that stays may have got other items since, or other filters choose them.
            for (version, items) in source {
                if after.contains_key(version) || work.add.iter().any(|added| added == version) {
                    after.insert(version.to_owned(), items);
                }
            }
            if !after.is_empty() {
                contents.insert(product_name.to_owned(), after);
            }
        }
        for (product_name, versions) in held.into_iter().flatten() {
            if contents.contains_key(product_name) || products.products.get(product_name).is_some()
            {
                continue;
            }
            for (version, items) in versions {
                let pedigree = pedigree(content_id, product_name, version);
                let files = items.values().flatten().cloned().collect();
                self.removed.push(Removal { pedigree, files });
            }
        }
        self.inventory.contents.insert(content_id.to_owned(), contents);
    }

    /// What will be held of an item; an item without a path has no file.
    ///
    /// Something stands for the name of content of which only the SHA-512 is known, until it has
    /// come.
    fn held_form(&mut self, item: &ItemRef<'_>, state: &State) -> Result<Option<Held>, Complaint> {
        if !item.has_path() {
            return Ok(None);
        }
        let file = item.file()?;
        let sha256 = match file.digest {
            Digest::Sha256(sha256) => sha256,
            Digest::Sha512(sha512) => match state.named.get(&sha512) {
                Some(sha256) => *sha256,
                None => {
                    let stand_in = Sha256::of(format!("sha512:{sha512}").as_bytes());
                    self.proofs.insert(stand_in, sha512);
                    stand_in
                }
            },
        };
        Ok(Some(Held { path: file.path, sha256, size: file.size }))
    }

    /// Gives content its name where another stood for it.
    pub(super) fn rename(&mut self, names: &BTreeMap<Sha256, Sha256>) {
        let name = |sha256: &mut Sha256| {
            if let Some(name) = names.get(sha256) {
                *sha256 = *name;
            }
        };
        self.wanted.iter_mut().for_each(|file| name(&mut file.sha256));
        let added = self.added.iter_mut().flat_map(|version| &mut version.files);
        added.for_each(|held| name(&mut held.sha256));
        self.inventory.rename(names);
    }

    /// Finds out which content is not held yet.
    fn want(&mut self, state: &State, options: &MirrorOptions) -> Result<(), MirrorError> {
        let mut by_path: BTreeMap<&SafePath, &Held> = BTreeMap::new();
        let mut wanted: BTreeMap<Sha256, Wanted> = BTreeMap::new();
        let before = state.inventory.paths();
        for held in self.inventory.files() {
            let path = &held.path;
            if path.as_str().starts_with(METADATA)
                || path.as_str().split('/').next() == Some(STATE_DIRECTORY)
            {
                return Err(MirrorError::ReservedPath { path: path.clone() });
            }
            if let Some(other) = by_path.insert(path, held)
                && (other.sha256, other.size) != (held.sha256, held.size)
                && ![other, held].iter().any(|held| self.proofs.contains_key(&held.sha256))
            {
                return Err(MirrorError::PathConflict { path: path.clone() });
            }
            if before.get(path).is_some_and(|there| there.sha256 == held.sha256) {
                continue;
            }
            let entry = wanted.entry(held.sha256).or_insert_with(|| Wanted {
                sha256: held.sha256,
                size: held.size,
                paths: Vec::new(),
            });
            if !entry.paths.contains(path) {
                entry.paths.push(path.clone());
            }
        }
        if options.items == Items::Fetch {
            self.wanted = wanted.into_values().collect();
        } else {
            self.inventory = state.inventory.clone();
        }
        Ok(())
    }
}

fn pedigree(content_id: &str, product: &str, version: &str) -> Pedigree {
    Pedigree(vec![content_id.to_owned(), product.to_owned(), version.to_owned()])
}
