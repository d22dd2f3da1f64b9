//! Machines: list, read, change, delete.

use std::sync::Arc;

use maas_core::id::SystemId;
use maas_core::machine::new::normal_mac;
use maas_core::machine::permission::{Permission, allows};
use maas_core::machine::{Event, Machine, PowerState, Status};
use maas_core::secret::Secret;
use serde_json::json;

use super::actor;
use super::adding::{FIELDS, parameters};
use super::view;
use super::view::places::Places;
use crate::http::{Access, Fields, Operation, Param, Problem, Reply, Request, delete, get, put};
use crate::names;
use crate::problems::NO_MACHINE;
use crate::region::{ApplyError, Extras, Region};
use crate::store::MachineFilter;

pub(super) const MACHINES: &str = "/MAAS/api/2.0/machines/";
pub(super) const MACHINE: &str = "/MAAS/api/2.0/machines/{system_id}/";

/// How often deleting is tried again when somebody else changed the machine in between.
const ATTEMPTS: usize = 16;

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("MachinesHandler", MACHINES, "The machines that match every filter.", list).params(&[
            Param::repeated("id", "System ids."),
            Param::repeated("hostname", "Host names."),
            Param::repeated("mac_address", "MAC addresses."),
            Param::repeated("status", "Statuses, such as failed_deployment."),
            Param::repeated("owner", "Owners."),
            Param::repeated("pool", "Resource pools."),
            Param::repeated("zone", "Zones."),
            Param::repeated("arch", "Architectures."),
            Param::repeated("tags", "Tags, all of them."),
            Param::optional("agent_name", "The agent name."),
        ]),
        get("MachinesHandler", MACHINES, "The caller's machines.", list_allocated)
            .op("list_allocated"),
        get("MachineHandler", MACHINE, "One machine.", read),
        put("MachineHandler", MACHINE, "Changes a machine's description.", update)
            .access(Access::Admin)
            .params(FIELDS),
        delete("MachineHandler", MACHINE, "Deletes a machine.", remove).access(Access::Admin),
        get("MachineHandler", MACHINE, "The power driver's parameters.", read_power_parameters)
            .op("power_parameters")
            .access(Access::Admin),
        get("MachineHandler", MACHINE, "Asks the power driver for the state.", query_power_state)
            .op("query_power_state"),
    ]
}

/// The machine in the path, for a caller who may do this much; one that the caller may not see is
/// not there.
pub(super) async fn find(
    region: &Region,
    request: &Request,
    permission: Permission,
) -> Result<Machine, Problem> {
    let not_found = || Problem::not_found(NO_MACHINE);
    let id: SystemId = request.param("system_id").parse().map_err(|_| not_found())?;
    let machine = region.store.machine(&id).await.map_err(Problem::internal)?;
    let machine = machine.ok_or_else(not_found)?;
    let actor = actor(request)?;
    if !allows(&actor, &machine, Permission::View) {
        return Err(not_found());
    }
    if !allows(&actor, &machine, permission) {
        return Err(Problem::Forbidden("You do not have the required permissions.".to_owned()));
    }
    Ok(machine)
}

/// A machine as an answer.
pub(super) async fn reply(region: &Region, machine: &Machine) -> Result<Reply, Problem> {
    Reply::json(&view::machine::full(machine, &Places::load(region).await?))
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let actor = actor(&request)?;
    let Some((filter, domains)) = filter(request.fields())? else { return Reply::json(&[(); 0]) };
    let machines = region.store.machines(&filter).await.map_err(Problem::internal)?;
    let visible = machines.iter().filter(|machine| {
        allows(&actor, machine, Permission::View)
            && (domains.is_empty() || domains.contains(&machine.domain))
    });
    let places = Places::load(&region).await?;
    let views: Vec<_> = visible.map(|machine| view::machine::full(machine, &places)).collect();
    Reply::json(&views)
}

