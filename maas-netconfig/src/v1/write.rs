//! Renders a topology as v1.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Dialect;
use crate::loss::{Effect, Loss, Rendered};
use crate::model::{BridgeKind, Dns, Kind};
use crate::params;
use crate::topology::{Device, Family, Route, Topology};
use crate::yaml::{Map, Value};

/// Renders v1 in a dialect.
///
/// v1 knows physical interfaces, bonds, standard bridges and VLANs; other kinds, routing
/// policies, routing tables and netplan's further keys are lost and reported.
pub fn render(topology: &Topology, dialect: Dialect) -> Rendered {
    let mut writer = Writer { dialect, topology, losses: Vec::new() };
    let mut config: Vec<Value> = Vec::new();
    for device in writer.order() {
        if let Some(entry) = writer.device(device) {
            config.push(Value::Map(entry));
        }
    }
    let dns = writer.global_dns();
    if !dns.is_empty() {
        let mut entry = Map::new();
        entry.insert("type", "nameserver");
        // The schema and cloud-init's code need an address list even when it is empty.
        entry.insert("address", texts(&dns.servers));
        if !dns.search.is_empty() {
            entry.insert("search", Value::list(dns.search.iter().cloned()));
        }
        config.push(Value::Map(entry));
    }
    for key in topology.extra.keys() {
        writer.losses.push(Loss::global(format!("extra.{key}"), "v1 has no such key"));
    }
    let network = Value::map([("version", Value::Int(1)), ("config", Value::List(config))]);
    Rendered::new(network, writer.losses)
}

fn texts<T: ToString>(items: &[T]) -> Value {
    Value::list(items.iter().map(ToString::to_string))
}

struct Writer<'a> {
    dialect: Dialect,
    topology: &'a Topology,
    losses: Vec<Loss>,
}

