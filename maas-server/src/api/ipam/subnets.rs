//! Subnets, and what is taken and free in them.

use std::sync::Arc;

use ipnet::IpNet;
use maas_core::ipam::{DEFAULT_FABRIC, Networks, RdnsMode, Subnet};
use serde_json::{Map, Value, json};

use super::super::dates;
use super::super::view::network;
use super::holders::Holders;
use super::{
    address, addresses, change, leased, missing, networks, one_subnet, set_filled, set_text,
};
use crate::http::{
    Access, Fields, Operation, Param, Problem, Reply, Request, delete, get, post, put,
};
use crate::ipam;
use crate::region::Region;

const SUBNETS: &str = "/MAAS/api/2.0/subnets/";
const SUBNET: &str = "/MAAS/api/2.0/subnets/{id}/";

const PARAMS: &[Param] = &[
    Param::required("cidr", "The network, e.g. 10.0.0.0/24."),
    Param::optional("name", "What to call it; the CIDR when nothing is given."),
    Param::optional("description", "Free text."),
    Param::optional("vlan", "The number of its VLAN."),
    Param::optional("fabric", "Its fabric, together with vid."),
    Param::optional("vid", "The tag of its VLAN in the fabric."),
    Param::optional("gateway_ip", "The router."),
    Param::repeated("dns_servers", "Resolvers."),
    Param::optional("rdns_mode", "Reverse DNS: 0 off, 1 on, 2 also for small networks."),
    Param::optional("active_discovery", "Whether it is scanned."),
    Param::optional("allow_dns", "Whether machines may use this server's resolver."),
    Param::optional("allow_proxy", "Whether machines may use this server's proxy."),
    Param::optional("managed", "Whether addresses come from all of it, not only reserved ranges."),
    Param::repeated("disabled_boot_architectures", "Boot architectures that get no answer."),
];

pub(super) fn operations() -> Vec<Operation<Region>> {
    vec![
        get("SubnetsHandler", SUBNETS, "All subnets.", list),
        post("SubnetsHandler", SUBNETS, "Adds a subnet.", create)
            .access(Access::Admin)
            .params(PARAMS),
        get("SubnetHandler", SUBNET, "One subnet, by number or specifier.", read),
        put("SubnetHandler", SUBNET, "Changes a subnet.", update)
            .access(Access::Admin)
            .params(PARAMS),
        delete("SubnetHandler", SUBNET, "Deletes a subnet that no machine uses.", remove)
            .access(Access::Admin)
            .params(&[Param::optional("force", "Also when users reserved addresses in it.")]),
        get("SubnetHandler", SUBNET, "What is kept or given out.", reserved)
            .op("reserved_ip_ranges"),
        get("SubnetHandler", SUBNET, "What is free.", unreserved).op("unreserved_ip_ranges"),
        get("SubnetHandler", SUBNET, "How full it is.", statistics).op("statistics").params(&[
            Param::optional("include_ranges", "Also every range."),
            Param::optional("include_suggestions", "Also a gateway and a dynamic range to take."),
        ]),
        get("SubnetHandler", SUBNET, "The addresses that are given out.", ip_addresses)
            .op("ip_addresses")
            .params(&[
                Param::optional("with_username", "Whether users are named; true unless told."),
                Param::optional("with_summary", "Whether machines are named; true unless told."),
            ]),
    ]
}

async fn list(region: Arc<Region>, _: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let views = networks.subnets().iter().map(|(id, one)| network::subnet_of(&networks, id, one));
    Reply::json(&views.collect::<Vec<_>>())
}

async fn create(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let (id, networks) = change(&region, |networks| {
        let fields = request.fields();
        let vlan = match vlan(networks, fields)? {
            Some(vlan) => vlan,
            None => networks
                .default_vlan(DEFAULT_FABRIC)
                .ok_or_else(|| Problem::field("vlan", "This field is required."))?,
        };
        let cidr =
            cidr(fields)?.ok_or_else(|| Problem::field("cidr", "This field is required."))?;
        let mut subnet = Subnet::new(cidr, vlan);
        apply(&mut subnet, fields)?;
        Ok(networks.add_subnet(subnet)?)
    })
    .await?;
    Reply::json(&network::subnet(&networks, id))
}

async fn read(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    Reply::json(&network::subnet(&networks, find(&networks, &request)?))
}

