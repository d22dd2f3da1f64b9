//! The tables, brought up to date step by step.

use super::Fault;
use super::address::Dialect;
use super::db::{Connection, query};

/// The steps: number `n` leads from version `n - 1` to version `n`. A step that was released is
/// never edited.
const STEPS: &[&str] = &[
    include_str!("migrations/1.sql"),
    include_str!("migrations/2.sql"),
    include_str!("migrations/3.sql"),
];

/// Serialises servers that start together on PostgreSQL; any constant number does.
const ADVISORY_LOCK: &str = "SELECT pg_advisory_xact_lock(7381202611)";

/// The version that this program writes.
pub(super) const VERSION: u64 = STEPS.len() as u64;

/// How the database stands towards this program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has this program's tables.
    Current,
    /// A newer program wrote it; nothing was touched.
    Newer {
        /// The version found.
        found: u64,
    },
}

/// Brings the tables up to date, in the transaction that is open on the connection.
pub(super) async fn migrate(
    connection: &mut Connection,
    dialect: Dialect,
) -> Result<Standing, Fault> {
    if dialect == Dialect::Postgres {
        query(ADVISORY_LOCK).fetch_all(&mut *connection).await?;
    }
    query("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
        .execute(connection)
        .await?;
    let row = query("SELECT COALESCE(MAX(version), 0) FROM schema_version")
        .fetch_one(&mut *connection)
        .await?;
    let found = u64::try_from(row.try_get::<i64>(0)?)?;
    if found > VERSION {
        return Ok(Standing::Newer { found });
    }
    for (version, step) in (1u64..).zip(STEPS).skip(usize::try_from(found)?) {
        connection.execute_all(text(step, dialect)).await?;
        query("INSERT INTO schema_version (version) VALUES ($1)")
            .bind(i64::try_from(version)?)
            .execute(connection)
            .await?;
    }
    Ok(Standing::Current)
}

/// A step in the words of a database.
fn text(step: &str, dialect: Dialect) -> String {
    step.replace("{BYTES}", dialect.bytes())
        .replace("{COUNTED}", dialect.counted())
        .replace("{CLUSTERED}", dialect.clustered())
}

/// Everything up to a version, for tests that begin with an older one.
#[cfg(test)]
pub(super) fn up_to(version: usize, dialect: Dialect) -> String {
    let steps: String = STEPS.iter().take(version).map(|step| text(step, dialect)).collect();
    format!(
        "CREATE TABLE schema_version (version BIGINT NOT NULL); {steps} \
         INSERT INTO schema_version (version) VALUES ({version});"
    )
}
