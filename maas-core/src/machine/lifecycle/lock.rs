//! Locks against every command.

use super::change::Change;
use crate::machine::{Actor, Permission, Refusal, Status, permission};

pub(super) fn lock(change: &mut Change<'_>, actor: &Actor, comment: &str) -> Result<(), Refusal> {
    permission::require(actor, &change.machine, Permission::Lock, "lock")?;
    if change.machine.locked {
        return Err(Refusal::AlreadyLocked);
    }
    change.require_status("lock", &[Status::Deployed, Status::Deploying])?;
    change.command("User locking node", actor, comment);
    change.machine.locked = true;
    Ok(())
}

pub(super) fn unlock(change: &mut Change<'_>, actor: &Actor, comment: &str) -> Result<(), Refusal> {
    permission::require(actor, &change.machine, Permission::Lock, "unlock")?;
    if !change.machine.locked {
        return Err(Refusal::NotLocked);
    }
    change.command("User unlocking node", actor, comment);
    change.machine.locked = false;
    Ok(())
}
