//! What a machine that asks for boot files is meant to boot (`boot-and-metadata.md` §1.5).

use super::{Deadline, Machine, Status, Waiting};

/// What a machine is meant to boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// The ephemeral OS, to run scripts; also for a machine nobody knows yet.
    Commissioning,
    /// The ephemeral OS, to install with curtin.
    Xinstall,
    /// The deployed system itself, from memory: nothing is installed.
    Ephemeral,
    /// The local disk.
    Local,
    /// The ephemeral OS with user data that only switch the machine off.
    Poweroff,
}

impl Purpose {
    /// The word that boot templates are looked up by; the ephemeral OS to switch off boots as
    /// `commissioning`, a deployment in memory as `xinstall`.
    #[must_use]
    pub const fn template(self) -> &'static str {
        match self {
            Self::Commissioning | Self::Poweroff => "commissioning",
            Self::Xinstall | Self::Ephemeral => "xinstall",
            Self::Local => "local",
        }
    }

    /// Whether anything but the local disk is booted.
    #[must_use]
    pub const fn is_network(self) -> bool {
        !matches!(self, Self::Local)
    }
}

impl Machine {
    /// What this machine is meant to boot now.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        let ephemeral = self.deployment.as_ref().is_some_and(|deployment| deployment.ephemeral);
        match self.status {
            Status::Deploying if ephemeral => Purpose::Ephemeral,
            Status::Deploying if self.netboot => Purpose::Xinstall,
            Status::Deployed if ephemeral => Purpose::Ephemeral,
            Status::Deploying | Status::Deployed => Purpose::Local,
            // It must come up as it was before the rescue.
            Status::ExitingRescueMode if self.previous_status == Status::Deployed => {
                if ephemeral {
                    Purpose::Ephemeral
                } else {
                    Purpose::Local
                }
            }
            // Nothing is left to run: all that is waited for is that it is off.
            Status::Releasing if self.waits_for(Waiting::PowerOff) => Purpose::Poweroff,
            status if status.is_commissioning_like() => Purpose::Commissioning,
            _ => Purpose::Poweroff,
        }
    }

    /// Whether this is what it waits for.
    #[must_use]
    pub fn waits_for(&self, waiting: Waiting) -> bool {
        matches!(&self.deadline, Some(Deadline { waiting_for, .. }) if *waiting_for == waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::super::DeploymentSummary;
    use super::super::lifecycle::tests::machine;
    use super::*;

    #[test]
    fn the_purpose_table_holds() {
        let mut machine = machine();
        for status in Status::ALL {
            machine.status = status;
            machine.netboot = true;
            let expected = match status.number() {
                0 | 1 | 14 | 17 | 12 | 16 | 21 => Purpose::Commissioning,
                9 => Purpose::Xinstall,
                6 => Purpose::Local,
                _ => Purpose::Poweroff,
            };
            assert_eq!(machine.purpose(), expected, "{status}");
        }
        machine.status = Status::Deploying;
        machine.netboot = false;
        assert_eq!(machine.purpose(), Purpose::Local);
    }

    #[test]
    fn a_deployment_in_memory_boots_from_the_network_every_time() {
        let mut machine = machine();
        machine.netboot = false;
        machine.deployment = Some(DeploymentSummary {
            osystem: "ubuntu".into(),
            distro_series: "noble".into(),
            hwe_kernel: String::new(),
            ephemeral: true,
            plan_digest: String::new(),
            arrival: crate::machine::Arrival::UserData,
        });
        for status in [Status::Deploying, Status::Deployed] {
            machine.status = status;
            assert_eq!(machine.purpose(), Purpose::Ephemeral);
            assert_eq!(machine.purpose().template(), "xinstall");
        }
    }
}
