//! Opening a source: URL, first document, index, products, each verified and held against what was
//! seen before.

mod fetcher;
mod source;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

pub use source::{CachedDocument, Source};

use fetcher::Fetcher;

use crate::date::Timestamp;
use crate::digest::Sha256;
use crate::document::{DocumentError, Skim, text_of};
use crate::filter::Filter;
use crate::index::{self, Entry, Index};
use crate::limits::LimitExceeded;
use crate::path::{ContentId, SafePath};
use crate::products::Products;
use crate::signature::{Refused, Signer, Verified};
use crate::transport::{Transport, TransportError, TransportErrorKind};
use crate::trust::{Alarm, Distrust, Remembered, TrustMemory};

/// Content whose signature nobody looked at.
#[derive(Clone, Debug)]
pub struct Unverified<T>(T);

impl<T> Unverified<T> {
    /// The content on its own.
    pub fn into_unverified_content(self) -> T {
        self.0
    }
}

/// Content of a document, with what is known of its origin.
#[derive(Clone, Debug)]
pub enum Authenticity<T> {
    /// A signature covers it.
    Verified(Verified<T>),
    /// The source is one whose verification is skipped.
    Unverified(Unverified<T>),
}

impl<T> Authenticity<T> {
    /// The content when a signature covers it.
    pub fn verified(&self) -> Option<&Verified<T>> {
        match self {
            Self::Verified(content) => Some(content),
            Self::Unverified(_) => None,
        }
    }

    /// The content wherever it came from.
    pub fn verified_or_unverified(&self) -> &T {
        match self {
            Self::Verified(content) => content,
            Self::Unverified(content) => &content.0,
        }
    }

    /// The good signatures; none for unverified content.
    pub fn signers(&self) -> &[Signer] {
        match self {
            Self::Verified(content) => content.signers(),
            Self::Unverified(_) => &[],
        }
    }
}

/// A metadata document.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Document<T> {
    /// Where it is, relative to the root.
    pub path: SafePath,
    /// The bytes as they came, for republication.
    pub raw: Bytes,
    /// The entity tag that came with them.
    pub etag: Option<String>,
    /// The bytes of the detached signature, when there is one.
    pub detached_signature: Option<Bytes>,
    /// What it says.
    pub content: Authenticity<T>,
}

impl<T> Document<T> {
    /// What it says, wherever it came from; see [`Document::content`].
    pub fn verified_or_unverified(&self) -> &T {
        self.content.verified_or_unverified()
    }
}

/// Why a source cannot be opened or one of its documents not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// It cannot be fetched.
    #[error("`{path}` cannot be fetched")]
    Fetch {
        /// The document.
        path: SafePath,
        /// Why.
        #[source]
        cause: TransportError,
    },
    /// Its signature is not accepted.
    #[error("the signature of `{path}` is not accepted")]
    Refused {
        /// The document.
        path: SafePath,
        /// Why.
        #[source]
        cause: Refused,
    },
    /// It is not a document of the expected kind.
    #[error("`{path}` is refused")]
    Document {
        /// The document.
        path: SafePath,
        /// Why.
        #[source]
        cause: DocumentError,
    },
    /// It is not trusted although its signature is good.
    #[error("`{path}` is not trusted")]
    Distrusted {
        /// The document.
        path: SafePath,
        /// Why.
        #[source]
        cause: Distrust,
    },
    /// The source has no such products file.
    #[error("the source has no `{content_id}`")]
    UnknownContent {
        /// The content id.
        content_id: ContentId,
    },
    /// The path of a document ends neither in `.sjson` nor in `.json`.
    #[error("`{path}` ends neither in `.sjson` nor in `.json`")]
    Ending {
        /// The document.
        path: SafePath,
    },
}

impl RepositoryError {
    /// Whether the same may work a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Fetch { cause, .. } if cause.is_retryable())
    }
}

