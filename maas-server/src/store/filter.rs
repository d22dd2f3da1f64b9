//! Which machines and which records are asked for.

use maas_core::id::SystemId;
use maas_core::machine::{Level, Machine, Record, Status};

use super::error::StoreError;

/// The largest number of values that one filter may list.
pub const MAX_FILTER_VALUES: usize = 16_000;

/// Which machines are asked for: a machine must match every list that is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineFilter {
    /// It is one of these.
    pub ids: Vec<SystemId>,
    /// Its status is one of these.
    pub statuses: Vec<Status>,
    /// Its owner is one of these users.
    pub owners: Vec<String>,
    /// Its host name is one of these, in any case.
    pub hostnames: Vec<String>,
    /// It has one of these MAC addresses, in any case, with colons.
    pub macs: Vec<String>,
    /// Its pool is one of these.
    pub pools: Vec<String>,
    /// Its zone is one of these.
    pub zones: Vec<String>,
    /// Its architecture is one of these: `amd64/generic`, or `amd64` for every sub-architecture.
    pub architectures: Vec<String>,
    /// Its agent name is one of these.
    pub agent_names: Vec<String>,
    /// It has all of these tags.
    pub tags: Vec<String>,
}

impl MachineFilter {
    /// Every machine.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Refuses more values than a query can carry.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        limit(
            self.ids.len()
                + self.statuses.len()
                + self.owners.len()
                + self.hostnames.len()
                + self.macs.len()
                + self.pools.len()
                + self.zones.len()
                + self.architectures.len() * 2
                + self.agent_names.len()
                + self.tags.len(),
        )
    }

    /// Whether a machine is asked for.
    #[must_use]
    pub fn matches(&self, machine: &Machine) -> bool {
        fn among(list: &[String], value: &str) -> bool {
            list.is_empty() || list.iter().any(|one| one == value)
        }
        let same = |left: &String, right: &str| left.eq_ignore_ascii_case(right);
        (self.ids.is_empty() || self.ids.contains(&machine.system_id))
            && (self.statuses.is_empty() || self.statuses.contains(&machine.status))
            && (self.owners.is_empty()
                || machine.owner.as_ref().is_some_and(|owner| self.owners.contains(owner)))
            && (self.hostnames.is_empty()
                || self.hostnames.iter().any(|name| same(name, &machine.hostname)))
            && (self.macs.is_empty()
                || self
                    .macs
                    .iter()
                    .any(|mac| machine.mac_addresses.contains(&mac.to_ascii_lowercase())))
            && among(&self.pools, &machine.pool)
            && among(&self.zones, &machine.zone)
            && (self.architectures.is_empty()
                || self.architectures.iter().any(|wanted| {
                    *wanted == machine.architecture.arch || *wanted == architecture(machine)
                }))
            && among(&self.agent_names, &machine.agent_name)
            && self.tags.iter().all(|tag| machine.tags.contains(tag))
    }
}

/// What a list asks first of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineHead {
    /// The identifier.
    pub system_id: SystemId,
    /// Counts committed changes.
    pub version: u64,
    /// The one user who may command it.
    pub owner: Option<String>,
}

/// The kinds of documents that no machine's view is made from; they change often.
pub(crate) const UNSEEN: [&str; 12] = [
    "session",
    "nonce",
    "file",
    "file-content",
    "script",
    "setting",
    "boot-source",
    "boot-source-selection",
    "boot-source-trust",
    "boot-resource",
    "bootloader",
    "controller",
];

/// `amd64/generic`.
pub(crate) fn architecture(machine: &Machine) -> String {
    format!("{}/{}", machine.architecture.arch, machine.architecture.subarch)
}

/// Which records are asked for, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFilter {
    /// Of one of these machines; empty for all.
    pub machines: Vec<SystemId>,
    /// At one of these levels; empty for all.
    pub levels: Vec<Level>,
    /// Caused by one of these users; empty for all.
    pub usernames: Vec<String>,
    /// Older than this record.
    pub before: Option<u64>,
    /// Newer than this record. Without `before`, the oldest of those are given (the page that
    /// follows in time), still newest first.
    pub after: Option<u64>,
    /// The largest number of records.
    pub limit: u32,
}

impl Default for RecordFilter {
    fn default() -> Self {
        Self {
            machines: Vec::new(),
            levels: Vec::new(),
            usernames: Vec::new(),
            before: None,
            after: None,
            limit: 100,
        }
    }
}

impl RecordFilter {
    /// Refuses more values than a query can carry.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        limit(self.machines.len() + self.levels.len() + self.usernames.len())
    }

    /// Whether a record is asked for, apart from the limit.
    #[must_use]
    pub fn matches(&self, stored: &StoredRecord) -> bool {
        (self.machines.is_empty() || self.machines.contains(&stored.system_id))
            && (self.levels.is_empty() || self.levels.contains(&stored.record.level))
            && (self.usernames.is_empty()
                || stored
                    .record
                    .username
                    .as_ref()
                    .is_some_and(|username| self.usernames.contains(username)))
            && self.before.is_none_or(|before| stored.id < before)
            && self.after.is_none_or(|after| stored.id > after)
    }

    /// Whether the page is taken from the old end.
    pub(crate) const fn takes_oldest(&self) -> bool {
        self.after.is_some() && self.before.is_none()
    }
}

fn limit(found: usize) -> Result<(), StoreError> {
    if found > MAX_FILTER_VALUES {
        return Err(StoreError::FilterTooLarge { found, limit: MAX_FILTER_VALUES });
    }
    Ok(())
}

/// A record of a machine's history with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Counts up with time.
    pub id: u64,
    /// The machine.
    pub system_id: SystemId,
    /// What happened.
    pub record: Record,
}
