//! Machines: one row with the columns that are searched and how far it is, one with the whole
//! machine as JSON.

use std::collections::BTreeSet;
use std::sync::Arc;

use maas_core::id::SystemId;
use maas_core::machine::{Machine, Record};
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

use super::db::{Connection, DbError, Pool, Query, Row, Value, query};
use super::recent::{Known, Recent};
use super::text::{Text, clean, lower, number};
use super::{Fault, Worked, documents, history, outbox};
use crate::store::change::{
    Attachment, AttachmentChange, Change, NewMachine, ScriptOutput, WaitingEffects,
};
use crate::store::error::{AddError, CommitError, Duplicate};
use crate::store::filter::{MachineFilter, MachineHead, architecture};
use crate::store::packed::{PackedMachine, Stored};
use crate::store::progress::Progress;

/// The kind of the numbers that keep machines in the order of their creation.
const ORDER: &str = "machine";

/// The columns of [`read`] and the machine's number; the JSON only unless it is the version of the
/// machine that is known already: reading that is most of the work.
macro_rules! known {
    () => {
        "SELECT m.version, CASE WHEN m.seq = $2 AND m.version = $3 THEN NULL \
         ELSE (SELECT b.body FROM machine_body b WHERE b.system_id = m.system_id) END, \
         m.progress, m.seq"
    };
}

/// What one machine may be found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum By {
    Id,
    Token,
    Mac,
    Uuid,
}

impl By {
    const fn sql(self) -> &'static str {
        match self {
            Self::Id => concat!(known!(), " FROM machine m WHERE m.system_id = $1"),
            Self::Token => concat!(known!(), " FROM machine m WHERE m.token_key = $1"),
            Self::Mac => concat!(
                known!(),
                " FROM machine_mac a JOIN machine m ON m.system_id = a.system_id WHERE a.mac = $1"
            ),
            Self::Uuid => concat!(
                known!(),
                " FROM machine m WHERE m.hardware_uuid = $1 ORDER BY m.seq LIMIT 1"
            ),
        }
    }
}

/// The machine that `value` names.
pub(super) async fn find(
    pool: &Pool,
    recent: &Recent,
    by: By,
    value: &str,
) -> Result<Option<Arc<Machine>>, Fault> {
    let value = match by {
        By::Id | By::Token => clean(value),
        By::Mac | By::Uuid => lower(value),
    };
    let known = recent.known(by, &value);
    // No machine has the number 0: they are never given twice, unlike identifiers and versions.
    let (order, version) = known.as_ref().map_or((0, 0), |known| (known.order, known.version()));
    let row = query(by.sql())
        .bind(value.as_ref())
        .bind(order)
        .bind(number(version))
        .fetch_optional(pool)
        .await?;
    let Some(row) = row else { return Ok(None) };
    if row.try_get::<Option<&str>>(1)?.is_none() {
        return Ok(known.map(|known| known.machine));
    }
    let known = Known { order: row.try_get(3)?, machine: Arc::new(read(&row)?) };
    recent.keep(by, &value, &known);
    recent.keep(By::Id, known.machine.system_id.as_str(), &known);
    Ok(Some(known.machine))
}

/// Remembers a machine as it was just committed, if it was known before.
pub(super) fn remember(recent: &Recent, machine: &Arc<Machine>) {
    let id = machine.system_id.as_str();
    if let Some(known) = recent.known(By::Id, id) {
        let known = Known { order: known.order, machine: Arc::clone(machine) };
        recent.keep(By::Id, id, &known);
        recent.keep(By::Token, &clean(&machine.credentials.token_key), &known);
    }
}

/// The machines that match.
pub(super) async fn list(pool: &Pool, filter: &MachineFilter) -> Result<Vec<Machine>, Fault> {
    matching(
        "SELECT version, body, progress FROM machine JOIN machine_body USING (system_id)",
        filter,
    )
    .fetch(pool, read)
    .await
}

/// The machines that match, unread.
pub(super) async fn packed(
    pool: &Pool,
    filter: &MachineFilter,
) -> Result<Vec<PackedMachine>, Fault> {
    let read = |row: &Row| {
        let stored = Stored {
            version: u64::try_from(row.try_get::<i64>(0)?)?,
            body: row.try_get(1)?,
            progress: row.try_get(2)?,
        };
        Ok(PackedMachine::stored(row.try_get::<&str>(3)?.parse()?, stored))
    };
    let select = "SELECT version, body, progress, system_id \
                  FROM machine JOIN machine_body USING (system_id)";
    matching(select, filter).fetch(pool, read).await
}

