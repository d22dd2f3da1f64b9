//! Users, keys and documents.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use maas_core::machine::Role;
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

use super::conforms;
use crate::store::{
    AccountError, ApiKey, Document, DocumentError, SshKey, Store, StoreError, User,
};

conforms!(
    users_are_created_changed_and_deleted,
    api_keys_belong_to_a_user,
    ssh_keys_belong_to_a_user,
    documents_are_kept_by_kind_and_number,
    a_document_key_is_unique_within_its_kind,
    a_document_is_changed_from_its_newest_version_only,
    a_document_is_put_in_the_place_of_its_key,
    a_document_that_cannot_be_read_is_an_error,
);

fn user(name: &str) -> User {
    User {
        username: name.to_owned(),
        email: format!("{name}@example.com"),
        role: Role::User,
        password_hash: Secret::new("$argon2id$".to_owned()),
        created: Timestamp(5),
    }
}

fn api_key(name: &str, token: &str) -> ApiKey {
    ApiKey {
        consumer_key: format!("c{token}"),
        token_key: token.to_owned(),
        token_secret: Secret::new(format!("s{token}")),
        name: "cli".to_owned(),
        username: name.to_owned(),
    }
}

fn ssh_key(name: &str, line: &str) -> SshKey {
    SshKey { id: 0, username: name.to_owned(), key: line.to_owned(), source: String::new() }
}

async fn users_are_created_changed_and_deleted(store: Arc<dyn Store>) {
    store.create_user(user("bob")).await.unwrap();
    store.create_user(user("Zoe")).await.unwrap();
    store.create_user(user("alice")).await.unwrap();
    let error = store.create_user(user("bob")).await.unwrap_err();
    assert!(matches!(error, AccountError::Exists { .. }), "{error:?}");
    assert_eq!(store.users().await.unwrap(), [user("Zoe"), user("alice"), user("bob")]);
    let mut changed = user("alice");
    changed.role = Role::Admin;
    changed.password_hash = Secret::new("other".to_owned());
    store.update_user(User { created: Timestamp(99), ..changed.clone() }).await.unwrap();
    assert_eq!(store.user("alice").await.unwrap(), Some(changed));
    let error = store.update_user(user("eve")).await.unwrap_err();
    assert!(matches!(error, AccountError::NoUser { .. }), "{error:?}");
    assert!(store.delete_user("alice").await.unwrap());
    assert!(!store.delete_user("alice").await.unwrap());
    assert_eq!(store.user("alice").await.unwrap(), None);
}

async fn api_keys_belong_to_a_user(store: Arc<dyn Store>) {
    let error = store.create_api_key(api_key("bob", "t1")).await.unwrap_err();
    assert!(matches!(error, AccountError::NoUser { .. }), "{error:?}");
    store.create_user(user("bob")).await.unwrap();
    store.create_user(user("eve")).await.unwrap();
    store.create_api_key(api_key("bob", "t2")).await.unwrap();
    store.create_api_key(api_key("bob", "t1")).await.unwrap();
    let error = store.create_api_key(api_key("eve", "t1")).await.unwrap_err();
    assert!(matches!(error, AccountError::Exists { .. }), "{error:?}");
    assert_eq!(store.api_key("t1").await.unwrap(), Some(api_key("bob", "t1")));
    let keys = store.api_keys("bob").await.unwrap();
    assert_eq!(keys, [api_key("bob", "t2"), api_key("bob", "t1")]);
    assert!(store.rename_api_key("t1", "juju").await.unwrap());
    assert_eq!(store.api_key("t1").await.unwrap().unwrap().name, "juju");
    assert!(!store.rename_api_key("t9", "juju").await.unwrap());
    assert!(store.delete_api_key("t1").await.unwrap());
    assert!(!store.delete_api_key("t1").await.unwrap());
    store.delete_user("bob").await.unwrap();
    assert_eq!(store.api_key("t2").await.unwrap(), None);
}

