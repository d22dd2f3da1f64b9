//! A process that is killed loses nothing that it acknowledged.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::task::JoinSet;

use maas_core::machine::{Effect, Level};
use maas_core::time::Timestamp;

use crate::store::conformance::{record, sample};
use crate::store::{Change, MachineFilter, NewMachine, RecordFilter, SqlStore, Store};

/// Names the file in the child, which is this test itself.
const CHILD: &str = "MAAS_STORE_TEST_FILE";

/// The test's own name, for the child.
const NAME: &str = "store::sql::tests::crash::a_killed_process_loses_nothing_acknowledged";

const MACHINES: u64 = 8;

/// Commits for ever; a line on standard output acknowledges each commit after the store did.
async fn commit_until_killed(file: &Path) {
    let store = Arc::new(SqlStore::sqlite(file).await.unwrap());
    let mut tasks = JoinSet::new();
    for number in 0..MACHINES {
        let store = store.clone();
        tasks.spawn(async move {
            let mut machine = store.add(NewMachine::new(sample(number))).await.unwrap();
            loop {
                println!("committed {} {}", machine.hostname, machine.version);
                let next = i64::try_from(machine.version).unwrap() + 1;
                let change = Change {
                    effects: vec![Effect::PowerOn],
                    records: vec![record(next, Level::Info, "kept")],
                    ..Change::new(machine, Timestamp(next))
                };
                machine = Arc::unwrap_or_clone(store.commit(change).await.unwrap());
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_nothing_acknowledged() {
    if let Some(file) = std::env::var_os(CHILD) {
        return commit_until_killed(Path::new(&file)).await;
    }
    for acknowledgements in [20, 90, 250] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("maas.db");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([NAME, "--exact", "--nocapture"])
            .env(CHILD, &file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut acknowledged = BTreeMap::<String, u64>::new();
        let mut count = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            // What was written before the kill counts as well.
            if let Some((_, words)) = line.split_once("committed ")
                && let Some((name, version)) = words.split_once(' ')
                && let Ok(version) = version.parse()
            {
                acknowledged.insert(name.to_owned(), version);
                count += 1;
            }
            if count == acknowledgements {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(count >= acknowledgements, "the child ended by itself");

        let store = SqlStore::sqlite(&file).await.unwrap();
        let found = store.machines(&MachineFilter::all()).await.unwrap();
        for (name, version) in &acknowledged {
            let machine = found.iter().find(|machine| machine.hostname == *name).unwrap();
            assert!(machine.version >= *version, "{name} lost version {version}");
        }
        for machine in &found {
            let filter = RecordFilter {
                machines: vec![machine.system_id.clone()],
                limit: u32::MAX,
                ..RecordFilter::default()
            };
            let records = store.records(&filter).await.unwrap();
            let parts = records.len() as u64;
            assert_eq!(parts, machine.version - 1, "a change is there with all its parts");
        }
        store.close().await.unwrap();
    }
}