/// Ids, versions and owners of the machines that match.
pub(super) async fn heads(pool: &Pool, filter: &MachineFilter) -> Result<Vec<MachineHead>, Fault> {
    let read = |row: &Row| {
        Ok(MachineHead {
            system_id: row.try_get::<&str>(0)?.parse()?,
            version: u64::try_from(row.try_get::<i64>(1)?)?,
            owner: row.try_get(2)?,
        })
    };
    matching("SELECT system_id, version, owner FROM machine", filter).fetch(pool, read).await
}

/// A query of the machines that match, in the order of their creation.
fn matching<'q>(select: &'static str, filter: &'q MachineFilter) -> Text<'q> {
    let mut query = Text::new(select);
    query.among("system_id IN ", filter.ids.iter().map(SystemId::as_str));
    query.among("status IN ", filter.statuses.iter().map(|&status| status as i64));
    query.among("owner IN ", filter.owners.iter().map(|text| clean(text)));
    query.among("hostname IN ", filter.hostnames.iter().map(|text| lower(text)));
    query.among("pool IN ", filter.pools.iter().map(|text| clean(text)));
    query.among("zone IN ", filter.zones.iter().map(|text| clean(text)));
    query.among("agent_name IN ", filter.agent_names.iter().map(|text| clean(text)));
    if !filter.architectures.is_empty() {
        query.and().push("(architecture IN ");
        query.list(filter.architectures.iter().map(|text| clean(text)));
        query.push(" OR arch IN ");
        query.list(filter.architectures.iter().map(|text| clean(text)));
        query.push(")");
    }
    if !filter.macs.is_empty() {
        query.and().push("system_id IN (SELECT system_id FROM machine_mac WHERE mac IN ");
        query.list(filter.macs.iter().map(|text| lower(text)));
        query.push(")");
    }
    for tag in &filter.tags {
        query.and().push("system_id IN (SELECT system_id FROM machine_tag WHERE tag = ");
        query.bind(clean(tag)).push(")");
    }
    query.push(" ORDER BY seq");
    query
}

