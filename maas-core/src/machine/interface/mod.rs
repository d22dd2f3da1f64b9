//! A machine's network interfaces as data: what it has, how each is configured, and how that is
//! edited.
//!
//! [`Interfaces`] belongs to one machine or device. It knows VLANs and subnets by their numbers
//! only; [`NetworkFacts`] says what these are. [`Interfaces::edit`] is the one way to change the
//! configuration, and [`Interfaces::network`] what a deployment is rendered from.

pub mod build;
pub mod edit;
mod facts;
mod gateway;
mod link;
pub mod network;
mod refusal;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use maas_netconfig::model::{BondParams, BridgeKind, BridgeParams};
use maas_netconfig::{IfName, Mac, Mtu};
use serde::{Deserialize, Serialize};

pub use edit::{Edit, Node};
pub use facts::{NetworkFacts, RouteFacts, SubnetFacts, VlanFacts};
pub use gateway::{DefaultGateway, DefaultGateways};
pub use link::{InvalidLinkMode, Link, LinkMode};
pub use refusal::Refusal;
pub use usage::AcquiredBridges;

/// All interfaces of one machine or device.
///
/// Numbers of interfaces and links come from one counter, are unique within the machine and are
/// never given twice.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Interfaces {
    /// The newest number that was given to an interface or a link.
    last_id: u64,
    /// By number.
    list: Vec<Interface>,
    /// The links that give the default gateways, where somebody chose them.
    gateways: GatewayLinks,
}

/// The links whose subnets give the default gateways; `None` chooses automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayLinks {
    /// The number of the link for IPv4.
    pub ipv4: Option<u64>,
    /// The number of the link for IPv6.
    pub ipv6: Option<u64>,
}

/// One interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Its number within the machine.
    pub id: u64,
    /// Its name on the deployed system.
    pub name: IfName,
    /// What it is made of.
    pub kind: Kind,
    /// Its hardware address; `None` for a VLAN interface, which has its parent's.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// The number of the VLAN that it is plugged into or, for a VLAN interface, that it carries;
    /// `None` when it is disconnected or nobody knows.
    #[serde(default)]
    pub vlan: Option<u64>,
    /// Free words.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// A physical interface's own switch; see [`Interfaces::is_enabled`] for the others.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Its own MTU; `None` takes the VLAN's.
    #[serde(default)]
    pub mtu: Option<Mtu>,
    /// Whether IPv6 router advertisements are accepted; `None` leaves it to the system.
    #[serde(default)]
    pub accept_ra: Option<bool>,
    /// How it gets addresses, by number.
    #[serde(default)]
    pub links: Vec<Link>,
    /// What is known of the card.
    #[serde(default)]
    pub card: Card,
    /// Whether it is a bridge that an allocation or a deployment made (`bridge_all`); such bridges
    /// go away with the use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acquired: bool,
}

const fn yes() -> bool {
    true
}

/// What is known of a network card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Card {
    /// Whether the link had a carrier.
    pub link_connected: bool,
    /// The fastest mode in Mbit/s; 0 when unknown.
    pub interface_speed: u32,
    /// The link's speed in Mbit/s; 0 when unknown or not connected.
    pub link_speed: u32,
    /// The vendor's name.
    pub vendor: Option<String>,
    /// The product's name.
    pub product: Option<String>,
    /// The firmware's version.
    pub firmware_version: Option<String>,
    /// The NUMA node it hangs on.
    pub numa_node: u32,
    /// How many virtual functions it can make; 0 without SR-IOV.
    pub sriov_max_vf: u32,
}

/// What an interface is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Kind {
    /// A port of a card.
    Physical,
    /// Several ports as one link.
    Bond {
        /// The numbers of the ports.
        parents: Vec<u64>,
        /// Mode and timers.
        params: BondParams,
    },
    /// A software switch.
    Bridge {
        /// The numbers of its ports.
        parents: Vec<u64>,
        /// Linux bridge or Open vSwitch.
        bridge: BridgeKind,
        /// Spanning tree and timers.
        params: BridgeParams,
    },
    /// A tagged VLAN on another interface.
    Vlan {
        /// The number of the interface that carries it.
        parent: u64,
    },
}

