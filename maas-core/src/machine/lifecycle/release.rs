//! Release: give back, wipe if asked, and forget.

use super::change::Change;
use super::{commission, scripts, words};
use crate::commission::result::{ScriptRun, ScriptType};
use crate::machine::{
    Actor, Erase, Level, Machine, Permission, PowerState, Refusal, Status, Waiting, permission,
};

pub(super) fn start(
    change: &mut Change<'_>,
    actor: &Actor,
    erase: Erase,
    runs: &[ScriptRun],
    comment: &str,
) -> Result<(), Refusal> {
    let action = "release";
    permission::require(actor, &change.machine, Permission::Edit, action)?;
    let status = change.machine.status;
    if matches!(status, Status::Releasing | Status::Ready) {
        return Ok(());
    }
    if !status.is_releasable() {
        return Err(change.wrong_status(action));
    }
    if erase == Erase::Keep && runs.is_empty() {
        change.command("User releasing node", actor, comment);
        change.replace_scripts(&[ScriptType::Release], &[]);
        return power_off_and_finish(change);
    }
    change.require_power_driver()?;
    let only_wipes = runs.iter().all(|run| run.name == "wipe-disks");
    let kind = if only_wipes { "User erasing disk" } else { "User releasing node" };
    change.command(kind, actor, comment);
    change.replace_scripts(&[ScriptType::Release], runs);
    change.machine.netboot = true;
    change.move_to(if only_wipes { Status::DiskErasing } else { Status::Releasing })?;
    change.wait_for(Waiting::NetworkBoot);
    change.power_cycle();
    Ok(())
}

/// Switches off, and ends at once when it is off or nobody can tell.
fn power_off_and_finish(change: &mut Change<'_>) -> Result<(), Refusal> {
    // An enlistment that was marked broken half-way was never commissioned.
    let unfinished = change.machine.status == Status::Broken
        && !scripts::any(&change.machine, ScriptType::Commissioning);
    let to = if unfinished { Status::New } else { Status::Ready };
    let power = &change.machine.power;
    let finished = !power.is_queryable() || power.state == PowerState::Off;
    change.move_to(Status::Releasing)?;
    if finished {
        return change.move_to(to);
    }
    change.power_off();
    change.query_power_soon();
    Ok(())
}

/// The machine is off.
pub(super) fn switched_off(change: &mut Change<'_>) -> Result<(), Refusal> {
    let to = where_to(&change.machine);
    match change.machine.status {
        Status::Releasing if change.machine.waits_for(Waiting::PowerOff) => change.move_to(to),
        // The ephemeral OS switches itself off at its end, and its last words may get lost.
        Status::Releasing | Status::DiskErasing
            if scripts::any(&change.machine, ScriptType::Release)
                && scripts::unproven(&change.machine, ScriptType::Release).is_empty() =>
        {
            if change.machine.status == Status::DiskErasing {
                change.move_to(Status::Releasing)?;
            }
            change.move_to(to)
        }
        _ => Ok(()),
    }
}

/// New for a machine that was never commissioned, otherwise Ready.
fn where_to(machine: &Machine) -> Status {
    let never = machine.previous_status == Status::Broken
        && !scripts::any(machine, ScriptType::Commissioning);
    if never { Status::New } else { Status::Ready }
}

/// The ephemeral OS came to its end: the erasure is believed only with its scripts' results.
pub(super) fn scripts_finished(change: &mut Change<'_>) -> Result<(), Refusal> {
    let unproven = scripts::unproven(&change.machine, ScriptType::Release);
    if !unproven.is_empty() {
        let reason = format!("the ephemeral OS ended without success of: {}", unproven.join(", "));
        let sentence = words::failure(&change.machine, &reason);
        return commission::fail(change, sentence);
    }
    let passed = scripts::any(&change.machine, ScriptType::Release);
    if passed {
        change.note(Level::Info, "Release scripts finished", "all release scripts passed");
    }
    power_off_and_finish(change)
}
