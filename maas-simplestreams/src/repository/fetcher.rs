//! Fetching and verifying one metadata document.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::source::Slowest;
use super::{Authenticity, Document, RepositoryError, Source, Start, Unverified};
use crate::date::Timestamp;
use crate::document::{DocumentError, Skim};
use crate::index::Index;
use crate::limits::Limits;
use crate::path::SafePath;
use crate::products::{self, Products};
use crate::signature::clearsign::unverified_text;
use crate::signature::{Refused, Verified};
use crate::transport::{Body, BoxFuture, Request, Transport, TransportError, TransportErrorKind};

/// How often a metadata document is asked for before giving up.
const ATTEMPTS: u32 = 4;
/// The longest time for one attempt at a metadata document, however steadily it drips.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(600);
/// The pause before the second attempt; it doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
struct Head {
    format: Option<String>,
}

/// A body that must not drip.
struct Paced {
    body: Box<dyn Body>,
    url: Url,
    slowest: Slowest,
    since: Instant,
    bytes: u64,
}

impl Paced {
    fn new(body: Box<dyn Body>, url: &Url, slowest: Slowest) -> Self {
        Self { body, url: url.clone(), slowest, since: Instant::now(), bytes: 0 }
    }

    /// Counts what came; whether it was too little for too long.
    fn is_too_slow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes as u64;
        let elapsed = self.since.elapsed();
        if elapsed < self.slowest.window {
            return false;
        }
        let expected = u128::from(self.slowest.bytes_per_second) * elapsed.as_millis() / 1000;
        let bytes = std::mem::take(&mut self.bytes);
        self.since = Instant::now();
        u128::from(bytes) < expected
    }
}

impl Body for Paced {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(async move {
            let chunk = self.body.chunk().await?;
            let Some(chunk) = chunk else { return Ok(None) };
            if self.is_too_slow(chunk.len()) {
                return Err(TransportError::new(&self.url, TransportErrorKind::TimedOut));
            }
            Ok(Some(chunk))
        })
    }

    fn rest(&mut self) -> BoxFuture<'_, Option<Result<Bytes, TransportError>>> {
        self.body.rest()
    }
}

pub(super) struct Fetcher<'a> {
    pub(super) source: &'a Source,
    pub(super) transport: &'a dyn Transport,
    pub(super) now: Timestamp,
}

