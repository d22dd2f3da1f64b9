//! What every device of a machine concretely carries: the hub between all formats.
//!
//! Every reader yields a [`Topology`] and every renderer takes one. It holds no policy: gateways
//! are routes to `0.0.0.0/0` or `::/0`, addresses have their prefix, and the order of devices
//! puts parents before what is built on them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::model::{Dns, Kind};
use crate::mtu::Mtu;
use crate::name::IfName;
use crate::yaml::Value;

/// All devices of a machine with everything they carry.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Topology {
    /// Devices, parents first.
    pub devices: Vec<Device>,
    /// Name servers of devices that have addresses and no name servers of their own.
    pub dns: Dns,
    /// Further netplan keys of the whole network (`renderer`, `openvswitch`, opaque sections).
    pub extra: BTreeMap<String, Value>,
}

/// One device.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its name.
    pub name: IfName,
    /// What it is made of.
    pub kind: Kind,
    /// Its MTU; `None` leaves it to the system.
    pub mtu: Option<Mtu>,
    /// Whether IPv6 router advertisements are accepted; `None` leaves it to the system.
    pub accept_ra: Option<bool>,
    /// Whether the system boots without waiting for it; `None` leaves it to the system.
    pub optional: Option<bool>,
    /// Whether an IPv4 address is asked of a DHCP server.
    pub dhcp4: bool,
    /// Whether an IPv6 address is asked of a DHCP server.
    pub dhcp6: bool,
    /// Fixed addresses with their prefix lengths, in order, without repetition.
    pub addresses: Vec<IpNet>,
    /// Routes; a gateway is a route to `0.0.0.0/0` or `::/0`.
    pub routes: Vec<Route>,
    /// Rules that choose a routing table.
    pub policies: Vec<RoutingPolicy>,
    /// Its own name servers and search domains.
    pub dns: Dns,
    /// Further netplan keys of the device.
    pub extra: BTreeMap<String, Value>,
}

impl Device {
    /// A device that carries nothing.
    pub fn new(name: IfName, kind: Kind) -> Self {
        Self {
            name,
            kind,
            mtu: None,
            accept_ra: None,
            optional: None,
            dhcp4: false,
            dhcp6: false,
            addresses: Vec::new(),
            routes: Vec::new(),
            policies: Vec::new(),
            dns: Dns::default(),
            extra: BTreeMap::new(),
        }
    }

    /// Whether it gets any address.
    pub fn is_configured(&self) -> bool {
        self.dhcp4 || self.dhcp6 || !self.addresses.is_empty()
    }

    /// The plain default gateway of a family: main table, no metric.
    pub fn gateway(&self, family: Family) -> Option<IpAddr> {
        self.routes
            .iter()
            .find(|route| route.is_gateway() && Family::of(&route.to.addr()) == family)
            .and_then(|route| route.via)
    }
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both, IPv4 first.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub const fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The network of all addresses: `0.0.0.0/0` or `::/0`.
    pub fn everything(self) -> IpNet {
        match self {
            Self::V4 => IpNet::V4(Ipv4Net::default()),
            Self::V6 => IpNet::V6(Ipv6Net::default()),
        }
    }
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Where to.
    pub to: IpNet,
    /// Through which router; `None` for routes that need none (`extra` says which type).
    pub via: Option<IpAddr>,
    /// Preference; lower wins; `None` leaves it to the system.
    pub metric: Option<u32>,
    /// The routing table; `None` is the main one.
    pub table: Option<u32>,
    /// Whether the router is reached although no address of the device says so.
    pub on_link: bool,
    /// Netplan's further attributes by name, as text: `from`, `scope`, `type`, `mtu`, ...
    pub extra: BTreeMap<String, String>,
}

impl Route {
    /// A route in the main table.
    pub fn new(to: IpNet, via: IpAddr) -> Self {
        Self {
            to,
            via: Some(via),
            metric: None,
            table: None,
            on_link: false,
            extra: BTreeMap::new(),
        }
    }

    /// Whether this is a plain default gateway: everything, main table, no metric or other wish.
    pub fn is_gateway(&self) -> bool {
        self.to.prefix_len() == 0
            && self.via.is_some()
            && self.metric.is_none()
            && self.table.is_none()
            && self.extra.is_empty()
    }
}

/// A rule that sends some packets to another routing table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutingPolicy {
    /// Packets from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpNet>,
    /// Packets to there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<IpNet>,
    /// The routing table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// Rules of lower priority are looked at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Packets with this firewall mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
    /// Packets with this type of service.
    #[serde(default, rename = "type-of-service", skip_serializing_if = "Option::is_none")]
    pub type_of_service: Option<u32>,
}

