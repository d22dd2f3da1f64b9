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
