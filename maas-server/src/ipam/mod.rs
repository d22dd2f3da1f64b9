//! Networks and addresses as the database keeps them: one document for all networks, so that an
//! edit is a compare-and-set of the whole, and one for each address that is given out, so that
//! storing it is the claim.

pub mod lease;

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use maas_core::ipam::Networks;
use serde::{Deserialize, Serialize};

pub use lease::{Claim, ClaimError, claim_address, leases, release_address, release_addresses};

use crate::store::{Cause, Document, DocumentError, Store, StoreError};

/// How often an edit is tried again when somebody else was faster.
const ATTEMPTS: usize = 64;

/// The networks as the database keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct NetworksDocument(Networks);

impl Document for NetworksDocument {
    const KIND: &'static str = "networks";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(KEY))
    }
}

/// There is one document of the kind.
const KEY: &str = "all";

/// The newest networks that were read, so that they are parsed only when they changed.
#[derive(Debug, Default)]
pub struct Ipam {
    cached: RwLock<Option<Version>>,
}

/// One version of the networks. Nothing stored yet is version 0.
#[derive(Debug, Clone)]
struct Version {
    id: u64,
    version: u64,
    networks: Arc<Networks>,
}

impl Ipam {
    /// The networks as they are now: a value that does not change while it is worked with. One
    /// query.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database fails or its document cannot be read.
    pub async fn networks(&self, store: &dyn Store) -> Result<Arc<Networks>, StoreError> {
        Ok(self.newest(store).await?.networks)
    }

    /// Changes the networks. `edit` is asked again when somebody else changed them in between;
    /// when it refuses, nothing is changed.
    ///
    /// # Errors
    ///
    /// What `edit` says, or [`EditError`] turned into it.
    pub async fn edit<T, E: From<EditError>>(
        &self,
        store: &dyn Store,
        edit: impl Fn(&mut Networks) -> Result<T, E>,
    ) -> Result<(T, Arc<Networks>), E> {
        for _ in 0..ATTEMPTS {
            let old = self.newest(store).await.map_err(EditError::from)?;
            let mut networks = Networks::clone(&old.networks);
            let told = edit(&mut networks)?;
            if networks == *old.networks {
                return Ok((told, old.networks));
            }
            match write(store, &old, networks).await {
                Ok(networks) => return Ok((told, networks)),
                Err(DocumentError::Backend(error)) => return Err(EditError::from(error).into()),
                // Somebody else was faster.
                Err(_) => tokio::task::yield_now().await,
            }
        }
        Err(EditError::Busy.into())
    }

    async fn newest(&self, store: &dyn Store) -> Result<Version, StoreError> {
        let Some(raw) = store.document_by_key(NetworksDocument::KIND, KEY).await? else {
            return Ok(Version { id: 0, version: 0, networks: Arc::new(Networks::default()) });
        };
        let cached = self.cached.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(cached) = cached
            && (cached.id, cached.version) == (raw.id, raw.version)
        {
            return Ok(cached);
        }
        let networks = serde_json::from_str(&raw.body).map_err(|error| StoreError::Body {
            kind: NetworksDocument::KIND,
            source: Cause::of(&error),
        })?;
        let newest = Version { id: raw.id, version: raw.version, networks: Arc::new(networks) };
        *self.cached.write().unwrap_or_else(PoisonError::into_inner) = Some(newest.clone());
        Ok(newest)
    }
}

async fn write(
    store: &dyn Store,
    old: &Version,
    networks: Networks,
) -> Result<Arc<Networks>, DocumentError> {
    let value = NetworksDocument(networks);
    let stored = if old.version == 0 {
        store.insert(value).await?
    } else {
        store.update(crate::store::Stored { id: old.id, version: old.version, value }).await?
    };
    Ok(Arc::new(stored.value.0))
}

/// Why the networks were not changed, besides the edit's own reasons.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// Others changed them faster than this could, again and again.
    #[error("the networks change too fast; try again")]
    Busy,
}

#[cfg(test)]
mod tests;
