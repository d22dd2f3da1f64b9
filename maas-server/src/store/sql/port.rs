//! [`Store`] spelled out for the database.

use std::future::Future;
use std::sync::Arc;

use maas_core::id::SystemId;
use maas_core::machine::Machine;
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

use super::machines::By;
use super::{Fault, SqlStore, Writes, documents, history, machines, outbox, users};
use crate::store::account::{ApiKey, SshKey, User};
use crate::store::change::{
    Attachment, Change, NewMachine, RunReport, ScriptOutput, Settled, StoredEffect,
};
use crate::store::document::RawDocument;
use crate::store::error::{AccountError, AddError, CommitError, DocumentError};
use crate::store::filter::{MachineFilter, MachineHead, RecordFilter, StoredRecord};
use crate::store::packed::PackedMachine;
use crate::store::{Pending, Store};

impl SqlStore {
    fn read<'a, T>(
        &'a self,
        work: impl Future<Output = Result<T, Fault>> + Send + 'a,
    ) -> Pending<'a, T> {
        Box::pin(async move { work.await.map_err(|fault| self.failed(&fault)) })
    }
}

impl Store for SqlStore {
    fn machine<'a>(&'a self, id: &'a SystemId) -> Pending<'a, Option<Arc<Machine>>> {
        self.read(machines::find(&self.pool, &self.recent, By::Id, id.as_str()))
    }

    fn recent_machine(&self, id: &SystemId) -> Option<Arc<Machine>> {
        self.recent.known(By::Id, id.as_str()).map(|known| known.machine)
    }

    fn machine_by_token<'a>(&'a self, token_key: &'a str) -> Pending<'a, Option<Arc<Machine>>> {
        self.read(machines::find(&self.pool, &self.recent, By::Token, token_key))
    }

    fn machine_by_mac<'a>(&'a self, mac: &'a str) -> Pending<'a, Option<Arc<Machine>>> {
        self.read(machines::find(&self.pool, &self.recent, By::Mac, mac))
    }

    fn machine_by_uuid<'a>(&'a self, uuid: &'a str) -> Pending<'a, Option<Arc<Machine>>> {
        self.read(machines::find(&self.pool, &self.recent, By::Uuid, uuid))
    }

    fn machines<'a>(&'a self, filter: &'a MachineFilter) -> Pending<'a, Vec<Machine>> {
        Box::pin(async move {
            filter.check()?;
            self.read(machines::list(&self.pool, filter)).await
        })
    }

    fn packed_machines<'a>(&'a self, filter: &'a MachineFilter) -> Pending<'a, Vec<PackedMachine>> {
        Box::pin(async move {
            filter.check()?;
            self.read(machines::packed(&self.pool, filter)).await
        })
    }

    fn machine_heads<'a>(&'a self, filter: &'a MachineFilter) -> Pending<'a, Vec<MachineHead>> {
        Box::pin(async move {
            filter.check()?;
            self.read(machines::heads(&self.pool, filter)).await
        })
    }

