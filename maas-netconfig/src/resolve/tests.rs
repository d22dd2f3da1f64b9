#![allow(clippy::unwrap_used)]

use super::*;
use crate::sample::{GATEWAYS, SIMPLE, STACKED, network};
use crate::yaml;

fn resolved(text: &str) -> Topology {
    network(text).resolve(SourceRouting::Off).unwrap()
}

fn device(topology: &Topology, name: &str) -> Device {
    topology.device(&name.parse().unwrap()).unwrap().clone()
}

#[test]
fn devices_come_parents_first_in_maas_order() {
    let names: Vec<String> =
        resolved(STACKED).devices.iter().map(|device| device.name.to_string()).collect();
    assert_eq!(
        names,
        ["eno1", "eno2", "bond0", "bond0.300", "bond0.310", "br-tenant", "eno9", "br-ovs"]
    );
}

#[test]
fn mtus_are_raised_to_what_is_built_on_top_but_never_lowered_or_raised_above() {
    let topology = resolved(STACKED);
    let mtu = |name| device(&topology, name).mtu.unwrap().bytes();
    assert_eq!((mtu("eno1"), mtu("bond0"), mtu("bond0.300")), (9000, 9000, 9000));
    assert_eq!((mtu("bond0.310"), mtu("br-tenant"), mtu("eno9")), (1500, 1500, 1500));
}

#[test]
fn a_bridge_without_mac_takes_that_of_the_hardware_below() {
    let bridge = device(&resolved(STACKED), "br-tenant");
    assert_eq!(bridge.kind.mac().unwrap().to_string(), "52:54:00:aa:00:01");
}

#[test]
fn disabled_interfaces_vanish_and_disconnected_ones_are_optional() {
    let topology = resolved(SIMPLE);
    assert!(topology.device(&"eno5".parse().unwrap()).is_none());
    assert_eq!(device(&topology, "eno4").optional, Some(true));
    assert_eq!(device(&topology, "eno2").optional, None);
}

#[test]
fn dhcp_without_subnet_asks_for_both_families() {
    let eno3 = device(&resolved(SIMPLE), "eno3");
    assert!(eno3.dhcp4 && eno3.dhcp6);
}

#[test]
fn rack_dns_comes_before_the_subnets_own_and_search_lists_come_with_it() {
    let eno1 = device(&resolved(SIMPLE), "eno1");
    let servers: Vec<String> = eno1.dns.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.20.0.2", "10.20.0.53"]);
    assert_eq!(eno1.dns.search, ["lab.example", "corp.example", "maas"]);
}

#[test]
fn there_is_one_default_gateway_per_family() {
    let topology = resolved(GATEWAYS);
    let gateways = |name| {
        let device = device(&topology, name);
        device.routes.iter().filter(|route| route.is_gateway()).count()
    };
    assert_eq!((gateways("eno1"), gateways("eno2")), (2, 0));
}

#[test]
fn the_gateway_choice_of_the_user_wins() {
    let mut network = network(GATEWAYS);
    network.gateways.ipv4 =
        Some(crate::model::GatewayLink { interface: "eno2".parse().unwrap(), subnet: "b4".into() });
    let topology = network.resolve(SourceRouting::Off).unwrap();
    assert_eq!(device(&topology, "eno2").gateway(Family::V4).unwrap().to_string(), "10.50.0.1");
    assert_eq!(device(&topology, "eno1").gateway(Family::V4), None);
}

#[test]
fn source_routing_gives_each_further_gateway_its_own_table_and_keeps_the_main_routes() {
    let topology = network(GATEWAYS).resolve(SourceRouting::On).unwrap();
    let eno2 = device(&topology, "eno2");
    let routes: Vec<(String, String, Option<u32>)> = eno2
        .routes
        .iter()
        .map(|route| (route.to.to_string(), route.via.unwrap().to_string(), route.table))
        .collect();
    let row = |to: &str, via: &str, table| (to.to_owned(), via.to_owned(), table);
    assert_eq!(
        routes,
        [
            row("172.30.0.0/16", "10.50.0.254", None),
            row("0.0.0.0/0", "10.50.0.1", Some(1)),
            row("172.30.0.0/16", "10.50.0.254", Some(1)),
            row("::/0", "fe80::1", Some(2)),
        ]
    );
    assert_eq!(eno2.policies.len(), 4);
    assert!(device(&topology, "eno1").policies.is_empty());
}

#[test]
fn an_auto_link_without_address_is_left_out_with_everything_that_hangs_on_it() {
    let mut network = network(SIMPLE);
    network.interfaces[0].links = vec![Link::Auto { subnet: "lab".into(), ip: None }];
    let topology = network.resolve(SourceRouting::Off).unwrap();
    let eno1 = device(&topology, "eno1");
    assert!(eno1.addresses.is_empty() && eno1.routes.is_empty() && eno1.dns.is_empty());
}

#[test]
fn disabled_members_are_dropped_and_a_bond_without_members_is_refused() {
    let mut network = network(STACKED);
    network.interfaces[1].enabled = false;
    let topology = network.resolve(SourceRouting::Off).unwrap();
    assert_eq!(device(&topology, "bond0").kind.parents(), ["eno1".parse().unwrap()]);
    network.interfaces[0].enabled = false;
    let refused = network.resolve(SourceRouting::Off).unwrap_err();
    assert!(refused.problems.iter().any(|problem| problem.code == Code::NoMembers));
}

#[test]
fn the_serialised_form_reads_back_as_the_same_network() {
    for text in [SIMPLE, STACKED, GATEWAYS] {
        let network = network(text);
        let written = yaml::to_string(&network).unwrap();
        assert_eq!(yaml::from_str::<Network>(&written).unwrap(), network, "{written}");
        let json = serde_json::to_string(&network).unwrap();
        assert_eq!(serde_json::from_str::<Network>(&json).unwrap(), network, "{json}");
    }
}
