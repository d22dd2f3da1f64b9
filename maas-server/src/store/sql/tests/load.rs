//! Sixty-four callers that commit at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use maas_core::machine::Level;
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

use crate::store::conformance::{record, sample};
use crate::store::sql::BATCH;
use crate::store::sql::address::Address;
use crate::store::{Change, NewMachine, SqlStore, Store};

const CALLERS: u64 = 64;

/// The time that 64 callers need for `each` commits each, one after the other.
pub(super) async fn measure(store: Arc<SqlStore>, each: u64) -> Duration {
    let mut machines = Vec::new();
    for number in 0..CALLERS {
        machines.push(store.add(NewMachine::new(sample(number))).await.unwrap());
    }
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for mut machine in machines {
        let store = store.clone();
        tasks.spawn(async move {
            for at in 0..each {
                let change = Change {
                    records: vec![record(0, Level::Debug, "curtin: cmd-install/stage-extract")],
                    ..Change::new(machine, Timestamp(i64::try_from(at).unwrap()))
                };
                machine = Arc::unwrap_or_clone(store.commit(change).await.unwrap());
            }
            machine.version
        });
    }
    let versions = tasks.join_all().await;
    assert_eq!(versions, [1 + each; CALLERS as usize]);
    begin.elapsed()
}

/// Says a measurement.
pub(super) fn report(what: &str, each: u64, time: Duration) {
    let commits = CALLERS * each;
    let rate = commits as f64 / time.as_secs_f64();
    println!("{what}: {commits} commits of {CALLERS} callers in {time:?}: {rate:.0}/s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_commits_and_none_sees_a_busy_database() {
    let each = std::env::var("MAAS_STORE_TEST_COMMITS").map_or(5, |text| text.parse().unwrap());
    for (what, batch) in [("one commit each", 1), ("shared commits", BATCH)] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("maas.db");
        let address = Address::parse(&Secret::new(file.to_str().unwrap().to_owned()));
        let store = Arc::new(SqlStore::at(address, batch).await.unwrap());
        report(what, each, measure(store.clone(), each).await);
        store.close().await.unwrap();
    }
}
