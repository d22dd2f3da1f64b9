//! The machine's history, as the API's events show it.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// One line of a machine's history (MAAS API 2.0 `events`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it happened.
    pub at: Timestamp,
    /// How much it matters.
    pub level: Level,
    /// The type in MAAS's display words, e.g. `Ready`, `Performing PXE boot`.
    pub kind: String,
    /// The sentence.
    pub description: String,
    /// The user who caused it, if one did.
    pub username: Option<String>,
}

/// How much a record matters, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Detail.
    Debug,
    /// The normal course.
    Info,
    /// Odd but harmless.
    Warning,
    /// Something failed.
    Error,
}
