//! A machine: its model, its statuses and the one function that changes them.

pub mod effect;
pub mod event;
pub mod hardware;
pub mod interface;
pub mod lifecycle;
pub mod new;
pub mod permission;
pub mod possible;
pub mod power;
pub mod purpose;
pub mod record;
pub mod refusal;
pub mod status;
pub mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use effect::Effect;
pub use event::{
    Actor, Arrival, DeploymentSummary, Erase, Event, Report, ReportPhase, Role, SignalStatus,
};
pub use lifecycle::{Context, Outcome};
pub use new::{Enlistment, InvalidNewMachine, NewMachine, normal_mac};
pub use permission::Permission;
pub use possible::{PossibleCommand, possible_commands};
pub use power::{Power, PowerState};
pub use purpose::Purpose;
pub use record::{Level, Record};
pub use refusal::{Precondition, Refusal, RefusalKind};
pub use status::Status;
pub use storage::NumberedStorage;

use hardware::Hardware;
use interface::build::Known;
use interface::{Interfaces, NetworkFacts};

use crate::commission::result::ScriptRun;
use crate::id::SystemId;
use crate::secret::Secret;
use crate::shared::Shared;
use crate::time::Timestamp;

/// Everything that is known of one machine: one row, one writer, one version.
///
/// [`lifecycle::apply`] is the only code that changes `status`, `owner`, `deadline`, `netboot`
/// and `locked`; descriptive fields (hostname, tags, power parameters…) may be edited directly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The identifier.
    pub system_id: SystemId,
    /// Counts committed changes; a store compares it before it writes.
    pub version: u64,
    /// When the machine was added.
    pub created: Timestamp,
    /// When the newest change was committed.
    pub updated: Timestamp,

    /// The host name without the domain.
    pub hostname: String,
    /// The DNS domain.
    pub domain: String,
    /// The operator's own words.
    pub description: String,
    /// Debian architecture and sub-architecture.
    pub architecture: Architecture,
    /// The lowest kernel that may boot the machine, e.g. `ga-24.04`; empty for none.
    pub min_hwe_kernel: String,
    /// The resource pool's name.
    pub pool: String,
    /// The zone's name.
    pub zone: String,
    /// The names of its tags.
    pub tags: BTreeSet<String>,
    /// The owner's free key-value data; emptied at release.
    pub owner_data: BTreeMap<String, String>,
    /// The allocating program's own name (Juju: model UUID); emptied at release.
    pub agent_name: String,
    /// MAC addresses given when the machine was added, lower case with colons; joined by those
    /// that commissioning finds.
    pub mac_addresses: BTreeSet<String>,
    /// The DMI system UUID, lower case, once known.
    pub hardware_uuid: Option<String>,

    /// Where the machine stands.
    pub status: Status,
    /// The status it came from, as MAAS keeps it (`api.md` §1.2).
    pub previous_status: Status,
    /// The one user who may command it.
    pub owner: Option<String>,
    /// A locked machine refuses every change but unlocking.
    pub locked: bool,
    /// Why it is broken or failed; empty otherwise.
    pub error_description: String,
    /// What a transient status waits for and until when.
    pub deadline: Option<Deadline>,
    /// The last thing the machine was seen doing in the current status.
    pub last_step: Option<Step>,
    /// Whether firmware is sent to the network (`true`) or to the local disk.
    pub netboot: bool,
    /// Whether this commissioning run belongs to an enlistment (ends in New, not Ready).
    pub enlisting: bool,
    /// Whether the ephemeral OS stays up with SSH after commissioning or testing.
    pub enable_ssh: bool,
    /// When a machine in a transient status was last heard from.
    pub last_ping: Option<Timestamp>,
    /// The scripts of its newest runs, one set per type; outputs are stored apart by run id.
    pub scripts: Shared<Vec<ScriptRun>>,
    /// The newest line of its history that is not detail (`status_message`).
    #[serde(default)]
    pub status_message: String,
    /// What commissioning found; empty before.
    #[serde(default)]
    pub hardware: Shared<Hardware>,
    /// Its network interfaces and how each is configured.
    #[serde(default)]
    pub interfaces: Shared<Interfaces>,
    /// Whether the commissioning that runs keeps their configuration (`skip_networking`).
    #[serde(default)]
    pub skip_networking: bool,
    /// What the user decides about it before it is deployed.
    #[serde(default)]
    pub configuration: Shared<crate::deploy::Configuration>,
    /// What is deployed or being deployed; `None` again after release.
    pub deployment: Option<DeploymentSummary>,

    /// How it is switched on and off, and whether it is on.
    pub power: Power,
    /// What its last netboot told.
    pub boot: BootFacts,
    /// Its own OAuth credentials for the metadata service; replaced when the owner changes and when
    /// an administrator starts commissioning.
    pub credentials: NodeCredentials,
}

/// A Debian architecture with MAAS's sub-architecture, e.g. `amd64/generic`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Architecture {
    /// The Debian name: `amd64`, `arm64`, `ppc64el`…
    pub arch: String,
    /// The sub-architecture, `generic` unless the hardware needs its own kernel.
    pub subarch: String,
}

