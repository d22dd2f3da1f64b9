//! A store that counts what it is asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use maas_core::id::SystemId;
use maas_core::machine::Machine;
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

use crate::store::{
    AccountError, AddError, ApiKey, Attachment, Change, CommitError, DocumentError, MachineFilter,
    MachineHead, MemoryStore, NewMachine, Pending, RawDocument, RecordFilter, ScriptOutput,
    Settled, SshKey, Store, StoredEffect, StoredRecord, User,
};

/// A store in memory that counts its calls by name.
#[derive(Debug, Default)]
pub(super) struct Counting {
    inner: MemoryStore,
    calls: Mutex<BTreeMap<&'static str, usize>>,
}

impl Counting {
    /// The calls since the last time.
    pub(super) fn take(&self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    fn count(&self, name: &'static str) -> &MemoryStore {
        *self.calls.lock().unwrap().entry(name).or_default() += 1;
        &self.inner
    }
}

impl Store for Counting {
    fn machine<'a>(&'a self, id: &'a SystemId) -> Pending<'a, Option<Arc<Machine>>> {
        self.count("machine").machine(id)
    }

    fn machine_by_token<'a>(&'a self, token_key: &'a str) -> Pending<'a, Option<Arc<Machine>>> {
        self.count("machine_by_token").machine_by_token(token_key)
    }

    fn machine_by_mac<'a>(&'a self, mac: &'a str) -> Pending<'a, Option<Arc<Machine>>> {
        self.count("machine_by_mac").machine_by_mac(mac)
    }

    fn machine_by_uuid<'a>(&'a self, uuid: &'a str) -> Pending<'a, Option<Arc<Machine>>> {
        self.count("machine_by_uuid").machine_by_uuid(uuid)
    }

    fn machines<'a>(&'a self, filter: &'a MachineFilter) -> Pending<'a, Vec<Machine>> {
        self.count("machines").machines(filter)
    }

    fn machine_heads<'a>(&'a self, filter: &'a MachineFilter) -> Pending<'a, Vec<MachineHead>> {
        self.count("machine_heads").machine_heads(filter)
    }

    fn add(&self, new: NewMachine) -> Pending<'_, Machine, AddError> {
        self.count("add").add(new)
    }

