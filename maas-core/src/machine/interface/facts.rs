//! What an edit and a rendering need to know of VLANs and subnets, as plain values.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use maas_netconfig::{Mtu, Vid};

use crate::ipam::{DEFAULT_VLAN, Networks};

/// The networks around the machines; made once for a request, whatever the number of machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFacts {
    /// VLANs by number.
    pub vlans: BTreeMap<u64, VlanFacts>,
    /// Subnets by number.
    pub subnets: BTreeMap<u64, SubnetFacts>,
    /// Static routes in the order of their numbers.
    pub routes: Vec<RouteFacts>,
    /// The VLAN that an interface is in when nothing else is known of it.
    pub default_vlan: Option<u64>,
    /// Search domains that follow the machine's own.
    pub search: Vec<String>,
    /// Name servers for interfaces whose subnets bring none.
    pub name_servers: Vec<IpAddr>,
}

/// One VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanFacts {
    /// Its tag; 0 is untagged.
    pub vid: Vid,
    /// The number of its fabric.
    pub fabric: u64,
    /// The largest packet it carries.
    pub mtu: Mtu,
    /// Whether DHCP is served on it.
    pub dhcp_on: bool,
}

/// One subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetFacts {
    /// Network and prefix, without host bits.
    pub cidr: IpNet,
    /// The number of its VLAN.
    pub vlan: u64,
    /// Its router.
    pub gateway: Option<IpAddr>,
    /// Its own name servers.
    pub dns_servers: Vec<IpAddr>,
    /// Whether the rack's DNS and the search list are offered here.
    pub allow_dns: bool,
    /// Addresses at which racks answer DNS on its VLAN.
    pub rack_dns: Vec<IpAddr>,
}

/// One static route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteFacts {
    /// The number of the subnet from which it is used.
    pub source: u64,
    /// Where to.
    pub destination: IpNet,
    /// Through which router.
    pub gateway: IpAddr,
    /// Lower wins.
    pub metric: u32,
}

impl Default for NetworkFacts {
    /// Nothing but the VLAN that is there from the start.
    fn default() -> Self {
        Self {
            vlans: BTreeMap::new(),
            subnets: BTreeMap::new(),
            routes: Vec::new(),
            default_vlan: Some(DEFAULT_VLAN),
            search: Vec::new(),
            name_servers: Vec::new(),
        }
    }
}

impl From<&Networks> for NetworkFacts {
    fn from(networks: &Networks) -> Self {
        let vlans = networks.vlans().iter().map(|(id, vlan)| {
            let facts = VlanFacts {
                vid: vlan.vid,
                fabric: vlan.fabric_id,
                mtu: vlan.mtu,
                dhcp_on: vlan.dhcp_on,
            };
            (id, facts)
        });
        let subnets = networks.subnets().iter().map(|(id, subnet)| {
            let facts = SubnetFacts {
                cidr: subnet.cidr,
                vlan: subnet.vlan_id,
                gateway: subnet.gateway_ip,
                dns_servers: subnet.dns_servers.clone(),
                allow_dns: subnet.allow_dns,
                rack_dns: Vec::new(),
            };
            (id, facts)
        });
        let routes = networks.static_routes().iter().filter_map(|(_, route)| {
            Some(RouteFacts {
                source: route.source,
                destination: networks.subnets().get(route.destination)?.cidr,
                gateway: route.gateway_ip,
                metric: route.metric,
            })
        });
        let mut search: Vec<String> = networks
            .domains()
            .iter()
            .filter(|(_, domain)| domain.authoritative)
            .map(|(_, domain)| domain.name.clone())
            .collect();
        search.sort_unstable();
        Self {
            vlans: vlans.collect(),
            subnets: subnets.collect(),
            routes: routes.collect(),
            default_vlan: Some(DEFAULT_VLAN),
            search,
            name_servers: Vec::new(),
        }
    }
}

impl NetworkFacts {
    /// Whether a machine can be given a fixed address here: somebody said how the subnet is left,
    /// or this server gives out its addresses. Of any other the only thing that is known is that
    /// another DHCP server has it.
    #[must_use]
    pub fn is_ours(&self, subnet: &SubnetFacts) -> bool {
        subnet.gateway.is_some() || self.vlans.get(&subnet.vlan).is_some_and(|vlan| vlan.dhcp_on)
    }

    /// The smallest subnet that the address is in.
    #[must_use]
    pub fn subnet_of(&self, ip: IpAddr) -> Option<(u64, &SubnetFacts)> {
        self.subnets
            .iter()
            .filter(|(_, subnet)| subnet.cidr.contains(&ip))
            .max_by_key(|(_, subnet)| subnet.cidr.prefix_len())
            .map(|(id, subnet)| (*id, subnet))
    }
}
