//! A script's run on a machine and what it reported.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
