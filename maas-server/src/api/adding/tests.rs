#![allow(clippy::unwrap_used)]

use maas_core::ipam::Domain;
use proptest::prelude::*;

use super::*;
use crate::testing::{form, region};

fn blamed(problem: Problem) -> Vec<String> {
    let Problem::Fields(errors) = problem else { panic!("{problem:?}") };
    errors.iter().map(|(field, _)| field.to_owned()).collect()
}

#[tokio::test]
async fn a_new_machine_has_what_was_told_and_defaults_for_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let fields = form(&[
        ("architecture", "amd64/generic"),
        ("hostname", "node1.example.com"),
        ("mac_addresses", "52-54-00-00-00-01"),
        ("mac_addresses", "52:54:00:00:00:02, 02:00:00:00:00:02"),
        ("power_type", "manual"),
    ]);
    let mut networks = Networks::default();
    assert_eq!(
        blamed(super::told(&region, &networks, &fields, Teller::Administrator).unwrap_err()),
        ["domain"]
    );
    let enlisting = super::told(&region, &networks, &fields, Teller::Machine).unwrap();
    assert_eq!(enlisting.domain, "maas", "what some DHCP server called it is no reason to refuse");
    let name = "example.com".to_owned();
    networks.add_domain(Domain { name, ttl: None, authoritative: false }).unwrap();
    let told = told(&region, &networks, &fields, Teller::Administrator).unwrap();
    assert_eq!((told.hostname.as_str(), told.domain.as_str()), ("node1", "example.com"));
    assert_eq!(told.mac_addresses.len(), 2, "the address without hardware is left out: {told:?}");
    assert_eq!((told.pool.as_str(), told.zone.as_str()), ("default", "default"));
    let machine = Machine::added(told, clock::now()).unwrap();
    assert!(machine.mac_addresses.contains("52:54:00:00:00:01"));
}

#[tokio::test]
async fn every_field_that_cannot_be_used_is_named_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let fields = form(&[
        ("hostname", "not a name"),
        ("mac_addresses", "nonsense"),
        ("power_type", "telepathy"),
        ("power_parameters", "[1]"),
    ]);
    let problem = told(&region, &Networks::default(), &fields, Teller::Administrator).unwrap_err();
    let expected = ["architecture", "hostname", "mac_addresses", "power_parameters", "power_type"];
    assert_eq!(blamed(problem), expected);
    let webhook = form(&[("architecture", "amd64"), ("power_type", "webhook")]);
    assert_eq!(
        blamed(told(&region, &Networks::default(), &webhook, Teller::Administrator).unwrap_err()),
        ["power_type"]
    );
}

#[test]
fn power_parameters_come_as_json_and_as_single_fields() {
    let fields = form(&[
        ("power_parameters", r#"{"power_on_uri": "http://a", "power_user": "u"}"#),
        ("power_parameters_power_user", "v"),
        ("power_parameters_skip_check", "true"),
    ]);
    let read = parameters(&fields).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!(read["power_user"], "v", "a field of its own wins");
    assert!(parameters(&form(&[("power_parameters", "{")])).is_err());
    assert!(parameters(&form(&[])).unwrap().is_empty());
}

#[tokio::test]
async fn enlisting_twice_gives_one_machine() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let tell = |macs: &str| {
        told(
            &region,
            &Networks::default(),
            &form(&[("architecture", "amd64"), ("mac_addresses", macs)]),
            Teller::Administrator,
        )
        .unwrap()
    };
    let first = enlist(&region, tell("52:54:00:00:00:01"), true).await.unwrap();
    let again = enlist(&region, tell("52:54:00:00:00:01,52:54:00:00:00:02"), true).await.unwrap();
    assert_eq!(first.system_id, again.system_id);
    assert_eq!(again.mac_addresses.len(), 2);
    assert!(again.enlisting && names::is_hostname(&again.hostname));
    assert!(enlist(&region, tell(""), true).await.is_err(), "without an address it is nobody");
}

proptest! {
    #[test]
    fn no_parameters_make_it_panic(name in prop_oneof![
        Just("power_parameters"), Just("power_parameters_x"),
    ], text in "\\PC{0,40}") {
        drop(parameters(&form(&[(name, &text)])));
    }
}
