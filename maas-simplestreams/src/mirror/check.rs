//! Looking after a mirror: what is missing or damaged.

use super::run::Mirror;
use super::state::Metadata;
use super::{MirrorError, STATE_DIRECTORY};
use crate::digest::Sha256;
use crate::path::SafePath;

/// How closely a mirror is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// That every file is there and has its size.
    Sizes,
    /// That every file has its digest: reads everything.
    #[default]
    Contents,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub path: SafePath,
    /// The content it should have; `None` for metadata.
    pub sha256: Option<Sha256>,
    /// What is wrong.
    pub kind: DamageKind,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DamageKind {
    /// It is not there.
    #[error("it is missing")]
    Missing,
    /// It has another size.
    #[error("it has {actual} bytes, not {expected}")]
    Size {
        /// Bytes according to the document.
        expected: u64,
        /// Bytes on the disk.
        actual: u64,
    },
    /// It has another digest.
    #[error("its digest differs")]
    Digest,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "`{}`: {}", self.path, self.kind)
    }
}

impl Mirror {
    /// Looks at every file that the mirror should hold.
    pub async fn check(&self, depth: Depth) -> Result<Vec<Damage>, MirrorError> {
        let mut damages = Vec::new();
        for (path, metadata) in &self.state.metadata {
            if let Some(kind) = self.damage_of(path, metadata, depth) {
                damages.push(Damage { path: path.clone(), sha256: None, kind });
            }
        }
        let mut held: Vec<_> = self.state.inventory.paths().into_values().cloned().collect();
        held.sort_unstable_by_key(|held| held.sha256);
        // Links to one file are read once.
        let mut known: Option<(Sha256, (u64, u64), bool)> = None;
        for held in held {
            let path = held.path.below(&self.root);
            let mut damage = |kind| {
                let (path, sha256) = (held.path.clone(), Some(held.sha256));
                damages.push(Damage { path, sha256, kind });
            };
            let Ok(facts) = tokio::fs::metadata(&path).await else {
                damage(DamageKind::Missing);
                continue;
            };
            if facts.len() != held.size {
                damage(DamageKind::Size { expected: held.size, actual: facts.len() });
                continue;
            }
            if depth == Depth::Sizes {
                continue;
            }
            let identity = identity(&facts);
            let right = match known {
                Some((sha256, same, right)) if sha256 == held.sha256 && same == identity => right,
                _ => {
                    let right = digest_of(path.clone()).await == Some(held.sha256);
                    known = Some((held.sha256, identity, right));
                    right
                }
            };
            if !right {
                damage(DamageKind::Digest);
            }
        }
        damages.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Ok(damages)
    }

    /// What is wrong with a document or its detached signature.
    fn damage_of(&self, path: &SafePath, metadata: &Metadata, depth: Depth) -> Option<DamageKind> {
        let read = |path: &SafePath| std::fs::read(path.below(&self.root)).ok();
        let Some(raw) = read(path) else {
            // One that is about to appear for the first time need not be there.
            let is_due = metadata.sha256.is_some() || metadata.incoming.is_none();
            return is_due.then_some(DamageKind::Missing);
        };
        if depth == Depth::Sizes {
            return None;
        }
        let found = Sha256::of(&raw);
        let mut right = [metadata.sha256, metadata.incoming].into_iter().flatten().peekable();
        // States of earlier versions know no digests.
        if right.peek().is_some() && !right.any(|digest| digest == found) {
            return Some(DamageKind::Digest);
        }
        let signature = metadata.signature.filter(|_| metadata.incoming.is_none())?;
        let there = path.with_suffix(".gpg").ok().and_then(|path| read(&path));
        (there.map(|there| Sha256::of(&there)) != Some(signature)).then_some(DamageKind::Digest)
    }

    /// Where the state of this mirror is.
    pub fn state_directory(&self) -> std::path::PathBuf {
        self.root.join(STATE_DIRECTORY)
    }
}

#[cfg(unix)]
fn identity(facts: &std::fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (facts.dev(), facts.ino())
}

#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata) -> (u64, u64) {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    (0, COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

async fn digest_of(path: std::path::PathBuf) -> Option<Sha256> {
    tokio::task::spawn_blocking(move || crate::store::digest_of_file(&path).ok()).await.ok()?
}
