//! Machines: list, add, read, change, delete.

use std::collections::BTreeMap;
use std::sync::Arc;

use maas_core::id::SystemId;
use maas_core::machine::new::{Enlistment, NewMachine as Told, normal_mac};
use maas_core::machine::permission::{Permission, allows};
use maas_core::machine::{Event, Level, Machine, PowerState, Record, Status};
use maas_core::secret::Secret;
use serde_json::json;

use super::view;
use super::{actor, power_parameters};
use crate::clock;
use crate::entropy;
use crate::http::{
    Access, FieldErrors, Fields, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::names;
use crate::problems::NO_MACHINE;
use crate::region::{ApplyError, Extras, Region};
use crate::store::{AddError, Duplicate, MachineFilter, NewMachine};

pub(super) const MACHINES: &str = "/MAAS/api/2.0/machines/";
pub(super) const MACHINE: &str = "/MAAS/api/2.0/machines/{system_id}/";

/// How often another name or id is drawn when the first is taken.
const ATTEMPTS: usize = 16;

const CREATE: &[Param] = &[
    Param::required("architecture", "For example amd64/generic."),
    Param::repeated("mac_addresses", "One or more MAC addresses."),
    Param::optional("hostname", "The name; one is made when none is given."),
    Param::optional("domain", "The DNS domain."),
    Param::optional("description", "Free text."),
    Param::optional("power_type", "The power driver."),
    Param::optional("power_parameters", "The driver's parameters as JSON."),
    Param::optional("power_parameters_KEY", "One parameter of the driver."),
    Param::optional("pool", "The resource pool."),
    Param::optional("zone", "The zone."),
    Param::optional("min_hwe_kernel", "The lowest kernel."),
    Param::optional("commission", "Whether it is commissioned at once; true for administrators."),
];

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
        post(
            "MachinesHandler",
            MACHINES,
            "Adds a machine. Without credentials, a machine makes itself known.",
            create,
        )
        .access(Access::Anyone)
        .params(CREATE),
        get("MachinesHandler", MACHINES, "Whether a MAC address is known.", is_registered)
            .op("is_registered")
            .access(Access::Anyone)
            .params(&[Param::repeated("mac_address", "One or more MAC addresses.")]),
        get("MachinesHandler", MACHINES, "The caller's machines.", list_allocated)
            .op("list_allocated"),
        get("MachineHandler", MACHINE, "One machine.", read),
        put("MachineHandler", MACHINE, "Changes a machine's description.", update)
            .access(Access::Admin)
            .params(CREATE),
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
pub(super) fn reply(machine: &Machine) -> Result<Reply, Problem> {
    Reply::json(&view::machine::full(machine))
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let actor = actor(&request)?;
    let Some((filter, domains)) = filter(request.fields())? else { return Reply::json(&[(); 0]) };
    let machines = region.store.machines(&filter).await.map_err(Problem::internal)?;
    let visible = machines.iter().filter(|machine| {
        allows(&actor, machine, Permission::View)
            && (domains.is_empty() || domains.contains(&machine.domain))
    });
    Reply::json(&visible.map(view::machine::full).collect::<Vec<_>>())
}

async fn list_allocated(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let actor = actor(&request)?;
    let Some((mut filter, _)) = filter(request.fields())? else { return Reply::json(&[(); 0]) };
    filter.owners = vec![actor.username];
    let machines = region.store.machines(&filter).await.map_err(Problem::internal)?;
    Reply::json(&machines.iter().map(view::machine::full).collect::<Vec<_>>())
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    reply(&find(&region, &request, Permission::View).await?)
}

async fn is_registered(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let macs = request.fields().words("mac_address")?;
    if macs.is_empty() {
        return Err(Problem::field("mac_address", "This field is required."));
    }
    let macs: Vec<String> = macs.into_iter().filter_map(normal_mac).collect();
    for mac in macs {
        let found = region.store.machine_by_mac(&mac).await.map_err(Problem::internal)?;
        // A machine that never got further than New is still enlisting.
        if found.is_some_and(|machine| !machine.enlisting) {
            return Reply::json(&true);
        }
    }
    Reply::json(&false)
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let anonymous = request.caller().user().is_none();
    if !anonymous && !request.caller().is_admin() {
        return Err(Problem::Forbidden("Only administrators can add machines.".to_owned()));
    }
    let told = told(&region, request.fields())?;
    let commission = request.fields().flag("commission")?.unwrap_or(!anonymous);
    if anonymous {
        return reply(&enlist(&region, told, commission).await?);
    }
    let machine = add(&region, told, Machine::added).await?;
    let record = record(format!("({}) - added", actor(&request)?.username), "Request to add");
    region.edit::<ApplyError>(&machine.system_id, |_| Ok(vec![record.clone()])).await?;
    if !commission {
        return reply(&machine);
    }
    let event = super::actions::commission_event(&region, &machine, &request).await?;
    reply(&crate::problems::applied(
        region.apply(&machine.system_id, &event, Extras::default()).await,
    )?)
}

/// A machine makes itself known: one that was seen before is updated, so that enlisting twice
/// gives one machine.
async fn enlist(region: &Region, told: Told, commission: bool) -> Result<Machine, Problem> {
    if told.mac_addresses.is_empty() {
        return Err(Problem::field("mac_addresses", "This field is required."));
    }
    for mac in told.mac_addresses.iter().filter_map(|mac| normal_mac(mac)) {
        let known = region.store.machine_by_mac(&mac).await.map_err(Problem::internal)?;
        let Some(known) = known else { continue };
        if !matches!(known.status, Status::New | Status::Commissioning) {
            return Err(Problem::Conflict(format!("MAC address {mac} is already known.")));
        }
        return Ok(region
            .edit::<ApplyError>(&known.system_id, |machine| {
                let macs = told.mac_addresses.iter().filter_map(|mac| normal_mac(mac));
                machine.mac_addresses.extend(macs);
                if !told.power_driver.is_empty() {
                    machine.power.driver.clone_from(&told.power_driver);
                    machine.power.parameters.clone_from(&told.power_parameters);
                }
                machine.power.state = PowerState::On;
                machine.enlisting |= commission && machine.status == Status::New;
                Ok(Vec::new())
            })
            .await?);
    }
    let enlistment =
        if commission { Enlistment::WithCommissioning } else { Enlistment::OnlyRegister };
    let added = add(region, told, |told, now| Machine::enlisted(told, enlistment, now)).await?;
    tracing::info!(system_id = %added.system_id, hostname = %added.hostname, "machine enlisted");
    Ok(added)
}

/// Adds a machine, drawing other names and ids while the first ones are taken.
async fn add(
    region: &Region,
    mut told: Told,
    make: impl Fn(
        Told,
        maas_core::time::Timestamp,
    ) -> Result<Machine, maas_core::machine::new::InvalidNewMachine>,
) -> Result<Machine, Problem> {
    let named = !told.hostname.is_empty();
    for _ in 0..ATTEMPTS {
        told.system_id = entropy::system_id().map_err(Problem::internal)?;
        if !named {
            told.hostname = names::draw().map_err(Problem::internal)?;
        }
        let machine = make(told.clone(), clock::now())
            .map_err(|error| Problem::field(error.field(), error.to_string()))?;
        let new = NewMachine {
            records: vec![record(format!("{} was added", machine.hostname), "Node added")],
            ..NewMachine::new(machine)
        };
        match region.store.add(new).await {
            Ok(machine) => return Ok(machine),
            Err(AddError::Duplicate(Duplicate::SystemId { .. })) => {}
            Err(AddError::Duplicate(Duplicate::Hostname { .. })) if !named => {}
            Err(AddError::Duplicate(Duplicate::Hostname { hostname })) => {
                return Err(Problem::field(
                    "hostname",
                    format!("Node with hostname '{hostname}' already exists."),
                ));
            }
            Err(AddError::Duplicate(Duplicate::Mac { mac, machine })) => {
                return Err(Problem::field(
                    "mac_addresses",
                    format!("MAC address {mac} already in use on {machine}."),
                ));
            }
            Err(error) => return Err(Problem::internal(error)),
        }
    }
    Err(Problem::Unavailable {
        text: "No free name was found; try again.".to_owned(),
        retry_after: std::time::Duration::from_secs(1),
    })
}

fn record(description: String, kind: &str) -> Record {
    Record {
        at: clock::now(),
        level: Level::Info,
        kind: kind.to_owned(),
        description,
        username: None,
    }
}

/// What the form tells of a new machine.
fn told(region: &Region, fields: &Fields) -> Result<Told, Problem> {
    let mut errors = FieldErrors::new();
    let text = |name: &str| fields.filled(name).map(|text| text.map(str::to_owned));
    let architecture = errors.collect(fields.required("architecture").map(str::to_owned));
    let hostname = errors.collect(text("hostname")).unwrap_or_default();
    let (hostname, domain) = match hostname.split_once('.') {
        Some((host, domain)) => (host.to_owned(), Some(domain.to_owned())),
        None => (hostname, None),
    };
    if !hostname.is_empty() && !names::is_hostname(&hostname) {
        errors.add("hostname", "Not a host name: expected letters, digits and hyphens.");
    }
    let power_driver = errors.collect(text("power_type")).unwrap_or_default();
    let power_parameters = match parameters(fields) {
        Ok(parameters) => parameters,
        Err(message) => {
            errors.add("power_parameters", message);
            BTreeMap::new()
        }
    };
    if !power_driver.is_empty()
        && let Err(error) = region.drivers.check(&power_driver, &power_parameters)
    {
        errors.add("power_type", error.to_string());
    }
    let mac_addresses = errors.collect(fields.words("mac_addresses"));
    for mac in &mac_addresses {
        if normal_mac(mac).is_none() {
            errors.add("mac_addresses", format!("'{mac}' is not a valid MAC address."));
        }
    }
    let told = Told {
        domain: domain.or(errors.collect(text("domain"))).unwrap_or_else(|| "maas".to_owned()),
        description: errors.collect(text("description")).unwrap_or_default(),
        min_hwe_kernel: errors.collect(text("min_hwe_kernel")).unwrap_or_default(),
        // The runner's own address on a virtual network without hardware behind it.
        mac_addresses: mac_addresses
            .into_iter()
            .filter(|mac| *mac != "02:00:00:00:00:02")
            .map(str::to_owned)
            .collect(),
        power_driver,
        power_parameters: Secret::new(power_parameters),
        pool: errors.collect(text("pool")).unwrap_or_else(|| "default".to_owned()),
        zone: errors.collect(text("zone")).unwrap_or_else(|| "default".to_owned()),
        ..Told::new(
            entropy::system_id().map_err(Problem::internal)?,
            hostname,
            architecture,
            entropy::node_credentials().map_err(Problem::internal)?,
        )
    };
    errors.done()?;
    Ok(told)
}

/// `power_parameters` as JSON, completed by `power_parameters_KEY` fields.
fn parameters(fields: &Fields) -> Result<BTreeMap<String, String>, String> {
    let mut parameters = match fields.filled("power_parameters").map_err(|error| error.message)? {
        Some(text) => power_parameters(text)
            .ok_or("Expected a JSON object of texts and numbers.".to_owned())?,
        None => BTreeMap::new(),
    };
    for name in fields.names() {
        if let Some(key) = name.strip_prefix("power_parameters_")
            && key != "skip_check"
        {
            let value = fields.text(name).map_err(|error| error.message)?.unwrap_or_default();
            parameters.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok(parameters)
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
    let (description, domain) = (text("description")?, text("domain")?);
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
    reply(&changed)
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    for _ in 0..ATTEMPTS {
        let machine = find(&region, &request, Permission::Admin).await?;
        match region.store.delete(&machine.system_id, machine.version).await {
            Ok(()) => return Ok(Reply::no_content()),
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
