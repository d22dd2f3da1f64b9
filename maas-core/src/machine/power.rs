//! How a machine is switched, and whether it is on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// A machine's power driver, its parameters and its last known state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Power {
    /// The driver's name: `manual`, `webhook`, `ipmi`…; empty when none was given yet.
    pub driver: String,
    /// The driver's parameters (MAAS's own names); secret as a whole, since some are passwords.
    pub parameters: Secret<BTreeMap<String, String>>,
    /// The state as last seen or reported.
    pub state: PowerState,
}

impl Power {
    /// Whether the driver can switch and tell the state; `manual` and none cannot.
    #[must_use]
    pub fn is_queryable(&self) -> bool {
        !matches!(self.driver.as_str(), "" | "manual")
    }
}

/// Whether a machine is on (MAAS API 2.0 `power_state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// Powered.
    On,
    /// Not powered.
    Off,
    /// Never seen, or the driver cannot tell.
    Unknown,
    /// The driver failed.
    Error,
}
