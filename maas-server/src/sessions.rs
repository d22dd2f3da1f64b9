//! Sessions of people at a web browser: a cookie instead of an API key.
//!
//! The cookie is a random word; the database keeps its hash, so that who reads the database cannot
//! sign in. A request that changes something must also show that a page of this server made it.

use std::borrow::Cow;

use maas_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock;
use crate::entropy::{self, EntropyError};
use crate::http::{Problem, Request};
use crate::store::{Document, DocumentError, Store, StoreError};

/// The cookie that signs in.
pub(crate) const COOKIE: &str = "sessionid";
/// The cookie that pages copy into the header `X-CSRFToken`.
pub(crate) const CSRF_COOKIE: &str = "csrftoken";

/// The length of both words.
const LENGTH: usize = 32;

/// A session as the database keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The SHA-256 of the cookie's word.
    word_sha256: String,
    /// The SHA-256 of what pages show to prove that they are ours.
    csrf_sha256: String,
    /// Who is signed in.
    pub(crate) username: String,
    /// When it ends.
    expires: Timestamp,
}

impl Document for Session {
    const KIND: &'static str = "session";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.word_sha256))
    }
}

/// Why a session could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// The words of a new session.
pub(crate) struct Words {
    pub(crate) session: String,
    pub(crate) csrf: String,
}

/// Signs a user in for so many seconds; sessions that have ended are deleted on the way.
pub(crate) async fn begin(
    store: &dyn Store,
    username: &str,
    seconds: u64,
) -> Result<Words, SessionError> {
    let now = clock::now();
    for old in store.list::<Session>().await? {
        if old.value.expires <= now {
            // Somebody else may delete it at the same time.
            let _ = store.remove::<Session>(old.id, old.version).await;
        }
    }
    let words = Words {
        session: entropy::letters_and_digits(LENGTH)?,
        csrf: entropy::letters_and_digits(LENGTH)?,
    };
    let microseconds = i64::try_from(seconds.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
    store
        .insert(Session {
            word_sha256: hash(&words.session),
            csrf_sha256: hash(&words.csrf),
            username: username.to_owned(),
            expires: Timestamp(now.0.saturating_add(microseconds)),
        })
        .await?;
    Ok(words)
}

/// Ends the session of this request, if there is one.
pub(crate) async fn end(store: &dyn Store, request: &Request) -> Result<(), StoreError> {
    let Some(word) = request.cookie(COOKIE) else { return Ok(()) };
    if let Some(stored) = store.by_key::<Session>(&hash(word)).await? {
        match store.remove::<Session>(stored.id, stored.version).await {
            Err(DocumentError::Backend(error)) => return Err(error),
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// The session of this request. A word that is not (or no longer) known signs nobody in.
///
/// # Errors
///
/// 403 for a change that no page of this server can be shown to have made.
pub(crate) async fn of_request(
    store: &dyn Store,
    request: &Request,
) -> Result<Option<Session>, Problem> {
    let Some(word) = request.cookie(COOKIE) else { return Ok(None) };
    let stored = store.by_key::<Session>(&hash(word)).await.map_err(Problem::internal)?;
    let Some(session) = stored.map(|stored| stored.value) else { return Ok(None) };
    if session.expires <= clock::now() {
        return Ok(None);
    }
    if !request.method().is_safe() && !is_ours(request, &session) {
        return Err(Problem::Forbidden(
            "CSRF verification failed: the request comes from no page of this server.".to_owned(),
        ));
    }
    Ok(Some(session))
}

fn is_ours(request: &Request, session: &Session) -> bool {
    let shown = request.headers().get("x-csrftoken").and_then(|value| value.to_str().ok());
    if shown.is_some_and(|shown| entropy::same_secret(&hash(shown), &session.csrf_sha256)) {
        return true;
    }
    same_origin(request) == Origin::Ours
}

/// Where a request says that it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A page of this server.
    Ours,
    /// A page of another one.
    Foreign,
    /// It does not say.
    Silent,
}

/// What `Origin`, or else `Referer`, says.
pub(crate) fn same_origin(request: &Request) -> Origin {
    let headers = request.headers();
    let said = headers.get(::http::header::ORIGIN).or_else(|| headers.get(::http::header::REFERER));
    let Some(said) = said else { return Origin::Silent };
    let Some(url) = said.to_str().ok().and_then(|text| url::Url::parse(text).ok()) else {
        return Origin::Foreign;
    };
    let Ok(own) = url::Url::parse(&request.base_url()) else { return Origin::Foreign };
    if url.origin() == own.origin() && url.origin().is_tuple() {
        Origin::Ours
    } else {
        Origin::Foreign
    }
}

fn hash(word: &str) -> String {
    Sha256::digest(word.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
