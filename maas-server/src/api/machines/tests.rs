#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::testing::form;

fn blamed(problem: Problem) -> Vec<String> {
    let Problem::Fields(errors) = problem else { panic!("{problem:?}") };
    errors.iter().map(|(field, _)| field.to_owned()).collect()
}

#[test]
fn filters_are_read_and_what_names_nothing_matches_nothing() {
    let (read, domains) = filter(&form(&[
        ("hostname", "a.maas,b"),
        ("mac_address", "52-54-00-00-00-01"),
        ("status", "ready"),
        ("status", "6"),
        ("domain", "maas"),
        ("tags", "x y"),
    ]))
    .unwrap()
    .unwrap();
    assert_eq!(read.hostnames, ["a", "b"]);
    assert_eq!(read.macs, ["52:54:00:00:00:01"]);
    assert_eq!(read.statuses, [Status::Ready, Status::Deployed]);
    assert_eq!((read.tags.len(), domains), (2, vec!["maas".to_owned()]));

    assert!(filter(&form(&[("id", "no id at all")])).unwrap().is_none());
    let (wrong, _) = filter(&form(&[("mac_address", "zz")])).unwrap().unwrap();
    assert!(!wrong.matches(&crate::testing::machine(1)));
    assert_eq!(blamed(filter(&form(&[("status", "happy")])).unwrap_err()), ["status"]);
    let (all, _) = filter(&form(&[])).unwrap().unwrap();
    assert_eq!(all, MachineFilter::all());
}

proptest! {
    #[test]
    fn no_filter_makes_it_panic(name in prop_oneof![
        Just("id"), Just("status"), Just("mac_address"), Just("hostname"),
    ], text in "\\PC{0,40}") {
        drop(filter(&form(&[(name, &text)])));
    }
}
