//! From interfaces to the network that a deployment renders.

use std::collections::{BTreeMap, BTreeSet};

use maas_netconfig::model::{GatewayChoice, GatewayLink, Vlan};
use maas_netconfig::{self as netconfig, Network, SubnetId};

use super::{Interface, Interfaces, Kind, Link, LinkMode, NetworkFacts};
use crate::machine::Machine;

/// The network of a machine's interfaces; `None` when it has none that are known.
///
/// AUTO links without an address yet are in it, and are left out by the renderers with a warning.
#[must_use]
pub fn to_network(machine: &Machine, networks: &NetworkFacts) -> Option<Network> {
    let interfaces = &machine.interfaces;
    if interfaces.is_empty() {
        return None;
    }
    let boot = interfaces.boot(machine.boot.boot_mac.as_deref()).map(|boot| boot.id);
    Some(interfaces.network(boot, &machine.domain, networks))
}

fn subnet_id(id: u64) -> SubnetId {
    SubnetId::from(id.to_string())
}

impl Interfaces {
    /// All interfaces as a network; `boot` is the number of the boot interface, `domain` the
    /// machine's own.
    #[must_use]
    pub fn network(&self, boot: Option<u64>, domain: &str, networks: &NetworkFacts) -> Network {
        let used: BTreeSet<u64> = self.links().filter_map(|(_, link)| link.subnet).collect();
        let mut search = Vec::new();
        for name in std::iter::once(domain).chain(networks.search.iter().map(String::as_str)) {
            if !name.is_empty() && !search.iter().any(|have| have == name) {
                search.push(name.to_owned());
            }
        }
        let choice = |link: Option<u64>| {
            let (interface, link) = self.link(link?)?;
            super::gateway::of_link(link, networks)?;
            Some(GatewayLink { interface: interface.name.clone(), subnet: subnet_id(link.subnet?) })
        };
        Network {
            interfaces: self.list.iter().map(|interface| self.one(interface, networks)).collect(),
            subnets: used
                .iter()
                .filter_map(|id| Some((subnet_id(*id), subnet(*id, networks)?)))
                .collect(),
            routes: networks
                .routes
                .iter()
                .filter(|route| used.contains(&route.source))
                .map(|route| netconfig::StaticRoute {
                    source: subnet_id(route.source),
                    destination: route.destination,
                    gateway: route.gateway,
                    metric: route.metric,
                })
                .collect(),
            dns: netconfig::Dns { servers: networks.name_servers.clone(), search },
            gateways: GatewayChoice {
                ipv4: choice(self.gateways.ipv4),
                ipv6: choice(self.gateways.ipv6),
            },
            boot: boot.and_then(|id| self.by_id(id)).map(|interface| interface.name.clone()),
        }
    }

    fn one(&self, interface: &Interface, networks: &NetworkFacts) -> netconfig::Interface {
        let names = |ids: &[u64]| -> Vec<netconfig::IfName> {
            ids.iter().filter_map(|id| self.by_id(*id)).map(|it| it.name.clone()).collect()
        };
        let vlan = interface.vlan.and_then(|id| networks.vlans.get(&id));
        let kind = match &interface.kind {
            Kind::Physical => netconfig::Kind::Physical { mac: interface.mac },
            Kind::Bond { parents, params } => netconfig::Kind::Bond {
                mac: interface.mac,
                members: names(parents),
                params: params.clone(),
            },
            Kind::Bridge { parents, bridge, params } => netconfig::Kind::Bridge {
                mac: interface.mac,
                members: names(parents),
                bridge: *bridge,
                params: params.clone(),
            },
            Kind::Vlan { parent } => netconfig::Kind::Vlan {
                link: self
                    .by_id(*parent)
                    .map_or_else(|| interface.name.clone(), |parent| parent.name.clone()),
                vid: vlan.map_or(netconfig::Vid::UNTAGGED, |vlan| vlan.vid),
            },
        };
        netconfig::Interface {
            name: interface.name.clone(),
            kind,
            enabled: self.is_enabled(interface),
            vlan: vlan.map(|vlan| Vlan { mtu: vlan.mtu }),
            mtu: interface.mtu,
            accept_ra: interface.accept_ra,
            links: interface.links.iter().filter_map(|link| rendered(link, networks)).collect(),
            extra: BTreeMap::new(),
        }
    }
}

/// `None` for a link whose subnet is gone.
fn rendered(link: &Link, networks: &NetworkFacts) -> Option<netconfig::Link> {
    let known = link.subnet.filter(|id| networks.subnets.contains_key(id)).map(subnet_id);
    match link.mode {
        LinkMode::Auto => Some(netconfig::Link::Auto { subnet: known?, ip: link.ip }),
        LinkMode::Static => Some(netconfig::Link::Static { subnet: known?, ip: link.ip? }),
        LinkMode::Dhcp => Some(netconfig::Link::Dhcp { subnet: known }),
        LinkMode::LinkUp => Some(netconfig::Link::LinkUp { subnet: known }),
    }
}

fn subnet(id: u64, networks: &NetworkFacts) -> Option<netconfig::Subnet> {
    let facts = networks.subnets.get(&id)?;
    Some(netconfig::Subnet {
        cidr: facts.cidr,
        gateway: facts.gateway,
        dns_servers: facts.dns_servers.clone(),
        allow_dns: facts.allow_dns,
        rack_dns: facts.rack_dns.clone(),
        dhcp_on: networks.vlans.get(&facts.vlan).is_some_and(|vlan| vlan.dhcp_on),
    })
}
