#![allow(clippy::unwrap_used)]

use super::*;
use crate::sample::{GATEWAYS, SIMPLE, STACKED, network};
use crate::{SourceRouting, netplan, yaml};

#[test]
fn what_is_rendered_reads_back_as_the_same_network() {
    for text in [SIMPLE, STACKED, GATEWAYS] {
        for routing in [SourceRouting::Off, SourceRouting::On] {
            let topology = network(text).resolve(routing).unwrap();
            let rendered = netplan::render(&topology);
            let parsed = parse(&rendered.to_yaml(), Unknown::Refuse).unwrap();
            assert_eq!(parsed.warnings, []);
            for difference in crate::diff(&topology, &parsed.topology) {
                assert!(
                    rendered.losses.iter().any(|loss| loss.explains(&difference)),
                    "{difference} is not among {:?}",
                    rendered.losses
                );
            }
        }
    }
}

/// Reads and writes a document that has everything, and compares the two.
#[test]
fn nothing_that_netplan_knows_is_lost() {
    let text = r#"
network:
  version: 2
  renderer: networkd
  openvswitch: {protocols: [OpenFlow13], ports: [[patch0-1, patch1-0]]}
  wifis: {wl0: {access-points: {home: {password: secret}}, dhcp4: true}}
  ethernets:
    all-the-ten-gigabit-cards: {match: {driver: [ixgbe, "mlx*"]}, optional: true}
    eno1:
      match: {macaddress: "52:54:00:aa:00:01", driver: ixgbe}
      wakeonlan: true
      receive-checksum-offload: false
      virtual-function-count: 8
      embedded-switch-mode: switchdev
      dhcp4: true
      dhcp4-overrides: {use-dns: false, route-metric: 200}
      addresses: [10.0.0.5/24, {10.0.0.6/24: {label: "eno1:x", lifetime: 0}}]
      routes:
      - {to: 10.9.0.0/16, via: 10.0.0.1, mtu: 1400, scope: global}
      - {to: 10.8.0.0/16, type: blackhole}
      link-local: [ipv6]
      ra-overrides: {use-dns: true}
    eno2: {match: {name: "en*"}, set-name: eno2, auth: {key-management: 802.1x}}
    eth3: {macaddress: "52:54:00:aa:00:09", critical: true}
    ib0: {match: {macaddress: "11:22:33:44:55:66:77:88:99:00:11:22:33:44:55:66:77:88:99:00"}, infiniband-mode: connected}
  dummy-devices: {dm0: {addresses: [192.0.2.1/32]}}
  virtual-ethernets: {veth0: {peer: veth1}, veth1: {peer: veth0}}
  bonds:
    bond0: {interfaces: [eno2], parameters: {mode: balance-slb, primary: eno2, mii-monitor-interval: "1"}}
  bridges:
    br0: {interfaces: [eth3, patch0-1, veth0], openvswitch: {lacp: "off", other-config: {a: b}}, parameters: {path-cost: {eth3: 50}, port-priority: {veth0: 28}, ageing-time: 200}}
  vlans:
    bond0.5: {id: 5, link: bond0, ipv6-mtu: 1400}
  vrfs:
    vrf0: {table: 1000, interfaces: [dm0], routes: [{to: 10.7.0.0/16, via: 192.0.2.2, table: 1000}]}
  tunnels:
    tun0: {mode: vxlan, id: 7, link: eno1, local: 10.0.0.5, remote: 10.0.0.9, port-range: [4000, 5000]}
    wg0: {mode: wireguard, port: 51820, key: abc, peers: [{keys: {public: def}, allowed-ips: [0.0.0.0/0], keepalive: 14}]}
"#;
    let parsed = parse(text, Unknown::Refuse).unwrap();
    let rendered = netplan::render(&parsed.topology);
    assert_eq!(rendered.losses, []);
    let document: Value = yaml::from_str(text).unwrap();
    assert_eq!(rendered.document, document, "{}", rendered.to_yaml());
}

