//! Many callers at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use maas_core::machine::{Level, Status};
use maas_core::time::Timestamp;

use super::{conforms, record, sample};
use crate::store::{
    AddError, Change, CommitError, Duplicate, MachineFilter, NewMachine, RecordFilter, Store,
};

conforms!(
    each_of_several_machines_is_allocated_to_exactly_one_of_many_users,
    of_many_changes_of_one_version_one_is_committed,
    of_many_machines_with_one_mac_address_one_is_added,
    changes_of_many_machines_at_once_are_all_kept,
);

/// Takes the first machine that is ready, as an API server would; `None` when none is left.
async fn allocate(store: &dyn Store, username: String) -> Option<String> {
    let ready = MachineFilter { statuses: vec![Status::Ready], ..MachineFilter::all() };
    loop {
        let mut machine = store.machines(&ready).await.unwrap().into_iter().next()?;
        machine.status = Status::Allocated;
        machine.owner = Some(username.clone());
        match store.commit(Change::new(machine, Timestamp(2))).await {
            Ok(machine) => return Some(machine.hostname.clone()),
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

async fn each_of_several_machines_is_allocated_to_exactly_one_of_many_users(store: Arc<dyn Store>) {
    for (users, machines) in [(12, 5), (3, 6)] {
        let earlier = store.machines(&MachineFilter::all()).await.unwrap();
        for machine in earlier {
            store.delete(&machine.system_id, machine.version).await.unwrap();
        }
        for number in 0..machines {
            store.add(NewMachine::new(sample(number))).await.unwrap();
        }
        let mut tasks = JoinSet::new();
        for user in 0..users {
            let store = store.clone();
            tasks.spawn(async move { allocate(&*store, format!("user-{user}")).await });
        }
        let taken: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        let expected = users.min(usize::try_from(machines).unwrap());
        assert_eq!(taken.len(), expected);
        assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), expected, "no machine twice");
        let all = store.machines(&MachineFilter::all()).await.unwrap();
        let owners: BTreeSet<_> = all.iter().filter_map(|machine| machine.owner.clone()).collect();
        assert_eq!(owners.len(), expected);
    }
}

async fn of_many_changes_of_one_version_one_is_committed(store: Arc<dyn Store>) {
    let machine = store.add(NewMachine::new(sample(1))).await.unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..16 {
        let store = store.clone();
        let change = Change {
            records: vec![record(number, Level::Info, "won")],
            ..Change::new(machine.clone(), Timestamp(number))
        };
        tasks.spawn(async move { store.commit(change).await });
    }
    let (won, lost): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 15));
    for error in lost {
        assert!(matches!(error, Err(CommitError::Conflict { .. })), "{error:?}");
    }
    assert_eq!(store.records(&RecordFilter::default()).await.unwrap().len(), 1);
}

async fn of_many_machines_with_one_mac_address_one_is_added(store: Arc<dyn Store>) {
    let mut tasks = JoinSet::new();
    for number in 1..=8 {
        let store = store.clone();
        let mut machine = sample(number);
        machine.mac_addresses =
            BTreeSet::from(["52:54:00:aa:00:00".to_owned(), "52:54:00:aa:00:01".to_owned()]);
        tasks.spawn(async move { store.add(NewMachine::new(machine)).await });
    }
    let (won, lost): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for error in lost {
        assert!(matches!(error, Err(AddError::Duplicate(Duplicate::Mac { .. }))), "{error:?}");
    }
    assert_eq!(store.machines(&MachineFilter::all()).await.unwrap().len(), 1);
}

async fn changes_of_many_machines_at_once_are_all_kept(store: Arc<dyn Store>) {
    const MACHINES: u64 = 16;
    const CHANGES: i64 = 5;
    let mut tasks = JoinSet::new();
    for number in 0..MACHINES {
        let store = store.clone();
        tasks.spawn(async move {
            let mut machine = store.add(NewMachine::new(sample(number))).await.unwrap();
            for at in 0..CHANGES {
                let change = Change {
                    records: vec![record(at, Level::Info, "kept")],
                    ..Change::new(machine, Timestamp(at))
                };
                machine = Arc::unwrap_or_clone(store.commit(change).await.unwrap());
            }
        });
    }
    tasks.join_all().await;
    let machines = store.machines(&MachineFilter::all()).await.unwrap();
    assert_eq!(machines.len(), 16);
    assert!(machines.iter().all(|machine| machine.version == 6));
    let filter = RecordFilter { limit: 1000, ..RecordFilter::default() };
    assert_eq!(store.records(&filter).await.unwrap().len(), 80);
}