/// Machines whose deadline has come.
pub(super) async fn past_deadline(
    pool: &Pool,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Machine>, Fault> {
    query(
        "SELECT version, body, progress FROM machine JOIN machine_body USING (system_id) \
         WHERE deadline <= $1 ORDER BY deadline, seq LIMIT $2",
    )
    .bind(now.0)
    .bind(i64::from(limit))
    .read_all(pool, read)
    .await
}

/// An attachment of a machine.
pub(super) async fn attachment(
    pool: &Pool,
    id: &SystemId,
    attachment: Attachment,
) -> Result<Option<Secret<Vec<u8>>>, Fault> {
    query("SELECT bytes FROM attachment WHERE system_id = $1 AND name = $2")
        .bind(id.as_str())
        .bind(attachment.name())
        .read_one(pool, |row| row.try_get(0).map(Secret::new))
        .await
}

/// Adds a machine.
pub(super) async fn add(connection: &mut Connection, new: NewMachine) -> Worked<Machine, AddError> {
    let NewMachine { mut machine, effects, records, outputs } = new;
    machine.version = 1;
    let order = documents::next_ids(connection, ORDER, 1).await?;
    let insert = query(
        "INSERT INTO machine (system_id, hostname, status, owner, pool, zone, arch, architecture, \
         agent_name, hardware_uuid, token_key, deadline, seq, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1) \
         ON CONFLICT DO NOTHING",
    );
    let inserted = columns(insert, &machine).bind(number(order)).execute(&mut *connection).await?;
    if inserted == 0 {
        return Ok(Err(present(connection, machine).await?.into()));
    }
    query("INSERT INTO machine_body (system_id, body) VALUES ($1, $2)")
        .bind(machine.system_id.as_str())
        .bind(serde_json::to_string(&machine)?)
        .execute(&mut *connection)
        .await?;
    if let Err(duplicate) = addresses(connection, &machine).await? {
        return Ok(Err(duplicate.into()));
    }
    let now = machine.created;
    outbox::insert(connection, &machine.system_id, &effects, now).await?;
    append(connection, &machine.system_id, &records, &outputs).await?;
    Ok(Ok(machine))
}

/// What stood in the way of a machine that was not inserted.
async fn present(connection: &mut Connection, machine: Machine) -> Result<Duplicate, Fault> {
    let same_id = query("SELECT 1 FROM machine WHERE system_id = $1")
        .bind(machine.system_id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    if same_id.is_some() {
        return Ok(Duplicate::SystemId { system_id: machine.system_id });
    }
    let same_token = query("SELECT 1 FROM machine WHERE token_key = $1")
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
    connection: &mut Connection,
    change: Change,
) -> Worked<Machine, CommitError> {
    let Change {
        mut machine,
        loaded,
        now,
        effects,
        waiting_effects,
        records,
        outputs,
        reports,
        plan,
        user_data,
    } = change;
    let expected = machine.version;
    // The row is the one that was loaded, or the version is not the same.
    let loaded = loaded.filter(|loaded| loaded.version == expected);
    let only_progressed =
        loaded.as_ref().is_some_and(|loaded| Progress::is_all_that_changed(loaded, &mut machine));
    machine.version = expected.saturating_add(1);
    machine.updated = now;
    let progress = if only_progressed {
        serde_json::to_string(&Progress::of(&machine))?
    } else {
        String::new()
    };
    let update = if only_progressed
        || loaded.as_ref().is_some_and(|loaded| searched(loaded) == searched(&machine))
    {
        query(
            "UPDATE machine SET deadline = $2, progress = $3, version = version + 1 \
             WHERE system_id = $1 AND version = $4",
        )
        .bind(machine.system_id.as_str())
        .bind(deadline(&machine))
    } else {
        let update = query(
            "UPDATE machine SET hostname = $2, status = $3, owner = $4, pool = $5, zone = $6, \
             arch = $7, architecture = $8, agent_name = $9, hardware_uuid = $10, token_key = $11, \
             deadline = $12, progress = $13, version = version + 1 \
             WHERE system_id = $1 AND version = $14",
        );
        columns(update, &machine)
    };
    match update.bind(progress).bind(number(expected)).execute(&mut *connection).await {
        Ok(1) => {}
        Ok(_) => return Ok(Err(missed(connection, machine.system_id, expected).await?)),
        Err(error) if names_hostname(&error) => {
            return Ok(Err(Duplicate::Hostname { hostname: machine.hostname }.into()));
        }
        Err(error) => return Err(error.into()),
    }
    if !only_progressed {
        query("UPDATE machine_body SET body = $2 WHERE system_id = $1")
            .bind(machine.system_id.as_str())
            .bind(serde_json::to_string(&machine)?)
            .execute(&mut *connection)
            .await?;
    }
    let same_addresses = loaded.is_some_and(|loaded| {
        loaded.mac_addresses == machine.mac_addresses && loaded.tags == machine.tags
    });
    if !same_addresses && let Err(duplicate) = addresses(connection, &machine).await? {
        return Ok(Err(duplicate.into()));
    }
    let id = &machine.system_id;
    if waiting_effects == WaitingEffects::Supersede {
        query("DELETE FROM effect WHERE system_id = $1")
            .bind(id.as_str())
            .execute(&mut *connection)
            .await?;
    }
    outbox::insert(connection, id, &effects, now).await?;
    append(connection, id, &records, &outputs).await?;
    for report in &reports {
        history::put_report(connection, id, report).await?;
    }
    attach(connection, id, Attachment::Plan, plan).await?;
    attach(connection, id, Attachment::UserData, user_data).await?;
    Ok(Ok(machine))
}

/// Deletes a machine in this version; everything that refers to it goes with it.
pub(super) async fn delete(
    connection: &mut Connection,
    id: SystemId,
    version: u64,
) -> Worked<(), CommitError> {
    let deleted = query("DELETE FROM machine WHERE system_id = $1 AND version = $2")
        .bind(id.as_str())
        .bind(number(version))
        .execute(&mut *connection)
        .await?;
    if deleted == 0 {
        return Ok(Err(missed(connection, id, version).await?));
    }
    Ok(Ok(()))
}

/// Why no row had this id and version.
async fn missed(
    connection: &mut Connection,
    system_id: SystemId,
    expected: u64,
) -> Result<CommitError, Fault> {
    let present = query("SELECT version FROM machine WHERE system_id = $1")
        .bind(system_id.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(match present {
        Some(_) => CommitError::Conflict { system_id, expected },
        None => CommitError::Gone { system_id },
    })
}

/// Whether a statement failed because of the unique host name.
fn names_hostname(error: &DbError) -> bool {
    error.unique_violation().is_some_and(|sentence| sentence.contains("hostname"))
}

/// What stands in `hostname` to `token_key`, in their order: machines are searched by it.
fn searched(machine: &Machine) -> [Value<'_>; 10] {
    [
        lower(&machine.hostname).into(),
        (machine.status as i64).into(),
        machine.owner.as_deref().map(clean).into(),
        clean(&machine.pool).into(),
        clean(&machine.zone).into(),
        clean(&machine.architecture.arch).into(),
        clean(&architecture(machine)).into_owned().into(),
        clean(&machine.agent_name).into(),
        machine.hardware_uuid.as_deref().map(lower).into(),
        clean(&machine.credentials.token_key).into(),
    ]
}

/// Binds `$1` to `$12`.
fn columns<'q>(query: Query<'q>, machine: &'q Machine) -> Query<'q> {
    let query = query.bind(machine.system_id.as_str());
    let query = searched(machine).into_iter().fold(query, Query::bind);
    query.bind(deadline(machine))
}

fn deadline(machine: &Machine) -> Option<i64> {
    machine.deadline.as_ref().map(|deadline| deadline.at.0)
}

/// Makes the rows of MAC addresses and tags those of the machine.
async fn addresses(
    connection: &mut Connection,
    machine: &Machine,
) -> Result<Result<(), Duplicate>, Fault> {
    let id = machine.system_id.as_str();
    let rows = query(
        "SELECT CAST(0 AS BIGINT), mac FROM machine_mac WHERE system_id = $1 \
         UNION ALL SELECT CAST(1 AS BIGINT), tag FROM machine_tag WHERE system_id = $1",
    )
    .bind(id)
    .fetch_all(&mut *connection)
    .await?;
    let (mut old_macs, mut old_tags) = (BTreeSet::new(), BTreeSet::new());
    for row in &rows {
        let old = if row.try_get::<i64>(0)? == 0 { &mut old_macs } else { &mut old_tags };
        old.insert(row.try_get::<String>(1)?);
    }
    let macs: BTreeSet<String> =
        machine.mac_addresses.iter().map(|mac| lower(mac).into_owned()).collect();
    let tags: BTreeSet<String> = machine.tags.iter().map(|tag| clean(tag).into_owned()).collect();
    for tag in old_tags.difference(&tags) {
        query("DELETE FROM machine_tag WHERE tag = $1 AND system_id = $2")
            .bind(tag.as_str())
            .bind(id)
            .execute(&mut *connection)
            .await?;
    }
    for tag in tags.difference(&old_tags) {
        query("INSERT INTO machine_tag (tag, system_id) VALUES ($1, $2)")
            .bind(tag.as_str())
            .bind(id)
            .execute(&mut *connection)
            .await?;
    }
    // In one order for all, so that two machines that trade addresses never wait for each other.
    for mac in macs.symmetric_difference(&old_macs) {
        if old_macs.contains(mac) {
            query("DELETE FROM machine_mac WHERE mac = $1")
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
    connection: &mut Connection,
    mac: &str,
    id: &str,
) -> Result<Option<SystemId>, Fault> {
    loop {
        let inserted = query(
            "INSERT INTO machine_mac (mac, system_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(mac)
        .bind(id)
        .execute(&mut *connection)
        .await?;
        if inserted > 0 {
            return Ok(None);
        }
        let row = query("SELECT system_id FROM machine_mac WHERE mac = $1")
            .bind(mac)
            .fetch_optional(&mut *connection)
            .await?;
        // On PostgreSQL its owner may have given it up between the two statements.
        if let Some(row) = row {
            return Ok(Some(row.try_get::<&str>(0)?.parse()?));
        }
    }
}

/// Adds history and outputs.
async fn append(
    connection: &mut Connection,
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
    connection: &mut Connection,
    id: &SystemId,
    attachment: Attachment,
    change: AttachmentChange,
) -> Result<(), Fault> {
    let query = match change {
        AttachmentChange::Keep => return Ok(()),
        AttachmentChange::Set(bytes) => query(
            "INSERT INTO attachment (system_id, name, bytes) VALUES ($1, $2, $3) \
             ON CONFLICT (system_id, name) DO UPDATE SET bytes = excluded.bytes",
        )
        .bind(id.as_str())
        .bind(attachment.name())
        .bind(bytes.into_inner()),
        AttachmentChange::Clear => {
            query("DELETE FROM attachment WHERE system_id = $1 AND name = $2")
                .bind(id.as_str())
                .bind(attachment.name())
        }
    };
    query.execute(connection).await?;
    Ok(())
}

/// A machine from `version, body, progress`.
fn read(row: &Row) -> Result<Machine, Fault> {
    let version = u64::try_from(row.try_get::<i64>(0)?)?;
    let (body, progress) = (row.try_get::<&str>(1)?, row.try_get::<&str>(2)?);
    Ok(Stored { version, body, progress }.read()?)
}
