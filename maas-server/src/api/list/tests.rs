//! Lists: filters, tags, streams.

#![allow(clippy::unwrap_used)]

use maas_core::machine::PowerState;
use proptest::prelude::*;

use super::*;
use crate::testing::{form, machine};

fn read(fields: &[(&str, &str)]) -> Wanted {
    Wanted::read(&form(fields)).unwrap()
}

#[test]
fn filters_that_a_query_knows_go_into_the_query() {
    let wanted = read(&[
        ("hostname", "node1.maas"),
        ("mac_address", "52-54-00-AA-00-01"),
        ("status", "failed_deployment,ready"),
        ("zone", "upper floor"),
        ("tags", "gpu,fast"),
    ]);
    assert_eq!(wanted.filter.hostnames, ["node1"]);
    assert_eq!(wanted.filter.macs, ["52:54:00:aa:00:01"]);
    assert_eq!(wanted.filter.statuses, [Status::FailedDeployment, Status::Ready]);
    assert_eq!(wanted.filter.zones, ["upper floor"]);
    assert_eq!(wanted.filter.tags, ["gpu", "fast"]);
    assert!(wanted.rest.is_empty() && !wanted.nothing);
    assert!(read(&[("id", "no id at all")]).nothing);
    // What is no address is no machine's.
    assert_eq!(read(&[("mac_address", "zz")]).filter.macs, ["zz"]);
    let Problem::Fields(errors) = Wanted::read(&form(&[("status", "happy")])).unwrap_err() else {
        panic!()
    };
    assert_eq!(errors.iter().next().unwrap().0, "status");
    assert_eq!(read(&[]).filter, MachineFilter::all());
}

#[test]
fn every_other_filter_has_a_machine_that_matches_and_one_that_does_not() {
    let mut one = machine(1);
    one.power.state = PowerState::On;
    one.tags.insert("gpu".to_owned());
    one.owner = Some("ann".to_owned());
    one.pool = "blue".to_owned();
    let mac = one.mac_addresses.first().unwrap().clone();
    let id = one.system_id.to_string();
    for (name, held, other) in [
        ("domain", "maas", "example"),
        ("simple_status", "New", "ready"),
        ("power_state", "on", "off"),
        ("not_hostname", "other", "node1"),
        ("not_mac_address", "52:54:00:00:00:99", &mac),
        ("not_status", "ready", "new"),
        ("not_owner", "bob", "ann"),
        ("not_in_pool", "default", "blue"),
        ("not_zone", "x", "default"),
        ("not_tags", "slow", "gpu"),
        ("not_arch", "arm64", "amd64"),
        ("not_id", "aaaaaa", &id),
    ] {
        let holds = |value: &str| read(&[(name, value)]).rest.iter().all(|rest| rest.holds(&one));
        assert!(holds(held) && !holds(other), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_filter_makes_it_panic(name in "[a-z_]{0,16}", text in "\\PC{0,40}") {
        drop(Wanted::read(&form(&[(&name, &text), ("limit", &text)])));
    }
}
