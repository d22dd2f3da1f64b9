//! What a deployed operating system takes, and what it would lose.

use std::fmt;
use std::str::FromStr;

use crate::error::{Invalid, Problem};
use crate::esxi::{self, Nics};
use crate::loss::Loss;
use crate::topology::Topology;
use crate::v1::Dialect;
use crate::{netplan, v1};

/// The family of an operating system, as far as its network configuration goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TargetOs {
    /// Ubuntu 16.04 or later, and Ubuntu Core: netplan v2.
    Ubuntu,
    /// VMware ESXi: v1, translated on the host.
    Esxi,
    /// Everything else that runs cloud-init: v1.
    Other,
}

impl TargetOs {
    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ubuntu => "ubuntu",
            Self::Esxi => "esxi",
            Self::Other => "other",
        }
    }

    /// What this system would refuse or lose of a network.
    pub fn check(self, topology: &Topology) -> (Vec<Problem>, Vec<Loss>) {
        match self {
            Self::Ubuntu => (Vec::new(), netplan::render(topology).losses),
            Self::Other => (Vec::new(), v1::render(topology, Dialect::Maas).losses),
            Self::Esxi => match esxi::plan(topology, &Nics::AtRunTime) {
                Ok(plan) => (plan.warnings, plan.losses),
                Err(refused) => (refused.problems, Vec::new()),
            },
        }
    }
}

impl fmt::Display for TargetOs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for TargetOs {
    type Err = Invalid;

    /// Reads MAAS's name of an operating system.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "ubuntu" | "ubuntu-core" => Ok(Self::Ubuntu),
            "esxi" => Ok(Self::Esxi),
            "almalinux" | "azurelinux" | "centos" | "custom" | "debian" | "fedora" | "ol"
            | "other" | "rhel" | "rocky" | "sles" | "suse" | "windows" | "xenserver" => {
                Ok(Self::Other)
            }
            _ => Err(Invalid::new(
                "operating system",
                text,
                "ubuntu, ubuntu-core, esxi, centos, rhel, rocky, almalinux, ol, fedora, azurelinux, sles, suse, debian, windows, xenserver, custom or other",
            )),
        }
    }
}
