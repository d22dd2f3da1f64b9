//! Machines: adding, finding, changing and deleting.

use std::collections::BTreeSet;
use std::sync::Arc;

use maas_core::id::SystemId;
use maas_core::machine::{Architecture, Effect, Level, Machine, Status};
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

use super::{conforms, record, sample};
use crate::store::{
    AddError, Attachment, AttachmentChange, Change, CommitError, Duplicate, MAX_FILTER_VALUES,
    MachineFilter, NewMachine, RecordFilter, ScriptOutput, Store, StoreError, Stream,
};

conforms!(
    a_machine_is_found_by_everything_that_names_it,
    machines_are_listed_by_every_column_in_the_order_of_creation,
    a_filter_without_end_is_refused,
    a_commit_counts_the_version_and_stores_every_part,
    a_committed_machine_is_found_by_its_new_facts_only,
    a_commit_from_an_old_version_changes_nothing,
    a_refused_change_leaves_no_part_behind,
    a_mac_address_belongs_to_one_machine,
    a_hostname_belongs_to_one_machine,
    a_system_id_is_given_once,
    a_deleted_machine_leaves_nothing_behind,
    zero_bytes_in_texts_do_no_harm,
    a_closed_store_answers_that_it_is_closed,
);

async fn added(store: &Arc<dyn Store>, machine: Machine) -> Machine {
    store.add(NewMachine::new(machine)).await.unwrap()
}

async fn names(store: &Arc<dyn Store>, filter: MachineFilter) -> Vec<String> {
    let machines = store.machines(&filter).await.unwrap();
    machines.into_iter().map(|machine| machine.hostname).collect()
}

async fn a_machine_is_found_by_everything_that_names_it(store: Arc<dyn Store>) {
    let mut machine = sample(1);
    machine.hardware_uuid = Some("4c4c4544-0051-3510-8052-b4c04f4a4d32".to_owned());
    let machine = added(&store, machine).await;
    added(&store, sample(2)).await;
    assert_eq!(machine.version, 1);
    let expected = Some(Arc::new(machine.clone()));
    assert_eq!(store.machine(&machine.system_id).await.unwrap(), expected);
    assert_eq!(store.machine_by_token("token-1").await.unwrap(), expected);
    assert_eq!(store.machine_by_mac("52:54:00:00:00:01").await.unwrap(), expected);
    assert_eq!(store.machine_by_mac("52:54:00:00:00:0A").await.unwrap(), None);
    let uuid = "4C4C4544-0051-3510-8052-B4C04F4A4D32";
    assert_eq!(store.machine_by_uuid(uuid).await.unwrap(), expected);
    assert_eq!(store.machine(&SystemId::from_entropy(9)).await.unwrap(), None);
    assert_eq!(store.machine_by_token("' OR 1=1 --").await.unwrap(), None);
}

async fn machines_are_listed_by_every_column_in_the_order_of_creation(store: Arc<dyn Store>) {
    let mut one = sample(3);
    one.status = Status::Deployed;
    one.owner = Some("alice".to_owned());
    one.pool = "lab".to_owned();
    one.tags = BTreeSet::from(["gpu".to_owned(), "virtual".to_owned()]);
    let mut two = sample(1);
    two.zone = "north".to_owned();
    two.agent_name = "juju".to_owned();
    two.tags = BTreeSet::from(["gpu".to_owned()]);
    let mut three = sample(2);
    three.architecture = Architecture { arch: "arm64".to_owned(), subarch: "xgene".to_owned() };
    three.owner = Some("bob".to_owned());
    let ids = vec![three.system_id.clone(), one.system_id.clone()];
    for machine in [one, two, three] {
        added(&store, machine).await;
    }
    let all = MachineFilter::all;
    let text = |text: &str| vec![text.to_owned()];
    let cases = [
        (all(), "node-3 node-1 node-2"),
        (MachineFilter { ids, ..all() }, "node-3 node-2"),
        (MachineFilter { statuses: vec![Status::Ready], ..all() }, "node-1 node-2"),
        (
            MachineFilter { statuses: vec![Status::Ready, Status::Deployed], ..all() },
            "node-3 node-1 node-2",
        ),
        (
            MachineFilter { owners: vec!["alice".to_owned(), "bob".to_owned()], ..all() },
            "node-3 node-2",
        ),
        (MachineFilter { hostnames: text("NODE-2"), ..all() }, "node-2"),
        (MachineFilter { macs: text("52:54:00:00:00:03"), ..all() }, "node-3"),
        (MachineFilter { pools: text("lab"), ..all() }, "node-3"),
        (MachineFilter { zones: text("north"), ..all() }, "node-1"),
        (MachineFilter { architectures: text("arm64/xgene"), ..all() }, "node-2"),
        (MachineFilter { architectures: text("amd64"), ..all() }, "node-3 node-1"),
        (MachineFilter { agent_names: text("juju"), ..all() }, "node-1"),
        (MachineFilter { tags: text("gpu"), ..all() }, "node-3 node-1"),
        (MachineFilter { tags: vec!["gpu".to_owned(), "virtual".to_owned()], ..all() }, "node-3"),
        (MachineFilter { tags: text("gpu"), zones: text("default"), ..all() }, "node-3"),
        (MachineFilter { owners: text("x' OR 'x' = 'x"), ..all() }, ""),
    ];
    for (filter, expected) in cases {
        assert_eq!(names(&store, filter.clone()).await.join(" "), expected, "{filter:?}");
    }
}

