//! Machines and devices as one: found by their system id, and their interfaces changed together
//! with the addresses that these hold.

use std::sync::Arc;

use maas_core::id::SystemId;
use maas_core::machine::interface::{Edit, Interfaces, LinkMode, Node as Kind, Refusal};
use maas_core::machine::permission::{Permission, allows};
use maas_core::machine::refusal::RefusalKind;
use maas_core::machine::{Actor, Machine, Role};

use crate::addresses::{self, Claims};
use crate::devices::Device;
use crate::http::{Problem, Request};
use crate::networks::Snapshot;
use crate::region::{ApplyError, Region};
use crate::store::{DocumentError, MachineFilter, Stored};

/// What a client is told when a node is not there or not for it to see.
pub(crate) const NO_NODE: &str = "No Node matches the given query.";

/// In a series of edits, the interface that the one before made.
pub(crate) const NEWEST: u64 = 0;

/// How often a change is tried again when somebody else was faster.
const ATTEMPTS: usize = 16;

/// A machine or a device.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Machine(Box<Machine>),
    Device(Box<Stored<Device>>),
}

impl Node {
    pub(crate) fn system_id(&self) -> &SystemId {
        match self {
            Self::Machine(machine) => &machine.system_id,
            Self::Device(device) => &device.value.system_id,
        }
    }

    pub(crate) fn interfaces(&self) -> &Interfaces {
        match self {
            Self::Machine(machine) => &machine.interfaces,
            Self::Device(device) => &device.value.interfaces,
        }
    }

    /// Whether the actor may do this much. A device belongs to its creator, who may change it.
    pub(crate) fn allows(&self, actor: &Actor, permission: Permission) -> bool {
        match self {
            Self::Machine(machine) => allows(actor, machine, permission),
            Self::Device(device) => {
                actor.role == Role::Admin || device.value.owner == actor.username
            }
        }
    }

    /// The interfaces after these edits, and the number of the one that the last is about.
    fn edited(&self, edits: &[Edit], networks: &Snapshot) -> Result<(Self, Option<u64>), Refusal> {
        let mut node = self.clone();
        let mut newest = None;
        for edit in edits {
            let edit = match (edit, newest) {
                (Edit::LinkSubnet { id: NEWEST, link }, Some(id)) => {
                    Edit::LinkSubnet { id, link: *link }
                }
                (edit, _) => edit.clone(),
            };
            newest = match &mut node {
                Self::Machine(machine) => machine.edit_interfaces(&edit, &networks.places)?,
                Self::Device(device) => {
                    let interfaces = &mut device.value.interfaces;
                    let (after, id) = interfaces.edit(&edit, Kind::Device, &networks.places)?;
                    *interfaces = after;
                    id
                }
            };
        }
        Ok((node, newest))
    }

    fn interfaces_mut(&mut self) -> &mut Interfaces {
        match self {
            Self::Machine(machine) => &mut machine.interfaces,
            Self::Device(device) => &mut device.value.interfaces,
        }
    }
}

/// The machine or device with this id.
pub(crate) async fn by_id(region: &Region, id: &SystemId) -> Result<Option<Node>, Problem> {
    if let Some(machine) = region.store.machine(id).await.map_err(Problem::internal)? {
        return Ok(Some(Node::Machine(Box::new(Arc::unwrap_or_clone(machine)))));
    }
    let device = region.store.by_key::<Device>(id.as_str()).await.map_err(Problem::internal)?;
    Ok(device.map(|device| Node::Device(Box::new(device))))
}

/// The node in the path, for a caller who may do this much; one that the caller may not see is
/// not there.
pub(crate) async fn find(
    region: &Region,
    request: &Request,
    permission: Permission,
) -> Result<Node, Problem> {
    let not_found = || Problem::not_found(NO_NODE);
    let id: SystemId = request.param("system_id").parse().map_err(|_| not_found())?;
    let node = by_id(region, &id).await?.ok_or_else(not_found)?;
    let actor = crate::api::actor(request)?;
    if !node.allows(&actor, Permission::View) {
        return Err(not_found());
    }
    if !node.allows(&actor, permission) {
        return Err(Problem::Forbidden("You do not have the required permissions.".to_owned()));
    }
    Ok(node)
}

/// Makes the edits, all or none, with the addresses that they need: new ones are claimed before
/// the change is stored, old ones given back after it.
pub(crate) async fn change(
    region: Arc<Region>,
    node: Node,
    edits: Vec<Edit>,
    actor: Actor,
) -> Result<(Node, Option<u64>), Problem> {
    // On a task of its own: a client that goes away must not leave addresses that nobody has.
    let work = tokio::spawn(async move {
        let mut node = node;
        for _ in 0..ATTEMPTS {
            let networks = region.networks().await?;
            let (mut after, id) = node.edited(&edits, &networks)?;
            let mut claims = Claims::new(&region, node.system_id().clone(), &actor.username);
            let claimed =
                claims.cover(node.interfaces(), after.interfaces_mut(), LinkMode::Static).await;
            if let Err(problem) = claimed {
                claims.undo().await;
                return Err(problem);
            }
            match store(&region, &node, &after).await {
                Ok(Some(stored)) => {
                    let (had, has) = (node.interfaces(), stored.interfaces());
                    addresses::give_back(&*region.store, node.system_id(), had, has).await;
                    return Ok((stored, id));
                }
                Ok(None) => {
                    claims.undo().await;
                    let again = by_id(&region, node.system_id()).await?;
                    node = again.ok_or_else(|| Problem::not_found(NO_NODE))?;
                }
                Err(problem) => {
                    claims.undo().await;
                    return Err(problem);
                }
            }
        }
        Err(ApplyError::Busy(node.system_id().clone()).into())
    });
    work.await.map_err(Problem::internal)?
}

