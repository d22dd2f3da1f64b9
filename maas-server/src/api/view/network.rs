//! Fabrics, VLANs, spaces, subnets, ranges, routes and DNS (API 2.0); nested as clients read them.

use std::net::IpAddr;

use maas_core::ipam::{
    DnsRecord, DnsResource, Domain, Fabric, IpRange, NO_SPACE, Networks, Piece, ReservedIp, Space,
    StaticRoute, Statistics, Subnet,
};
use serde_json::{Map, Value, json};

const API: &str = "/MAAS/api/2.0";

/// A VLAN, or null when there is no such VLAN.
pub(crate) fn vlan(networks: &Networks, id: u64) -> Value {
    let Some(vlan) = networks.vlans().get(id) else { return Value::Null };
    // A relay is shown without its own relay: two VLANs may relay to each other.
    let relay = vlan.relay_vlan.map_or(Value::Null, |relay| flat_vlan(networks, relay));
    let mut view = flat_vlan(networks, id);
    if let Value::Object(object) = &mut view {
        object.insert("relay_vlan".to_owned(), relay);
    }
    view
}

fn flat_vlan(networks: &Networks, id: u64) -> Value {
    let Some(vlan) = networks.vlans().get(id) else { return Value::Null };
    json!({
        "id": id, "name": vlan.name, "vid": vlan.vid.number(),
        "fabric": fabric_name(networks, vlan.fabric_id), "fabric_id": vlan.fabric_id,
        "mtu": vlan.mtu.bytes(), "dhcp_on": vlan.dhcp_on, "external_dhcp": null,
        "relay_vlan": null, "primary_rack": vlan.primary_rack,
        "secondary_rack": vlan.secondary_rack, "space": networks.space_name(id),
        "description": vlan.description, "resource_uri": format!("{API}/vlans/{id}/"),
    })
}

fn fabric_name(networks: &Networks, id: u64) -> &str {
    networks.fabrics().get(id).map_or("", |fabric| &fabric.name)
}

/// A subnet, or null when there is no such subnet.
pub(crate) fn subnet(networks: &Networks, id: u64) -> Value {
    networks.subnets().get(id).map_or(Value::Null, |one| subnet_of(networks, id, one))
}

/// A subnet that is at hand.
pub(crate) fn subnet_of(networks: &Networks, id: u64, subnet: &Subnet) -> Value {
    json!({
        "id": id, "name": subnet.name, "description": subnet.description,
        "vlan": vlan(networks, subnet.vlan_id), "space": networks.space_name(subnet.vlan_id),
        "cidr": subnet.cidr, "gateway_ip": subnet.gateway_ip, "dns_servers": subnet.dns_servers,
        "rdns_mode": subnet.rdns_mode as u8, "active_discovery": subnet.active_discovery,
        "allow_dns": subnet.allow_dns, "allow_proxy": subnet.allow_proxy,
        "managed": subnet.managed,
        "disabled_boot_architectures": subnet.disabled_boot_architectures,
        "resource_uri": format!("{API}/subnets/{id}/"),
    })
}

/// A fabric with its VLANs.
pub(crate) fn fabric(networks: &Networks, id: u64, fabric: &Fabric) -> Value {
    let vlans: Vec<Value> = networks.vlans_of(id).map(|(id, _)| vlan(networks, id)).collect();
    json!({
        "id": id, "name": fabric.name, "description": fabric.description,
        "class_type": fabric.class_type, "vlans": vlans,
        "resource_uri": format!("{API}/fabrics/{id}/"),
    })
}

/// A space with its VLANs and subnets.
pub(crate) fn space(networks: &Networks, id: u64, space: &Space) -> Value {
    space_view(networks, Some(id), json!(id), &space.name, &space.description)
}

/// The space of everything that is in none.
pub(crate) fn no_space(networks: &Networks) -> Value {
    space_view(networks, None, json!(-1), NO_SPACE, "")
}

fn space_view(
    networks: &Networks,
    space: Option<u64>,
    id: Value,
    name: &str,
    description: &str,
) -> Value {
    let vlans: Vec<u64> = networks
        .vlans()
        .iter()
        .filter(|(_, vlan)| vlan.space_id == space)
        .map(|(id, _)| id)
        .collect();
    let subnets: Vec<Value> = networks
        .subnets()
        .iter()
        .filter(|(_, subnet)| vlans.contains(&subnet.vlan_id))
        .map(|(id, subnet)| subnet_of(networks, id, subnet))
        .collect();
    let uri = match space {
        Some(id) => format!("{API}/spaces/{id}/"),
        None => format!("{API}/spaces/{NO_SPACE}/"),
    };
    let vlans: Vec<Value> = vlans.into_iter().map(|id| vlan(networks, id)).collect();
    json!({
        "id": id, "name": name, "description": description, "vlans": vlans, "subnets": subnets,
        "resource_uri": uri,
    })
}

