//! Nonces of requests from the future, kept over a restart.
//!
//! What was signed before a start is refused after it. A request whose timestamp lies ahead of
//! our clock would still be good then, and so its nonce is written down, once, until it is too old
//! as well.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::http::{Credentials, MAX_CLOCK_LAG, Problem};
use crate::region::Region;
use crate::store::{Document, DocumentError};

/// How far ahead a client's clock may be before its nonces are kept, in seconds: a restart takes
/// longer.
const AHEAD: i64 = 1;

/// After so many kept nonces the old ones are looked for.
const SWEEP_EVERY: u64 = 64;

/// A nonce that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptNonce {
    key: String,
    /// When it may be forgotten, in seconds of Unix time.
    until: i64,
}

impl Document for KeptNonce {
    const KIND: &'static str = "nonce";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.key))
    }
}

/// Keeps the nonce of a request from the future; says whether it is a new one.
///
/// # Errors
///
/// The database's failure.
pub(super) async fn is_new(
    region: &Region,
    credentials: &Credentials,
    now: i64,
) -> Result<bool, Problem> {
    if credentials.timestamp <= now.saturating_add(AHEAD) {
        return Ok(true);
    }
    let mut hash = Sha256::new();
    for text in [&credentials.consumer_key, &credentials.token, &credentials.nonce] {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    let key = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let nonce = KeptNonce { key, until: credentials.timestamp.saturating_add(MAX_CLOCK_LAG) };
    match region.store.insert(nonce).await {
        Ok(stored) => {
            if stored.id % SWEEP_EVERY == 0 {
                sweep(region, now).await?;
            }
            Ok(true)
        }
        Err(DocumentError::DuplicateKey { .. }) => Ok(false),
        Err(error) => Err(Problem::internal(error)),
    }
}

/// Forgets what is too old to be sent again.
async fn sweep(region: &Region, now: i64) -> Result<(), Problem> {
    let kept = region.store.list::<KeptNonce>().await.map_err(Problem::internal)?;
    for old in kept.into_iter().filter(|one| one.value.until < now) {
        match region.store.remove::<KeptNonce>(old.id, old.version).await {
            // Somebody else may sweep too.
            Ok(()) | Err(DocumentError::Gone { .. } | DocumentError::Conflict { .. }) => {}
            Err(error) => return Err(Problem::internal(error)),
        }
    }
    Ok(())
}