impl<'a> Writer<'a> {
    /// Devices in the order in which the consumer reads them.
    fn order(&self) -> Vec<&'a Device> {
        let mut devices: Vec<&Device> = self.topology.devices.iter().collect();
        if self.dialect == Dialect::Esxi {
            // The switch that VLANs of a bare card share takes the MTU of the first of them.
            let rank = |device: &Device| match device.kind {
                Kind::Vlan { .. } => (1, u16::MAX - device.mtu.map_or(0, crate::mtu::Mtu::bytes)),
                _ => (0, 0),
            };
            devices.sort_by_key(|device| rank(device));
        }
        devices
    }

    fn global_dns(&mut self) -> Dns {
        if self.dialect != Dialect::Esxi {
            return self.topology.dns.clone();
        }
        // A host has one list; whatever its devices have goes there.
        let mut hoisted = self.topology.clone();
        for device in &mut hoisted.devices {
            hoisted.dns.extend(&std::mem::take(&mut device.dns));
        }
        for difference in crate::diff::diff(self.topology, &hoisted) {
            self.losses.push(Loss {
                device: difference.device,
                setting: difference.setting,
                effect: Effect::Approximated,
                reason: "the ESXi script knows only one list of name servers for the host"
                    .to_owned(),
            });
        }
        hoisted.dns
    }

    fn lose(&mut self, device: &Device, setting: impl Into<String>, reason: impl Into<String>) {
        self.losses.push(Loss::dropped(&device.name, setting, reason));
    }

    fn device(&mut self, device: &Device) -> Option<Map> {
        let mut entry = Map::new();
        if matches!(self.dialect, Dialect::Maas | Dialect::Esxi) {
            entry.insert("id", device.name.as_str());
        }
        if !matches!(
            device.kind,
            Kind::Physical { .. } | Kind::Bond { .. } | Kind::Bridge { .. } | Kind::Vlan { .. }
        ) {
            self.lose(device, "kind", format!("v1 has no {}", device.kind.noun()));
            return None;
        }
        entry.insert("type", device.kind.noun());
        entry.insert("name", device.name.as_str());
        self.kind(device, &mut entry);
        if let Some(mtu) = device.mtu {
            if self.dialect == Dialect::CloudInit && matches!(device.kind, Kind::Bridge { .. }) {
                self.lose(
                    device,
                    "mtu",
                    "cloud-init's schema has no MTU for bridges; they take that of their ports",
                );
            } else {
                entry.insert("mtu", Value::from(mtu.bytes()));
            }
        }
        if let Some(accept) = device.accept_ra {
            let value = match self.dialect {
                Dialect::CloudInit => Value::Bool(accept),
                _ => Value::Int(accept.into()),
            };
            entry.insert("accept-ra", value);
        }
        if device.optional == Some(true) {
            self.lose(device, "optional", "v1 cannot say that boot does not wait for it");
        }
        if !device.policies.is_empty() {
            self.lose(device, "policies", "v1 has no routing policies");
        }
        for key in device.extra.keys() {
            self.lose(device, format!("extra.{key}"), "v1 has no such key");
        }
        let subnets = self.subnets(device);
        entry.insert("subnets", subnets);
        Some(entry)
    }

    fn kind(&mut self, device: &Device, entry: &mut Map) {
        match &device.kind {
            Kind::Physical { mac: Some(mac) } => entry.insert("mac_address", mac.to_string()),
            Kind::Bond { mac, members, params } => {
                if let Some(mac) = self.bond_mac(device, *mac, members) {
                    entry.insert("mac_address", mac.to_string());
                }
                entry.insert("bond_interfaces", texts(members));
                entry.insert("params", self.bond_params(device, params));
            }
            Kind::Bridge { mac, members, bridge, params } => {
                if let Some(mac) = mac
                    && self.dialect != Dialect::CloudInit
                {
                    entry.insert("mac_address", mac.to_string());
                }
                entry.insert("bridge_interfaces", texts(members));
                let mut settings = self.bridge_params(params);
                if let (Some(mac), Dialect::CloudInit) = (mac, self.dialect) {
                    settings.insert("bridge_hw", mac.to_string());
                    self.losses.push(Loss::approximated(
                        &device.name,
                        "mac",
                        "cloud-init's schema has no MAC address for bridges; of its renderers only eni honours bridge_hw",
                    ));
                }
                entry.insert("params", settings);
                if *bridge == BridgeKind::Ovs {
                    self.losses.push(Loss::approximated(
                        &device.name,
                        "bridge",
                        "v1 has no Open vSwitch; a standard bridge is made instead",
                    ));
                }
            }
            Kind::Vlan { link, vid } => {
                entry.insert("vlan_link", link.as_str());
                entry.insert("vlan_id", Value::from(vid.number()));
            }
            _ => {}
        }
    }

    /// The script for ESXi finds the first active uplink by the bond's MAC among its members.
    fn bond_mac(
        &mut self,
        device: &Device,
        mac: Option<crate::mac::Mac>,
        members: &[crate::name::IfName],
    ) -> Option<crate::mac::Mac> {
        if self.dialect != Dialect::Esxi {
            return mac;
        }
        let of_members: Vec<crate::mac::Mac> =
            members.iter().filter_map(|member| self.topology.device(member)?.kind.mac()).collect();
        match mac {
            Some(mac) if of_members.contains(&mac) => Some(mac),
            _ => {
                let first = of_members.first().copied();
                if mac.is_some() {
                    self.losses.push(Loss::approximated(
                        &device.name,
                        "mac",
                        "the ESXi script needs the address of a member; the first member's is used",
                    ));
                }
                first.or(mac)
            }
        }
    }

    fn bond_params(&mut self, device: &Device, params: &crate::model::BondParams) -> Map {
        let clean = self.dialect == Dialect::CloudInit;
        let mut settings = Map::new();
        for (names, value) in params::bond(params) {
            self.bond_caveat(device, names.model);
            let value = match (names.model, value) {
                ("arp_validate", _) if clean => {
                    self.lose(
                        device,
                        "params.arp_validate",
                        "cloud-init's schema takes a boolean here",
                    );
                    continue;
                }
                ("updelay" | "resend_igmp", Value::Int(number)) if clean => {
                    Value::String(number.to_string())
                }
                ("all_slaves_active", Value::Bool(flag)) if clean => {
                    Value::String(u8::from(flag).to_string())
                }
                (_, Value::Bool(flag)) => Value::Int(flag.into()),
                (_, Value::List(targets)) => {
                    let targets: Vec<&str> = targets.iter().filter_map(Value::as_str).collect();
                    Value::String(targets.join(if clean { "," } else { " " }))
                }
                (_, value) => value,
            };
            settings.insert(if clean { names.schema } else { names.v1 }, value);
        }
        settings
    }

    /// What cloud-init does not pass on to netplan.
    fn bond_caveat(&mut self, device: &Device, model: &str) {
        let reason = match model {
            "arp_ip_targets" => {
                "on netplan systems cloud-init writes a key for it that netplan refuses"
            }
            "all_slaves_active"
            | "arp_all_targets"
            | "learn_packet_interval"
            | "packets_per_slave"
            | "resend_igmp" => "on netplan systems cloud-init does not pass it on",
            _ => return,
        };
        if matches!(self.dialect, Dialect::Maas | Dialect::CloudInit) {
            self.losses.push(Loss::approximated(&device.name, format!("params.{model}"), reason));
        }
    }

    fn bridge_params(&self, params: &crate::model::BridgeParams) -> Map {
        params::bridge(params)
            .into_iter()
            .map(|(names, value)| {
                let value = match value {
                    Value::Bool(flag) => match self.dialect {
                        Dialect::Maas | Dialect::Esxi => Value::Int(flag.into()),
                        _ => Value::from(if flag { "on" } else { "off" }),
                    },
                    Value::Map(ports) => Value::List(
                        ports
                            .iter()
                            .filter_map(|(port, number)| match number {
                                Value::Int(number) => {
                                    Some(Value::String(format!("{port} {number}")))
                                }
                                _ => None,
                            })
                            .collect(),
                    ),
                    value => value,
                };
                (names.v1, value)
            })
            .collect()
    }

    fn subnets(&mut self, device: &Device) -> Value {
        let mut subnets: Vec<Map> = Vec::new();
        let mut families: Vec<Family> = Vec::new();
        for address in &device.addresses {
            let mut subnet = Map::new();
            subnet.insert("type", "static");
            subnet.insert("address", address.to_string());
            subnets.push(subnet);
            families.push(Family::of(&address.addr()));
        }
        for (asked, name, family) in
            [(device.dhcp4, "dhcp4", Family::V4), (device.dhcp6, "dhcp6", Family::V6)]
        {
            if asked {
                let mut subnet = Map::new();
                subnet.insert("type", name);
                subnets.push(subnet);
                families.push(family);
            }
        }
        self.routes(device, &mut subnets, &families);
        if !device.dns.is_empty() && self.dialect != Dialect::Esxi {
            match subnets.first_mut() {
                Some(subnet) => {
                    if !device.dns.servers.is_empty() {
                        subnet.insert("dns_nameservers", texts(&device.dns.servers));
                    }
                    if !device.dns.search.is_empty() {
                        subnet.insert("dns_search", texts(&device.dns.search));
                    }
                    if device.addresses.is_empty() {
                        self.losses.push(Loss::approximated(
                            &device.name,
                            "dns",
                            "on netplan systems cloud-init ignores name servers of DHCP subnets",
                        ));
                    }
                }
                None => self.lose(
                    device,
                    "dns",
                    "v1 has name servers only on subnets, and this device has none",
                ),
            }
        }
        if subnets.is_empty() {
            subnets.push(Map::from_iter([("type", Value::from("manual"))]));
        }
        Value::List(subnets.into_iter().map(Value::Map).collect())
    }

    fn routes(&mut self, device: &Device, subnets: &mut [Map], families: &[Family]) {
        let mut has_gateway: BTreeSet<Family> = BTreeSet::new();
        let mut lists: Vec<Vec<Value>> = subnets.iter().map(|_| Vec::new()).collect();
        for route in &device.routes {
            let family = Family::of(&route.to.addr());
            let Some(via) = route.via.filter(|_| route.table.is_none() && route.extra.is_empty())
            else {
                self.lose(
                    device,
                    "routes",
                    format!("v1 has no routing tables or route types: {}", route.to),
                );
                continue;
            };
            let Some(at) = place(device, families, &via, family) else {
                self.lose(
                    device,
                    "routes",
                    format!("no subnet of this device can carry the route to {}", route.to),
                );
                continue;
            };
            if at >= device.addresses.len() {
                self.losses.push(Loss::approximated(
                    &device.name,
                    "routes",
                    format!(
                        "on netplan systems cloud-init ignores routes of DHCP subnets: {}",
                        route.to
                    ),
                ));
            }
            if route.on_link != implied_on_link(device, &via) {
                self.losses.push(Loss::approximated(
                    &device.name,
                    "routes",
                    format!("v1 cannot say whether {via} is on the link"),
                ));
            }
            if route.is_gateway() && has_gateway.insert(family) {
                subnets[at].insert("gateway", via.to_string());
            } else {
                lists[at].push(self.route(route, via));
            }
        }
        for (subnet, list) in subnets.iter_mut().zip(lists) {
            if !list.is_empty() {
                subnet.insert("routes", list);
            }
        }
    }

    fn route(&self, route: &Route, via: IpAddr) -> Value {
        let mut entry = Map::new();
        match (self.dialect, route.to) {
            (Dialect::CurtinEni, IpNet::V4(net)) => {
                entry.insert("network", net.addr().to_string());
                entry.insert("netmask", net.netmask().to_string());
            }
            (Dialect::CurtinEni, IpNet::V6(net)) => {
                entry.insert("network", net.addr().to_string());
                entry.insert("netmask", Value::Int(net.prefix_len().into()));
            }
            (_, net) => entry.insert("destination", net.to_string()),
        }
        entry.insert("gateway", via.to_string());
        if let Some(metric) = route.metric {
            entry.insert("metric", Value::from(metric));
        }
        Value::Map(entry)
    }
}

/// The subnet entry that carries a route: the one that contains the router, else the first of
/// its family.
fn place(device: &Device, families: &[Family], via: &IpAddr, family: Family) -> Option<usize> {
    device
        .addresses
        .iter()
        .position(|address| address.contains(via))
        .or_else(|| families.iter().position(|have| *have == family))
}

/// Whether readers of v1 take a router to be on the link: no address of the device reaches it.
pub(super) fn implied_on_link(device: &Device, via: &IpAddr) -> bool {
    let link_local = matches!(via, IpAddr::V6(address) if address.is_unicast_link_local());
    !link_local
        && device.addresses.iter().any(|address| Family::of(&address.addr()) == Family::of(via))
        && !device.addresses.iter().any(|address| address.contains(via))
}

#[cfg(test)]
mod tests;
