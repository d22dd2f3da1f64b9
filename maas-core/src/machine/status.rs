//! The 23 statuses of a machine: numbers, names and groups.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where a machine stands (MAAS API 2.0 `status`; the numbers are the wire's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are MAAS's own; `display_name` says each in words")]
pub enum Status {
    New = 0,
    Commissioning = 1,
    FailedCommissioning = 2,
    Missing = 3,
    Ready = 4,
    Reserved = 5,
    Deployed = 6,
    Retired = 7,
    Broken = 8,
    Deploying = 9,
    Allocated = 10,
    FailedDeployment = 11,
    Releasing = 12,
    FailedReleasing = 13,
    DiskErasing = 14,
    FailedDiskErasing = 15,
    RescueMode = 16,
    EnteringRescueMode = 17,
    FailedEnteringRescueMode = 18,
    ExitingRescueMode = 19,
    FailedExitingRescueMode = 20,
    Testing = 21,
    FailedTesting = 22,
}

/// How long a machine may take to switch off or on (`api.md` §1.6).
const POWER_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The longest erasure: what the ephemeral OS itself allows (`boot-and-metadata.md` §3.1).
const ERASE_LIMIT: Duration = Duration::from_secs(604_800);

impl Status {
    /// Every status, in the order of the numbers.
    pub const ALL: [Self; 23] = [
        Self::New,
        Self::Commissioning,
        Self::FailedCommissioning,
        Self::Missing,
        Self::Ready,
        Self::Reserved,
        Self::Deployed,
        Self::Retired,
        Self::Broken,
        Self::Deploying,
        Self::Allocated,
        Self::FailedDeployment,
        Self::Releasing,
        Self::FailedReleasing,
        Self::DiskErasing,
        Self::FailedDiskErasing,
        Self::RescueMode,
        Self::EnteringRescueMode,
        Self::FailedEnteringRescueMode,
        Self::ExitingRescueMode,
        Self::FailedExitingRescueMode,
        Self::Testing,
        Self::FailedTesting,
    ];

