#![allow(clippy::unwrap_used)]

use super::*;
use crate::sample::{GATEWAYS, SIMPLE, STACKED, network as sample};
use crate::{Dialect, SourceRouting, v1};

#[test]
fn what_is_rendered_reads_back_in_every_dialect() {
    for text in [SIMPLE, STACKED, GATEWAYS] {
        let topology = sample(text).resolve(SourceRouting::Off).unwrap();
        for dialect in Dialect::ALL {
            let rendered = v1::render(&topology, dialect);
            let parsed = parse(&rendered.to_yaml()).unwrap();
            assert_eq!(parsed.warnings, [], "{dialect}");
            let differences = crate::diff(&topology, &parsed.topology);
            for difference in &differences {
                assert!(
                    rendered.losses.iter().any(|loss| loss.explains(difference)),
                    "{dialect}: {difference} is not among {:?}",
                    rendered.losses
                );
            }
        }
    }
}

#[test]
fn every_spelling_of_an_address_and_a_route_is_understood() {
    let parsed = parse(
        r#"
network:
  version: 1
  config:
  - type: physical
    name: eth0
    mac_address: 52-54-00-AA-00-01
    subnets:
    - {type: static, address: 10.0.0.5, netmask: 255.255.255.0, gateway: 10.0.0.1, dns_nameservers: 10.0.0.2 10.0.0.3, dns_search: a.example b.example}
    - {type: static6, address: "2001:db8::5/64", routes: [{network: "2001:db8:1::", netmask: 48, gateway: "2001:db8::1"}]}
    - {type: static, address: 10.0.1.5/255.255.255.0, routes: [{network: 172.16.0.0, netmask: 255.240.0.0, gateway: 10.0.1.1}, {destination: 192.168.0.0/16, gateway: 10.0.1.1, metric: 3}]}
  - {type: nameserver, address: 10.0.0.9, search: c.example}
network_commands: {builtin: [curtin, net-meta, custom]}
"#,
    )
    .unwrap();
    assert_eq!(parsed.warnings, []);
    let device = &parsed.topology.devices[0];
    let text = |items: &[IpNet]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(text(&device.addresses), ["10.0.0.5/24", "2001:db8::5/64", "10.0.1.5/24"]);
    let routes: Vec<IpNet> = device.routes.iter().map(|route| route.to).collect();
    assert_eq!(text(&routes), ["0.0.0.0/0", "2001:db8:1::/48", "172.16.0.0/12", "192.168.0.0/16"]);
    assert_eq!(device.dns.servers.len(), 2);
    assert_eq!(device.dns.search, ["a.example", "b.example"]);
    assert_eq!(parsed.topology.dns.search, ["c.example"]);
}

#[track_caller]
fn refused(text: &str) -> Vec<String> {
    parse(text).unwrap_err().problems.iter().map(ToString::to_string).collect()
}

#[test]
fn problems_carry_line_and_column_and_all_are_listed() {
    let problems = refused(
        "version: 1\nconfig:\n- {type: physical, name: eth0, mtu: many}\n- {type: vlan, name: v, vlan_link: eth0, vlan_id: 4095}\n- {type: wifi, name: w}\n- {type: physical, name: e1, subnets: [{type: static, address: None/22}]}\n",
    );
    assert_eq!(
        problems,
        [
            "error[value-unfit]: line 3, column 37: config[0].mtu: \"many\" is not an MTU in bytes",
            "error[vid-unfit]: line 4, column 51: config[1].vlan_id: 4095 is not from 1 to 4094",
            "error[unsupported]: line 5, column 3: config[2]: the type \"wifi\" is not one of physical, bond, bridge, vlan, nameserver, route",
            "error[address-unassigned]: line 6, column 64: config[3].subnets[0].address: no address has been assigned; cloud-init and the ESXi script fail on this",
        ]
    );
}

#[test]
fn keys_that_no_reader_knows_are_warnings() {
    let parsed =
        parse("version: 1\nconfig:\n- {type: physical, name: eth0, colour: red}\n").unwrap();
    assert_eq!(
        parsed.warnings[0].to_string(),
        "warning[unknown-key]: line 3, column 32: config[0]: no reader of v1 knows the key \"colour\""
    );
}

#[test]
fn devices_must_fit_together() {
    let bond = |name: &str, member: &str| {
        format!("{{type: bond, name: {name}, bond_interfaces: [{member}], params: {{}}}}")
    };
    for (config, code) in [
        (format!("[{}]", bond("b", "x")), "unknown-interface"),
        (format!("[{}]", bond("b", "b")), "cycle"),
        (
            format!("[{{type: physical, name: e}}, {}, {}]", bond("a", "e"), bond("b", "e")),
            "member-shared",
        ),
    ] {
        let refused = parse(&format!("{{version: 1, config: {config}}}")).unwrap_err();
        let codes: Vec<&str> = refused.problems.iter().map(|p| p.code.as_str()).collect();
        assert_eq!(codes, [code], "{config}");
    }
}

#[test]
fn broken_documents_are_refused_and_never_panic() {
    for text in [
        "",
        "[]",
        "x",
        "version: 2",
        "version: 1",
        "version: 1\nconfig: 3",
        "network: []",
        "version: 1\nconfig: [1, null, {}]",
        "version: 1\nconfig: [{type: bond, name: b}]",
        "version: 1\nconfig: [{type: bond, name: b, bond_interfaces: [x], params: 3}]",
        "version: 1\nconfig: [{type: physical, name: 'too long for a name'}]",
        "version: 1\nconfig: [{type: physical, name: e, subnets: [{type: static, address: [1]}]}]",
        "version: 1\nconfig: [{type: physical, name: e, subnets: [{type: static, address: 1.2.3.4/33}]}]",
    ] {
        assert!(parse(text).is_err(), "{text:?}");
    }
}
