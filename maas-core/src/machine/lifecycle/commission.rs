//! Commissioning: the command, and how a run ends.

use super::change::Change;
use super::{scripts, words};
use crate::commission::result::{ScriptRun, ScriptStatus, ScriptType};
use crate::machine::{Actor, Permission, Refusal, Status, Waiting, permission};

pub(super) fn start(
    change: &mut Change<'_>,
    actor: &Actor,
    enable_ssh: bool,
    skip_networking: bool,
    runs: &[ScriptRun],
) -> Result<(), Refusal> {
    let action = "commission";
    permission::require(actor, &change.machine, Permission::Admin, action)?;
    change.require_status(
        action,
        &[Status::New, Status::FailedCommissioning, Status::Ready, Status::Broken],
    )?;
    change.require_power_driver()?;
    change.command("User starting node commissioning", actor, "");
    // Also for the same administrator the credentials are new ones, so that a runner of an earlier
    // run, which may still be up, cannot speak for this one.
    change.clear_use();
    change.set_owner(Some(&actor.username));
    change.machine.credentials = change.context.fresh_credentials.clone();
    change.machine.enable_ssh = enable_ssh;
    change.machine.skip_networking = skip_networking;
    change.replace_scripts(&[ScriptType::Commissioning, ScriptType::Testing], runs);
    change.move_to(Status::Commissioning)?;
    change.power_cycle();
    Ok(())
}

/// An unknown machine enlisted itself and goes on with commissioning in the same boot.
pub(super) fn start_by_enlistment(
    change: &mut Change<'_>,
    runs: &[ScriptRun],
) -> Result<(), Refusal> {
    change.replace_scripts(&[ScriptType::Commissioning, ScriptType::Testing], runs);
    change.move_to(Status::Commissioning)?;
    change.wait_for(Waiting::Scripts);
    Ok(())
}

/// The runner says that every commissioning script ran.
pub(super) fn finish(change: &mut Change<'_>) -> Result<(), Refusal> {
    if let Some(sentence) = failed_scripts(change, ScriptType::Commissioning) {
        return fail(change, sentence);
    }
    let to = if change.machine.enlisting { Status::New } else { Status::Ready };
    change.move_to(to)
}

/// The runner goes on with the testing scripts.
pub(super) fn go_on_to_testing(change: &mut Change<'_>) -> Result<(), Refusal> {
    if let Some(sentence) = failed_scripts(change, ScriptType::Commissioning) {
        return fail(change, sentence);
    }
    change.move_to(Status::Testing)?;
    change.machine.last_ping = Some(change.now());
    change.saw("runner: testing scripts begin");
    change.wait_for(Waiting::Scripts);
    Ok(())
}

/// Ends a run of scripts in failure.
pub(super) fn fail(change: &mut Change<'_>, sentence: String) -> Result<(), Refusal> {
    scripts::end_unfinished(change, ScriptStatus::Aborted);
    change.fail(sentence)
}

/// The sentence that names the failed scripts of one type; `None` when none failed.
pub(super) fn failed_scripts(change: &Change<'_>, script_type: ScriptType) -> Option<String> {
    let names = scripts::failed(&change.machine, script_type);
    if names.is_empty() {
        return None;
    }
    Some(words::failure(&change.machine, &format!("failed scripts: {}", names.join(", "))))
}