/// The interfaces of all nodes that are plugged into these VLANs or carry their tags, in words.
pub(crate) async fn connected_to(region: &Region, vlans: &[u64]) -> Result<Vec<String>, Problem> {
    let machines = region.store.machines(&MachineFilter::all()).await.map_err(Problem::internal)?;
    let devices = region.store.list::<Device>().await.map_err(Problem::internal)?;
    let machines = machines.iter().map(|it| (&*it.interfaces, it.hostname.as_str()));
    let devices = devices.iter().map(|it| (&it.value.interfaces, it.value.hostname.as_str()));
    let on_node = |(interfaces, host): (&Interfaces, &str)| -> Vec<String> {
        let here = interfaces.iter().filter(|it| it.vlan.is_some_and(|id| vlans.contains(&id)));
        here.map(|it| format!("{} ({}) on {host}", it.name, it.kind.word())).collect()
    };
    Ok(machines.chain(devices).flat_map(on_node).collect())
}

/// Lets the interfaces of all nodes leave a VLAN that was deleted.
pub(crate) async fn leave_vlan(
    region: &Region,
    vlan: u64,
    instead: Option<u64>,
) -> Result<(), Problem> {
    let machines = region.store.machines(&MachineFilter::all()).await;
    for mut machine in machines.map_err(Problem::internal)? {
        if machine.interfaces.leave_vlan(vlan, instead) {
            let left = region.edit::<ApplyError>(&machine.system_id, |machine| {
                machine.interfaces.leave_vlan(vlan, instead);
                Ok(Vec::new())
            });
            match left.await {
                Ok(_) | Err(ApplyError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    for mut device in region.store.list::<Device>().await.map_err(Problem::internal)? {
        while device.value.interfaces.leave_vlan(vlan, instead) {
            let id = device.id;
            match region.store.update(device).await {
                Ok(_) | Err(DocumentError::Gone { .. }) => break,
                Err(DocumentError::Conflict { .. }) => {
                    let newer = region.store.find::<Device>(id).await.map_err(Problem::internal)?;
                    let Some(newer) = newer else { break };
                    device = newer;
                }
                Err(error) => return Err(Problem::internal(error)),
            }
        }
    }
    Ok(())
}

/// Stores the changed interfaces; `None` when the node is no longer as the change was made for.
async fn store(region: &Region, before: &Node, after: &Node) -> Result<Option<Node>, Problem> {
    match (before, after) {
        (Node::Machine(before), Node::Machine(after)) => {
            let stored = region
                .edit::<Stale>(&before.system_id, |machine| {
                    if machine.interfaces != before.interfaces
                        || machine.status != before.status
                        || machine.mac_addresses != before.mac_addresses
                        || machine.configuration.network != before.configuration.network
                    {
                        return Err(Stale::Changed);
                    }
                    machine.interfaces.clone_from(&after.interfaces);
                    machine.mac_addresses.clone_from(&after.mac_addresses);
                    Ok(Vec::new())
                })
                .await;
            match stored {
                Ok(machine) => Ok(Some(Node::Machine(Box::new(Arc::unwrap_or_clone(machine))))),
                Err(Stale::Changed) => Ok(None),
                Err(Stale::Apply(ApplyError::Duplicate(crate::store::Duplicate::Mac {
                    mac,
                    machine,
                }))) => Err(Problem::field(
                    "mac_address",
                    format!("MAC address {mac} already in use on {machine}."),
                )),
                Err(Stale::Apply(error)) => Err(error.into()),
            }
        }
        (_, Node::Device(after)) => match region.store.update((**after).clone()).await {
            Ok(stored) => Ok(Some(Node::Device(Box::new(stored)))),
            Err(DocumentError::Conflict { .. }) => Ok(None),
            Err(DocumentError::Gone { .. }) => Err(Problem::not_found(NO_NODE)),
            Err(error) => Err(Problem::internal(error)),
        },
        (Node::Device(_), Node::Machine(_)) => Err(Problem::internal("a device became a machine")),
    }
}

enum Stale {
    Changed,
    Apply(ApplyError),
}

impl From<ApplyError> for Stale {
    fn from(error: ApplyError) -> Self {
        Self::Apply(error)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match (refusal.kind(), refusal) {
            (_, Refusal::Field { field, message }) => Self::field(field, message),
            (RefusalKind::NotFound, refusal) => Self::not_found(refusal.to_string()),
            (RefusalKind::Forbidden, refusal) => Self::Forbidden(refusal.to_string()),
            (RefusalKind::Invalid, refusal) => Self::bad_request(refusal.to_string()),
            (_, refusal) => Self::Conflict(refusal.to_string()),
        }
    }
}