    /// The number on the wire (`status`), 0 to 22.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The word that filters take and stores keep, e.g. `failed_deployment`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Commissioning => "commissioning",
            Self::FailedCommissioning => "failed_commissioning",
            Self::Missing => "missing",
            Self::Ready => "ready",
            Self::Reserved => "reserved",
            Self::Deployed => "deployed",
            Self::Retired => "retired",
            Self::Broken => "broken",
            Self::Deploying => "deploying",
            Self::Allocated => "allocated",
            Self::FailedDeployment => "failed_deployment",
            Self::Releasing => "releasing",
            Self::FailedReleasing => "failed_releasing",
            Self::DiskErasing => "disk_erasing",
            Self::FailedDiskErasing => "failed_disk_erasing",
            Self::RescueMode => "rescue_mode",
            Self::EnteringRescueMode => "entering_rescue_mode",
            Self::FailedEnteringRescueMode => "failed_entering_rescue_mode",
            Self::ExitingRescueMode => "exiting_rescue_mode",
            Self::FailedExitingRescueMode => "failed_exiting_rescue_mode",
            Self::Testing => "testing",
            Self::FailedTesting => "failed_testing",
        }
    }
    /// The words that MAAS shows (`status_name`).
    #[must_use]
    pub const fn display_name(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Commissioning => "Commissioning",
            Self::FailedCommissioning => "Failed commissioning",
            Self::Missing => "Missing",
            Self::Ready => "Ready",
            Self::Reserved => "Reserved",
            Self::Deployed => "Deployed",
            Self::Retired => "Retired",
            Self::Broken => "Broken",
            Self::Deploying => "Deploying",
            Self::Allocated => "Allocated",
            Self::FailedDeployment => "Failed deployment",
            Self::Releasing => "Releasing",
            Self::FailedReleasing => "Releasing failed",
            Self::DiskErasing => "Disk erasing",
            Self::FailedDiskErasing => "Failed disk erasing",
            Self::RescueMode => "Rescue mode",
            Self::EnteringRescueMode => "Entering rescue mode",
            Self::FailedEnteringRescueMode => "Failed to enter rescue mode",
            Self::ExitingRescueMode => "Exiting rescue mode",
            Self::FailedExitingRescueMode => "Failed to exit rescue mode",
            Self::Testing => "Testing",
            Self::FailedTesting => "Failed testing",
        }
    }

    /// The group that the API shows as `simple_status`.
    #[must_use]
    pub const fn simple(self) -> &'static str {
        match self {
            Self::Allocated => "Allocated",
            Self::Broken => "Broken",
            Self::Commissioning => "Commissioning",
            Self::Deployed => "Deployed",
            Self::Deploying => "Deploying",
            Self::New => "New",
            Self::Ready => "Ready",
            Self::Releasing | Self::DiskErasing => "Releasing",
            Self::RescueMode | Self::EnteringRescueMode | Self::ExitingRescueMode => "Rescue Mode",
            Self::Testing => "Testing",
            Self::Missing | Self::Reserved | Self::Retired => "Other",
            Self::FailedCommissioning
            | Self::FailedDeployment
            | Self::FailedReleasing
            | Self::FailedDiskErasing
            | Self::FailedEnteringRescueMode
            | Self::FailedExitingRescueMode
            | Self::FailedTesting => "Failed",
        }
    }

    /// Whether the status is on its way elsewhere; then it has a deadline.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        self.failure().is_some()
    }

    /// Whether it is one of the seven failed statuses.
    #[must_use]
    pub fn is_failed(self) -> bool {
        self.simple() == "Failed"
    }

    /// Whether it belongs to rescue mode: within it, on the way in or out, or failed there.
    #[must_use]
    pub const fn is_rescue(self) -> bool {
        matches!(self.number(), 16..=20)
    }

    /// Whether the machine netboots the ephemeral OS to run scripts (COMMISSIONING_LIKE).
    #[must_use]
    pub const fn is_commissioning_like(self) -> bool {
        matches!(
            self,
            Self::New
                | Self::Commissioning
                | Self::DiskErasing
                | Self::EnteringRescueMode
                | Self::Releasing
                | Self::RescueMode
                | Self::Testing
        )
    }

    /// Whether `release` is possible (`Releasing` and `Ready` accept it too, as a no-op).
    #[must_use]
    pub const fn is_releasable(self) -> bool {
        matches!(
            self,
            Self::Allocated
                | Self::Reserved
                | Self::Broken
                | Self::Deploying
                | Self::Deployed
                | Self::FailedDeployment
                | Self::FailedDiskErasing
                | Self::FailedReleasing
        )
    }

    /// Whether the machine counts as in use.
    #[must_use]
    pub const fn is_in_use(self) -> bool {
        matches!(self, Self::Deployed) || matches!(self.number(), 9..=22)
    }

    /// Where the status ends when it fails; `None` for a resting one.
    #[must_use]
    pub const fn failure(self) -> Option<Self> {
        Some(match self {
            Self::Commissioning => Self::FailedCommissioning,
            Self::Deploying => Self::FailedDeployment,
            Self::Releasing => Self::FailedReleasing,
            Self::DiskErasing => Self::FailedDiskErasing,
            Self::EnteringRescueMode => Self::FailedEnteringRescueMode,
            Self::ExitingRescueMode => Self::FailedExitingRescueMode,
            Self::Testing => Self::FailedTesting,
            _ => return None,
        })
    }

    /// How long the status may go without a sign of life; `None` for a resting one.
    ///
    /// `Releasing` means the wait for power off here; with release scripts it has `node_timeout`.
    #[must_use]
    pub const fn limit(self, node_timeout: Duration) -> Option<Duration> {
        match self {
            Self::Commissioning | Self::Testing | Self::Deploying | Self::EnteringRescueMode => {
                Some(node_timeout)
            }
            // Overwriting disks starves the runner's heartbeat.
            Self::DiskErasing => Some(node_timeout.saturating_mul(4)),
            Self::Releasing | Self::ExitingRescueMode => Some(POWER_LIMIT),
            _ => None,
        }
    }

    /// The longest time from the start that no sign of life prolongs; `None` when only silence
    /// counts (tests may run for days) or the status is a resting one.
    #[must_use]
    pub fn hard_stop(self, node_timeout: Duration) -> Option<Duration> {
        match self {
            Self::Deploying => Some(node_timeout.saturating_mul(2)),
            Self::DiskErasing => Some(ERASE_LIMIT.max(node_timeout.saturating_mul(4))),
            Self::ExitingRescueMode => Some(POWER_LIMIT),
            _ => None,
        }
    }

    /// The statuses that may follow (`api.md` §1.2); staying is always allowed and not listed,
    /// but for `DiskErasing`, which lists itself as the reference does.
    #[must_use]
    pub const fn next(self) -> &'static [Self] {
        transitions::next(self)
    }

    /// Whether `to` may follow; a status may always stay.
    #[must_use]
    pub fn can_become(self, to: Self) -> bool {
        self == to || self.next().contains(&to)
    }

    /// Whether a machine that was tested from here becomes Ready (RESET_SET).
    #[must_use]
    pub const fn is_reset_by_testing(self) -> bool {
        matches!(
            self,
            Self::New
                | Self::Commissioning
                | Self::FailedDeployment
                | Self::Missing
                | Self::Retired
                | Self::Broken
                | Self::FailedReleasing
                | Self::FailedDiskErasing
                | Self::FailedEnteringRescueMode
                | Self::FailedExitingRescueMode
                | Self::FailedTesting
        )
    }
}

/// A number or word that names no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a machine status: found {found:?}, expected 0 to 22 or a name such as `ready`")]
pub struct UnknownStatus {
    /// What was given, cut to 64 characters.
    pub found: String,
}

impl TryFrom<u8> for Status {
    type Error = UnknownStatus;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .ok_or_else(|| UnknownStatus { found: number.to_string() })
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    /// Reads a filter word (`failed_deployment`), in any case, or a number (`11`).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(number) = text.parse::<u8>() {
            return Self::try_from(number);
        }
        Self::ALL
            .into_iter()
            .find(|status| status.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownStatus { found: text.chars().take(64).collect() })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.display_name())
    }
}

mod transitions;

#[cfg(test)]
mod tests;
