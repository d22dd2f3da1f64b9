//! What holds for every network: nothing differs after a translation without being reported.

use maas_netconfig::esxi::{Nics, compat, plan};
use maas_netconfig::netplan::{self, Unknown};
use maas_netconfig::testing::{Flavour, networks, topologies};
use maas_netconfig::{Dialect, Loss, Network, SourceRouting, Topology, diff, maas_exact, v1, yaml};
use proptest::prelude::*;

fn explained(before: &Topology, after: &Topology, losses: &[Loss]) -> Result<(), TestCaseError> {
    for difference in diff(before, after) {
        prop_assert!(
            losses.iter().any(|loss| loss.explains(&difference)),
            "{difference} is not among {losses:?}"
        );
    }
    Ok(())
}

fn netplan_round_trip(topology: &Topology) -> Result<(), TestCaseError> {
    let rendered = netplan::render(topology);
    let text = rendered.to_yaml();
    let parsed = netplan::parse(&text, Unknown::Refuse);
    let parsed = parsed.map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
    prop_assert_eq!(&parsed.warnings, &vec![], "{}", text);
    explained(topology, &parsed.topology, &rendered.losses)
}

fn v1_round_trip(topology: &Topology) -> Result<(), TestCaseError> {
    for dialect in Dialect::ALL {
        let rendered = v1::render(topology, dialect);
        let text = rendered.to_yaml();
        let parsed = v1::parse(&text);
        let parsed = parsed.map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(&parsed.warnings, &vec![], "{}\n{}", dialect, text);
        explained(topology, &parsed.topology, &rendered.losses)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_networks_are_valid_and_keep_their_serialised_form(network in networks(Flavour::Everything)) {
        let problems = network.validate();
        prop_assert!(!problems.iter().any(maas_netconfig::Problem::is_error), "{:?}", problems);
        let text = yaml::to_string(&network).unwrap();
        prop_assert_eq!(yaml::from_str::<Network>(&text).unwrap(), network, "{}", text);
    }

    #[test]
    fn netplan_carries_everything_or_says_what_it_lost(topology in topologies()) {
        netplan_round_trip(&topology)?;
    }

    #[test]
    fn v1_carries_everything_or_says_what_it_lost(network in networks(Flavour::Everything)) {
        v1_round_trip(&network.resolve(SourceRouting::Off).unwrap())?;
    }

    #[test]
    fn v1_of_netplan_only_features_says_what_it_lost(mut topology in topologies()) {
        // What is built on a device that v1 lacks cannot be read back.
        topology.devices.retain(|device| !matches!(device.name.as_str(), "vrf0"));
        v1_round_trip(&topology)?;
    }

    #[test]
    fn what_esxi_can_do_is_planned(network in networks(Flavour::Esxi)) {
        let topology = network.resolve(SourceRouting::Off).unwrap();
        match plan(&topology, &Nics::AtRunTime) {
            Ok(plan) => prop_assert!(plan.shell().ends_with("echo 'maas-network: done'\n")),
            Err(refused) => {
                // Two ways in which a network that MAAS allows cannot work on ESXi.
                let only = refused.problems.iter().filter(|problem| problem.is_error()).all(|problem| {
                    matches!(problem.code.as_str(), "gateway-unreachable" | "unsupported")
                });
                prop_assert!(only, "{}", refused);
            }
        }
        let rendered = v1::render(&topology, Dialect::Esxi);
        let compat = compat(rendered.network(), &[]);
        prop_assert!(compat.is_ok(), "{:?}", compat);
    }

    #[test]
    fn maas_exact_is_yaml_for_every_network(network in networks(Flavour::Everything)) {
        let document = maas_exact::v1(&network).unwrap();
        prop_assert_eq!(yaml::from_str::<yaml::Value>(&yaml::to_string(&document).unwrap()).unwrap(), document);
        // Refused only where MAAS fails too.
        if let Ok(document) = maas_exact::v2(&network, SourceRouting::On) {
            prop_assert_eq!(yaml::from_str::<yaml::Value>(&yaml::to_string(&document).unwrap()).unwrap(), document);
        }
    }

    #[test]
    fn no_document_makes_a_reader_panic(document in any_document()) {
        drop(v1::parse(&document));
        drop(netplan::parse(&document, Unknown::Refuse));
        drop(netplan::parse(&document, Unknown::Keep));
        drop(maas_netconfig::read_model(&document));
    }
}

/// Documents that look right at first.
fn any_document() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("version"),
        Just("config"),
        Just("network"),
        Just("ethernets"),
        Just("bonds"),
        Just("vlans"),
        Just("type"),
        Just("physical"),
        Just("bond"),
        Just("vlan"),
        Just("name"),
        Just("eth0"),
        Just("subnets"),
        Just("static"),
        Just("address"),
        Just("addresses"),
        Just("routes"),
        Just("to"),
        Just("via"),
        Just("match"),
        Just("set-name"),
        Just("params"),
        Just("parameters"),
        Just("interfaces"),
        Just("10.0.0.1/24"),
        Just("fe80::1"),
        Just("1"),
        Just("2"),
        Just("4096"),
        Just("-1"),
        Just("[]"),
        Just("{}"),
        Just("null"),
        Just("~"),
    ];
    let leaf = word.prop_map(str::to_owned);
    let tree = leaf.prop_recursive(5, 64, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec(("[a-z]{1,10}", inner.clone()), 0..5).prop_map(|entries| {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
            (
                prop_oneof![
                    Just("version"),
                    Just("config"),
                    Just("network"),
                    Just("ethernets"),
                    Just("bonds"),
                    Just("eth0"),
                    Just("subnets"),
                    Just("routes"),
                    Just("type"),
                ],
                inner.clone(),
                inner
            )
                .prop_map(|(key, value, other)| format!("{{{key}: {value}, name: {other}}}")),
        ]
    });
    prop_oneof![
        tree.clone().prop_map(|tree| format!("{{version: 1, config: [{tree}]}}")),
        tree.clone().prop_map(|tree| format!("{{version: 2, ethernets: {{eth0: {tree}}}}}")),
        tree,
    ]
}
