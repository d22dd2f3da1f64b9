//! An address that was given out: to whom, and how.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::id::SystemId;
use crate::time::Timestamp;

/// One address that nobody else can get. Its address is its key: whoever stores it first has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The address.
    pub ip: IpAddr,
    /// The subnet that it was taken from.
    pub subnet_id: u64,
    /// How it was given.
    pub alloc_type: AllocType,
    /// Who has it.
    pub holder: Holder,
    /// The user on whose behalf, if any.
    pub user: Option<String>,
    /// Since when.
    pub created: Timestamp,
}

/// How an address was given; the API's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AllocType {
    /// For one deployment.
    Auto = 0,
    /// For as long as the link is there.
    Sticky = 1,
    /// To a user, for what this server does not know of.
    UserReserved = 4,
    /// By DHCP.
    Dhcp = 5,
    /// By somebody else; it was seen.
    Discovered = 6,
}

impl AllocType {
    /// The API's words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "Automatic",
            Self::Sticky => "Sticky",
            Self::UserReserved => "User reserved",
            Self::Dhcp => "DHCP",
            Self::Discovered => "Discovered",
        }
    }
}

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Holder {
    /// A link of an interface of a machine or device.
    Link {
        /// The machine or device.
        system_id: SystemId,
        /// The interface.
        interface: u64,
        /// The link.
        link: u64,
    },
    /// A user's own host.
    Reservation {
        /// Its host name, if it is to be published.
        hostname: String,
        /// Its MAC address, if known.
        mac_address: Option<String>,
    },
}

impl Holder {
    /// The machine or device that has it.
    #[must_use]
    pub const fn system_id(&self) -> Option<&SystemId> {
        match self {
            Self::Link { system_id, .. } => Some(system_id),
            Self::Reservation { .. } => None,
        }
    }
}
