//! Records and the outputs of script runs.

use maas_core::id::SystemId;
use maas_core::machine::{Level, Record};
use maas_core::time::Timestamp;

use super::Fault;
use super::db::{Connection, Pool, Row, query};
use super::text::{Text, clean, number};
use crate::store::change::{RunReport, ScriptOutput, Stream};
use crate::store::filter::{RecordFilter, StoredRecord};

/// Adds a record.
pub(super) async fn insert_record(
    connection: &mut Connection,
    id: &SystemId,
    record: &Record,
) -> Result<(), Fault> {
    query(
        "INSERT INTO record (system_id, at, level, kind, description, username) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id.as_str())
    .bind(record.at.0)
    .bind(rank(record.level))
    .bind(clean(&record.kind))
    .bind(clean(&record.description))
    .bind(record.username.as_deref().map(clean))
    .execute(connection)
    .await?;
    Ok(())
}

/// The records that match, newest first.
pub(super) async fn records(
    pool: &Pool,
    filter: &RecordFilter,
) -> Result<Vec<StoredRecord>, Fault> {
    let mut query =
        Text::new("SELECT id, system_id, at, level, kind, description, username FROM record");
    query.among("system_id IN ", filter.machines.iter().map(SystemId::as_str));
    query.among("level IN ", filter.levels.iter().map(|&level| rank(level)));
    query.among("username IN ", filter.usernames.iter().map(|name| clean(name)));
    if let Some(before) = filter.before {
        query.and().push("id < ").bind(number(before));
    }
    if let Some(after) = filter.after {
        query.and().push("id > ").bind(number(after));
    }
    query.push(if filter.takes_oldest() {
        " ORDER BY id LIMIT "
    } else {
        " ORDER BY id DESC LIMIT "
    });
    query.bind(i64::from(filter.limit));
    let mut records = query.fetch(pool, read).await?;
    if filter.takes_oldest() {
        records.reverse();
    }
    Ok(records)
}

/// Deletes old records.
pub(super) async fn prune(
    connection: &mut Connection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Fault> {
    let deleted = query(
        "DELETE FROM record WHERE id IN \
         (SELECT id FROM record WHERE at < $1 ORDER BY at LIMIT $2)",
    )
    .bind(before.0)
    .bind(i64::from(limit))
    .execute(connection)
    .await?;
    Ok(deleted)
}

/// Stores a report.
pub(super) async fn put_report(
    connection: &mut Connection,
    id: &SystemId,
    report: &RunReport,
) -> Result<(), Fault> {
    if report.number == 0 {
        query("DELETE FROM report WHERE system_id = $1 AND run <> $2")
            .bind(id.as_str())
            .bind(clean(&report.run))
            .execute(connection)
            .await?;
    }
    if let Some(old) = report.forgets() {
        query(
            "DELETE FROM report WHERE system_id = $1 AND run = $2 AND number >= $3 AND number < $4",
        )
        .bind(id.as_str())
        .bind(clean(&report.run))
        .bind(number(old.start))
        .bind(number(old.end))
        .execute(connection)
        .await?;
    }
    query(
        "INSERT INTO report (system_id, run, number, body) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
    )
    .bind(id.as_str())
    .bind(clean(&report.run))
    .bind(number(report.number))
    .bind(serde_json::to_string(&report.reported)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// The reports that are kept of a machine.
pub(super) async fn reports(pool: &Pool, id: &SystemId) -> Result<Vec<RunReport>, Fault> {
    let read = |row: &Row| {
        Ok(RunReport {
            run: row.try_get(0)?,
            number: u64::try_from(row.try_get::<i64>(1)?)?,
            reported: serde_json::from_str(row.try_get(2)?)?,
        })
    };
    query("SELECT run, number, body FROM report WHERE system_id = $1 ORDER BY number")
        .bind(id.as_str())
        .fetch_many(pool, read)
        .await
}

/// Stores an output in the place of an older one of the same run and stream.
pub(super) async fn put_output(
    connection: &mut Connection,
    id: &SystemId,
    output: &ScriptOutput,
) -> Result<(), Fault> {
    query(
        "INSERT INTO output (run_id, stream, system_id, bytes) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (run_id, stream) DO UPDATE \
         SET bytes = excluded.bytes, system_id = excluded.system_id",
    )
    .bind(number(output.run_id))
    .bind(number_of(output.stream))
    .bind(id.as_str())
    .bind(output.bytes.as_slice())
    .execute(connection)
    .await?;
    Ok(())
}

/// The outputs of a run.
pub(super) async fn outputs(pool: &Pool, run_id: u64) -> Result<Vec<ScriptOutput>, Fault> {
    let read = |row: &Row| {
        let number = row.try_get::<i64>(0)?;
        let stream = Stream::ALL
            .into_iter()
            .find(|stream| number_of(*stream) == number)
            .ok_or_else(|| format!("unknown stream {number}"))?;
        Ok(ScriptOutput { run_id, stream, bytes: row.try_get(1)? })
    };
    query("SELECT stream, bytes FROM output WHERE run_id = $1 ORDER BY stream")
        .bind(number(run_id))
        .read_all(pool, read)
        .await
}

/// A stream's number in the database.
const fn number_of(stream: Stream) -> i64 {
    match stream {
        Stream::Combined => 0,
        Stream::Stdout => 1,
        Stream::Stderr => 2,
        Stream::Result => 3,
    }
}

const LEVELS: [Level; 4] = [Level::Debug, Level::Info, Level::Warning, Level::Error];

/// A level's number in the database.
const fn rank(level: Level) -> i64 {
    match level {
        Level::Debug => 10,
        Level::Info => 20,
        Level::Warning => 30,
        Level::Error => 40,
    }
}

fn read(row: &Row) -> Result<StoredRecord, Fault> {
    let number = row.try_get::<i64>(3)?;
    let level = LEVELS
        .into_iter()
        .find(|&level| rank(level) == number)
        .ok_or_else(|| format!("unknown level {number}"))?;
    Ok(StoredRecord {
        id: u64::try_from(row.try_get::<i64>(0)?)?,
        system_id: row.try_get::<&str>(1)?.parse()?,
        record: Record {
            at: Timestamp(row.try_get(2)?),
            level,
            kind: row.try_get(4)?,
            description: row.try_get(5)?,
            username: row.try_get(6)?,
        },
    })
}
