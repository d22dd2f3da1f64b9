//! What a machine's cloud-init and curtin reported in its present run, and what it means.
//!
//! Reports come in tens within a second. They are gathered in memory and stored when something was
//! reported that people ask for: a top level, a stage of curtin, a failure. A crash loses the
//! trifles since then, and nothing else.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use maas_core::commission::result::ScriptType;
use maas_core::explain::{Explanation, Failure, Outcome, Reported, Stage, explain};
use maas_core::id::SystemId;
use maas_core::machine::event::{Report, ReportPhase};
use maas_core::machine::{Machine, Status};
use maas_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::view::script_result;
use crate::region::Region;
use crate::store::{Document, StoreError, Stream};

/// The most reports that are kept of one run, and how many of its first.
const MOST: usize = 600;
const FIRST: usize = 100;
/// The longest name and sentence that are kept, in characters.
const NAME: usize = 200;
const SENTENCE: usize = 500;
/// Machines whose trails are kept in memory.
const MOST_MACHINES: usize = 4096;

/// The reports of one run of one machine, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trail {
    /// The machine.
    pub system_id: SystemId,
    /// Which run it was; another one begins a new trail.
    pub run: String,
    /// The reports.
    pub reports: Vec<Reported>,
    /// How many were left out in the middle.
    pub left_out: u64,
}

impl Document for Trail {
    const KIND: &'static str = "report-trail";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.system_id.as_str()))
    }
}

impl Trail {
    fn new(machine: &Machine) -> Self {
        let (system_id, run) = (machine.system_id.clone(), run(machine));
        Self { system_id, run, reports: Vec::new(), left_out: 0 }
    }

    fn push(&mut self, at: Timestamp, report: &Report) {
        let clipped = |text: &str, most| text.chars().take(most).collect::<String>();
        let report = Report {
            origin: clipped(&report.origin, NAME),
            name: clipped(&report.name, NAME),
            description: clipped(&report.description, SENTENCE),
            phase: report.phase,
        };
        if self.reports.len() >= MOST {
            self.reports.remove(FIRST);
            self.left_out += 1;
        }
        self.reports.push(Reported { at, report });
    }
}

/// The trails in memory.
#[derive(Debug, Default)]
pub struct Trails(Mutex<HashMap<SystemId, Trail>>);

/// Takes a report in. What is worth it is durable when this returns.
///
/// # Errors
///
/// The database's failure; the report is kept in memory then.
pub(crate) async fn record(
    region: &Region,
    machine: &Machine,
    at: Timestamp,
    report: &Report,
) -> Result<Trail, StoreError> {
    if !region.trails.has(machine) {
        // The first since this server started.
        let stored = region.store.by_key::<Trail>(machine.system_id.as_str()).await?;
        region.trails.take(machine, stored.map(|stored| stored.value));
    }
    let trail = region.trails.push(machine, at, report);
    if is_worth_storing(report)
        && let Err(error) = region.store.put(trail.clone()).await
    {
        // The next one is stored with it.
        tracing::warn!(system_id = %machine.system_id, %error, "reports not stored");
    }
    Ok(trail)
}

impl Trails {
    fn has(&self, machine: &Machine) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&machine.system_id)
    }

    fn take(&self, machine: &Machine, stored: Option<Trail>) {
        let mut trails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if trails.len() >= MOST_MACHINES {
            trails.clear();
        }
        let id = machine.system_id.clone();
        trails.entry(id).or_insert_with(|| stored.unwrap_or_else(|| Trail::new(machine)));
    }

    fn push(&self, machine: &Machine, at: Timestamp, report: &Report) -> Trail {
        let mut trails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let trail = trails.entry(machine.system_id.clone()).or_insert_with(|| Trail::new(machine));
        if trail.run != run(machine) {
            *trail = Trail::new(machine);
        }
        trail.push(at, report);
        trail.clone()
    }
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
    let open = {
        let trails = region.trails.0.lock().unwrap_or_else(PoisonError::into_inner);
        trails.get(&machine.system_id).cloned()
    };
    let trail = match open {
        Some(trail) => Some(trail),
        None => {
            let stored = region.store.by_key::<Trail>(machine.system_id.as_str()).await?;
            stored.map(|stored| stored.value)
        }
    };
    let reports = trail.map(|trail| trail.reports).unwrap_or_default();
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
pub(crate) async fn forget(region: &Region, id: &SystemId) -> Result<(), StoreError> {
    region.trails.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    if let Some(stored) = region.store.by_key::<Trail>(id.as_str()).await? {
        region.store.remove::<Trail>(stored.id, stored.version).await.ok();
    }
    Ok(())
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
