//! Users and their API keys, as the command line, the API and the demo make them.

use maas_core::machine::Role;
use maas_core::secret::Secret;

use crate::clock;
use crate::entropy::{self, EntropyError};
use crate::store::{AccountError, ApiKey, Store, StoreError, User};

/// The shortest and the longest user name.
const NAME_LENGTHS: std::ops::RangeInclusive<usize> = 1..=150;

/// Why a user or a key could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// A name that cannot be a user's.
    #[error(
        "not a user name: found {found:?}, expected 1 to 150 letters, digits and any of @ . + - _"
    )]
    Name {
        /// What was given.
        found: String,
    },
    /// There is no such user.
    #[error("user {username:?} does not exist")]
    NoUser {
        /// The name.
        username: String,
    },
    /// It exists, or belongs to nobody.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The operating system has no random numbers, or the password is too long.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Adds a user.
///
/// # Errors
///
/// [`AccountsError`] for a name that cannot be one or that exists already.
pub async fn create(
    store: &dyn Store,
    username: &str,
    email: &str,
    role: Role,
    password: &Secret<String>,
) -> Result<(), AccountsError> {
    let fits = |letter: char| letter.is_alphanumeric() || "@.+-_".contains(letter);
    if !NAME_LENGTHS.contains(&username.chars().count()) || !username.chars().all(fits) {
        return Err(AccountsError::Name { found: username.chars().take(200).collect() });
    }
    let password = password.clone();
    let password_hash = tokio::task::spawn_blocking(move || entropy::hash_password(&password))
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    let user = User {
        username: username.to_owned(),
        email: email.to_owned(),
        role,
        password_hash,
        created: clock::now(),
    };
    Ok(store.create_user(user).await?)
}

/// The user with this name and password.
///
/// # Errors
///
/// The database's failure.
pub async fn with_password(
    store: &dyn Store,
    username: &str,
    password: Secret<String>,
) -> Result<Option<User>, AccountsError> {
    let user = store.user(username).await?;
    // An unknown user costs as much time as a wrong password.
    let hash = user
        .as_ref()
        .map_or_else(|| NO_PASSWORD.to_owned(), |user| user.password_hash.expose().clone());
    let matches = tokio::task::spawn_blocking(move || {
        entropy::password_matches(&password, &Secret::new(hash))
    })
    .await
    .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    Ok(user.filter(|_| matches))
}

/// The hash of a password that nobody knows, with the usual cost.
const NO_PASSWORD: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5a25vd3N0aGlz$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The user's oldest API key; a new one when there is none.
///
/// # Errors
///
/// [`AccountsError::NoUser`], or the database's failure.
pub async fn first_api_key(store: &dyn Store, username: &str) -> Result<ApiKey, AccountsError> {
    if store.user(username).await?.is_none() {
        return Err(AccountsError::NoUser { username: username.to_owned() });
    }
    if let Some(key) = store.api_keys(username).await?.into_iter().next() {
        return Ok(key);
    }
    new_api_key(store, username, "MAAS consumer").await
}

/// Makes an API key.
///
/// # Errors
///
/// [`AccountsError`] when the user does not exist or the database fails.
pub async fn new_api_key(
    store: &dyn Store,
    username: &str,
    name: &str,
) -> Result<ApiKey, AccountsError> {
    let key = ApiKey {
        consumer_key: entropy::key()?,
        token_key: entropy::key()?,
        token_secret: entropy::token_secret()?,
        name: name.to_owned(),
        username: username.to_owned(),
    };
    store.create_api_key(key.clone()).await?;
    Ok(key)
}

/// The form in which people and clients carry a key: `consumer_key:token_key:token_secret`.
#[must_use]
pub fn api_key_text(key: &ApiKey) -> String {
    format!("{}:{}:{}", key.consumer_key, key.token_key, key.token_secret.expose())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::store::MemoryStore;

    async fn add(store: &dyn Store, name: &str) -> Result<(), AccountsError> {
        create(store, name, "", Role::User, &Secret::new("pw".to_owned())).await
    }

    #[tokio::test]
    async fn a_user_has_a_name_that_can_be_one_and_only_once() {
        let store = MemoryStore::new();
        for name in ["alice", "al.ice@example.com", "a+b-c_d", "Zoë"] {
            add(&store, name).await.unwrap();
        }
        let long = "x".repeat(151);
        for name in ["", "a b", "a/b", "a:b", "a\n", &long] {
            let refused = add(&store, name).await;
            assert!(matches!(refused, Err(AccountsError::Name { .. })), "{name:?}");
        }
        let again = add(&store, "alice").await;
        assert!(matches!(again, Err(AccountsError::Account(AccountError::Exists { .. }))));
        let stored = store.user("alice").await.unwrap().unwrap();
        assert!(entropy::password_matches(&Secret::new("pw".to_owned()), &stored.password_hash));
    }

    #[tokio::test]
    async fn the_first_key_is_made_once_and_carried_in_three_parts() {
        let store = MemoryStore::new();
        let nobody = first_api_key(&store, "alice").await;
        assert!(matches!(nobody, Err(AccountsError::NoUser { .. })));
        add(&store, "alice").await.unwrap();
        let first = first_api_key(&store, "alice").await.unwrap();
        assert_eq!(first_api_key(&store, "alice").await.unwrap().token_key, first.token_key);
        new_api_key(&store, "alice", "other").await.unwrap();
        assert_eq!(first_api_key(&store, "alice").await.unwrap().token_key, first.token_key);
        let text = api_key_text(&first);
        let lengths: Vec<usize> = text.split(':').map(str::len).collect();
        assert_eq!(lengths, [18, 18, 32]);
    }
}
