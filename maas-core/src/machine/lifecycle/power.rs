//! The power switch: by hand, and what its driver tells.

use super::change::Change;
use super::{release, rescue, scripts, words};
use crate::commission::result::ScriptStatus;
use crate::machine::{
    Actor, Effect, Level, Permission, PowerState, Refusal, Role, Status, Waiting, permission,
};

pub(super) fn on(change: &mut Change<'_>, actor: &Actor) -> Result<(), Refusal> {
    permission::require(actor, &change.machine, Permission::Edit, "power on")?;
    // An administrator may start what commissioning is about to look at.
    let commissioning = actor.role == Role::Admin && change.machine.status.is_commissioning_like();
    if change.machine.owner.is_none() && !commissioning {
        return Err(Refusal::NotAllocated);
    }
    change.require_power_driver()?;
    change.command("User powering up node", actor, "");
    change.power(Effect::PowerOn);
    Ok(())
}

pub(super) fn off(change: &mut Change<'_>, actor: &Actor) -> Result<(), Refusal> {
    permission::require(actor, &change.machine, Permission::Edit, "power off")?;
    change.require_power_driver()?;
    change.command("User powering down node", actor, "");
    change.power_off();
    Ok(())
}

/// The driver told the state.
pub(super) fn reported(change: &mut Change<'_>, state: PowerState) -> Result<(), Refusal> {
    if change.machine.power.state != state {
        change.machine.power.state = state;
        match state {
            PowerState::On => change.note(Level::Debug, "Node powered on", ""),
            PowerState::Off => change.note(Level::Debug, "Node powered off", ""),
            PowerState::Unknown | PowerState::Error => {}
        }
    }
    match change.machine.status {
        Status::ExitingRescueMode => rescue::power_reported(change, state),
        Status::Releasing | Status::DiskErasing if state == PowerState::Off => {
            release::switched_off(change)
        }
        _ => Ok(()),
    }
}

/// The driver gave up: that ends a wait which needs the switch, and no other.
pub(super) fn failed(change: &mut Change<'_>, action: &str, message: &str) -> Result<(), Refusal> {
    let action = words::clip(action, words::NAME);
    let message = words::clip(message, words::SENTENCE);
    let kind = match action {
        "on" => "Failed to power on node",
        "off" => "Failed to power off node",
        "cycle" => "Failed to power cycle node",
        _ => "Failed to query node's BMC",
    };
    let is_query = !matches!(action, "on" | "off" | "cycle");
    change.machine.power.state = PowerState::Error;
    change.note(if is_query { Level::Warning } else { Level::Error }, kind, message);
    let switches_on = matches!(action, "on" | "cycle");
    let switches_off = matches!(action, "off" | "cycle");
    let needed = (switches_on
        && (change.machine.waits_for(Waiting::NetworkBoot)
            || change.machine.waits_for(Waiting::PowerOn)))
        || (switches_off && change.machine.waits_for(Waiting::PowerOff));
    if !needed || !change.machine.status.is_transient() {
        return Ok(());
    }
    let sentence =
        words::failure(&change.machine, &format!("power {action} did not work: {message}"));
    scripts::end_unfinished(change, ScriptStatus::Aborted);
    change.fail(sentence)
}
