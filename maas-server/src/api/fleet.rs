//! Commands to several machines at once.

use std::sync::Arc;

use maas_core::machine::permission::{Permission, allows};
use maas_core::machine::{Machine, Status};
use serde_json::{Map, Value};

use super::machines::MACHINES;
use super::view::json::Json;
use super::{actor, zones};
use crate::http::{Access, Operation, Param, Problem, Reply, Request, get, post};
use crate::places::Catalogue;
use crate::problems::applied;
use crate::region::{ApplyError, Extras, Region};
use crate::store::MachineFilter;

pub(super) fn operations() -> Vec<Operation<Region>> {
    let machines = Param::repeated("machines", "System ids.");
    vec![
        post("MachinesHandler", MACHINES, "Commissions machines that enlisted.", accept)
            .op("accept")
            .access(Access::Admin)
            .params(&[machines]),
        post("MachinesHandler", MACHINES, "Commissions every machine that is New.", accept_all)
            .op("accept_all")
            .access(Access::Admin),
        post("MachinesHandler", MACHINES, "Puts machines into a zone.", set_zone)
            .op("set_zone")
            .access(Access::Admin)
            .params(&[
                Param::repeated("nodes", "System ids."),
                Param::required("zone", "The zone's name."),
            ]),
        post("MachinesHandler", MACHINES, "Copies one machine's configuration to others.", clone)
            .op("clone")
            .access(Access::Admin)
            .params(&[
                Param::required("source", "The machine that is copied from."),
                Param::repeated("destinations", "Machines that are Ready or failed testing."),
                Param::optional("storage", "Whether the storage layout is copied."),
                Param::optional("interfaces", "Whether the network is copied."),
            ]),
        post(
            "MachinesHandler",
            MACHINES,
            "Adds the machines of a chassis; not supported.",
            chassis,
        )
        .op("add_chassis")
        .access(Access::Admin),
        get("MachinesHandler", MACHINES, "Parameters of the power drivers, by machine.", power)
            .op("power_parameters")
            .access(Access::Admin)
            .params(&[Param::repeated("id", "System ids; all machines unless given.")]),
    ]
}

/// The machines of these ids; an unknown one is named, all unknown ones at once.
async fn named(region: &Region, request: &Request, ids: &[&str]) -> Result<Vec<Machine>, Problem> {
    let parsed: Vec<_> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    let machines = if parsed.is_empty() {
        Vec::new()
    } else {
        let filter = MachineFilter { ids: parsed, ..MachineFilter::all() };
        region.store.machines(&filter).await.map_err(Problem::internal)?
    };
    let unknown: Vec<&str> = ids
        .iter()
        .copied()
        .filter(|id| !machines.iter().any(|machine| machine.system_id.as_str() == *id))
        .collect();
    if !unknown.is_empty() {
        return Err(Problem::bad_request(format!("Unknown machine(s): {}.", unknown.join(", "))));
    }
    let actor = actor(request)?;
    let locked: Vec<&str> = machines
        .iter()
        .filter(|machine| !allows(&actor, machine, Permission::Admin))
        .map(|machine| machine.system_id.as_str())
        .collect();
    if !locked.is_empty() {
        return Err(Problem::Forbidden(format!(
            "You don't have the required permission on the following machine(s): {}.",
            locked.join(", ")
        )));
    }
    Ok(machines)
}

async fn accept(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let ids = request.fields().words("machines")?;
    let machines = named(&region, &request, &ids).await?;
    let may = [Status::New, Status::Commissioning, Status::Ready];
    if let Some(machine) = machines.iter().find(|machine| !may.contains(&machine.status)) {
        return Err(Problem::Conflict(format!(
            "Cannot accept machine {}: it is in the '{}' state.",
            machine.system_id,
            machine.status.display_name()
        )));
    }
    commission(&region, &request, machines).await
}

async fn accept_all(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let filter = MachineFilter { statuses: vec![Status::New], ..MachineFilter::all() };
    let mut machines = region.store.machines(&filter).await.map_err(Problem::internal)?;
    // One that cannot be switched on does not keep the others from it.
    machines.retain(|machine| !machine.locked && !machine.power.driver.is_empty());
    commission(&region, &request, machines).await
}