/// A range.
pub(crate) fn ip_range(networks: &Networks, id: u64, range: &IpRange) -> Value {
    json!({
        "id": id, "type": range.kind.as_str(), "start_ip": range.start_ip, "end_ip": range.end_ip,
        "subnet": subnet(networks, range.subnet_id), "comment": range.comment,
        "user": range.user.as_deref().map(user), "resource_uri": format!("{API}/ipranges/{id}/"),
    })
}

/// A user as other objects refer to one: nothing but the name.
pub(crate) fn user(name: &str) -> Value {
    json!({"username": name})
}

/// An address kept for a MAC address.
pub(crate) fn reserved_ip(networks: &Networks, id: u64, reserved: &ReservedIp) -> Value {
    json!({
        "id": id, "ip": reserved.ip, "subnet": subnet(networks, reserved.subnet_id),
        "mac_address": reserved.mac_address.map(|mac| mac.to_string()),
        "comment": reserved.comment, "resource_uri": format!("{API}/reservedips/{id}/"),
    })
}

/// A static route.
pub(crate) fn static_route(networks: &Networks, id: u64, route: &StaticRoute) -> Value {
    json!({
        "id": id, "source": subnet(networks, route.source),
        "destination": subnet(networks, route.destination), "gateway_ip": route.gateway_ip,
        "metric": route.metric, "resource_uri": format!("{API}/static-routes/{id}/"),
    })
}

/// A domain.
pub(crate) fn domain(networks: &Networks, id: u64, domain: &Domain) -> Value {
    json!({
        "id": id, "name": domain.name, "authoritative": domain.authoritative, "ttl": domain.ttl,
        "is_default": networks.default_domain() == id,
        "resource_record_count": networks.record_count(id),
        "resource_uri": format!("{API}/domains/{id}/"),
    })
}

/// A name with its addresses and records.
pub(crate) fn dns_resource(networks: &Networks, id: u64, resource: &DnsResource) -> Value {
    let addresses: Vec<Value> =
        resource.ip_addresses.iter().map(|ip| dns_address(networks, ip)).collect();
    let records: Vec<Value> =
        networks.records_of(id).map(|(id, record)| dns_record(networks, id, record)).collect();
    json!({
        "id": id, "fqdn": networks.fqdn(resource), "address_ttl": resource.address_ttl,
        "ip_addresses": addresses, "resource_records": records,
        "resource_uri": format!("{API}/dnsresources/{id}/"),
    })
}

/// An address of a name, in the shape of `ipaddresses/`. Keys of what is not known are left out.
fn dns_address(networks: &Networks, ip: &IpAddr) -> Value {
    let mut object = Map::new();
    object.insert("ip".to_owned(), json!(ip));
    object.insert("resource_uri".to_owned(), json!(format!("{API}/ipaddresses/")));
    if let Some(id) = networks.subnet_of(ip) {
        object.insert("subnet".to_owned(), subnet(networks, id));
    }
    Value::Object(object)
}

/// A record of a name.
pub(crate) fn dns_record(networks: &Networks, id: u64, record: &DnsRecord) -> Value {
    let fqdn = networks.dns_resources().get(record.resource_id).map(|it| networks.fqdn(it));
    json!({
        "id": id, "fqdn": fqdn, "rrtype": record.rrtype.as_str(), "rrdata": record.rrdata,
        "ttl": record.ttl, "resource_uri": format!("{API}/dnsresourcerecords/{id}/"),
    })
}

/// Neighbouring addresses with their purposes.
pub(crate) fn piece(piece: &Piece) -> Value {
    json!({
        "start": piece.span.first(), "end": piece.span.last(),
        "num_addresses": number(piece.span.len()), "purpose": piece.purposes,
    })
}

/// Neighbouring addresses that are free.
pub(crate) fn gap(piece: &Piece) -> Value {
    json!({
        "start": piece.span.first(), "end": piece.span.last(),
        "num_addresses": number(piece.span.len()),
    })
}

/// How full a subnet is.
pub(crate) fn statistics(statistics: &Statistics) -> Value {
    let percent = |share: f64| format!("{:.0}%", share * 100.0);
    json!({
        "num_available": number(statistics.num_available),
        "largest_available": number(statistics.largest_available),
        "num_unavailable": number(statistics.num_unavailable),
        "total_addresses": number(statistics.total_addresses),
        "usage": statistics.usage, "usage_string": percent(statistics.usage),
        "available_string": percent(1.0 - statistics.usage),
        "first_address": statistics.first_address, "last_address": statistics.last_address,
        "ip_version": if statistics.first_address.is_ipv4() { 4 } else { 6 },
    })
}

/// A count of addresses. IPv6 has more than a JSON reader's integer holds: the most that does is
/// shown then.
fn number(count: u128) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
