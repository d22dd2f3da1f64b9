//! One SQLite file: its permissions, its version, several users of it at once.

use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use tokio::task::JoinSet;

use maas_core::secret::Secret;
use maas_core::time::Timestamp;

use crate::store::conformance::sample;
use crate::store::sql::address::Dialect;
use crate::store::sql::db::query;
use crate::store::sql::schema;
use crate::store::{
    AddError, Change, CommitError, MachineFilter, NewMachine, SqlStore, Store, StoreError,
};

fn file() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("maas.db");
    (directory, file)
}

/// Keeps the writer busy until what is given back is dropped.
async fn busy(store: &Arc<SqlStore>) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel();
    let (begin, begun) = tokio::sync::oneshot::channel();
    let store = Arc::clone(store);
    tokio::spawn(async move {
        let work = store.perform(|_| {
            Box::pin(async move {
                begin.send(()).unwrap();
                assert!(released.recv().is_err());
                Ok(Ok(()))
            })
        });
        work.await.unwrap();
    });
    begun.await.unwrap();
    release
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_and_its_companions_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, file) = file();
    let store = SqlStore::sqlite(&file).await.unwrap();
    store.add(NewMachine::new(sample(1))).await.unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
        seen += 1;
    }
    assert!(seen >= 2, "the file and its log");
    store.close().await.unwrap();
}

