//! Why it failed.

use serde::Serialize;

use super::hint::{Hint, hint};
use super::log::{FailedCommand, failed_command, last_lines, tail};
use super::stage::{Outcome, Reported, Stage, stages};

/// The whole story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Every stage with its times.
    pub stages: Vec<Stage>,
    /// Why it failed, when something did.
    pub failure: Option<Failure>,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The innermost stage that failed, e.g. `cmd-install/stage-extract`.
    pub stage: String,
    /// What it said.
    pub description: String,
    /// The command that failed, from the log.
    pub command: Option<FailedCommand>,
    /// The last lines of the log.
    pub last_lines: Vec<String>,
    /// A known cause.
    pub hint: Option<Hint>,
}

/// Tells what happened, from the reports in the order of their times and the installation log.
#[must_use]
pub fn explain(reports: &[Reported], log: Option<&str>) -> Explanation {
    let stages = stages(reports);
    // The newest run counts: an earlier boot's failure was overcome.
    let failed = stages
        .iter()
        .rev()
        .find(|stage| stage.outcome == Outcome::Fail)
        .and_then(Stage::innermost_failure);
    let failure = failed.map(|stage| {
        let log = log.unwrap_or_default();
        let last_lines = last_lines(log);
        let known = hint(&last_lines.join("\n"))
            .or_else(|| hint(&stage.description))
            .or_else(|| hint(tail(log)));
        Failure {
            stage: stage.name.clone(),
            description: stage.description.clone(),
            command: failed_command(log),
            last_lines,
            hint: known,
        }
    });
    Explanation { stages, failure }
}

#[cfg(test)]
mod tests;
