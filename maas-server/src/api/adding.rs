//! New machines: added by an administrator, or enlisting themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use maas_core::ipam::Networks;
use maas_core::machine::new::{Enlistment, NewMachine as Told, normal_mac};
use maas_core::machine::{Arrival, DeploymentSummary, Level, Machine, PowerState, Record, Status};
use maas_core::secret::Secret;

use super::machines::{MACHINES, reply};
use super::{actor, power_parameters};
use crate::clock;
use crate::entropy;
use crate::http::{
    Access, FieldErrors, Fields, Operation, Param, Problem, Reply, Request, get, post,
};
use crate::names;
use crate::region::{ApplyError, Extras, Region};
use crate::store::{AddError, Duplicate, NewMachine};

/// How often another name or id is drawn when the first is taken.
const ATTEMPTS: usize = 16;

/// What a machine is described by, when it is added and when it is changed.
pub(super) const FIELDS: &[Param] = &[
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
    Param::optional("deployed", "Whether it is in use already: it is added as Deployed."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        post(
            "MachinesHandler",
            MACHINES,
            "Adds a machine. Without credentials, a machine makes itself known.",
            create,
        )
        .access(Access::Anyone)
        .params(FIELDS),
        get("MachinesHandler", MACHINES, "Whether a MAC address is known.", is_registered)
            .op("is_registered")
            .access(Access::Anyone)
            .params(&[Param::repeated("mac_address", "One or more MAC addresses.")]),
    ]
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
    if anonymous {
        // Where a machine belongs is for administrators to say.
        for name in ["domain", "pool", "zone", "description", "deployed"] {
            if request.fields().filled(name)?.is_some() {
                return Err(Problem::Forbidden(format!("Only administrators can set {name}.")));
            }
        }
    }
    let networks = super::ipam::networks(&region).await?;
    let who = if anonymous { Teller::Machine } else { Teller::Administrator };
    let mut told = told(&region, &networks, request.fields(), who)?;
    super::zones::check(&region, Some(&told.zone), Some(&told.pool)).await?;
    if told.min_hwe_kernel.is_empty() {
        told.min_hwe_kernel = region.settings().text("default_min_hwe_kernel");
    }
    let unless_told = if anonymous {
        // A runner says whether; a form by hand leaves it to the operator's setting.
        region.settings().is_set("enlist_commissioning")
            && region.settings().flag("enlist_commissioning")
    } else {
        true
    };
    let commission = request.fields().flag("commission")?.unwrap_or(unless_told);
    if anonymous {
        return reply(&region, &*enlist(&region, told, commission).await?).await;
    }
    let deployed = request.fields().flag("deployed")?.unwrap_or(false);
    let user = actor(&request)?.username;
    let machine = if deployed {
        add(&region, told, |told, now| Ok(in_use(Machine::added(told, now)?, &user))).await?
    } else {
        add(&region, told, Machine::added).await?
    };
    let record = record(format!("({user}) - added"), "Request to add");
    region.edit::<ApplyError>(&machine.system_id, |_| Ok(vec![record.clone()])).await?;
    if deployed || !commission {
        return reply(&region, &machine).await;
    }
    match commissioned(&region, &request, &machine).await {
        Ok(machine) => reply(&region, &machine).await,
        Err(problem) => {
            // A machine that was not added as asked for is not added at all.
            let store = &region.store;
            let left = store.machine(&machine.system_id).await.map_err(Problem::internal)?;
            if let Some(left) = left.filter(|left| left.status == Status::New) {
                store.delete(&left.system_id, left.version).await.map_err(Problem::internal)?;
            }
            Err(problem)
        }
    }
}

async fn commissioned(
    region: &Region,
    request: &Request,
    machine: &Machine,
) -> Result<Arc<Machine>, Problem> {
    let event = super::actions::commission_event(region, machine, request).await?;
    let result = region.apply(&machine.system_id, &event, Extras::default()).await;
    crate::problems::applied(result)
}

/// A machine that somebody else has installed, and that is in use already.
fn in_use(mut machine: Machine, user: &str) -> Machine {
    machine.status = Status::Deployed;
    machine.owner = Some(user.to_owned());
    machine.netboot = false;
    machine.deployment = Some(DeploymentSummary {
        osystem: "custom".to_owned(),
        distro_series: String::new(),
        hwe_kernel: String::new(),
        ephemeral: false,
        plan_digest: String::new(),
        arrival: Arrival::default(),
    });
    machine
}

/// A machine makes itself known: one that was seen before is updated, so that enlisting twice
/// gives one machine.
async fn enlist(region: &Region, told: Told, commission: bool) -> Result<Arc<Machine>, Problem> {
    if told.mac_addresses.is_empty() {
        return Err(Problem::field("mac_addresses", "This field is required."));
    }
    let networks = region.networks().await?;
    for mac in told.mac_addresses.iter().filter_map(|mac| normal_mac(mac)) {
        let known = region.store.machine_by_mac(&mac).await.map_err(Problem::internal)?;
        let Some(known) = known else { continue };
        if !matches!(known.status, Status::New | Status::Commissioning) {
            return Err(Problem::Conflict(format!("MAC address {mac} is already known.")));
        }
        return Ok(region
            .edit::<ApplyError>(&known.system_id, |machine| {
                let macs = told.mac_addresses.iter().filter_map(|mac| normal_mac(mac));
                machine.add_macs(macs, &networks.places);
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
    Ok(Arc::new(added))
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

/// Who tells of a new machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Teller {
    /// Itself; the domain of its host name is what some DHCP server gave it.
    Machine,
    Administrator,
}

/// What the form tells of a new machine.
fn told(
    region: &Region,
    networks: &Networks,
    fields: &Fields,
    who: Teller,
) -> Result<Told, Problem> {
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
    let domain = domain.or(errors.collect(text("domain")));
    let domain = match super::ipam::known_domain(networks, domain.as_deref()) {
        Ok(domain) => domain,
        Err(_) if who == Teller::Machine => networks.default_domain_name().to_owned(),
        Err(message) => {
            errors.add("domain", message);
            String::new()
        }
    };
    let told = Told {
        domain,
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
pub(super) fn parameters(fields: &Fields) -> Result<BTreeMap<String, String>, String> {
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

#[cfg(test)]
mod tests;
