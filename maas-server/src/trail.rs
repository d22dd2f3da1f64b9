//! What a machine's cloud-init and curtin reported in its present run, and what it means.
//!
//! Reports come in tens within a second. They are gathered in memory and stored when something was
//! reported that people ask for: a top level, a stage of curtin, a failure, and then in one
//! transaction with what follows from it. A crash loses the trifles since then, and nothing else.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use maas_core::commission::result::ScriptType;
use maas_core::explain::{Explanation, Failure, Outcome, Reported, Stage, explain};
use maas_core::id::SystemId;
use maas_core::machine::event::{Report, ReportPhase};
use maas_core::machine::{Machine, Status};
use maas_core::time::Timestamp;
use serde_json::{Value, json};

use crate::api::view::script_result;
use crate::region::Region;
use crate::store::{KEPT_REPORTS, RunReport, StoreError, Stream};

/// The longest name and sentence that are kept, in characters.
const NAME: usize = 200;
const SENTENCE: usize = 500;
/// Machines whose trails are kept in memory.
const MOST_MACHINES: usize = 4096;
/// The most reports that wait to be stored with one that people ask for.
const MOST_WAITING: usize = 256;
/// How many of a run's first and last reports are kept.
const FIRST: usize = KEPT_REPORTS.0 as usize;
const LAST: usize = KEPT_REPORTS.1 as usize;

/// The reports of one run of one machine, in the order in which they came.
#[derive(Debug, Clone, PartialEq)]
struct Trail {
    /// Which run it was; another one begins a new trail.
    run: String,
    /// The first and the last of the reports.
    reports: Vec<Reported>,
    /// How many there were.
    count: u64,
    /// Those that are not stored.
    waiting: Vec<RunReport>,
}

impl Trail {
    fn new(run: String) -> Self {
        Self { run, reports: Vec::new(), count: 0, waiting: Vec::new() }
    }

    /// The trail that was stored.
    fn stored(reports: Vec<RunReport>) -> Option<Self> {
        let last = reports.last()?;
        let (run, count) = (last.run.clone(), last.number + 1);
        let mut trail = Self { count, ..Self::new(run) };
        reports.into_iter().for_each(|one| trail.keep(one.reported));
        Some(trail)
    }

    fn push(&mut self, at: Timestamp, report: &Report) {
        let clipped = |text: &str, most| text.chars().take(most).collect::<String>();
        let report = Report {
            origin: clipped(&report.origin, NAME),
            name: clipped(&report.name, NAME),
            description: clipped(&report.description, SENTENCE),
            phase: report.phase,
        };
        let reported = Reported { at, report };
        let (run, number) = (self.run.clone(), self.count);
        self.count += 1;
        self.waiting.push(RunReport { run, number, reported: reported.clone() });
        self.keep(reported);
    }

    fn keep(&mut self, reported: Reported) {
        if self.reports.len() >= FIRST + LAST {
            self.reports.remove(FIRST);
        }
        self.reports.push(reported);
    }
}

/// The trails in memory.
#[derive(Debug, Default)]
pub struct Trails(Mutex<HashMap<SystemId, Trail>>);

/// Takes a report in. Gives back what is to be stored together with what follows from the report:
/// nothing, when it can wait for the next one.
///
/// # Errors
///
/// The database's failure.
pub(crate) async fn record(
    region: &Region,
    machine: &Machine,
    at: Timestamp,
    report: &Report,
) -> Result<Vec<RunReport>, StoreError> {
    if !region.trails.has(machine) {
        // The first since this server started.
        let stored = region.store.reports(&machine.system_id).await?;
        region.trails.take(machine, Trail::stored(stored));
    }
    Ok(region.trails.push(machine, at, report))
}

impl Trails {
    fn all(&self) -> MutexGuard<'_, HashMap<SystemId, Trail>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, machine: &Machine) -> bool {
        self.all().contains_key(&machine.system_id)
    }

    fn take(&self, machine: &Machine, stored: Option<Trail>) {
        let mut trails = self.all();
        if trails.len() >= MOST_MACHINES {
            trails.clear();
        }
        let id = machine.system_id.clone();
        trails.entry(id).or_insert_with(|| stored.unwrap_or_else(|| Trail::new(run(machine))));
    }

    fn push(&self, machine: &Machine, at: Timestamp, report: &Report) -> Vec<RunReport> {
        let (run, mut trails) = (run(machine), self.all());
        let trail = match trails.entry(machine.system_id.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Trail::new(run.clone())),
        };
        if trail.run != run {
            *trail = Trail::new(run);
        }
        trail.push(at, report);
        if is_worth_storing(report) || trail.waiting.len() >= MOST_WAITING {
            std::mem::take(&mut trail.waiting)
        } else {
            Vec::new()
        }
    }

    /// Takes back what could not be stored: it is stored with the next one.
    pub(crate) fn take_back(&self, id: &SystemId, mut reports: Vec<RunReport>) {
        if let Some(trail) = self.all().get_mut(id) {
            reports.retain(|report| report.run == trail.run);
            reports.append(&mut trail.waiting);
            trail.waiting = reports;
        }
    }

    /// The reports of a machine's run, if they are in memory.
    fn reports(&self, id: &SystemId) -> Option<Vec<Reported>> {
        self.all().get(id).map(|trail| trail.reports.clone())
    }
}