async fn commission(
    region: &Region,
    request: &Request,
    machines: Vec<Machine>,
) -> Result<Reply, Problem> {
    let catalogue = Catalogue::load(region).await?;
    let mut accepted = Vec::new();
    for machine in machines.into_iter().filter(|machine| machine.status == Status::New) {
        let event = super::actions::commission_event(region, &machine, request).await?;
        let result = region.apply(&machine.system_id, &event, Extras::default()).await;
        accepted.push(catalogue.write(&*applied(result)?).end());
    }
    Ok(Reply::json_bytes(Json::list(&accepted).into_bytes()))
}

async fn set_zone(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let zone = fields.required("zone")?;
    zones::check(&region, Some(zone), None).await?;
    for machine in named(&region, &request, &fields.words("nodes")?).await? {
        region
            .edit::<ApplyError>(&machine.system_id, |machine| {
                zone.clone_into(&mut machine.zone);
                Ok(Vec::new())
            })
            .await?;
    }
    Ok(Reply::ok())
}

async fn clone(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let fields = request.fields();
    let source = fields.required("source")?;
    let destinations = fields.words("destinations")?;
    let storage = fields.flag("storage")?.unwrap_or(false);
    let interfaces = fields.flag("interfaces")?.unwrap_or(false);
    if !storage && !interfaces {
        return Err(Problem::field("__all__", "Either storage or interfaces must be true."));
    }
    if destinations.is_empty() {
        return Err(Problem::field("destinations", "This field is required."));
    }
    let source = named(&region, &request, &[source]).await?.remove(0);
    let destinations = named(&region, &request, &destinations).await?;
    let mut copies = Vec::new();
    for destination in &destinations {
        copies.push(
            copy(&source, destination, storage, interfaces)
                .map_err(|reason| Problem::field("destinations", reason))?,
        );
    }
    for (destination, copied) in destinations.iter().zip(copies) {
        region
            .edit::<ApplyError>(&destination.system_id, |machine| {
                if storage {
                    machine.configuration.storage.clone_from(&copied.storage);
                }
                if interfaces {
                    machine.configuration.network.clone_from(&copied.network);
                }
                Ok(Vec::new())
            })
            .await?;
    }
    Ok(Reply::no_content())
}

/// What the destination's configuration becomes; what does not fit its hardware is refused before
/// any machine is changed.
fn copy(
    source: &Machine,
    destination: &Machine,
    storage: bool,
    interfaces: bool,
) -> Result<maas_core::deploy::Configuration, String> {
    let id = &destination.system_id;
    if source.system_id == *id {
        return Err(format!("Source machine {id} cannot be a destination machine."));
    }
    if !matches!(destination.status, Status::Ready | Status::FailedTesting) {
        return Err(format!("Machine {id} is not Ready or Failed testing."));
    }
    let (from, to) = (&source.hardware, &destination.hardware);
    if storage && to.disks.len() < from.disks.len() {
        return Err(format!("Machine {id} has fewer disks than the source."));
    }
    let mut copied = source.configuration.clone().into_inner();
    if let Some(network) = copied.network.as_mut().filter(|_| interfaces) {
        // A network names its cards by their addresses, and those are the source's.
        let mut text = serde_json::to_string(network).map_err(|error| error.to_string())?;
        for card in from.interfaces.iter().filter(|card| card.parents.is_empty()) {
            let Some(old) = &card.mac_address else { continue };
            let twin = to.interfaces.iter().find(|other| other.name == card.name);
            match twin.and_then(|twin| twin.mac_address.as_ref()) {
                Some(new) => text = text.replace(&format!("\"{old}\""), &format!("\"{new}\"")),
                None if text.contains(&format!("\"{old}\"")) => {
                    return Err(format!("Machine {id} has no interface {}.", card.name));
                }
                None => {}
            }
        }
        *network = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    }
    Ok(copied)
}

async fn chassis(_: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    Err(Problem::bad_request(
        "Chassis cannot be searched by this server: add each machine with its power parameters.",
    ))
}

async fn power(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let ids = request.fields().words("id")?;
    let parsed: Vec<_> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    let machines = if parsed.is_empty() && !ids.is_empty() {
        Vec::new()
    } else {
        let filter = MachineFilter { ids: parsed, ..MachineFilter::all() };
        region.store.machines(&filter).await.map_err(Problem::internal)?
    };
    let parameters: Map<String, Value> = machines
        .into_iter()
        .map(|machine| {
            let known = machine.power.parameters.expose();
            let known = known.iter().map(|(name, value)| (name.clone(), value.clone().into()));
            (machine.system_id.to_string(), Value::Object(known.collect()))
        })
        .collect();
    Reply::json(&parameters)
}
