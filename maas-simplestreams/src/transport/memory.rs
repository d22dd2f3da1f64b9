//! A mirror in memory, for tests and for documents that came another way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use url::Url;

use super::{BoxFuture, Request, Response, Transport, TransportError, TransportErrorKind};

/// Answers with the bytes that were put in.
#[derive(Clone, Debug, Default)]
pub struct MemoryTransport {
    documents: Arc<Mutex<BTreeMap<Url, Bytes>>>,
}

impl MemoryTransport {
    /// A mirror with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts bytes at a URL.
    pub fn put(&self, url: Url, bytes: impl Into<Bytes>) {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        documents.insert(url, bytes.into());
    }

    /// Takes a URL away.
    pub fn remove(&self, url: &Url) {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).remove(url);
    }
}

impl Transport for MemoryTransport {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        let found = self
            .documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&request.url)
            .cloned();
        Box::pin(async move {
            let failed = |kind| Err(TransportError::new(&request.url, kind));
            let Some(bytes) = found else { return failed(TransportErrorKind::NotFound) };
            let end = usize::try_from(request.end.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
            let start = usize::try_from(request.offset).unwrap_or(usize::MAX);
            if start > 0 && start >= bytes.len() {
                return failed(TransportErrorKind::RangeNotSatisfiable);
            }
            let part = bytes.slice(start..end.min(bytes.len()).max(start));
            Ok(Response {
                offset: request.offset,
                length: Some(part.len() as u64),
                etag: None,
                body: Box::new(Some(part)),
            })
        })
    }
}
