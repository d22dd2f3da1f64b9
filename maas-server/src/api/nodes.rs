//! Machines and devices in one list (`api.md` §4.1).

use std::sync::Arc;

use maas_core::machine::permission::Permission;
use serde_json::{Map, Value};

use super::list;
use super::machines::mac_or_no_machines;
use super::{actor, devices};
use crate::devices as stored_devices;
use crate::http::{Access, Operation, Param, Problem, Reply, Request, delete, get, post};
use crate::nodes::{self, Node};
use crate::places::Catalogue;
use crate::region::{ApplyError, Region};

const NODES: &str = "/MAAS/api/2.0/nodes/";
const NODE: &str = "/MAAS/api/2.0/nodes/{system_id}/";

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("NodesHandler", NODES, "Machines and devices that match every filter.", all).params(&[
            Param::repeated("id", "System ids."),
            Param::repeated("hostname", "Host names."),
            Param::repeated("mac_address", "MAC addresses."),
            Param::repeated("domain", "DNS domains."),
            Param::repeated("zone", "Zones."),
            Param::optional("agent_name", "The agent name."),
            Param::optional("limit", "At most so many; an extension."),
            Param::optional("offset", "How many are left out at the beginning; an extension."),
            Param::repeated("fields", "Only these keys of each node; an extension."),
        ]),
        post("NodesHandler", NODES, "Puts machines and devices into a zone.", set_zone)
            .op("set_zone")
            .access(Access::Admin)
            .params(&[
                Param::required("zone", "The zone's name."),
                Param::repeated("nodes", "System ids."),
            ]),
        get("NodesHandler", NODES, "Whether a MAC address is known.", is_registered)
            .op("is_registered")
            .access(Access::Anyone)
            .params(&[Param::required("mac_address", "The MAC address.")]),
        get("NodeHandler", NODE, "A machine or a device.", read),
        delete("NodeHandler", NODE, "Deletes a machine or a device.", remove),
        get("NodeHandler", NODE, "The power driver's parameters of a machine.", power_parameters)
            .op("power_parameters")
            .access(Access::Admin),
    ]
}

async fn all(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let actor = actor(&request)?;
    let devices = devices::matching(&region, &actor, request.fields()).await?;
    list::with_devices(region, &request, devices).await
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let node = nodes::find(&region, &request, Permission::View).await?;
    let catalogue = Catalogue::load(&region).await?;
    match &node {
        Node::Machine(machine) => {
            Ok(Reply::json_bytes(catalogue.write(machine).end().into_bytes()))
        }
        Node::Device(device) => Reply::json(&catalogue.show_device(&device.value)),
    }
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    match nodes::find(&region, &request, Permission::Admin).await? {
        Node::Machine(_) => super::machines::remove(region, request).await,
        Node::Device(device) => {
            stored_devices::delete(&region, &device).await?;
            Ok(Reply::no_content())
        }
    }
}

async fn power_parameters(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    match nodes::find(&region, &request, Permission::AdminRead).await? {
        Node::Machine(machine) => Reply::json(machine.power.parameters.expose()),
        Node::Device(_) => Reply::json(&Value::Object(Map::new())),
    }
}

async fn is_registered(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let text = request.fields().required("mac_address")?;
    let mac = mac_or_no_machines(text.to_owned());
    if region.store.machine_by_mac(&mac).await.map_err(Problem::internal)?.is_some() {
        return Reply::json(&true);
    }
    let Ok(mac) = mac.parse() else { return Reply::json(&false) };
    let devices = region.store.list::<stored_devices::Device>().await.map_err(Problem::internal)?;
    Reply::json(&devices.iter().any(|device| device.value.interfaces.by_mac(mac).is_some()))
}

async fn set_zone(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let zone = request.fields().required("zone")?.to_owned();
    super::zones::check(&region, Some(&zone), None).await?;
    let actor = actor(&request)?;
    let mut found = Vec::new();
    for word in request.fields().words("nodes")? {
        let node = match word.parse() {
            Ok(id) => nodes::by_id(&region, &id).await?,
            Err(_) => None,
        };
        let node = node.ok_or_else(|| Problem::bad_request(format!("Unknown node: {word}.")))?;
        if !node.allows(&actor, Permission::Admin) {
            return Err(Problem::Forbidden("You do not have the required permissions.".to_owned()));
        }
        found.push(node);
    }
    for node in found {
        match node {
            Node::Machine(machine) => {
                region
                    .edit::<ApplyError>(&machine.system_id, |machine| {
                        machine.zone.clone_from(&zone);
                        Ok(Vec::new())
                    })
                    .await?;
            }
            Node::Device(device) => {
                devices::edit(&region, *device, |device| device.zone.clone_from(&zone)).await?;
            }
        }
    }
    Ok(Reply::ok())
}