/// A source that was opened: its index is verified, its products are fetched one by one.
#[derive(Debug)]
pub struct Repository {
    source: Source,
    transport: Arc<dyn Transport>,
    start: Start,
    /// Where the products stand in the document that the source starts from.
    skim: Option<Skim>,
    /// Every index but the first one.
    nested: Vec<Document<Index>>,
    entries: Vec<(ContentId, Entry)>,
    memory: TrustMemory,
    alarms: Vec<Alarm>,
    now: Timestamp,
}

/// The document that a source starts from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Start {
    /// An index, the usual case.
    Index(Box<Document<Index>>),
    /// A products file, not yet read: the URL named it directly.
    Products(Box<Document<Bytes>>),
}

impl Repository {
    /// Fetches and verifies the first document and every index that it refers to.
    ///
    /// `memory` is what earlier visits left; take it back with [`Self::into_memory`] and keep it.
    /// `now` is the time at which signatures must be valid.
    pub async fn open(
        source: Source,
        transport: Arc<dyn Transport>,
        memory: TrustMemory,
        now: Timestamp,
    ) -> Result<Self, RepositoryError> {
        let fetcher = Fetcher { source: &source, transport: &*transport, now };
        let path = source.url.path().clone();
        let limit = source.first_document_limit();
        let fetched = match fetcher.fetch(&path, limit).await {
            Err(RepositoryError::Fetch { cause, path })
                if cause.kind == TransportErrorKind::NotFound && !source.url.states_document() =>
            {
                let plain = path.replacing_ending(".sjson", ".json");
                let Some(plain) = plain else {
                    return Err(RepositoryError::Fetch { path, cause });
                };
                match fetcher.fetch(&plain, limit).await {
                    // Neither is there: the one that was meant is named.
                    Err(RepositoryError::Fetch { cause: other, .. })
                        if other.kind == TransportErrorKind::NotFound =>
                    {
                        return Err(RepositoryError::Fetch { path, cause });
                    }
                    other => other?,
                }
            }
            other => other?,
        };
        let (start, skim) = fetcher.start(fetched)?;
        let mut repository = Self {
            source,
            transport,
            start,
            skim,
            nested: Vec::new(),
            entries: Vec::new(),
            memory,
            alarms: Vec::new(),
            now,
        };
        repository.collect_entries().await?;
        Ok(repository)
    }

