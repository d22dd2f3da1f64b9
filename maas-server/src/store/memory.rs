//! The store in memory: for embedders and tests; everything is lost with the process.

mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use maas_core::id::SystemId;
use maas_core::machine::Machine;
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

use super::account::{ApiKey, SshKey, User};
use super::change::{
    Attachment, Change, NewMachine, RunReport, ScriptOutput, Settled, StoredEffect, Stream,
    WaitingEffects,
};
use super::document::RawDocument;
use super::error::{AccountError, AddError, CommitError, DocumentError, Duplicate, StoreError};
use super::filter::{MachineFilter, MachineHead, RecordFilter, StoredRecord, UNSEEN};
use super::{Pending, Store};
use state::{State, within};

/// The store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        // A panic elsewhere leaves no change half made: each is checked before it is begun.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(StoreError::Closed { database: "in memory".to_owned() });
        }
        Ok(state)
    }

    /// Does work on the state when the call is awaited.
    fn on<'a, T, E, F>(&'a self, work: F) -> Pending<'a, T, E>
    where
        E: From<StoreError>,
        F: FnOnce(&mut State) -> Result<T, E> + Send + 'a,
    {
        Box::pin(async move { work(&mut *self.state()?) })
    }
}

impl Store for MemoryStore {
    fn machine<'a>(&'a self, id: &'a SystemId) -> Pending<'a, Option<Arc<Machine>>> {
        self.on(|state| Ok(state.find(|machine| machine.system_id == *id)))
    }

    fn machine_by_token<'a>(&'a self, token_key: &'a str) -> Pending<'a, Option<Arc<Machine>>> {
        self.on(move |state| Ok(state.find(|machine| machine.credentials.token_key == token_key)))
    }

    fn machine_by_mac<'a>(&'a self, mac: &'a str) -> Pending<'a, Option<Arc<Machine>>> {
        self.on(|state| {
            Ok(state.find(|machine| {
                machine.mac_addresses.iter().any(|one| one.eq_ignore_ascii_case(mac))
            }))
        })
    }

    fn machine_by_uuid<'a>(&'a self, uuid: &'a str) -> Pending<'a, Option<Arc<Machine>>> {
        self.on(|state| {
            Ok(state.find(|machine| {
                machine.hardware_uuid.as_ref().is_some_and(|one| one.eq_ignore_ascii_case(uuid))
            }))
        })
    }

    fn machines<'a>(&'a self, filter: &'a MachineFilter) -> Pending<'a, Vec<Machine>> {
        self.on(|state| {
            filter.check()?;
            Ok(state.machines.iter().filter(|machine| filter.matches(machine)).cloned().collect())
        })
    }

    fn machine_heads<'a>(&'a self, filter: &'a MachineFilter) -> Pending<'a, Vec<MachineHead>> {
        self.on(|state| {
            filter.check()?;
            let matching = state.machines.iter().filter(|machine| filter.matches(machine));
            let heads = matching.map(|machine| MachineHead {
                system_id: machine.system_id.clone(),
                version: machine.version,
                owner: machine.owner.clone(),
            });
            Ok(heads.collect())
        })
    }

