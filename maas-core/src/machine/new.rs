//! How a machine comes into being: it enlists itself, or somebody adds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use maas_netconfig::Mac;

use super::interface::NetworkFacts;
use super::{Architecture, BootFacts, Machine, NodeCredentials, Power, PowerState, Status};
use crate::id::SystemId;
use crate::secret::Secret;
use crate::shared::Shared;
use crate::time::Timestamp;

/// The most MAC addresses that one machine may be added with.
const MAX_MACS: usize = 256;

/// What is told of a machine when it is added.
#[derive(Debug, Clone)]
pub struct NewMachine {
    /// The identifier, drawn by the caller.
    pub system_id: SystemId,
    /// The host name without the domain, chosen by the caller when none was given.
    pub hostname: String,
    /// The DNS domain.
    pub domain: String,
    /// The operator's own words.
    pub description: String,
    /// `amd64` or `amd64/generic`.
    pub architecture: String,
    /// The lowest kernel, e.g. `ga-24.04`; empty for none.
    pub min_hwe_kernel: String,
    /// MAC addresses in any usual spelling.
    pub mac_addresses: Vec<String>,
    /// The power driver; empty when none is known yet.
    pub power_driver: String,
    /// The driver's parameters.
    pub power_parameters: Secret<BTreeMap<String, String>>,
    /// The resource pool.
    pub pool: String,
    /// The zone.
    pub zone: String,
    /// Its credentials for the metadata service, drawn by the caller.
    pub credentials: NodeCredentials,
}

impl NewMachine {
    /// The least that must be told; everything else has the reference's defaults.
    #[must_use]
    pub fn new(
        system_id: SystemId,
        hostname: impl Into<String>,
        architecture: impl Into<String>,
        credentials: NodeCredentials,
    ) -> Self {
        Self {
            system_id,
            hostname: hostname.into(),
            domain: "maas".into(),
            description: String::new(),
            architecture: architecture.into(),
            min_hwe_kernel: String::new(),
            mac_addresses: Vec::new(),
            power_driver: String::new(),
            power_parameters: Secret::default(),
            pool: "default".into(),
            zone: "default".into(),
            credentials,
        }
    }
}

/// Whether an enlisting machine is commissioned in the same boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Enlistment {
    /// It runs the commissioning scripts now and ends in New with its hardware known.
    WithCommissioning,
    /// It only makes itself known.
    OnlyRegister,
}

/// Why a machine cannot be added as told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidNewMachine {
    /// The architecture is not one.
    #[error(transparent)]
    Architecture(#[from] InvalidArchitecture),
    /// A MAC address is not one.
    #[error("not a MAC address: found {found:?}, expected six octets such as 52:54:00:12:34:56")]
    Mac {
        /// What was given, cut to 64 characters.
        found: String,
    },
    /// Too many MAC addresses.
    #[error("too many MAC addresses: found {found}, expected at most {MAX_MACS}")]
    TooManyMacs {
        /// How many were given.
        found: usize,
    },
    /// No host name.
    #[error("the host name is empty")]
    NoHostname,
}

impl Machine {
    /// A machine that made itself known (anonymous): New, nobody's.
    ///
    /// # Errors
    ///
    /// [`InvalidNewMachine`] names the field that cannot be used.
    pub fn enlisted(
        new: NewMachine,
        enlistment: Enlistment,
        now: Timestamp,
    ) -> Result<Self, InvalidNewMachine> {
        let mut machine = Self::added(new, now)?;
        machine.enlisting = enlistment == Enlistment::WithCommissioning;
        // It speaks, so it is on.
        machine.power.state = PowerState::On;
        Ok(machine)
    }

    /// A machine that an administrator added: New, nobody's; commissioning is an event of its own.
    ///
    /// # Errors
    ///
    /// [`InvalidNewMachine`] names the field that cannot be used.
    pub fn added(new: NewMachine, now: Timestamp) -> Result<Self, InvalidNewMachine> {
        if new.hostname.is_empty() {
            return Err(InvalidNewMachine::NoHostname);
        }
        if new.mac_addresses.len() > MAX_MACS {
            return Err(InvalidNewMachine::TooManyMacs { found: new.mac_addresses.len() });
        }
        let mac_addresses = new
            .mac_addresses
            .iter()
            .map(|mac| {
                normal_mac(mac)
                    .ok_or_else(|| InvalidNewMachine::Mac { found: mac.chars().take(64).collect() })
            })
            .collect::<Result<BTreeSet<String>, _>>()?;
        let mut machine = Self {
            system_id: new.system_id,
            version: 0,
            created: now,
            updated: now,
            hostname: new.hostname,
            domain: new.domain,
            description: new.description,
            architecture: new.architecture.parse()?,
            min_hwe_kernel: new.min_hwe_kernel,
            pool: new.pool,
            zone: new.zone,
            tags: BTreeSet::new(),
            owner_data: BTreeMap::new(),
            agent_name: String::new(),
            mac_addresses,
            hardware_uuid: None,
            status: Status::New,
            previous_status: Status::New,
            owner: None,
            locked: false,
            error_description: String::new(),
            deadline: None,
            last_step: None,
            netboot: true,
            enlisting: false,
            enable_ssh: false,
            last_ping: None,
            scripts: Shared::default(),
            status_message: String::new(),
            hardware: Shared::default(),
            interfaces: Shared::default(),
            skip_networking: false,
            deployment: None,
            power: Power {
                driver: new.power_driver,
                parameters: new.power_parameters,
                state: PowerState::Unknown,
            },
            boot: BootFacts::default(),
            configuration: Shared::default(),
            credentials: new.credentials,
        };
        machine.ensure_interfaces(&NetworkFacts::default());
        Ok(machine)
    }
}