    fn fetcher(&self) -> Fetcher<'_> {
        Fetcher { source: &self.source, transport: &*self.transport, now: self.now }
    }

    async fn collect_entries(&mut self) -> Result<(), RepositoryError> {
        let index = match &self.start {
            Start::Index(index) => (**index).clone(),
            Start::Products(document) => {
                let text = document.verified_or_unverified();
                let head = match &self.skim {
                    Some(skim) => Products::head(text, skim),
                    None => Products::outline(text, &self.source.limits).map(|(head, _)| head),
                };
                let head = head.map_err(|cause| RepositoryError::Document {
                    path: document.path.clone(),
                    cause,
                })?;
                if let Some(content_id) = head.content_id() {
                    self.entries.push((content_id, Entry::default()));
                }
                return Ok(());
            }
        };
        let mut seen = BTreeSet::from([index.path.clone()]);
        let mut level = vec![index];
        let mut depth = 0;
        while !level.is_empty() {
            let mut next = Vec::new();
            for document in level {
                self.weigh_index(&document)?;
                for (name, entry) in document.verified_or_unverified().entries.iter() {
                    match (entry.format(), entry.path()) {
                        (Some(index::FORMAT), Some(path)) => {
                            let refused = |cause| RepositoryError::Document {
                                path: path.clone(),
                                cause: DocumentError::Limit(cause),
                            };
                            let limit = self.source.limits.index_depth;
                            if depth >= limit {
                                return Err(refused(LimitExceeded::IndexDepth { limit }));
                            }
                            if seen.insert(path.clone()) {
                                let limit = self.source.limits.index_bytes;
                                let fetched = self.fetcher().fetch(&path, limit).await?;
                                next.push(self.fetcher().index(fetched)?);
                            }
                        }
                        _ => {
                            if let Ok(content_id) = ContentId::new(name) {
                                self.entries.push((content_id, entry.clone()));
                            }
                        }
                    }
                }
            }
            self.nested.extend(next.iter().cloned());
            level = next;
            depth += 1;
        }
        Ok(())
    }

    /// The document that the source starts from.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// Every index that was read, the first one first.
    pub fn indexes(&self) -> impl Iterator<Item = &Document<Index>> {
        let first = match &self.start {
            Start::Index(index) => Some(&**index),
            Start::Products(_) => None,
        };
        first.into_iter().chain(&self.nested)
    }

    /// What the indexes say about each products file, in document order.
    pub fn entries(&self) -> &[(ContentId, Entry)] {
        &self.entries
    }

    /// What an operator should know.
    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// What the source was seen to publish.
    pub fn memory(&self) -> &TrustMemory {
        &self.memory
    }

    /// What the source was seen to publish, to be kept for the next visit.
    pub fn into_memory(self) -> TrustMemory {
        self.memory
    }

    /// The source.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The transport.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Fetches and verifies one products file and holds it against the index and the memory.
    pub async fn products(
        &mut self,
        content_id: &ContentId,
    ) -> Result<Document<Products>, RepositoryError> {
        let (entry, text) = self.text(content_id).await?;
        let document = self.fetcher().parse(text, Verified::parse_products, Products::parse)?;
        let products = document.verified_or_unverified();
        self.source
            .policy
            .check_labels(products)
            .map_err(|cause| RepositoryError::Distrusted { path: document.path.clone(), cause })?;
        let names = products.products.names().map(str::to_owned).collect();
        let skipped = products.problems().len();
        let digest = Some(Sha256::of(&document.raw));
        self.weigh_products(content_id, &entry, &document, products, names, digest)?;
        self.alarm_skipped(content_id, skipped);
        Ok(document)
    }

    /// Like [`Self::products`], but reads the document product by product: `each` sees a document
    /// with one product at a time, and not those of which no item can meet the filters. The
    /// document is verified and held against index and memory before the first one. Memory holds
    /// little more than the text; the digest of the document is not worked out and not remembered.
    pub async fn scan_verified_or_unverified(
        &mut self,
        content_id: &ContentId,
        filters: &[Filter],
        mut each: impl FnMut(&Products),
    ) -> Result<Document<Bytes>, RepositoryError> {
        let (entry, document) = self.text(content_id).await?;
        let limits = self.source.limits.clone();
        let refused = |cause| RepositoryError::Document { path: document.path.clone(), cause };
        let text = document.verified_or_unverified();
        let policy = self.source.policy.clone();
        let mut distrust = None;
        let each = |products: &Products| {
            if distrust.is_none() {
                match policy.check_labels(products) {
                    Ok(()) => each(products),
                    Err(cause) => distrust = Some(cause),
                }
            }
        };
        let skim = match (&self.start, self.skim.take()) {
            (Start::Products(_), Some(skim)) => Some(skim),
            _ => Skim::of(text, &limits),
        };
        let skipped = if let Some(skim) = &skim {
            let head = Products::head(text, skim).map_err(refused)?;
            let names = skim.products.iter().map(|found| text_of(text, &found.name).to_owned());
            self.weigh_products(content_id, &entry, &document, &head, names.collect(), None)?;
            Products::scan_skimmed(text, skim, &limits, filters, each)
        } else {
            let (head, names) = Products::outline(text, &limits).map_err(refused)?;
            let names = names.into_iter().collect();
            self.weigh_products(content_id, &entry, &document, &head, names, None)?;
            Products::scan(text, &limits, each)
        };
        let skipped = skipped.map_err(refused)?.len();
        if let Some(cause) = distrust {
            return Err(RepositoryError::Distrusted { path: document.path, cause });
        }
        if matches!(self.start, Start::Products(_)) {
            self.skim = skim;
        }
        self.alarm_skipped(content_id, skipped);
        Ok(document)
    }

    /// Fetches a products file and verifies its signature.
    async fn text(
        &self,
        content_id: &ContentId,
    ) -> Result<(Entry, Document<Bytes>), RepositoryError> {
        let unknown = || RepositoryError::UnknownContent { content_id: content_id.clone() };
        let (_, entry) =
            self.entries.iter().find(|(name, _)| name == content_id).ok_or_else(unknown)?;
        let document = match &self.start {
            Start::Products(document) => (**document).clone(),
            Start::Index(_) => {
                let path = entry.path().ok_or_else(unknown)?;
                let limit = self.source.limits.products_bytes;
                self.fetcher().fetch(&path, limit).await?
            }
        };
        Ok((entry.clone(), document))
    }

    fn alarm_skipped(&mut self, content_id: &ContentId, count: usize) {
        if count > 0 {
            self.alarms.push(Alarm::Skipped { document: content_id.to_string(), count });
        }
    }

    /// Holds an index against the memory.
    fn weigh_index(&mut self, document: &Document<Index>) -> Result<(), RepositoryError> {
        let index = document.verified_or_unverified();
        let seen = Remembered {
            updated: index.updated(),
            signed_at: newest(document.content.signers()),
            digest: Some(Sha256::of(&document.raw)),
            names: index.entries.names().map(str::to_owned).collect(),
        };
        let label = document.path.as_str().to_owned();
        let skipped = index.problems().len();
        self.weigh(document, &label, seen, skipped)
    }

    fn weigh_products<T>(
        &mut self,
        content_id: &ContentId,
        entry: &Entry,
        document: &Document<T>,
        products: &Products,
        names: BTreeSet<String>,
        digest: Option<Sha256>,
    ) -> Result<(), RepositoryError> {
        let distrust =
            |cause| Err(RepositoryError::Distrusted { path: document.path.clone(), cause });
        let found = products.content_id();
        if found.as_ref() != Some(content_id) {
            return distrust(Distrust::WrongContentId {
                expected: content_id.to_string(),
                found: found.map(String::from).unwrap_or_default(),
            });
        }
        if let (Some(expected), Some(found)) = (entry.datatype(), products.datatype())
            && expected != found
        {
            let (expected, found) = (expected.to_owned(), found.to_owned());
            return distrust(Distrust::WrongDatatype { expected, found });
        }
        let allowed = self.source.policy.content_ids.as_ref();
        if allowed.is_some_and(|allowed| !allowed.contains(content_id)) {
            return distrust(Distrust::ContentIdNotAllowed { found: content_id.to_string() });
        }
        let listed: BTreeSet<String> = entry.products().map(str::to_owned).collect();
        let count = names.symmetric_difference(&listed).count();
        if !listed.is_empty() && count > 0 {
            let document = content_id.to_string();
            self.alarms.push(Alarm::ProductsDiffer { document, count });
        }
        let seen = Remembered {
            updated: products.updated(),
            signed_at: newest(document.content.signers()),
            digest,
            names,
        };
        self.weigh(document, content_id.as_str(), seen, 0)
    }

    fn weigh<T>(
        &mut self,
        document: &Document<T>,
        label: &str,
        seen: Remembered,
        skipped: usize,
    ) -> Result<(), RepositoryError> {
        let key = format!("{} {label}", self.source.url.key());
        let policy = &self.source.policy;
        self.memory
            .check(&key, &seen, policy)
            .map_err(|cause| RepositoryError::Distrusted { path: document.path.clone(), cause })?;
        if let (Some(max_age), Some(updated)) = (policy.max_age, seen.updated)
            && self.now.since(updated) > max_age
        {
            self.alarms.push(Alarm::Stale { document: label.to_owned(), updated });
        }
        for signer in document.content.signers() {
            if let Some(at) = signer.expires_at
                && at < self.now.plus(policy.key_notice)
            {
                let fingerprint = signer.fingerprint.to_string();
                let alarm = Alarm::KeyExpires { fingerprint, at };
                if !self.alarms.contains(&alarm) {
                    self.alarms.push(alarm);
                }
            }
        }
        if skipped > 0 {
            self.alarms.push(Alarm::Skipped { document: label.to_owned(), count: skipped });
        }
        self.memory.remember(&key, seen);
        Ok(())
    }
}

fn newest(signers: &[Signer]) -> Option<Timestamp> {
    signers.iter().map(|signer| signer.signed_at).max()
}

#[cfg(all(test, feature = "openpgp"))]
mod tests;
