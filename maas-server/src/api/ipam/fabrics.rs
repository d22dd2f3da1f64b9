//! Fabrics.

use std::sync::Arc;

use maas_core::ipam::Fabric;

use super::super::view::network;
use super::{change, missing, networks, set_filled, set_text};
use crate::http::{
    Access, Fields, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::nodes;
use crate::region::Region;

const FABRICS: &str = "/MAAS/api/2.0/fabrics/";
const FABRIC: &str = "/MAAS/api/2.0/fabrics/{id}/";

const PARAMS: &[Param] = &[
    Param::optional("name", "Unique; fabric-N when none is given."),
    Param::optional("description", "Free text."),
    Param::optional("class_type", "The kind of fabric, in the operator's own words."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("FabricsHandler", FABRICS, "All fabrics with their VLANs.", list),
        post("FabricsHandler", FABRICS, "Adds a fabric with an untagged VLAN.", create)
            .access(Access::Admin)
            .params(PARAMS),
        get("FabricHandler", FABRIC, "One fabric, by number or name.", read),
        put("FabricHandler", FABRIC, "Changes a fabric.", update)
            .access(Access::Admin)
            .params(PARAMS),
        delete("FabricHandler", FABRIC, "Deletes a fabric without subnets.", remove)
            .access(Access::Admin),
    ]
}

async fn list(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let views = networks.fabrics().iter().map(|(id, one)| network::fabric(&networks, id, one));
    Reply::json(&views.collect::<Vec<_>>())
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let (id, networks) = change(&region, |networks| {
        let mut fabric = Fabric::new("");
        apply(&mut fabric, request.fields())?;
        Ok(networks.add_fabric(fabric)?)
    })
    .await?;
    reply(&networks, id)
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    reply(&networks, find(&networks, &request)?)
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let (id, networks) = change(&region, |networks| {
        let id = find(networks, &request)?;
        let mut fabric = networks.fabrics().get(id).cloned().ok_or_else(|| missing("Fabric"))?;
        apply(&mut fabric, request.fields())?;
        networks.set_fabric(id, fabric)?;
        Ok(id)
    })
    .await?;
    reply(&networks, id)
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let fabric = find(&networks, &request)?;
    let vlans: Vec<u64> = networks.vlans_of(fabric).map(|(id, _)| id).collect();
    let connected = nodes::connected_to(&region, &vlans).await?;
    change(&region, |networks| {
        let id = find(networks, &request)?;
        if !connected.is_empty() {
            return Err(Problem::Conflict(format!(
                "Can't delete fabric; the following interfaces are still connected: {}",
                connected.join(", ")
            )));
        }
        Ok(networks.remove_fabric(id)?)
    })
    .await?;
    Ok(Reply::no_content())
}

fn apply(fabric: &mut Fabric, fields: &Fields) -> Result<(), Problem> {
    set_filled(&mut fabric.name, fields, "name")?;
    set_text(&mut fabric.description, fields, "description")?;
    if let Some(class) = fields.text("class_type")? {
        fabric.class_type = Some(class.to_owned()).filter(|class| !class.is_empty());
    }
    Ok(())
}

/// The fabric in the path.
pub(super) fn find(
    networks: &maas_core::ipam::Networks,
    request: &Request,
) -> Result<u64, Problem> {
    let text = Some(request.param("fabric_id"))
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| request.param("id"));
    let name = text.strip_prefix("name:").unwrap_or(text);
    networks.fabric_named(name).ok_or_else(|| missing("Fabric"))
}

fn reply(networks: &maas_core::ipam::Networks, id: u64) -> Result<Reply, Problem> {
    let fabric = networks.fabrics().get(id).ok_or_else(|| missing("Fabric"))?;
    Reply::json(&network::fabric(networks, id, fabric))
}
