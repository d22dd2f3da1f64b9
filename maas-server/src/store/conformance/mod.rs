//! One suite for every store: what [`super::Store`] promises, whatever is behind it.

#![allow(clippy::unwrap_used)]

mod accounts;
mod history;
mod lists;
mod machines;
#[cfg(feature = "sqlite")]
mod model;
mod outbox;
mod races;

use maas_core::id::SystemId;
use maas_core::machine::new::NewMachine as Told;
use maas_core::machine::{Level, Machine, NodeCredentials, Record, Status};
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

/// A test of any store.
#[cfg(all(feature = "sqlite", feature = "postgres", unix))]
type Case =
    fn(std::sync::Arc<dyn super::Store>) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Names the tests of a module and runs each on an empty in-memory and an empty SQLite store;
/// `cases` lists them for PostgreSQL, where a server must be started first.
macro_rules! conforms {
    ($($name:ident),* $(,)?) => {
        #[cfg(all(feature = "sqlite", feature = "postgres", unix))]
        pub(super) const CASES: &[(&str, super::Case)] = &[
            $((concat!(module_path!(), "::", stringify!($name)), |store| Box::pin($name(store)))),*
        ];

        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(std::sync::Arc::new(crate::store::MemoryStore::new())).await;
            })*
        }

        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let directory = tempfile::tempdir().unwrap();
                let file = directory.path().join("a name with %, ? and #.db");
                let store = std::sync::Arc::new(crate::store::SqlStore::sqlite(&file).await.unwrap());
                super::$name(store.clone()).await;
                crate::store::Store::close(&*store).await.unwrap();
            })*
        }
    };
}
use conforms;

/// Every test.
#[cfg(all(feature = "sqlite", feature = "postgres", unix))]
pub(super) fn cases() -> impl Iterator<Item = (&'static str, Case)> {
    [machines::CASES, outbox::CASES, history::CASES, lists::CASES, accounts::CASES, races::CASES]
        .into_iter()
        .flatten()
        .copied()
}

/// A machine that shares nothing unique with that of another number.
pub(super) fn sample(number: u64) -> Machine {
    let credentials = NodeCredentials {
        consumer_key: format!("consumer-{number}"),
        token_key: format!("token-{number}"),
        token_secret: Secret::new("secret".to_owned()),
    };
    let hostname = format!("node-{number}");
    let told = Told {
        mac_addresses: vec![format!(
            "52:54:00:{:02x}:{:02x}:{:02x}",
            number >> 16 & 255,
            number >> 8 & 255,
            number & 255
        )],
        power_driver: "manual".to_owned(),
        ..Told::new(SystemId::from_entropy(number), hostname, "amd64/generic", credentials)
    };
    let mut machine = Machine::added(told, Timestamp(1_000)).expect("a machine like any other");
    machine.status = Status::Ready;
    machine
}

/// A record that can be told from others by its description.
pub(super) fn record(at: i64, level: Level, description: &str) -> Record {
    Record {
        at: Timestamp(at),
        level,
        kind: "Ready".to_owned(),
        description: description.to_owned(),
        username: None,
    }
}