    fn commit(&self, change: Change) -> Pending<'_, Arc<Machine>, CommitError> {
        self.count("commit").commit(change)
    }

    fn delete<'a>(&'a self, id: &'a SystemId, version: u64) -> Pending<'a, (), CommitError> {
        self.count("delete").delete(id, version)
    }

    fn attachment<'a>(
        &'a self,
        id: &'a SystemId,
        attachment: Attachment,
    ) -> Pending<'a, Option<Secret<Vec<u8>>>> {
        self.count("attachment").attachment(id, attachment)
    }

    fn due_effects(&self, now: Timestamp, limit: u32) -> Pending<'_, Vec<StoredEffect>> {
        self.count("due_effects").due_effects(now, limit)
    }

    fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Pending<'_, Vec<StoredEffect>> {
        self.count("claim_effects").claim_effects(now, until, limit)
    }

    fn effect_done(&self, id: u64) -> Pending<'_, Settled> {
        self.count("effect_done").effect_done(id)
    }

    fn effect_failed<'a>(
        &'a self,
        id: u64,
        next_due: Timestamp,
        error: &'a str,
    ) -> Pending<'a, Settled> {
        self.count("effect_failed").effect_failed(id, next_due, error)
    }

    fn machines_past_deadline(&self, now: Timestamp, limit: u32) -> Pending<'_, Vec<Machine>> {
        self.count("machines_past_deadline").machines_past_deadline(now, limit)
    }

    fn next_wakeup(&self) -> Pending<'_, Option<Timestamp>> {
        self.count("next_wakeup").next_wakeup()
    }

    fn records<'a>(&'a self, filter: &'a RecordFilter) -> Pending<'a, Vec<StoredRecord>> {
        self.count("records").records(filter)
    }

    fn reports<'a>(&'a self, id: &'a SystemId) -> Pending<'a, Vec<crate::store::RunReport>> {
        self.count("reports").reports(id)
    }

    fn outputs(&self, run_id: u64) -> Pending<'_, Vec<ScriptOutput>> {
        self.count("outputs").outputs(run_id)
    }

    fn prune_records(&self, before: Timestamp, limit: u32) -> Pending<'_, u64> {
        self.count("prune_records").prune_records(before, limit)
    }

    fn next_ids<'a>(&'a self, kind: &'a str, count: u32) -> Pending<'a, u64> {
        self.count("next_ids").next_ids(kind, count)
    }

    fn create_user(&self, user: User) -> Pending<'_, (), AccountError> {
        self.count("create_user").create_user(user)
    }

    fn update_user(&self, user: User) -> Pending<'_, (), AccountError> {
        self.count("update_user").update_user(user)
    }

    fn user<'a>(&'a self, username: &'a str) -> Pending<'a, Option<User>> {
        self.count("user").user(username)
    }

    fn users(&self) -> Pending<'_, Vec<User>> {
        self.count("users").users()
    }

    fn delete_user<'a>(&'a self, username: &'a str) -> Pending<'a, bool> {
        self.count("delete_user").delete_user(username)
    }

    fn create_api_key(&self, key: ApiKey) -> Pending<'_, (), AccountError> {
        self.count("create_api_key").create_api_key(key)
    }

    fn api_key<'a>(&'a self, token_key: &'a str) -> Pending<'a, Option<ApiKey>> {
        self.count("api_key").api_key(token_key)
    }

    fn api_keys<'a>(&'a self, username: &'a str) -> Pending<'a, Vec<ApiKey>> {
        self.count("api_keys").api_keys(username)
    }

    fn rename_api_key<'a>(&'a self, token_key: &'a str, name: &'a str) -> Pending<'a, bool> {
        self.count("rename_api_key").rename_api_key(token_key, name)
    }

    fn delete_api_key<'a>(&'a self, token_key: &'a str) -> Pending<'a, bool> {
        self.count("delete_api_key").delete_api_key(token_key)
    }

    fn create_ssh_key(&self, key: SshKey) -> Pending<'_, u64, AccountError> {
        self.count("create_ssh_key").create_ssh_key(key)
    }

    fn ssh_key(&self, id: u64) -> Pending<'_, Option<SshKey>> {
        self.count("ssh_key").ssh_key(id)
    }

    fn ssh_keys<'a>(&'a self, username: &'a str) -> Pending<'a, Vec<SshKey>> {
        self.count("ssh_keys").ssh_keys(username)
    }

    fn delete_ssh_key(&self, id: u64) -> Pending<'_, bool> {
        self.count("delete_ssh_key").delete_ssh_key(id)
    }

    fn document(&self, kind: &'static str, id: u64) -> Pending<'_, Option<RawDocument>> {
        self.count("document").document(kind, id)
    }

    fn document_by_key<'a>(
        &'a self,
        kind: &'static str,
        key: &'a str,
    ) -> Pending<'a, Option<RawDocument>> {
        self.count("document_by_key").document_by_key(kind, key)
    }

    fn documents(&self, kind: &'static str) -> Pending<'_, Vec<RawDocument>> {
        self.count("documents").documents(kind)
    }

    fn insert_document(
        &self,
        kind: &'static str,
        key: Option<String>,
        body: String,
    ) -> Pending<'_, u64, DocumentError> {
        self.count("insert_document").insert_document(kind, key, body)
    }

    fn update_document(
        &self,
        kind: &'static str,
        id: u64,
        version: u64,
        key: Option<String>,
        body: String,
    ) -> Pending<'_, (), DocumentError> {
        self.count("update_document").update_document(kind, id, version, key, body)
    }

    fn delete_document(
        &self,
        kind: &'static str,
        id: u64,
        version: u64,
    ) -> Pending<'_, (), DocumentError> {
        self.count("delete_document").delete_document(kind, id, version)
    }

    fn documents_stamp(&self) -> Pending<'_, String> {
        self.count("documents_stamp").documents_stamp()
    }

    fn close(&self) -> Pending<'_, ()> {
        self.count("close").close()
    }
}
