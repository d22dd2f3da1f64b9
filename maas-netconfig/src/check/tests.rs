#![allow(clippy::unwrap_used)]

use super::*;
use crate::sample::{GATEWAYS, SIMPLE, STACKED, network};

fn codes(network: &Network) -> Vec<&'static str> {
    network.validate().iter().filter(|p| p.is_error()).map(|p| p.code.as_str()).collect()
}

/// Applies a change to a sample and lists the codes of the errors that it causes.
fn broken(text: &str, change: impl FnOnce(&mut Network)) -> Vec<&'static str> {
    let mut network = network(text);
    change(&mut network);
    codes(&network)
}

#[test]
fn the_samples_have_no_errors() {
    for text in [SIMPLE, STACKED, GATEWAYS] {
        assert_eq!(network(text).validate().iter().find(|p| p.is_error()), None);
    }
}

#[test]
fn names_and_addresses_must_be_unique() {
    assert_eq!(
        broken(SIMPLE, |n| n.interfaces[1].name = "eno1".parse().unwrap()),
        ["name-duplicate"]
    );
    assert_eq!(
        broken(SIMPLE, |n| n.interfaces[1].kind = n.interfaces[0].kind.clone()),
        ["mac-unfit"]
    );
    assert_eq!(
        broken(GATEWAYS, |n| n.interfaces[0].links[1] = n.interfaces[0].links[0].clone()),
        ["address-duplicate"]
    );
}

#[test]
fn addresses_must_be_usable_in_their_subnet() {
    let with = |ip: &str| {
        let ip = ip.parse().unwrap();
        broken(SIMPLE, |n| n.interfaces[0].links[0] = Link::Static { subnet: "lab".into(), ip })
    };
    assert_eq!(with("10.21.0.1"), ["address-outside-subnet"]);
    assert_eq!(with("2001:db8::1"), ["address-outside-subnet"]);
    assert_eq!(with("10.20.0.0"), ["address-reserved"]);
    assert_eq!(with("10.20.3.255"), ["address-reserved"]);
}

#[test]
fn links_and_routes_must_name_subnets_that_exist() {
    assert_eq!(
        broken(SIMPLE, |n| n.interfaces[2].links = vec![Link::Dhcp { subnet: Some("x".into()) }]),
        ["unknown-subnet"]
    );
    assert_eq!(broken(STACKED, |n| n.routes[0].source = "x".into()), ["unknown-subnet"]);
}

#[test]
fn stacking_must_be_sound() {
    let name = |text: &str| text.parse::<IfName>().unwrap();
    assert_eq!(
        broken(STACKED, |n| n.interfaces[4].kind =
            Kind::Vlan { link: name("nope"), vid: crate::Vid::new(300).unwrap() })[0],
        "unknown-interface"
    );
    assert!(
        broken(STACKED, |n| n.interfaces[5].kind =
            Kind::Vlan { link: name("bond0"), vid: crate::Vid::new(300).unwrap() })
        .contains(&"vid-unfit")
    );
    assert!(
        broken(STACKED, |n| n.interfaces[5].kind =
            Kind::Vlan { link: name("br-tenant"), vid: crate::Vid::new(310).unwrap() })
        .contains(&"cycle")
    );
    assert!(
        broken(STACKED, |n| if let Kind::Bridge { members, .. } = &mut n.interfaces[7].kind {
            members.push(name("eno1"));
        })
        .contains(&"member-shared")
    );
    assert!(
        broken(STACKED, |n| n.interfaces[0].links = vec![Link::DHCP])
            .contains(&"member-configured")
    );
    assert!(
        broken(STACKED, |n| if let Kind::Bond { members, .. } = &mut n.interfaces[3].kind {
            members.clear();
        })
        .contains(&"no-members")
    );
}

#[test]
fn gateways_and_routes_must_be_reachable() {
    assert_eq!(
        broken(SIMPLE, |n| n.subnets.get_mut(&"lab".into()).unwrap().gateway =
            Some("10.99.0.1".parse().unwrap())),
        ["gateway-unreachable"]
    );
    assert_eq!(
        broken(STACKED, |n| n.routes[0].gateway = "10.99.0.1".parse().unwrap()),
        ["gateway-unreachable"]
    );
    assert_eq!(
        broken(STACKED, |n| n.routes[0].destination = "2001:db8::/32".parse().unwrap()),
        ["route-unfit"]
    );
    assert_eq!(
        broken(STACKED, |n| n.gateways.ipv4 =
            Some(GatewayLink { interface: "br-ovs".parse().unwrap(), subnet: "tenant".into() })),
        ["gateway-choice-invalid"]
    );
}

#[test]
fn problems_say_where_and_what() {
    let mut network = network(SIMPLE);
    network.interfaces[0].links[0] =
        Link::Static { subnet: "lab".into(), ip: "10.21.0.1".parse().unwrap() };
    assert_eq!(
        network.validate()[0].to_string(),
        "error[address-outside-subnet]: interfaces[eno1].links[0]: 10.21.0.1 is not in 10.20.0.0/22"
    );
}
