//! Users, API keys and SSH keys.

use maas_core::machine::Role;
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

use super::db::{Connection, Pool, Row, query};
use super::text::{clean, number};
use super::{Fault, Worked};
use crate::store::account::{ApiKey, SshKey, User};
use crate::store::error::AccountError;

/// Creates a user.
pub(super) async fn create(connection: &mut Connection, user: User) -> Worked<(), AccountError> {
    let inserted = query(
        "INSERT INTO account (username, email, role, password_hash, created) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(clean(&user.username))
    .bind(clean(&user.email))
    .bind(role(user.role))
    .bind(clean(user.password_hash.expose()))
    .bind(user.created.0)
    .execute(connection)
    .await?;
    if inserted == 0 {
        return Ok(Err(AccountError::Exists { what: format!("user {:?}", user.username) }));
    }
    Ok(Ok(()))
}

/// Replaces a user.
pub(super) async fn update(connection: &mut Connection, user: User) -> Worked<(), AccountError> {
    let updated =
        query("UPDATE account SET email = $2, role = $3, password_hash = $4 WHERE username = $1")
            .bind(clean(&user.username))
            .bind(clean(&user.email))
            .bind(role(user.role))
            .bind(clean(user.password_hash.expose()))
            .execute(connection)
            .await?;
    if updated == 0 {
        return Ok(Err(AccountError::NoUser { username: user.username }));
    }
    Ok(Ok(()))
}

/// One user.
pub(super) async fn find(pool: &Pool, username: &str) -> Result<Option<User>, Fault> {
    query("SELECT username, email, role, password_hash, created FROM account WHERE username = $1")
        .bind(clean(username))
        .read_one(pool, read)
        .await
}

/// All users.
pub(super) async fn list(pool: &Pool) -> Result<Vec<User>, Fault> {
    let mut users = query("SELECT username, email, role, password_hash, created FROM account")
        .read_all(pool, read)
        .await?;
    // Databases order texts by their own rules.
    users.sort_by(|left, right| left.username.cmp(&right.username));
    Ok(users)
}

/// Deletes a user with the keys.
pub(super) async fn delete(connection: &mut Connection, username: &str) -> Result<bool, Fault> {
    let deleted = query("DELETE FROM account WHERE username = $1")
        .bind(clean(username))
        .execute(connection)
        .await?;
    Ok(deleted > 0)
}

/// Whether there is a user; on PostgreSQL it then stays until the transaction ends, by the
/// foreign key of what is inserted next.
async fn exists(connection: &mut Connection, username: &str) -> Result<bool, Fault> {
    let row = query("SELECT 1 FROM account WHERE username = $1")
        .bind(clean(username))
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Creates an API key.
pub(super) async fn create_api_key(
    connection: &mut Connection,
    key: ApiKey,
) -> Worked<(), AccountError> {
    if !exists(connection, &key.username).await? {
        return Ok(Err(AccountError::NoUser { username: key.username }));
    }
    let inserted = query(
        "INSERT INTO api_key (token_key, consumer_key, token_secret, name, username) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(clean(&key.token_key))
    .bind(clean(&key.consumer_key))
    .bind(clean(key.token_secret.expose()))
    .bind(clean(&key.name))
    .bind(clean(&key.username))
    .execute(connection)
    .await?;
    if inserted == 0 {
        return Ok(Err(AccountError::Exists { what: "the API key".to_owned() }));
    }
    Ok(Ok(()))
}

/// The API key with this token key.
pub(super) async fn api_key(pool: &Pool, token_key: &str) -> Result<Option<ApiKey>, Fault> {
    query(
        "SELECT consumer_key, token_key, token_secret, name, username FROM api_key \
         WHERE token_key = $1",
    )
    .bind(clean(token_key))
    .read_one(pool, read_api_key)
    .await
}

/// The API keys of a user.
pub(super) async fn api_keys(pool: &Pool, username: &str) -> Result<Vec<ApiKey>, Fault> {
    query(
        "SELECT consumer_key, token_key, token_secret, name, username FROM api_key \
         WHERE username = $1 ORDER BY id",
    )
    .bind(clean(username))
    .read_all(pool, read_api_key)
    .await
}

/// Renames an API key.
pub(super) async fn rename_api_key(
    connection: &mut Connection,
    token_key: &str,
    name: &str,
) -> Result<bool, Fault> {
    let updated = query("UPDATE api_key SET name = $2 WHERE token_key = $1")
        .bind(clean(token_key))
        .bind(clean(name))
        .execute(connection)
        .await?;
    Ok(updated > 0)
}

/// Deletes an API key.
pub(super) async fn delete_api_key(
    connection: &mut Connection,
    token_key: &str,
) -> Result<bool, Fault> {
    let deleted = query("DELETE FROM api_key WHERE token_key = $1")
        .bind(clean(token_key))
        .execute(connection)
        .await?;
    Ok(deleted > 0)
}

/// Adds an SSH key.
pub(super) async fn create_ssh_key(
    connection: &mut Connection,
    key: SshKey,
) -> Worked<u64, AccountError> {
    if !exists(connection, &key.username).await? {
        return Ok(Err(AccountError::NoUser { username: key.username }));
    }
    let inserted = query(
        "INSERT INTO ssh_key (username, line, source) VALUES ($1, $2, $3) \
         ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(clean(&key.username))
    .bind(clean(&key.key))
    .bind(clean(&key.source))
    .fetch_optional(connection)
    .await?;
    match inserted {
        Some(row) => Ok(Ok(u64::try_from(row.try_get::<i64>(0)?)?)),
        None => Ok(Err(AccountError::Exists { what: "the SSH key".to_owned() })),
    }
}

/// One SSH key.
pub(super) async fn ssh_key(pool: &Pool, id: u64) -> Result<Option<SshKey>, Fault> {
    query("SELECT id, username, line, source FROM ssh_key WHERE id = $1")
        .bind(number(id))
        .read_one(pool, read_ssh_key)
        .await
}

/// The SSH keys of a user.
pub(super) async fn ssh_keys(pool: &Pool, username: &str) -> Result<Vec<SshKey>, Fault> {
    query("SELECT id, username, line, source FROM ssh_key WHERE username = $1 ORDER BY id")
        .bind(clean(username))
        .read_all(pool, read_ssh_key)
        .await
}

/// Deletes an SSH key.
pub(super) async fn delete_ssh_key(connection: &mut Connection, id: u64) -> Result<bool, Fault> {
    let deleted =
        query("DELETE FROM ssh_key WHERE id = $1").bind(number(id)).execute(connection).await?;
    Ok(deleted > 0)
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::User => "user",
    }
}

fn read(row: &Row) -> Result<User, Fault> {
    let role = match row.try_get::<&str>(2)? {
        "admin" => Role::Admin,
        "user" => Role::User,
        other => return Err(format!("unknown role {other:?}").into()),
    };
    Ok(User {
        username: row.try_get(0)?,
        email: row.try_get(1)?,
        role,
        password_hash: Secret::new(row.try_get(3)?),
        created: Timestamp(row.try_get(4)?),
    })
}

fn read_api_key(row: &Row) -> Result<ApiKey, Fault> {
    Ok(ApiKey {
        consumer_key: row.try_get(0)?,
        token_key: row.try_get(1)?,
        token_secret: Secret::new(row.try_get(2)?),
        name: row.try_get(3)?,
        username: row.try_get(4)?,
    })
}

fn read_ssh_key(row: &Row) -> Result<SshKey, Fault> {
    Ok(SshKey {
        id: u64::try_from(row.try_get::<i64>(0)?)?,
        username: row.try_get(1)?,
        key: row.try_get(2)?,
        source: row.try_get(3)?,
    })
}