#[tokio::test]
async fn everything_is_there_again_after_closing_and_opening() {
    let (_directory, file) = file();
    let store = SqlStore::sqlite(&file).await.unwrap();
    let machine = store.add(NewMachine::new(sample(1))).await.unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    let address = Secret::new(format!("sqlite:{}", file.display()));
    let store = SqlStore::open(&address).await.unwrap();
    assert_eq!(store.machine(&machine.system_id).await.unwrap(), Some(Arc::new(machine)));
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused_and_left_alone() {
    let (_directory, file) = file();
    let store = SqlStore::sqlite(&file).await.unwrap();
    store
        .perform(|c| {
            Box::pin(async move {
                query("INSERT INTO schema_version (version) VALUES (999)").execute(c).await?;
                Ok(Ok(()))
            })
        })
        .await
        .unwrap();
    store.close().await.unwrap();
    for _ in 0..2 {
        let error = SqlStore::sqlite(&file).await.unwrap_err();
        let StoreError::Newer { database, found, known } = &error else { panic!("{error:?}") };
        assert_eq!((database.as_str(), *found), (file.to_str().unwrap(), 999));
        assert_eq!(*known, schema::VERSION);
    }
}

#[tokio::test]
async fn a_machine_that_an_older_program_stored_is_the_same_afterwards() {
    let (_directory, file) = file();
    let mut machine = sample(1);
    machine.version = 7;
    let old = rusqlite::Connection::open(&file).unwrap();
    old.execute_batch(&schema::up_to(2, Dialect::Sqlite)).unwrap();
    old.execute(
        "INSERT INTO machine (system_id, seq, version, hostname, status, pool, zone, arch, \
         architecture, agent_name, token_key, body) VALUES (?, 3, 7, ?, 0, '', '', '', '', '', ?, ?)",
        [
            machine.system_id.as_str(),
            &machine.hostname,
            &machine.credentials.token_key,
            &serde_json::to_string(&machine).unwrap(),
        ],
    )
    .unwrap();
    drop(old);
    let store = SqlStore::sqlite(&file).await.unwrap();
    let found = store.machine(&machine.system_id).await.unwrap().unwrap();
    assert_eq!(*found, machine);
    let mut moved = machine.clone();
    moved.status_message = "moving".to_owned();
    let change = Change { loaded: Some(found), ..Change::new(moved, Timestamp(5)) };
    let committed = store.commit(change).await.unwrap();
    assert_eq!((committed.version, committed.status_message.as_str()), (8, "moving"));
    store.close().await.unwrap();
    let store = SqlStore::sqlite(&file).await.unwrap();
    assert_eq!(store.machine(&machine.system_id).await.unwrap(), Some(committed));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_by_name() {
    let (directory, file) = file();
    std::fs::write(&file, "this is not a database, however long it may be".repeat(100)).unwrap();
    let error = SqlStore::sqlite(&file).await.unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    let error = SqlStore::sqlite(&directory.path().join("no/such/folder")).await.unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_stores_on_one_new_file_open_together_and_never_lose_a_change() {
    const STORES: usize = 6;
    const CHANGES: u64 = 20;
    let (_directory, file) = file();
    let mut opening = JoinSet::new();
    for _ in 0..STORES {
        let file = file.clone();
        opening.spawn(async move { SqlStore::sqlite(&file).await.unwrap() });
    }
    let stores: Vec<_> = opening.join_all().await.into_iter().map(Arc::new).collect();
    let id = stores[0].add(NewMachine::new(sample(1))).await.unwrap().system_id;
    let mut tasks = JoinSet::new();
    for store in &stores {
        let (store, id) = (Arc::clone(store), id.clone());
        tasks.spawn(async move {
            let mut done = 0;
            while done < CHANGES {
                let machine = store.machine(&id).await.unwrap().unwrap();
                let machine = Arc::unwrap_or_clone(machine);
                match store.commit(Change::new(machine, Timestamp(2))).await {
                    Ok(_) => done += 1,
                    Err(CommitError::Conflict { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
    }
    tasks.join_all().await;
    let machine = stores[0].machine(&id).await.unwrap().unwrap();
    assert_eq!(machine.version, 1 + CHANGES * STORES as u64);
    for store in stores {
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn work_whose_caller_has_gone_before_it_was_begun_is_not_done() {
    let (_directory, file) = file();
    let store = Arc::new(SqlStore::sqlite(&file).await.unwrap());
    let machine = store.add(NewMachine::new(sample(1))).await.unwrap();
    let release = busy(&store).await;
    let mut pending = store.commit(Change::new(machine.clone(), Timestamp(2)));
    assert!(futures_util::poll!(pending.as_mut()).is_pending());
    drop(pending);
    drop(release);
    store.commit(Change::new(machine, Timestamp(3))).await.unwrap();
}

#[tokio::test]
async fn accepted_work_is_finished_before_the_store_closes() {
    let (_directory, file) = file();
    let store = SqlStore::sqlite(&file).await.unwrap();
    let machine = store.add(NewMachine::new(sample(1))).await.unwrap();
    let commit = store.commit(Change::new(machine, Timestamp(2)));
    let (committed, closed) = tokio::join!(commit, store.close());
    assert_eq!(committed.unwrap().version, 2);
    closed.unwrap();
}

#[tokio::test]
async fn a_failed_transaction_fails_for_all_who_shared_it_and_the_next_one_works() {
    let (_directory, file) = file();
    let store = Arc::new(SqlStore::sqlite(&file).await.unwrap());
    let release = busy(&store).await;
    // What a full disk does: SQLite ends the transaction by itself.
    let failing = store.perform(|c| {
        Box::pin(async move {
            query("ROLLBACK").execute(c).await?;
            Ok(Ok(()))
        })
    });
    // All three are queued before the writer takes them.
    let (before, failed, after, ()) = tokio::join!(
        store.add(NewMachine::new(sample(1))),
        failing,
        store.add(NewMachine::new(sample(2))),
        async { drop(release) },
    );
    assert!(matches!(before, Err(AddError::Backend(StoreError::Backend { .. }))), "{before:?}");
    assert!(matches!(failed, Err(StoreError::Backend { .. })), "{failed:?}");
    assert!(matches!(after, Err(AddError::Backend(StoreError::Backend { .. }))), "{after:?}");
    assert!(store.machines(&MachineFilter::all()).await.unwrap().is_empty());
    store.add(NewMachine::new(sample(1))).await.unwrap();
    assert_eq!(store.machines(&MachineFilter::all()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_refusal_is_undone_alone_among_those_who_share_a_transaction() {
    let (_directory, file) = file();
    let store = Arc::new(SqlStore::sqlite(&file).await.unwrap());
    // Refused for its address, after its row was written.
    let mut same_address = sample(2);
    same_address.mac_addresses = sample(1).mac_addresses;
    let release = busy(&store).await;
    let (first, second, third, ()) = tokio::join!(
        store.add(NewMachine::new(sample(1))),
        store.add(NewMachine::new(same_address)),
        store.add(NewMachine::new(sample(3))),
        async { drop(release) },
    );
    first.unwrap();
    assert!(matches!(second, Err(AddError::Duplicate(_))), "{second:?}");
    third.unwrap();
    let machines = store.machines(&MachineFilter::all()).await.unwrap();
    let names: Vec<_> = machines.iter().map(|machine| machine.hostname.as_str()).collect();
    assert_eq!(names, ["node-1", "node-3"]);
}
