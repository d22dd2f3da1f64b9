//! The wanted state of an ESXi host's network.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv6Net};
use serde::Serialize;

use crate::error::Problem;
use crate::loss::Loss;
use crate::mac::Mac;
use crate::model::Dns;

/// The whole network of a host.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// Virtual switches. The one with the card of the management network comes last, so that
    /// management stays up as long as possible.
    pub switches: Vec<Switch>,
    /// The default gateways and further routes, in the order in which they are set.
    pub routes: Vec<StaticRoute>,
    /// Name servers and search domains of the host.
    pub dns: Dns,
    /// What works, but perhaps not as meant.
    pub warnings: Vec<Problem>,
    /// Settings that ESXi has no counterpart for.
    pub losses: Vec<Loss>,
}

/// A standard virtual switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Switch {
    /// Its name, `vSwitch0` and so on.
    pub name: String,
    /// Its MTU, 1280 to 9000.
    pub mtu: u16,
    /// Its cards.
    pub uplinks: Vec<Uplink>,
    /// How it uses several cards; `None` for a single card.
    pub teaming: Option<Teaming>,
    /// Its port groups.
    pub port_groups: Vec<PortGroup>,
}

/// A card of a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Uplink {
    /// The interface it was in the MAAS network.
    pub interface: String,
    /// Its hardware address.
    pub mac: Mac,
    /// ESXi's name for it, when the cards are known.
    pub nic: Option<String>,
}

/// How a switch spreads traffic over its cards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "load_balancing", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Teaming {
    /// By the virtual port that sends (`balance-rr`).
    PortId,
    /// The first card that works (`active-backup`).
    Explicit {
        /// Whether an earlier card takes over again when it is back.
        failback: bool,
    },
    /// By source and destination address (`802.3ad`); needs a static EtherChannel.
    IpHash,
}

impl Teaming {
    /// The word that esxcli knows it by.
    pub const fn policy(&self) -> &'static str {
        match self {
            Self::PortId => "portid",
            Self::Explicit { .. } => "explicit",
            Self::IpHash => "iphash",
        }
    }
}

/// A port group; without a VMkernel interface virtual machines can use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PortGroup {
    /// Its name: the interface's, with `:1` and so on for aliases.
    pub name: String,
    /// Its VLAN tag.
    pub vlan: Option<u16>,
    /// The interface of the host itself.
    pub vmk: Option<VmKernel>,
}

/// An interface of the host itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VmKernel {
    /// Its name, `vmk0` and so on.
    pub name: String,
    /// Its MTU, 1280 to 9000.
    pub mtu: u16,
    /// The hardware address it takes; `None` lets ESXi choose.
    pub mac: Option<Mac>,
    /// Its IPv4 configuration.
    pub ipv4: Option<Ipv4>,
    /// Whether IPv6 is used at all.
    pub ipv6: bool,
    /// Whether an IPv6 address is asked of a DHCP server.
    pub dhcp6: bool,
    /// Whether router advertisements are accepted.
    pub accept_ra: Option<bool>,
    /// Fixed IPv6 addresses.
    pub ipv6_addresses: Vec<Ipv6Net>,
}

/// IPv4 of a VMkernel interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ipv4 {
    /// From a DHCP server.
    Dhcp,
    /// Fixed.
    Static {
        /// The address.
        address: Ipv4Addr,
        /// The netmask.
        netmask: Ipv4Addr,
    },
}

/// A route of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StaticRoute {
    /// Where to; a prefix of length 0 is the default gateway.
    pub to: IpNet,
    /// Through which router.
    pub via: IpAddr,
    /// The VMkernel interface of a link-local router.
    pub vmk: Option<String>,
}
