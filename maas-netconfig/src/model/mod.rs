//! The network that a machine shall have, in MAAS's words: interfaces, links, subnets, routes.
//!
//! A [`Network`] says what is wanted (this interface gets a static address in that subnet);
//! [`Network::resolve`](crate::model::Network::resolve) turns it into a
//! [`Topology`](crate::topology::Topology), which says what every device carries and from which
//! all renderings are made.
//!
//! The serialised form is stable and strict (unknown keys are refused):
//!
//! ```yaml
//! interfaces:
//! - {name: eno1, type: physical, mac: "52:54:00:aa:00:01", links: [{mode: dhcp}]}
//! - name: bond0
//!   type: bond
//!   members: [eno2, eno3]
//!   params: {mode: 802.3ad, miimon: 100, lacp_rate: fast}
//!   links: [{mode: static, subnet: lab, ip: 10.20.0.21}]
//! - {name: bond0.300, type: vlan, link: bond0, vid: 300, mtu: 1500}
//! - {name: br0, type: bridge, members: [bond0.300], bridge: standard, params: {stp: false}}
//! subnets:
//!   lab: {cidr: 10.20.0.0/22, gateway: 10.20.0.1, dns_servers: [10.20.0.53]}
//! routes:
//! - {source: lab, destination: 172.30.0.0/16, gateway: 10.20.0.254, metric: 7}
//! dns: {servers: [10.20.0.2], search: [lab.example]}
//! gateways: {ipv4: {interface: bond0, subnet: lab}}
//! boot: eno1
//! ```

mod bond;
mod bridge;
mod interface;
mod link;
mod subnet;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use bond::{
    AdSelect, ArpAllTargets, ArpValidate, BondMode, BondParams, FailOverMac, LacpRate,
    PrimaryReselect, XmitHashPolicy,
};
pub use bridge::{BridgeKind, BridgeParams};
pub use interface::{Interface, Kind, Vlan};
pub use link::Link;
pub(crate) use subnet::push_new;
pub use subnet::{Dns, StaticRoute, Subnet, SubnetId};

use crate::name::IfName;

/// Everything that is wanted of one machine's network.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// All interfaces in any order; names are unique.
    pub interfaces: Vec<Interface>,
    /// The subnets that links and routes name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subnets: BTreeMap<SubnetId, Subnet>,
    /// Static routes; each applies to every interface with an address in its source subnet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<StaticRoute>,
    /// Name servers for interfaces whose subnets bring none, and the search list for all.
    #[serde(default, skip_serializing_if = "Dns::is_empty")]
    pub dns: Dns,
    /// Which links give the default gateways, where the automatic choice is not wanted.
    #[serde(default, skip_serializing_if = "GatewayChoice::is_automatic")]
    pub gateways: GatewayChoice,
    /// The interface from which the machine netboots; preferred for the default gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<IfName>,
}

impl Network {
    /// The interface of this name.
    pub fn interface(&self, name: &IfName) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == *name)
    }
}

/// The links whose subnets give the default gateways.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayChoice {
    /// IPv4; `None` chooses automatically.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<GatewayLink>,
    /// IPv6; `None` chooses automatically.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<GatewayLink>,
}

impl GatewayChoice {
    fn is_automatic(&self) -> bool {
        *self == Self::default()
    }
}

/// One link, named by its interface and subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayLink {
    /// The interface that has the link.
    pub interface: IfName,
    /// The subnet whose gateway is used.
    pub subnet: SubnetId,
}
