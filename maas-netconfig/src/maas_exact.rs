//! What MAAS itself emits for a network, its mistakes included.
//!
//! For comparing with a running MAAS and for consumers that have been built around its output.
//! Use [`netplan::render`](crate::netplan::render) and [`v1::render`](crate::v1::render)
//! otherwise: among other things MAAS writes `None/22` for an address that is not assigned yet,
//! `dhcp` for both address families where readers understand IPv4 only, an IPv4 destination for
//! secondary IPv6 gateways, disabled members of bonds, and drops main-table routes under source
//! routing.

use std::net::IpAddr;

use crate::error::{Code, Problem, Refused};
use crate::gateway::{Eligible, Gateway, default_gateway_among};
use crate::model::{BondMode, BridgeKind, Interface, Kind, Link, Network, Subnet};
use crate::params::{self, Names};
use crate::resolve::SourceRouting;
use crate::topology::{Family, parents_first};
use crate::yaml::{Map, Value};

/// The v1 document that MAAS emits.
///
/// # Errors
/// [`Refused`] when the network is not valid.
pub fn v1(network: &Network) -> Result<Value, Refused> {
    let exact = Exact::new(network)?;
    let mut config = Vec::new();
    let mut has_static = false;
    for interface in exact.interfaces() {
        let mut entry = exact.head(interface);
        entry.insert("mtu", exact.mtu(interface));
        if let Some(accept) = interface.accept_ra {
            entry.insert("accept-ra", Value::Int(accept.into()));
        }
        let links = exact.links(interface);
        let mut subnets: Vec<Value> = links.iter().map(Address::to_v1).collect();
        has_static |= !subnets.is_empty();
        subnets.extend(exact.dhcp(interface).map(|kind| Value::map([("type", Value::from(kind))])));
        if subnets.is_empty() {
            subnets.push(Value::map([("type", Value::from("manual"))]));
        }
        entry.insert("subnets", subnets);
        for (key, value) in &interface.extra {
            if !entry.contains_key(key) {
                entry.insert(key.as_str(), value.clone());
            }
        }
        config.push(Value::Map(entry));
    }
    if has_static {
        config.push(Value::map([
            ("type", Value::from("nameserver")),
            ("address", texts(&network.dns.servers)),
            ("search", texts(&network.dns.search)),
        ]));
    }
    Ok(document(Map::from_iter([("version", Value::Int(1)), ("config", Value::List(config))])))
}

/// The netplan document that MAAS emits.
///
/// # Errors
/// [`Refused`] when the network is not valid or needs more than 252 routing tables.
pub fn v2(network: &Network, routing: SourceRouting) -> Result<Value, Refused> {
    let exact = Exact::new(network)?;
    let mut sections: [(&str, Map); 4] =
        ["ethernets", "vlans", "bonds", "bridges"].map(|name| (name, Map::new()));
    let mut table = 0;
    for interface in exact.interfaces() {
        let (section, entry) = exact.v2_entry(interface, routing, &mut table)?;
        sections[section].1.insert(interface.name.as_str(), entry);
    }
    exact.default_dns(&mut sections)?;
    let mut document_map = Map::from_iter([("version", Value::Int(2))]);
    for (name, section) in sections {
        if !section.is_empty() {
            document_map.insert(name, section);
        }
    }
    Ok(document(document_map))
}

fn document(network: Map) -> Value {
    Value::map([("network", Value::Map(network))])
}

fn texts<T: ToString>(items: &[T]) -> Value {
    Value::list(items.iter().map(ToString::to_string))
}

struct Exact<'a> {
    network: &'a Network,
    gateways: Vec<Gateway>,
    mtus: std::collections::BTreeMap<crate::name::IfName, crate::mtu::Mtu>,
}

/// A link that becomes an address, as both versions need it.
struct Address<'a> {
    ip: Option<IpAddr>,
    subnet: &'a Subnet,
    gateway: Option<IpAddr>,
    servers: Vec<IpAddr>,
    search: &'a [String],
    routes: Vec<(String, String, u32)>,
}

