//! The one function that changes a machine's state.
//!
//! What it promises, for every machine, event and time (a property test holds it to that):
//! it never panics; the status stays or follows `Status::next`; a transient status has a deadline
//! and a resting one has none; a refusal changes nothing; and whatever a machine does or leaves
//! undone, [`Event::DeadlineReached`] brings it to a resting status in the end.

mod abort;
mod allocate;
mod boot;
mod broken;
mod change;
mod commission;
mod deadline;
mod deploy;
mod lock;
mod power;
mod release;
mod report;
mod rescue;
mod scripts;
mod signal;
mod test;
mod words;

#[cfg(test)]
pub(super) mod tests;

use std::time::Duration;

use super::{Effect, Event, Machine, NodeCredentials, Record, Refusal};
use crate::time::Timestamp;
use change::Change;

/// What the shell lends to one decision: time, fresh credentials and settings.
#[derive(Debug, Clone)]
pub struct Context {
    /// Now.
    pub now: Timestamp,
    /// Credentials drawn for this decision; used when the owner changes and when an administrator
    /// starts commissioning, dropped otherwise.
    pub fresh_credentials: NodeCredentials,
    /// The longest silence in a transient status (MAAS `node_timeout`, 30 minutes by default).
    pub node_timeout: Duration,
}

/// A decision: the changed machine, what to do and what to write down.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The machine after the event; its `version` is still the one it was loaded with, `updated`
    /// is now if anything changed.
    pub machine: Machine,
    /// To be stored with it and performed afterwards, in order.
    pub effects: Vec<Effect>,
    /// To be stored with it as its history.
    pub records: Vec<Record>,
}

impl Outcome {
    /// Whether the event left nothing to store: the machine equals `before`, the one that was
    /// given to [`apply`], and there are neither effects nor records. The shell skips the write.
    #[must_use]
    pub fn is_unchanged(&self, before: &Machine) -> bool {
        self.effects.is_empty() && self.records.is_empty() && self.machine == *before
    }
}

/// Applies one event.
///
/// Signs of life that are late, repeated or from an earlier run change nothing: see
/// [`Outcome::is_unchanged`]. What the ephemeral OS says is believed only after the machine was
/// seen in the current status (a boot request, a fetched image, a report): until then it can
/// only be an echo of an earlier run.
///
/// # Errors
///
/// A [`Refusal`] when the event is not possible now; nothing has changed then.
pub fn apply(machine: &Machine, event: &Event, context: &Context) -> Result<Outcome, Refusal> {
    let mut change = Change::new(machine, context);
    let it = &mut change;
    match event {
        Event::Commission { actor, enable_ssh, skip_networking, scripts } => {
            commission::start(it, actor, *enable_ssh, *skip_networking, scripts)
        }
        Event::Test { actor, enable_ssh, scripts } => test::start(it, actor, *enable_ssh, scripts),
        Event::Allocate { actor, agent_name, comment } => {
            allocate::allocate(it, actor, agent_name, comment)
        }
        Event::Transfer { actor, to } => allocate::transfer(it, actor, to),
        Event::Deploy { actor, deployment, scripts, comment } => {
            deploy::start(it, actor, deployment, scripts, comment)
        }
        Event::Release { actor, erase, scripts, comment } => {
            release::start(it, actor, *erase, scripts, comment)
        }
        Event::Abort { actor, comment } => abort::abort(it, actor, comment),
        Event::MarkBroken { actor, comment } => broken::mark(it, actor, comment),
        Event::MarkFixed { actor, comment } => broken::fix(it, actor, comment),
        Event::OverrideFailedTesting { actor, comment } => {
            test::override_failed(it, actor, comment)
        }
        Event::EnterRescueMode { actor } => rescue::enter(it, actor),
        Event::ExitRescueMode { actor } => rescue::exit(it, actor),
        Event::Lock { actor, comment } => lock::lock(it, actor, comment),
        Event::Unlock { actor, comment } => lock::unlock(it, actor, comment),
        Event::PowerOn { actor } => power::on(it, actor),
        Event::PowerOff { actor } => power::off(it, actor),
        Event::BootRequested { boot_method, mac, rack } => {
            boot::requested(it, boot_method, mac.as_deref(), rack);
            Ok(())
        }
        Event::EphemeralFetched => {
            boot::ephemeral_fetched(it);
            Ok(())
        }
        Event::AddressLeased { mac, address } => {
            boot::leased(it, mac, *address);
            Ok(())
        }
        Event::DhcpRefused { reason } => {
            boot::dhcp_refused(it, reason);
            Ok(())
        }
        Event::LeaseEnded { mac, address } => {
            boot::lease_ended(it, mac, *address);
            Ok(())
        }
        Event::Signal { status, error, script, power, scripts } => {
            signal::signal(it, *status, error, script.as_ref(), power.as_ref(), scripts)
        }
        Event::Report(report) => report::report(it, report),
        Event::NetbootOff => {
            boot::netboot_off(it);
            Ok(())
        }
        Event::NetbootOn => {
            boot::netboot_on(it);
            Ok(())
        }
        Event::UserDataFetched => deploy::user_data_fetched(it),
        Event::PowerReported { state } => power::reported(it, *state),
        Event::PowerFailed { action, message } => power::failed(it, action, message),
        Event::DeadlineReached => deadline::reached(it),
        Event::Failed { message } => deadline::failed(it, message),
    }?;
    Ok(change.finish(machine))
}