/// The end of a wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// When the wait ends in failure.
    pub at: Timestamp,
    /// What is waited for.
    pub waiting_for: Waiting,
    /// When the transient status began.
    pub since: Timestamp,
}

/// What a transient status waits for; its owner is the party that must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Waiting {
    /// The firmware must ask for a boot file.
    NetworkBoot,
    /// The ephemeral OS must ask the metadata service.
    EphemeralOs,
    /// The runner must report.
    Scripts,
    /// curtin must report its next stage.
    Installer,
    /// The installed system must ask for its user data.
    InstalledSystem,
    /// The machine must be off.
    PowerOff,
    /// The machine must be on.
    PowerOn,
}

/// The last thing a machine was seen doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// In words, e.g. `curtin: cmd-install/stage-extract`.
    pub what: String,
}

/// What the last netboot told (MAAS GetBootConfig's side effects).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BootFacts {
    /// The address of the rack that answered; URLs in documents are built from it.
    pub rack: Option<String>,
    /// `pxe`, `uefi` or `ipxe`; empty before the first netboot.
    pub bios_boot_method: String,
    /// The MAC address it booted from, lower case with colons.
    pub boot_mac: Option<String>,
    /// The addresses that a DHCP server gave its cards, by their MAC addresses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leases: BTreeMap<String, IpAddr>,
}

/// OAuth 1.0 PLAINTEXT credentials of a machine; the consumer secret is always empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCredentials {
    /// 18 letters and digits.
    pub consumer_key: String,
    /// 18 letters and digits; the store finds the machine by it.
    pub token_key: String,
    /// 32 letters and digits.
    pub token_secret: Secret<String>,
}

impl Machine {
    /// What an allocation compares, so that the smallest machine that fits is given away: processors
    /// plus GiB of memory, in thousandths (`api.md` §1.4).
    #[must_use]
    pub fn cost(&self) -> u64 {
        let memory = self.hardware.memory.saturating_mul(1000) / 1024;
        u64::from(self.hardware.cpu_count).saturating_mul(1000).saturating_add(memory)
    }

    /// Takes over what commissioning found. MAC addresses are only added: an interface that is
    /// unplugged today still belongs to the machine. The interfaces are built anew, unless the
    /// commissioning keeps their configuration.
    pub fn learn(&mut self, hardware: &Hardware, places: &NetworkFacts) {
        self.mac_addresses.extend(hardware.mac_addresses().filter_map(new::normal_mac));
        if let Some(uuid) = &hardware.hardware_uuid {
            self.hardware_uuid = Some(uuid.to_lowercase());
        }
        if hardware.is_virtual {
            self.tags.insert("virtual".to_owned());
        }
        self.hardware = hardware.clone().into();
        self.interfaces = if self.skip_networking {
            self.interfaces.refreshed(self.known_cards(), places)
        } else {
            self.interfaces.rebuilt(self.known_cards(), places)
        }
        .into();
    }

    fn known_cards(&self) -> Known<'_> {
        Known {
            hardware: &self.hardware,
            macs: &self.mac_addresses,
            boot_mac: self.boot.boot_mac.as_deref(),
        }
    }

    /// Builds the interfaces from what is known of the cards, when nobody has yet: after the
    /// machine was added, or stored by a version that did not keep them.
    pub fn ensure_interfaces(&mut self, places: &NetworkFacts) {
        if self.interfaces.is_unborn() {
            self.interfaces = self.interfaces.rebuilt(self.known_cards(), places).into();
        }
    }

    /// Adds cards that it told of itself when it was seen again.
    pub fn add_macs(&mut self, macs: impl IntoIterator<Item = String>, networks: &NetworkFacts) {
        self.mac_addresses.extend(macs);
        self.interfaces = self.interfaces.refreshed(self.known_cards(), networks).into();
    }

    /// Changes one interface; returns the number of the one that the change is about.
    ///
    /// # Errors
    ///
    /// [`interface::Refusal`]; nothing has changed then.
    pub fn edit_interfaces(
        &mut self,
        edit: &interface::Edit,
        places: &NetworkFacts,
    ) -> Result<Option<u64>, interface::Refusal> {
        if self.configuration.network.is_some() {
            return Err(interface::Refusal::NetworkGiven);
        }
        let node = interface::Node::Machine(self.status);
        let (after, id) = self.interfaces.edit(edit, node, places)?;
        let had: BTreeSet<String> = self.interfaces.macs().map(|mac| mac.to_string()).collect();
        let has: BTreeSet<String> = after.macs().map(|mac| mac.to_string()).collect();
        self.mac_addresses.retain(|mac| has.contains(mac) || !had.contains(mac));
        self.mac_addresses.extend(has);
        self.interfaces = after.into();
        Ok(id)
    }

    /// Takes the network back to what commissioning would make of it.
    ///
    /// # Errors
    ///
    /// [`interface::Refusal::CannotRestore`] unless the machine is Ready or failed its tests.
    pub fn restore_network(&mut self, places: &NetworkFacts) -> Result<(), interface::Refusal> {
        if !matches!(self.status, Status::Ready | Status::FailedTesting) {
            return Err(interface::Refusal::CannotRestore);
        }
        self.configuration.network = None;
        self.interfaces = self.interfaces.rebuilt(self.known_cards(), places).into();
        Ok(())
    }
}
