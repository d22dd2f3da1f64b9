//! What can happen to a machine.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::power::PowerState;
use crate::commission::result::{ScriptReport, ScriptRun};

/// Who commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The user's name.
    pub username: String,
    /// What the user may do.
    pub role: Role,
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Commands to unowned and own machines.
    User,
}

/// Something that happens to a machine: a user's command, the machine's own signal, or a fact
/// that the server noticed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    // --- a user's commands (`api.md` §1.3) ---
    /// Establish configuration and resources.
    Commission {
        /// Who.
        actor: Actor,
        /// Leave the ephemeral OS up with SSH afterwards.
        enable_ssh: bool,
        /// Keep the configuration of the interfaces.
        #[serde(default)]
        skip_networking: bool,
        /// The commissioning and testing scripts to run, with fresh ids, all pending.
        scripts: Vec<ScriptRun>,
    },
    /// Run testing scripts.
    Test {
        /// Who.
        actor: Actor,
        /// Leave the ephemeral OS up with SSH afterwards.
        enable_ssh: bool,
        /// The testing scripts, with fresh ids, all pending.
        scripts: Vec<ScriptRun>,
    },
    /// Give the machine to exactly one user.
    Allocate {
        /// Who takes it.
        actor: Actor,
        /// The program's own name.
        agent_name: String,
        /// Free text for the history.
        comment: String,
    },
    /// Give what a user holds to another one, because the user is deleted.
    Transfer {
        /// Who; an administrator.
        actor: Actor,
        /// Who holds it from now on.
        to: String,
    },
    /// Install an operating system; the plan has been computed and validated by the caller.
    Deploy {
        /// Who.
        actor: Actor,
        /// What the plan decided.
        deployment: Box<DeploymentSummary>,
        /// The deployment scripts to run, with fresh ids, all pending.
        scripts: Vec<ScriptRun>,
        /// Free text for the history.
        comment: String,
    },
    /// Give the machine back.
    Release {
        /// Who.
        actor: Actor,
        /// Whether its disks are wiped first.
        erase: Erase,
        /// The release scripts to run (`wipe-disks` for an erasure), with fresh ids, all pending.
        scripts: Vec<ScriptRun>,
        /// Free text for the history.
        comment: String,
    },
    /// Stop a transient action.
    Abort {
        /// Who.
        actor: Actor,
        /// Free text for the history.
        comment: String,
    },
    /// Take it out of service.
    MarkBroken {
        /// Who.
        actor: Actor,
        /// Why; becomes `error_description`.
        comment: String,
    },
    /// Put it back into service.
    MarkFixed {
        /// Who.
        actor: Actor,
        /// Free text for the history.
        comment: String,
    },
    /// Accept a machine in spite of failed tests.
    OverrideFailedTesting {
        /// Who.
        actor: Actor,
        /// Free text for the history.
        comment: String,
    },
    /// Boot the ephemeral OS for repairs.
    EnterRescueMode {
        /// Who.
        actor: Actor,
    },
    /// Go back to where it was before.
    ExitRescueMode {
        /// Who.
        actor: Actor,
    },
    /// Refuse every change from now on.
    Lock {
        /// Who.
        actor: Actor,
        /// Free text for the history.
        comment: String,
    },
    /// Allow changes again.
    Unlock {
        /// Who.
        actor: Actor,
        /// Free text for the history.
        comment: String,
    },
    /// Switch on by hand.
    PowerOn {
        /// Who.
        actor: Actor,
    },
    /// Switch off by hand.
    PowerOff {
        /// Who.
        actor: Actor,
    },

    // --- the machine's own signals (`boot-and-metadata.md` §1.5, §2.4, §3.4, §4.2) ---
    /// Its boot loader asked for its configuration.
    BootRequested {
        /// `pxe`, `uefi` or `ipxe`.
        boot_method: String,
        /// The MAC address that asked, lower case with colons, when the request carried one.
        mac: Option<String>,
        /// The address of the rack that answers.
        rack: String,
    },
    /// Its ephemeral OS fetched the squashfs.
    EphemeralFetched,
    /// A DHCP server gave it an address, or gives it the same one on.
    AddressLeased {
        /// The card that asked, lower case with colons.
        mac: String,
        /// The address.
        address: IpAddr,
    },
    /// A change of DHCP on one of its networks was refused; what was served before still is.
    DhcpRefused {
        /// Why.
        reason: String,
    },
    /// An address that a DHCP server gave it is free again.
    LeaseEnded {
        /// The card that had it, lower case with colons.
        mac: String,
        /// The address.
        address: IpAddr,
    },
    /// The runner's signal.
    Signal {
        /// The word.
        status: SignalStatus,
        /// The runner's own sentence.
        error: String,
        /// A script's result, when the signal carries one.
        script: Option<ScriptReport>,
        /// The BMC that bmc-config found: driver and parameters.
        power: Option<(String, BTreeMap<String, String>)>,
        /// The built-in commissioning scripts for an enlisting machine (`New` + COMMISSIONING),
        /// with fresh ids, all pending; empty otherwise.
        scripts: Vec<ScriptRun>,
    },
    /// An event of cloud-init's or curtin's reporting webhook.
    Report(Report),
    /// The installer's last command: boot from disk from now on.
    NetbootOff,
    /// Boot from the network again.
    NetbootOn,
    /// The installed (or ephemerally deployed) system asked for its user data, even when there is
    /// none.
    UserDataFetched,

    // --- facts that the server noticed ---
    /// The power driver told the state.
    PowerReported {
        /// The state.
        state: PowerState,
    },
    /// The power driver gave up.
    PowerFailed {
        /// `on`, `off`, `cycle` or `query`.
        action: String,
        /// The driver's sentence, free of secrets.
        message: String,
    },
    /// The deadline may have passed; the core compares it with the time given.
    DeadlineReached,
    /// The machine cannot go on for a reason that the server found (e.g. a missing boot image).
    Failed {
        /// The sentence.
        message: String,
    },
}

