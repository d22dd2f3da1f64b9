//! Why an edit of interfaces is refused.

use crate::machine::refusal::RefusalKind;

/// Why an edit was not made; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not in the machine's present status (`api.md` §4.2).
    #[error(
        "Cannot {action} interface because the machine is not New, Ready, Allocated, or Broken."
    )]
    WrongStatus {
        /// The command, e.g. `update`.
        action: &'static str,
    },
    /// Restoring needs other statuses.
    #[error("Cannot restore the network configuration because the machine is not Ready.")]
    CannotRestore,
    /// The machine's network was given as a whole, which wins over its interfaces.
    #[error(
        "The machine's network was given as a whole by set_network; \
         restore_networking_configuration takes it back, then interfaces can be changed."
    )]
    NetworkGiven,
    /// A device cannot have that.
    #[error("{what}")]
    NotForDevices {
        /// The sentence.
        what: &'static str,
    },
    /// There is no such interface.
    #[error("No Interface matches the given query.")]
    NoInterface,
    /// A parameter cannot be used as given.
    #[error("{field}: {message}")]
    Field {
        /// The parameter's name in the API.
        field: &'static str,
        /// The sentence.
        message: String,
    },
}

impl Refusal {
    pub(super) fn field(field: &'static str, message: impl Into<String>) -> Self {
        Self::Field { field, message: message.into() }
    }

    pub(super) fn required(field: &'static str) -> Self {
        Self::field(field, "This field is required.")
    }

    /// The sentence of a choice that is not among those that are there.
    pub(super) fn no_choice(field: &'static str) -> Self {
        Self::field(
            field,
            "Select a valid choice. That choice is not one of the available choices.",
        )
    }

    /// The kind of answer it deserves.
    #[must_use]
    pub const fn kind(&self) -> RefusalKind {
        match self {
            Self::WrongStatus { .. } | Self::CannotRestore | Self::NetworkGiven => {
                RefusalKind::Conflict
            }
            Self::NotForDevices { .. } | Self::NoInterface => RefusalKind::NotFound,
            Self::Field { .. } => RefusalKind::Invalid,
        }
    }
}
