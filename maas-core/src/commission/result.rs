//! A script's run on a machine and what it reported.

use std::collections::BTreeMap;
use std::time::Duration;

use maas_netconfig::yaml;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::script::HardwareType;
use crate::time::Timestamp;

/// How a script's run stands (MAAS `ScriptStatus`; the numbers are the wire's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are MAAS's own")]
pub enum ScriptStatus {
    Pending = 0,
    Running = 1,
    Passed = 2,
    Failed = 3,
    TimedOut = 4,
    Aborted = 5,
    Degraded = 6,
    Installing = 7,
    FailedInstalling = 8,
    Skipped = 9,
    ApplyingNetconf = 10,
    FailedApplyingNetconf = 11,
}

/// What a script is for (MAAS `ScriptType`; the numbers are the wire's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are MAAS's own")]
pub enum ScriptType {
    Commissioning = 0,
    Testing = 2,
    Release = 3,
    Deployment = 4,
}

/// One script's run on one machine; its outputs are stored apart under the same id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptRun {
    /// The id that the runner names in its signals (`script_result_id`).
    pub id: u64,
    /// The script's name.
    pub name: String,
    /// What it is for.
    pub script_type: ScriptType,
    /// How it stands.
    pub status: ScriptStatus,
    /// Its exit status once it ended.
    pub exit_status: Option<i32>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Its parameters' values.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// Its own time limit in seconds; 0 for none.
    pub timeout_seconds: u64,
    /// Whether it may reboot the machine.
    pub may_reboot: bool,
    /// The part of the machine that the script concerns.
    #[serde(default)]
    pub hardware_type: HardwareType,
}

/// What a signal says of one script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptReport {
    /// The run's id, when the signal named it.
    pub id: Option<u64>,
    /// The script's name, when the signal named it.
    pub name: Option<String>,
    /// The exit status, when it ended.
    pub exit_status: Option<i32>,
    /// Whether it ran out of time.
    pub timed_out: bool,
    /// `status` of its RESULT document, when it wrote one.
    pub stated: Option<ScriptStatus>,
}

impl ScriptStatus {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Pending,
        Self::Running,
        Self::Passed,
        Self::Failed,
        Self::TimedOut,
        Self::Aborted,
        Self::Degraded,
        Self::Installing,
        Self::FailedInstalling,
        Self::Skipped,
        Self::ApplyingNetconf,
        Self::FailedApplyingNetconf,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The status with that number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The name that the API shows.
    #[must_use]
    pub const fn display_name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Passed => "Passed",
            Self::Failed => "Failed",
            Self::TimedOut => "Timed out",
            Self::Aborted => "Aborted",
            Self::Degraded => "Degraded",
            Self::Installing => "Installing dependencies",
            Self::FailedInstalling => "Failed installing dependencies",
            Self::Skipped => "Skipped",
            Self::ApplyingNetconf => "Applying custom network configuration",
            Self::FailedApplyingNetconf => "Failed to apply custom network configuration",
        }
    }

    /// Whether the run has ended, one way or another.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Installing | Self::ApplyingNetconf)
    }

    /// Whether the run ended in a way that fails the machine's commissioning or testing.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Failed
                | Self::TimedOut
                | Self::FailedInstalling
                | Self::FailedApplyingNetconf
                | Self::Degraded
        )
    }

    /// How a run ends that stood at `self` and left this exit status.
    #[must_use]
    pub const fn ended_with(self, exit_status: i32) -> Self {
        match (exit_status, self) {
            (0, _) => Self::Passed,
            (_, Self::Installing) => Self::FailedInstalling,
            (_, Self::ApplyingNetconf) => Self::FailedApplyingNetconf,
            (_, _) => Self::Failed,
        }
    }
}

impl ScriptType {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The type with that number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Commissioning),
            2 => Some(Self::Testing),
            3 => Some(Self::Release),
            4 => Some(Self::Deployment),
            _ => None,
        }
    }

    /// The word that the API's parameters use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Commissioning => "commissioning",
            Self::Testing => "testing",
            Self::Release => "release",
            Self::Deployment => "deployment",
        }
    }

    /// The name that the API shows.
    #[must_use]
    pub const fn display_name(self) -> &'static str {
        match self {
            Self::Commissioning => "Commissioning script",
            Self::Testing => "Testing script",
            Self::Release => "Release script",
            Self::Deployment => "Deployment script",
        }
    }
}

impl ScriptRun {
    /// How long it ran, once it ended.
    #[must_use]
    pub fn runtime(&self) -> Option<Duration> {
        Some(self.ended?.since(self.started?))
    }

    /// How it stands after a report: what its RESULT document states counts more than the exit
    /// status, unless it failed; running out of time counts more than both.
    #[must_use]
    pub const fn status_after(&self, report: &ScriptReport) -> ScriptStatus {
        if report.timed_out {
            return ScriptStatus::TimedOut;
        }
        match (report.exit_status, report.stated) {
            (Some(0), Some(stated)) => stated,
            (Some(exit_status), _) => self.status.ended_with(exit_status),
            (None, _) if self.status.is_finished() => self.status,
            (None, _) => ScriptStatus::Running,
        }
    }
}

/// What a script wrote to its RESULT document (YAML).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResultDocument {
    /// `status`: how the script itself sees its end.
    pub status: Option<ScriptStatus>,
    /// `results`: each one or several texts.
    pub results: BTreeMap<String, Vec<String>>,
    /// `link_connected`: what a network script found.
    pub link_connected: Option<bool>,
}

