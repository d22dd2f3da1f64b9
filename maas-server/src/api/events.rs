//! The machines' history.

use std::collections::BTreeSet;
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
    let nothing = wanted_ids && filter.ids.is_empty();
    let everything = filter == MachineFilter::all() && request.caller().is_admin();
    let actor = super::actor(&request)?;
    // Of whom: nobody in particular when an administrator asks for all.
    let mut machines = Vec::new();
    if !everything && !nothing {
        let mut heads = region.store.machine_heads(&filter).await.map_err(Problem::internal)?;
        heads.retain(|head| super::list::may_see(&actor, head));
        machines.extend(heads.into_iter().map(|head| head.system_id));
    }
    let levels = levels(fields.filled("level")?.unwrap_or("INFO"))?;
    let records = if !everything && machines.is_empty() {
        Vec::new()
    } else {
        let filter = RecordFilter {
            machines,
            levels,
            usernames: words("owner")?,
            before: fields.number("before")?,
            after: fields.number("after")?,
            limit: limit.saturating_add(u32::try_from(offset).unwrap_or(LARGEST)),
        };
        let mut records = region.store.records(&filter).await.map_err(Problem::internal)?;
        records.drain(..offset.min(records.len()));
        records
    };
    let named: BTreeSet<&SystemId> = records.iter().map(|record| &record.system_id).collect();
    let named = MachineFilter { ids: named.into_iter().cloned().collect(), ..Default::default() };
    let visible = if named.ids.is_empty() {
        Vec::new()
    } else {
        region.store.machines(&named).await.map_err(Problem::internal)?
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
    // The pages before and after ask the same question.
    let mut kept = form_urlencoded::Serializer::new(String::new());
    for name in ["hostname", "mac_address", "id", "zone", "agent_name", "level", "owner", "fields"]
    {
        for text in fields.texts(name)? {
            kept.append_pair(name, text);
        }
    }
    let kept = kept.finish();
    let kept = if kept.is_empty() { kept } else { format!("&{kept}") };
    let page = |word: &str, id: u64| {
        format!("/MAAS/api/2.0/events/?op=query&limit={limit}{kept}&{word}={id}")
    };
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