impl Address<'_> {
    fn to_v1(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("type", "static");
        let ip = self.ip.map_or_else(|| "None".to_owned(), |ip| ip.to_string());
        entry.insert("address", format!("{ip}/{}", self.subnet.cidr.prefix_len()));
        if let Some(gateway) = self.gateway {
            entry.insert("gateway", gateway.to_string());
        }
        if !self.servers.is_empty() {
            entry.insert("dns_nameservers", texts(&self.servers));
            if !self.search.is_empty() {
                entry.insert("dns_search", texts(self.search));
            }
        }
        if !self.routes.is_empty() {
            entry.insert(
                "routes",
                Value::List(
                    self.routes
                        .iter()
                        .map(|(to, via, metric)| {
                            Value::map([
                                ("destination", Value::from(to.as_str())),
                                ("gateway", Value::from(via.as_str())),
                                ("metric", Value::from(*metric)),
                            ])
                        })
                        .collect(),
                ),
            );
        }
        Value::Map(entry)
    }
}

impl<'a> Exact<'a> {
    fn new(network: &'a Network) -> Result<Self, Refused> {
        Refused::unless_clean(network.validate())?;
        let gateways = Family::BOTH
            .into_iter()
            .filter_map(|family| default_gateway_among(network, family, Eligible::Unassigned))
            .collect();
        Ok(Self { network, gateways, mtus: network.effective_mtus() })
    }