async fn a_filter_without_end_is_refused(store: Arc<dyn Store>) {
    let machine = added(&store, sample(1)).await;
    let mut filter =
        MachineFilter { ids: vec![machine.system_id; MAX_FILTER_VALUES], ..MachineFilter::all() };
    assert_eq!(names(&store, filter.clone()).await, ["node-1"]);
    filter.pools = vec!["default".to_owned()];
    let error = store.machines(&filter).await.unwrap_err();
    assert!(
        matches!(error, StoreError::FilterTooLarge { found: 16_001, limit: 16_000 }),
        "{error:?}"
    );
}

async fn a_commit_counts_the_version_and_stores_every_part(store: Arc<dyn Store>) {
    let mut machine = added(&store, sample(1)).await;
    let id = machine.system_id.clone();
    machine.status = Status::Deploying;
    machine.tags = BTreeSet::from(["new".to_owned()]);
    machine.mac_addresses = BTreeSet::from(["52:54:00:ff:00:01".to_owned()]);
    let change = Change {
        effects: vec![Effect::PowerCycle],
        records: vec![record(5, Level::Info, "deploying")],
        outputs: vec![ScriptOutput { run_id: 7, stream: Stream::Stdout, bytes: vec![0, 255] }],
        plan: AttachmentChange::Set(Secret::new(b"the plan".to_vec())),
        user_data: AttachmentChange::Set(Secret::new(vec![0; 100_000])),
        ..Change::new(machine, Timestamp(2_000))
    };
    let committed = store.commit(change).await.unwrap();
    assert_eq!((committed.version, committed.updated), (2, Timestamp(2_000)));
    assert_eq!(store.machine(&id).await.unwrap(), Some(committed.clone()));
    assert_eq!(store.machine_by_mac("52:54:00:00:00:01").await.unwrap(), None);
    assert_eq!(store.machine_by_mac("52:54:00:ff:00:01").await.unwrap(), Some(committed.clone()));
    let tagged = MachineFilter { tags: vec!["new".to_owned()], ..MachineFilter::all() };
    assert_eq!(names(&store, tagged).await, ["node-1"]);
    assert_eq!(store.due_effects(Timestamp(2_000), 9).await.unwrap().len(), 1);
    assert_eq!(store.records(&RecordFilter::default()).await.unwrap().len(), 1);
    assert_eq!(store.outputs(7).await.unwrap()[0].bytes, [0, 255]);
    let plan = store.attachment(&id, Attachment::Plan).await.unwrap().unwrap();
    assert_eq!(plan.expose(), b"the plan");
    let change = Change {
        plan: AttachmentChange::Clear,
        ..Change::new(Arc::unwrap_or_clone(committed), Timestamp(3_000))
    };
    assert_eq!(store.commit(change).await.unwrap().version, 3);
    assert_eq!(store.attachment(&id, Attachment::Plan).await.unwrap(), None);
    let user_data = store.attachment(&id, Attachment::UserData).await.unwrap().unwrap();
    assert_eq!(user_data.expose().len(), 100_000);
}

