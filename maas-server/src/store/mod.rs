//! Persistence: one trait, an in-memory implementation, and one on SQLite and PostgreSQL.
//!
//! What the store promises:
//!  - A change is committed as a whole or not at all; when a call returns `Ok`, it is durable.
//!  - Of several changes made from the same version of a machine exactly one is committed.
//!  - Effects are committed with the change that caused them, and given out in their order.
//!
//! A dropped call may still be carried out: a caller that must know asks again.

mod account;
mod change;
#[cfg(test)]
mod conformance;
mod document;
mod error;
mod filter;
mod memory;
mod packed;
mod progress;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use maas_core::id::SystemId;
use maas_core::machine::Machine;
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

pub use account::{ApiKey, SshKey, User};
pub(crate) use change::KEPT_REPORTS;
pub use change::{
    Attachment, AttachmentChange, Change, NewMachine, RunReport, ScriptOutput, Settled,
    StoredEffect, Stream, WaitingEffects,
};
pub use document::{Document, RawDocument, Stored};
pub use error::{AccountError, AddError, Cause, CommitError, DocumentError, Duplicate, StoreError};
pub use filter::{MAX_FILTER_VALUES, MachineFilter, MachineHead, RecordFilter, StoredRecord};
pub use memory::MemoryStore;
pub use packed::PackedMachine;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sql::SqlStore;

