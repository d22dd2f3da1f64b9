//! Deployment: the command, and the moment when the installed system speaks.

use super::allocate;
use super::change::Change;
use crate::commission::result::{ScriptRun, ScriptType};
use crate::machine::{
    Actor, Arrival, DeploymentSummary, Level, Permission, Precondition, Refusal, Role, Status,
    permission,
};

pub(super) fn start(
    change: &mut Change<'_>,
    actor: &Actor,
    deployment: &DeploymentSummary,
    runs: &[ScriptRun],
    comment: &str,
) -> Result<(), Refusal> {
    let action = "deploy";
    let stranger = change.machine.owner.clone().filter(|owner| *owner != actor.username);
    if stranger.is_some() && actor.role != Role::Admin {
        return Err(Precondition::Allocated { owner: stranger }.into());
    }
    permission::require(actor, &change.machine, Permission::Edit, action)?;
    match change.machine.status {
        Status::Ready | Status::Allocated => {}
        status @ (Status::New | Status::Commissioning | Status::FailedCommissioning) => {
            return Err(Precondition::Commissioned { status }.into());
        }
        _ => return Err(change.wrong_status(action)),
    }
    change.require_power_driver()?;
    if change.machine.status == Status::Ready {
        allocate::acquire(change, actor, "", comment)?;
    }
    change.command("User starting deployment", actor, comment);
    change.machine.deployment = Some(deployment.clone());
    change.machine.netboot = true;
    change.replace_scripts(&[ScriptType::Deployment], runs);
    change.move_to(Status::Deploying)?;
    change.power_cycle();
    Ok(())
}

/// The deployed system asked for its user data: it is up (`boot-and-metadata.md` §4.2).
///
/// Before netboot was switched off it cannot be the installed system, and before the machine was
/// seen it cannot be the ephemeral deployment; both are echoes and change nothing.
pub(super) fn user_data_fetched(change: &mut Change<'_>) -> Result<(), Refusal> {
    let machine = &change.machine;
    if machine.status != Status::Deploying || !change.was_seen() {
        return Ok(());
    }
    let ephemeral = machine.deployment.as_ref().is_some_and(|deployment| deployment.ephemeral);
    if machine.netboot && !ephemeral {
        return Ok(());
    }
    arrived(change, "the deployed system asked for its user data")
}

/// A stage of cloud-init began or ended while the disk is booted: it is the installed system's, for
/// those of the ephemeral OS came before its installer switched netboot off.
pub(super) fn cloud_init_began(change: &mut Change<'_>) {
    if change.machine.netboot {
        return;
    }
    if let Some(deployment) = &mut change.machine.deployment
        && deployment.arrival == Arrival::Report
    {
        deployment.arrival = Arrival::ReportBegun;
    }
}

/// Whether `modules-final` tells that the installed system is up: it takes what its image has
/// packed and will never ask for user data.
pub(super) fn is_up_by_report(change: &Change<'_>) -> bool {
    let machine = &change.machine;
    !machine.netboot
        && machine.deployment.as_ref().is_some_and(|it| it.arrival == Arrival::ReportBegun)
}

/// The deployed system is up.
pub(super) fn arrived(change: &mut Change<'_>, how: &str) -> Result<(), Refusal> {
    let image = change.machine.deployment.as_ref().map_or_else(
        || "an unnamed image".to_owned(),
        |deployment| format!("{}/{}", deployment.osystem, deployment.distro_series),
    );
    change.move_to(Status::Deployed)?;
    change.note(Level::Info, "Image Deployed", format!("deployed {image}"));
    change.note(Level::Info, "Deployed", how);
    Ok(())
}
