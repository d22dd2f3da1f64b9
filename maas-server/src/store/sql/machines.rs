//! Machines: one row with the columns that are searched, the whole machine as JSON beside them.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use sqlx::any::{Any, AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Row};

use maas_core::id::SystemId;
use maas_core::machine::interface::NetworkFacts;
use maas_core::machine::{Machine, Record};
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

use super::text::{Text, clean, number};
use super::{Fault, Worked, documents, history, outbox};
use crate::store::change::{
    Attachment, AttachmentChange, Change, NewMachine, ScriptOutput, WaitingEffects,
};
use crate::store::error::{AddError, CommitError, Duplicate};
use crate::store::filter::{MachineFilter, MachineHead, architecture};

/// The kind of the numbers that keep machines in the order of their creation.
const ORDER: &str = "machine";

/// How many machines are read before others get their turn on the thread.
const AT_ONCE: usize = 32;

const BY_ID: &str = "SELECT version, body FROM machine WHERE system_id = $1";
const BY_TOKEN: &str = "SELECT version, body FROM machine WHERE token_key = $1";
const BY_MAC: &str = "SELECT m.version, m.body FROM machine_mac a \
     JOIN machine m ON m.system_id = a.system_id WHERE a.mac = $1";
const BY_UUID: &str = "SELECT version, body FROM machine WHERE hardware_uuid = $1 \
     ORDER BY seq LIMIT 1";

/// What one machine may be found by.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    Id,
    Token,
    Mac,
    Uuid,
}

/// The machine that `value` names.
pub(super) async fn find(pool: &AnyPool, by: By, value: &str) -> Result<Option<Machine>, Fault> {
    let (sql, value) = match by {
        By::Id => (BY_ID, clean(value)),
        By::Token => (BY_TOKEN, clean(value)),
        By::Mac => (BY_MAC, clean(value).to_ascii_lowercase()),
        By::Uuid => (BY_UUID, clean(value).to_ascii_lowercase()),
    };
    sqlx::query(sql).bind(value).fetch_optional(pool).await?.as_ref().map(read).transpose()
}

/// The machines that match.
pub(super) async fn list(pool: &AnyPool, filter: &MachineFilter) -> Result<Vec<Machine>, Fault> {
    let (sql, arguments) = matching("SELECT version, body FROM machine", filter)?;
    let mut rows = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch(pool);
    let mut machines = Vec::new();
    while let Some(row) = rows.try_next().await? {
        machines.push(read(&row)?);
        if machines.len() % AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(machines)
}

/// Ids, versions and owners of the machines that match.
pub(super) async fn heads(
    pool: &AnyPool,
    filter: &MachineFilter,
) -> Result<Vec<MachineHead>, Fault> {
    let (sql, arguments) = matching("SELECT system_id, version, owner FROM machine", filter)?;
    let rows = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            Ok(MachineHead {
                system_id: row.try_get::<&str, _>(0)?.parse()?,
                version: u64::try_from(row.try_get::<i64, _>(1)?)?,
                owner: row.try_get(2)?,
            })
        })
        .collect()
}

/// A query of the machines that match, in the order of their creation.
fn matching(select: &'static str, filter: &MachineFilter) -> Result<(String, AnyArguments), Fault> {
    let mut query = Text::new(select);
    query.among("system_id IN ", filter.ids.iter().map(SystemId::as_str))?;
    query.among("status IN ", filter.statuses.iter().map(|&status| status as i64))?;
    query.among("owner IN ", filter.owners.iter().map(|text| clean(text)))?;
    query.among(
        "hostname IN ",
        filter.hostnames.iter().map(|text| clean(text).to_ascii_lowercase()),
    )?;
    query.among("pool IN ", filter.pools.iter().map(|text| clean(text)))?;
    query.among("zone IN ", filter.zones.iter().map(|text| clean(text)))?;
    query.among("agent_name IN ", filter.agent_names.iter().map(|text| clean(text)))?;
    if !filter.architectures.is_empty() {
        query.and().push("(architecture IN ");
        query.list(filter.architectures.iter().map(|text| clean(text)))?;
        query.push(" OR arch IN ");
        query.list(filter.architectures.iter().map(|text| clean(text)))?;
        query.push(")");
    }
    if !filter.macs.is_empty() {
        query.and().push("system_id IN (SELECT system_id FROM machine_mac WHERE mac IN ");
        query.list(filter.macs.iter().map(|text| clean(text).to_ascii_lowercase()))?;
        query.push(")");
    }
    for tag in &filter.tags {
        query.and().push("system_id IN (SELECT system_id FROM machine_tag WHERE tag = ");
        query.bind(clean(tag))?.push(")");
    }
    query.push(" ORDER BY seq");
    Ok(query.into_parts())
}