    fn documents_stamp(&self) -> Pending<'_, String> {
        self.on(|state| {
            let mut stamps: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
            for ((kind, id), document) in &state.documents {
                if !UNSEEN.contains(kind) {
                    let (count, versions, highest) = stamps.entry(kind).or_default();
                    *count += 1;
                    *versions += document.version;
                    *highest = (*highest).max(*id);
                }
            }
            let stamps = stamps.into_iter();
            Ok(stamps
                .map(|(kind, (count, versions, highest))| {
                    format!("{kind} {count} {versions} {highest};")
                })
                .collect())
        })
    }

    fn add(&self, new: NewMachine) -> Pending<'_, Machine, AddError> {
        self.on(move |state| {
            let NewMachine { mut machine, effects, records, outputs } = new;
            let system_id = machine.system_id.clone();
            if state.machines.iter().any(|other| other.system_id == system_id) {
                return Err(Duplicate::SystemId { system_id }.into());
            }
            state.check(&machine)?;
            machine.version = 1;
            state.append(&system_id, machine.created, effects, records, outputs);
            state.machines.push(machine.clone());
            Ok(machine)
        })
    }

    fn commit(&self, change: Change) -> Pending<'_, Arc<Machine>, CommitError> {
        self.on(move |state| {
            let mut machine = change.machine;
            let index = state.index(&machine.system_id, machine.version)?;
            state.check(&machine)?;
            machine.version += 1;
            machine.updated = change.now;
            let id = machine.system_id.clone();
            if change.waiting_effects == WaitingEffects::Supersede {
                state.effects.retain(|_, effect| effect.system_id != id);
            }
            state.append(&id, change.now, change.effects, change.records, change.outputs);
            change.reports.into_iter().for_each(|report| state.report(&id, report));
            state.attach(&id, Attachment::Plan, change.plan);
            state.attach(&id, Attachment::UserData, change.user_data);
            state.machines[index] = machine.clone();
            Ok(Arc::new(machine))
        })
    }

    fn delete<'a>(&'a self, id: &'a SystemId, version: u64) -> Pending<'a, (), CommitError> {
        self.on(move |state| {
            let index = state.index(id, version)?;
            state.machines.remove(index);
            state.attachments.retain(|key, _| key.0 != *id);
            state.effects.retain(|_, effect| effect.system_id != *id);
            state.records.retain(|_, record| record.system_id != *id);
            state.outputs.retain(|_, (owner, _)| owner != id);
            state.reports.remove(id);
            Ok(())
        })
    }

    fn attachment<'a>(
        &'a self,
        id: &'a SystemId,
        attachment: Attachment,
    ) -> Pending<'a, Option<Secret<Vec<u8>>>> {
        self.on(move |state| Ok(state.attachments.get(&(id.clone(), attachment.name())).cloned()))
    }

    fn due_effects(&self, now: Timestamp, limit: u32) -> Pending<'_, Vec<StoredEffect>> {
        self.on(move |state| Ok(state.due(now, limit)))
    }

    fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Pending<'_, Vec<StoredEffect>> {
        self.on(move |state| {
            let mut effects = state.due(now, limit);
            effects.sort_unstable_by_key(|effect| effect.id);
            for effect in &mut effects {
                effect.due = until;
                state.effects.insert(effect.id, effect.clone());
            }
            Ok(effects)
        })
    }

    fn effect_done(&self, id: u64) -> Pending<'_, Settled> {
        self.on(move |state| {
            Ok(state.effects.remove(&id).map_or(Settled::Gone, |_| Settled::Stored))
        })
    }

    fn effect_failed<'a>(
        &'a self,
        id: u64,
        next_due: Timestamp,
        error: &'a str,
    ) -> Pending<'a, Settled> {
        self.on(move |state| {
            let Some(effect) = state.effects.get_mut(&id) else { return Ok(Settled::Gone) };
            effect.due = next_due;
            effect.attempts += 1;
            error.clone_into(&mut effect.error);
            Ok(Settled::Stored)
        })
    }

    fn machines_past_deadline(&self, now: Timestamp, limit: u32) -> Pending<'_, Vec<Machine>> {
        self.on(move |state| {
            let mut overdue: Vec<_> = state
                .machines
                .iter()
                .filter_map(|machine| Some((machine.deadline.as_ref()?.at, machine)))
                .filter(|&(at, _)| at <= now)
                .collect();
            overdue.sort_by_key(|&(at, _)| at);
            Ok(overdue
                .into_iter()
                .take(within(limit))
                .map(|(_, machine)| machine.clone())
                .collect())
        })
    }

    fn next_wakeup(&self) -> Pending<'_, Option<Timestamp>> {
        self.on(|state| {
            let deadlines =
                state.machines.iter().filter_map(|machine| Some(machine.deadline.as_ref()?.at));
            Ok(deadlines.chain(state.heads().map(|effect| effect.due)).min())
        })
    }

    fn records<'a>(&'a self, filter: &'a RecordFilter) -> Pending<'a, Vec<StoredRecord>> {
        self.on(move |state| {
            filter.check()?;
            let matching = state.records.values().filter(|record| filter.matches(record)).cloned();
            let limit = within(filter.limit);
            if filter.takes_oldest() {
                let mut page: Vec<_> = matching.take(limit).collect();
                page.reverse();
                return Ok(page);
            }
            Ok(matching.rev().take(limit).collect())
        })
    }

    fn reports<'a>(&'a self, id: &'a SystemId) -> Pending<'a, Vec<RunReport>> {
        self.on(|state| Ok(state.reports.get(id).cloned().unwrap_or_default()))
    }

    fn outputs(&self, run_id: u64) -> Pending<'_, Vec<ScriptOutput>> {
        self.on(move |state| {
            let outputs = Stream::ALL.into_iter().filter_map(|stream| {
                let (_, bytes) = state.outputs.get(&(run_id, stream))?;
                Some(ScriptOutput { run_id, stream, bytes: bytes.clone() })
            });
            Ok(outputs.collect())
        })
    }

    fn prune_records(&self, before: Timestamp, limit: u32) -> Pending<'_, u64> {
        self.on(move |state| {
            let mut old: Vec<_> = state
                .records
                .values()
                .filter(|stored| stored.record.at < before)
                .map(|stored| (stored.record.at, stored.id))
                .collect();
            old.sort_unstable();
            old.truncate(within(limit));
            for (_, id) in &old {
                state.records.remove(id);
            }
            Ok(old.len() as u64)
        })
    }

    fn next_ids<'a>(&'a self, kind: &'a str, count: u32) -> Pending<'a, u64> {
        self.on(move |state| Ok(state.next(&format!("ids {kind}"), count)))
    }

    fn create_user(&self, user: User) -> Pending<'_, (), AccountError> {
        self.on(move |state| {
            if state.users.contains_key(&user.username) {
                return Err(AccountError::Exists { what: format!("user {:?}", user.username) });
            }
            state.users.insert(user.username.clone(), user);
            Ok(())
        })
    }

    fn update_user(&self, user: User) -> Pending<'_, (), AccountError> {
        self.on(move |state| {
            let Some(old) = state.users.get_mut(&user.username) else {
                return Err(AccountError::NoUser { username: user.username });
            };
            *old = User { created: old.created, ..user };
            Ok(())
        })
    }

    fn user<'a>(&'a self, username: &'a str) -> Pending<'a, Option<User>> {
        self.on(move |state| Ok(state.users.get(username).cloned()))
    }

    fn users(&self) -> Pending<'_, Vec<User>> {
        self.on(|state| Ok(state.users.values().cloned().collect()))
    }

    fn delete_user<'a>(&'a self, username: &'a str) -> Pending<'a, bool> {
        self.on(move |state| {
            state.api_keys.retain(|key| key.username != username);
            state.ssh_keys.retain(|_, key| key.username != username);
            Ok(state.users.remove(username).is_some())
        })
    }

    fn create_api_key(&self, key: ApiKey) -> Pending<'_, (), AccountError> {
        self.on(move |state| {
            state.user(&key.username)?;
            if state.api_keys.iter().any(|one| one.token_key == key.token_key) {
                return Err(AccountError::Exists { what: "the API key".to_owned() });
            }
            state.api_keys.push(key);
            Ok(())
        })
    }

    fn api_key<'a>(&'a self, token_key: &'a str) -> Pending<'a, Option<ApiKey>> {
        self.on(move |state| {
            Ok(state.api_keys.iter().find(|key| key.token_key == token_key).cloned())
        })
    }

    fn api_keys<'a>(&'a self, username: &'a str) -> Pending<'a, Vec<ApiKey>> {
        self.on(move |state| {
            Ok(state.api_keys.iter().filter(|key| key.username == username).cloned().collect())
        })
    }

    fn rename_api_key<'a>(&'a self, token_key: &'a str, name: &'a str) -> Pending<'a, bool> {
        self.on(move |state| {
            let key = state.api_keys.iter_mut().find(|key| key.token_key == token_key);
            Ok(key.map(|key| name.clone_into(&mut key.name)).is_some())
        })
    }

    fn delete_api_key<'a>(&'a self, token_key: &'a str) -> Pending<'a, bool> {
        self.on(move |state| {
            let before = state.api_keys.len();
            state.api_keys.retain(|key| key.token_key != token_key);
            Ok(state.api_keys.len() < before)
        })
    }

    fn create_ssh_key(&self, key: SshKey) -> Pending<'_, u64, AccountError> {
        self.on(move |state| {
            state.user(&key.username)?;
            let same = |one: &SshKey| one.username == key.username && one.key == key.key;
            if state.ssh_keys.values().any(same) {
                return Err(AccountError::Exists { what: "the SSH key".to_owned() });
            }
            let id = state.next("ssh key", 1);
            state.ssh_keys.insert(id, SshKey { id, ..key });
            Ok(id)
        })
    }

    fn ssh_key(&self, id: u64) -> Pending<'_, Option<SshKey>> {
        self.on(move |state| Ok(state.ssh_keys.get(&id).cloned()))
    }

    fn ssh_keys<'a>(&'a self, username: &'a str) -> Pending<'a, Vec<SshKey>> {
        self.on(move |state| {
            Ok(state.ssh_keys.values().filter(|key| key.username == username).cloned().collect())
        })
    }

    fn delete_ssh_key(&self, id: u64) -> Pending<'_, bool> {
        self.on(move |state| Ok(state.ssh_keys.remove(&id).is_some()))
    }

    fn document(&self, kind: &'static str, id: u64) -> Pending<'_, Option<RawDocument>> {
        self.on(move |state| Ok(state.documents.get(&(kind, id)).cloned()))
    }

    fn document_by_key<'a>(
        &'a self,
        kind: &'static str,
        key: &'a str,
    ) -> Pending<'a, Option<RawDocument>> {
        self.on(move |state| {
            let mut documents = state.documents.range((kind, 0)..=(kind, u64::MAX));
            let found = documents.find(|(_, document)| document.key.as_deref() == Some(key));
            Ok(found.map(|(_, document)| document.clone()))
        })
    }

    fn documents(&self, kind: &'static str) -> Pending<'_, Vec<RawDocument>> {
        self.on(move |state| {
            let documents = state.documents.range((kind, 0)..=(kind, u64::MAX));
            Ok(documents.map(|(_, document)| document.clone()).collect())
        })
    }

    fn insert_document(
        &self,
        kind: &'static str,
        key: Option<String>,
        body: String,
    ) -> Pending<'_, u64, DocumentError> {
        self.on(move |state| {
            state.check_key(kind, None, key.as_ref())?;
            let id = state.next(&format!("document {kind}"), 1);
            state.documents.insert((kind, id), RawDocument { id, version: 1, key, body });
            Ok(id)
        })
    }

    fn update_document(
        &self,
        kind: &'static str,
        id: u64,
        version: u64,
        key: Option<String>,
        body: String,
    ) -> Pending<'_, (), DocumentError> {
        self.on(move |state| {
            state.document(kind, id, version)?;
            state.check_key(kind, Some(id), key.as_ref())?;
            *state.document(kind, id, version)? =
                RawDocument { id, version: version + 1, key, body };
            Ok(())
        })
    }

    fn delete_document(
        &self,
        kind: &'static str,
        id: u64,
        version: u64,
    ) -> Pending<'_, (), DocumentError> {
        self.on(move |state| {
            state.document(kind, id, version)?;
            state.documents.remove(&(kind, id));
            Ok(())
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
            Ok(())
        })
    }
}
