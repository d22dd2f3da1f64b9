//! What lists are built from: heads of machines and the stamp of documents.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{conforms, sample};
use crate::store::filter::UNSEEN;
use crate::store::{Change, Document, MachineFilter, NewMachine, Store};

conforms!(
    heads_are_those_of_the_machines_in_the_same_order,
    the_stamp_changes_with_every_document_that_is_seen,
);

async fn heads_are_those_of_the_machines_in_the_same_order(store: Arc<dyn Store>) {
    for number in 0..5 {
        let mut machine = sample(number);
        machine.owner = (number % 2 == 0).then(|| "ann".to_owned());
        store.add(NewMachine::new(machine)).await.unwrap();
    }
    let machine = store.machine(&sample(3).system_id).await.unwrap().unwrap();
    store
        .commit(Change::new(Arc::unwrap_or_clone(machine), maas_core::time::Timestamp(2_000)))
        .await
        .unwrap();
    let owned = MachineFilter { owners: vec!["ann".to_owned()], ..MachineFilter::all() };
    let none = MachineFilter { zones: vec!["nowhere".to_owned()], ..MachineFilter::all() };
    for filter in [MachineFilter::all(), owned, none] {
        let machines = store.machines(&filter).await.unwrap();
        let heads = store.machine_heads(&filter).await.unwrap();
        assert_eq!(heads.len(), machines.len());
        for (head, machine) in heads.iter().zip(&machines) {
            assert_eq!(
                (&head.system_id, head.version, &head.owner),
                (&machine.system_id, machine.version, &machine.owner)
            );
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Seen(String);

impl Document for Seen {
    const KIND: &'static str = "seen";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.0))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Unseen;

impl Document for Unseen {
    const KIND: &'static str = UNSEEN[0];
}

async fn the_stamp_changes_with_every_document_that_is_seen(store: Arc<dyn Store>) {
    let mut stamps = BTreeSet::from([store.documents_stamp().await.unwrap()]);
    let mut new = async |what: &str| {
        let stamp = store.documents_stamp().await.unwrap();
        assert!(stamps.insert(stamp.clone()), "{what}: {stamp} was there before");
        stamp
    };
    let first = store.insert(Seen("a".to_owned())).await.unwrap();
    new("inserted").await;
    let first = store.update(first).await.unwrap();
    new("changed").await;
    let second = store.insert(Seen("b".to_owned())).await.unwrap();
    new("another").await;
    store.remove::<Seen>(first.id, first.version).await.unwrap();
    new("deleted").await;
    store.insert(Seen("a".to_owned())).await.unwrap();
    let last = new("again").await;
    store.insert(Unseen).await.unwrap();
    assert_eq!(store.documents_stamp().await.unwrap(), last, "nobody sees that one");
    store.remove::<Seen>(second.id, second.version).await.unwrap();
    new("the last").await;
}
