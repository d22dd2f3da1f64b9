//! Records, outputs and numbers.

use std::sync::Arc;

use maas_core::explain::Reported;
use maas_core::machine::event::{Report, ReportPhase};
use maas_core::machine::{Level, Machine};
use maas_core::time::Timestamp;

use super::{conforms, record, sample};
use crate::store::{
    Change, KEPT_REPORTS, NewMachine, RecordFilter, RunReport, ScriptOutput, Store, Stream,
};

conforms!(
    records_come_back_as_they_were,
    records_are_paged_in_both_directions,
    records_are_filtered,
    old_records_are_pruned_oldest_first,
    an_output_replaces_the_one_of_the_same_stream,
    numbers_are_never_given_twice,
    reports_of_a_run_replace_those_of_the_last_and_the_middle_is_forgotten,
);

async fn with_records(store: &Arc<dyn Store>, number: u64, count: i64) -> Machine {
    let records = (0..count).map(|at| record(at, Level::Info, &format!("{number}/{at}")));
    let new = NewMachine { records: records.collect(), ..NewMachine::new(sample(number)) };
    store.add(new).await.unwrap()
}

async fn page(store: &Arc<dyn Store>, filter: RecordFilter) -> Vec<(u64, String)> {
    let records = store.records(&filter).await.unwrap();
    records.into_iter().map(|stored| (stored.id, stored.record.description)).collect()
}

fn words(page: &[(u64, String)]) -> String {
    page.iter().map(|(_, word)| word.as_str()).collect::<Vec<_>>().join(" ")
}

async fn records_come_back_as_they_were(store: Arc<dyn Store>) {
    let mut full = record(-5, Level::Error, "it's \"odd\": \u{1f980}\n");
    full.username = Some("alice".to_owned());
    let new = NewMachine { records: vec![full.clone()], ..NewMachine::new(sample(1)) };
    let machine = store.add(new).await.unwrap();
    let records = store.records(&RecordFilter::default()).await.unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0].record, &records[0].system_id), (&full, &machine.system_id));
}

async fn records_are_paged_in_both_directions(store: Arc<dyn Store>) {
    with_records(&store, 1, 5).await;
    let newest = page(&store, RecordFilter { limit: 2, ..RecordFilter::default() }).await;
    assert_eq!(words(&newest), "1/4 1/3");
    let filter = RecordFilter { limit: 2, before: Some(newest[1].0), ..RecordFilter::default() };
    let older = page(&store, filter).await;
    assert_eq!(words(&older), "1/2 1/1");
    let filter = RecordFilter { limit: 2, before: Some(older[1].0), ..RecordFilter::default() };
    assert_eq!(words(&page(&store, filter).await), "1/0");
    let filter = RecordFilter { limit: 2, after: Some(older[1].0), ..RecordFilter::default() };
    assert_eq!(words(&page(&store, filter).await), "1/3 1/2");
    let (before, after) = (Some(newest[0].0), Some(older[1].0));
    let filter = RecordFilter { limit: 1, before, after, ..RecordFilter::default() };
    assert_eq!(words(&page(&store, filter).await), "1/3");
    let filter = RecordFilter { after: Some(u64::MAX), ..RecordFilter::default() };
    assert!(page(&store, filter).await.is_empty());
}

async fn records_are_filtered(store: Arc<dyn Store>) {
    let first = with_records(&store, 1, 2).await;
    let second = with_records(&store, 2, 1).await;
    let mut warning = record(9, Level::Warning, "warned");
    warning.username = Some("alice".to_owned());
    let change = Change {
        records: vec![warning, record(9, Level::Debug, "debugged")],
        ..Change::new(second, Timestamp(9))
    };
    store.commit(change).await.unwrap();
    let every = RecordFilter::default;
    let filter = RecordFilter { machines: vec![first.system_id], ..every() };
    assert_eq!(words(&page(&store, filter).await), "1/1 1/0");
    let filter = RecordFilter { levels: vec![Level::Warning, Level::Debug], ..every() };
    assert_eq!(words(&page(&store, filter).await), "debugged warned");
    let filter = RecordFilter { usernames: vec!["alice".to_owned()], ..every() };
    assert_eq!(words(&page(&store, filter).await), "warned");
}

