//! Kinds and parameters of a bridge.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bond::words;
use crate::name::IfName;

words! {
    /// What implements a bridge.
    #[derive(Default)]
    BridgeKind {
        /// The Linux bridge.
        #[default]
        Standard = "standard",
        /// Open vSwitch, which must be installed on the target.
        Ovs = "ovs",
    }
}

/// Parameters of a bridge; `None` leaves the kernel's default. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BridgeParams {
    /// Whether the spanning tree protocol runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stp: Option<bool>,
    /// Seconds in the listening and learning states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_delay: Option<u32>,
    /// Seconds that a learned address is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ageing_time: Option<u32>,
    /// Seconds between hello packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hello_time: Option<u32>,
    /// Seconds that a hello packet counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
    /// Priority of the bridge, 0 to 65535.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u16>,
    /// Cost of each port.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub path_cost: BTreeMap<IfName, u32>,
    /// Priority of each port, 0 to 63.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub port_priority: BTreeMap<IfName, u8>,
}