/// Why a RESULT document is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// It is not UTF-8.
    #[error("result document is not UTF-8")]
    NotText(#[source] std::str::Utf8Error),
    /// It is not YAML.
    #[error("result document is not YAML")]
    NotYaml(#[source] Box<yaml::Error>),
    /// A value is not accepted.
    #[error("result document, {key}: expected {expected}, found {found}")]
    Value {
        /// The key.
        key: String,
        /// What was expected.
        expected: &'static str,
        /// What is there, at most 64 characters of it.
        found: String,
    },
}

impl ResultDocument {
    /// Reads a RESULT document; an empty one states nothing.
    ///
    /// # Errors
    /// [`ResultError`] names the key whose value is not accepted.
    pub fn parse(document: &[u8]) -> Result<Self, ResultError> {
        let text = std::str::from_utf8(document).map_err(ResultError::NotText)?;
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let value: Value =
            yaml::from_str(text).map_err(|error| ResultError::NotYaml(Box::new(error)))?;
        let members = match value {
            Value::Object(members) => members,
            Value::Null => return Ok(Self::default()),
            other => return Err(wrong("document", "a mapping", &other)),
        };
        let mut read = Self::default();
        match members.get("status") {
            None | Some(Value::Null) => {}
            Some(value) => read.status = Some(stated(value)?),
        }
        match members.get("results") {
            None | Some(Value::Null) => {}
            Some(Value::Object(results)) => {
                for (name, value) in results {
                    let values = match value {
                        Value::Array(items) => {
                            items.iter().map(|item| scalar(name, item)).collect::<Result<_, _>>()?
                        }
                        one => vec![scalar(name, one)?],
                    };
                    read.results.insert(name.clone(), values);
                }
            }
            Some(other) => return Err(wrong("results", "a mapping", other)),
        }
        match members.get("link_connected") {
            None | Some(Value::Null) => {}
            Some(Value::Bool(connected)) => read.link_connected = Some(*connected),
            Some(other) => return Err(wrong("link_connected", "true or false", other)),
        }
        Ok(read)
    }
}

fn stated(value: &Value) -> Result<ScriptStatus, ResultError> {
    match value.as_str() {
        Some("passed") => Ok(ScriptStatus::Passed),
        Some("failed") => Ok(ScriptStatus::Failed),
        Some("degraded") => Ok(ScriptStatus::Degraded),
        Some("timedout") => Ok(ScriptStatus::TimedOut),
        Some("skipped") => Ok(ScriptStatus::Skipped),
        _ => Err(wrong("status", "passed, failed, degraded, timedout or skipped", value)),
    }
}

fn scalar(key: &str, value: &Value) -> Result<String, ResultError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(wrong(key, "a scalar or a list of scalars", other)),
    }
}

fn wrong(key: &str, expected: &'static str, found: &Value) -> ResultError {
    ResultError::Value {
        key: key.chars().take(64).collect(),
        expected,
        found: found.to_string().chars().take(64).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_and_statuses_are_one_to_one() {
        for status in ScriptStatus::ALL {
            assert_eq!(ScriptStatus::from_number(status.number()), Some(status));
        }
        assert_eq!(ScriptStatus::from_number(12), None);
        assert_eq!(ScriptType::from_number(1), None);
    }

    #[test]
    fn a_failure_during_installation_is_a_failed_installation() {
        assert_eq!(ScriptStatus::Installing.ended_with(100), ScriptStatus::FailedInstalling);
        assert_eq!(
            ScriptStatus::ApplyingNetconf.ended_with(1),
            ScriptStatus::FailedApplyingNetconf
        );
        assert_eq!(ScriptStatus::Running.ended_with(1), ScriptStatus::Failed);
        assert_eq!(ScriptStatus::Pending.ended_with(0), ScriptStatus::Passed);
    }

    #[test]
    fn a_result_document_says_how_the_script_sees_itself() {
        let read = ResultDocument::parse(
            b"status: degraded\nresults:\n  speed: 12.5\n  lines: [a, 1]\nlink_connected: false\n",
        )
        .unwrap();
        assert_eq!(read.status, Some(ScriptStatus::Degraded));
        assert_eq!(read.results["speed"], ["12.5"]);
        assert_eq!(read.results["lines"], ["a", "1"]);
        assert_eq!(read.link_connected, Some(false));
        assert_eq!(ResultDocument::parse(b"").unwrap(), ResultDocument::default());
    }

    #[test]
    fn a_result_document_with_an_unknown_status_is_refused_by_name() {
        let error = ResultDocument::parse(b"status: splendid").unwrap_err();
        assert_eq!(
            error.to_string(),
            "result document, status: expected passed, failed, degraded, timedout or skipped, \
             found \"splendid\""
        );
        assert!(matches!(ResultDocument::parse(b"\xff"), Err(ResultError::NotText(_))));
        assert!(matches!(ResultDocument::parse(b"a: [b"), Err(ResultError::NotYaml(_))));
    }

    #[test]
    fn the_result_document_counts_more_than_a_good_exit_status() {
        let run = crate::commission::builtin::script("maas-lshw").unwrap().run(1, &BTreeMap::new());
        let mut report = ScriptReport {
            id: Some(1),
            name: None,
            exit_status: Some(0),
            timed_out: false,
            stated: Some(ScriptStatus::Skipped),
        };
        assert_eq!(run.status_after(&report), ScriptStatus::Skipped);
        report.exit_status = Some(3);
        assert_eq!(run.status_after(&report), ScriptStatus::Failed);
        report.timed_out = true;
        assert_eq!(run.status_after(&report), ScriptStatus::TimedOut);
        report = ScriptReport { exit_status: None, timed_out: false, stated: None, ..report };
        assert_eq!(run.status_after(&report), ScriptStatus::Running);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ResultDocument::parse(&bytes);
        }
    }
}