/// What a deployment was asked for, as the machine keeps it; the documents are in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentSummary {
    /// `ubuntu`, `centos`, `custom`…
    pub osystem: String,
    /// The series, e.g. `noble`.
    pub distro_series: String,
    /// The kernel asked for, e.g. `hwe-24.04`; empty for the image's own.
    pub hwe_kernel: String,
    /// Whether the system runs from memory and nothing is installed.
    pub ephemeral: bool,
    /// SHA-256 of the plan, lower-case hex.
    pub plan_digest: String,
    /// How the installed system is known to be up.
    #[serde(default)]
    pub arrival: Arrival,
}

/// How an installed system is known to be up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// It asks the metadata service for its user data.
    #[default]
    UserData,
    /// It takes configuration that is packed in its image and asks for nothing: its cloud-init's
    /// report of `modules-final` tells. Nothing was heard of it yet.
    Report,
    /// The same, and its cloud-init was heard to begin: the next `modules-final` is its own, not
    /// the ephemeral OS's.
    ReportBegun,
}

/// Whether disks are wiped at release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Erase {
    /// Leave the disks as they are.
    Keep,
    /// Run `wipe-disks`, by the disks' own secure erase where they have one.
    Secure,
    /// Overwrite beginning and end only.
    Quick,
    /// Overwrite everything.
    Full,
}

/// The words of the runner's signal (`boot-and-metadata.md` §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SignalStatus {
    /// Everything ran.
    Ok,
    /// Something failed.
    Failed,
    /// Still alive.
    Working,
    /// Commissioning scripts run.
    Commissioning,
    /// Testing scripts run.
    Testing,
    /// A script ran out of time.
    Timedout,
    /// Packages are being installed.
    Installing,
    /// Network configuration is being applied.
    #[serde(rename = "APPLYING_NETCONF")]
    ApplyingNetconf,
    /// Release scripts run.
    Releasing,
    /// Deployment scripts run.
    Deploying,
}

/// An event of the reporting webhook (`boot-and-metadata.md` §2.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `cloudinit` or `curtin`.
    pub origin: String,
    /// The activity; `/` separates levels: `cmd-install/stage-extract`.
    pub name: String,
    /// The sentence.
    pub description: String,
    /// Whether it begins or ends.
    pub phase: ReportPhase,
}

/// Whether an activity begins or ends, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportPhase {
    /// It begins.
    Start,
    /// It ended well (`SUCCESS`), or nothing was said.
    Success,
    /// It ended with a warning, which is not a failure.
    Warn,
    /// It failed (`FAIL` or `FAILURE`).
    Fail,
}
