//! What is to be served, before it is any server's configuration.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// Every subnet that one DHCP server has to do with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhcpPlan {
    /// The port of the rack's HTTP server.
    pub rack_port: u16,
    /// The names of the boot loader files that are there, whole and checked; others are not
    /// advertised.
    pub loaders: BTreeSet<String>,
    /// The subnets.
    pub subnets: Vec<Subnet>,
}

impl DhcpPlan {
    /// A plan for a rack with MAAS's own port and no boot loader of its own yet.
    #[must_use]
    pub fn new(subnets: Vec<Subnet>) -> Self {
        Self { rack_port: 5248, loaders: BTreeSet::new(), subnets }
    }
}

/// Who gives out the addresses of a subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubnetRole {
    /// This server.
    Serve,
    /// Another one; this server only tells where to boot from (proxyDHCP, PXE 2.1 section 2.2).
    Proxy,
}

/// How requests come from a subnet to this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// The subnet's own interface hears them.
    #[default]
    Direct,
    /// A relay on the subnet sends them on (RFC 1542), to the interface that stands here.
    Relayed,
}

/// One subnet (IPv4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// The network interface that it is on, or that a relay sends its requests to.
    pub interface: String,
    /// How requests come in.
    #[serde(default)]
    pub reach: Reach,
    /// The network.
    pub cidr: Ipv4Net,
    /// This host's address where machines find the rack; on the subnet unless that is relayed.
    pub rack: Ipv4Addr,
    /// Who gives out the addresses.
    pub role: SubnetRole,
    /// Addresses for machines that have no reservation.
    pub ranges: Vec<AddressRange>,
    /// Addresses for machines by their MAC address.
    pub reservations: Vec<Reservation>,
    /// The default route.
    pub gateway: Option<Ipv4Addr>,
    /// DNS servers.
    pub dns_servers: Vec<Ipv4Addr>,
    /// NTP servers.
    pub ntp_servers: Vec<Ipv4Addr>,
    /// The domain of the machines.
    pub domain: Option<String>,
    /// Domains that names are looked up in.
    pub search: Vec<String>,
    /// The MTU in bytes, where it is not 1500.
    pub mtu: Option<u16>,
    /// How long a lease lasts, in seconds.
    pub lease_seconds: u32,
    /// Architectures that are told no boot file.
    pub disabled: BTreeSet<super::BootMethod>,
}

impl Subnet {
    /// A subnet that is served, without any addresses yet.
    #[must_use]
    pub fn new(interface: impl Into<String>, cidr: Ipv4Net, rack: Ipv4Addr) -> Self {
        Self {
            interface: interface.into(),
            reach: Reach::Direct,
            cidr,
            rack,
            role: SubnetRole::Serve,
            ranges: Vec::new(),
            reservations: Vec::new(),
            gateway: None,
            dns_servers: Vec::new(),
            ntp_servers: Vec::new(),
            domain: None,
            search: Vec::new(),
            mtu: None,
            lease_seconds: 600,
            disabled: BTreeSet::new(),
        }
    }
}

/// Addresses from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRange {
    /// The first.
    pub first: Ipv4Addr,
    /// The last.
    pub last: Ipv4Addr,
}

/// A text that is not `FIRST-LAST`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an address range such as 10.0.0.100-10.0.0.200, found {0:?}")]
pub struct UnreadableRange(pub String);

impl FromStr for AddressRange {
    type Err = UnreadableRange;

    fn from_str(text: &str) -> Result<Self, UnreadableRange> {
        let unreadable = || UnreadableRange(text.chars().take(60).collect());
        let (first, last) = text.split_once('-').ok_or_else(unreadable)?;
        let address = |text: &str| text.trim().parse().map_err(|_| unreadable());
        Ok(Self { first: address(first)?, last: address(last)? })
    }
}

/// An address that one machine always gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The machine's MAC address, lower case with colons.
    pub mac: String,
    /// The address.
    pub address: Ipv4Addr,
    /// The host name that the machine is told.
    pub hostname: Option<String>,
}