async fn list_allocated(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let actor = actor(&request)?;
    let Some((mut filter, _)) = filter(request.fields())? else { return Reply::json(&[(); 0]) };
    filter.owners = vec![actor.username];
    let machines = region.store.machines(&filter).await.map_err(Problem::internal)?;
    let places = Places::load(&region).await?;
    let views: Vec<_> =
        machines.iter().map(|machine| view::machine::full(machine, &places)).collect();
    Reply::json(&views)
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    reply(&region, &find(&region, &request, Permission::View).await?).await
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::Admin).await?;
    let fields = request.fields();
    let driver = fields.filled("power_type")?.map(str::to_owned);
    let given =
        parameters(fields).map_err(|message| Problem::field("power_parameters", message))?;
    let text = |name: &str| -> Result<Option<String>, Problem> {
        Ok(fields.text(name)?.map(str::to_owned))
    };
    let hostname = text("hostname")?.filter(|name| !name.is_empty());
    if let Some(name) = &hostname
        && !names::is_hostname(name)
    {
        return Err(Problem::field(
            "hostname",
            "Not a host name: expected letters, digits and hyphens.",
        ));
    }
    let architecture = fields
        .filled("architecture")?
        .map(str::parse::<maas_core::machine::Architecture>)
        .transpose()
        .map_err(|error| Problem::field("architecture", error.to_string()))?;
    let (description, domain) = (text("description")?, known_domain(&region, fields).await?);
    let (pool, zone) = (text("pool")?, text("zone")?);
    let min_hwe_kernel = text("min_hwe_kernel")?;
    let mut power = machine.power.clone();
    if let Some(driver) = &driver {
        if *driver != power.driver {
            power.parameters = Secret::default();
            power.state = PowerState::Unknown;
        }
        power.driver.clone_from(driver);
    }
    if !given.is_empty() {
        let mut all = power.parameters.expose().clone();
        all.extend(given);
        power.parameters = Secret::new(all);
    }
    if power != machine.power {
        region
            .drivers
            .check(&power.driver, power.parameters.expose())
            .map_err(|error| Problem::field("power_type", error.to_string()))?;
    }
    let changed = region
        .edit::<ApplyError>(&machine.system_id, |machine| {
            let set = |slot: &mut String, value: &Option<String>| {
                if let Some(value) = value {
                    slot.clone_from(value);
                }
            };
            set(&mut machine.hostname, &hostname);
            set(&mut machine.description, &description);
            set(&mut machine.domain, &domain.clone().filter(|text| !text.is_empty()));
            set(&mut machine.pool, &pool.clone().filter(|text| !text.is_empty()));
            set(&mut machine.zone, &zone.clone().filter(|text| !text.is_empty()));
            set(&mut machine.min_hwe_kernel, &min_hwe_kernel);
            if let Some(architecture) = &architecture {
                machine.architecture.clone_from(architecture);
            }
            machine.power.driver.clone_from(&power.driver);
            machine.power.parameters.clone_from(&power.parameters);
            Ok(Vec::new())
        })
        .await?;
    reply(&region, &changed).await
}

/// The domain that a form names, if it names one.
async fn known_domain(region: &Region, fields: &Fields) -> Result<Option<String>, Problem> {
    let Some(given) = fields.filled("domain")? else { return Ok(None) };
    let networks = super::ipam::networks(region).await?;
    super::ipam::known_domain(&networks, Some(given))
        .map(Some)
        .map_err(|message| Problem::field("domain", message))
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    for _ in 0..ATTEMPTS {
        let machine = find(&region, &request, Permission::Admin).await?;
        match region.store.delete(&machine.system_id, machine.version).await {
            Ok(()) => {
                let id = &machine.system_id;
                crate::ipam::release_addresses(&*region.store, id, |_| true)
                    .await
                    .map_err(Problem::internal)?;
                return Ok(Reply::no_content());
            }
            Err(crate::store::CommitError::Conflict { .. }) => {}
            Err(crate::store::CommitError::Gone { .. }) => {
                return Err(Problem::not_found(NO_MACHINE));
            }
            Err(error) => return Err(Problem::internal(error)),
        }
    }
    Err(ApplyError::Busy(request.parsed_param("system_id")?).into())
}

async fn read_power_parameters(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::AdminRead).await?;
    Reply::json(machine.power.parameters.expose())
}

async fn query_power_state(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::View).await?;
    let state = if machine.power.is_queryable() {
        match region.drivers.query(&machine.system_id, &machine.power).await {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(system_id = %machine.system_id, error = %error, "power query failed");
                PowerState::Error
            }
        }
    } else {
        PowerState::Unknown
    };
    let event = Event::PowerReported { state };
    crate::problems::applied(region.apply(&machine.system_id, &event, Extras::default()).await)?;
    Reply::json(&json!({"state": view::machine::power_state(state)}))
}

/// The filters of a list; domains are compared afterwards. `None` when nothing can match.
fn filter(fields: &Fields) -> Result<Option<(MachineFilter, Vec<String>)>, Problem> {
    let words = |name: &str| -> Result<Vec<String>, Problem> {
        Ok(fields.words(name)?.into_iter().map(str::to_owned).collect())
    };
    let named = words("id")?;
    // What is no id is no machine's.
    let ids: Vec<SystemId> = named.iter().filter_map(|id| id.parse().ok()).collect();
    if ids.is_empty() && !named.is_empty() {
        return Ok(None);
    }
    let mut statuses = Vec::new();
    for word in words("status")? {
        let status =
            word.parse::<Status>().map_err(|error| Problem::field("status", error.to_string()))?;
        statuses.push(status);
    }
    let hostnames = words("hostname")?
        .into_iter()
        .map(|name| name.split('.').next().unwrap_or_default().to_owned())
        .collect();
    let filter = MachineFilter {
        ids,
        statuses,
        owners: words("owner")?,
        hostnames,
        macs: words("mac_address")?.into_iter().map(mac_or_no_machines).collect(),
        pools: words("pool")?,
        zones: words("zone")?,
        architectures: words("arch")?,
        agent_names: words("agent_name")?,
        tags: words("tags")?,
    };
    Ok(Some((filter, words("domain")?)))
}

/// A MAC address as machines have it. What is none stays as it is and so matches no machine;
/// left out, it would match all of them.
pub(super) fn mac_or_no_machines(text: String) -> String {
    normal_mac(&text).unwrap_or(text)
}

#[cfg(test)]
mod tests;
