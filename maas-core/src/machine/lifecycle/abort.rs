//! Stopping what is under way.

use super::change::Change;
use super::{scripts, test, words};
use crate::commission::result::ScriptStatus;
use crate::machine::{Actor, Permission, Refusal, Status, permission};

pub(super) fn abort(change: &mut Change<'_>, actor: &Actor, comment: &str) -> Result<(), Refusal> {
    let action = "abort";
    permission::require(actor, &change.machine, Permission::Edit, action)?;
    let (kind, to) = match change.machine.status {
        Status::Commissioning => ("User aborting node commissioning", Status::New),
        Status::DiskErasing => ("User aborting disk erase", Status::FailedDiskErasing),
        Status::Deploying => ("User aborting deployment", Status::Allocated),
        Status::Testing => ("User aborting node testing", test::after_abort(&change.machine)),
        _ => return Err(change.wrong_status(action)),
    };
    change.command(kind, actor, comment);
    scripts::end_unfinished(change, ScriptStatus::Aborted);
    let was = change.machine.status;
    let reason = words::failure(&change.machine, &format!("aborted by {}", actor.username));
    if was == Status::Deploying {
        change.machine.deployment = None;
        change.machine.netboot = true;
    }
    change.move_to(to)?;
    if was == Status::DiskErasing {
        change.machine.error_description = reason;
    }
    change.power_off();
    Ok(())
}