impl InvalidNewMachine {
    /// The API's name of the field that cannot be used.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Architecture(_) => "architecture",
            Self::Mac { .. } | Self::TooManyMacs { .. } => "mac_addresses",
            Self::NoHostname => "hostname",
        }
    }
}

/// A MAC address as the model keeps it, lower case with colons; `None` when it is not one. Every
/// spelling that [`Mac`] takes is read.
#[must_use]
pub fn normal_mac(text: &str) -> Option<String> {
    text.trim().parse::<Mac>().ok().map(|mac| mac.to_string())
}

/// A text that is not an architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an architecture: found {found:?}, expected a Debian name such as amd64/generic")]
pub struct InvalidArchitecture {
    /// What was given, cut to 64 characters.
    pub found: String,
}

impl FromStr for Architecture {
    type Err = InvalidArchitecture;

    /// Reads `amd64/generic`; without `/`, the sub-architecture is `generic`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (arch, subarch) = text.split_once('/').unwrap_or((text, "generic"));
        let is_name = |name: &str| {
            (1..=32).contains(&name.len())
                && name.bytes().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)
                })
                && !name.starts_with('.')
        };
        if is_name(arch) && is_name(subarch) {
            Ok(Self { arch: arch.to_owned(), subarch: subarch.to_owned() })
        } else {
            Err(InvalidArchitecture { found: text.chars().take(64).collect() })
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.arch, self.subarch)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::lifecycle::tests::{credentials, machine};
    use super::*;

    fn new() -> NewMachine {
        NewMachine::new(SystemId::from_entropy(1), "node-1", "amd64", credentials("k"))
    }

    #[test]
    fn an_architecture_without_subarchitecture_is_generic() {
        let machine = Machine::added(new(), Timestamp(1)).unwrap();
        assert_eq!(machine.architecture.to_string(), "amd64/generic");
        assert_eq!("arm64/xgene".parse::<Architecture>().unwrap().subarch, "xgene");
        for wrong in ["", "/", "amd64/", "a/b/c", "amd64/../../etc", "AMD64", "a b"] {
            assert!(wrong.parse::<Architecture>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn mac_addresses_are_kept_in_one_spelling() {
        let mut new = new();
        new.mac_addresses =
            vec!["52:54:00:AB:cd:01".into(), "52-54-00-AB-CD-01".into(), "525400abcd01".into()];
        let machine = Machine::added(new, Timestamp(1)).unwrap();
        assert_eq!(Vec::from_iter(machine.mac_addresses), ["52:54:00:ab:cd:01"]);
    }

    #[test]
    fn a_wrong_mac_address_is_named() {
        let mut new = new();
        new.mac_addresses = vec!["52:54:00:ab:cd".into()];
        let error = Machine::added(new, Timestamp(1)).unwrap_err();
        assert!(error.to_string().contains("52:54:00:ab:cd"), "{error}");
    }

    #[test]
    fn a_machine_begins_as_new_and_nobodys() {
        let machine = machine();
        assert_eq!((machine.status, machine.owner, machine.deadline), (Status::New, None, None));
    }

    #[test]
    fn only_an_enlistment_with_commissioning_is_marked() {
        let enlist = |enlistment| Machine::enlisted(new(), enlistment, Timestamp(1)).unwrap();
        assert!(enlist(Enlistment::WithCommissioning).enlisting);
        assert!(!enlist(Enlistment::OnlyRegister).enlisting);
    }

    proptest! {
        #[test]
        fn normal_mac_never_panics_and_is_stable(text in "\\PC{0,20}") {
            if let Some(mac) = normal_mac(&text) {
                prop_assert_eq!(normal_mac(&mac), Some(mac.clone()));
            }
        }

        #[test]
        fn every_mac_is_read(octets: [u8; 6]) {
            let text = octets.map(|octet| format!("{octet:02X}")).join("-");
            prop_assert_eq!(normal_mac(&text).unwrap(), text.to_lowercase().replace('-', ":"));
        }
    }
}
