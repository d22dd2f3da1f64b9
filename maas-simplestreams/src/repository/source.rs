//! What is to be opened, and what it must prove.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::limits::Limits;
use crate::path::SafePath;
use crate::signature::Verifier;
use crate::transport::SourceUrl;
use crate::trust::TrustPolicy;

/// A source: where it is and what it must prove.
#[derive(Clone, Debug)]
pub struct Source {
    pub(super) url: SourceUrl,
    pub(super) verifier: Option<Arc<dyn Verifier>>,
    pub(super) limits: Limits,
    pub(super) policy: TrustPolicy,
    pub(super) cache: BTreeMap<SafePath, CachedDocument>,
    pub(super) slowest: Slowest,
}

/// How slowly a document may come before the connection is given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slowest {
    pub(super) bytes_per_second: u64,
    pub(super) window: Duration,
}

impl Default for Slowest {
    fn default() -> Self {
        Self { bytes_per_second: 1024, window: Duration::from_secs(30) }
    }
}

/// A document that an earlier visit left: it is asked for only if it has changed, and verified
/// again in any case.
#[derive(Clone, Debug)]
pub struct CachedDocument {
    /// The entity tag that came with it.
    pub etag: String,
    /// The bytes as they came.
    pub raw: Bytes,
}

impl Source {
    /// A source whose documents must be signed.
    pub fn verified(url: SourceUrl, verifier: Arc<dyn Verifier>) -> Self {
        Self {
            url,
            verifier: Some(verifier),
            limits: Limits::default(),
            policy: TrustPolicy::default(),
            cache: BTreeMap::new(),
            slowest: Slowest::default(),
        }
    }

    /// A source whose signatures nobody looks at: an operator chose to skip verification.
    pub fn unverified(url: SourceUrl) -> Self {
        Self {
            url,
            verifier: None,
            limits: Limits::default(),
            policy: TrustPolicy::default(),
            cache: BTreeMap::new(),
            slowest: Slowest::default(),
        }
    }

    /// Other limits than the default ones.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Another policy of trust than the default one.
    #[must_use]
    pub fn policy(mut self, policy: TrustPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How many bytes per second a document must bring, measured over `window`, before the
    /// connection is given up and tried again. Default 1 KiB/s over 30 s.
    #[must_use]
    pub fn minimum_rate(mut self, bytes_per_second: u64, window: Duration) -> Self {
        self.slowest = Slowest { bytes_per_second, window };
        self
    }

    /// Documents that an earlier visit left.
    #[must_use]
    pub fn cached(mut self, cache: BTreeMap<SafePath, CachedDocument>) -> Self {
        self.cache = cache;
        self
    }

    /// The first document is an index unless its name says otherwise, and an index is small.
    pub(super) fn first_document_limit(&self) -> u64 {
        self.limits.for_document(self.url.path().file_name())
    }

    /// Where the source is.
    pub fn url(&self) -> &SourceUrl {
        &self.url
    }
}