/// Machines whose deadline has come.
pub(super) async fn past_deadline(
    pool: &AnyPool,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Machine>, Fault> {
    sqlx::query(
        "SELECT version, body FROM machine WHERE deadline <= $1 ORDER BY deadline, seq LIMIT $2",
    )
    .bind(now.0)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?
    .iter()
    .map(read)
    .collect()
}

/// An attachment of a machine.
pub(super) async fn attachment(
    pool: &AnyPool,
    id: &SystemId,
    attachment: Attachment,
) -> Result<Option<Secret<Vec<u8>>>, Fault> {
    let row = sqlx::query("SELECT bytes FROM attachment WHERE system_id = $1 AND name = $2")
        .bind(id.as_str())
        .bind(attachment.name())
        .fetch_optional(pool)
        .await?;
    Ok(row.map(|row| row.try_get(0).map(Secret::new)).transpose()?)
}

/// Adds a machine.
pub(super) async fn add(
    connection: &mut AnyConnection,
    new: NewMachine,
) -> Worked<Machine, AddError> {
    let NewMachine { mut machine, effects, records, outputs } = new;
    machine.version = 1;
    let order = documents::next_ids(connection, ORDER, 1).await?;
    let insert = sqlx::query(
        "INSERT INTO machine (system_id, hostname, status, owner, pool, zone, arch, architecture, \
         agent_name, hardware_uuid, token_key, deadline, body, seq, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1) \
         ON CONFLICT DO NOTHING",
    );
    let inserted = columns(insert, &machine)?.bind(number(order)).execute(&mut *connection).await?;
    if inserted.rows_affected() == 0 {
        return Ok(Err(present(connection, machine).await?.into()));
    }
    if let Err(duplicate) = addresses(connection, &machine).await? {
        return Ok(Err(duplicate.into()));
    }
    let now = machine.created;
    outbox::insert(connection, &machine.system_id, &effects, now).await?;
    append(connection, &machine.system_id, &records, &outputs).await?;
    Ok(Ok(machine))
}

/// What stood in the way of a machine that was not inserted.
async fn present(connection: &mut AnyConnection, machine: Machine) -> Result<Duplicate, Fault> {
    let same_id = sqlx::query(BY_ID)
        .bind(machine.system_id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    if same_id.is_some() {
        return Ok(Duplicate::SystemId { system_id: machine.system_id });
    }
    let same_token = sqlx::query(BY_TOKEN)
        .bind(clean(&machine.credentials.token_key))
        .fetch_optional(&mut *connection)
        .await?;
    if same_token.is_some() {
        return Err("another machine has the same token key".into());
    }
    Ok(Duplicate::Hostname { hostname: machine.hostname })
}

/// Commits a change of a machine.
pub(super) async fn commit(
    connection: &mut AnyConnection,
    change: Change,
) -> Worked<Machine, CommitError> {
    let Change { mut machine, now, effects, waiting_effects, records, outputs, plan, user_data } =
        change;
    let expected = machine.version;
    machine.version = expected.saturating_add(1);
    machine.updated = now;
    let update = sqlx::query(
        "UPDATE machine SET hostname = $2, status = $3, owner = $4, pool = $5, zone = $6, \
         arch = $7, architecture = $8, agent_name = $9, hardware_uuid = $10, token_key = $11, \
         deadline = $12, body = $13, version = version + 1 \
         WHERE system_id = $1 AND version = $14",
    );
    let update = columns(update, &machine)?.bind(number(expected)).execute(&mut *connection).await;
    match update {
        Ok(done) if done.rows_affected() == 1 => {}
        Ok(_) => return Ok(Err(missed(connection, machine.system_id, expected).await?)),
        Err(error) if names_hostname(&error) => {
            return Ok(Err(Duplicate::Hostname { hostname: machine.hostname }.into()));
        }
        Err(error) => return Err(error.into()),
    }
    if let Err(duplicate) = addresses(connection, &machine).await? {
        return Ok(Err(duplicate.into()));
    }
    let id = &machine.system_id;
    if waiting_effects == WaitingEffects::Supersede {
        sqlx::query("DELETE FROM effect WHERE system_id = $1")
            .bind(id.as_str())
            .execute(&mut *connection)
            .await?;
    }
    outbox::insert(connection, id, &effects, now).await?;
    append(connection, id, &records, &outputs).await?;
    attach(connection, id, Attachment::Plan, plan).await?;
    attach(connection, id, Attachment::UserData, user_data).await?;
    Ok(Ok(machine))
}

/// Deletes a machine in this version; everything that refers to it goes with it.
pub(super) async fn delete(
    connection: &mut AnyConnection,
    id: SystemId,
    version: u64,
) -> Worked<(), CommitError> {
    let deleted = sqlx::query("DELETE FROM machine WHERE system_id = $1 AND version = $2")
        .bind(id.as_str())
        .bind(number(version))
        .execute(&mut *connection)
        .await?;
    if deleted.rows_affected() == 0 {
        return Ok(Err(missed(connection, id, version).await?));
    }
    Ok(Ok(()))
}

/// Why no row had this id and version.
async fn missed(
    connection: &mut AnyConnection,
    system_id: SystemId,
    expected: u64,
) -> Result<CommitError, Fault> {
    let present = sqlx::query("SELECT version FROM machine WHERE system_id = $1")
        .bind(system_id.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(match present {
        Some(_) => CommitError::Conflict { system_id, expected },
        None => CommitError::Gone { system_id },
    })
}

/// Whether a statement failed because of the unique host name: SQLite names the column,
/// PostgreSQL the index.
fn names_hostname(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation() && error.message().contains("hostname"))
}

/// Binds `$1` to `$13`.
fn columns<'q>(
    query: Query<'q, Any, AnyArguments>,
    machine: &Machine,
) -> Result<Query<'q, Any, AnyArguments>, Fault> {
    Ok(query
        .bind(machine.system_id.as_str().to_owned())
        .bind(clean(&machine.hostname).to_ascii_lowercase())
        .bind(machine.status as i64)
        .bind(machine.owner.as_deref().map(clean))
        .bind(clean(&machine.pool))
        .bind(clean(&machine.zone))
        .bind(clean(&machine.architecture.arch))
        .bind(clean(&architecture(machine)))
        .bind(clean(&machine.agent_name))
        .bind(machine.hardware_uuid.as_deref().map(|uuid| clean(uuid).to_ascii_lowercase()))
        .bind(clean(&machine.credentials.token_key))
        .bind(machine.deadline.as_ref().map(|deadline| deadline.at.0))
        .bind(serde_json::to_string(machine)?))
}

