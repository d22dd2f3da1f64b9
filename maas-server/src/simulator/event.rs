//! What the simulator tells its caller: one typed line of a machine's timeline.

use std::fmt;
use std::time::SystemTime;

use serde::Serialize;

use super::mac::Mac;

/// One thing that happened on a simulated machine.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SimulatorEvent {
    /// The MAC address that the machine boots from.
    pub machine: Mac,
    /// When it happened, by this computer's clock.
    #[serde(serialize_with = "seconds")]
    pub time: SystemTime,
    /// Which part of the machine's way it belongs to.
    pub stage: Stage,
    /// What happened, for people; never a secret.
    pub detail: String,
}

fn seconds<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    serializer.serialize_f64(since.as_secs_f64())
}

/// The part of a machine's way that an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// The power came on.
    PowerOn,
    /// The power went off.
    PowerOff,
    /// The firmware or boot loader asked for something.
    Firmware,
    /// A boot script was read and says what to boot.
    BootScript,
    /// Kernel and initrd were loaded and verified.
    Kernel,
    /// The initrd loaded and verified the root file system.
    RootFs,
    /// A stage of cloud-init began or ended.
    CloudInit,
    /// The user data was fetched.
    UserData,
    /// The machine enlisted itself.
    Enlisted,
    /// A script of the region was run.
    Script,
    /// The runner signalled the region.
    Signal,
    /// A stage of curtin began or ended.
    Curtin,
    /// The image to install was loaded and verified.
    TargetImage,
    /// The region was asked to boot this machine from its disk from now on.
    NetbootOff,
    /// The machine restarts.
    Reboot,
    /// The firmware starts the system on the disk.
    LocalBoot,
    /// The installed system is up.
    Running,
    /// A fault that was asked for happens now.
    Fault,
    /// Something went wrong that was not asked for.
    Problem,
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::PowerOn => "power on",
            Self::PowerOff => "power off",
            Self::Firmware => "firmware",
            Self::BootScript => "boot script",
            Self::Kernel => "kernel",
            Self::RootFs => "root file system",
            Self::CloudInit => "cloud-init",
            Self::UserData => "user data",
            Self::Enlisted => "enlisted",
            Self::Script => "script",
            Self::Signal => "signal",
            Self::Curtin => "curtin",
            Self::TargetImage => "target image",
            Self::NetbootOff => "netboot off",
            Self::Reboot => "reboot",
            Self::LocalBoot => "local boot",
            Self::Running => "running",
            Self::Fault => "fault",
            Self::Problem => "problem",
        })
    }
}
