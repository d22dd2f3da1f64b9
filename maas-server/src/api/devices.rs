//! Devices (`api.md` §4.1): node type 1.

use std::collections::BTreeMap;
use std::sync::Arc;

use maas_core::id::SystemId;
use maas_core::machine::interface::edit::Settings;
use maas_core::machine::interface::{Edit, Interfaces, NetworkFacts, Node as Kind};
use maas_core::machine::permission::Permission;
use maas_core::machine::{Actor, Role};
use maas_netconfig::Mac;

use super::actor;
use crate::clock;
use crate::devices::{self, Device};
use crate::entropy;
use crate::http::{
    FieldErrors, Fields, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::names;
use crate::nodes::Node;
use crate::places::Catalogue;
use crate::region::Region;
use crate::store::{DocumentError, MachineFilter, Stored};

const DEVICES: &str = "/MAAS/api/2.0/devices/";
const DEVICE: &str = "/MAAS/api/2.0/devices/{system_id}/";
const NO_DEVICE: &str = "No Device matches the given query.";

/// How often another name or id is drawn, or a change is tried again.
const ATTEMPTS: usize = 16;

const FIELDS: &[Param] = &[
    Param::optional("hostname", "The name; one is made when none is given."),
    Param::optional("domain", "The DNS domain."),
    Param::optional("description", "Free text."),
    Param::optional("parent", "The machine that it belongs to, by system id."),
    Param::optional("zone", "The zone."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("DevicesHandler", DEVICES, "The devices that match every filter.", list).params(&[
            Param::repeated("id", "System ids."),
            Param::repeated("hostname", "Host names."),
            Param::repeated("mac_address", "MAC addresses."),
            Param::repeated("domain", "DNS domains."),
            Param::repeated("zone", "Zones."),
            Param::repeated("parent", "Machines that they belong to."),
            Param::optional("agent_name", "Devices have none."),
        ]),
        post("DevicesHandler", DEVICES, "Adds a device, which belongs to the caller.", create)
            .params(FIELDS)
            .params(&[Param::repeated("mac_addresses", "One or more MAC addresses.")]),
        get("DeviceHandler", DEVICE, "One device.", read),
        put("DeviceHandler", DEVICE, "Changes a device's description.", update).params(FIELDS),
        delete("DeviceHandler", DEVICE, "Deletes a device.", remove),
        post("DeviceHandler", DEVICE, "Merges keys into the owner's data.", set_owner_data)
            .op("set_owner_data"),
        post("DeviceHandler", DEVICE, "Merges keys into the owner's data.", set_owner_data)
            .op("set_workload_annotations"),
    ]
}

async fn find(
    region: &Region,
    request: &Request,
    permission: Permission,
) -> Result<Stored<Device>, Problem> {
    let not_found = || Problem::not_found(NO_DEVICE);
    let stored = region.store.by_key::<Device>(request.param("system_id")).await;
    let device = stored.map_err(Problem::internal)?.ok_or_else(not_found)?;
    let node = Node::Device(Box::new(device.clone()));
    if !node.allows(&actor(request)?, permission) {
        return Err(not_found());
    }
    Ok(device)
}

/// The devices that the actor may see and that every filter lets through.
pub(super) async fn matching(
    region: &Region,
    actor: &Actor,
    fields: &Fields,
) -> Result<Vec<Stored<Device>>, Problem> {
    let words = |name: &str| -> Result<Vec<String>, Problem> {
        Ok(fields.words(name)?.into_iter().map(str::to_owned).collect())
    };
    let (ids, hostnames, domains) = (words("id")?, words("hostname")?, words("domain")?);
    let (zones, parents, agents) = (words("zone")?, words("parent")?, words("agent_name")?);
    let macs = words("mac_address")?;
    let wanted: Vec<Mac> = macs.iter().filter_map(|mac| mac.parse().ok()).collect();
    let within = |list: &[String], text: &str| {
        list.is_empty() || list.iter().any(|one| one.eq_ignore_ascii_case(text))
    };
    let mut devices = region.store.list::<Device>().await.map_err(Problem::internal)?;
    devices.retain(|stored| {
        let device = &stored.value;
        let fqdn = format!("{}.{}", device.hostname, device.domain);
        (actor.role == Role::Admin || device.owner == actor.username)
            && within(&ids, device.system_id.as_str())
            && (within(&hostnames, &device.hostname) || within(&hostnames, &fqdn))
            && within(&domains, &device.domain)
            && within(&zones, &device.zone)
            && within(&parents, device.parent.as_ref().map_or("", SystemId::as_str))
            && agents.iter().all(String::is_empty)
            && (macs.is_empty() || device.interfaces.macs().any(|mac| wanted.contains(&mac)))
    });
    Ok(devices)
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let devices = matching(&region, &actor(&request)?, request.fields()).await?;
    let catalogue = Catalogue::load(&region).await?;
    let shown: Vec<_> = devices.iter().map(|device| catalogue.show_device(&device.value)).collect();
    Reply::json(&shown)
}

async fn reply(region: &Region, device: &Device) -> Result<Reply, Problem> {
    Reply::json(&Catalogue::load(region).await?.show_device(device))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let device = find(&region, &request, Permission::View).await?;
    reply(&region, &device.value).await
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let actor = actor(&request)?;
    let networks = region.networks().await?;
    let told = Told::read(&region, &actor, request.fields()).await?;
    let interfaces = told.interfaces(&networks.places)?;
    check_macs(&region, interfaces.macs(), None).await?;
    for _ in 0..ATTEMPTS {
        let hostname = match &told.hostname {
            Some(name) => name.clone(),
            None => names::draw().map_err(Problem::internal)?,
        };
        if is_hostname_taken(&region, &hostname, None).await? {
            if told.hostname.is_none() {
                continue;
            }
            return Err(Problem::field(
                "hostname",
                format!("Node with hostname '{hostname}' already exists."),
            ));
        }
        let system_id = entropy::system_id().map_err(Problem::internal)?;
        if region.store.machine(&system_id).await.map_err(Problem::internal)?.is_some() {
            continue;
        }
        let device = Device {
            system_id,
            hostname,
            domain: told.domain.clone().unwrap_or_else(|| networks.default_domain().to_owned()),
            description: told.description.clone().unwrap_or_default(),
            owner: actor.username.clone(),
            parent: told.parent.clone().flatten(),
            zone: told.zone.clone().unwrap_or_else(|| "default".to_owned()),
            tags: std::collections::BTreeSet::new(),
            owner_data: BTreeMap::new(),
            interfaces: interfaces.clone(),
            created: clock::now(),
        };
        match region.store.insert(device).await {
            Ok(stored) => return reply(&region, &stored.value).await,
            Err(DocumentError::DuplicateKey { .. }) => {}
            Err(error) => return Err(Problem::internal(error)),
        }
    }
    Err(Problem::Unavailable {
        text: "No free name was found; try again.".to_owned(),
        retry_after: std::time::Duration::from_secs(1),
    })
}

/// What a form tells of a device; what is `None` was not told.
struct Told {
    hostname: Option<String>,
    domain: Option<String>,
    description: Option<String>,
    parent: Option<Option<SystemId>>,
    zone: Option<String>,
    macs: Vec<Mac>,
}

impl Told {
    async fn read(region: &Region, actor: &Actor, fields: &Fields) -> Result<Self, Problem> {
        let mut errors = FieldErrors::new();
        let mut text = |name: &str| {
            let text = errors.collect(fields.filled(name));
            text.map(str::to_owned)
        };
        let (hostname, zone) = (text("hostname"), text("zone"));
        let domain = text("domain");
        let (hostname, own) = match hostname.as_deref().map(|name| name.split_once('.')) {
            Some(Some((host, domain))) => (Some(host.to_owned()), Some(domain.to_owned())),
            _ => (hostname, None),
        };
        if hostname.as_ref().is_some_and(|name| !names::is_hostname(name)) {
            errors.add("hostname", "Not a host name: expected letters, digits and hyphens.");
        }
        let description = errors.collect(fields.text("description")).map(str::to_owned);
        let parent = match errors.collect(fields.text("parent")) {
            None => None,
            Some("") => Some(None),
            Some(id) => match visible_machine(region, actor, id).await? {
                Some(machine) => Some(Some(machine.system_id.clone())),
                None => {
                    errors.add("parent", "There is no such machine.");
                    None
                }
            },
        };
        let mut macs = Vec::new();
        for word in errors.collect(fields.words("mac_addresses")) {
            match word.parse::<Mac>() {
                Ok(mac) if macs.contains(&mac) => {
                    errors.add("mac_addresses", format!("{mac} is given twice."));
                }
                Ok(mac) => macs.push(mac),
                Err(_) => {
                    errors.add("mac_addresses", format!("'{word}' is not a valid MAC address."));
                }
            }
        }
        errors.done()?;
        Ok(Self { hostname, domain: own.or(domain), description, parent, zone, macs })
    }

    fn interfaces(&self, places: &NetworkFacts) -> Result<Interfaces, Problem> {
        if self.macs.is_empty() {
            return Err(Problem::field("mac_addresses", "This field is required."));
        }
        let mut interfaces = Interfaces::default();
        for mac in &self.macs {
            let card = Settings { mac: Some(*mac), ..Settings::default() };
            interfaces = interfaces.edit(&Edit::CreatePhysical(card), Kind::Device, places)?.0;
        }
        Ok(interfaces)
    }
}

async fn visible_machine(
    region: &Region,
    actor: &Actor,
    id: &str,
) -> Result<Option<Arc<maas_core::machine::Machine>>, Problem> {
    let Ok(id) = id.parse() else { return Ok(None) };
    let machine = region.store.machine(&id).await.map_err(Problem::internal)?;
    Ok(machine.filter(|it| maas_core::machine::permission::allows(actor, it, Permission::View)))
}

async fn is_hostname_taken(
    region: &Region,
    hostname: &str,
    but: Option<&SystemId>,
) -> Result<bool, Problem> {
    let filter = MachineFilter { hostnames: vec![hostname.to_owned()], ..MachineFilter::all() };
    if !region.store.machines(&filter).await.map_err(Problem::internal)?.is_empty() {
        return Ok(true);
    }
    let devices = region.store.list::<Device>().await.map_err(Problem::internal)?;
    Ok(devices.iter().any(|device| {
        Some(&device.value.system_id) != but && device.value.hostname.eq_ignore_ascii_case(hostname)
    }))
}

/// Refuses addresses that a machine or another device has.
pub(crate) async fn check_macs(
    region: &Region,
    macs: impl Iterator<Item = Mac>,
    but: Option<&SystemId>,
) -> Result<(), Problem> {
    let taken = |mac: Mac, by: &SystemId| {
        Err(Problem::field("mac_addresses", format!("MAC address {mac} already in use on {by}.")))
    };
    let devices = region.store.list::<Device>().await.map_err(Problem::internal)?;
    for mac in macs {
        let machine = region.store.machine_by_mac(&mac.to_string()).await;
        match machine.map_err(Problem::internal)? {
            Some(machine) if Some(&machine.system_id) != but => {
                return taken(mac, &machine.system_id);
            }
            _ => {}
        }
        if let Some(device) = devices.iter().find(|device| {
            Some(&device.value.system_id) != but && device.value.interfaces.by_mac(mac).is_some()
        }) {
            return taken(mac, &device.value.system_id);
        }
    }
    Ok(())
}

/// Changes a device as it is stored; tried again when somebody else was faster.
pub(super) async fn edit(
    region: &Region,
    mut device: Stored<Device>,
    edit: impl Fn(&mut Device),
) -> Result<Stored<Device>, Problem> {
    for _ in 0..ATTEMPTS {
        let mut changed = device.clone();
        edit(&mut changed.value);
        match region.store.update(changed).await {
            Ok(stored) => return Ok(stored),
            Err(DocumentError::Conflict { .. }) => {
                let again = region.store.find::<Device>(device.id).await;
                device = again
                    .map_err(Problem::internal)?
                    .ok_or_else(|| Problem::not_found(NO_DEVICE))?;
            }
            Err(DocumentError::Gone { .. }) => return Err(Problem::not_found(NO_DEVICE)),
            Err(error) => return Err(Problem::internal(error)),
        }
    }
    Err(Problem::Unavailable {
        text: "The device changes too fast; try again.".to_owned(),
        retry_after: std::time::Duration::from_secs(1),
    })
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let device = find(&region, &request, Permission::Edit).await?;
    let told = Told::read(&region, &actor(&request)?, request.fields()).await?;
    if let Some(hostname) = &told.hostname
        && is_hostname_taken(&region, hostname, Some(&device.value.system_id)).await?
    {
        return Err(Problem::field(
            "hostname",
            format!("Node with hostname '{hostname}' already exists."),
        ));
    }
    let stored = edit(&region, device, |device| {
        let set = |slot: &mut String, value: &Option<String>| {
            if let Some(value) = value {
                slot.clone_from(value);
            }
        };
        set(&mut device.hostname, &told.hostname);
        set(&mut device.domain, &told.domain);
        set(&mut device.description, &told.description);
        set(&mut device.zone, &told.zone);
        if let Some(parent) = &told.parent {
            device.parent.clone_from(parent);
        }
    })
    .await?;
    reply(&region, &stored.value).await
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let device = find(&region, &request, Permission::Edit).await?;
    devices::delete(&region, &device).await?;
    Ok(Reply::no_content())
}

async fn set_owner_data(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let device = find(&region, &request, Permission::Edit).await?;
    let mut data = BTreeMap::new();
    for name in request.fields().names() {
        data.insert(name.to_owned(), request.fields().text(name)?.unwrap_or_default().to_owned());
    }
    let stored = edit(&region, device, |device| {
        for (key, value) in &data {
            if value.is_empty() {
                device.owner_data.remove(key);
            } else {
                device.owner_data.insert(key.clone(), value.clone());
            }
        }
    })
    .await?;
    reply(&region, &stored.value).await
}
