//! Out of service, and back.

use super::change::Change;
use super::{scripts, words};
use crate::commission::result::ScriptStatus;
use crate::machine::{Actor, Level, Permission, Refusal, Status, permission};

pub(super) fn mark(change: &mut Change<'_>, actor: &Actor, comment: &str) -> Result<(), Refusal> {
    let action = "mark broken";
    permission::require(actor, &change.machine, Permission::Edit, action)?;
    // Not even an administrator takes another user's machine out of service.
    if change.machine.owner.as_ref().is_some_and(|owner| *owner != actor.username) {
        return Err(Refusal::Forbidden {
            action: action.to_owned(),
            username: actor.username.clone(),
        });
    }
    let status = change.machine.status;
    if status == Status::Broken {
        return Err(change.wrong_status(action));
    }
    change.command("User marking node broken", actor, comment);
    if status.is_transient() {
        scripts::end_unfinished(change, ScriptStatus::Aborted);
        change.power_off();
    }
    if status.is_releasable() {
        change.clear_use();
        change.power_off();
    }
    change.move_to(Status::Broken)?;
    let reason = words::clip(comment, words::SENTENCE);
    change.machine.error_description = reason.to_owned();
    change.note(Level::Warning, "Broken", reason);
    Ok(())
}

pub(super) fn fix(change: &mut Change<'_>, actor: &Actor, comment: &str) -> Result<(), Refusal> {
    let action = "mark fixed";
    permission::require(actor, &change.machine, Permission::Admin, action)?;
    change.require_status(action, &[Status::Broken])?;
    change.command("User marking node fixed", actor, comment);
    let machine = &change.machine;
    let deployed = machine.previous_status == Status::Deployed
        && machine.deployment.is_some()
        && machine.owner.is_some();
    change.move_to(if deployed { Status::Deployed } else { Status::Ready })
}
