//! Why the networks do not change.

use thiserror::Error;

/// Why an edit is refused; its text is for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// One value cannot be taken.
    #[error("{message}")]
    Field {
        /// The API's name of the value.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The object is in use, or must stay for another reason.
    #[error("{message}")]
    InUse {
        /// By what.
        message: String,
    },
    /// There is no such object.
    #[error("No {resource} matches the given query.")]
    NotFound {
        /// The API's name of the kind, e.g. `Subnet`.
        resource: &'static str,
    },
}

impl Refusal {
    pub(super) fn field(field: &'static str, message: impl Into<String>) -> Self {
        Self::Field { field, message: message.into() }
    }

    pub(super) fn in_use(message: impl Into<String>) -> Self {
        Self::InUse { message: message.into() }
    }

    pub(super) const fn not_found(resource: &'static str) -> Self {
        Self::NotFound { resource }
    }
}