/// What a call of the store returns: a future of its result.
pub type Pending<'a, T, E = StoreError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// Where everything is kept; used as `Arc<dyn Store>`.
///
/// Every method fails with [`StoreError`] (in whatever wrapping) when the database does.
pub trait Store: Debug + Send + Sync + 'static {
    // --- machines ---

    /// The machine with this id.
    fn machine<'a>(&'a self, id: &'a SystemId) -> Pending<'a, Option<Arc<Machine>>>;

    /// The machine with this id as it was when it was last asked for or committed, without asking
    /// the database: for who finds out by [`commit`](Self::commit) whether it still is.
    fn recent_machine(&self, id: &SystemId) -> Option<Arc<Machine>> {
        let _ = id;
        None
    }

    /// The machine with this OAuth token key.
    fn machine_by_token<'a>(&'a self, token_key: &'a str) -> Pending<'a, Option<Arc<Machine>>>;

    /// The machine with this MAC address, in any case, with colons.
    fn machine_by_mac<'a>(&'a self, mac: &'a str) -> Pending<'a, Option<Arc<Machine>>>;

    /// The oldest machine with this DMI system UUID, in any case.
    fn machine_by_uuid<'a>(&'a self, uuid: &'a str) -> Pending<'a, Option<Arc<Machine>>>;

    /// The machines that match, in the order of their creation; one query.
    fn machines<'a>(&'a self, filter: &'a MachineFilter) -> Pending<'a, Vec<Machine>>;

    /// As [`machines`](Self::machines), each to be read when it is needed.
    fn packed_machines<'a>(&'a self, filter: &'a MachineFilter) -> Pending<'a, Vec<PackedMachine>> {
        Box::pin(async move {
            let machines = self.machines(filter).await?;
            Ok(machines.into_iter().map(PackedMachine::from).collect())
        })
    }

    /// Ids, versions and owners of the machines that match, in the order of their creation; one
    /// query that reads no machine.
    fn machine_heads<'a>(&'a self, filter: &'a MachineFilter) -> Pending<'a, Vec<MachineHead>>;

    /// Adds a machine; returns it with version 1.
    fn add(&self, new: NewMachine) -> Pending<'_, Machine, AddError>;

    /// Commits a change; returns the machine with its new version.
    fn commit(&self, change: Change) -> Pending<'_, Arc<Machine>, CommitError>;

    /// Deletes a machine in this version with its history, effects, outputs and attachments.
    fn delete<'a>(&'a self, id: &'a SystemId, version: u64) -> Pending<'a, (), CommitError>;

    /// An attachment of a machine.
    fn attachment<'a>(
        &'a self,
        id: &'a SystemId,
        attachment: Attachment,
    ) -> Pending<'a, Option<Secret<Vec<u8>>>>;

    // --- outbox and deadlines ---

    /// Effects that are due, at most one for each machine: the head of its queue.
    fn due_effects(&self, now: Timestamp, limit: u32) -> Pending<'_, Vec<StoredEffect>>;

    /// As [`due_effects`](Self::due_effects), for one of several workers: what is given to one is
    /// not due again before `until`, in case that worker dies. Ordered by age.
    fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Pending<'_, Vec<StoredEffect>>;

    /// An effect was performed: it leaves the queue.
    fn effect_done(&self, id: u64) -> Pending<'_, Settled>;

    /// An effect could not be performed: it stays the head of its queue and is due again at
    /// `next_due`, with one attempt more; `error` is kept for people and must be free of secrets.
    fn effect_failed<'a>(
        &'a self,
        id: u64,
        next_due: Timestamp,
        error: &'a str,
    ) -> Pending<'a, Settled>;

    /// Machines whose deadline is at or before `now`, the most overdue first.
    fn machines_past_deadline(&self, now: Timestamp, limit: u32) -> Pending<'_, Vec<Machine>>;

    /// The earliest deadline of a machine or due time of a queue's head.
    fn next_wakeup(&self) -> Pending<'_, Option<Timestamp>>;

    // --- history ---

    /// Records, newest first.
    fn records<'a>(&'a self, filter: &'a RecordFilter) -> Pending<'a, Vec<StoredRecord>>;

    /// The reports of the run that reported last, in their order; of a long run the first and the
    /// last.
    fn reports<'a>(&'a self, id: &'a SystemId) -> Pending<'a, Vec<RunReport>>;

    /// The outputs of a script run, by stream.
    fn outputs(&self, run_id: u64) -> Pending<'_, Vec<ScriptOutput>>;

    /// Deletes up to `limit` of the records older than `before`; says how many.
    fn prune_records(&self, before: Timestamp, limit: u32) -> Pending<'_, u64>;

    // --- ids ---

    /// The first of `count` consecutive numbers of this kind that were never given before; the
    /// first number of all is 1.
    fn next_ids<'a>(&'a self, kind: &'a str, count: u32) -> Pending<'a, u64>;

    // --- users and keys ---

    /// Creates a user.
    fn create_user(&self, user: User) -> Pending<'_, (), AccountError>;

    /// Replaces everything of a user but the name and the time of creation.
    fn update_user(&self, user: User) -> Pending<'_, (), AccountError>;

    /// The user with this name.
    fn user<'a>(&'a self, username: &'a str) -> Pending<'a, Option<User>>;

    /// All users, by name.
    fn users(&self) -> Pending<'_, Vec<User>>;

    /// Deletes a user with the keys; says whether there was one. Machines keep their owner.
    fn delete_user<'a>(&'a self, username: &'a str) -> Pending<'a, bool>;

    /// Creates an API key for a user.
    fn create_api_key(&self, key: ApiKey) -> Pending<'_, (), AccountError>;

    /// The API key with this token key.
    fn api_key<'a>(&'a self, token_key: &'a str) -> Pending<'a, Option<ApiKey>>;

    /// The API keys of a user, oldest first.
    fn api_keys<'a>(&'a self, username: &'a str) -> Pending<'a, Vec<ApiKey>>;

    /// Renames an API key; says whether there was one.
    fn rename_api_key<'a>(&'a self, token_key: &'a str, name: &'a str) -> Pending<'a, bool>;

    /// Deletes an API key; says whether there was one.
    fn delete_api_key<'a>(&'a self, token_key: &'a str) -> Pending<'a, bool>;

    /// Adds an SSH key for a user; its `id` is ignored and the new one returned.
    fn create_ssh_key(&self, key: SshKey) -> Pending<'_, u64, AccountError>;

    /// The SSH key with this number.
    fn ssh_key(&self, id: u64) -> Pending<'_, Option<SshKey>>;

    /// The SSH keys of a user, oldest first.
    fn ssh_keys<'a>(&'a self, username: &'a str) -> Pending<'a, Vec<SshKey>>;

    /// Deletes an SSH key; says whether there was one.
    fn delete_ssh_key(&self, id: u64) -> Pending<'_, bool>;

    // --- documents; use the typed methods of `dyn Store` ---

    /// The document of this kind and number.
    fn document(&self, kind: &'static str, id: u64) -> Pending<'_, Option<RawDocument>>;

    /// The document of this kind and key.
    fn document_by_key<'a>(
        &'a self,
        kind: &'static str,
        key: &'a str,
    ) -> Pending<'a, Option<RawDocument>>;

    /// All documents of this kind, by number.
    fn documents(&self, kind: &'static str) -> Pending<'_, Vec<RawDocument>>;

    /// Adds a document; returns its number.
    fn insert_document(
        &self,
        kind: &'static str,
        key: Option<String>,
        body: String,
    ) -> Pending<'_, u64, DocumentError>;

    /// Replaces a document in this version, which is counted up by one.
    fn update_document(
        &self,
        kind: &'static str,
        id: u64,
        version: u64,
        key: Option<String>,
        body: String,
    ) -> Pending<'_, (), DocumentError>;

    /// Deletes a document in this version.
    fn delete_document(
        &self,
        kind: &'static str,
        id: u64,
        version: u64,
    ) -> Pending<'_, (), DocumentError>;

    /// A text that changes whenever a document changes that a machine's view may be made from;
    /// one query.
    fn documents_stamp(&self) -> Pending<'_, String>;

    // --- the end ---

    /// Finishes what was accepted and closes; later calls fail with [`StoreError::Closed`].
    fn close(&self) -> Pending<'_, ()>;
}
