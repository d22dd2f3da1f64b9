//! Why a change is refused, and what to do about it.

use serde::{Deserialize, Serialize};

use super::status::Status;

/// The seven things that must hold before a deployment (the mission's key takeaways).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "precondition")]
pub enum Precondition {
    /// 1: the machine must have been added.
    #[error("machine {machine:?} has not been added")]
    Added {
        /// What was asked for.
        machine: String,
    },
    /// 2: it must have been commissioned.
    #[error("the machine has not been commissioned (status '{}')", status.display_name())]
    Commissioned {
        /// Where it stands.
        status: Status,
    },
    /// 3: it must be allocated, to this user.
    #[error("the machine is not allocated to this user")]
    Allocated {
        /// Whose it is, when it is somebody else's.
        owner: Option<String>,
    },
    /// 4: an ephemeral OS from a boot source must have been downloaded.
    #[error("no ephemeral image for {architecture} is downloaded (wanted {wanted})")]
    EphemeralImage {
        /// The machine's architecture, e.g. `amd64/generic`.
        architecture: String,
        /// What was looked for, e.g. `ubuntu/noble with kernel ga-24.04`.
        wanted: String,
    },
    /// 5: pre-seeds must be given, and valid, before the start.
    #[error("the pre-seed cannot be used: {problem}")]
    Preseed {
        /// What is wrong, or that the deployment has already started.
        problem: String,
    },
    /// 6: cloud-init's configuration must be given, and valid, before the start.
    #[error("the cloud-init configuration cannot be used: {problem}")]
    CloudInit {
        /// What is wrong, or that the deployment has already started.
        problem: String,
    },
    /// 7: a custom image must have been packed and uploaded, or a standard one downloaded.
    #[error("the target image {image} is not there for {architecture}")]
    TargetImage {
        /// What was asked for, e.g. `custom/rocky-9` or `ubuntu/noble`.
        image: String,
        /// The machine's architecture.
        architecture: String,
    },
}

/// Why an event was not applied; the machine is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// The command is not possible in this status.
    #[error("cannot {action} a machine that is in the '{}' state", status.display_name())]
    WrongStatus {
        /// The command, e.g. `deploy`.
        action: String,
        /// Where the machine stands.
        status: Status,
    },
    /// The status table has no such step (`api.md` §1.2).
    #[error("invalid transition: {} -> {}", from.display_name(), to.display_name())]
    Transition {
        /// Where the machine stands.
        from: Status,
        /// Where it would have gone.
        to: Status,
    },
    /// Somebody else owns the machine, or the role does not reach.
    #[error("user {username:?} may not {action} this machine")]
    Forbidden {
        /// The command.
        action: String,
        /// Who tried.
        username: String,
    },
    /// The machine is locked.
    #[error("cannot {action}: the machine is locked")]
    Locked {
        /// The command.
        action: String,
    },
    /// It is locked already.
    #[error("machine is already locked")]
    AlreadyLocked,
    /// It is not locked.
    #[error("machine is not locked")]
    NotLocked,
    /// One of the seven preconditions does not hold.
    #[error(transparent)]
    Precondition(#[from] Precondition),
    /// The machine has no power driver, so that it cannot be made to boot.
    #[error("the machine has no power type; set one (or `manual`) first")]
    NoPowerDriver,
    /// The signal names a script that this machine does not run.
    #[error("no script result {found} belongs to this machine's current run")]
    UnknownScript {
        /// The id or name given.
        found: String,
    },
}
