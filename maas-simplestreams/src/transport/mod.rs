//! Where bytes come from: one trait, with back ends for HTTP(S), for files, and for tests.

mod file;
#[cfg(feature = "http")]
mod http;
mod memory;
mod source;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use url::Url;

pub use file::FileTransport;
#[cfg(feature = "http")]
pub use http::{HttpOptions, HttpTransport, ProxyUse, Standard};
pub use memory::MemoryTransport;
pub use source::{SourceUrl, SourceUrlError};

use crate::limits::LimitExceeded;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// From where.
    pub url: Url,
    /// Bytes from here on only; the answer may ignore this.
    pub offset: u64,
    /// Bytes before here only; the answer may ignore this.
    pub end: Option<u64>,
    /// Nothing when the document still has this entity tag.
    pub if_none_match: Option<String>,
    /// A range only when the document still has this entity tag.
    pub if_range: Option<String>,
}

impl Request {
    /// The whole document at `url`.
    pub fn new(url: Url) -> Self {
        Self { url, offset: 0, end: None, if_none_match: None, if_range: None }
    }

    /// Only the bytes from `offset` on.
    #[must_use]
    pub fn from_offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Only the bytes before `end`.
    #[must_use]
    pub fn until(mut self, end: u64) -> Self {
        self.end = Some(end);
        self
    }

    /// Nothing when the document still has this entity tag.
    #[must_use]
    pub fn if_none_match(mut self, tag: Option<String>) -> Self {
        self.if_none_match = tag;
        self
    }

    /// A range only when the document still has this entity tag.
    #[must_use]
    pub fn if_range(mut self, tag: Option<String>) -> Self {
        self.if_range = tag;
        self
    }
}

/// What came back.
#[non_exhaustive]
pub struct Response {
    /// Where in the document the body starts; 0 when a range was asked for and ignored.
    pub offset: u64,
    /// How many bytes the body has, when the other side says so.
    pub length: Option<u64>,
    /// The entity tag, when there is a strong one.
    pub etag: Option<String>,
    /// The bytes.
    pub body: Box<dyn Body>,
}

impl Response {
    /// An answer, for transports outside this crate.
    pub fn new(
        offset: u64,
        length: Option<u64>,
        etag: Option<String>,
        body: Box<dyn Body>,
    ) -> Self {
        Self { offset, length, etag, body }
    }

    /// The whole body, refused as soon as it exceeds `limit` bytes.
    pub async fn read_to_end(mut self, url: &Url, limit: u64) -> Result<Bytes, TransportError> {
        let too_long = || TransportError {
            url: shown(url),
            kind: TransportErrorKind::TooLong(LimitExceeded::Bytes { limit }),
            cause: None,
        };
        if self.length.is_some_and(|length| length > limit) {
            return Err(too_long());
        }
        if let Some(whole) = self.body.rest().await {
            return whole;
        }
        let announced = self.length.and_then(|length| usize::try_from(length).ok());
        let mut whole = BytesMut::with_capacity(announced.unwrap_or(0));
        while let Some(chunk) = self.body.chunk().await? {
            if (whole.len() + chunk.len()) as u64 > limit {
                return Err(too_long());
            }
            whole.extend_from_slice(&chunk);
        }
        if self.length.is_some_and(|length| length != whole.len() as u64) {
            return Err(TransportError {
                url: shown(url),
                kind: TransportErrorKind::Truncated,
                cause: None,
            });
        }
        Ok(whole.freeze())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Response")
            .field("offset", &self.offset)
            .field("length", &self.length)
            .field("etag", &self.etag)
            .finish_non_exhaustive()
    }
}

/// A body that arrives piece by piece.
pub trait Body: Send {
    /// The next piece; `None` at the end.
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>>;

    /// Everything that is left, of a body whose length is known and true, when one piece costs
    /// less than many; `None` when it is to be read piece by piece.
    fn rest(&mut self) -> BoxFuture<'_, Option<Result<Bytes, TransportError>>> {
        Box::pin(std::future::ready(None))
    }
}

/// A body that is there already.
impl Body for Option<Bytes> {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        let chunk = self.take();
        Box::pin(async move { Ok(chunk) })
    }
}

/// Fetches documents and files.
///
/// Implementations answer with what the other side sends: they check neither sizes nor digests.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Starts a fetch.
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>>;
}

impl<T: Transport + ?Sized> Transport for std::sync::Arc<T> {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        (**self).fetch(request)
    }
}

/// A fetch that failed.
#[derive(Debug, thiserror::Error)]
#[error("fetching {url} failed: {kind}")]
#[non_exhaustive]
pub struct TransportError {
    /// From where, without credentials.
    pub url: String,
    /// What happened.
    pub kind: TransportErrorKind,
    /// The back end's error.
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What happened to a fetch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// No connection, or it broke.
    #[error("the connection failed")]
    Connection,
    /// There is nothing at the URL.
    #[error("there is nothing there")]
    NotFound,
    /// The document has not changed since the entity tag was given.
    #[error("it has not changed")]
    NotModified,
    /// The range lies outside the document.
    #[error("the range lies outside of it")]
    RangeNotSatisfiable,
    /// A redirect that must not be followed: too many, to another scheme, from https to http.
    #[error("the redirect is not allowed")]
    Redirect,
    /// The server answered with another status.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// Nothing came for too long.
    #[error("nothing came for too long")]
    TimedOut,
    /// More came than allowed.
    #[error("{0}")]
    TooLong(LimitExceeded),
    /// Less came than announced.
    #[error("it ended early")]
    Truncated,
    /// The scheme of the URL is not supported.
    #[error("the scheme is not supported")]
    UnsupportedScheme,
    /// The answer makes no sense.
    #[error("the answer makes no sense")]
    Protocol,
}

impl TransportError {
    /// An error for transports outside this crate.
    pub fn new(url: &Url, kind: TransportErrorKind) -> Self {
        Self { url: shown(url), kind, cause: None }
    }

    /// Adds the error behind it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Whether the same fetch may work a little later or from another mirror.
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            TransportErrorKind::Connection
            | TransportErrorKind::TimedOut
            | TransportErrorKind::Truncated
            | TransportErrorKind::Protocol => true,
            TransportErrorKind::Status(status) => status == 408 || status == 429 || status >= 500,
            _ => false,
        }
    }
}

/// Whether a URL holds a user name or a password.
fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// A URL without user name, password and query, for messages.
pub(crate) fn shown(url: &Url) -> String {
    if !has_credentials(url) && url.query().is_none() {
        return url.as_str().to_owned();
    }
    let mut url = url.clone();
    // Both fail only for URLs that cannot carry credentials.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.set_query(None);
    url.to_string()
}