impl Kind {
    /// The numbers of the interfaces it is built on.
    #[must_use]
    pub fn parents(&self) -> &[u64] {
        match self {
            Self::Physical => &[],
            Self::Bond { parents, .. } | Self::Bridge { parents, .. } => parents,
            Self::Vlan { parent } => std::slice::from_ref(parent),
        }
    }

    /// The API's word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Physical => "physical",
            Self::Bond { .. } => "bond",
            Self::Bridge { .. } => "bridge",
            Self::Vlan { .. } => "vlan",
        }
    }
}

impl Interface {
    /// An enabled interface that is connected to nothing.
    #[must_use]
    pub fn new(id: u64, name: IfName, kind: Kind) -> Self {
        Self {
            id,
            name,
            kind,
            mac: None,
            vlan: None,
            tags: BTreeSet::new(),
            enabled: true,
            mtu: None,
            accept_ra: None,
            links: Vec::new(),
            card: Card::default(),
            acquired: false,
        }
    }

    /// Whether it is a port of a card.
    #[must_use]
    pub const fn is_physical(&self) -> bool {
        matches!(self.kind, Kind::Physical)
    }

    /// Whether somebody wants an address, or DHCP, on it.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.links.iter().any(|link| link.mode != LinkMode::LinkUp)
    }
}

/// A link's claim to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldAddress {
    /// The address.
    pub ip: IpAddr,
    /// The number of its subnet.
    pub subnet: u64,
    /// The number of its interface.
    pub interface: u64,
    /// The number of its link.
    pub link: u64,
    /// Whether a person chose it, or it was chosen at the deployment.
    pub mode: LinkMode,
}

impl Interfaces {
    /// By number.
    pub fn iter(&self) -> std::slice::Iter<'_, Interface> {
        self.list.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether nobody ever built them: a machine that was stored before interfaces were.
    #[must_use]
    pub const fn is_unborn(&self) -> bool {
        self.last_id == 0
    }

    /// The interface with this number.
    #[must_use]
    pub fn by_id(&self, id: u64) -> Option<&Interface> {
        self.list.iter().find(|interface| interface.id == id)
    }

