//! Addresses that DHCP keeps for a MAC address.

use std::net::IpAddr;
use std::sync::Arc;

use maas_core::ipam::{Holder, Networks, ReservedIp};
use maas_netconfig::Mac;

use super::super::view::network;
use super::{change, id, missing, networks, required_address, set_text, subnet};
use crate::http::{
    Access, Fields, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::ipam;
use crate::region::Region;

const RESERVED: &str = "/MAAS/api/2.0/reservedips/";
const ONE: &str = "/MAAS/api/2.0/reservedips/{id}/";

const PARAMS: &[Param] = &[
    Param::required("ip", "The address."),
    Param::required("mac_address", "Whose."),
    Param::optional("subnet", "The subnet; that of the address when none is given."),
    Param::optional("comment", "Free text."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("ReservedIpsHandler", RESERVED, "All reserved addresses.", list),
        post("ReservedIpsHandler", RESERVED, "Reserves an address for a MAC address.", create)
            .access(Access::Admin)
            .params(PARAMS),
        get("ReservedIpHandler", ONE, "One reserved address.", read),
        put("ReservedIpHandler", ONE, "Changes the comment of a reserved address.", update)
            .access(Access::Admin)
            .params(PARAMS),
        delete("ReservedIpHandler", ONE, "Deletes a reserved address.", remove)
            .access(Access::Admin),
    ]
}

async fn list(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let rows = networks.reserved_ips().iter();
    let views = rows.map(|(id, one)| network::reserved_ip(&networks, id, one));
    Reply::json(&views.collect::<Vec<_>>())
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let ip = required_address(request.fields(), "ip")?;
    refuse_held(&region, &request, &ip).await?;
    let (id, networks) = change(&region, |networks| {
        let fields = request.fields();
        let ip = required_address(fields, "ip")?;
        let subnet_id =
            subnet(fields, "subnet", networks)?.or_else(|| networks.subnet_of(&ip)).ok_or_else(
                || Problem::field("subnet", "Could not find a suitable subnet for the address."),
            )?;
        fields.required("mac_address")?;
        let mut reserved =
            ReservedIp { subnet_id, ip, mac_address: mac(fields)?, comment: String::new() };
        set_text(&mut reserved.comment, fields, "comment")?;
        Ok(networks.add_reserved_ip(reserved)?)
    })
    .await?;
    // Who claims an address looks at the reservations afterwards, and who reserves one looks at
    // the claims afterwards: one of two sees the other.
    if let Err(problem) = refuse_held(&region, &request, &ip).await {
        change(&region, |networks| Ok(networks.remove_reserved_ip(id)?)).await?;
        return Err(problem);
    }
    reply(&networks, id)
}

/// Refuses an address that somebody holds, unless it is the interface with this MAC address.
async fn refuse_held(region: &Region, request: &Request, ip: &IpAddr) -> Result<(), Problem> {
    let lease = ipam::lease::lease_of(&*region.store, ip).await.map_err(Problem::internal)?;
    let Some(lease) = lease else { return Ok(()) };
    let mac = mac(request.fields())?;
    let own = match &lease.value.holder {
        Holder::Link { system_id, interface, .. } => {
            let node = crate::nodes::by_id(region, system_id).await?;
            node.and_then(|node| {
                let interfaces = node.interfaces();
                interfaces.by_id(*interface).and_then(|one| interfaces.mac_of(one))
            })
        }
        Holder::Reservation { mac_address, .. } => {
            mac_address.as_deref().and_then(|mac| mac.parse().ok())
        }
        _ => None,
    };
    if own.is_some() && own == mac {
        return Ok(());
    }
    Err(Problem::field("ip", format!("The IP address {ip} is already in use.")))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    reply(&*networks(&region).await?, id(&request, "ReservedIP")?)
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let id = id(&request, "ReservedIP")?;
    let ((), networks) = change(&region, |networks| {
        let fields = request.fields();
        let old = networks.reserved_ips().get(id).ok_or_else(|| missing("ReservedIP"))?;
        let mut reserved = old.clone();
        // A DHCP server has told the machine already: another address is another reservation.
        for (name, is) in [
            ("ip", Some(old.ip.to_string())),
            ("mac_address", old.mac_address.map(|mac| mac.to_string())),
        ] {
            let given = match name {
                "mac_address" => mac(fields)?.map(|mac| mac.to_string()),
                _ => super::address(fields, name)?.map(|ip| ip.to_string()),
            };
            if given.is_some() && given != is {
                return Err(Problem::field(
                    name,
                    "This cannot be changed; delete and reserve again.",
                ));
            }
        }
        set_text(&mut reserved.comment, fields, "comment")?;
        Ok(networks.set_reserved_ip(id, reserved)?)
    })
    .await?;
    reply(&networks, id)
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let id = id(&request, "ReservedIP")?;
    change(&region, |networks| Ok(networks.remove_reserved_ip(id)?)).await?;
    Ok(Reply::no_content())
}

fn mac(fields: &Fields) -> Result<Option<Mac>, Problem> {
    let Some(text) = fields.filled("mac_address")? else { return Ok(None) };
    match text.trim().parse::<Mac>() {
        Ok(mac) => Ok(Some(mac)),
        Err(_) => {
            Err(Problem::field("mac_address", format!("'{text}' is not a valid MAC address.")))
        }
    }
}

fn reply(networks: &Networks, id: u64) -> Result<Reply, Problem> {
    let reserved = networks.reserved_ips().get(id).ok_or_else(|| missing("ReservedIP"))?;
    Reply::json(&network::reserved_ip(networks, id, reserved))
}
