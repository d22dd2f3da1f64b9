//! From what is wanted to what every device carries.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::{Code, Problem, Refused};
use crate::gateway::{Gateway, default_gateway};
use crate::model::{BondMode, Dns, Interface, Kind, Link, Network, Subnet, SubnetId};
use crate::mtu::Mtu;
use crate::name::IfName;
use crate::topology::{Device, Family, Route, RoutingPolicy, Topology};

/// Whether answers leave through the interface whose address they carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SourceRouting {
    /// One default gateway per address family.
    #[default]
    Off,
    /// Every further gateway gets a routing table of its own (tables 1 to 252); needs netplan.
    On,
}

/// Highest table number that is free for us; 253 to 255 are the kernel's.
const LAST_TABLE: u32 = 252;
/// Priority of the rules that send answers to their own table.
const PRIORITY: u32 = 1000;
/// The kernel's main routing table.
const MAIN_TABLE: u32 = 254;

impl Network {
    /// What every device carries: addresses with prefixes, routes, name servers, MTUs.
    ///
    /// Disabled interfaces are left out, and AUTO links without an address too.
    ///
    /// # Errors
    /// [`Refused`] with every problem when [`Network::validate`] finds an error, or when source
    /// routing needs more than 252 tables.
    pub fn resolve(&self, source_routing: SourceRouting) -> Result<Topology, Refused> {
        let mut problems = Refused::unless_clean(self.validate())?;
        let mtus = self.effective_mtus();
        let gateways: Vec<Gateway> =
            Family::BOTH.into_iter().filter_map(|family| default_gateway(self, family)).collect();
        let mut topology = Topology { dns: self.dns.clone(), ..Topology::default() };
        for interface in &self.interfaces {
            if self.is_enabled(&interface.name) {
                topology.devices.push(self.device(interface, &mtus, &gateways));
            }
        }
        topology.sort_parents_first();
        if source_routing == SourceRouting::On {
            let mut table = 0;
            for device in &mut topology.devices {
                table = self.source_routes(device, &gateways, table);
            }
            if table > LAST_TABLE {
                problems.push(Problem::error(
                    Code::TablesExhausted,
                    "interfaces",
                    format!("source routing needs {table} tables; there are {LAST_TABLE}"),
                ));
                return Err(Refused { problems });
            }
        }
        Ok(topology)
    }

    /// The MTU of every enabled interface: its own, else its VLAN's, else 1500; raised to what
    /// the interfaces on top of it need.
    pub fn effective_mtus(&self) -> BTreeMap<IfName, Mtu> {
        let mut mtus: BTreeMap<IfName, Mtu> = self
            .interfaces
            .iter()
            .filter(|interface| self.is_enabled(&interface.name))
            .map(|interface| {
                let own = interface.mtu.or(interface.vlan.map(|vlan| vlan.mtu));
                (interface.name.clone(), own.unwrap_or(Mtu::ETHERNET))
            })
            .collect();
        let order = crate::topology::parents_first(
            &self
                .interfaces
                .iter()
                .map(|interface| (&interface.name, interface.kind.parents()))
                .collect::<Vec<_>>(),
        );
        for at in order.into_iter().rev() {
            let interface = &self.interfaces[at];
            let Some(mtu) = mtus.get(&interface.name).copied() else { continue };
            for parent in interface.kind.parents() {
                if let Some(below) = mtus.get_mut(parent) {
                    *below = mtu.max(*below);
                }
            }
        }
        mtus
    }

    fn kind(&self, interface: &Interface) -> Kind {
        let enabled = |members: &[IfName]| -> Vec<IfName> {
            let mut members: Vec<IfName> =
                members.iter().filter(|member| self.is_enabled(member)).cloned().collect();
            members.sort();
            members
        };
        let first_mac =
            |members: &[IfName]| members.iter().find_map(|member| self.hardware_address(member));
        let mut kind = interface.kind.clone();
        match &mut kind {
            Kind::Bond { mac, members, params } => {
                *mac = mac.or_else(|| first_mac(members));
                *members = enabled(members);
                // The kernel refuses these two in any other mode; MAAS stores them always.
                if params.mode != BondMode::Ieee8023ad {
                    params.lacp_rate = None;
                }
                if params.mode != BondMode::ActiveBackup {
                    params.num_grat_arp = None;
                }
                if params.primary.as_ref().is_some_and(|primary| !members.contains(primary)) {
                    params.primary = None;
                }
            }
            Kind::Bridge { mac, members, params, .. } => {
                *mac = mac.or_else(|| first_mac(members));
                *members = enabled(members);
                params.path_cost.retain(|port, _| members.contains(port));
                params.port_priority.retain(|port, _| members.contains(port));
            }
            Kind::Vrf { members, .. } => *members = enabled(members),
            _ => {}
        }
        kind
    }

    /// The address of an interface: its own, or that of what it is built on.
    pub(crate) fn hardware_address(&self, name: &IfName) -> Option<crate::mac::Mac> {
        let kind = &self.interface(name)?.kind;
        kind.mac()
            .or_else(|| kind.parents().iter().find_map(|parent| self.hardware_address(parent)))
    }

