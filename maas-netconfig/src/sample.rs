//! Networks that the tests of this crate share.

use crate::Network;
use crate::yaml;

/// Static with rack DNS, link-up, dual DHCP, disconnected, disabled.
pub(crate) const SIMPLE: &str = r#"
interfaces:
- name: eno1
  type: physical
  mac: "52:54:00:AA:00:01"
  vlan: {mtu: 1500}
  links: [{mode: auto, subnet: lab, ip: 10.20.0.11}]
- {name: eno2, type: physical, mac: "52:54:00:aa:00:02", vlan: {mtu: 1500}, links: [{mode: link_up}]}
- {name: eno3, type: physical, mac: "52:54:00:aa:00:03", mtu: 9000, accept_ra: true, links: [{mode: dhcp}]}
- {name: eno4, type: physical, mac: "52:54:00:aa:00:04"}
- {name: eno5, type: physical, mac: "52:54:00:aa:00:05", enabled: false, links: [{mode: dhcp}]}
subnets:
  lab: {cidr: 10.20.0.0/22, gateway: 10.20.0.1, dns_servers: [10.20.0.53], rack_dns: [10.20.0.2]}
dns: {servers: [10.20.0.2], search: [lab.example, corp.example, maas]}
"#;

/// LACP bond, VLANs on it, bridge on a VLAN, OVS bridge, MTU propagation, a static route.
pub(crate) const STACKED: &str = r#"
interfaces:
- {name: eno1, type: physical, mac: "52:54:00:aa:00:01"}
- {name: eno2, type: physical, mac: "52:54:00:aa:00:02"}
- {name: eno9, type: physical, mac: "52:54:00:aa:00:09"}
- name: bond0
  type: bond
  members: [eno2, eno1]
  mac: "52:54:00:aa:00:01"
  params: {mode: 802.3ad, miimon: 100, downdelay: 200, updelay: 200, num_grat_arp: 1, lacp_rate: fast, xmit_hash_policy: layer3+4}
  links: [{mode: link_up}]
- {name: bond0.300, type: vlan, link: bond0, vid: 300, vlan: {mtu: 9000}, links: [{mode: static, subnet: storage, ip: 10.30.0.21}]}
- {name: bond0.310, type: vlan, link: bond0, vid: 310}
- name: br-tenant
  type: bridge
  members: [bond0.310]
  params: {stp: false, forward_delay: 15}
  links: [{mode: static, subnet: tenant, ip: 10.31.0.21}]
- name: br-ovs
  type: bridge
  bridge: ovs
  members: [eno9]
  params: {stp: true, forward_delay: 4}
  links: [{mode: dhcp}]
subnets:
  storage: {cidr: 10.30.0.0/24, rack_dns: [10.30.0.2]}
  tenant: {cidr: 10.31.0.0/24, gateway: 10.31.0.1, dns_servers: [10.31.0.53]}
routes:
- {source: storage, destination: 172.30.0.0/16, gateway: 10.30.0.254, metric: 7}
dns: {search: [lab.example, maas]}
"#;

/// Two cards, two gateways of each family, aliases and a route.
pub(crate) const GATEWAYS: &str = r#"
interfaces:
- name: eno1
  type: physical
  mac: "52:54:00:aa:00:01"
  links:
  - {mode: static, subnet: a4, ip: 10.20.0.11}
  - {mode: static, subnet: a4, ip: 10.20.0.12}
  - {mode: static, subnet: a6, ip: "2001:db8:20::11"}
- name: eno2
  type: physical
  mac: "52:54:00:aa:00:02"
  links:
  - {mode: static, subnet: b4, ip: 10.50.0.11}
  - {mode: static, subnet: b6, ip: "2001:db8:50::11"}
subnets:
  a4: {cidr: 10.20.0.0/22, gateway: 10.20.0.1, dns_servers: [10.20.0.2]}
  a6: {cidr: "2001:db8:20::/64", gateway: "2001:db8:20::1"}
  b4: {cidr: 10.50.0.0/24, gateway: 10.50.0.1, dns_servers: [10.50.0.53]}
  b6: {cidr: "2001:db8:50::/64", gateway: "fe80::1"}
routes:
- {source: b4, destination: 172.30.0.0/16, gateway: 10.50.0.254, metric: 10}
boot: eno1
"#;

/// Reads one of the samples, or any other model.
pub(crate) fn network(text: &str) -> Network {
    match yaml::from_str(text) {
        Ok(network) => network,
        Err(error) => unreachable!("sample does not read: {error}"),
    }
}
