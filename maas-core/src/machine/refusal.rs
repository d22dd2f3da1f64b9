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
    /// Nobody has it, so that nobody may switch it on.
    #[error("can't start node: it hasn't been allocated")]
    NotAllocated,
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

/// What a refusal is about, so that a server chooses its answer in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// There is no such thing (HTTP 404).
    NotFound,
    /// This user may not (HTTP 403).
    Forbidden,
    /// Not in the present state (HTTP 409).
    Conflict,
    /// The request itself cannot be carried out as given (HTTP 400).
    Invalid,
}

impl Precondition {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Added { machine } => format!(
                "Add {machine:?} first: netboot it so that it enlists itself, or add it with its \
                 MAC address, architecture and power parameters."
            ),
            Self::Commissioned { status: Status::Commissioning } => {
                "Wait until commissioning has ended in Ready.".to_owned()
            }
            Self::Commissioned { .. } => {
                "Commission the machine and wait until it is Ready.".to_owned()
            }
            Self::Allocated { owner: None } => "Allocate the machine first.".to_owned(),
            Self::Allocated { owner: Some(_) } => {
                "Allocate another machine, or wait until its owner has released this one."
                    .to_owned()
            }
            Self::EphemeralImage { architecture, wanted } => format!(
                "Select {wanted} for {architecture} in the boot source, synchronise, and deploy \
                 when it is downloaded."
            ),
            Self::Preseed { .. } => "Correct the pre-seed (storage, kernel, curtin commands) \
                 before the deployment starts; release the machine first when it has started."
                .to_owned(),
            Self::CloudInit { .. } => "Correct the user data or vendor data before the deployment \
                 starts; release the machine first when it has started."
                .to_owned(),
            Self::TargetImage { image, architecture } if image.starts_with("custom/") => {
                format!("Pack the image and upload it as {image} for {architecture}, then deploy.")
            }
            Self::TargetImage { image, architecture } => format!(
                "Select {image} for {architecture} in the boot source and synchronise, or upload \
                 it as a custom image, then deploy."
            ),
        }
    }

    /// The kind of answer it deserves.
    #[must_use]
    pub const fn kind(&self) -> RefusalKind {
        match self {
            Self::Added { .. } => RefusalKind::NotFound,
            Self::Allocated { owner: Some(_) } => RefusalKind::Forbidden,
            Self::Commissioned { .. } | Self::Allocated { owner: None } => RefusalKind::Conflict,
            Self::EphemeralImage { .. }
            | Self::Preseed { .. }
            | Self::CloudInit { .. }
            | Self::TargetImage { .. } => RefusalKind::Invalid,
        }
    }
}

impl Refusal {
    /// The kind of answer it deserves (`api.md` §1.3).
    #[must_use]
    pub fn kind(&self) -> RefusalKind {
        match self {
            // The reference answers a wrong `commission` with a form error.
            Self::WrongStatus { action, .. } if action == "commission" => RefusalKind::Invalid,
            Self::WrongStatus { .. }
            | Self::Transition { .. }
            | Self::AlreadyLocked
            | Self::NotLocked
            | Self::NotAllocated => RefusalKind::Conflict,
            Self::Forbidden { .. } | Self::Locked { .. } => RefusalKind::Forbidden,
            Self::Precondition(precondition) => precondition.kind(),
            Self::NoPowerDriver => RefusalKind::Invalid,
            Self::UnknownScript { .. } => RefusalKind::NotFound,
        }
    }

    /// The sentence that API clients are shown, which some of them compare (`api.md` §1.2, §1.3).
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::WrongStatus { action, status } if action == "release" => {
                format!("Machine cannot be released in its current state ('{status}').")
            }
            Self::WrongStatus { action, status } => {
                format!("Can't {action} a machine that is in the '{status}' state")
            }
            Self::Transition { from, to } => format!("Invalid transition: {from} -> {to}."),
            Self::AlreadyLocked => "Machine is already locked".to_owned(),
            Self::NotLocked => "Machine is not locked".to_owned(),
            Self::NotAllocated => "Can't start node: it hasn't been allocated.".to_owned(),
            Self::Precondition(precondition @ Precondition::Commissioned { status }) => format!(
                "Can't deploy a machine that is in the '{status}' state: it has not been \
                 commissioned. {}",
                precondition.remedy()
            ),
            Self::Precondition(precondition) => {
                format!("{}. {}", capitalised(&precondition.to_string()), precondition.remedy())
            }
            other => format!("{}.", capitalised(&other.to_string())),
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_those_that_clients_know() {
        let wrong = |action: &str, status| Refusal::WrongStatus { action: action.into(), status };
        assert_eq!(
            wrong("deploy", Status::FailedDeployment).sentence(),
            "Can't deploy a machine that is in the 'Failed deployment' state"
        );
        assert_eq!(
            wrong("release", Status::New).sentence(),
            "Machine cannot be released in its current state ('New')."
        );
        assert_eq!(
            Refusal::Transition { from: Status::Ready, to: Status::Deploying }.sentence(),
            "Invalid transition: Ready -> Deploying."
        );
        assert_eq!(Refusal::AlreadyLocked.sentence(), "Machine is already locked");
        assert_eq!(wrong("commission", Status::Deployed).kind(), RefusalKind::Invalid);
        assert_eq!(wrong("deploy", Status::Broken).kind(), RefusalKind::Conflict);
    }

    #[test]
    fn each_of_the_seven_preconditions_names_its_own_remedy() {
        let text = || "x".to_owned();
        let seven = [
            Precondition::Added { machine: text() },
            Precondition::Commissioned { status: Status::New },
            Precondition::Allocated { owner: None },
            Precondition::EphemeralImage { architecture: text(), wanted: text() },
            Precondition::Preseed { problem: text() },
            Precondition::CloudInit { problem: text() },
            Precondition::TargetImage { image: "custom/x".into(), architecture: text() },
        ];
        let remedies: std::collections::BTreeSet<String> =
            seven.iter().map(Precondition::remedy).collect();
        assert_eq!(remedies.len(), 7);
        for precondition in seven {
            let remedy = precondition.remedy();
            assert!(Refusal::from(precondition).sentence().ends_with(&remedy));
        }
    }
}
