//! Errors of the domain as answers: one place decides on status and sentence.

use std::sync::Arc;

use maas_core::ipam;
use maas_core::machine::refusal::RefusalKind;
use maas_core::machine::{Machine, Precondition, Refusal};

use crate::http::Problem;
use crate::ipam::{ClaimError, EditError};
use crate::region::{AllocateError, ApplyError};

/// What a client is told when a machine is not there or not for it to see.
pub(crate) const NO_MACHINE: &str = "No Machine matches the given query.";

/// The changed machine, or the answer that says why it did not change.
pub(crate) fn applied(result: Result<Arc<Machine>, ApplyError>) -> Result<Arc<Machine>, Problem> {
    result.map_err(Problem::from)
}

impl From<ApplyError> for Problem {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::NotFound(_) => Self::not_found(NO_MACHINE),
            ApplyError::Refused(refusal) => refusal.into(),
            ApplyError::Duplicate(duplicate) => Self::Conflict(duplicate.to_string()),
            ApplyError::Busy(_) => Self::Unavailable {
                text: error.to_string(),
                retry_after: std::time::Duration::from_secs(1),
            },
            other => Self::internal(other),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let text = match &refusal {
            Refusal::Precondition(precondition) => with_remedy(precondition),
            other => other.sentence(),
        };
        match refusal.kind() {
            RefusalKind::NotFound => Self::NotFound(text),
            RefusalKind::Forbidden => Self::Forbidden(text),
            RefusalKind::Invalid => Self::BadRequest(text),
            _ => Self::Conflict(text),
        }
    }
}

impl From<AllocateError> for Problem {
    fn from(error: AllocateError) -> Self {
        match error {
            AllocateError::NoMatch => Self::Conflict("No machine available.".to_owned()),
            AllocateError::Apply(error) => error.into(),
        }
    }
}

/// What does not hold and what to do about it.
pub(crate) fn with_remedy(precondition: &Precondition) -> String {
    format!("{precondition}: {}", precondition.remedy())
}

impl From<ipam::Refusal> for Problem {
    fn from(refusal: ipam::Refusal) -> Self {
        match refusal {
            ipam::Refusal::Field { field, message } => Self::field(field, message),
            ipam::Refusal::NotFound { .. } => Self::NotFound(refusal.to_string()),
            other => Self::Conflict(other.to_string()),
        }
    }
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Busy => Self::Unavailable {
                text: error.to_string(),
                retry_after: std::time::Duration::from_secs(1),
            },
            other => Self::internal(other),
        }
    }
}

impl From<ClaimError> for Problem {
    fn from(error: ClaimError) -> Self {
        let text = error.to_string();
        match error {
            // Another deployment may end any minute.
            ClaimError::NoFreeAddress { .. } => {
                Self::Unavailable { text, retry_after: std::time::Duration::from_secs(10) }
            }
            ClaimError::InUse { .. } => Self::Conflict(text),
            ClaimError::Refused { reason } => Self::BadRequest(reason),
            other => Self::internal(other),
        }
    }
}