async fn old_records_are_pruned_oldest_first(store: Arc<dyn Store>) {
    with_records(&store, 1, 5).await;
    assert_eq!(store.prune_records(Timestamp(3), 2).await.unwrap(), 2);
    assert_eq!(words(&page(&store, RecordFilter::default()).await), "1/4 1/3 1/2");
    assert_eq!(store.prune_records(Timestamp(3), 9).await.unwrap(), 1);
    assert_eq!(store.prune_records(Timestamp(3), 9).await.unwrap(), 0);
}

async fn reports_of_a_run_replace_those_of_the_last_and_the_middle_is_forgotten(
    store: Arc<dyn Store>,
) {
    let report = |run: &str, number: u64| RunReport {
        run: run.to_owned(),
        number,
        reported: Reported {
            at: Timestamp(7),
            report: Report {
                origin: "curtin".to_owned(),
                name: format!("cmd-install/{run}-{number}"),
                description: "it's \u{1f980}".to_owned(),
                phase: ReportPhase::Start,
            },
        },
    };
    let mut machine = Arc::new(with_records(&store, 1, 0).await);
    for reports in [
        vec![report("a", 0), report("a", 1)],
        vec![report("a", 1), report("a", 2)],
        vec![report("b", 0)],
        (1..=KEPT_REPORTS.0 + KEPT_REPORTS.1 + 300).map(|number| report("b", number)).collect(),
    ] {
        let loaded = Some(Arc::clone(&machine));
        let change = Change {
            reports: reports.clone(),
            loaded,
            ..Change::new(Arc::unwrap_or_clone(machine), Timestamp(9))
        };
        machine = store.commit(change).await.unwrap();
        let kept = store.reports(&machine.system_id).await.unwrap();
        assert_eq!(kept.last(), reports.last());
        assert!(kept.iter().all(|one| one.run == reports[0].run));
        assert!(kept.is_sorted_by_key(|one| one.number));
        assert_eq!(kept[0].number, 0);
    }
    let kept = store.reports(&machine.system_id).await.unwrap();
    assert!(kept.len() < 800, "{}", kept.len());
    assert_eq!(kept[99].number, 99);
    store.delete(&machine.system_id, machine.version).await.unwrap();
    assert!(store.reports(&machine.system_id).await.unwrap().is_empty());
}

async fn an_output_replaces_the_one_of_the_same_stream(store: Arc<dyn Store>) {
    let output = |stream, bytes: &[u8]| ScriptOutput { run_id: 3, stream, bytes: bytes.to_vec() };
    let new = NewMachine {
        outputs: vec![output(Stream::Result, b"r"), output(Stream::Combined, b"old")],
        ..NewMachine::new(sample(1))
    };
    let machine = store.add(new).await.unwrap();
    let change = Change {
        outputs: vec![output(Stream::Combined, b"")],
        ..Change::new(machine, Timestamp(9))
    };
    store.commit(change).await.unwrap();
    let expected = [output(Stream::Combined, b""), output(Stream::Result, b"r")];
    assert_eq!(store.outputs(3).await.unwrap(), expected);
    assert!(store.outputs(u64::MAX).await.unwrap().is_empty());
}

async fn numbers_are_never_given_twice(store: Arc<dyn Store>) {
    assert_eq!(store.next_ids("script", 3).await.unwrap(), 1);
    assert_eq!(store.next_ids("script", 1).await.unwrap(), 4);
    assert_eq!(store.next_ids("other", 1).await.unwrap(), 1);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        tasks.spawn(async move { store.next_ids("script", 2).await.unwrap() });
    }
    let mut firsts = tasks.join_all().await;
    firsts.sort_unstable();
    assert_eq!(firsts, (0..20).map(|one| 5 + 2 * one).collect::<Vec<u64>>());
}
