//! How an interface gets an address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One way in which an interface is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its number within the machine.
    pub id: u64,
    /// The way.
    pub mode: LinkMode,
    /// The number of the subnet; always there for AUTO and STATIC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<u64>,
    /// The fixed address: of a STATIC link always, of an AUTO link while the machine is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
}

/// The ways in which a link gets its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkMode {
    /// A free address of the subnet, chosen when the machine is deployed.
    Auto,
    /// From a DHCP server.
    Dhcp,
    /// A fixed address.
    Static,
    /// Up without an address.
    LinkUp,
}

impl LinkMode {
    /// The API's word, lower case.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dhcp => "dhcp",
            Self::Static => "static",
            Self::LinkUp => "link_up",
        }
    }
}

impl fmt::Display for LinkMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// A text that is no link mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Expected one of AUTO, DHCP, STATIC and LINK_UP.")]
pub struct InvalidLinkMode;

impl FromStr for LinkMode {
    type Err = InvalidLinkMode;

    /// Reads the word in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "dhcp" => Ok(Self::Dhcp),
            "static" => Ok(Self::Static),
            "link_up" => Ok(Self::LinkUp),
            _ => Err(InvalidLinkMode),
        }
    }
}
