//! What the store in memory holds, and the rules that its contents obey.

use std::collections::BTreeMap;
use std::sync::Arc;

use maas_core::id::SystemId;
use maas_core::machine::{Effect, Machine, Record};
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

use crate::store::account::{ApiKey, SshKey, User};
use crate::store::change::{
    Attachment, AttachmentChange, RunReport, ScriptOutput, StoredEffect, Stream, due,
};
use crate::store::document::RawDocument;
use crate::store::error::{AccountError, CommitError, DocumentError, Duplicate};
use crate::store::filter::StoredRecord;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) closed: bool,
    /// In the order of creation.
    pub(super) machines: Vec<Machine>,
    pub(super) attachments: BTreeMap<(SystemId, &'static str), Secret<Vec<u8>>>,
    pub(super) effects: BTreeMap<u64, StoredEffect>,
    pub(super) records: BTreeMap<u64, StoredRecord>,
    pub(super) outputs: BTreeMap<(u64, Stream), (SystemId, Vec<u8>)>,
    pub(super) reports: BTreeMap<SystemId, Vec<RunReport>>,
    /// The last number given, by kind.
    pub(super) numbers: BTreeMap<String, u64>,
    pub(super) users: BTreeMap<String, User>,
    pub(super) api_keys: Vec<ApiKey>,
    pub(super) ssh_keys: BTreeMap<u64, SshKey>,
    pub(super) documents: BTreeMap<(&'static str, u64), RawDocument>,
}

impl State {
    /// Stores a report.
    pub(super) fn report(&mut self, id: &SystemId, report: RunReport) {
        let kept = self.reports.entry(id.clone()).or_default();
        if report.number == 0 {
            kept.retain(|one| one.run == report.run);
        }
        if let Some(old) = report.forgets() {
            kept.retain(|one| !old.contains(&one.number));
        }
        if let Err(place) = kept.binary_search_by_key(&report.number, |one| one.number) {
            kept.insert(place, report);
        }
    }

    /// The first of so many fresh numbers.
    pub(super) fn next(&mut self, kind: &str, count: u32) -> u64 {
        let last = self.numbers.entry(kind.to_owned()).or_default();
        let first = *last + 1;
        *last += u64::from(count);
        first
    }

    /// The first machine that matches.
    pub(super) fn find(&self, matches: impl Fn(&Machine) -> bool) -> Option<Arc<Machine>> {
        self.machines.iter().find(|machine| matches(machine)).cloned().map(Arc::new)
    }

    /// Where a machine in this version is.
    pub(super) fn index(&self, id: &SystemId, version: u64) -> Result<usize, CommitError> {
        let index = self
            .machines
            .iter()
            .position(|machine| machine.system_id == *id)
            .ok_or_else(|| CommitError::Gone { system_id: id.clone() })?;
        if self.machines[index].version != version {
            return Err(CommitError::Conflict { system_id: id.clone(), expected: version });
        }
        Ok(index)
    }

    /// Refuses what another machine has.
    pub(super) fn check(&self, machine: &Machine) -> Result<(), Duplicate> {
        for other in self.machines.iter().filter(|other| other.system_id != machine.system_id) {
            if !machine.hostname.is_empty()
                && machine.hostname.eq_ignore_ascii_case(&other.hostname)
            {
                return Err(Duplicate::Hostname { hostname: machine.hostname.clone() });
            }
        }
        for mac in &machine.mac_addresses {
            let mac = mac.to_ascii_lowercase();
            let owner = self.machines.iter().find(|other| {
                other.system_id != machine.system_id
                    && other.mac_addresses.iter().any(|one| one.eq_ignore_ascii_case(&mac))
            });
            if let Some(owner) = owner {
                return Err(Duplicate::Mac { mac, machine: owner.system_id.clone() });
            }
        }
        Ok(())
    }

    /// Adds effects, history and outputs.
    pub(super) fn append(
        &mut self,
        id: &SystemId,
        now: Timestamp,
        effects: Vec<Effect>,
        records: Vec<Record>,
        outputs: Vec<ScriptOutput>,
    ) {
        for effect in effects {
            let number = self.next("effect", 1);
            let due = due(&effect, now);
            let stored = StoredEffect {
                id: number,
                system_id: id.clone(),
                effect,
                due,
                attempts: 0,
                error: String::new(),
            };
            self.effects.insert(number, stored);
        }
        for record in records {
            let number = self.next("record", 1);
            let stored = StoredRecord { id: number, system_id: id.clone(), record };
            self.records.insert(number, stored);
        }
        for output in outputs {
            self.outputs.insert((output.run_id, output.stream), (id.clone(), output.bytes));
        }
    }

    /// Changes an attachment.
    pub(super) fn attach(
        &mut self,
        id: &SystemId,
        attachment: Attachment,
        change: AttachmentChange,
    ) {
        let key = (id.clone(), attachment.name());
        match change {
            AttachmentChange::Keep => {}
            AttachmentChange::Set(bytes) => {
                self.attachments.insert(key, bytes);
            }
            AttachmentChange::Clear => {
                self.attachments.remove(&key);
            }
        }
    }

    /// The first effect of each machine, as far as it is due.
    pub(super) fn due(&self, now: Timestamp, limit: u32) -> Vec<StoredEffect> {
        let mut effects: Vec<_> =
            self.heads().filter(|effect| effect.due <= now).cloned().collect();
        effects.sort_by_key(|effect| (effect.due, effect.id));
        effects.truncate(within(limit));
        effects
    }

    /// The first effect of each machine.
    pub(super) fn heads(&self) -> impl Iterator<Item = &StoredEffect> {
        let mut heads = BTreeMap::new();
        for effect in self.effects.values() {
            heads.entry(&effect.system_id).or_insert(effect);
        }
        heads.into_values()
    }

    /// Refuses a user who does not exist.
    pub(super) fn user(&self, username: &str) -> Result<(), AccountError> {
        if self.users.contains_key(username) {
            return Ok(());
        }
        Err(AccountError::NoUser { username: username.to_owned() })
    }

    /// The document in this version.
    pub(super) fn document(
        &mut self,
        kind: &'static str,
        id: u64,
        expected: u64,
    ) -> Result<&mut RawDocument, DocumentError> {
        let document =
            self.documents.get_mut(&(kind, id)).ok_or(DocumentError::Gone { kind, id })?;
        if document.version != expected {
            return Err(DocumentError::Conflict { kind, id, expected });
        }
        Ok(document)
    }

    /// Refuses a key that another document of the kind has.
    pub(super) fn check_key(
        &self,
        kind: &'static str,
        id: Option<u64>,
        key: Option<&String>,
    ) -> Result<(), DocumentError> {
        let Some(key) = key else { return Ok(()) };
        let taken = self.documents.iter().any(|(place, one)| {
            place.0 == kind && Some(one.id) != id && one.key.as_ref() == Some(key)
        });
        if taken {
            return Err(DocumentError::DuplicateKey { kind, key: key.clone() });
        }
        Ok(())
    }
}

/// A limit as the length of a list.
pub(super) fn within(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