/// Makes the rows of MAC addresses and tags those of the machine.
async fn addresses(
    connection: &mut AnyConnection,
    machine: &Machine,
) -> Result<Result<(), Duplicate>, Fault> {
    let id = machine.system_id.as_str();
    let rows = sqlx::query(
        "SELECT 0, mac FROM machine_mac WHERE system_id = $1 \
         UNION ALL SELECT 1, tag FROM machine_tag WHERE system_id = $1",
    )
    .bind(id)
    .fetch_all(&mut *connection)
    .await?;
    let (mut old_macs, mut old_tags) = (BTreeSet::new(), BTreeSet::new());
    for row in &rows {
        let old = if row.try_get::<i64, _>(0)? == 0 { &mut old_macs } else { &mut old_tags };
        old.insert(row.try_get::<String, _>(1)?);
    }
    let macs: BTreeSet<String> =
        machine.mac_addresses.iter().map(|mac| clean(mac).to_ascii_lowercase()).collect();
    let tags: BTreeSet<String> = machine.tags.iter().map(|tag| clean(tag)).collect();
    for tag in old_tags.difference(&tags) {
        sqlx::query("DELETE FROM machine_tag WHERE tag = $1 AND system_id = $2")
            .bind(tag.as_str())
            .bind(id)
            .execute(&mut *connection)
            .await?;
    }
    for tag in tags.difference(&old_tags) {
        sqlx::query("INSERT INTO machine_tag (tag, system_id) VALUES ($1, $2)")
            .bind(tag.as_str())
            .bind(id)
            .execute(&mut *connection)
            .await?;
    }
    // In one order for all, so that two machines that trade addresses never wait for each other.
    for mac in macs.symmetric_difference(&old_macs) {
        if old_macs.contains(mac) {
            sqlx::query("DELETE FROM machine_mac WHERE mac = $1")
                .bind(mac.as_str())
                .execute(&mut *connection)
                .await?;
        } else if let Some(machine) = claim_mac(connection, mac, id).await? {
            return Ok(Err(Duplicate::Mac { mac: mac.clone(), machine }));
        }
    }
    Ok(Ok(()))
}

