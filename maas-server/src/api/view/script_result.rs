//! A machine's script sets and their results (API 2.0 `nodes/{id}/results/`).

use maas_core::commission::result::{ScriptRun, ScriptStatus, ScriptType};
use maas_core::commission::script::HardwareType;
use maas_core::machine::Machine;
use maas_core::time::Timestamp;
use serde_json::{Value, json};

use crate::api::dates;

/// The kinds of sets with the API's number and name.
pub(crate) const SETS: [(ScriptType, u8, &str); 4] = [
    (ScriptType::Commissioning, 0, "Commissioning"),
    (ScriptType::Deployment, 1, "Installation"),
    (ScriptType::Testing, 2, "Testing"),
    (ScriptType::Release, 3, "Release"),
];

/// The runs of one kind.
pub(crate) fn runs(machine: &Machine, kind: ScriptType) -> impl Iterator<Item = &ScriptRun> {
    machine.scripts.iter().filter(move |run| run.script_type == kind)
}

/// The set's number: that of its first run.
pub(crate) fn set_id(machine: &Machine, kind: ScriptType) -> Option<u64> {
    runs(machine, kind).map(|run| run.id).min()
}

/// The state of a whole set as number and name; -1 "Unknown" when nothing ran.
pub(crate) fn overall(machine: &Machine, kind: ScriptType) -> (i16, &'static str) {
    of_runs(|| runs(machine, kind))
}

/// The state of the tests of some kinds of hardware, as [`overall`].
pub(crate) fn of_tests(machine: &Machine, hardware: &[HardwareType]) -> (i16, &'static str) {
    of_runs(|| {
        runs(machine, ScriptType::Testing).filter(|run| hardware.contains(&run.hardware_type))
    })
}

fn of_runs<'a, I: Iterator<Item = &'a ScriptRun>>(runs: impl Fn() -> I) -> (i16, &'static str) {
    // The first that any run is in decides.
    const ORDER: [ScriptStatus; 12] = [
        ScriptStatus::Running,
        ScriptStatus::ApplyingNetconf,
        ScriptStatus::Installing,
        ScriptStatus::Pending,
        ScriptStatus::Aborted,
        ScriptStatus::Failed,
        ScriptStatus::FailedApplyingNetconf,
        ScriptStatus::FailedInstalling,
        ScriptStatus::TimedOut,
        ScriptStatus::Degraded,
        ScriptStatus::Passed,
        ScriptStatus::Skipped,
    ];
    ORDER
        .into_iter()
        .find(|status| runs().any(|run| run.status == *status))
        .map_or((-1, "Unknown"), |status| (i16::from(status as u8), name(status)))
}

/// One set with its results; `None` when nothing of that kind ran.
pub(crate) fn set(machine: &Machine, kind: ScriptType) -> Option<Value> {
    let id = set_id(machine, kind)?;
    let &(_, number, kind_name) = SETS.iter().find(|(one, _, _)| *one == kind)?;
    let (status, status_name) = overall(machine, kind);
    let started = runs(machine, kind).filter_map(|run| run.started).min();
    let running = runs(machine, kind).any(|run| run.ended.is_none());
    let ended = runs(machine, kind).filter_map(|run| run.ended).max().filter(|_| !running);
    let results: Vec<Value> = runs(machine, kind).map(result).collect();
    let system_id = &machine.system_id;
    Some(json!({
        "id": id, "system_id": system_id, "type": number, "type_name": kind_name,
        "last_ping": machine.last_ping.map(dates::rfc2822), "status": status,
        "status_name": status_name, "started": started.map_or_else(String::new, dates::rfc2822),
        "ended": ended.map_or_else(String::new, dates::rfc2822), "runtime": runtime(started, ended),
        "results": results,
        "resource_uri": format!("/MAAS/api/2.0/nodes/{system_id}/results/{id}/"),
    }))
}

fn result(run: &ScriptRun) -> Value {
    let written = |at: Option<Timestamp>| at.map_or_else(String::new, dates::rfc2822);
    json!({
        "id": run.id, "name": run.name, "status": run.status as u8, "status_name": name(run.status),
        "exit_status": run.exit_status, "created": written(run.started),
        "updated": written(run.ended.or(run.started)), "started": written(run.started),
        "ended": written(run.ended), "runtime": runtime(run.started, run.ended),
        "starttime": run.started.map(Timestamp::seconds), "endtime": run.ended.map(Timestamp::seconds),
        "estimated_runtime": "", "parameters": run.parameters, "script_id": null,
        "script_revision_id": null, "suppressed": false,
    })
}

fn runtime(started: Option<Timestamp>, ended: Option<Timestamp>) -> String {
    match (started, ended) {
        (Some(started), Some(ended)) => dates::runtime(ended.since(started).as_secs()),
        _ => String::new(),
    }
}

/// MAAS's words for a run's status.
pub(crate) const fn name(status: ScriptStatus) -> &'static str {
    match status {
        ScriptStatus::Pending => "Pending",
        ScriptStatus::Running => "Running",
        ScriptStatus::Passed => "Passed",
        ScriptStatus::Failed => "Failed",
        ScriptStatus::TimedOut => "Timed out",
        ScriptStatus::Aborted => "Aborted",
        ScriptStatus::Degraded => "Degraded",
        ScriptStatus::Installing => "Installing dependencies",
        ScriptStatus::FailedInstalling => "Failed installing dependencies",
        ScriptStatus::Skipped => "Skipped",
        ScriptStatus::ApplyingNetconf => "Applying custom network configuration",
        ScriptStatus::FailedApplyingNetconf => "Failed to apply custom network configuration",
    }
}
