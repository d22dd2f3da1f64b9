//! The outbox: order, putting off, superseding, and when to wake.

use std::sync::Arc;
use std::time::Duration;

use maas_core::machine::Waiting;
use maas_core::machine::{Deadline, Effect, Machine};
use maas_core::time::Timestamp;

use super::{conforms, sample};
use crate::store::{Change, NewMachine, Settled, Store, WaitingEffects};

conforms!(
    effects_of_a_machine_are_given_out_one_after_the_other,
    a_failed_effect_blocks_its_own_machine_only,
    a_new_command_supersedes_what_waits,
    a_claimed_effect_is_given_to_one_worker_until_the_claim_ends,
    a_delayed_effect_is_due_after_its_delay,
    overdue_machines_come_most_overdue_first,
    the_next_wakeup_is_the_earliest_deadline_or_head,
);

async fn waiting(store: &Arc<dyn Store>, now: i64) -> Vec<(u64, Effect, u32)> {
    let effects = store.due_effects(Timestamp(now), 100).await.unwrap();
    effects.into_iter().map(|one| (one.id, one.effect, one.attempts)).collect()
}

async fn with(store: &Arc<dyn Store>, number: u64, effects: Vec<Effect>) -> Machine {
    store.add(NewMachine { effects, ..NewMachine::new(sample(number)) }).await.unwrap()
}

async fn effects_of_a_machine_are_given_out_one_after_the_other(store: Arc<dyn Store>) {
    let expected = [Effect::PowerOff, Effect::PowerOn, Effect::PowerCycle];
    with(&store, 1, expected.to_vec()).await;
    assert!(waiting(&store, 999).await.is_empty(), "due from the machine's creation at 1000 on");
    for effect in expected {
        let heads = waiting(&store, 1_000).await;
        assert_eq!(heads.len(), 1);
        assert_eq!(heads[0].1, effect);
        assert_eq!(store.effect_done(heads[0].0).await.unwrap(), Settled::Stored);
        assert_eq!(store.effect_done(heads[0].0).await.unwrap(), Settled::Gone);
    }
    assert!(waiting(&store, 1_000).await.is_empty());
}

async fn a_failed_effect_blocks_its_own_machine_only(store: Arc<dyn Store>) {
    with(&store, 1, vec![Effect::PowerOff, Effect::PowerOn]).await;
    with(&store, 2, vec![Effect::PowerCycle]).await;
    let heads = waiting(&store, 1_000).await;
    assert_eq!(heads.len(), 2);
    let (id, ..) = heads.into_iter().find(|head| head.1 == Effect::PowerOff).unwrap();
    let settled = store.effect_failed(id, Timestamp(5_000), "no answer").await.unwrap();
    assert_eq!(settled, Settled::Stored);
    let heads = waiting(&store, 4_999).await;
    assert_eq!(heads.len(), 1);
    assert_eq!(heads[0].1, Effect::PowerCycle);
    assert!(waiting(&store, 5_000).await.contains(&(id, Effect::PowerOff, 1)));
    assert_eq!(store.due_effects(Timestamp(5_000), 1).await.unwrap().len(), 1);
    let due = store.due_effects(Timestamp(5_000), 9).await.unwrap();
    assert!(due.iter().any(|one| one.id == id && one.error == "no answer"));
    store.effect_done(id).await.unwrap();
    let settled = store.effect_failed(id, Timestamp(6_000), "late").await.unwrap();
    assert_eq!(settled, Settled::Gone);
}

async fn a_new_command_supersedes_what_waits(store: Arc<dyn Store>) {
    let machine = with(&store, 1, vec![Effect::PowerOn, Effect::PowerCycle]).await;
    with(&store, 2, vec![Effect::PowerOn]).await;
    let old = waiting(&store, 1_000).await[0].0;
    let kept = Change { effects: vec![Effect::PowerOff], ..Change::new(machine, Timestamp(1_000)) };
    let machine = store.commit(kept).await.unwrap();
    assert_eq!(waiting(&store, 1_000).await[0].0, old, "what waits comes first");
    let superseding = Change {
        effects: vec![Effect::PowerOff],
        waiting_effects: WaitingEffects::Supersede,
        ..Change::new(Arc::unwrap_or_clone(machine), Timestamp(1_000))
    };
    let machine = store.commit(superseding).await.unwrap();
    let heads = store.due_effects(Timestamp(1_000), 100).await.unwrap();
    let mine: Vec<_> = heads.iter().filter(|one| one.system_id == machine.system_id).collect();
    assert_eq!((heads.len(), mine.len()), (2, 1));
    assert_eq!(mine[0].effect, Effect::PowerOff);
    assert_eq!(store.effect_done(mine[0].id).await.unwrap(), Settled::Stored);
    assert_eq!(store.effect_done(old).await.unwrap(), Settled::Gone);
    assert_eq!(waiting(&store, 9_000).await.len(), 1, "the other machine's is untouched");
}