async fn update(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let leased = leased(&region).await?;
    let (id, networks) = change(&region, |networks| {
        let id = find(networks, &request)?;
        let fields = request.fields();
        let mut subnet = networks.subnets().get(id).cloned().ok_or_else(|| missing("Subnet"))?;
        let before = subnet.cidr;
        if let Some(cidr) = cidr(fields)? {
            subnet.cidr = cidr;
        }
        if let Some(vlan) = vlan(networks, fields)? {
            subnet.vlan_id = vlan;
        }
        apply(&mut subnet, fields)?;
        let left_out = leased.iter().find(|it| before.contains(*it) && !subnet.cidr.contains(*it));
        if let Some(address) = left_out {
            return Err(Problem::field(
                "cidr",
                format!("{address} is given out from this subnet."),
            ));
        }
        networks.set_subnet(id, subnet)?;
        Ok(id)
    })
    .await?;
    Reply::json(&network::subnet(&networks, id))
}

async fn remove(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let id = find(&*networks(&region).await?, &request)?;
    let force = request.fields().flag("force")?.unwrap_or(false);
    let mut held = ipam::leases(&*region.store).await.map_err(Problem::internal)?;
    held.retain(|lease| lease.value.subnet_id == id);
    let by_machines = held.iter().filter(|one| one.value.holder.system_id().is_some()).count();
    if by_machines > 0 {
        return Err(Problem::Conflict(format!(
            "Cannot delete a subnet in use: machines hold {by_machines} of its addresses."
        )));
    }
    if !held.is_empty() && !force {
        return Err(Problem::Conflict(format!(
            "Cannot delete a subnet in use: {} of its addresses are reserved by users (force \
             releases them).",
            held.len()
        )));
    }
    change(&region, |networks| Ok(networks.remove_subnet(id)?)).await?;
    for lease in &held {
        ipam::lease::free(&*region.store, lease).await.map_err(Problem::internal)?;
    }
    Ok(Reply::no_content())
}

async fn reserved(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let id = find(&networks, &request)?;
    let pieces = networks.reserved_pieces(id, &leased(&region).await?);
    Reply::json(&pieces.iter().map(network::piece).collect::<Vec<_>>())
}

async fn unreserved(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let id = find(&networks, &request)?;
    let pieces = networks.unreserved_pieces(id, &leased(&region).await?);
    Reply::json(&pieces.iter().map(network::gap).collect::<Vec<_>>())
}

async fn statistics(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let id = find(&networks, &request)?;
    let leased = leased(&region).await?;
    let statistics = networks.statistics(id, &leased).ok_or_else(|| missing("Subnet"))?;
    let mut view = network::statistics(&statistics);
    let fields = request.fields();
    let free = networks.unreserved_pieces(id, &leased);
    if let Value::Object(object) = &mut view {
        if fields.flag("include_ranges")?.unwrap_or(false) {
            let mut all = networks.reserved_pieces(id, &leased);
            all.extend(free.iter().cloned());
            all.sort_by_key(|piece| piece.span);
            let views: Vec<Value> = all.iter().map(network::piece).collect();
            object.insert("ranges".to_owned(), Value::Array(views));
        }
        if fields.flag("include_suggestions")?.unwrap_or(false) {
            suggest(&networks, id, &free, object);
        }
    }
    Reply::json(&view)
}

/// A gateway (the first address, if it is free) and a dynamic range (the largest gap).
fn suggest(
    networks: &Networks,
    id: u64,
    free: &[maas_core::ipam::Piece],
    object: &mut Map<String, Value>,
) {
    let known = networks.subnets().get(id).and_then(|subnet| subnet.gateway_ip);
    let gateway = known.or_else(|| free.first().map(|piece| piece.span.first()));
    let largest = free.iter().max_by_key(|piece| piece.span.len());
    object.insert("suggested_gateway".to_owned(), json!(gateway));
    object.insert("suggested_dynamic_range".to_owned(), largest.map_or(Value::Null, network::gap));
}

