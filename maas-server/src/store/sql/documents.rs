//! Documents of every kind, and numbers that are never given twice.

use super::db::{Connection, Pool, Row, query};
use super::text::{clean, number};
use super::{Fault, Worked};
use crate::store::document::RawDocument;
use crate::store::error::DocumentError;
use crate::store::filter::UNSEEN;

/// The first of `count` fresh numbers.
pub(super) async fn next_ids(
    connection: &mut Connection,
    kind: &str,
    count: u32,
) -> Result<u64, Fault> {
    let row = query(
        "INSERT INTO sequence (kind, next) VALUES ($1, 1 + $2) \
         ON CONFLICT (kind) DO UPDATE SET next = sequence.next + $2 RETURNING next",
    )
    .bind(clean(kind))
    .bind(i64::from(count))
    .fetch_one(connection)
    .await?;
    Ok(u64::try_from(row.try_get::<i64>(0)? - i64::from(count))?)
}

/// One document by number.
pub(super) async fn find(
    pool: &Pool,
    kind: &'static str,
    id: u64,
) -> Result<Option<RawDocument>, Fault> {
    query("SELECT id, version, unique_key, body FROM document WHERE kind = $1 AND id = $2")
        .bind(kind)
        .bind(number(id))
        .read_one(pool, read)
        .await
}

/// One document by key.
pub(super) async fn by_key(
    pool: &Pool,
    kind: &'static str,
    key: &str,
) -> Result<Option<RawDocument>, Fault> {
    query("SELECT id, version, unique_key, body FROM document WHERE kind = $1 AND unique_key = $2")
        .bind(kind)
        .bind(clean(key))
        .read_one(pool, read)
        .await
}

/// All documents of a kind.
pub(super) async fn list(pool: &Pool, kind: &'static str) -> Result<Vec<RawDocument>, Fault> {
    query("SELECT id, version, unique_key, body FROM document WHERE kind = $1 ORDER BY id")
        .bind(kind)
        .fetch_many(pool, read)
        .await
}

/// Count, versions and highest number of each kind. Numbers are never given twice and versions
/// only rise, so that no other documents have the same.
pub(super) async fn stamp(pool: &Pool) -> Result<String, Fault> {
    let rows = query(
        "SELECT kind, COUNT(*), CAST(SUM(version) AS BIGINT), MAX(id) FROM document \
         GROUP BY kind ORDER BY kind",
    )
    .fetch_all(pool)
    .await?;
    let mut stamp = String::new();
    for row in &rows {
        let kind: String = row.try_get(0)?;
        if !UNSEEN.contains(&kind.as_str()) {
            let (count, versions, highest): (i64, i64, i64) =
                (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            stamp.push_str(&format!("{kind} {count} {versions} {highest};"));
        }
    }
    Ok(stamp)
}

/// Adds a document.
pub(super) async fn insert(
    connection: &mut Connection,
    kind: &'static str,
    key: Option<String>,
    body: String,
) -> Worked<u64, DocumentError> {
    let id = next_ids(connection, &format!("document {kind}"), 1).await?;
    let inserted = query(
        "INSERT INTO document (kind, id, version, unique_key, body) VALUES ($1, $2, 1, $3, $4) \
         ON CONFLICT DO NOTHING",
    )
    .bind(kind)
    .bind(number(id))
    .bind(key.as_deref().map(clean))
    .bind(body)
    .execute(connection)
    .await?;
    match key {
        Some(key) if inserted == 0 => Ok(Err(DocumentError::DuplicateKey { kind, key })),
        None if inserted == 0 => Err("a document's number was used twice".into()),
        _ => Ok(Ok(id)),
    }
}

/// Replaces a document in this version.
pub(super) async fn update(
    connection: &mut Connection,
    kind: &'static str,
    id: u64,
    version: u64,
    key: Option<String>,
    body: String,
) -> Worked<(), DocumentError> {
    let updated = query(
        "UPDATE document SET version = version + 1, unique_key = $4, body = $5 \
         WHERE kind = $1 AND id = $2 AND version = $3",
    )
    .bind(kind)
    .bind(number(id))
    .bind(number(version))
    .bind(key.as_deref().map(clean))
    .bind(body)
    .execute(&mut *connection)
    .await;
    match (updated, key) {
        (Ok(1), _) => Ok(Ok(())),
        (Ok(_), _) => missed(connection, kind, id, version).await.map(Err),
        (Err(error), Some(key)) if error.unique_violation().is_some() => {
            Ok(Err(DocumentError::DuplicateKey { kind, key }))
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// Deletes a document in this version.
pub(super) async fn delete(
    connection: &mut Connection,
    kind: &'static str,
    id: u64,
    version: u64,
) -> Worked<(), DocumentError> {
    let deleted = query("DELETE FROM document WHERE kind = $1 AND id = $2 AND version = $3")
        .bind(kind)
        .bind(number(id))
        .bind(number(version))
        .execute(&mut *connection)
        .await?;
    if deleted == 0 {
        return missed(connection, kind, id, version).await.map(Err);
    }
    Ok(Ok(()))
}

/// Why no row had this number and version.
async fn missed(
    connection: &mut Connection,
    kind: &'static str,
    id: u64,
    expected: u64,
) -> Result<DocumentError, Fault> {
    let present = query("SELECT version FROM document WHERE kind = $1 AND id = $2")
        .bind(kind)
        .bind(number(id))
        .fetch_optional(connection)
        .await?;
    Ok(match present {
        Some(_) => DocumentError::Conflict { kind, id, expected },
        None => DocumentError::Gone { kind, id },
    })
}

fn read(row: &Row) -> Result<RawDocument, Fault> {
    Ok(RawDocument {
        id: u64::try_from(row.try_get::<i64>(0)?)?,
        version: u64::try_from(row.try_get::<i64>(1)?)?,
        key: row.try_get(2)?,
        body: row.try_get(3)?,
    })
}
