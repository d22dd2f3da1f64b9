//! When a wait ends, and how it ends.

use std::time::Duration;

use super::change::Change;
use super::{Context, scripts, words};
use crate::commission::result::{ScriptRun, ScriptStatus};
use crate::machine::{Level, Machine, Refusal, Status, Waiting};
use crate::time::Timestamp;

/// What a script may take beyond its own limit (`api.md` §1.6).
const SCRIPT_GRACE: Duration = Duration::from_secs(5 * 60);

/// When a wait that is renewed now ends, given when the status began.
pub(super) fn due(
    machine: &Machine,
    waiting_for: Waiting,
    since: Timestamp,
    context: &Context,
) -> Timestamp {
    let timeout = context.node_timeout;
    let by_power = matches!(waiting_for, Waiting::PowerOff | Waiting::PowerOn);
    let silence = match machine.status {
        // With release scripts it is the ephemeral OS that must speak, not the power switch.
        Status::Releasing if !by_power => timeout,
        status => status.limit(timeout).unwrap_or(timeout),
    };
    let mut at = context.now.plus(silence);
    if let Some(limit) = machine.status.hard_stop(timeout) {
        at = at.min(since.plus(limit));
    }
    if !by_power {
        // A machine that boots again and again without a word from its runner is not alive.
        let heard = machine.last_ping.unwrap_or(since);
        at = at.min(heard.plus(silence.saturating_mul(2)));
    }
    if waiting_for == Waiting::Scripts {
        at = machine.scripts.iter().filter_map(overdue_from).fold(at, Timestamp::min);
    }
    at
}

/// When a running script has used up its own limit.
fn overdue_from(run: &ScriptRun) -> Option<Timestamp> {
    if run.timeout_seconds == 0 || !scripts::is_running(run) {
        return None;
    }
    Some(run.started?.plus(Duration::from_secs(run.timeout_seconds)).plus(SCRIPT_GRACE))
}

/// The time that a wait was given may be over; nothing happens when it is not.
pub(super) fn reached(change: &mut Change<'_>) -> Result<(), Refusal> {
    let Some(deadline) = change.machine.deadline.clone() else {
        return Ok(());
    };
    let now = change.now();
    if !change.machine.status.is_transient() {
        change.machine.deadline = None;
        return Ok(());
    }
    if now < deadline.at {
        return Ok(());
    }
    let overdue = change
        .machine
        .scripts
        .iter()
        .find(|run| {
            deadline.waiting_for == Waiting::Scripts
                && overdue_from(run).is_some_and(|limit| limit <= now)
        })
        .map(|run| (run.name.clone(), run.timeout_seconds));
    if overdue.is_none()
        && deadline.waiting_for == Waiting::Scripts
        && may_be_rebooting(&change.machine)
    {
        // The script was allowed to: the machine gets one more wait, for its firmware.
        change.wait_for(Waiting::NetworkBoot);
        if change.machine.deadline.as_ref().is_some_and(|fresh| fresh.at > now) {
            change.note(
                Level::Warning,
                "Waiting for reboot",
                "the machine is silent; a running script may have rebooted it",
            );
            return Ok(());
        }
    }
    let sentence = match &overdue {
        Some((name, limit)) => words::failure(
            &change.machine,
            &format!(
                "script '{name}' ran longer than its limit of {} and 5 minutes more",
                words::span(Duration::from_secs(*limit))
            ),
        ),
        None => words::timed_out(&change.machine, &deadline, now),
    };
    scripts::end_unfinished(change, ScriptStatus::TimedOut);
    let runs_scripts = matches!(change.machine.status, Status::Commissioning | Status::Testing);
    if runs_scripts && !change.machine.enable_ssh {
        change.power_off();
    }
    change.fail(sentence)
}

fn may_be_rebooting(machine: &Machine) -> bool {
    machine.scripts.iter().any(|run| run.may_reboot && scripts::is_running(run))
}

/// The server found that the machine cannot go on.
pub(super) fn failed(change: &mut Change<'_>, message: &str) -> Result<(), Refusal> {
    let status = change.machine.status;
    if status == Status::New || status.is_failed() {
        return Ok(());
    }
    if !status.is_transient() {
        return Err(change.wrong_status("mark failed"));
    }
    let sentence = words::failure(&change.machine, message);
    scripts::end_unfinished(change, ScriptStatus::Aborted);
    change.fail(sentence)
}
