//! The scripts of the current runs: what a signal says of one, and how they stand together.

use super::change::Change;
use crate::commission::result::{ScriptReport, ScriptRun, ScriptStatus, ScriptType};
use crate::machine::{Machine, Refusal, SignalStatus, Status};

/// Whether the script has begun and not ended.
pub(super) const fn is_running(run: &ScriptRun) -> bool {
    matches!(
        run.status,
        ScriptStatus::Running | ScriptStatus::Installing | ScriptStatus::ApplyingNetconf
    )
}

const fn is_failure(status: ScriptStatus) -> bool {
    matches!(
        status,
        ScriptStatus::Failed
            | ScriptStatus::TimedOut
            | ScriptStatus::FailedInstalling
            | ScriptStatus::FailedApplyingNetconf
    )
}

const fn has_ended(status: ScriptStatus) -> bool {
    is_failure(status)
        || matches!(
            status,
            ScriptStatus::Passed
                | ScriptStatus::Aborted
                | ScriptStatus::Degraded
                | ScriptStatus::Skipped
        )
}

/// The type of scripts that a machine runs in this status.
const fn running_type(status: Status) -> Option<ScriptType> {
    match status {
        // In rescue mode and after deployment the commissioning scripts refresh the hardware.
        Status::Commissioning | Status::Deployed | Status::RescueMode => {
            Some(ScriptType::Commissioning)
        }
        Status::Testing => Some(ScriptType::Testing),
        Status::Deploying => Some(ScriptType::Deployment),
        Status::Releasing | Status::DiskErasing => Some(ScriptType::Release),
        _ => None,
    }
}

/// The names of the failed scripts of one type.
pub(super) fn failed(machine: &Machine, script_type: ScriptType) -> Vec<&str> {
    machine
        .scripts
        .iter()
        .filter(|run| run.script_type == script_type && is_failure(run.status))
        .map(|run| run.name.as_str())
        .collect()
}

/// The names of the scripts of one type that neither passed nor were skipped.
pub(super) fn unproven(machine: &Machine, script_type: ScriptType) -> Vec<&str> {
    let is_proven = |status| {
        matches!(status, ScriptStatus::Passed | ScriptStatus::Degraded | ScriptStatus::Skipped)
    };
    machine
        .scripts
        .iter()
        .filter(|run| run.script_type == script_type && !is_proven(run.status))
        .map(|run| run.name.as_str())
        .collect()
}

/// Whether any script of one type is known.
pub(super) fn any(machine: &Machine, script_type: ScriptType) -> bool {
    machine.scripts.iter().any(|run| run.script_type == script_type)
}

/// Ends what runs with `running`, and what has not begun as aborted.
pub(super) fn end_unfinished(change: &mut Change<'_>, running: ScriptStatus) {
    let now = change.now();
    let current = running_type(change.machine.status);
    for run in change.machine.scripts.iter_mut() {
        // A failing commissioning run takes the tests that should have followed with it.
        let concerned = Some(run.script_type) == current
            || (current == Some(ScriptType::Commissioning)
                && run.script_type == ScriptType::Testing);
        if concerned && !has_ended(run.status) {
            run.status = if is_running(run) { running } else { ScriptStatus::Aborted };
            run.ended = Some(now);
        }
    }
}

/// Stores what a signal says of a script and tells it in words; `None` when it names none of ours
/// without an id.
///
/// A run that has ended never runs again: only a result replaces a result.
pub(super) fn record(
    change: &mut Change<'_>,
    word: SignalStatus,
    report: &ScriptReport,
) -> Result<Option<String>, Refusal> {
    let now = change.now();
    let current = running_type(change.machine.status);
    let runs = &mut change.machine.scripts;
    let found = match (report.id, &report.name) {
        (Some(id), _) => runs.iter_mut().find(|run| run.id == id),
        (None, Some(name)) => {
            runs.iter_mut().find(|run| Some(run.script_type) == current && run.name == *name)
        }
        (None, None) => None,
    };
    let Some(run) = found else {
        return match report.id {
            Some(id) => Err(Refusal::UnknownScript { found: id.to_string() }),
            None => Ok(None),
        };
    };
    match result(run.status, word, report) {
        Some(status) => {
            // A repeated result must not look like a new one.
            if run.status != status || run.exit_status != report.exit_status {
                run.ended = Some(now);
            }
            run.started.get_or_insert(now);
            run.status = status;
            run.exit_status = report.exit_status;
        }
        None if !has_ended(run.status) => {
            run.started.get_or_insert(now);
            run.status = match word {
                SignalStatus::Installing => ScriptStatus::Installing,
                SignalStatus::ApplyingNetconf => ScriptStatus::ApplyingNetconf,
                _ => ScriptStatus::Running,
            };
        }
        None => {}
    }
    Ok(Some(format!("script {} {}", run.name, state(run.status))))
}

/// How a report ends a run; `None` while it goes on. What the script itself states comes first.
fn result(
    standing: ScriptStatus,
    word: SignalStatus,
    report: &ScriptReport,
) -> Option<ScriptStatus> {
    if let Some(stated) = report.stated.filter(|&stated| has_ended(stated)) {
        return Some(stated);
    }
    if report.timed_out || word == SignalStatus::Timedout {
        return Some(ScriptStatus::TimedOut);
    }
    Some(match report.exit_status? {
        0 => ScriptStatus::Passed,
        _ => match standing {
            ScriptStatus::Installing | ScriptStatus::FailedInstalling => {
                ScriptStatus::FailedInstalling
            }
            ScriptStatus::ApplyingNetconf | ScriptStatus::FailedApplyingNetconf => {
                ScriptStatus::FailedApplyingNetconf
            }
            _ => ScriptStatus::Failed,
        },
    })
}

const fn state(status: ScriptStatus) -> &'static str {
    match status {
        ScriptStatus::Pending => "pending",
        ScriptStatus::Running => "running",
        ScriptStatus::Passed => "passed",
        ScriptStatus::Failed => "failed",
        ScriptStatus::TimedOut => "timed out",
        ScriptStatus::Aborted => "aborted",
        ScriptStatus::Degraded => "degraded",
        ScriptStatus::Installing => "installing its packages",
        ScriptStatus::FailedInstalling => "failed to install its packages",
        ScriptStatus::Skipped => "skipped",
        ScriptStatus::ApplyingNetconf => "applying its network configuration",
        ScriptStatus::FailedApplyingNetconf => "failed to apply its network configuration",
    }
}
