//! Sessions of the web page: who a browser's cookie stands for, and until when.
//!
//! The store keeps the cookie's SHA-256 only: whoever reads the database cannot take a session over.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use maas_core::secret::Secret;
use maas_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::entropy::{self, EntropyError};
use crate::store::{Document, DocumentError, Store, StoreError, Stored, User};

/// How long a session lasts, used or not.
pub const LIFETIME: Duration = Duration::from_secs(14 * 24 * 3600);

/// Why a session was not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// No random cookie.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The database failed.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    /// SHA-256 of the cookie, in hex.
    digest: String,
    username: String,
    expires: Timestamp,
}

impl Document for Session {
    const KIND: &'static str = "session";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.digest))
    }
}

/// Begins a session and returns the cookie's value; expired sessions are swept out.
///
/// # Errors
///
/// [`SessionError`].
pub async fn begin(
    store: &dyn Store,
    user: &User,
    now: Timestamp,
) -> Result<Secret<String>, SessionError> {
    for old in store.list::<Session>().await? {
        if old.value.expires <= now {
            end_stored(store, &old).await?;
        }
    }
    let cookie = entropy::token_secret()?;
    let session = Session {
        digest: digest(cookie.expose()),
        username: user.username.clone(),
        expires: now.plus(LIFETIME),
    };
    store.insert(session).await?;
    Ok(cookie)
}

/// The user whose session the cookie is, unless it has expired or the user is gone.
///
/// # Errors
///
/// The database's failure.
pub async fn user(
    store: &dyn Store,
    cookie: &str,
    now: Timestamp,
) -> Result<Option<User>, StoreError> {
    let Some(session) = store.by_key::<Session>(&digest(cookie)).await? else { return Ok(None) };
    if session.value.expires <= now {
        return Ok(None);
    }
    store.user(&session.value.username).await
}

/// Ends the session, if there is one.
///
/// # Errors
///
/// The database's failure.
pub async fn end(store: &dyn Store, cookie: &str) -> Result<(), SessionError> {
    match store.by_key::<Session>(&digest(cookie)).await? {
        Some(session) => end_stored(store, &session).await,
        None => Ok(()),
    }
}

async fn end_stored(store: &dyn Store, session: &Stored<Session>) -> Result<(), SessionError> {
    match store.remove::<Session>(session.id, session.version).await {
        // Somebody else ended it.
        Err(DocumentError::Gone { .. }) => Ok(()),
        result => Ok(result?),
    }
}

fn digest(cookie: &str) -> String {
    Sha256::digest(cookie).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use maas_core::machine::Role;

    use super::*;
    use crate::accounts;
    use crate::store::MemoryStore;

    const START: Timestamp = Timestamp::from_seconds(1_795_366_800);

    #[tokio::test]
    async fn a_session_lasts_until_it_is_ended_expires_or_its_user_is_gone() {
        let store = MemoryStore::new();
        let password = Secret::new("pw".to_owned());
        accounts::create(&store, "ann", "", Role::User, &password).await.unwrap();
        let ann = store.user("ann").await.unwrap().unwrap();
        let one = begin(&store, &ann, START).await.unwrap();
        let other = begin(&store, &ann, START).await.unwrap();
        assert_ne!(one.expose(), other.expose());
        let found = async |cookie: &str, now| {
            user(&store, cookie, now).await.unwrap().map(|user| user.username)
        };
        assert_eq!(found(one.expose(), START).await.as_deref(), Some("ann"));
        assert_eq!(found("", START).await, None);
        assert_eq!(found(one.expose(), START.plus(LIFETIME)).await, None);
        end(&store, one.expose()).await.unwrap();
        end(&store, one.expose()).await.unwrap();
        assert_eq!(found(one.expose(), START).await, None);
        assert_eq!(found(other.expose(), START).await.as_deref(), Some("ann"));
        store.delete_user("ann").await.unwrap();
        assert_eq!(found(other.expose(), START).await, None);
    }

    #[tokio::test]
    async fn the_store_never_sees_the_cookie() {
        let store = MemoryStore::new();
        let password = Secret::new("pw".to_owned());
        accounts::create(&store, "ann", "", Role::User, &password).await.unwrap();
        let ann = store.user("ann").await.unwrap().unwrap();
        let cookie = begin(&store, &ann, START).await.unwrap();
        let store: &dyn Store = &store;
        let kept = serde_json::to_string(&store.list::<Session>().await.unwrap()[0].value).unwrap();
        assert!(!kept.contains(cookie.expose()));
    }
}
