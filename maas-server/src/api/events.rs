//! The machines' history.

use std::sync::Arc;

use maas_core::id::SystemId;
use maas_core::machine::{Level, Machine};
use serde_json::{Value, json};

use super::dates;
use crate::http::{FieldError, Operation, Param, Problem, Reply, Request, get};
use crate::region::Region;
use crate::store::{MachineFilter, RecordFilter, StoredRecord};

/// The largest page.
const LARGEST: u32 = 1000;
/// The most events that can be left out; `before` reaches all of them.
const MOST_LEFT_OUT: usize = 100_000;

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("EventsHandler", "/MAAS/api/2.0/events/", "The newest events.", query)
            .op("query")
            .params(&[
                Param::repeated("hostname", "Of machines with one of these names."),
                Param::repeated("mac_address", "Of machines with one of these MAC addresses."),
                Param::repeated("id", "Of machines with one of these system ids."),
                Param::repeated("zone", "Of machines in one of these zones."),
                Param::optional("agent_name", "Of machines with this agent name."),
                Param::optional("level", "DEBUG, INFO (default), WARNING, ERROR or CRITICAL."),
                Param::optional("limit", "How many, 100 unless told, at most 1000."),
                Param::optional("before", "Only older than this event."),
                Param::optional("after", "Only newer than this event."),
                Param::optional("owner", "Only caused by this user."),
                Param::optional("offset", "How many are left out at the beginning; an extension."),
                Param::repeated("fields", "Only these keys of each event; an extension."),
            ]),
    ]
}

async fn query(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let limit = fields.number::<u32>("limit")?.unwrap_or(100);
    if limit > LARGEST {
        return Err(Problem::bad_request(format!(
            "Requested number of events {limit} is greater than limit: {LARGEST}"
        )));
    }
    let offset = fields.number::<usize>("offset")?.unwrap_or(0);
    if offset > MOST_LEFT_OUT {
        return Err(Problem::field("offset", "At most 100000 events can be left out."));
    }
    let words = |name| -> Result<Vec<String>, FieldError> {
        Ok(fields.words(name)?.into_iter().map(str::to_owned).collect())
    };
    let filter = MachineFilter {
        hostnames: words("hostname")?,
        macs: words("mac_address")?.into_iter().map(super::machines::mac_or_no_machines).collect(),
        ids: words("id")?.iter().filter_map(|id| id.parse().ok()).collect(),
        zones: words("zone")?,
        agent_names: words("agent_name")?,
        ..MachineFilter::all()
    };
    let wanted_ids = !words("id")?.is_empty();
    let machines = region.store.machines(&filter).await.map_err(Problem::internal)?;
    let narrowed = filter != MachineFilter::all() || wanted_ids;
    let actor = super::actor(&request)?;
    let visible: Vec<Machine> = machines
        .into_iter()
        .filter(|machine| {
            maas_core::machine::permission::allows(
                &actor,
                machine,
                maas_core::machine::permission::Permission::View,
            )
        })
        .collect();
    let records = if visible.is_empty() || (wanted_ids && filter.ids.is_empty()) {
        Vec::new()
    } else {
        let all = !narrowed && actor.role == maas_core::machine::Role::Admin;
        let filter = RecordFilter {
            machines: if all {
                Vec::new()
            } else {
                visible.iter().map(|machine| machine.system_id.clone()).collect()
            },
            levels: levels(fields.filled("level")?.unwrap_or("INFO"))?,
            usernames: words("owner")?,
            before: fields.number("before")?,
            after: fields.number("after")?,
            limit: limit.saturating_add(u32::try_from(offset).unwrap_or(LARGEST)),
        };
        let mut records = region.store.records(&filter).await.map_err(Problem::internal)?;
        records.drain(..offset.min(records.len()));
        records
    };
    let shown = words("fields")?;
    let views: Vec<Value> = records
        .iter()
        .map(|record| {
            let view = view(record, &visible);
            if shown.is_empty() { view } else { super::list::only(view, &shown) }
        })
        .collect();
    let newest = records.first().map_or(0, |record| record.id);
    let oldest = records.last().map_or(0, |record| record.id);
    let page =
        |word: &str, id: u64| format!("/MAAS/api/2.0/events/?op=query&limit={limit}&{word}={id}");
    Reply::json(&json!({
        "count": views.len(), "events": views,
        "next_uri": page("after", newest), "prev_uri": page("before", oldest),
    }))
}

/// The levels from this one upwards.
fn levels(lowest: &str) -> Result<Vec<Level>, Problem> {
    let lowest = match lowest.to_ascii_uppercase().as_str() {
        "DEBUG" => Level::Debug,
        "INFO" | "AUDIT" => Level::Info,
        "WARNING" => Level::Warning,
        "ERROR" | "CRITICAL" => Level::Error,
        other => {
            let other: String = other.chars().take(32).collect();
            return Err(Problem::bad_request(format!("Unrecognised log level: {other}")));
        }
    };
    let all = [Level::Debug, Level::Info, Level::Warning, Level::Error];
    Ok(all.into_iter().filter(|level| *level >= lowest).collect())
}

fn view(stored: &StoredRecord, machines: &[Machine]) -> Value {
    let record = &stored.record;
    let of: &SystemId = &stored.system_id;
    let machine = machines.iter().find(|machine| machine.system_id == *of);
    json!({
        "id": stored.id, "node": of, "hostname": machine.map_or("", |machine| &machine.hostname),
        "username": record.username, "level": record.level, "type": record.kind,
        "created": dates::event(record.at), "description": record.description,
    })
}