async fn ip_addresses(region: Arc<Region>, request: Request) -> Result<Reply, Problem> {
    let networks = networks(&region).await?;
    let id = find(&networks, &request)?;
    let fields = request.fields();
    let with_username = fields.flag("with_username")?.unwrap_or(true);
    let with_summary = fields.flag("with_summary")?.unwrap_or(true);
    let mut leases = ipam::leases(&*region.store).await.map_err(Problem::internal)?;
    leases.retain(|lease| lease.value.subnet_id == id);
    leases.sort_by_key(|lease| lease.value.ip);
    let mut views = Vec::with_capacity(leases.len());
    for some in leases.chunks(Holders::AT_ONCE) {
        let holders =
            if with_summary { Holders::load(&region, some).await? } else { Holders::default() };
        views.extend(some.iter().map(|lease| {
            let lease = &lease.value;
            let mut object = Map::new();
            object.insert("ip".to_owned(), json!(lease.ip));
            object.insert("alloc_type".to_owned(), json!(lease.alloc_type as u8));
            object.insert("created".to_owned(), json!(dates::event(lease.created)));
            object.insert("updated".to_owned(), json!(dates::event(lease.created)));
            if let Some(summary) = holders.summary(lease) {
                object.insert("node_summary".to_owned(), summary);
            }
            if let Some(user) = lease.user.as_ref().filter(|_| with_username) {
                object.insert("user".to_owned(), json!(user));
            }
            Value::Object(object)
        }));
    }
    Reply::json(&views)
}

/// The subnet in the path: a number or any specifier that names exactly one.
fn find(networks: &Networks, request: &Request) -> Result<u64, Problem> {
    one_subnet(request.param("id"), networks).ok_or_else(|| missing("Subnet"))
}

fn cidr(fields: &Fields) -> Result<Option<IpNet>, Problem> {
    let Some(text) = fields.filled("cidr")? else { return Ok(None) };
    match text.trim().parse::<IpNet>() {
        Ok(cidr) => Ok(Some(cidr.trunc())),
        Err(_) => Err(Problem::field(
            "cidr",
            format!("Required format: <network>/<prefixlen>, not '{text}'."),
        )),
    }
}

/// The VLAN that a form names; `None` when it names none.
fn vlan(networks: &Networks, fields: &Fields) -> Result<Option<u64>, Problem> {
    if let Some(text) = fields.filled("vlan")? {
        let id = text.strip_prefix("id:").unwrap_or(text).parse().ok();
        return match id.filter(|id| networks.vlans().get(*id).is_some()) {
            Some(id) => Ok(Some(id)),
            None => Err(Problem::field("vlan", "There is no such VLAN.")),
        };
    }
    let fabric = fields.filled("fabric")?;
    let vid = fields.number::<u16>("vid")?;
    if fabric.is_none() && vid.is_none() {
        return Ok(None);
    }
    let fabric = match fabric {
        None => DEFAULT_FABRIC,
        Some(text) => networks
            .fabric_named(text)
            .ok_or_else(|| Problem::field("fabric", "There is no such fabric."))?,
    };
    let vid = vid.unwrap_or(0);
    match networks.vlan_by_vid(fabric, vid) {
        Some(vlan) => Ok(Some(vlan)),
        None => Err(Problem::field("vid", format!("No VLAN with vid {vid} in the fabric."))),
    }
}

fn apply(subnet: &mut Subnet, fields: &Fields) -> Result<(), Problem> {
    set_filled(&mut subnet.name, fields, "name")?;
    set_text(&mut subnet.description, fields, "description")?;
    if fields.contains("gateway_ip") {
        subnet.gateway_ip = address(fields, "gateway_ip")?;
    }
    if fields.contains("dns_servers") {
        subnet.dns_servers = addresses(fields, "dns_servers")?;
    }
    if let Some(number) = fields.number::<u8>("rdns_mode")? {
        subnet.rdns_mode = RdnsMode::from_number(number)
            .ok_or_else(|| Problem::field("rdns_mode", "Expected 0, 1 or 2."))?;
    }
    for (name, slot) in [
        ("active_discovery", &mut subnet.active_discovery),
        ("allow_dns", &mut subnet.allow_dns),
        ("allow_proxy", &mut subnet.allow_proxy),
        ("managed", &mut subnet.managed),
    ] {
        if let Some(flag) = fields.flag(name)? {
            *slot = flag;
        }
    }
    if fields.contains("disabled_boot_architectures") {
        subnet.disabled_boot_architectures =
            fields.words("disabled_boot_architectures")?.into_iter().map(str::to_owned).collect();
    }
    Ok(())
}