    /// Whether nothing is known to be plugged into a card and nothing is built on it.
    pub(crate) fn is_disconnected(&self, interface: &Interface) -> bool {
        interface.vlan.is_none()
            && interface.links.is_empty()
            && matches!(interface.kind, Kind::Physical { .. })
            && !self.interfaces.iter().any(|other| other.kind.parents().contains(&interface.name))
    }

    fn device(
        &self,
        interface: &Interface,
        mtus: &BTreeMap<IfName, Mtu>,
        gateways: &[Gateway],
    ) -> Device {
        let mut device = Device::new(interface.name.clone(), self.kind(interface));
        device.mtu = mtus.get(&interface.name).copied();
        device.accept_ra = interface.accept_ra;
        device.extra.clone_from(&interface.extra);
        if self.is_disconnected(interface) {
            device.optional = Some(true);
        }
        for link in &interface.links {
            match link {
                Link::Dhcp { subnet } => {
                    let family = subnet
                        .as_ref()
                        .and_then(|id| self.subnets.get(id))
                        .map(|subnet| Family::of(&subnet.cidr.addr()));
                    device.dhcp4 |= family != Some(Family::V6);
                    device.dhcp6 |= family != Some(Family::V4);
                }
                Link::Static { .. } | Link::Auto { .. } => {
                    self.address(&mut device, link, gateways);
                }
                Link::LinkUp { .. } => {}
            }
        }
        if device.dns.servers.is_empty() {
            device.dns = Dns::default();
        }
        device
    }

    fn address(&self, device: &mut Device, link: &Link, gateways: &[Gateway]) {
        let (Some(ip), Some(id)) = (link.ip(), link.subnet()) else { return };
        let Some(subnet) = self.subnets.get(id) else { return };
        let Ok(address) = IpNet::new(ip, subnet.cidr.prefix_len()) else { return };
        if !device.addresses.contains(&address) {
            device.addresses.push(address);
        }
        let here = gateways
            .iter()
            .find(|gateway| gateway.interface == device.name && gateway.subnet == *id);
        if let Some(gateway) = here {
            let mut route = Route::new(Family::of(&gateway.address).everything(), gateway.address);
            route.on_link = needs_on_link(&subnet.cidr, &gateway.address);
            push_route(device, route);
        }
        for route in self.routes_from(id, None) {
            push_route(device, route);
        }
        device.dns.extend(&self.dns_of(subnet));
    }

    fn dns_of(&self, subnet: &Subnet) -> Dns {
        let mut dns = Dns::default();
        if subnet.allow_dns {
            let reachable: Vec<IpAddr> = subnet
                .rack_dns
                .iter()
                .filter(|rack| subnet.gateway.is_some() || subnet.cidr.contains(*rack))
                .copied()
                .collect();
            dns.servers = reachable;
            dns.search.clone_from(&self.dns.search);
        }
        dns.extend(&Dns { servers: subnet.dns_servers.clone(), search: Vec::new() });
        dns
    }

    fn routes_from(&self, source: &SubnetId, table: Option<u32>) -> Vec<Route> {
        self.routes
            .iter()
            .filter(|route| route.source == *source)
            .map(|route| Route {
                metric: Some(route.metric).filter(|metric| *metric > 0),
                table,
                ..Route::new(route.destination, route.gateway)
            })
            .collect()
    }

    /// Gives every secondary gateway of the device its own table; returns the last table used.
    fn source_routes(&self, device: &mut Device, gateways: &[Gateway], last: u32) -> u32 {
        let mut table = last;
        let mut done: Vec<&SubnetId> = Vec::new();
        let links = self.interface(&device.name).map(|found| found.links.as_slice());
        for link in links.unwrap_or_default() {
            let (Some(_), Some(id)) = (link.ip(), link.subnet()) else { continue };
            let Some(subnet) = self.subnets.get(id) else { continue };
            let Some(router) = subnet.gateway else { continue };
            let is_default = gateways
                .iter()
                .any(|gateway| gateway.interface == device.name && gateway.subnet == *id);
            if is_default || done.contains(&id) {
                continue;
            }
            done.push(id);
            table += 1;
            let mut default = Route::new(Family::of(&router).everything(), router);
            default.table = Some(table);
            default.on_link = needs_on_link(&subnet.cidr, &router);
            device.routes.push(default);
            device.policies.push(RoutingPolicy {
                from: Some(subnet.cidr),
                table: Some(table),
                priority: Some(PRIORITY),
                ..RoutingPolicy::default()
            });
            device.policies.push(RoutingPolicy {
                from: Some(subnet.cidr),
                to: Some(subnet.cidr),
                table: Some(MAIN_TABLE),
                ..RoutingPolicy::default()
            });
            for route in self.routes_from(id, Some(table)) {
                push_route(device, route);
            }
        }
        table
    }
}

/// Whether a router outside the subnet has to be declared reachable; link-local routers are.
fn needs_on_link(subnet: &IpNet, router: &IpAddr) -> bool {
    !subnet.contains(router)
        && !matches!(router, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Adds a route that is not there yet; the first of two that differ in preference stays.
fn push_route(device: &mut Device, route: Route) {
    let same =
        |have: &Route| have.to == route.to && have.via == route.via && have.table == route.table;
    if !device.routes.iter().any(same) {
        device.routes.push(route);
    }
}

#[cfg(test)]
mod tests;