    fn documents_stamp(&self) -> Pending<'_, String> {
        self.read(documents::stamp(&self.pool))
    }

    fn add(&self, new: NewMachine) -> Pending<'_, Machine, AddError> {
        Box::pin(async move { self.write(move |c| Box::pin(machines::add(c, new))).await? })
    }

    fn commit(&self, change: Change) -> Pending<'_, Arc<Machine>, CommitError> {
        Box::pin(async move {
            let committed = self.write(move |c| Box::pin(machines::commit(c, change))).await??;
            let machine = Arc::new(committed);
            machines::remember(&self.recent, &machine);
            Ok(machine)
        })
    }

    fn delete<'a>(&'a self, id: &'a SystemId, version: u64) -> Pending<'a, (), CommitError> {
        Box::pin(async move {
            let deleted = id.clone();
            self.write(move |c| Box::pin(machines::delete(c, deleted, version))).await??;
            self.recent.forget(id);
            Ok(())
        })
    }

    fn attachment<'a>(
        &'a self,
        id: &'a SystemId,
        attachment: Attachment,
    ) -> Pending<'a, Option<Secret<Vec<u8>>>> {
        self.read(machines::attachment(&self.pool, id, attachment))
    }

    fn due_effects(&self, now: Timestamp, limit: u32) -> Pending<'_, Vec<StoredEffect>> {
        self.read(outbox::due_effects(&self.pool, now, limit))
    }

    fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Pending<'_, Vec<StoredEffect>> {
        Box::pin(self.perform(move |c| {
            Box::pin(async move { outbox::claim(c, now, until, limit).await.map(Ok) })
        }))
    }

    fn effect_done(&self, id: u64) -> Pending<'_, Settled> {
        Box::pin(self.perform(move |c| Box::pin(async move { outbox::done(c, id).await.map(Ok) })))
    }

    fn effect_failed<'a>(
        &'a self,
        id: u64,
        next_due: Timestamp,
        error: &'a str,
    ) -> Pending<'a, Settled> {
        let error = error.to_owned();
        Box::pin(self.perform(move |c| {
            Box::pin(async move { outbox::failed(c, id, next_due, &error).await.map(Ok) })
        }))
    }

    fn machines_past_deadline(&self, now: Timestamp, limit: u32) -> Pending<'_, Vec<Machine>> {
        self.read(machines::past_deadline(&self.pool, now, limit))
    }

    fn next_wakeup(&self) -> Pending<'_, Option<Timestamp>> {
        self.read(outbox::next_wakeup(&self.pool))
    }

    fn records<'a>(&'a self, filter: &'a RecordFilter) -> Pending<'a, Vec<StoredRecord>> {
        Box::pin(async move {
            filter.check()?;
            self.read(history::records(&self.pool, filter)).await
        })
    }

    fn reports<'a>(&'a self, id: &'a SystemId) -> Pending<'a, Vec<RunReport>> {
        self.read(history::reports(&self.pool, id))
    }

    fn outputs(&self, run_id: u64) -> Pending<'_, Vec<ScriptOutput>> {
        self.read(history::outputs(&self.pool, run_id))
    }

    fn prune_records(&self, before: Timestamp, limit: u32) -> Pending<'_, u64> {
        Box::pin(self.perform(move |c| {
            Box::pin(async move { history::prune(c, before, limit).await.map(Ok) })
        }))
    }

    fn next_ids<'a>(&'a self, kind: &'a str, count: u32) -> Pending<'a, u64> {
        let kind = kind.to_owned();
        Box::pin(self.perform(move |c| {
            Box::pin(async move { documents::next_ids(c, &kind, count).await.map(Ok) })
        }))
    }

    fn create_user(&self, user: User) -> Pending<'_, (), AccountError> {
        Box::pin(async move { self.write(move |c| Box::pin(users::create(c, user))).await? })
    }

    fn update_user(&self, user: User) -> Pending<'_, (), AccountError> {
        Box::pin(async move { self.write(move |c| Box::pin(users::update(c, user))).await? })
    }

    fn user<'a>(&'a self, username: &'a str) -> Pending<'a, Option<User>> {
        self.read(users::find(&self.pool, username))
    }

    fn users(&self) -> Pending<'_, Vec<User>> {
        self.read(users::list(&self.pool))
    }

    fn delete_user<'a>(&'a self, username: &'a str) -> Pending<'a, bool> {
        let username = username.to_owned();
        Box::pin(
            self.perform(move |c| {
                Box::pin(async move { users::delete(c, &username).await.map(Ok) })
            }),
        )
    }

    fn create_api_key(&self, key: ApiKey) -> Pending<'_, (), AccountError> {
        Box::pin(async move { self.write(move |c| Box::pin(users::create_api_key(c, key))).await? })
    }

    fn api_key<'a>(&'a self, token_key: &'a str) -> Pending<'a, Option<ApiKey>> {
        self.read(users::api_key(&self.pool, token_key))
    }

    fn api_keys<'a>(&'a self, username: &'a str) -> Pending<'a, Vec<ApiKey>> {
        self.read(users::api_keys(&self.pool, username))
    }

    fn rename_api_key<'a>(&'a self, token_key: &'a str, name: &'a str) -> Pending<'a, bool> {
        let (token_key, name) = (token_key.to_owned(), name.to_owned());
        Box::pin(self.perform(move |c| {
            Box::pin(async move { users::rename_api_key(c, &token_key, &name).await.map(Ok) })
        }))
    }

    fn delete_api_key<'a>(&'a self, token_key: &'a str) -> Pending<'a, bool> {
        let token_key = token_key.to_owned();
        Box::pin(self.perform(move |c| {
            Box::pin(async move { users::delete_api_key(c, &token_key).await.map(Ok) })
        }))
    }

    fn create_ssh_key(&self, key: SshKey) -> Pending<'_, u64, AccountError> {
        Box::pin(async move { self.write(move |c| Box::pin(users::create_ssh_key(c, key))).await? })
    }

    fn ssh_key(&self, id: u64) -> Pending<'_, Option<SshKey>> {
        self.read(users::ssh_key(&self.pool, id))
    }

    fn ssh_keys<'a>(&'a self, username: &'a str) -> Pending<'a, Vec<SshKey>> {
        self.read(users::ssh_keys(&self.pool, username))
    }

    fn delete_ssh_key(&self, id: u64) -> Pending<'_, bool> {
        Box::pin(
            self.perform(move |c| {
                Box::pin(async move { users::delete_ssh_key(c, id).await.map(Ok) })
            }),
        )
    }

    fn document(&self, kind: &'static str, id: u64) -> Pending<'_, Option<RawDocument>> {
        self.read(documents::find(&self.pool, kind, id))
    }

    fn document_by_key<'a>(
        &'a self,
        kind: &'static str,
        key: &'a str,
    ) -> Pending<'a, Option<RawDocument>> {
        self.read(documents::by_key(&self.pool, kind, key))
    }

    fn documents(&self, kind: &'static str) -> Pending<'_, Vec<RawDocument>> {
        self.read(documents::list(&self.pool, kind))
    }

    fn insert_document(
        &self,
        kind: &'static str,
        key: Option<String>,
        body: String,
    ) -> Pending<'_, u64, DocumentError> {
        Box::pin(async move {
            self.write(move |c| Box::pin(documents::insert(c, kind, key, body))).await?
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
        Box::pin(async move {
            self.write(move |c| Box::pin(documents::update(c, kind, id, version, key, body)))
                .await?
        })
    }

    fn delete_document(
        &self,
        kind: &'static str,
        id: u64,
        version: u64,
    ) -> Pending<'_, (), DocumentError> {
        Box::pin(async move {
            self.write(move |c| Box::pin(documents::delete(c, kind, id, version))).await?
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            match &self.writes {
                #[cfg(feature = "sqlite")]
                Writes::Queue(writer) => writer.close().await,
                #[cfg(feature = "postgres")]
                Writes::Pool => {}
            }
            self.pool.close().await;
            Ok(())
        })
    }
}
