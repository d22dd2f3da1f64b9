//! The in-memory store is the model of the SQLite store: whatever is done to both, they answer
//! the same.

use std::collections::BTreeSet;
use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;

use maas_core::id::SystemId;
use maas_core::machine::{Deadline, Effect, Level, Machine, Status, Waiting};
use maas_core::secret::Secret;
use maas_core::time::Timestamp;

use super::{record, sample};
use crate::store::{
    Attachment, AttachmentChange, Change, CommitError, MachineFilter, MemoryStore, NewMachine,
    RecordFilter, SqlStore, Store, WaitingEffects,
};

/// What a machine is made of; few values, so that they meet.
#[derive(Debug, Clone)]
struct Parts {
    macs: BTreeSet<u8>,
    hostname: u8,
    tags: BTreeSet<u8>,
    status: Status,
    deadline: Option<i64>,
}

#[derive(Debug, Clone)]
enum Deed {
    Add {
        machine: u64,
        parts: Parts,
        effects: Vec<Effect>,
    },
    Commit {
        machine: u64,
        behind: u64,
        parts: Parts,
        effects: Vec<Effect>,
        waiting: WaitingEffects,
        plan: AttachmentChange,
    },
    Delete {
        machine: u64,
        behind: u64,
    },
    Done {
        head: usize,
    },
    Failed {
        head: usize,
        next_due: i64,
    },
    Claim {
        now: i64,
        until: i64,
    },
    Prune {
        before: i64,
    },
    Progress {
        machine: u64,
        behind: u64,
        deadline: Option<i64>,
        message: String,
    },
}

fn parts() -> impl Strategy<Value = Parts> {
    let statuses = prop_oneof![Just(Status::New), Just(Status::Ready), Just(Status::Deployed)];
    (
        proptest::collection::btree_set(0..5u8, 0..3),
        0..5u8,
        proptest::collection::btree_set(0..3u8, 0..3),
        statuses,
        proptest::option::of(0..100i64),
    )
        .prop_map(|(macs, hostname, tags, status, deadline)| Parts {
            macs,
            hostname,
            tags,
            status,
            deadline,
        })
}

fn effects() -> impl Strategy<Value = Vec<Effect>> {
    vec(prop_oneof![Just(Effect::PowerOn), Just(Effect::PowerOff)], 0..3)
}

fn deed() -> impl Strategy<Value = Deed> {
    let waiting = prop_oneof![Just(WaitingEffects::Keep), Just(WaitingEffects::Supersede)];
    let plan = prop_oneof![
        Just(AttachmentChange::Keep),
        Just(AttachmentChange::Clear),
        any::<Vec<u8>>().prop_map(|bytes| AttachmentChange::Set(Secret::new(bytes))),
    ];
    let behind = prop_oneof![4 => Just(0u64), 1 => Just(1)];
    let progress = (0..4u64, behind.clone(), proptest::option::of(0..100i64), "[a-z]{0,3}");
    prop_oneof![
        4 => progress.prop_map(|(machine, behind, deadline, message)| Deed::Progress {
            machine, behind, deadline, message,
        }),
        4 => (0..4u64, parts(), effects())
            .prop_map(|(machine, parts, effects)| Deed::Add { machine, parts, effects }),
        6 => (0..4u64, behind, parts(), effects(), waiting, plan).prop_map(
            |(machine, behind, parts, effects, waiting, plan)| Deed::Commit {
                machine, behind, parts, effects, waiting, plan,
            }
        ),
        1 => (0..4u64, 0..2u64).prop_map(|(machine, behind)| Deed::Delete { machine, behind }),
        2 => (0..3usize).prop_map(|head| Deed::Done { head }),
        1 => (0..3usize, 0..100i64).prop_map(|(head, next_due)| Deed::Failed { head, next_due }),
        1 => (0..100i64, 0..100i64).prop_map(|(now, until)| Deed::Claim { now, until }),
        1 => (0..20i64).prop_map(|before| Deed::Prune { before }),
    ]
}

fn build(machine: u64, version: u64, parts: &Parts) -> Machine {
    let mut built = sample(machine);
    built.version = version;
    built.mac_addresses = parts.macs.iter().map(|mac| format!("52:54:00:00:00:0{mac}")).collect();
    built.hostname =
        if parts.hostname == 0 { String::new() } else { format!("host-{}", parts.hostname) };
    built.tags = parts.tags.iter().map(|tag| format!("tag-{tag}")).collect();
    built.status = parts.status;
    built.deadline = parts.deadline.map(deadline);
    built
}

fn deadline(at: i64) -> Deadline {
    Deadline { since: Timestamp(0), at: Timestamp(at), waiting_for: Waiting::NetworkBoot }
}