async fn a_committed_machine_is_found_by_its_new_facts_only(store: Arc<dyn Store>) {
    let old = added(&store, sample(1)).await;
    let new = Machine {
        version: 1,
        status: Status::Allocated,
        owner: Some("alice".to_owned()),
        hardware_uuid: Some("uuid".to_owned()),
        architecture: Architecture { arch: "arm64".to_owned(), subarch: "xgene".to_owned() },
        system_id: old.system_id.clone(),
        pool: "lab".to_owned(),
        zone: "north".to_owned(),
        agent_name: "juju".to_owned(),
        ..sample(2)
    };
    let new = store.commit(Change::new(new, Timestamp(2))).await.unwrap();
    let filters = |machine: &Machine| {
        let machine = machine.clone();
        let all = MachineFilter::all;
        let architecture =
            format!("{}/{}", machine.architecture.arch, machine.architecture.subarch);
        [
            MachineFilter { statuses: vec![machine.status], ..all() },
            MachineFilter { hostnames: vec![machine.hostname], ..all() },
            MachineFilter { macs: machine.mac_addresses.into_iter().collect(), ..all() },
            MachineFilter { pools: vec![machine.pool], ..all() },
            MachineFilter { zones: vec![machine.zone], ..all() },
            MachineFilter { architectures: vec![machine.architecture.arch], ..all() },
            MachineFilter { architectures: vec![architecture], ..all() },
            MachineFilter { agent_names: vec![machine.agent_name], ..all() },
            MachineFilter { owners: vec![machine.owner.unwrap_or_default()], ..all() },
        ]
    };
    for (before, after) in filters(&old).into_iter().zip(filters(&new)) {
        assert!(names(&store, before.clone()).await.is_empty(), "{before:?}");
        assert_eq!(names(&store, after.clone()).await, ["node-2"], "{after:?}");
    }
    assert_eq!(store.machine_by_token("token-1").await.unwrap(), None);
    assert_eq!(store.machine_by_token("token-2").await.unwrap(), Some(new.clone()));
    assert_eq!(store.machine_by_uuid("UUID").await.unwrap(), Some(new));
}

async fn a_commit_from_an_old_version_changes_nothing(store: Arc<dyn Store>) {
    let old = added(&store, sample(1)).await;
    let new = store.commit(Change::new(old.clone(), Timestamp(2_000))).await.unwrap();
    let error = store.commit(Change::new(old.clone(), Timestamp(3_000))).await.unwrap_err();
    assert!(matches!(error, CommitError::Conflict { expected: 1, .. }), "{error:?}");
    assert_eq!(store.machine(&old.system_id).await.unwrap(), Some(new));
    let error = store.delete(&old.system_id, 1).await.unwrap_err();
    assert!(matches!(error, CommitError::Conflict { expected: 1, .. }), "{error:?}");
    let error = store.commit(Change::new(sample(2), Timestamp(3_000))).await.unwrap_err();
    assert!(matches!(error, CommitError::Gone { .. }), "{error:?}");
}

async fn a_refused_change_leaves_no_part_behind(store: Arc<dyn Store>) {
    let machine = added(&store, sample(1)).await;
    added(&store, sample(2)).await;
    let mut changed = machine.clone();
    changed.tags = BTreeSet::from(["new".to_owned()]);
    changed.mac_addresses.insert("52:54:00:00:00:00".to_owned());
    changed.mac_addresses.insert("52:54:00:00:00:02".to_owned());
    let change = Change {
        effects: vec![Effect::PowerOn],
        records: vec![record(5, Level::Info, "never")],
        outputs: vec![ScriptOutput { run_id: 7, stream: Stream::Result, bytes: vec![1] }],
        plan: AttachmentChange::Set(Secret::new(vec![1])),
        ..Change::new(changed, Timestamp(2_000))
    };
    store.commit(change).await.unwrap_err();
    assert_eq!(*store.machine(&machine.system_id).await.unwrap().unwrap(), machine);
    assert_eq!(store.machine_by_mac("52:54:00:00:00:00").await.unwrap(), None);
    let tagged = MachineFilter { tags: vec!["new".to_owned()], ..MachineFilter::all() };
    assert!(names(&store, tagged).await.is_empty());
    assert!(store.due_effects(Timestamp(9_000), 9).await.unwrap().is_empty());
    assert!(store.records(&RecordFilter::default()).await.unwrap().is_empty());
    assert!(store.outputs(7).await.unwrap().is_empty());
    assert_eq!(store.attachment(&machine.system_id, Attachment::Plan).await.unwrap(), None);
}

async fn a_mac_address_belongs_to_one_machine(store: Arc<dyn Store>) {
    let first = added(&store, sample(1)).await;
    let mut second = sample(2);
    second.mac_addresses = first.mac_addresses.clone();
    let expected =
        Duplicate::Mac { mac: "52:54:00:00:00:01".to_owned(), machine: first.system_id.clone() };
    let error = store.add(NewMachine::new(second.clone())).await.unwrap_err();
    assert!(matches!(&error, AddError::Duplicate(found) if *found == expected), "{error:?}");
    assert_eq!(store.machine(&second.system_id).await.unwrap(), None);
    let mut second = added(&store, sample(2)).await;
    second.mac_addresses.extend(first.mac_addresses.iter().cloned());
    let error = store.commit(Change::new(second, Timestamp(2))).await.unwrap_err();
    assert!(matches!(&error, CommitError::Duplicate(found) if *found == expected), "{error:?}");
}