    fn interfaces(&self) -> Vec<&'a Interface> {
        let items: Vec<_> = self
            .network
            .interfaces
            .iter()
            .map(|interface| (&interface.name, interface.kind.parents()))
            .collect();
        parents_first(&items)
            .into_iter()
            .map(|at| &self.network.interfaces[at])
            .filter(|interface| self.network.is_enabled(&interface.name))
            .collect()
    }

    fn mtu(&self, interface: &Interface) -> Value {
        let mtu = self.mtus.get(&interface.name).copied().unwrap_or(crate::mtu::Mtu::ETHERNET);
        Value::from(mtu.bytes())
    }

    fn mac(&self, interface: &Interface) -> Option<String> {
        self.network.hardware_address(&interface.name).map(|mac| mac.to_string())
    }

    /// The parameters that MAAS emits in this mode.
    fn params(interface: &Interface) -> Vec<(Names, Value)> {
        match &interface.kind {
            Kind::Bond { params, .. } => params::bond(params)
                .into_iter()
                .filter(|(names, _)| match names.model {
                    "num_grat_arp" => params.mode == BondMode::ActiveBackup,
                    "lacp_rate" => params.mode == BondMode::Ieee8023ad,
                    _ => true,
                })
                .collect(),
            Kind::Bridge { params, .. } => params::bridge(params),
            _ => Vec::new(),
        }
    }

    /// A v1 entry up to its MTU.
    fn head(&self, interface: &Interface) -> Map {
        let mut entry = Map::new();
        entry.insert("id", interface.name.as_str());
        entry.insert("type", interface.kind.noun());
        entry.insert("name", interface.name.as_str());
        let params = || -> Map {
            Self::params(interface)
                .into_iter()
                .map(|(names, value)| {
                    let value = match value {
                        Value::Bool(flag) => Value::Int(flag.into()),
                        Value::Map(ports) => per_port(&ports),
                        Value::List(items) => Value::String(
                            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
                        ),
                        value => value,
                    };
                    (names.v1, value)
                })
                .collect()
        };
        if let Some(mac) =
            self.mac(interface).filter(|_| !matches!(interface.kind, Kind::Vlan { .. }))
        {
            entry.insert("mac_address", mac);
        }
        match &interface.kind {
            Kind::Bond { members, .. } => {
                entry.insert("bond_interfaces", sorted(members));
                entry.insert("params", params());
            }
            Kind::Bridge { members, .. } => {
                entry.insert("bridge_interfaces", sorted(members));
                entry.insert("params", params());
            }
            Kind::Vlan { link, vid } => {
                entry.insert("vlan_link", link.as_str());
                entry.insert("vlan_id", Value::from(vid.number()));
            }
            _ => {}
        }
        entry
    }

    /// The links that become addresses: none when there is only a link-up one.
    fn links(&self, interface: &'a Interface) -> Vec<Address<'a>> {
        let fixed: Vec<&Link> =
            interface.links.iter().filter(|link| !matches!(link, Link::Dhcp { .. })).collect();
        if matches!(fixed.as_slice(), [Link::LinkUp { .. }]) && self.dhcp(interface).is_none() {
            return Vec::new();
        }
        let mut seen: Vec<IpAddr> = Vec::new();
        let mut families: Vec<Family> = Vec::new();
        let mut found = Vec::new();
        for link in fixed {
            let Some((id, subnet)) =
                link.subnet().and_then(|id| Some((id, self.network.subnets.get(id)?)))
            else {
                continue;
            };
            let mut servers: Vec<IpAddr> = Vec::new();
            if subnet.allow_dns {
                servers.extend(
                    subnet
                        .rack_dns
                        .iter()
                        .filter(|rack| subnet.gateway.is_some() || subnet.cidr.contains(*rack)),
                );
            }
            servers.extend(&subnet.dns_servers);
            servers.retain(|server| {
                let new = !seen.contains(server);
                seen.push(*server);
                new
            });
            let gateway = self
                .gateways
                .iter()
                .find(|gateway| gateway.interface == interface.name && gateway.subnet == *id)
                .map(|gateway| gateway.address)
                .filter(|address| {
                    let family = Family::of(address);
                    let first = !families.contains(&family);
                    families.push(family);
                    first
                });
            let routes = self
                .network
                .routes
                .iter()
                .filter(|route| route.source == *id)
                .map(|route| {
                    (route.destination.to_string(), route.gateway.to_string(), route.metric)
                })
                .collect();
            let search: &[String] = if subnet.allow_dns { &self.network.dns.search } else { &[] };
            found.push(Address { ip: link.ip(), subnet, gateway, servers, search, routes });
        }
        found
    }

    /// MAAS's word for the DHCP of an interface.
    fn dhcp(&self, interface: &Interface) -> Option<&'static str> {
        let (mut v4, mut v6) = (false, false);
        for link in &interface.links {
            let Link::Dhcp { subnet } = link else { continue };
            let family = subnet
                .as_ref()
                .and_then(|id| self.network.subnets.get(id))
                .map(|subnet| Family::of(&subnet.cidr.addr()));
            v4 |= family != Some(Family::V6);
            v6 |= family != Some(Family::V4);
        }
        match (v4, v6) {
            (true, true) => Some("dhcp"),
            (true, false) => Some("dhcp4"),
            (false, true) => Some("dhcp6"),
            (false, false) => None,
        }
    }

    fn v2_entry(
        &self,
        interface: &'a Interface,
        routing: SourceRouting,
        table: &mut u32,
    ) -> Result<(usize, Map), Refused> {
        let mut entry = Map::new();
        let section = self.v2_kind(interface, &mut entry);
        entry.insert("mtu", self.mtu(interface));
        if self.network.is_disconnected(interface) {
            entry.insert("optional", true);
        }
        if let Some(accept) = interface.accept_ra {
            entry.insert("accept-ra", accept);
        }
        self.v2_addresses(interface, routing, table, &mut entry)?;
        match self.dhcp(interface) {
            Some("dhcp4") => entry.insert("dhcp4", true),
            Some("dhcp6") => entry.insert("dhcp6", true),
            Some(_) => {
                entry.insert("dhcp4", true);
                entry.insert("dhcp6", true);
            }
            None => {}
        }
        for (key, value) in &interface.extra {
            if !entry.contains_key(key) {
                entry.insert(key.as_str(), value.clone());
            }
        }
        Ok((section, entry))
    }

    fn v2_kind(&self, interface: &Interface, entry: &mut Map) -> usize {
        if let (Kind::Bond { .. } | Kind::Bridge { .. }, Some(mac)) =
            (&interface.kind, self.mac(interface))
        {
            entry.insert("macaddress", mac);
        }
        let parameters: Map = Self::params(interface)
            .into_iter()
            // MAAS has no translation for these and drops them.
            .filter(|(names, _)| {
                !matches!(names.model, "primary" | "fail_over_mac" | "port_priority")
            })
            .map(|(names, value)| match value {
                Value::Map(ports) => (names.netplan, per_port(&ports)),
                value => (names.netplan, value),
            })
            .collect();
        match &interface.kind {
            Kind::Bond { members, .. } => {
                entry.insert("interfaces", sorted(members));
                entry.insert("parameters", parameters);
                2
            }
            Kind::Bridge { members, bridge, .. } => {
                entry.insert("interfaces", sorted(members));
                if !parameters.is_empty() {
                    entry.insert("parameters", parameters);
                }
                if *bridge == BridgeKind::Ovs {
                    entry.insert("openvswitch", Map::new());
                    entry.insert("optional", false);
                }
                3
            }
            Kind::Vlan { link, vid } => {
                entry.insert("id", Value::from(vid.number()));
                entry.insert("link", link.as_str());
                1
            }
            _ => {
                if let Some(mac) = self.mac(interface) {
                    entry.insert("match", Map::from_iter([("macaddress", Value::String(mac))]));
                }
                entry.insert("set-name", interface.name.as_str());
                0
            }
        }
    }

    fn v2_addresses(
        &self,
        interface: &'a Interface,
        routing: SourceRouting,
        table: &mut u32,
        entry: &mut Map,
    ) -> Result<(), Refused> {
        let (mut addresses, mut servers) = (Vec::new(), Vec::new());
        let (mut plain, mut routes, mut policies) = (Vec::new(), Vec::new(), Vec::new());
        let mut search: &[String] = &[];
        for link in self.links(interface) {
            if let Some(ip) = link.ip {
                addresses.push(format!("{ip}/{}", link.subnet.cidr.prefix_len()));
            }
            servers.extend(link.servers);
            if !link.search.is_empty() {
                search = link.search;
            }
            plain.extend(link.routes);
            match link.gateway {
                Some(gateway) => {
                    let key = if gateway.is_ipv4() { "gateway4" } else { "gateway6" };
                    entry.insert(key, gateway.to_string());
                }
                None if routing == SourceRouting::On => {
                    let is_default = self.gateways.iter().any(|gateway| {
                        gateway.interface == interface.name
                            && self.network.subnets.get(&gateway.subnet) == Some(link.subnet)
                    });
                    if let Some(router) = link.subnet.gateway.filter(|_| !is_default) {
                        *table += 1;
                        if *table >= 253 {
                            return Err(Refused {
                                problems: vec![Problem::error(
                                    Code::TablesExhausted,
                                    format!("interfaces[{}]", interface.name),
                                    "MAAS fails on more than 252 routing tables",
                                )],
                            });
                        }
                        secondary(&mut routes, &mut policies, link.subnet, router, &plain, *table);
                    }
                }
                None => {}
            }
        }
        if !addresses.is_empty() {
            entry.insert("addresses", texts(&addresses));
        }
        if !servers.is_empty() {
            let mut nameservers = Map::from_iter([("addresses", texts(&servers))]);
            if !search.is_empty() {
                nameservers.insert("search", texts(search));
            }
            entry.insert("nameservers", nameservers);
        }
        if routes.is_empty() {
            routes = plain.iter().map(|route| v2_route(route, None)).collect();
        }
        if !routes.is_empty() {
            entry.insert("routes", routes);
        }
        if !policies.is_empty() {
            entry.insert("routing-policy", policies);
        }
        Ok(())
    }

    /// Default name servers for devices with addresses and none of their own; the loop ends for
    /// all at the first device with a link on a subnet that forbids MAAS's DNS.
    fn default_dns(&self, sections: &mut [(&str, Map); 4]) -> Result<(), Refused> {
        let dns = &self.network.dns;
        if dns.servers.is_empty() {
            return Ok(());
        }
        for (_, section) in sections {
            let names: Vec<String> = section.iter().map(|(name, _)| name.to_owned()).collect();
            for name in names {
                let Some(Value::Map(entry)) = section.get_mut(&name) else { continue };
                if !entry.contains_key("addresses") || entry.contains_key("nameservers") {
                    continue;
                }
                let interface =
                    self.network.interfaces.iter().find(|found| found.name.as_str() == name);
                for link in interface.map(|found| found.links.as_slice()).unwrap_or_default() {
                    let subnet = link.subnet().and_then(|id| self.network.subnets.get(id));
                    match subnet {
                        Some(subnet) if !subnet.allow_dns => return Ok(()),
                        Some(_) => {}
                        None => {
                            return Err(Refused {
                                problems: vec![Problem::error(
                                    Code::UnknownSubnet,
                                    format!("interfaces[{name}]"),
                                    "MAAS fails on a link without subnet beside an address",
                                )],
                            });
                        }
                    }
                }
                let mut nameservers = Map::from_iter([("addresses", texts(&dns.servers))]);
                if !dns.search.is_empty() {
                    nameservers.insert("search", texts(&dns.search));
                }
                entry.insert("nameservers", nameservers);
            }
        }
        Ok(())
    }
}