async fn ssh_keys_belong_to_a_user(store: Arc<dyn Store>) {
    let error = store.create_ssh_key(ssh_key("bob", "ssh-ed25519 A")).await.unwrap_err();
    assert!(matches!(error, AccountError::NoUser { .. }), "{error:?}");
    store.create_user(user("bob")).await.unwrap();
    store.create_user(user("eve")).await.unwrap();
    let first = store.create_ssh_key(ssh_key("bob", "ssh-ed25519 A")).await.unwrap();
    let second = store.create_ssh_key(ssh_key("bob", "ssh-ed25519 B")).await.unwrap();
    let error = store.create_ssh_key(ssh_key("bob", "ssh-ed25519 A")).await.unwrap_err();
    assert!(matches!(error, AccountError::Exists { .. }), "{error:?}");
    store.create_ssh_key(ssh_key("eve", "ssh-ed25519 A")).await.unwrap();
    let ids: Vec<_> = store.ssh_keys("bob").await.unwrap().iter().map(|key| key.id).collect();
    assert_eq!(ids, [first, second]);
    assert_eq!(store.ssh_key(second).await.unwrap().unwrap().key, "ssh-ed25519 B");
    assert!(store.delete_ssh_key(first).await.unwrap());
    assert!(!store.delete_ssh_key(first).await.unwrap());
    store.delete_user("bob").await.unwrap();
    assert_eq!(store.ssh_key(second).await.unwrap(), None);
    assert_eq!(store.ssh_keys("eve").await.unwrap().len(), 1);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Zone {
    name: String,
    description: String,
}

impl Document for Zone {
    const KIND: &'static str = "zone";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.name))
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
}

impl Document for Note {
    const KIND: &'static str = "note";
}

/// Understands nothing that the others write.
#[derive(Debug, Serialize, Deserialize)]
struct Newer {
    required: u64,
}

impl Document for Newer {
    const KIND: &'static str = "note";
}

fn zone(name: &str, description: &str) -> Zone {
    Zone { name: name.to_owned(), description: description.to_owned() }
}

fn note(text: &str) -> Note {
    Note { text: text.to_owned() }
}

async fn documents_are_kept_by_kind_and_number(store: Arc<dyn Store>) {
    let first = store.insert(note("one")).await.unwrap();
    let second = store.insert(note("one")).await.unwrap();
    let other = store.insert(zone("north", "")).await.unwrap();
    assert_eq!((first.id, second.id, other.id), (1, 2, 1));
    assert_eq!(store.find::<Note>(2).await.unwrap(), Some(second.clone()));
    assert_eq!(store.find::<Note>(u64::MAX).await.unwrap(), None);
    assert_eq!(store.list::<Note>().await.unwrap(), [first.clone(), second.clone()]);
    store.remove::<Note>(2, 1).await.unwrap();
    assert_eq!(store.list::<Note>().await.unwrap(), [first]);
    let third = store.insert(note("three")).await.unwrap();
    assert_eq!(third.id, 3, "a number is not given again");
}

async fn a_document_key_is_unique_within_its_kind(store: Arc<dyn Store>) {
    let north = store.insert(zone("north", "")).await.unwrap();
    let error = store.insert(zone("north", "again")).await.unwrap_err();
    let expected = |error: &DocumentError| matches!(error, DocumentError::DuplicateKey { kind: "zone", key } if key == "north");
    assert!(expected(&error), "{error:?}");
    let mut south = store.insert(zone("south", "")).await.unwrap();
    south.value.name = "north".to_owned();
    let error = store.update(south).await.unwrap_err();
    assert!(expected(&error), "{error:?}");
    assert_eq!(store.by_key::<Zone>("north").await.unwrap(), Some(north));
    assert!(store.by_key::<Zone>("south").await.unwrap().is_some());
    assert_eq!(store.by_key::<Zone>("west").await.unwrap(), None);
}

async fn a_document_is_changed_from_its_newest_version_only(store: Arc<dyn Store>) {
    let old = store.insert(zone("north", "old")).await.unwrap();
    let mut new = old.clone();
    new.value = zone("up", "new");
    let new = store.update(new).await.unwrap();
    assert_eq!(new.version, 2);
    assert_eq!(store.find::<Zone>(new.id).await.unwrap(), Some(new.clone()));
    assert_eq!(store.by_key::<Zone>("up").await.unwrap(), Some(new.clone()));
    let error = store.update(old.clone()).await.unwrap_err();
    assert!(matches!(error, DocumentError::Conflict { expected: 1, .. }), "{error:?}");
    let error = store.remove::<Zone>(old.id, 1).await.unwrap_err();
    assert!(matches!(error, DocumentError::Conflict { expected: 1, .. }), "{error:?}");
    store.remove::<Zone>(new.id, 2).await.unwrap();
    let error = store.update(new).await.unwrap_err();
    assert!(matches!(error, DocumentError::Gone { .. }), "{error:?}");
}

async fn a_document_is_put_in_the_place_of_its_key(store: Arc<dyn Store>) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..4 {
        let store = store.clone();
        tasks.spawn(async move { store.put(zone("north", &number.to_string())).await.unwrap().id });
    }
    let ids = tasks.join_all().await;
    let stored = store.put(zone("north", "last")).await.unwrap();
    assert_eq!(ids, [stored.id; 4]);
    assert_eq!(stored.version, 5);
    assert_eq!(store.list::<Zone>().await.unwrap(), [stored]);
}

async fn a_document_that_cannot_be_read_is_an_error(store: Arc<dyn Store>) {
    store.insert(note("one")).await.unwrap();
    let error = store.find::<Newer>(1).await.unwrap_err();
    assert!(matches!(error, StoreError::Body { kind: "note", .. }), "{error:?}");
}
