//! Machines: list, read, change, delete.

use std::sync::Arc;

use maas_core::id::SystemId;
use maas_core::machine::new::normal_mac;
use maas_core::machine::permission::{Permission, allows};
use maas_core::machine::{Event, Machine, Power, PowerState};
use maas_core::secret::Secret;
use serde_json::json;

use super::actor;
use super::adding::{FIELDS, parameters};
use super::view;
use crate::http::{Access, Fields, Operation, Param, Problem, Reply, Request, delete, get, put};
use crate::names;
use crate::places::Catalogue;
use crate::problems::NO_MACHINE;
use crate::region::{ApplyError, Extras, Region};

pub(super) const MACHINES: &str = "/MAAS/api/2.0/machines/";
pub(super) const MACHINE: &str = "/MAAS/api/2.0/machines/{system_id}/";

/// How often deleting is tried again when somebody else changed the machine in between.
const ATTEMPTS: usize = 16;

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("MachineHandler", MACHINE, "One machine.", read),
        put("MachineHandler", MACHINE, "Changes a machine's description.", update)
            .access(Access::Admin)
            .params(FIELDS)
            .params(&[
                Param::optional("cpu_count", "The number of processors, until commissioned again."),
                Param::optional("memory", "The memory in MiB, until commissioned again."),
                Param::optional(
                    "swap_size",
                    "The size of the swap file, in bytes or with a suffix such as 4G; 0 for none, \
                     empty for the installer's choice.",
                ),
                Param::optional("power_parameters_skip_check", "Takes any power parameters."),
            ]),
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
) -> Result<Arc<Machine>, Problem> {
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
    Ok(Reply::json_bytes(Catalogue::load(region).await?.write(machine).end().into_bytes()))
}

/// The complaint about a name that is none of the choices.
pub(super) fn choice_error(field: &str, found: &str) -> Problem {
    let found: String = found.chars().take(64).collect();
    Problem::field(
        field,
        format!("Select a valid choice. {found} is not one of the available choices."),
    )
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let machine = find(&region, &request, Permission::View).await?;
    reply(&region, &machine).await
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
    let filled = |name: &Option<String>| name.clone().filter(|text| !text.is_empty());
    let (pool, zone) = (filled(&pool), filled(&zone));
    super::zones::check(&region, zone.as_deref(), pool.as_deref()).await?;
    let min_hwe_kernel = text("min_hwe_kernel")?;
    let cpu_count = fields.number::<u32>("cpu_count")?;
    let memory = fields.number::<u64>("memory")?;
    let swap_size = match fields.text("swap_size")? {
        None => None,
        Some("") => Some(None),
        Some(text) => Some(Some(bytes(text).ok_or_else(|| {
            Problem::field("swap_size", "Expected a number of bytes, or one with K, M, G or T.")
        })?)),
    };
    let unchecked = fields.flag("power_parameters_skip_check")?.unwrap_or(false);
    // Of the machine as it is stored when the change is: of two changes at once none is lost.
    let powered = |power: &Power| -> Power {
        let mut power = power.clone();
        if let Some(driver) = &driver {
            if *driver != power.driver {
                power.parameters = Secret::default();
                power.state = PowerState::Unknown;
            }
            power.driver.clone_from(driver);
        }
        if !given.is_empty() {
            let mut all = power.parameters.expose().clone();
            all.extend(given.clone());
            power.parameters = Secret::new(all);
        }
        power
    };
    let changed = region
        .edit::<Problem>(&machine.system_id, |machine| {
            let power = powered(&machine.power);
            if power != machine.power && !unchecked {
                region
                    .drivers
                    .check(&power.driver, power.parameters.expose())
                    .map_err(|error| Problem::field("power_type", error.to_string()))?;
            }
            let set = |slot: &mut String, value: &Option<String>| {
                if let Some(value) = value {
                    slot.clone_from(value);
                }
            };
            set(&mut machine.hostname, &hostname);
            set(&mut machine.description, &description);
            set(&mut machine.domain, &domain.clone().filter(|text| !text.is_empty()));
            set(&mut machine.pool, &pool);
            set(&mut machine.zone, &zone);
            set(&mut machine.min_hwe_kernel, &min_hwe_kernel);
            if let Some(architecture) = &architecture {
                machine.architecture.clone_from(architecture);
            }
            if let Some(cpu_count) = cpu_count {
                machine.hardware.cpu_count = cpu_count;
            }
            if let Some(memory) = memory {
                machine.hardware.memory = memory;
            }
            if let Some(swap_size) = swap_size {
                machine.configuration.swap_size = swap_size;
            }
            machine.power = power;
            Ok(Vec::new())
        })
        .await?;
    reply(&region, &changed).await
}

/// Bytes, as a number or with a suffix by powers of 1000.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = match text.char_indices().next_back()? {
        (_, last) if last.is_ascii_digit() => (text, 1),
        (at, last) => {
            let power = "KMGTP".find(last.to_ascii_uppercase())? + 1;
            (text.get(..at)?, 1000_u64.checked_pow(u32::try_from(power).ok()?)?)
        }
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

/// The domain that a form names, if it names one.
async fn known_domain(region: &Region, fields: &Fields) -> Result<Option<String>, Problem> {
    let Some(given) = fields.filled("domain")? else { return Ok(None) };
    let networks = super::ipam::networks(region).await?;
    super::ipam::known_domain(&networks, Some(given))
        .map(Some)
        .map_err(|message| Problem::field("domain", message))
}

pub(super) async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    for _ in 0..ATTEMPTS {
        let machine = find(&region, &request, Permission::Admin).await?;
        match region.store.delete(&machine.system_id, machine.version).await {
            Ok(()) => {
                crate::devices::machine_deleted(&region, &machine).await?;
                crate::trail::forget(&region, &machine.system_id);
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

/// A MAC address as machines have it. What is none stays as it is and so matches no machine;
/// left out, it would match all of them.
pub(super) fn mac_or_no_machines(text: String) -> String {
    normal_mac(&text).unwrap_or(text)
}
