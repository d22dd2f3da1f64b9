#![allow(clippy::unwrap_used)]

use super::*;
use crate::SourceRouting;
use crate::sample::{GATEWAYS, SIMPLE, STACKED, network};
use crate::yaml;

fn rendered(text: &str, routing: SourceRouting) -> Rendered {
    render(&network(text).resolve(routing).unwrap())
}

#[track_caller]
fn assert_yaml(rendered: &Rendered, expected: &str) {
    assert_eq!(rendered.network(), &yaml::from_str(expected).unwrap(), "{}", rendered.to_yaml());
    assert_eq!(rendered.losses, []);
}

#[test]
fn simple_network() {
    assert_yaml(
        &rendered(SIMPLE, SourceRouting::Off),
        r#"
version: 2
ethernets:
  eno1:
    match: {macaddress: "52:54:00:aa:00:01"}
    set-name: eno1
    mtu: 1500
    addresses: [10.20.0.11/22]
    nameservers: {addresses: [10.20.0.2, 10.20.0.53], search: [lab.example, corp.example, maas]}
    routes: [{to: 0.0.0.0/0, via: 10.20.0.1}]
  eno2: {match: {macaddress: "52:54:00:aa:00:02"}, set-name: eno2, mtu: 1500}
  eno3: {match: {macaddress: "52:54:00:aa:00:03"}, set-name: eno3, mtu: 9000, accept-ra: true, dhcp4: true, dhcp6: true}
  eno4: {match: {macaddress: "52:54:00:aa:00:04"}, set-name: eno4, mtu: 1500, optional: true}
"#,
    );
}

#[test]
fn bonds_vlans_and_bridges() {
    let rendered = rendered(STACKED, SourceRouting::Off);
    assert_yaml(
        &rendered,
        r#"
version: 2
ethernets:
  eno1: {match: {macaddress: "52:54:00:aa:00:01"}, set-name: eno1, mtu: 9000}
  eno2: {match: {macaddress: "52:54:00:aa:00:02"}, set-name: eno2, mtu: 9000}
  eno9: {match: {macaddress: "52:54:00:aa:00:09"}, set-name: eno9, mtu: 1500}
bonds:
  bond0:
    interfaces: [eno1, eno2]
    macaddress: "52:54:00:aa:00:01"
    mtu: 9000
    parameters: {mode: 802.3ad, mii-monitor-interval: "100", down-delay: 200, up-delay: 200, lacp-rate: fast, transmit-hash-policy: layer3+4}
bridges:
  br-tenant:
    interfaces: [bond0.310]
    macaddress: "52:54:00:aa:00:01"
    mtu: 1500
    addresses: [10.31.0.21/24]
    nameservers: {addresses: [10.31.0.53], search: [lab.example, maas]}
    routes: [{to: 0.0.0.0/0, via: 10.31.0.1}]
    parameters: {forward-delay: 15, stp: false}
  br-ovs:
    interfaces: [eno9]
    macaddress: "52:54:00:aa:00:09"
    mtu: 1500
    openvswitch: {}
    dhcp4: true
    dhcp6: true
    parameters: {forward-delay: 4, stp: true}
vlans:
  bond0.300: {id: 300, link: bond0, mtu: 9000, addresses: [10.30.0.21/24], routes: [{to: 172.30.0.0/16, via: 10.30.0.254, metric: 7}], nameservers: {addresses: [10.30.0.2], search: [lab.example, maas]}}
  bond0.310: {id: 310, link: bond0, mtu: 1500}
"#,
    );
    let text = rendered.to_yaml();
    let at = |key: &str| text.find(key).unwrap();
    assert!(at("ethernets:") < at("bonds:") && at("bonds:") < at("bridges:"));
    assert!(at("bridges:") < at("vlans:"), "{text}");
}

#[test]
fn secondary_ipv6_gateways_stay_ipv6() {
    let rendered = rendered(GATEWAYS, SourceRouting::On);
    let eno2 = rendered.network().get("ethernets").unwrap().get("eno2").unwrap();
    assert_eq!(
        eno2.get("routes").unwrap(),
        &yaml::from_str::<Value>(
            r#"
- {to: 172.30.0.0/16, via: 10.50.0.254, metric: 10}
- {to: 0.0.0.0/0, via: 10.50.0.1, table: 1}
- {to: 172.30.0.0/16, via: 10.50.0.254, metric: 10, table: 1}
- {to: "::/0", via: "fe80::1", table: 2}
"#
        )
        .unwrap()
    );
}

#[test]
fn name_servers_that_no_device_can_carry_are_reported() {
    let mut network = network(SIMPLE);
    network.interfaces[0].links.clear();
    let rendered = render(&network.resolve(SourceRouting::Off).unwrap());
    assert_eq!(rendered.losses.len(), 1);
    assert_eq!(rendered.losses[0].setting, "dns");
}
