//! Subnets, static routes and name servers.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The key of a subnet within one network; any text, its meaning is the caller's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubnetId(String);

impl SubnetId {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SubnetId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl From<String> for SubnetId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl fmt::Display for SubnetId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One IP network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    /// Network address and prefix length, without host bits.
    pub cidr: IpNet,
    /// Its router: inside the network, or an IPv6 link-local address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Name servers of this subnet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_servers: Vec<IpAddr>,
    /// Whether MAAS's own DNS (`rack_dns` and the search list) is offered here.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub allow_dns: bool,
    /// Addresses of the racks that answer DNS on this subnet's VLAN; used before `dns_servers`
    /// where `allow_dns` holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rack_dns: Vec<IpAddr>,
    /// Whether MAAS serves DHCP on its VLAN; such subnets are preferred for the default gateway.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dhcp_on: bool,
}

fn yes() -> bool {
    true
}

impl Subnet {
    /// A subnet without gateway and name servers.
    pub fn new(cidr: IpNet) -> Self {
        Self {
            cidr,
            gateway: None,
            dns_servers: Vec::new(),
            allow_dns: true,
            rack_dns: Vec::new(),
            dhcp_on: false,
        }
    }
}

/// A route that every interface with an address in the source subnet gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticRoute {
    /// The subnet from which the route is used.
    pub source: super::SubnetId,
    /// Where to.
    pub destination: IpNet,
    /// Through which router; inside the source subnet.
    pub gateway: IpAddr,
    /// Preference; lower wins.
    #[serde(default)]
    pub metric: u32,
}

/// Name servers and search domains.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// Name servers in order of preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<IpAddr>,
    /// Search domains in order of preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
}

impl Dns {
    /// Whether there is neither server nor domain.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.search.is_empty()
    }

    /// Adds what is not there yet, in order.
    pub(crate) fn extend(&mut self, other: &Self) {
        push_new(&mut self.servers, &other.servers);
        push_new(&mut self.search, &other.search);
    }
}

/// Appends the items that are not in the list yet.
pub(crate) fn push_new<T: PartialEq + Clone>(list: &mut Vec<T>, items: &[T]) {
    for item in items {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}
