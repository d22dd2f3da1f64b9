//! Request bodies as they come in: limited in size, in time and in sum.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

use super::budget::{Budget, Hold};

/// Any error that can be sent between threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response.
pub type ReplyBody = UnsyncBoxBody<Bytes, BoxError>;

/// Why a request body could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// More bytes than allowed.
    #[error("the request body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Nothing came for too long.
    #[error("the request body came too slowly")]
    TooSlow,
    /// All memory for request bodies is in use.
    #[error("no memory left for request bodies")]
    Busy,
    /// The client broke off or its framing is wrong.
    #[error("the request body broke off")]
    Broken {
        /// What the connection said.
        #[source]
        source: BoxError,
    },
}

/// A request body that is read piece by piece, for uploads.
pub struct RequestBody {
    // A mutex that is never locked: it lends its Sync to a body that is only Send, so that
    // handlers may keep a `&Request` across an await.
    inner: Mutex<UnsyncBoxBody<Bytes, BoxError>>,
    declared: Option<u64>,
    received: u64,
    limit: u64,
    idle: Duration,
    total: Duration,
}

impl RequestBody {
    /// Takes a body over. `limit` is in bytes, `idle` the longest wait for the next piece,
    /// `total` the longest time for reading it whole into memory.
    pub fn new<B>(body: B, limit: u64, idle: Duration, total: Duration) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let declared = body.size_hint().exact();
        let inner = Mutex::new(body.map_err(Into::into).boxed_unsync());
        Self { inner, declared, received: 0, limit, idle, total }
    }

    /// The length that `Content-Length` states, in bytes; `None` for a chunked body.
    #[must_use]
    pub fn declared_len(&self) -> Option<u64> {
        self.declared
    }

    /// How many bytes have been handed out.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The same body with another limit in bytes; what an upload knows to be missing, say.
    #[must_use]
    pub fn with_limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// The next bytes, `None` at the end.
    ///
    /// # Errors
    /// [`BodyError`]; after one, the rest of the body is lost.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.declared.is_some_and(|declared| declared > self.limit) {
            return Err(BodyError::TooLarge { limit: self.limit });
        }
        let body = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            let next = tokio::time::timeout(self.idle, body.frame()).await;
            let frame = match next.map_err(|_| BodyError::TooSlow)? {
                None => return Ok(None),
                Some(frame) => frame.map_err(|source| BodyError::Broken { source })?,
            };
            // Trailers carry nothing we use.
            let Ok(bytes) = frame.into_data() else { continue };
            if bytes.is_empty() {
                continue;
            }
            self.received = self.received.saturating_add(bytes.len() as u64);
            if self.received > self.limit {
                return Err(BodyError::TooLarge { limit: self.limit });
            }
            return Ok(Some(bytes));
        }
    }

    /// The whole body in memory.
    ///
    /// # Errors
    /// [`BodyError`].
    pub async fn whole(self) -> Result<Bytes, BodyError> {
        self.whole_within(&Budget::unlimited()).await.map(|(bytes, _)| bytes)
    }

    /// The whole body in memory, accounted for in `budget` until the hold is dropped.
    pub(super) async fn whole_within(
        mut self,
        budget: &Budget,
    ) -> Result<(Bytes, Hold), BodyError> {
        let total = self.total;
        let read = async {
            let mut hold = budget.hold();
            let Some(first) = self.next_within(&mut hold).await? else {
                return Ok((Bytes::new(), hold));
            };
            let Some(second) = self.next_within(&mut hold).await? else {
                return Ok((first, hold));
            };
            let mut all = BytesMut::from(first);
            all.extend_from_slice(&second);
            while let Some(next) = self.next_within(&mut hold).await? {
                all.extend_from_slice(&next);
            }
            Ok((all.freeze(), hold))
        };
        tokio::time::timeout(total, read).await.map_err(|_| BodyError::TooSlow)?
    }

    async fn next_within(&mut self, hold: &mut Hold) -> Result<Option<Bytes>, BodyError> {
        let next = self.chunk().await?;
        if let Some(bytes) = &next {
            hold.grow(bytes.len())?;
        }
        Ok(next)
    }
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestBody")
            .field("declared", &self.declared)
            .field("received", &self.received)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
