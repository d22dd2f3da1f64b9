//! What the shell must do after a change was committed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A deed that follows a committed change; kept in an outbox and performed at least once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// Switch on; when it is on already, switch off and on so that the firmware starts anew.
    PowerCycle,
    /// Switch on; nothing when it is on.
    PowerOn,
    /// Switch off.
    PowerOff,
    /// Ask the driver for the state after this time and report it as an event.
    QueryPower {
        /// The delay before the query.
        after: Duration,
    },
}