/// The kind of an error: which of several duplicates is told first is left open.
fn kind<T: Debug, E: Debug>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => {
            let text = format!("{error:?}");
            text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
        }
    }
}

async fn carry_out(store: &dyn Store, step: i64, deed: &Deed) -> String {
    let now = Timestamp(step);
    let version = async |machine: u64, behind: u64| {
        let found = store.machine(&SystemId::from_entropy(machine)).await.unwrap();
        found.map_or(1, |found| found.version.saturating_sub(behind))
    };
    let head = async |head: usize| {
        let due = store.due_effects(Timestamp(i64::MAX), 100).await.unwrap();
        due.get(head).map_or(0, |effect| effect.id)
    };
    match deed.clone() {
        Deed::Add { machine, parts, effects } => {
            let machine = build(machine, 0, &parts);
            let records = vec![record(step, Level::Info, "added")];
            kind(store.add(NewMachine { effects, records, ..NewMachine::new(machine) }).await)
        }
        Deed::Commit { machine, behind, parts, effects, waiting, plan } => {
            let loaded = store.machine(&SystemId::from_entropy(machine)).await.unwrap();
            let machine = build(machine, version(machine, behind).await, &parts);
            let change = Change {
                loaded,
                effects,
                waiting_effects: waiting,
                records: vec![record(step, Level::Debug, "changed")],
                plan,
                ..Change::new(machine, now)
            };
            kind(store.commit(change).await)
        }
        Deed::Progress { machine, behind, deadline: at, message } => {
            let loaded = store.machine(&SystemId::from_entropy(machine)).await.unwrap();
            let mut moved = loaded.as_deref().cloned().unwrap_or_else(|| sample(machine));
            moved.version = moved.version.saturating_sub(behind);
            moved.deadline = at.map(deadline);
            moved.last_ping = at.map(Timestamp);
            moved.status_message = message;
            kind(store.commit(Change { loaded, ..Change::new(moved, now) }).await)
        }
        Deed::Delete { machine, behind } => {
            let version = version(machine, behind).await;
            kind::<_, CommitError>(store.delete(&SystemId::from_entropy(machine), version).await)
        }
        Deed::Done { head: number } => kind(store.effect_done(head(number).await).await),
        Deed::Failed { head: number, next_due } => {
            let id = head(number).await;
            kind(store.effect_failed(id, Timestamp(next_due), "no answer").await)
        }
        Deed::Claim { now, until } => {
            kind(store.claim_effects(Timestamp(now), Timestamp(until), 100).await)
        }
        Deed::Prune { before } => kind(store.prune_records(Timestamp(before), 100).await),
    }
}

/// Everything that can be asked.
async fn state(store: &dyn Store) -> Vec<String> {
    let mut said = Vec::new();
    said.push(kind(store.machines(&MachineFilter::all()).await));
    let tagged = MachineFilter {
        tags: vec!["tag-1".to_owned()],
        statuses: vec![Status::Ready, Status::New],
        ..MachineFilter::all()
    };
    said.push(kind(store.machines(&tagged).await));
    for mac in 0..5 {
        said.push(kind(store.machine_by_mac(&format!("52:54:00:00:00:0{mac}")).await));
    }
    for machine in 0..4 {
        let id = SystemId::from_entropy(machine);
        let plan = store.attachment(&id, Attachment::Plan).await.unwrap();
        said.push(format!("{:?}", plan.map(Secret::into_inner)));
    }
    for now in [50, i64::MAX] {
        said.push(kind(store.due_effects(Timestamp(now), 100).await));
        said.push(kind(
            store
                .machines_past_deadline(Timestamp(now), 1)
                .await
                .map(|all| all.into_iter().map(|machine| machine.deadline).collect::<Vec<_>>()),
        ));
    }
    said.push(kind(store.next_wakeup().await));
    said.push(kind(store.records(&RecordFilter::default()).await));
    said
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_sqlite_answer_the_same(deeds in vec(deed(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let memory = MemoryStore::new();
            let sqlite = SqlStore::sqlite(&directory.path().join("maas.db")).await.unwrap();
            for (step, deed) in (0..).zip(&deeds) {
                prop_assert_eq!(
                    carry_out(&memory, step, deed).await,
                    carry_out(&sqlite, step, deed).await,
                    "{:?}", deed
                );
                for (in_memory, in_file) in state(&memory).await.into_iter().zip(state(&sqlite).await) {
                    prop_assert_eq!(in_memory, in_file, "after {:?}", deed);
                }
            }
            sqlite.close().await.unwrap();
            Ok(())
        })?;
    }
}
