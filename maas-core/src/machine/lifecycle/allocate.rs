//! Allocation: exactly one user.

use super::change::Change;
use crate::machine::{Actor, Permission, Refusal, Status, permission};

pub(super) fn allocate(
    change: &mut Change<'_>,
    actor: &Actor,
    agent_name: &str,
    comment: &str,
) -> Result<(), Refusal> {
    let action = "allocate";
    permission::require(actor, &change.machine, Permission::Edit, action)?;
    change.require_status(action, &[Status::Ready])?;
    acquire(change, actor, agent_name, comment)
}

/// Gives a Ready machine to the user.
pub(super) fn acquire(
    change: &mut Change<'_>,
    actor: &Actor,
    agent_name: &str,
    comment: &str,
) -> Result<(), Refusal> {
    change.command("User acquiring node", actor, comment);
    change.set_owner(Some(&actor.username));
    change.machine.agent_name = agent_name.to_owned();
    change.move_to(Status::Allocated)
}

/// Gives a machine to another user as it is; a locked one too, since its owner goes away. It keeps
/// its credentials: what is deployed on it goes on.
pub(super) fn transfer(change: &mut Change<'_>, actor: &Actor, to: &str) -> Result<(), Refusal> {
    permission::require(actor, &change.machine, Permission::AdminRead, "transfer")?;
    if change.machine.owner.is_none() {
        return Err(Refusal::NotAllocated);
    }
    change.command("User transferring node", actor, to);
    change.machine.owner = Some(to.to_owned());
    Ok(())
}