async fn a_hostname_belongs_to_one_machine(store: Arc<dyn Store>) {
    added(&store, sample(1)).await;
    let mut second = sample(2);
    second.hostname = "NODE-1".to_owned();
    let expected = Duplicate::Hostname { hostname: "NODE-1".to_owned() };
    let error = store.add(NewMachine::new(second)).await.unwrap_err();
    assert!(matches!(&error, AddError::Duplicate(found) if *found == expected), "{error:?}");
    let mut second = added(&store, sample(2)).await;
    second.hostname = "NODE-1".to_owned();
    let error = store.commit(Change::new(second.clone(), Timestamp(2))).await.unwrap_err();
    assert!(matches!(&error, CommitError::Duplicate(found) if *found == expected), "{error:?}");
    second.hostname = String::new();
    store.commit(Change::new(second, Timestamp(2))).await.unwrap();
    let mut third = sample(3);
    third.hostname = String::new();
    added(&store, third).await;
}

async fn a_system_id_is_given_once(store: Arc<dyn Store>) {
    added(&store, sample(1)).await;
    let mut second = sample(2);
    second.system_id = sample(1).system_id;
    let error = store.add(NewMachine::new(second)).await.unwrap_err();
    assert!(matches!(error, AddError::Duplicate(Duplicate::SystemId { .. })), "{error:?}");
    assert_eq!(names(&store, MachineFilter::all()).await, ["node-1"]);
}

async fn a_deleted_machine_leaves_nothing_behind(store: Arc<dyn Store>) {
    let new = NewMachine {
        effects: vec![Effect::PowerOff],
        records: vec![record(5, Level::Info, "added")],
        outputs: vec![ScriptOutput { run_id: 7, stream: Stream::Combined, bytes: vec![1] }],
        ..NewMachine::new(sample(1))
    };
    let machine = store.add(new).await.unwrap();
    let change = Change {
        plan: AttachmentChange::Set(Secret::new(vec![1])),
        ..Change::new(machine, Timestamp(2))
    };
    let machine = store.commit(change).await.unwrap();
    assert_eq!(store.due_effects(Timestamp(9_000), 9).await.unwrap().len(), 1);
    let id = &machine.system_id;
    store.delete(id, machine.version).await.unwrap();
    assert_eq!(store.machine(id).await.unwrap(), None);
    assert!(store.due_effects(Timestamp(9_000), 9).await.unwrap().is_empty());
    assert!(store.records(&RecordFilter::default()).await.unwrap().is_empty());
    assert!(store.outputs(7).await.unwrap().is_empty());
    assert_eq!(store.attachment(id, Attachment::Plan).await.unwrap(), None);
    let error = store.delete(id, machine.version).await.unwrap_err();
    assert!(matches!(error, CommitError::Gone { .. }), "{error:?}");
    // Everything that was unique is free again.
    assert_eq!(added(&store, sample(1)).await.version, 1);
}

async fn zero_bytes_in_texts_do_no_harm(store: Arc<dyn Store>) {
    let mut machine = sample(1);
    machine.description = "a\0b".to_owned();
    machine.agent_name = "a\0b".to_owned();
    let new =
        NewMachine { records: vec![record(5, Level::Info, "a\0b")], ..NewMachine::new(machine) };
    let machine = store.add(new).await.unwrap();
    assert_eq!(store.machine(&machine.system_id).await.unwrap().unwrap().description, "a\0b");
    assert_eq!(store.records(&RecordFilter::default()).await.unwrap().len(), 1);
    let filter = MachineFilter { agent_names: vec!["a\0b".to_owned()], ..MachineFilter::all() };
    assert_eq!(names(&store, filter).await, ["node-1"]);
    assert_eq!(store.machine_by_token("\0").await.unwrap(), None);
    assert_eq!(store.user("\0").await.unwrap(), None);
}

async fn a_closed_store_answers_that_it_is_closed(store: Arc<dyn Store>) {
    let machine = added(&store, sample(1)).await;
    store.close().await.unwrap();
    let error = store.machine(&machine.system_id).await.unwrap_err();
    assert!(matches!(error, StoreError::Closed { .. }), "{error:?}");
    let error = store.commit(Change::new(machine, Timestamp(2))).await.unwrap_err();
    assert!(matches!(error, CommitError::Backend(StoreError::Closed { .. })), "{error:?}");
}
