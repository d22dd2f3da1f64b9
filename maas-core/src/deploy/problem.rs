//! Why a deployment cannot start, and what a user should know when it can.

use serde::{Deserialize, Serialize};

use crate::machine::Precondition;
use crate::storage::{LayoutRefusal, StorageProblem};

/// One reason against a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlanProblem {
    /// One of the seven preconditions does not hold.
    #[error("{cause}: {remedy}", cause = .0, remedy = .0.remedy())]
    Precondition(#[from] Precondition),
    /// The storage layout does not fit the machine.
    #[error("storage: {0}")]
    Layout(#[from] LayoutRefusal),
    /// The storage configuration would fail.
    #[error("storage: {0}")]
    Storage(#[from] StorageProblem),
    /// The network cannot be configured so.
    #[error("network: {message}")]
    Network {
        /// What is wrong.
        message: String,
    },
    /// The custom image is not what it is declared to be, or lacks something.
    #[error("the image {image} cannot be deployed: {}; upload it again with that corrected", defects.join("; "))]
    Image {
        /// `os/name`.
        image: String,
        /// What was found when it was uploaded.
        defects: Vec<String>,
    },
    /// An option contradicts another or the image.
    #[error("{option}: {message}")]
    Option {
        /// The option's name in the API.
        option: String,
        /// What is wrong.
        message: String,
    },
}

/// Something that a user should know before the deployment starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// A stable word, e.g. `metadata-unreachable`.
    pub code: String,
    /// The sentence.
    pub message: String,
}

impl Warning {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

/// A setting that this deployment does not use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IgnoredSetting {
    /// The setting.
    pub setting: String,
    /// Why.
    pub reason: String,
}

impl IgnoredSetting {
    pub(super) fn new(setting: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { setting: setting.into(), reason: reason.into() }
    }
}
