//! How an interface gets an address.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::SubnetId;

/// One way in which an interface is configured (MAAS's link modes).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Link {
    /// A fixed address chosen by a person.
    Static {
        /// The subnet it is in.
        subnet: SubnetId,
        /// The address.
        ip: IpAddr,
    },
    /// A fixed address chosen by MAAS.
    Auto {
        /// The subnet it is in.
        subnet: SubnetId,
        /// The address; `None` until one has been assigned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ip: Option<IpAddr>,
    },
    /// An address from a DHCP server.
    Dhcp {
        /// The subnet, which says the address family; `None` asks for both families.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subnet: Option<SubnetId>,
    },
    /// Up without an address.
    LinkUp {
        /// The subnet it is plugged into, for information.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subnet: Option<SubnetId>,
    },
}

impl Link {
    /// DHCP for both address families.
    pub const DHCP: Self = Self::Dhcp { subnet: None };
    /// Up without an address.
    pub const LINK_UP: Self = Self::LinkUp { subnet: None };

    /// The subnet that the link names.
    pub fn subnet(&self) -> Option<&SubnetId> {
        match self {
            Self::Static { subnet, .. } | Self::Auto { subnet, .. } => Some(subnet),
            Self::Dhcp { subnet } | Self::LinkUp { subnet } => subnet.as_ref(),
        }
    }

    /// The fixed address, where there is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Static { ip, .. } => Some(*ip),
            Self::Auto { ip, .. } => *ip,
            _ => None,
        }
    }
}
