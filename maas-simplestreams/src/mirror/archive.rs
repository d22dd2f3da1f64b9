//! Carrying a mirror over an air gap: one `tar.zst` with only what the other side lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::run::Mirror;
use super::state::{Held, Inventory, Metadata};
use super::{MirrorError, STATE_DIRECTORY};
use crate::date::Timestamp;
use crate::digest::{Digest, Sha256};
use crate::limits::Limits;
use crate::path::SafePath;
use crate::repository::RepositoryError;
use crate::signature::{Verified, Verifier};
use crate::store::StoreError;

/// The first member: what the archive is about.
const MANIFEST: &str = "manifest.json";
/// Largest manifest and largest metadata document, in bytes.
const LARGEST_DOCUMENT: u64 = 128 << 20;
/// The compression level: content is compressed already.
const LEVEL: i32 = 3;

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: String,
    inventory: Inventory,
    metadata: Vec<SafePath>,
}

/// The form of the archive.
const FORMAT: &str = "sstream-archive:1";

/// What an export holds or an import brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Carried {
    /// Files of items.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Metadata documents.
    pub documents: usize,
}

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The archive itself.
    #[error("the archive cannot be written or read")]
    Io(#[source] io::Error),
    /// It is not such an archive.
    #[error("this is no archive of a mirror: {detail}")]
    Malformed {
        /// What is wrong.
        detail: &'static str,
    },
    /// The mirror.
    #[error("the mirror failed")]
    Mirror(#[source] MirrorError),
    /// A document is not signed by whom it should be, or is neither an index nor a products file.
    #[error("a document in the archive is not accepted")]
    Document(#[source] Box<RepositoryError>),
    /// Content that is neither in the archive nor in the mirror.
    #[error("{count} file(s) are neither in the archive nor in the mirror")]
    Incomplete {
        /// How many.
        count: usize,
    },
}

impl From<io::Error> for ArchiveError {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

impl From<RepositoryError> for ArchiveError {
    fn from(cause: RepositoryError) -> Self {
        Self::Document(Box::new(cause))
    }
}

impl From<MirrorError> for ArchiveError {
    fn from(cause: MirrorError) -> Self {
        Self::Mirror(cause)
    }
}

impl From<StoreError> for ArchiveError {
    fn from(cause: StoreError) -> Self {
        Self::Mirror(MirrorError::Store(cause))
    }
}

impl Mirror {
    /// The digests of all content, to tell the other side of an air gap what is here.
    pub fn contents(&self) -> BTreeSet<Sha256> {
        self.state.inventory.files().map(|held| held.sha256).collect()
    }

    /// Writes the mirror as one archive, without the content that the other side has. Blocking.
    pub fn export(
        &self,
        archive: impl Write,
        other_side: &BTreeSet<Sha256>,
    ) -> Result<Carried, ArchiveError> {
        let mut encoder = zstd::Encoder::new(archive, LEVEL)?;
        encoder.include_checksum(true)?;
        let mut tar = tar::Builder::new(encoder);
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            inventory: self.state.inventory.clone(),
            metadata: self.state.metadata.keys().cloned().collect(),
        };
        let text = serde_json::to_vec(&manifest)
            .map_err(|cause| ArchiveError::Io(io::Error::other(cause)))?;
        append(&mut tar, MANIFEST, text.len() as u64, &text[..])?;
        let mut carried = Carried::default();
        let mut done = BTreeSet::new();
        for held in self.state.inventory.files() {
            if other_side.contains(&held.sha256) || !done.insert(held.sha256) {
                continue;
            }
            let path = held.path.below(&self.root);
            append(&mut tar, &format!("blobs/{}", held.sha256), held.size, File::open(&path)?)?;
            carried.blobs += 1;
            carried.bytes += held.size;
        }
        for path in self.state.metadata.keys() {
            for path in [path.to_string(), format!("{path}.gpg")] {
                let Ok(file) = File::open(self.root.join(&path)) else { continue };
                let size = file.metadata()?.len();
                append(&mut tar, &format!("metadata/{path}"), size, file)?;
                carried.documents += 1;
            }
        }
        tar.into_inner()?.finish()?.flush()?;
        Ok(carried)
    }

    /// Takes an archive in: content into the store, each file checked against its digest, then
    /// items, products files, the index. Blocking.
    ///
    /// Every document must be signed, and an item gets a path only when a signed document says so.
    /// Nothing of the archive is published when a signature is refused or content is missing.
    pub fn import(
        &mut self,
        archive: impl Read,
        verifier: &dyn Verifier,
        now: Timestamp,
    ) -> Result<Carried, ArchiveError> {
        self.import_with(archive, Some(verifier), now)
    }

    /// Takes an archive in without looking at signatures; see [`Self::import`].
    pub fn import_unverified(
        &mut self,
        archive: impl Read,
        now: Timestamp,
    ) -> Result<Carried, ArchiveError> {
        self.import_with(archive, None, now)
    }

    fn import_with(
        &mut self,
        archive: impl Read,
        verifier: Option<&dyn Verifier>,
        now: Timestamp,
    ) -> Result<Carried, ArchiveError> {
        let mut tar = tar::Archive::new(zstd::Decoder::new(archive)?);
        let mut members = tar.entries()?;
        let first = members.next().ok_or(ArchiveError::Malformed { detail: "it is empty" })??;
        if first.path_bytes().as_ref() != MANIFEST.as_bytes() {
            return Err(ArchiveError::Malformed { detail: "it does not start with its manifest" });
        }
        let mut manifest: Manifest = serde_json::from_slice(&read_document(first)?)
            .map_err(|cause| ArchiveError::Io(cause.into()))?;
        if manifest.format != FORMAT {
            return Err(ArchiveError::Malformed { detail: "it is of another form" });
        }
        let known: BTreeMap<Sha256, u64> =
            manifest.inventory.files().map(|held| (held.sha256, held.size)).collect();
        let mut documents: BTreeMap<SafePath, Vec<u8>> = BTreeMap::new();
        let mut carried = Carried::default();
        for member in members {
            let member = member?;
            let name = String::from_utf8(member.path_bytes().into_owned())
                .map_err(|_| ArchiveError::Malformed { detail: "a name is not UTF-8" })?;
            let unknown = ArchiveError::Malformed { detail: "it holds an unknown member" };
            if let Some(digest) = name.strip_prefix("blobs/") {
                let sha256: Sha256 = digest.parse().map_err(|_| unknown)?;
                let size = *known.get(&sha256).ok_or(ArchiveError::Malformed {
                    detail: "it holds content that its manifest does not name",
                })?;
                self.store.import_known_blocking(member.take(size), sha256, size)?;
                carried.blobs += 1;
                carried.bytes += size;
            } else if let Some(path) = name.strip_prefix("metadata/") {
                let path = SafePath::new(path).map_err(|_| unknown)?;
                if !path.as_str().starts_with("streams/v1/") {
                    return Err(ArchiveError::Malformed { detail: "metadata has a strange place" });
                }
                documents.insert(path, read_document(member)?);
                carried.documents += 1;
            } else {
                return Err(unknown);
            }
        }
        // The checksum of the archive stands at its end.
        io::copy(&mut tar.into_inner(), &mut io::sink())?;
        if let Some(verifier) = verifier {
            let signed = signed_files(&documents, verifier, now)?;
            manifest.inventory.keep_only(|held| signed.contains(held));
        }
        self.take_in(manifest, documents, now)?;
        Ok(carried)
    }

    fn take_in(
        &mut self,
        manifest: Manifest,
        documents: BTreeMap<SafePath, Vec<u8>>,
        now: Timestamp,
    ) -> Result<(), ArchiveError> {
        let paths: BTreeMap<SafePath, _> = manifest
            .inventory
            .paths()
            .into_iter()
            .map(|(path, held)| (path.clone(), held.clone()))
            .collect();
        for path in paths.keys() {
            let first = path.as_str().split('/').next();
            if path.as_str().starts_with("streams/v1/") || first == Some(STATE_DIRECTORY) {
                return Err(MirrorError::ReservedPath { path: path.clone() }.into());
            }
        }
        let absent = |sha256: &Sha256| !self.store.path(sha256).is_file();
        let count = paths.values().filter(|held| absent(&held.sha256)).count();
        if count > 0 {
            return Err(ArchiveError::Incomplete { count });
        }
        for (path, held) in &paths {
            self.link_path(&held.sha256, path)?;
        }
        let before: Vec<SafePath> = self.state.inventory.paths().into_keys().cloned().collect();
        for path in before.into_iter().filter(|path| !paths.contains_key(path)) {
            self.state.doomed.entry(path).or_insert(now);
        }
        for path in paths.keys() {
            self.state.doomed.remove(path);
        }
        self.state.inventory = manifest.inventory;
        for path in &manifest.metadata {
            let signature = path.with_suffix(".gpg").ok();
            let signature = signature.and_then(|path| documents.get(&path)).map(Vec::as_slice);
            let metadata = documents.get(path).map(|raw| Metadata::published(raw, signature, None));
            self.state.metadata.insert(path.clone(), metadata.unwrap_or_default());
        }
        self.state.save(&self.root)?;
        // The index goes last, so that what it names is there.
        let is_index = |path: &SafePath| path.file_name().starts_with("index");
        let (last, first): (Vec<_>, Vec<_>) =
            documents.iter().partition(|(path, _)| is_index(path));
        for (path, content) in first.into_iter().chain(last) {
            crate::publish::write_file(&path.below(&self.root), content)
                .map_err(MirrorError::from)?;
        }
        Ok(())
    }
}

/// Verifies every document and lists the files that the products files name.
fn signed_files(
    documents: &BTreeMap<SafePath, Vec<u8>>,
    verifier: &dyn Verifier,
    now: Timestamp,
) -> Result<BTreeSet<Held>, ArchiveError> {
    let limits = Limits::default();
    let mut files = BTreeSet::new();
    for (path, content) in documents {
        let refused = |cause| RepositoryError::Refused { path: path.clone(), cause };
        let verified = if path.as_str().ends_with(".sjson") {
            Verified::from_clearsigned(content, verifier, now).map_err(refused)?
        } else if path.as_str().ends_with(".json") {
            let unsigned = ArchiveError::Malformed { detail: "a document has no signature" };
            let name = path.with_suffix(".gpg").ok();
            let signature = name.and_then(|name| documents.get(&name)).ok_or(unsigned)?;
            let content = Bytes::copy_from_slice(content);
            Verified::from_detached(content, signature, verifier, now).map_err(refused)?
        } else if path.as_str().ends_with(".json.gpg") {
            continue;
        } else {
            return Err(ArchiveError::Malformed { detail: "metadata has a strange name" });
        };
        let Ok(products) = verified.parse_products(&limits) else {
            verified
                .parse_index(&limits)
                .map_err(|cause| RepositoryError::Document { path: path.clone(), cause })?;
            continue;
        };
        for file in products.items().filter_map(|item| item.file().ok()) {
            if let Digest::Sha256(sha256) = file.digest {
                files.insert(Held { path: file.path, sha256, size: file.size });
            }
        }
    }
    Ok(files)
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    name: &str,
    size: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    tar.append_data(&mut header, Path::new(name), content.take(size))
}

fn read_document(member: impl Read) -> Result<Vec<u8>, ArchiveError> {
    let mut content = Vec::new();
    member.take(LARGEST_DOCUMENT + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST_DOCUMENT {
        return Err(ArchiveError::Malformed { detail: "a document is too large" });
    }
    Ok(content)
}
