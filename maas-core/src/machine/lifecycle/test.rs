//! Testing: the command, how a run ends, and accepting a machine in spite of it.

use super::change::Change;
use super::{commission, scripts};
use crate::commission::result::{ScriptRun, ScriptType};
use crate::machine::{Actor, Machine, Permission, Refusal, Status, permission};

/// The statuses that a machine may be tested from (`api.md` §1.3).
const FROM: [Status; 16] = [
    Status::FailedCommissioning,
    Status::New,
    Status::Ready,
    Status::Reserved,
    Status::Allocated,
    Status::FailedDeployment,
    Status::Deployed,
    Status::Missing,
    Status::Retired,
    Status::Broken,
    Status::RescueMode,
    Status::FailedReleasing,
    Status::FailedDiskErasing,
    Status::FailedEnteringRescueMode,
    Status::FailedExitingRescueMode,
    Status::FailedTesting,
];

pub(super) fn start(
    change: &mut Change<'_>,
    actor: &Actor,
    enable_ssh: bool,
    runs: &[ScriptRun],
) -> Result<(), Refusal> {
    let action = "test";
    permission::require(actor, &change.machine, Permission::Admin, action)?;
    change.require_status(action, &FROM)?;
    change.require_power_driver()?;
    change.command("User starting node testing", actor, "");
    let from = change.machine.status;
    let came_from = change.machine.previous_status;
    if change.machine.owner.is_none() {
        change.set_owner(Some(&actor.username));
    }
    if from == Status::FailedDeployment {
        // Nothing runs on it, so that no later step may take it for deployed.
        change.machine.deployment = None;
    }
    change.machine.enable_ssh = enable_ssh;
    change.replace_scripts(&[ScriptType::Testing], runs);
    change.move_to(Status::Testing)?;
    if from == Status::FailedTesting {
        // A repeated test leads to where the first one would have led.
        change.machine.previous_status = came_from;
    }
    change.power_cycle();
    Ok(())
}

/// The runner says that every testing script ran.
pub(super) fn finish(change: &mut Change<'_>) -> Result<(), Refusal> {
    if let Some(sentence) = commission::failed_scripts(change, ScriptType::Testing) {
        return commission::fail(change, sentence);
    }
    let to = after_success(&change.machine);
    change.move_to(to)
}

/// Where a machine goes that passed (`api.md` §1.2).
fn after_success(machine: &Machine) -> Status {
    if machine.enlisting {
        return Status::New;
    }
    let previous = machine.previous_status;
    match previous {
        Status::FailedCommissioning => Status::New,
        // Testing does not replace commissioning.
        Status::New if !scripts::any(machine, ScriptType::Commissioning) => Status::New,
        // A deployed machine that failed, was rescued and passed is still a deployed one.
        Status::FailedTesting if machine.deployment.is_some() => Status::Deployed,
        _ => before_testing(machine),
    }
}

/// Where an abandoned test leaves the machine.
pub(super) fn after_abort(machine: &Machine) -> Status {
    match machine.previous_status {
        _ if machine.enlisting => Status::New,
        Status::FailedCommissioning => Status::New,
        Status::Commissioning => Status::Ready,
        previous if may_return(machine, previous) => previous,
        _ => Status::Ready,
    }
}

fn before_testing(machine: &Machine) -> Status {
    let previous = machine.previous_status;
    if !previous.is_reset_by_testing() && may_return(machine, previous) {
        previous
    } else {
        Status::Ready
    }
}

/// Whether the machine can stand in `previous` again: nobody's machine cannot be in use.
fn may_return(machine: &Machine, previous: Status) -> bool {
    Status::Testing.can_become(previous)
        && !previous.is_transient()
        && (machine.owner.is_some() || !previous.is_in_use())
        && (machine.deployment.is_some() || previous != Status::Deployed)
}

/// Accepts a machine in spite of failed tests.
pub(super) fn override_failed(
    change: &mut Change<'_>,
    actor: &Actor,
    comment: &str,
) -> Result<(), Refusal> {
    let action = "override failed testing of";
    permission::require(actor, &change.machine, Permission::Admin, action)?;
    change.require_status(action, &[Status::FailedTesting])?;
    change.command("User overrode 'Failed testing' status", actor, comment);
    let deployed = change.machine.deployment.is_some() && change.machine.owner.is_some();
    change.move_to(if deployed { Status::Deployed } else { Status::Ready })
}
