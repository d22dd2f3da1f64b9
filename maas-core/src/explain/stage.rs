//! The tree of stages.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::machine::{Report, ReportPhase};
use crate::time::Timestamp;

/// The deepest nesting that is kept; what lies deeper is counted to the level above.
const DEEPEST: usize = 8;

/// A report and when it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reported {
    /// When it happened.
    pub at: Timestamp,
    /// What was reported.
    pub report: Report,
}

/// One activity with those inside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// `cloudinit` or `curtin`.
    pub origin: String,
    /// The whole name, e.g. `cmd-install/stage-extract`.
    pub name: String,
    /// The sentence that came last.
    pub description: String,
    /// When it began, when that was reported.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it stands.
    pub outcome: Outcome,
    /// The activities inside it, in the order in which they were first reported.
    pub inside: Vec<Self>,
}

/// How an activity stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has begun, or something inside it was reported.
    Running,
    /// It ended well.
    Success,
    /// It ended with a warning.
    Warn,
    /// It failed.
    Fail,
}

impl Stage {
    fn new(origin: &str, name: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            name: name.to_owned(),
            description: String::new(),
            started: None,
            ended: None,
            outcome: Outcome::Running,
            inside: Vec::new(),
        }
    }

    /// How long it took; `None` unless both ends were reported.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        Some(self.ended?.since(self.started?))
    }

    /// The innermost failure, the last one when there are several.
    #[must_use]
    pub fn innermost_failure(&self) -> Option<&Self> {
        self.inside
            .iter()
            .rev()
            .find_map(Self::innermost_failure)
            .or_else(|| (self.outcome == Outcome::Fail).then_some(self))
    }
}

/// The reports as trees, in the order in which their roots were first reported.
///
/// An activity that is reported again after its end (another boot) begins a new stage.
#[must_use]
pub fn stages(reports: &[Reported]) -> Vec<Stage> {
    let mut roots = Vec::new();
    for Reported { at, report } in reports {
        let parts: Vec<&str> =
            report.name.split('/').filter(|part| !part.is_empty()).take(DEEPEST).collect();
        if parts.is_empty() {
            continue;
        }
        place(&mut roots, &parts, 1, *at, report);
    }
    roots
}

fn place(level: &mut Vec<Stage>, parts: &[&str], depth: usize, at: Timestamp, report: &Report) {
    let name = parts.get(..depth).unwrap_or(parts).join("/");
    let is_last = depth >= parts.len();
    let begins_anew = is_last && report.phase == ReportPhase::Start;
    let found = level.iter().rposition(|stage| {
        stage.name == name
            && stage.origin == report.origin
            && !(begins_anew && stage.ended.is_some())
    });
    let index = found.unwrap_or_else(|| {
        level.push(Stage::new(&report.origin, &name));
        level.len() - 1
    });
    let Some(stage) = level.get_mut(index) else { return };
    if !is_last {
        return place(&mut stage.inside, parts, depth + 1, at, report);
    }
    stage.description.clone_from(&report.description);
    match report.phase {
        ReportPhase::Start => stage.started = stage.started.or(Some(at)),
        ReportPhase::Success | ReportPhase::Warn | ReportPhase::Fail => {
            stage.ended = Some(at);
            stage.outcome = match report.phase {
                ReportPhase::Fail => Outcome::Fail,
                ReportPhase::Warn => Outcome::Warn,
                _ => Outcome::Success,
            };
        }
    }
}
