//! The one function that changes a machine's state.

use std::time::Duration;

use super::{Effect, Event, Machine, NodeCredentials, Record, Refusal};
use crate::time::Timestamp;

/// What the shell lends to one decision: time, fresh credentials and settings.
#[derive(Debug, Clone)]
pub struct Context {
    /// Now.
    pub now: Timestamp,
    /// Credentials drawn for this decision; used when the owner changes, dropped otherwise.
    pub fresh_credentials: NodeCredentials,
    /// The longest silence in a transient status (MAAS `node_timeout`, 30 minutes by default).
    pub node_timeout: Duration,
}

/// A decision: the changed machine, what to do and what to write down.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The machine after the event; its `version` is still the one it was loaded with.
    pub machine: Machine,
    /// To be stored with it and performed afterwards, in order.
    pub effects: Vec<Effect>,
    /// To be stored with it as its history.
    pub records: Vec<Record>,
}

/// Applies one event.
///
/// # Errors
///
/// A [`Refusal`] when the event is not possible now; nothing has changed then.
pub fn apply(machine: &Machine, event: &Event, context: &Context) -> Result<Outcome, Refusal> {
    let _ = (event, context);
    Ok(Outcome { machine: machine.clone(), effects: Vec::new(), records: Vec::new() })
}