async fn a_claimed_effect_is_given_to_one_worker_until_the_claim_ends(store: Arc<dyn Store>) {
    for number in 0..10 {
        with(&store, number, vec![Effect::PowerOff, Effect::PowerOn]).await;
    }
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let store = store.clone();
        workers.spawn(async move {
            let mut mine = Vec::new();
            for _ in 0..5 {
                let claimed = store.claim_effects(Timestamp(1_000), Timestamp(7_000), 2).await;
                let claimed = claimed.unwrap();
                assert!(claimed.len() <= 2);
                mine.extend(claimed);
            }
            mine
        });
    }
    let claimed: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    let ids: std::collections::BTreeSet<_> = claimed.iter().map(|one| one.id).collect();
    assert_eq!((claimed.len(), ids.len()), (10, 10), "each head once");
    assert!(claimed.iter().all(|one| one.effect == Effect::PowerOff && one.attempts == 0));
    assert!(waiting(&store, 6_999).await.is_empty());
    assert_eq!(waiting(&store, 7_000).await.len(), 10, "a dead worker's claim ends");
    assert_eq!(store.effect_done(claimed[0].id).await.unwrap(), Settled::Stored);
    assert_eq!(waiting(&store, 1_000).await[0].1, Effect::PowerOn);
}

async fn a_delayed_effect_is_due_after_its_delay(store: Arc<dyn Store>) {
    let query = Effect::QueryPower { after: Duration::from_micros(500) };
    with(&store, 1, vec![query.clone()]).await;
    assert!(waiting(&store, 1_499).await.is_empty());
    assert_eq!(waiting(&store, 1_500).await[0].1, query);
}

fn with_deadline(number: u64, at: i64) -> NewMachine {
    let mut machine = sample(number);
    machine.deadline = Some(Deadline {
        since: Timestamp(0),
        at: Timestamp(at),
        waiting_for: Waiting::NetworkBoot,
    });
    NewMachine::new(machine)
}

async fn overdue_machines_come_most_overdue_first(store: Arc<dyn Store>) {
    store.add(with_deadline(1, 300)).await.unwrap();
    store.add(with_deadline(2, 100)).await.unwrap();
    store.add(with_deadline(3, 200)).await.unwrap();
    store.add(NewMachine::new(sample(4))).await.unwrap();
    let overdue = store.machines_past_deadline(Timestamp(200), 10).await.unwrap();
    let names: Vec<_> = overdue.iter().map(|machine| machine.hostname.as_str()).collect();
    assert_eq!(names, ["node-2", "node-3"]);
    assert_eq!(store.machines_past_deadline(Timestamp(999), 1).await.unwrap().len(), 1);
    let mut machine = overdue[0].clone();
    machine.deadline = None;
    store.commit(Change::new(machine, Timestamp(250))).await.unwrap();
    assert_eq!(store.machines_past_deadline(Timestamp(200), 10).await.unwrap().len(), 1);
}

async fn the_next_wakeup_is_the_earliest_deadline_or_head(store: Arc<dyn Store>) {
    assert_eq!(store.next_wakeup().await.unwrap(), None);
    store.add(NewMachine::new(sample(4))).await.unwrap();
    assert_eq!(store.next_wakeup().await.unwrap(), None);
    store.add(with_deadline(1, 3_000)).await.unwrap();
    assert_eq!(store.next_wakeup().await.unwrap(), Some(Timestamp(3_000)));
    with(&store, 2, vec![Effect::PowerOff, Effect::PowerOn]).await;
    assert_eq!(store.next_wakeup().await.unwrap(), Some(Timestamp(1_000)));
    let head = waiting(&store, 1_000).await[0].0;
    store.effect_failed(head, Timestamp(2_500), "").await.unwrap();
    let wakeup = store.next_wakeup().await.unwrap();
    assert_eq!(wakeup, Some(Timestamp(2_500)), "the second effect waits for the first");
}
