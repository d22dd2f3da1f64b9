#![allow(clippy::unwrap_used)]

use super::*;
use crate::SourceRouting;
use crate::sample::{GATEWAYS, SIMPLE, STACKED, network};
use crate::yaml;

fn rendered(text: &str, dialect: Dialect) -> Rendered {
    render(&network(text).resolve(SourceRouting::Off).unwrap(), dialect)
}

#[track_caller]
fn assert_yaml(rendered: &Rendered, expected: &str) {
    assert_eq!(
        rendered.network().get("config").unwrap(),
        &yaml::from_str::<Value>(expected).unwrap(),
        "{}",
        rendered.to_yaml()
    );
}

#[test]
fn the_maas_dialect_of_a_simple_network() {
    assert_yaml(
        &rendered(SIMPLE, Dialect::Maas),
        r#"
- {id: eno1, type: physical, name: eno1, mac_address: "52:54:00:aa:00:01", mtu: 1500,
   subnets: [{type: static, address: 10.20.0.11/22, gateway: 10.20.0.1,
              dns_nameservers: [10.20.0.2, 10.20.0.53], dns_search: [lab.example, corp.example, maas]}]}
- {id: eno2, type: physical, name: eno2, mac_address: "52:54:00:aa:00:02", mtu: 1500, subnets: [{type: manual}]}
- {id: eno3, type: physical, name: eno3, mac_address: "52:54:00:aa:00:03", mtu: 9000, accept-ra: 1, subnets: [{type: dhcp4}, {type: dhcp6}]}
- {id: eno4, type: physical, name: eno4, mac_address: "52:54:00:aa:00:04", mtu: 1500, subnets: [{type: manual}]}
- {type: nameserver, address: [10.20.0.2], search: [lab.example, corp.example, maas]}
"#,
    );
}

#[test]
fn the_maas_dialect_of_bonds_vlans_and_bridges() {
    let rendered = rendered(STACKED, Dialect::Maas);
    assert_yaml(
        &rendered,
        r#"
- {id: eno1, type: physical, name: eno1, mac_address: "52:54:00:aa:00:01", mtu: 9000, subnets: [{type: manual}]}
- {id: eno2, type: physical, name: eno2, mac_address: "52:54:00:aa:00:02", mtu: 9000, subnets: [{type: manual}]}
- {id: bond0, type: bond, name: bond0, mac_address: "52:54:00:aa:00:01", mtu: 9000, bond_interfaces: [eno1, eno2],
   params: {bond-mode: 802.3ad, bond-miimon: 100, bond-downdelay: 200, bond-updelay: 200, bond-lacp-rate: fast, bond-xmit-hash-policy: layer3+4},
   subnets: [{type: manual}]}
- {id: bond0.300, type: vlan, name: bond0.300, vlan_link: bond0, vlan_id: 300, mtu: 9000,
   subnets: [{type: static, address: 10.30.0.21/24, dns_nameservers: [10.30.0.2], dns_search: [lab.example, maas], routes: [{destination: 172.30.0.0/16, gateway: 10.30.0.254, metric: 7}]}]}
- {id: bond0.310, type: vlan, name: bond0.310, vlan_link: bond0, vlan_id: 310, mtu: 1500, subnets: [{type: manual}]}
- {id: br-tenant, type: bridge, name: br-tenant, mac_address: "52:54:00:aa:00:01", mtu: 1500, bridge_interfaces: [bond0.310],
   params: {bridge_fd: 15, bridge_stp: 0},
   subnets: [{type: static, address: 10.31.0.21/24, gateway: 10.31.0.1, dns_nameservers: [10.31.0.53], dns_search: [lab.example, maas]}]}
- {id: eno9, type: physical, name: eno9, mac_address: "52:54:00:aa:00:09", mtu: 1500, subnets: [{type: manual}]}
- {id: br-ovs, type: bridge, name: br-ovs, mac_address: "52:54:00:aa:00:09", mtu: 1500, bridge_interfaces: [eno9],
   params: {bridge_fd: 4, bridge_stp: 1}, subnets: [{type: dhcp4}, {type: dhcp6}]}
- {type: nameserver, address: [], search: [lab.example, maas]}
"#,
    );
    let losses: Vec<String> = rendered.losses.iter().map(ToString::to_string).collect();
    assert_eq!(
        losses,
        ["approximated: br-ovs.bridge: v1 has no Open vSwitch; a standard bridge is made instead"]
    );
}

#[test]
fn the_cloud_init_dialect_follows_the_schema() {
    let rendered = rendered(STACKED, Dialect::CloudInit);
    let config = rendered.network().get("config").unwrap().as_list().unwrap();
    assert!(config.iter().all(|entry| entry.get("id").is_none()));
    let params = config[2].get("params").unwrap();
    assert_eq!(params.get("bond-updelay"), Some(&Value::from("200")));
    assert!(params.get("bond-lacp-rate").is_some());
    assert_eq!(config[5].get("mtu"), None);
    assert_eq!(config[5].get("params").unwrap().get("bridge_stp"), Some(&Value::from("off")));
}

#[test]
fn the_curtin_dialect_splits_destinations() {
    let rendered = rendered(STACKED, Dialect::CurtinEni);
    let config = rendered.network().get("config").unwrap().as_list().unwrap();
    let subnet = &config[3].get("subnets").unwrap().as_list().unwrap()[0];
    assert_eq!(
        subnet.get("routes").unwrap(),
        &yaml::from_str::<Value>(
            "[{network: 172.30.0.0, netmask: 255.255.0.0, gateway: 10.30.0.254, metric: 7}]"
        )
        .unwrap()
    );
}

#[test]
fn what_source_routing_needs_is_reported_as_lost() {
    let topology = network(GATEWAYS).resolve(SourceRouting::On).unwrap();
    let rendered = render(&topology, Dialect::Maas);
    let lost: Vec<&str> = rendered.losses.iter().map(|loss| loss.setting.as_str()).collect();
    assert_eq!(lost, ["policies", "routes", "routes", "routes"]);
}
