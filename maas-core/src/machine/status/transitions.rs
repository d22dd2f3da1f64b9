//! Which status may follow which (`api.md` §1.2): the one place that knows.

use super::Status;
use super::Status::*;

/// The statuses that may follow `from`.
pub(super) const fn next(from: Status) -> &'static [Status] {
    match from {
        New => &[Commissioning, Testing, Missing, Ready, Retired, Broken, EnteringRescueMode],
        Commissioning => &[FailedCommissioning, Ready, Retired, Missing, New, Broken, Testing],
        FailedCommissioning => {
            &[Commissioning, Missing, Retired, Broken, EnteringRescueMode, Testing]
        }
        Ready => &[
            EnteringRescueMode,
            Commissioning,
            Allocated,
            Reserved,
            Retired,
            Missing,
            Broken,
            Testing,
        ],
        Reserved => &[
            Ready,
            Allocated,
            Retired,
            Missing,
            Broken,
            DiskErasing,
            Releasing,
            EnteringRescueMode,
            Testing,
        ],
        Allocated => &[
            Ready,
            Retired,
            Missing,
            Broken,
            Deploying,
            DiskErasing,
            Releasing,
            EnteringRescueMode,
            Testing,
        ],
        Deploying => {
            &[Allocated, Missing, Broken, FailedDeployment, Deployed, Ready, DiskErasing, Releasing]
        }
        Deployed => &[
            Allocated,
            Missing,
            Broken,
            Ready,
            DiskErasing,
            Releasing,
            EnteringRescueMode,
            Testing,
        ],
        FailedDeployment => &[
            Allocated,
            Missing,
            Broken,
            Ready,
            DiskErasing,
            Releasing,
            EnteringRescueMode,
            Testing,
        ],
        Releasing => &[
            New,
            Allocated,
            Reserved,
            Deployed,
            Ready,
            Broken,
            Missing,
            FailedDeployment,
            FailedDiskErasing,
            FailedReleasing,
        ],
        FailedReleasing => &[Releasing, DiskErasing, Ready, Broken, Testing],
        DiskErasing => &[Broken, DiskErasing, FailedDiskErasing, Ready, Releasing],
        FailedDiskErasing => {
            &[DiskErasing, Releasing, Broken, Allocated, Ready, EnteringRescueMode, Testing]
        }
        Missing => &[New, Ready, Allocated, Commissioning, Broken, EnteringRescueMode, Testing],
        Retired => &[New, Ready, Missing, Broken, EnteringRescueMode, Testing],
        Broken => {
            &[Commissioning, Ready, DiskErasing, Releasing, EnteringRescueMode, Testing, Deployed]
        }
        EnteringRescueMode => {
            &[Ready, Broken, Deployed, RescueMode, FailedEnteringRescueMode, ExitingRescueMode]
        }
        FailedEnteringRescueMode => &[Broken, EnteringRescueMode, ExitingRescueMode, Testing],
        RescueMode => &[Broken, ExitingRescueMode, Testing],
        ExitingRescueMode => &[
            New,
            Broken,
            FailedCommissioning,
            Ready,
            Reserved,
            Allocated,
            FailedDeployment,
            Deployed,
            Missing,
            Retired,
            FailedReleasing,
            FailedDiskErasing,
            RescueMode,
            FailedEnteringRescueMode,
            FailedExitingRescueMode,
            FailedTesting,
        ],
        FailedExitingRescueMode => &[Broken, ExitingRescueMode, Testing],
        Testing => &[
            Broken,
            New,
            Ready,
            Reserved,
            Allocated,
            Deployed,
            Commissioning,
            FailedDeployment,
            Missing,
            Retired,
            FailedReleasing,
            FailedDiskErasing,
            FailedEnteringRescueMode,
            FailedExitingRescueMode,
            FailedTesting,
        ],
        FailedTesting => {
            &[Commissioning, Broken, Missing, EnteringRescueMode, Testing, Ready, Deployed]
        }
    }
}
