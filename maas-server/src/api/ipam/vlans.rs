//! VLANs, by fabric and tag or by their own number.

use std::sync::Arc;

use maas_core::ipam::{Networks, Vlan};
use maas_netconfig::{Mtu, Vid};

use super::super::view::network;
use super::{change, fabrics, missing, networks, set_filled, set_text};
use crate::http::{
    Access, Fields, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::nodes;
use crate::region::Region;

const VLANS: &str = "/MAAS/api/2.0/fabrics/{fabric_id}/vlans/";
const VLAN: &str = "/MAAS/api/2.0/fabrics/{fabric_id}/vlans/{vid}/";
const BY_ID: &str = "/MAAS/api/2.0/vlans/{id}/";

const PARAMS: &[Param] = &[
    Param::optional("vid", "The tag, 0 to 4094; unique in the fabric."),
    Param::optional("name", "What to call it."),
    Param::optional("description", "Free text."),
    Param::optional("mtu", "Bytes, 552 to 65535."),
    Param::optional("space", "The space, by number or name; empty for none."),
    Param::optional("dhcp_on", "Whether this server gives out addresses here."),
    Param::optional("primary_rack", "The system id of the rack controller that does."),
    Param::optional("secondary_rack", "The one that does when the first cannot."),
    Param::optional("relay_vlan", "The number of the VLAN that DHCP requests are relayed to."),
];

/// The longest system id of a rack controller.
const LONGEST_RACK: usize = 41;

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("VlansHandler", VLANS, "The VLANs of a fabric.", list),
        post("VlansHandler", VLANS, "Adds a VLAN to a fabric.", create)
            .access(Access::Admin)
            .params(PARAMS),
        get("VlanHandler", VLAN, "One VLAN.", read).alias(BY_ID),
        put("VlanHandler", VLAN, "Changes a VLAN.", update)
            .alias(BY_ID)
            .access(Access::Admin)
            .params(PARAMS)
            .params(&[Param::optional("fabric", "The fabric that it moves to.")]),
        delete(
            "VlanHandler",
            VLAN,
            "Deletes a VLAN without subnets; its interfaces go to the fabric's default VLAN.",
            remove,
        )
        .alias(BY_ID)
        .access(Access::Admin),
    ]
}

async fn list(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let fabric = fabrics::find(&networks, &request)?;
    let views = networks.vlans_of(fabric).map(|(id, _)| network::vlan(&networks, id));
    Reply::json(&views.collect::<Vec<_>>())
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let (id, networks) = change(&region, |networks| {
        let fabric = fabrics::find(networks, &request)?;
        // Without a tag it would be a second untagged VLAN.
        request.fields().required("vid")?;
        let mut vlan = Vlan::new(fabric, Vid::UNTAGGED);
        apply(&mut vlan, networks, request.fields())?;
        Ok(networks.add_vlan(vlan)?)
    })
    .await?;
    Reply::json(&network::vlan(&networks, id))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    Reply::json(&network::vlan(&networks, find(&networks, &request)?))
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let (id, networks) = change(&region, |networks| {
        let id = find(networks, &request)?;
        let mut vlan = networks.vlans().get(id).cloned().ok_or_else(|| missing("VLAN"))?;
        if let Some(text) = request.fields().filled("fabric")? {
            vlan.fabric_id = networks
                .fabric_named(text)
                .ok_or_else(|| Problem::field("fabric", "There is no such fabric."))?;
        }
        apply(&mut vlan, networks, request.fields())?;
        networks.set_vlan(id, vlan)?;
        Ok(id)
    })
    .await?;
    Reply::json(&network::vlan(&networks, id))
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let ((id, instead), _) = change(&region, |networks| {
        let id = find(networks, &request)?;
        let fabric = networks.vlans().get(id).map(|vlan| vlan.fabric_id);
        networks.remove_vlan(id)?;
        Ok((id, fabric.and_then(|fabric| networks.default_vlan(fabric))))
    })
    .await?;
    nodes::leave_vlan(&region, id, instead).await?;
    Ok(Reply::no_content())
}

/// The VLAN in the path, in either form.
fn find(networks: &Networks, request: &Request) -> Result<u64, Problem> {
    let found = if request.param("fabric_id").is_empty() {
        request.param("id").parse().ok().filter(|id| networks.vlans().get(*id).is_some())
    } else {
        let fabric = fabrics::find(networks, request)?;
        let vid = match request.param("vid") {
            "untagged" => Some(0),
            text => text.parse().ok(),
        };
        vid.and_then(|vid| networks.vlan_by_vid(fabric, vid))
    };
    found.ok_or_else(|| missing("VLAN"))
}

fn apply(vlan: &mut Vlan, networks: &Networks, fields: &Fields) -> Result<(), Problem> {
    set_filled(&mut vlan.name, fields, "name")?;
    set_text(&mut vlan.description, fields, "description")?;
    if let Some(vid) = fields.number::<u16>("vid")? {
        vlan.vid = Vid::new(vid).map_err(|_| {
            Problem::field("vid", "VLAN tag (VID) out of range (0-4094).".to_owned())
        })?;
    }
    if let Some(mtu) = fields.number::<u32>("mtu")? {
        vlan.mtu =
            Mtu::new(mtu).map_err(|_| Problem::field("mtu", "Expected 552 to 65535 bytes."))?;
    }
    if let Some(on) = fields.flag("dhcp_on")? {
        vlan.dhcp_on = on;
    }
    if let Some(text) = fields.text("space")? {
        vlan.space_id = networks
            .space_named(text)
            .ok_or_else(|| Problem::field("space", "There is no such space."))?;
    }
    for (name, slot) in
        [("primary_rack", &mut vlan.primary_rack), ("secondary_rack", &mut vlan.secondary_rack)]
    {
        if let Some(text) = fields.text(name)? {
            if text.len() > LONGEST_RACK {
                return Err(Problem::field(
                    name,
                    "This is not the system id of a rack controller.",
                ));
            }
            *slot = Some(text.to_owned()).filter(|text| !text.is_empty());
        }
    }
    if vlan.secondary_rack.is_some() && vlan.secondary_rack == vlan.primary_rack {
        return Err(Problem::field(
            "secondary_rack",
            "The primary and secondary rack must be different.",
        ));
    }
    if fields.contains("relay_vlan") {
        vlan.relay_vlan = fields.number("relay_vlan")?;
    }
    Ok(())
}