fn sorted(members: &[crate::name::IfName]) -> Value {
    let mut members: Vec<&str> = members.iter().map(crate::name::IfName::as_str).collect();
    members.sort_unstable();
    Value::list(members)
}

/// Per-port numbers as MAAS stores them: a list of `PORT NUMBER`.
fn per_port(ports: &Map) -> Value {
    Value::List(
        ports
            .iter()
            .filter_map(|(port, number)| match number {
                Value::Int(number) => Some(Value::String(format!("{port} {number}"))),
                _ => None,
            })
            .collect(),
    )
}

fn v2_route((to, via, metric): &(String, String, u32), table: Option<u32>) -> Value {
    let mut route = Map::from_iter([
        ("to", Value::from(to.as_str())),
        ("via", Value::from(via.as_str())),
        ("metric", Value::from(*metric)),
    ]);
    if let Some(table) = table {
        route.insert("table", Value::from(table));
    }
    Value::Map(route)
}

/// The table of a secondary gateway; the destination is IPv4's even for IPv6.
fn secondary(
    routes: &mut Vec<Value>,
    policies: &mut Vec<Value>,
    subnet: &Subnet,
    router: IpAddr,
    collected: &[(String, String, u32)],
    table: u32,
) {
    let any = || Value::from("0.0.0.0/0");
    let cidr = || Value::from(subnet.cidr.to_string());
    let number = || Value::from(table);
    routes.push(Value::map([
        ("to", any()),
        ("via", Value::from(router.to_string())),
        ("table", number()),
    ]));
    policies.push(Value::map([
        ("from", cidr()),
        ("table", number()),
        ("priority", Value::Int(1000)),
    ]));
    policies.push(Value::map([("from", cidr()), ("to", cidr()), ("table", Value::Int(254))]));
    for route in collected {
        policies.push(Value::map([
            ("from", any()),
            ("to", Value::from(route.0.as_str())),
            ("table", number()),
            ("priority", Value::Int(1000)),
        ]));
        routes.push(v2_route(route, Some(table)));
    }
}

#[cfg(test)]
mod tests;
