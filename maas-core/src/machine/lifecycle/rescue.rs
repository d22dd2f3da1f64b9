//! Rescue mode: in, and back to where the machine was.

use super::change::Change;
use crate::machine::{Actor, Effect, Machine, Permission, PowerState, Refusal, Status, permission};

/// The statuses that rescue mode may be entered from (`api.md` §1.3).
const FROM: [Status; 14] = [
    Status::New,
    Status::FailedCommissioning,
    Status::Ready,
    Status::Reserved,
    Status::Allocated,
    Status::FailedDeployment,
    Status::Deployed,
    Status::Missing,
    Status::Retired,
    Status::Broken,
    Status::FailedDiskErasing,
    Status::FailedEnteringRescueMode,
    Status::FailedExitingRescueMode,
    Status::FailedTesting,
];

pub(super) fn enter(change: &mut Change<'_>, actor: &Actor) -> Result<(), Refusal> {
    let action = "enter rescue mode of";
    permission::require(actor, &change.machine, Permission::Admin, action)?;
    change.require_status(action, &FROM)?;
    change.require_power_driver()?;
    change.command("User starting rescue mode", actor, "");
    // An owner keeps the machine: a repair is no reason to take it away.
    if change.machine.owner.is_none() {
        change.set_owner(Some(&actor.username));
    }
    change.move_to(Status::EnteringRescueMode)?;
    change.power_cycle();
    Ok(())
}

pub(super) fn exit(change: &mut Change<'_>, actor: &Actor) -> Result<(), Refusal> {
    let action = "exit rescue mode of";
    permission::require(actor, &change.machine, Permission::Admin, action)?;
    change.require_status(
        action,
        &[
            Status::RescueMode,
            Status::EnteringRescueMode,
            Status::FailedEnteringRescueMode,
            Status::FailedExitingRescueMode,
        ],
    )?;
    change.command("User stopping rescue mode", actor, "");
    change.move_to(Status::ExitingRescueMode)?;
    if !change.machine.power.is_queryable() {
        let to = home(&change.machine);
        return change.move_to(to);
    }
    if change.machine.previous_status == Status::Deployed {
        change.power(Effect::PowerCycle);
    } else {
        change.power_off();
    }
    change.query_power_soon();
    Ok(())
}

/// The power state was told: the machine is back when it is as it was before the rescue.
pub(super) fn power_reported(change: &mut Change<'_>, state: PowerState) -> Result<(), Refusal> {
    let wanted = if change.machine.previous_status == Status::Deployed {
        PowerState::On
    } else {
        PowerState::Off
    };
    if change.machine.status != Status::ExitingRescueMode || state != wanted {
        return Ok(());
    }
    let to = home(&change.machine);
    change.move_to(to)
}

/// Where the rescue began; Ready when the machine cannot stand there again.
fn home(machine: &Machine) -> Status {
    let previous = machine.previous_status;
    let possible = Status::ExitingRescueMode.can_become(previous)
        && !previous.is_transient()
        && !matches!(previous, Status::RescueMode)
        && (machine.owner.is_some() || !previous.is_in_use())
        && (machine.deployment.is_some() || previous != Status::Deployed);
    if possible { previous } else { Status::Ready }
}
