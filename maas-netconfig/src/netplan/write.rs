//! Renders a topology as netplan v2, free of every construct that netplan refuses or warns about.

use crate::loss::{Loss, Rendered};
use crate::model::{BridgeKind, Dns, Kind};
use crate::params;
use crate::topology::{Device, Route, RoutingPolicy, Topology};
use crate::yaml::{Map, Value};

/// Sections in the order in which netplan can resolve them without spurious warnings.
const SECTIONS: &[&str] = &[
    "ethernets",
    "dummy-devices",
    "virtual-ethernets",
    "bonds",
    "bridges",
    "vlans",
    "vrfs",
    "tunnels",
];

/// Renders netplan v2.
///
/// Differences from what MAAS emits, each because a consumer refuses or warns: gateways are
/// routes to `0.0.0.0/0` and `::/0` instead of `gateway4`/`gateway6`, IPv6 defaults are `::/0`,
/// bonds come before VLANs, default name servers reach every device that needs them.
///
/// Only name servers that no device can carry are lost; the report says so.
pub fn render(topology: &Topology) -> Rendered {
    let mut network = Map::new();
    network.insert("version", Value::Int(2));
    if let Some(renderer) = topology.extra.get("renderer") {
        network.insert("renderer", renderer.clone());
    }
    let mut losses = Vec::new();
    let mut sections: Vec<Map> = SECTIONS.iter().map(|_| Map::new()).collect();
    for device in &topology.devices {
        let mut settings = Map::new();
        let section = kind(device, &mut settings);
        let takes_default = !device.addresses.is_empty() && device.dns.is_empty();
        common(device, if takes_default { &topology.dns } else { &device.dns }, &mut settings);
        if let Some(at) = SECTIONS.iter().position(|name| *name == section) {
            sections[at].insert(device.name.as_str(), settings);
        }
    }
    if !topology.carries_default_dns() {
        losses.push(Loss::global(
            "dns",
            "netplan has no global name servers and no device has a fixed address to put them on",
        ));
    }
    for (name, section) in SECTIONS.iter().zip(sections) {
        if !section.is_empty() {
            network.insert(*name, section);
        }
    }
    for (key, value) in &topology.extra {
        lay_over(&mut network, key, value);
    }
    Rendered::new(Value::Map(network), losses)
}

/// Adds what is kept for netplan only, without replacing what the topology says.
fn lay_over(network: &mut Map, key: &str, value: &Value) {
    match (network.get_mut(key), value) {
        (None, value) => network.insert(key, value.clone()),
        (Some(Value::Map(have)), Value::Map(kept)) => {
            for (key, value) in kept.iter() {
                lay_over(have, key, value);
            }
        }
        _ => {}
    }
}

fn names(members: &[crate::name::IfName]) -> Value {
    Value::list(members.iter().map(crate::name::IfName::as_str))
}

/// Writes what makes the kind of device; returns its section.
fn kind(device: &Device, settings: &mut Map) -> &'static str {
    match &device.kind {
        Kind::Physical { mac } => {
            if let Some(mac) = mac {
                let mut matched = match device.extra.get("match") {
                    Some(Value::Map(matched)) => matched.clone(),
                    _ => Map::new(),
                };
                matched.insert("macaddress", mac.to_string());
                settings.insert("match", matched);
                // `Null` says that the card keeps the name which the system gave it.
                if device.extra.get("set-name") != Some(&Value::Null) {
                    settings.insert("set-name", device.name.as_str());
                }
            }
            "ethernets"
        }
        Kind::Bond { mac, members, params } => {
            settings.insert("interfaces", names(members));
            if let Some(mac) = mac {
                settings.insert("macaddress", mac.to_string());
            }
            let mut parameters: Map = params::bond(params)
                .into_iter()
                .map(|(names, value)| (names.netplan, netplan_value(names.model, value)))
                .collect();
            // Open vSwitch's own modes are beyond the typed ones.
            if let Some(mode) = device.extra.get("parameters").and_then(|kept| kept.get("mode")) {
                parameters.insert("mode", mode.clone());
            }
            settings.insert("parameters", parameters);
            "bonds"
        }
        Kind::Bridge { mac, members, bridge, params } => {
            settings.insert("interfaces", names(members));
            if let Some(mac) = mac {
                settings.insert("macaddress", mac.to_string());
            }
            let parameters: Map = params::bridge(params)
                .into_iter()
                .map(|(names, value)| (names.netplan, value))
                .collect();
            if !parameters.is_empty() {
                settings.insert("parameters", parameters);
            }
            if *bridge == BridgeKind::Ovs && !device.extra.contains_key("openvswitch") {
                settings.insert("openvswitch", Map::new());
            }
            "bridges"
        }
        Kind::Vlan { link, vid } => {
            settings.insert("id", Value::from(vid.number()));
            settings.insert("link", link.as_str());
            "vlans"
        }
        Kind::Vrf { table, members } => {
            settings.insert("table", Value::from(*table));
            settings.insert("interfaces", names(members));
            "vrfs"
        }
        Kind::Dummy => "dummy-devices",
        Kind::Veth { peer } => {
            settings.insert("peer", peer.as_str());
            "virtual-ethernets"
        }
        Kind::Tunnel { mode } => {
            settings.insert("mode", mode.as_str());
            "tunnels"
        }
    }
}