impl Topology {
    /// The device of this name.
    pub fn device(&self, name: &IfName) -> Option<&Device> {
        self.devices.iter().find(|device| device.name == *name)
    }

    /// Puts parents before what is built on them: roots in name order, each followed by whatever
    /// has become possible, in name order (MAAS's order). Devices in a circle come last.
    pub fn sort_parents_first(&mut self) {
        let order = parents_first(
            &self
                .devices
                .iter()
                .map(|device| (&device.name, device.kind.parents()))
                .collect::<Vec<_>>(),
        );
        let mut slots: Vec<Option<Device>> = self.devices.drain(..).map(Some).collect();
        self.devices = order.into_iter().filter_map(|at| slots[at].take()).collect();
    }

    /// Devices that are built on themselves, directly or through others.
    pub(crate) fn circular(&self) -> Vec<&IfName> {
        let items: Vec<_> =
            self.devices.iter().map(|device| (&device.name, device.kind.parents())).collect();
        let mut seen = std::collections::BTreeSet::new();
        let known: std::collections::BTreeSet<&IfName> =
            items.iter().map(|(name, _)| *name).collect();
        let mut circular = Vec::new();
        for at in parents_first(&items) {
            let (name, parents) = items[at];
            // What cannot be put behind its parents is in a circle or built on one.
            if parents.iter().any(|parent| known.contains(parent) && !seen.contains(parent)) {
                circular.push(name);
            }
            seen.insert(name);
        }
        circular
    }

    /// Whether every default name server and search domain is on some device.
    pub(crate) fn carries_default_dns(&self) -> bool {
        let takes_all = |device: &Device| !device.addresses.is_empty() && device.dns.is_empty();
        let has = |found: &dyn Fn(&Dns) -> bool| {
            self.devices.iter().any(|device| takes_all(device) || found(&device.dns))
        };
        self.dns.servers.iter().all(|server| has(&|dns| dns.servers.contains(server)))
            && self.dns.search.iter().all(|domain| has(&|dns| dns.search.contains(domain)))
    }

    /// The same network in normal form, for comparison: global name servers are given to the
    /// devices that use them and stay global only where no device has them; members, routes and
    /// devices are in a fixed order.
    #[must_use]
    pub fn normal(&self) -> Self {
        let mut normal = self.clone();
        for device in &mut normal.devices {
            if !device.addresses.is_empty() && device.dns.is_empty() {
                device.dns = self.dns.clone();
            }
            if let Kind::Bond { members, .. }
            | Kind::Bridge { members, .. }
            | Kind::Vrf { members, .. } = &mut device.kind
            {
                members.sort();
            }
            device.routes.sort();
            if device.optional == Some(false) {
                device.optional = None;
            }
        }
        let Self { devices, dns, .. } = &mut normal;
        dns.servers.retain(|server| !devices.iter().any(|have| have.dns.servers.contains(server)));
        dns.search.retain(|domain| !devices.iter().any(|have| have.dns.search.contains(domain)));
        normal.sort_parents_first();
        normal
    }
}

/// Indices of the items, each after all its parents that are in the list.
pub(crate) fn parents_first(items: &[(&IfName, &[IfName])]) -> Vec<usize> {
    let mut by_name: Vec<usize> = (0..items.len()).collect();
    by_name.sort_by_key(|&at| items[at].0);
    let find = |name: &IfName| {
        by_name.binary_search_by_key(&name, |&at| items[at].0).ok().map(|rank| by_name[rank])
    };
    let parents: Vec<Vec<usize>> =
        items.iter().map(|(_, parents)| parents.iter().filter_map(find).collect()).collect();
    let mut is_parent = vec![false; items.len()];
    for &parent in parents.iter().flatten() {
        is_parent[parent] = true;
    }
    let mut done = vec![false; items.len()];
    let mut order = Vec::with_capacity(items.len());
    let (roots, mut waiting): (Vec<usize>, Vec<usize>) =
        by_name.iter().partition(|&&at| parents[at].is_empty());
    for root in roots {
        order.push(root);
        done[root] = true;
        let mut before = usize::MAX;
        // Only what something is built on can make anything else possible.
        while is_parent[root] && waiting.len() < before {
            before = waiting.len();
            waiting.retain(|&at| {
                let ready = parents[at].iter().all(|&parent| done[parent]);
                if ready {
                    order.push(at);
                    done[at] = true;
                }
                !ready
            });
        }
    }
    order.extend(waiting);
    order
}