/// Why the run failed, by its reports and the log that came with the last one.
pub(crate) fn failure(region: &Region, machine: &Machine, log: Option<&str>) -> Option<Failure> {
    let reports = region.trails.reports(&machine.system_id)?;
    explain(&reports, log).failure
}

fn is_worth_storing(report: &Report) -> bool {
    let is_stage_of_curtin = report.origin == "curtin" && report.name.matches('/').count() <= 1;
    !report.name.contains('/') || report.phase == ReportPhase::Fail || is_stage_of_curtin
}

/// The kind of run that a status belongs to.
fn kind(status: Status) -> ScriptType {
    match status {
        Status::Deploying | Status::Deployed | Status::FailedDeployment => ScriptType::Deployment,
        Status::Testing | Status::FailedTesting => ScriptType::Testing,
        Status::Releasing | Status::DiskErasing | Status::FailedDiskErasing => ScriptType::Release,
        _ => ScriptType::Commissioning,
    }
}

/// Tells one run of a machine from another: each has script runs of its own.
fn run(machine: &Machine) -> String {
    let kind = kind(machine.status);
    let id = script_result::set_id(machine, kind).unwrap_or_default();
    format!("{kind:?}/{id}")
}

/// What is known of the machine's last run: its stages, and why it failed if it did.
///
/// # Errors
///
/// The database's failure.
pub(crate) async fn explanation(
    region: &Region,
    machine: &Machine,
) -> Result<Explanation, StoreError> {
    let reports = match region.trails.reports(&machine.system_id) {
        Some(reports) => reports,
        None => {
            let stored = region.store.reports(&machine.system_id).await?;
            Trail::stored(stored).map(|trail| trail.reports).unwrap_or_default()
        }
    };
    Ok(explain(&reports, log(region, machine).await?.as_deref()))
}

/// The installation's log, once it has come.
async fn log(region: &Region, machine: &Machine) -> Result<Option<String>, StoreError> {
    let Some(run) = script_result::runs(machine, ScriptType::Deployment).next() else {
        return Ok(None);
    };
    let outputs = region.store.outputs(run.id).await?;
    let combined = outputs.into_iter().find(|output| output.stream == Stream::Combined);
    Ok(combined.map(|output| String::from_utf8_lossy(&output.bytes).into_owned()))
}

/// Forgets a machine that is deleted.
pub(crate) fn forget(region: &Region, id: &SystemId) {
    region.trails.all().remove(id);
}

/// A failure in one sentence, for messages and the history.
pub(crate) fn sentence(told: &str, failure: &Failure) -> String {
    let mut sentence = told.trim().to_owned();
    if let Some(command) = &failure.command {
        let ended = command
            .exit_code
            .map_or_else(|| "failed".to_owned(), |code| format!("ended with exit code {code}"));
        sentence.push_str(&format!("; the command {} {ended}", command.command));
    }
    if failure.hint.is_none()
        && let Some(line) = failure.last_lines.last()
        && !sentence.contains(line.trim())
    {
        sentence.push_str(&format!("; the log ends with {:?}", line.trim()));
    }
    if let Some(hint) = &failure.hint {
        sentence.push_str(&format!("; {}: {}", hint.cause, hint.remedy));
    }
    sentence
}

/// An explanation for programs and people; times in seconds of Unix time.
pub(crate) fn shown(explanation: &Explanation) -> Value {
    let failure = explanation.failure.as_ref().map(|failure| {
        json!({
            "stage": failure.stage, "description": failure.description,
            "command": failure.command.as_ref().map(|it| &it.command),
            "exit_code": failure.command.as_ref().and_then(|it| it.exit_code),
            "last_lines": failure.last_lines, "hint": failure.hint,
        })
    });
    let stages: Vec<Value> = explanation.stages.iter().map(stage).collect();
    json!({ "stages": stages, "failure": failure })
}

fn stage(stage: &Stage) -> Value {
    let inside: Vec<Value> = stage.inside.iter().map(self::stage).collect();
    let outcome = match stage.outcome {
        Outcome::Running => "running",
        Outcome::Success => "success",
        Outcome::Warn => "warning",
        Outcome::Fail => "failure",
    };
    json!({
        "origin": stage.origin, "name": stage.name, "description": stage.description,
        "outcome": outcome, "started": stage.started.map(seconds),
        "ended": stage.ended.map(seconds),
        "duration": stage.duration().map(|duration| duration.as_secs_f64()), "stages": inside,
    })
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
fn seconds(at: Timestamp) -> f64 {
    at.0 as f64 / 1e6
}

#[cfg(test)]
mod tests;