/// cloud-init's schema wants a text for this one; netplan takes both.
fn netplan_value(model: &str, value: Value) -> Value {
    match (model, value) {
        ("miimon", Value::Int(number)) => Value::String(number.to_string()),
        (_, value) => value,
    }
}

fn common(device: &Device, dns: &Dns, settings: &mut Map) {
    if let Some(mtu) = device.mtu {
        settings.insert("mtu", Value::from(mtu.bytes()));
    }
    if let Some(accept) = device.accept_ra {
        settings.insert("accept-ra", accept);
    }
    if let Some(optional) = device.optional {
        settings.insert("optional", optional);
    }
    if device.dhcp4 {
        settings.insert("dhcp4", true);
    }
    if device.dhcp6 {
        settings.insert("dhcp6", true);
    }
    if !device.addresses.is_empty() {
        let options = device.extra.get("addresses");
        let address = |address: &ipnet::IpNet| {
            let text = address.to_string();
            match options.and_then(|options| options.get(&text)) {
                Some(options) => Value::map([(text, options.clone())]),
                None => Value::String(text),
            }
        };
        settings.insert("addresses", Value::list(device.addresses.iter().map(address)));
    }
    if !dns.is_empty() {
        settings.insert("nameservers", nameservers(dns));
    }
    if !device.routes.is_empty() {
        settings.insert("routes", Value::List(device.routes.iter().map(route).collect()));
    }
    if !device.policies.is_empty() {
        settings
            .insert("routing-policy", Value::List(device.policies.iter().map(policy).collect()));
    }
    for (key, value) in &device.extra {
        if *value != Value::Null {
            lay_over(settings, key, value);
        }
    }
}

fn nameservers(dns: &Dns) -> Map {
    let mut nameservers = Map::new();
    if !dns.servers.is_empty() {
        nameservers.insert("addresses", Value::list(dns.servers.iter().map(ToString::to_string)));
    }
    if !dns.search.is_empty() {
        nameservers.insert("search", Value::list(dns.search.iter().cloned()));
    }
    nameservers
}

fn route(route: &Route) -> Value {
    let mut settings = Map::new();
    settings.insert("to", route.to.to_string());
    if let Some(via) = route.via {
        settings.insert("via", via.to_string());
    }
    if let Some(metric) = route.metric {
        settings.insert("metric", Value::from(metric));
    }
    if let Some(table) = route.table {
        settings.insert("table", Value::from(table));
    }
    if route.on_link {
        settings.insert("on-link", true);
    }
    for (key, value) in &route.extra {
        settings.insert(key.as_str(), number_or_text(value));
    }
    Value::Map(settings)
}

fn number_or_text(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::from(text), Value::Int)
}

fn policy(policy: &RoutingPolicy) -> Value {
    let mut settings = Map::new();
    let nets = [("from", policy.from), ("to", policy.to)];
    for (key, net) in nets {
        if let Some(net) = net {
            settings.insert(key, net.to_string());
        }
    }
    let numbers = [
        ("table", policy.table),
        ("priority", policy.priority),
        ("mark", policy.mark),
        ("type-of-service", policy.type_of_service),
    ];
    for (key, number) in numbers {
        if let Some(number) = number {
            settings.insert(key, Value::from(number));
        }
    }
    Value::Map(settings)
}

#[cfg(test)]
mod tests;