    /// The interface of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Interface> {
        self.list.iter().find(|interface| interface.name.as_str() == name)
    }

    /// The interface that a path names by number or name; a number wins.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<&Interface> {
        text.parse().ok().and_then(|id| self.by_id(id)).or_else(|| self.by_name(text))
    }

    /// The physical interface with this address.
    #[must_use]
    pub fn by_mac(&self, mac: Mac) -> Option<&Interface> {
        self.list.iter().find(|interface| interface.is_physical() && interface.mac == Some(mac))
    }

    /// The addresses of the physical interfaces.
    pub fn macs(&self) -> impl Iterator<Item = Mac> {
        self.list.iter().filter(|interface| interface.is_physical()).filter_map(|it| it.mac)
    }

    /// The interfaces that are built on this one.
    pub fn children(&self, id: u64) -> impl Iterator<Item = &Interface> {
        self.list.iter().filter(move |interface| interface.kind.parents().contains(&id))
    }

    /// The bond or bridge that this interface is a member of.
    #[must_use]
    pub fn group_of(&self, id: u64) -> Option<&Interface> {
        self.children(id).find(|child| !matches!(child.kind, Kind::Vlan { .. }))
    }

    /// The address on the wire: a VLAN interface has its parent's.
    #[must_use]
    pub fn mac_of(&self, interface: &Interface) -> Option<Mac> {
        interface.mac.or_else(|| {
            let parent = self.by_id(*interface.kind.parents().first()?)?;
            // A parent is never a VLAN interface above itself: at most a VLAN on a bridge on one.
            parent.mac.or_else(|| self.by_id(*parent.kind.parents().first()?)?.mac)
        })
    }

    /// Whether it takes part: a physical one by its own switch, the others when a parent does.
    #[must_use]
    pub fn is_enabled(&self, interface: &Interface) -> bool {
        self.any_below(interface, 8)
    }

    fn any_below(&self, interface: &Interface, depth: u8) -> bool {
        let parents = interface.kind.parents();
        if parents.is_empty() {
            return interface.enabled;
        }
        depth > 0
            && parents
                .iter()
                .filter_map(|id| self.by_id(*id))
                .any(|parent| self.any_below(parent, depth - 1))
    }

    /// What it carries: its own MTU, or its VLAN's, or Ethernet's 1500, and at least what the
    /// interfaces built on it need.
    #[must_use]
    pub fn effective_mtu(&self, interface: &Interface, networks: &NetworkFacts) -> u16 {
        self.mtu_with(interface, networks, 8)
    }

    fn mtu_with(&self, interface: &Interface, networks: &NetworkFacts, depth: u8) -> u16 {
        let vlan = || interface.vlan.and_then(|id| networks.vlans.get(&id)).map(|vlan| vlan.mtu);
        let own = interface.mtu.or_else(vlan).unwrap_or(Mtu::ETHERNET).bytes();
        if depth == 0 {
            return own;
        }
        let above = self.children(interface.id);
        above.map(|child| self.mtu_with(child, networks, depth - 1)).fold(own, u16::max)
    }

    /// The interface that the machine boots from: the one with this address, or the first card.
    #[must_use]
    pub fn boot(&self, boot_mac: Option<&str>) -> Option<&Interface> {
        boot_mac
            .and_then(|mac| mac.parse().ok())
            .and_then(|mac| self.by_mac(mac))
            .or_else(|| self.list.iter().find(|interface| interface.is_physical()))
    }

    /// The links that somebody chose for the default gateways.
    #[must_use]
    pub const fn chosen_gateways(&self) -> GatewayLinks {
        self.gateways
    }

    /// The link with this number, and its interface.
    #[must_use]
    pub fn link(&self, id: u64) -> Option<(&Interface, &Link)> {
        self.links().find(|(_, link)| link.id == id)
    }

    /// Every link with its interface.
    pub fn links(&self) -> impl Iterator<Item = (&Interface, &Link)> {
        self.list.iter().flat_map(|interface| interface.links.iter().map(move |l| (interface, l)))
    }

    /// Every address that a link has, by address.
    #[must_use]
    pub fn held(&self) -> BTreeMap<IpAddr, HeldAddress> {
        self.links()
            .filter_map(|(interface, link)| {
                let (ip, subnet) = (link.ip?, link.subnet?);
                let held = HeldAddress {
                    ip,
                    subnet,
                    interface: interface.id,
                    link: link.id,
                    mode: link.mode,
                };
                Some((ip, held))
            })
            .collect()
    }

    /// The links of this mode that still need an address: link, interface and subnet.
    pub fn without_address(
        &self,
        mode: LinkMode,
    ) -> impl Iterator<Item = (&Interface, &Link, u64)> {
        self.links()
            .filter(move |(_, link)| link.mode == mode && link.ip.is_none())
            .filter_map(|(interface, link)| link.subnet.map(|subnet| (interface, link, subnet)))
    }

    /// Gives a link its address; nothing when there is no such link.
    pub fn assign(&mut self, link: u64, ip: IpAddr) {
        let links = self.list.iter_mut().flat_map(|interface| &mut interface.links);
        if let Some(link) = links.into_iter().find(|it| it.id == link) {
            link.ip = Some(ip);
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut Interface> {
        self.list.iter_mut().find(|interface| interface.id == id)
    }

    /// Adds a link that is up without an address, when there is none and it is plugged in
    /// somewhere: what the API shows of an interface that is not configured.
    fn ensure_link_up(&mut self, id: u64) {
        if self.group_of(id).is_some() {
            return;
        }
        let wants = |it: &Interface| it.id == id && it.links.is_empty() && it.vlan.is_some();
        if self.list.iter().any(wants) {
            let link = Link { id: self.next_id(), mode: LinkMode::LinkUp, subnet: None, ip: None };
            if let Some(interface) = self.get_mut(id) {
                interface.links.push(link);
            }
        }
    }

    /// Forgets choices whose link is gone.
    fn tidy(&mut self) {
        let there = |id: Option<u64>| id.filter(|id| self.link(*id).is_some());
        self.gateways =
            GatewayLinks { ipv4: there(self.gateways.ipv4), ipv6: there(self.gateways.ipv6) };
    }
}

impl<'a> IntoIterator for &'a Interfaces {
    type Item = &'a Interface;
    type IntoIter = std::slice::Iter<'a, Interface>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