/// Gives a MAC address to a machine, unless another has it.
async fn claim_mac(
    connection: &mut AnyConnection,
    mac: &str,
    id: &str,
) -> Result<Option<SystemId>, Fault> {
    loop {
        let inserted = sqlx::query(
            "INSERT INTO machine_mac (mac, system_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(mac)
        .bind(id)
        .execute(&mut *connection)
        .await?;
        if inserted.rows_affected() > 0 {
            return Ok(None);
        }
        let row = sqlx::query("SELECT system_id FROM machine_mac WHERE mac = $1")
            .bind(mac)
            .fetch_optional(&mut *connection)
            .await?;
        // On PostgreSQL its owner may have given it up between the two statements.
        if let Some(row) = row {
            return Ok(Some(row.try_get::<&str, _>(0)?.parse()?));
        }
    }
}

/// Adds history and outputs.
async fn append(
    connection: &mut AnyConnection,
    id: &SystemId,
    records: &[Record],
    outputs: &[ScriptOutput],
) -> Result<(), Fault> {
    for record in records {
        history::insert_record(connection, id, record).await?;
    }
    for output in outputs {
        history::put_output(connection, id, output).await?;
    }
    Ok(())
}

async fn attach(
    connection: &mut AnyConnection,
    id: &SystemId,
    attachment: Attachment,
    change: AttachmentChange,
) -> Result<(), Fault> {
    let query = match change {
        AttachmentChange::Keep => return Ok(()),
        AttachmentChange::Set(bytes) => sqlx::query(
            "INSERT INTO attachment (system_id, name, bytes) VALUES ($1, $2, $3) \
             ON CONFLICT (system_id, name) DO UPDATE SET bytes = excluded.bytes",
        )
        .bind(id.as_str())
        .bind(attachment.name())
        .bind(bytes.into_inner()),
        AttachmentChange::Clear => {
            sqlx::query("DELETE FROM attachment WHERE system_id = $1 AND name = $2")
                .bind(id.as_str())
                .bind(attachment.name())
        }
    };
    query.execute(connection).await?;
    Ok(())
}

/// A machine from `version, body`.
fn read(row: &AnyRow) -> Result<Machine, Fault> {
    let mut machine: Machine = serde_json::from_str(row.try_get(1)?)?;
    // One that was stored before interfaces were kept.
    machine.ensure_interfaces(&NetworkFacts::default());
    machine.version = u64::try_from(row.try_get::<i64, _>(0)?)?;
    Ok(machine)
}