#[test]
fn unknown_keys_are_refused_with_their_place_or_kept() {
    let text =
        "network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: true\n      dchp6: true\n";
    let refused = parse(text, Unknown::Refuse).unwrap_err();
    assert_eq!(
        refused.problems[0].to_string(),
        "error[unknown-key]: line 6, column 7: network.ethernets.eth0: netplan does not know the key \"dchp6\""
    );
    let parsed = parse(text, Unknown::Keep).unwrap();
    assert_eq!(parsed.warnings.len(), 1);
    assert!(netplan::render(&parsed.topology).to_yaml().contains("dchp6: true"));
}

#[test]
fn what_netplan_refuses_is_refused() {
    for (text, code) in [
        ("bonds: {b: {interfaces: [x]}}", "unknown-interface"),
        ("vlans: {v: {id: 5, link: x}}", "unknown-interface"),
        (
            "ethernets: {e: {}}, bonds: {a: {interfaces: [e]}, b: {interfaces: [e]}}",
            "member-shared",
        ),
        ("ethernets: {e: {routes: [{to: 0.0.0.0/0, via: 'fe80::1'}]}}", "route-unfit"),
        ("ethernets: {e: {}}, vlans: {v: {id: 4095, link: e}}", "value-unfit"),
        ("ethernets: {e: {match: {macaddress: '1:2:3:4:5:6'}}}", "value-unfit"),
        ("ethernets: {e: {set-name: f}}", "value-unfit"),
        ("ethernets: {e: {addresses: [10.0.0.1]}}", "value-unfit"),
        ("ethernets: {e: {mtu: big}}", "value-unfit"),
        ("ethernets: {e: {dhcp4: perhaps}}", "value-unfit"),
        ("ethernets: {e: {routes: [{to: default}]}}", "route-unfit"),
        ("vlans: {v: {id: 5, link: v}}", "cycle"),
        ("ethernets: [e]", "value-unfit"),
    ] {
        let refused = parse(&format!("{{version: 2, {text}}}"), Unknown::Refuse).unwrap_err();
        let codes: Vec<&str> = refused
            .problems
            .iter()
            .filter(|problem| problem.is_error())
            .map(|problem| problem.code.as_str())
            .collect();
        assert_eq!(codes, [code], "{text}");
        assert!(refused.problems[0].position.is_some(), "{text}");
    }
}

#[test]
fn a_number_that_would_lose_digits_is_refused() {
    let refused =
        parse("{version: 2, modems: {m: {sim-id: 89148000000060671234}}}", Unknown::Refuse)
            .unwrap_err();
    assert!(refused.to_string().contains("put it in quotes"), "{refused}");
}

#[test]
fn files_are_merged_by_name_with_lists_joined_and_scalars_replaced() {
    let parsed = parse_files(
        &[
            ("60-more.yaml", "network: {ethernets: {e: {dhcp4: false, addresses: [10.0.0.2/24]}, f: {}}}"),
            ("50-base.yaml", "network: {version: 2, ethernets: {e: {dhcp4: true, mtu: 9000, addresses: [10.0.0.1/24]}}}"),
        ],
        Unknown::Refuse,
    )
    .unwrap();
    let device = &parsed.topology.devices[0];
    assert!(!device.dhcp4);
    assert_eq!(device.mtu.unwrap().bytes(), 9000);
    let addresses: Vec<String> = device.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.0.0.1/24", "10.0.0.2/24"]);
    assert_eq!(parsed.topology.devices.len(), 2);
}

#[test]
fn a_problem_names_the_file_it_is_in() {
    let refused = parse_files(
        &[("a.yaml", "network: {version: 2}"), ("b.yaml", "network: {nonsense: 1}")],
        Unknown::Refuse,
    )
    .unwrap_err();
    assert_eq!(
        refused.problems[0].to_string(),
        "error[unknown-key]: line 1, column 11: b.yaml: network: netplan does not know the key \"nonsense\""
    );
}

#[test]
fn gateways_and_the_word_default_become_routes() {
    let parsed = parse(
        "{version: 2, ethernets: {e: {addresses: [10.0.0.2/24], gateway4: 10.0.0.1, routes: [{to: default, via: 'fe80::1'}]}}}",
        Unknown::Refuse,
    )
    .unwrap();
    assert_eq!(parsed.warnings.len(), 1);
    let device = &parsed.topology.devices[0];
    assert_eq!(device.gateway(Family::V4).unwrap().to_string(), "10.0.0.1");
    assert_eq!(device.gateway(Family::V6).unwrap().to_string(), "fe80::1");
}
