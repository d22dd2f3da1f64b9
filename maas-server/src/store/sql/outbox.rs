//! Effects that wait to be performed, and the time of the next thing to do.

use maas_core::id::SystemId;
use maas_core::machine::Effect;
use maas_core::time::Timestamp;

use super::Fault;
use super::db::{Connection, Pool, Row, query};
use super::text::{clean, number};
use crate::store::change::{Settled, StoredEffect, due};

/// Puts effects at the end of a machine's queue.
pub(super) async fn insert(
    connection: &mut Connection,
    id: &SystemId,
    effects: &[Effect],
    now: Timestamp,
) -> Result<(), Fault> {
    for effect in effects {
        query("INSERT INTO effect (system_id, body, due) VALUES ($1, $2, $3)")
            .bind(id.as_str())
            .bind(serde_json::to_string(effect)?)
            .bind(due(effect, now).0)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The heads of the machines' queues that are due.
pub(super) async fn due_effects(
    pool: &Pool,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<StoredEffect>, Fault> {
    query(
        "SELECT id, system_id, body, due, attempts, error FROM effect e WHERE due <= $1 \
         AND NOT EXISTS (SELECT 1 FROM effect f WHERE f.system_id = e.system_id AND f.id < e.id) \
         ORDER BY due, id LIMIT $2",
    )
    .bind(now.0)
    .bind(i64::from(limit))
    .read_all(pool, read)
    .await
}

/// As [`due_effects`], and none of them is due again before `until`.
pub(super) async fn claim(
    connection: &mut Connection,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<StoredEffect>, Fault> {
    // The outer condition is checked again by PostgreSQL when another transaction was first.
    let mut effects = query(
        "UPDATE effect SET due = $2 WHERE due <= $1 AND id IN (\
         SELECT id FROM effect e WHERE due <= $1 AND NOT EXISTS \
         (SELECT 1 FROM effect f WHERE f.system_id = e.system_id AND f.id < e.id) \
         ORDER BY due, id LIMIT $3) \
         RETURNING id, system_id, body, due, attempts, error",
    )
    .bind(now.0)
    .bind(until.0)
    .bind(i64::from(limit))
    .read_all(connection, read)
    .await?;
    effects.sort_unstable_by_key(|effect| effect.id);
    Ok(effects)
}

/// Takes an effect out of its queue.
pub(super) async fn done(connection: &mut Connection, id: u64) -> Result<Settled, Fault> {
    let deleted =
        query("DELETE FROM effect WHERE id = $1").bind(number(id)).execute(connection).await?;
    Ok(settled(deleted))
}

/// Puts an effect off.
pub(super) async fn failed(
    connection: &mut Connection,
    id: u64,
    next_due: Timestamp,
    error: &str,
) -> Result<Settled, Fault> {
    let updated =
        query("UPDATE effect SET due = $2, attempts = attempts + 1, error = $3 WHERE id = $1")
            .bind(number(id))
            .bind(next_due.0)
            .bind(clean(error))
            .execute(connection)
            .await?;
    Ok(settled(updated))
}

/// The earliest deadline or due time of a queue's head.
pub(super) async fn next_wakeup(pool: &Pool) -> Result<Option<Timestamp>, Fault> {
    let row = query(
        "SELECT MIN(at) FROM (\
         SELECT MIN(deadline) AS at FROM machine WHERE deadline IS NOT NULL UNION ALL \
         SELECT MIN(due) AS at FROM effect e WHERE NOT EXISTS \
         (SELECT 1 FROM effect f WHERE f.system_id = e.system_id AND f.id < e.id)) AS times",
    )
    .fetch_one(pool)
    .await?;
    Ok(row.try_get::<Option<i64>>(0)?.map(Timestamp))
}

const fn settled(rows: u64) -> Settled {
    if rows == 0 { Settled::Gone } else { Settled::Stored }
}

fn read(row: &Row) -> Result<StoredEffect, Fault> {
    Ok(StoredEffect {
        id: u64::try_from(row.try_get::<i64>(0)?)?,
        system_id: row.try_get::<&str>(1)?.parse()?,
        effect: serde_json::from_str(row.try_get(2)?)?,
        due: Timestamp(row.try_get(3)?),
        attempts: u32::try_from(row.try_get::<i64>(4)?)?,
        error: row.try_get(5)?,
    })
}