impl Fetcher<'_> {
    /// The bytes of a document and its entity tag.
    async fn bytes(
        &self,
        path: &SafePath,
        limit: u64,
    ) -> Result<(Bytes, Option<String>), TransportError> {
        let url = self.source.url.join(path);
        let cached = self.source.cache.get(path);
        let request =
            Request::new(url.clone()).if_none_match(cached.map(|cached| cached.etag.clone()));
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let fetch = async {
                match (self.transport.fetch(request.clone()).await, cached) {
                    (Ok(mut response), _) => {
                        let etag = response.etag.clone();
                        let paced = Paced::new(response.body, &url, self.source.slowest);
                        response.body = Box::new(paced);
                        response.read_to_end(&url, limit).await.map(|bytes| (bytes, etag))
                    }
                    (Err(error), Some(cached)) if error.kind == TransportErrorKind::NotModified => {
                        Ok((cached.raw.clone(), Some(cached.etag.clone())))
                    }
                    (Err(error), _) => Err(error),
                }
            };
            let answer = tokio::time::timeout(LONGEST_ATTEMPT, fetch).await;
            let answer = answer
                .unwrap_or_else(|_| Err(TransportError::new(&url, TransportErrorKind::TimedOut)));
            match answer {
                Err(error) if error.is_retryable() && attempt < ATTEMPTS => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    pub(super) async fn fetch(
        &self,
        path: &SafePath,
        limit: u64,
    ) -> Result<Document<Bytes>, RepositoryError> {
        let failed = |cause| RepositoryError::Fetch { path: path.clone(), cause };
        let refused = |cause| RepositoryError::Refused { path: path.clone(), cause };
        let clearsigned = path.as_str().ends_with(".sjson");
        if !clearsigned && !path.as_str().ends_with(".json") {
            return Err(RepositoryError::Ending { path: path.clone() });
        }
        let (raw, etag) = self.bytes(path, limit).await.map_err(failed)?;
        let Some(verifier) = self.source.verifier.as_deref() else {
            let text = if clearsigned {
                match unverified_text(&raw) {
                    Ok(Cow::Borrowed(text)) => raw.slice_ref(text),
                    Ok(Cow::Owned(text)) => text.into(),
                    Err(cause) => return Err(refused(Refused::Malformed(cause))),
                }
            } else {
                raw.clone()
            };
            let content = Authenticity::Unverified(Unverified(text));
            let path = path.clone();
            return Ok(Document { path, raw, etag, detached_signature: None, content });
        };
        let (detached_signature, verified) = if clearsigned {
            (
                None,
                Verified::from_clearsigned_bytes(raw.clone(), verifier, self.now)
                    .map_err(refused)?,
            )
        } else {
            let signature_path = path
                .with_suffix(".gpg")
                .map_err(|_| RepositoryError::Ending { path: path.clone() })?;
            let limit = self.source.limits.signature_bytes;
            let (signature, _) = self
                .bytes(&signature_path, limit)
                .await
                .map_err(|cause| RepositoryError::Fetch { path: signature_path, cause })?;
            let verified = Verified::from_detached(raw.clone(), &signature, verifier, self.now)
                .map_err(refused)?;
            (Some(signature), verified)
        };
        Ok(Document {
            path: path.clone(),
            raw,
            etag,
            detached_signature,
            content: Authenticity::Verified(verified),
        })
    }

    /// Decides by `format` whether the first document is an index or a products file.
    ///
    /// Answers also with where the products stand, when that was found out on the way.
    pub(super) fn start(
        &self,
        fetched: Document<Bytes>,
    ) -> Result<(Start, Option<Skim>), RepositoryError> {
        let text = fetched.verified_or_unverified();
        let skim = Skim::of(text, &self.source.limits);
        if let Some(skim) = skim
            && Products::head(text, &skim).is_ok()
        {
            return Ok((Start::Products(Box::new(fetched)), Some(skim)));
        }
        let head: Head =
            serde_json::from_slice(fetched.verified_or_unverified()).map_err(|cause| {
                RepositoryError::Document {
                    path: fetched.path.clone(),
                    cause: DocumentError::Json(cause),
                }
            })?;
        if head.format.as_deref() == Some(products::FORMAT) {
            Ok((Start::Products(Box::new(fetched)), None))
        } else {
            self.index(fetched).map(|document| (Start::Index(Box::new(document)), None))
        }
    }

    pub(super) fn index(
        &self,
        fetched: Document<Bytes>,
    ) -> Result<Document<Index>, RepositoryError> {
        self.parse(fetched, Verified::parse_index, Index::parse)
    }

    pub(super) fn parse<T>(
        &self,
        fetched: Document<Bytes>,
        parse_verified: impl Fn(&Verified<Bytes>, &Limits) -> Result<Verified<T>, DocumentError>,
        parse: impl Fn(&[u8], &Limits) -> Result<T, DocumentError>,
    ) -> Result<Document<T>, RepositoryError> {
        let limits = &self.source.limits;
        let content = match &fetched.content {
            Authenticity::Verified(text) => {
                parse_verified(text, limits).map(Authenticity::Verified)
            }
            Authenticity::Unverified(text) => {
                parse(&text.0, limits).map(|content| Authenticity::Unverified(Unverified(content)))
            }
        };
        let Document { path, raw, etag, detached_signature, .. } = fetched;
        match content {
            Ok(content) => Ok(Document { path, raw, etag, detached_signature, content }),
            Err(cause) => Err(RepositoryError::Document { path, cause }),
        }
    }
}
