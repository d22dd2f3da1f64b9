#![allow(clippy::unwrap_used)]

use super::*;
use crate::sample::{GATEWAYS, SIMPLE, STACKED, network};
use crate::yaml;

fn value(text: &str) -> Value {
    yaml::from_str(text).unwrap()
}

#[test]
fn the_v1_of_a_simple_network() {
    assert_eq!(
        v1(&network(SIMPLE)).unwrap().get("network").unwrap().get("config").unwrap(),
        &value(
            r#"
- {id: eno1, type: physical, name: eno1, mac_address: '52:54:00:aa:00:01', mtu: 1500,
   subnets: [{type: static, address: 10.20.0.11/22, gateway: 10.20.0.1,
              dns_nameservers: [10.20.0.2, 10.20.0.53], dns_search: [lab.example, corp.example, maas]}]}
- {id: eno2, type: physical, name: eno2, mac_address: '52:54:00:aa:00:02', mtu: 1500, subnets: [{type: manual}]}
- {id: eno3, type: physical, name: eno3, mac_address: '52:54:00:aa:00:03', mtu: 9000, accept-ra: 1, subnets: [{type: dhcp}]}
- {id: eno4, type: physical, name: eno4, mac_address: '52:54:00:aa:00:04', mtu: 1500, subnets: [{type: manual}]}
- {type: nameserver, address: [10.20.0.2], search: [lab.example, corp.example, maas]}
"#
        )
    );
}

#[test]
fn the_v2_of_bonds_vlans_and_bridges() {
    assert_eq!(
        v2(&network(STACKED), SourceRouting::Off).unwrap().get("network").unwrap(),
        &value(
            r#"
version: 2
ethernets:
  eno1: {match: {macaddress: '52:54:00:aa:00:01'}, set-name: eno1, mtu: 9000}
  eno2: {match: {macaddress: '52:54:00:aa:00:02'}, set-name: eno2, mtu: 9000}
  eno9: {match: {macaddress: '52:54:00:aa:00:09'}, set-name: eno9, mtu: 1500}
vlans:
  bond0.300: {id: 300, link: bond0, mtu: 9000, addresses: [10.30.0.21/24], nameservers: {addresses: [10.30.0.2], search: [lab.example, maas]},
              routes: [{to: 172.30.0.0/16, via: 10.30.0.254, metric: 7}]}
  bond0.310: {id: 310, link: bond0, mtu: 1500}
bonds:
  bond0: {interfaces: [eno1, eno2], macaddress: '52:54:00:aa:00:01', mtu: 9000,
          parameters: {mode: 802.3ad, mii-monitor-interval: 100, down-delay: 200, up-delay: 200, lacp-rate: fast, transmit-hash-policy: layer3+4}}
bridges:
  br-ovs: {interfaces: [eno9], macaddress: '52:54:00:aa:00:09', mtu: 1500, openvswitch: {}, optional: false, dhcp4: true, dhcp6: true,
           parameters: {forward-delay: 4, stp: true}}
  br-tenant: {interfaces: [bond0.310], macaddress: '52:54:00:aa:00:01', mtu: 1500, addresses: [10.31.0.21/24], gateway4: 10.31.0.1,
              nameservers: {addresses: [10.31.0.53], search: [lab.example, maas]}, parameters: {forward-delay: 15, stp: false}}
"#
        )
    );
}

#[test]
fn source_routing_repeats_the_mistakes() {
    let document = v2(&network(GATEWAYS), SourceRouting::On).unwrap();
    let eno2 = document.get("network").unwrap().get("ethernets").unwrap().get("eno2").unwrap();
    assert_eq!(
        eno2.get("routes").unwrap(),
        &value(
            r#"
- {to: 0.0.0.0/0, via: 10.50.0.1, table: 1}
- {to: 172.30.0.0/16, via: 10.50.0.254, metric: 10, table: 1}
- {to: 0.0.0.0/0, via: 'fe80::1', table: 2}
- {to: 172.30.0.0/16, via: 10.50.0.254, metric: 10, table: 2}
"#
        )
    );
    assert_eq!(
        eno2.get("routing-policy").unwrap(),
        &value(
            r#"
- {from: 10.50.0.0/24, priority: 1000, table: 1}
- {from: 10.50.0.0/24, to: 10.50.0.0/24, table: 254}
- {from: 0.0.0.0/0, to: 172.30.0.0/16, priority: 1000, table: 1}
- {from: '2001:db8:50::/64', priority: 1000, table: 2}
- {from: '2001:db8:50::/64', to: '2001:db8:50::/64', table: 254}
- {from: 0.0.0.0/0, to: 172.30.0.0/16, priority: 1000, table: 2}
"#
        )
    );
}

#[test]
fn an_unassigned_address_is_the_word_none() {
    let mut network = network(SIMPLE);
    network.interfaces[0].links = vec![Link::Auto { subnet: "lab".into(), ip: None }];
    let document = v1(&network).unwrap();
    let entry = &document.get("network").unwrap().get("config").unwrap().as_list().unwrap()[0];
    let subnet = &entry.get("subnets").unwrap().as_list().unwrap()[0];
    assert_eq!(subnet.get("address"), Some(&Value::from("None/22")));
    assert_eq!(subnet.get("gateway"), Some(&Value::from("10.20.0.1")));
    let document = v2(&network, SourceRouting::Off).unwrap();
    let eno1 = document.get("network").unwrap().get("ethernets").unwrap().get("eno1").unwrap();
    assert_eq!(eno1.get("addresses"), None);
    assert_eq!(eno1.get("gateway4"), Some(&Value::from("10.20.0.1")));
}

#[test]
fn a_disabled_member_is_still_listed() {
    let mut network = network(STACKED);
    network.interfaces[1].enabled = false;
    let document = v2(&network, SourceRouting::Off).unwrap();
    let bond = document.get("network").unwrap().get("bonds").unwrap().get("bond0").unwrap();
    assert_eq!(bond.get("interfaces"), Some(&value("[eno1, eno2]")));
}
