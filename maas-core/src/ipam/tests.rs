#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::IpAddr;

use maas_netconfig::Vid;
use proptest::prelude::*;

use super::*;
use crate::machine::hardware::{Hardware, Interface, InterfaceAddress, InterfaceKind};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn subnet(cidr: &str) -> Subnet {
    Subnet::new(cidr.parse().unwrap(), DEFAULT_VLAN)
}

fn range(subnet_id: u64, kind: RangeKind, start: &str, end: &str) -> IpRange {
    IpRange {
        subnet_id,
        kind,
        start_ip: ip(start),
        end_ip: ip(end),
        comment: String::new(),
        user: None,
    }
}

fn none() -> BTreeSet<IpAddr> {
    BTreeSet::new()
}

fn blamed<T: std::fmt::Debug>(result: Result<T, Refusal>) -> &'static str {
    match result {
        Err(Refusal::Field { field, .. }) => field,
        other => panic!("expected a field's refusal: {other:?}"),
    }
}

#[test]
fn it_starts_with_what_every_client_looks_for() {
    let networks = Networks::default();
    assert_eq!(networks.fabrics().get(0).unwrap().name, "fabric-0");
    assert_eq!(networks.default_vlan(0), Some(5001));
    let vlan = networks.vlans().get(5001).unwrap();
    assert_eq!((vlan.name.as_str(), vlan.vid.number()), ("untagged", 0));
    assert_eq!(networks.space_name(5001), "undefined");
    assert_eq!(networks.domains().get(0).unwrap().name, "maas");
    let json = serde_json::to_string(&networks).unwrap();
    assert_eq!(serde_json::from_str::<Networks>(&json).unwrap(), networks);
}

#[test]
fn a_fabric_comes_and_goes_with_its_untagged_vlan() {
    let mut networks = Networks::default();
    let fabric = networks.add_fabric(Fabric::new("")).unwrap();
    assert_eq!(networks.fabrics().get(fabric).unwrap().name, "fabric-1");
    let untagged = networks.default_vlan(fabric).unwrap();
    assert_eq!(untagged, 5002);
    assert!(matches!(networks.remove_vlan(untagged), Err(Refusal::InUse { .. })));
    assert_eq!(blamed(networks.add_fabric(Fabric::new("FABRIC-1"))), "name");

    let there = networks.add_subnet(Subnet::new("10.0.0.0/24".parse().unwrap(), untagged)).unwrap();
    let refused = networks.remove_fabric(fabric).unwrap_err().to_string();
    assert!(refused.contains("10.0.0.0/24"), "{refused}");
    networks.remove_subnet(there).unwrap();
    networks.remove_fabric(fabric).unwrap();
    assert_eq!(networks.vlans().get(untagged), None);
    assert!(matches!(networks.remove_fabric(0), Err(Refusal::InUse { .. })));
}

#[test]
fn a_tag_is_used_once_in_a_fabric_and_again_in_another() {
    let mut networks = Networks::default();
    let other = networks.add_fabric(Fabric::new("other")).unwrap();
    let ten = Vid::new(10).unwrap();
    let first = networks.add_vlan(Vlan::new(0, ten)).unwrap();
    assert_eq!(blamed(networks.add_vlan(Vlan::new(0, ten))), "vid");
    let second = networks.add_vlan(Vlan::new(other, ten)).unwrap();
    let moved = Vlan { fabric_id: 0, ..networks.vlans().get(second).unwrap().clone() };
    assert_eq!(blamed(networks.set_vlan(second, moved)), "vid");
    let relaying =
        Vlan { relay_vlan: Some(first), ..networks.vlans().get(second).unwrap().clone() };
    networks.set_vlan(second, relaying).unwrap();
    networks.remove_vlan(first).unwrap();
    assert_eq!(networks.vlans().get(second).unwrap().relay_vlan, None);
}

#[test]
fn dhcp_needs_a_dynamic_range_and_keeps_its_last_one() {
    let mut networks = Networks::default();
    let on = Vlan { dhcp_on: true, ..networks.vlans().get(DEFAULT_VLAN).unwrap().clone() };
    assert_eq!(blamed(networks.set_vlan(DEFAULT_VLAN, on.clone())), "dhcp_on");
    let id = networks.add_subnet(subnet("10.0.0.0/24")).unwrap();
    let dynamic = range(id, RangeKind::Dynamic, "10.0.0.100", "10.0.0.200");
    let first = networks.add_ip_range(dynamic, &none()).unwrap();
    networks.set_vlan(DEFAULT_VLAN, on).unwrap();
    assert!(matches!(networks.remove_ip_range(first), Err(Refusal::InUse { .. })));
    assert!(matches!(networks.remove_subnet(id), Err(Refusal::InUse { .. })));
    let dynamic = range(id, RangeKind::Dynamic, "10.0.0.10", "10.0.0.20");
    networks.add_ip_range(dynamic, &none()).unwrap();
    networks.remove_ip_range(first).unwrap();
}

#[test]
fn ranges_stay_inside_apart_and_clear_of_what_is_used() {
    let mut networks = Networks::default();
    let with = Subnet {
        gateway_ip: Some(ip("10.0.0.1")),
        dns_servers: vec![ip("10.0.0.53")],
        ..subnet("10.0.0.0/24")
    };
    let id = networks.add_subnet(with).unwrap();
    let leased = BTreeSet::from([ip("10.0.0.77")]);
    let mut add = |kind, start, end| networks.add_ip_range(range(id, kind, start, end), &leased);
    assert_eq!(blamed(add(RangeKind::Dynamic, "10.0.0.20", "10.0.0.10")), "end_ip");
    assert_eq!(blamed(add(RangeKind::Dynamic, "10.0.0.20", "10.0.1.10")), "end_ip");
    assert_eq!(blamed(add(RangeKind::Reserved, "10.0.0.0", "10.0.0.10")), "start_ip");
    assert_eq!(blamed(add(RangeKind::Dynamic, "10.0.0.20", "fd00::1")), "__all__");
    assert_eq!(blamed(add(RangeKind::Dynamic, "10.0.0.1", "10.0.0.9")), "__all__");
    assert_eq!(blamed(add(RangeKind::Dynamic, "10.0.0.50", "10.0.0.60")), "__all__");
    assert_eq!(blamed(add(RangeKind::Dynamic, "10.0.0.70", "10.0.0.80")), "__all__");
    let first = add(RangeKind::Reserved, "10.0.0.70", "10.0.0.80").unwrap();
    let refused = add(RangeKind::Reserved, "10.0.0.80", "10.0.0.90").unwrap_err().to_string();
    assert!(refused.contains("10.0.0.70 to 10.0.0.80"), "{refused}");
    let grown = range(id, RangeKind::Reserved, "10.0.0.70", "10.0.0.90");
    networks.set_ip_range(first, grown, &leased).unwrap();
}

#[test]
fn a_subnet_is_there_once_with_its_router_inside() {
    let mut networks = Networks::default();
    let id = networks.add_subnet(subnet("10.0.0.7/24")).unwrap();
    assert_eq!(networks.subnets().get(id).unwrap().name, "10.0.0.0/24");
    assert_eq!(blamed(networks.add_subnet(subnet("10.0.0.0/24"))), "cidr");
    assert_eq!(blamed(networks.add_subnet(subnet("0.0.0.0/0"))), "cidr");
    let outside = Subnet { gateway_ip: Some(ip("10.0.1.1")), ..subnet("10.0.2.0/24") };
    assert_eq!(blamed(networks.add_subnet(outside)), "gateway_ip");
    let six = Subnet { gateway_ip: Some(ip("fe80::1")), ..subnet("fd00::/64") };
    networks.add_subnet(six).unwrap();

    let kept = range(id, RangeKind::Reserved, "10.0.0.200", "10.0.0.210");
    networks.add_ip_range(kept, &none()).unwrap();
    let smaller = subnet("10.0.0.0/25");
    assert_eq!(blamed(networks.set_subnet(id, smaller)), "cidr");
    let larger = Subnet { name: "10.0.0.0/24".to_owned(), ..subnet("10.0.0.0/23") };
    networks.set_subnet(id, larger).unwrap();
    assert_eq!(networks.subnets().get(id).unwrap().name, "10.0.0.0/23");
}

#[test]
fn a_route_leads_from_its_routers_subnet_to_another() {
    let mut networks = Networks::default();
    let a = networks.add_subnet(subnet("10.0.0.0/24")).unwrap();
    let b = networks.add_subnet(subnet("10.1.0.0/24")).unwrap();
    let six = networks.add_subnet(subnet("fd00::/64")).unwrap();
    let route = |source, destination, router: &str| StaticRoute {
        source,
        destination,
        gateway_ip: ip(router),
        metric: 0,
    };
    assert_eq!(blamed(networks.add_static_route(route(a, a, "10.0.0.1"))), "destination");
    assert_eq!(blamed(networks.add_static_route(route(a, six, "10.0.0.1"))), "destination");
    assert_eq!(blamed(networks.add_static_route(route(a, b, "10.1.0.1"))), "gateway_ip");
    networks.add_static_route(route(a, b, "10.0.0.1")).unwrap();
    assert_eq!(blamed(networks.add_static_route(route(a, b, "10.0.0.1"))), "__all__");
    networks.remove_subnet(b).unwrap();
    assert!(networks.static_routes().is_empty());
}

#[test]
fn the_next_address_is_the_lowest_that_nothing_keeps() {
    let mut networks = Networks::default();
    let with = Subnet {
        gateway_ip: Some(ip("10.0.0.1")),
        dns_servers: vec![ip("10.0.0.3")],
        ..subnet("10.0.0.0/28")
    };
    let id = networks.add_subnet(with).unwrap();
    networks.add_ip_range(range(id, RangeKind::Dynamic, "10.0.0.4", "10.0.0.6"), &none()).unwrap();
    networks.add_subnet(subnet("10.0.0.8/30")).unwrap();
    let resource = DnsResource {
        domain_id: 0,
        name: "printer".to_owned(),
        address_ttl: None,
        ip_addresses: BTreeSet::from([ip("10.0.0.12")]),
    };
    networks.add_dns_resource(resource).unwrap();
    let mut leased = none();
    while let Some(free) = networks.free_address(id, &leased) {
        assert!(leased.insert(free));
    }
    let given: Vec<String> = leased.iter().map(ToString::to_string).collect();
    assert_eq!(given, ["10.0.0.2", "10.0.0.7", "10.0.0.13", "10.0.0.14"]);
    assert_eq!(networks.refuses_address(id, &ip("10.0.0.13")), None);
    for refused in ["10.0.0.0", "10.0.0.1", "10.0.0.5", "10.0.0.9", "10.0.0.15", "10.0.1.1"] {
        assert!(networks.refuses_address(id, &ip(refused)).is_some(), "{refused}");
    }
}

#[test]
fn an_unmanaged_subnet_gives_from_its_reserved_ranges_only() {
    let mut networks = Networks::default();
    let unmanaged = Subnet { managed: false, ..subnet("10.0.0.0/24") };
    let id = networks.add_subnet(unmanaged).unwrap();
    assert_eq!(networks.free_address(id, &none()), None);
    let kept = range(id, RangeKind::Reserved, "10.0.0.40", "10.0.0.41");
    networks.add_ip_range(kept, &none()).unwrap();
    assert_eq!(networks.free_address(id, &none()), Some(ip("10.0.0.40")));
    assert_eq!(
        networks.free_address(id, &BTreeSet::from([ip("10.0.0.40"), ip("10.0.0.41")])),
        None
    );
}

#[test]
fn what_is_kept_is_told_in_pieces_and_the_rest_as_gaps() {
    let mut networks = Networks::default();
    let with = Subnet { gateway_ip: Some(ip("10.0.0.1")), ..subnet("10.0.0.0/24") };
    let id = networks.add_subnet(with).unwrap();
    networks.add_ip_range(range(id, RangeKind::Reserved, "10.0.0.1", "10.0.0.9"), &none()).unwrap();
    let leased = BTreeSet::from([ip("10.0.0.20"), ip("10.0.0.21"), ip("10.9.0.1")]);
    let pieces = networks.reserved_pieces(id, &leased);
    let shown: Vec<String> = pieces
        .iter()
        .map(|piece| format!("{}-{} {:?}", piece.span.first(), piece.span.last(), piece.purposes))
        .collect();
    assert_eq!(
        shown,
        [
            "10.0.0.1-10.0.0.1 {GatewayIp, Reserved}",
            "10.0.0.2-10.0.0.9 {Reserved}",
            "10.0.0.20-10.0.0.21 {AssignedIp}",
        ]
    );
    let statistics = networks.statistics(id, &leased).unwrap();
    assert_eq!((statistics.total_addresses, statistics.num_available), (254, 243));
    assert_eq!(statistics.largest_available, 233);
    assert_eq!(statistics.num_unavailable, 11);
}

#[test]
fn domains_names_and_records_keep_dns_rules() {
    let mut networks = Networks::default();
    let domain = |name: &str| Domain { name: name.to_owned(), ttl: None, authoritative: true };
    let lab = networks.add_domain(domain("lab.example")).unwrap();
    assert_eq!(blamed(networks.add_domain(domain("LAB.example"))), "name");
    assert_eq!(blamed(networks.add_domain(domain("-x"))), "name");
    assert!(matches!(networks.remove_domain(0), Err(Refusal::InUse { .. })));
    networks.set_default_domain(lab).unwrap();
    assert_eq!(networks.default_domain_name(), "lab.example");
    assert_eq!(networks.split_fqdn("a.b.lab.example."), Some(("a.b", lab)));
    assert_eq!(networks.split_fqdn("lab.example"), Some(("@", lab)));
    assert_eq!(networks.split_fqdn("xlab.example"), None);

    let resource = DnsResource {
        domain_id: lab,
        name: "www".to_owned(),
        address_ttl: Some(60),
        ip_addresses: BTreeSet::from([ip("10.0.0.5")]),
    };
    let www = networks.add_dns_resource(resource.clone()).unwrap();
    assert_eq!(blamed(networks.add_dns_resource(resource.clone())), "name");
    let record = |resource_id, rrtype, rrdata: &str| DnsRecord {
        resource_id,
        ttl: None,
        rrtype,
        rrdata: rrdata.to_owned(),
    };
    assert_eq!(blamed(networks.add_dns_record(record(www, RecordType::Cname, "a.b"))), "rrtype");
    assert_eq!(blamed(networks.add_dns_record(record(www, RecordType::Mx, "mail"))), "rrdata");
    networks.add_dns_record(record(www, RecordType::Mx, "10 mail.example.")).unwrap();
    assert_eq!(networks.record_count(lab), 2);
    let bare =
        DnsResource { name: "alias".to_owned(), ip_addresses: BTreeSet::new(), ..resource.clone() };
    let alias = networks.add_dns_resource(bare).unwrap();
    let cname = networks.add_dns_record(record(alias, RecordType::Cname, "www")).unwrap();
    assert_eq!(blamed(networks.add_dns_record(record(alias, RecordType::Txt, "x"))), "rrtype");
    networks.remove_dns_record(cname).unwrap();
    assert_eq!(networks.dns_resources().get(alias), None, "nothing was left of the name");
    assert!(matches!(networks.remove_domain(lab), Err(Refusal::InUse { .. })));
}

#[test]
fn subnets_are_named_in_every_way_that_clients_use() {
    let mut networks = Networks::default();
    let space =
        networks.add_space(Space { name: "dmz".to_owned(), description: String::new() }).unwrap();
    let ten = Vlan { space_id: Some(space), ..Vlan::new(0, Vid::new(10).unwrap()) };
    let vlan = networks.add_vlan(ten).unwrap();
    let first = networks.add_subnet(subnet("10.0.0.0/24")).unwrap();
    let second =
        Subnet { name: "six".to_owned(), ..Subnet::new("fd00::/64".parse().unwrap(), vlan) };
    let second = networks.add_subnet(second).unwrap();
    for (text, wanted) in [
        ("1", first),
        ("id:1", first),
        ("10.0.0.0/24", first),
        ("cidr:10.0.0.0/24", first),
        ("fd00::/64", second),
        ("cidr:fd00::/64", second),
        ("six", second),
        ("name:six", second),
        ("ip:fd00::7", second),
        ("space:dmz", second),
        ("space:undefined", first),
        ("vid:10", second),
        ("vid:untagged", first),
        ("vlan:5001", first),
        ("fabric:fabric-0,vid:10", second),
    ] {
        let specifier = SubnetSpecifier::parse(text).unwrap();
        assert_eq!(specifier.find(&networks).collect::<Vec<_>>(), [wanted], "{text}");
    }
    assert_eq!(SubnetSpecifier::parse("colour:red"), None);
    assert_eq!(SubnetSpecifier::parse("ip:red"), None);
}

fn seen(name: &str, kind: InterfaceKind, vid: Option<u16>, parent: &str, at: &[&str]) -> Interface {
    Interface {
        name: name.to_owned(),
        kind,
        vid,
        parents: if parent.is_empty() { Vec::new() } else { vec![parent.to_owned()] },
        addresses: at
            .iter()
            .map(|text| {
                let (address, prefix) = text.split_once('/').unwrap();
                InterfaceAddress { address: ip(address), prefix: prefix.parse().unwrap() }
            })
            .collect(),
        ..Interface::default()
    }
}

#[test]
fn subnets_are_learned_once_in_the_vlan_of_their_interface() {
    let hardware = Hardware {
        interfaces: vec![
            seen("eth0", InterfaceKind::Physical, None, "", &["10.0.0.5/24", "fd00::5/64"]),
            seen("eth0.30", InterfaceKind::Vlan, Some(30), "eth0", &["10.30.0.5/24"]),
            seen("docker0", InterfaceKind::Bridge, None, "", &["172.17.0.1/16"]),
            seen("lo", InterfaceKind::Physical, None, "", &["127.0.0.1/8", "10.9.9.9/32"]),
        ],
        ..Hardware::default()
    };
    let mut networks = Networks::default();
    let learned = networks.learn(&hardware);
    assert_eq!((learned.subnets.len(), learned.vlans.len()), (3, 1));
    let tagged = networks.vlan_by_vid(0, 30).unwrap();
    let cidrs =
        |vlan| networks.subnets_of(vlan).map(|(_, it)| it.cidr.to_string()).collect::<Vec<_>>();
    assert_eq!(cidrs(DEFAULT_VLAN), ["10.0.0.0/24", "fd00::/64"]);
    assert_eq!(cidrs(tagged), ["10.30.0.0/24"]);
    let before = networks.clone();
    assert!(networks.learn(&hardware).is_empty());
    assert_eq!(networks, before);
}

/// A small world: every object lies in 10.0.0.0/22 or fd00::/120, so that things meet.
#[derive(Debug, Clone)]
enum Step {
    Subnet(u8, u8),
    Range(u64, bool, u16, u16),
    Vlan(u64, u16),
    Fabric,
    RemoveSubnet(u64),
    RemoveVlan(u64),
    RemoveFabric(u64),
    RemoveRange(u64),
    Dhcp(u64, bool),
    Move(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), 22_u8..=30).prop_map(|(at, prefix)| Step::Subnet(at, prefix)),
        6 => (1_u64..6, any::<bool>(), 0_u16..1024, 0_u16..64)
            .prop_map(|(id, dynamic, start, length)| Step::Range(id, dynamic, start, length)),
        2 => (0_u64..3, 0_u16..3).prop_map(|(fabric, vid)| Step::Vlan(fabric, vid)),
        1 => Just(Step::Fabric),
        1 => (1_u64..6).prop_map(Step::RemoveSubnet),
        1 => (5001_u64..5006).prop_map(Step::RemoveVlan),
        1 => (0_u64..3).prop_map(Step::RemoveFabric),
        1 => (1_u64..8).prop_map(Step::RemoveRange),
        2 => (5001_u64..5006, any::<bool>()).prop_map(|(vlan, on)| Step::Dhcp(vlan, on)),
        2 => (1_u64..6, 5001_u64..5006).prop_map(|(subnet, vlan)| Step::Move(subnet, vlan)),
    ]
}

fn at(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    IpAddr::from([10, 0, high, low])
}

/// Refused or done, it must not matter.
fn take(networks: &mut Networks, step: Step) {
    match step {
        Step::Subnet(low, prefix) => {
            let network = ipnet::IpNet::new(at(u16::from(low) * 4), prefix).unwrap();
            drop(networks.add_subnet(Subnet::new(network, DEFAULT_VLAN)));
        }
        Step::Range(id, dynamic, start, length) => {
            let kind = if dynamic { RangeKind::Dynamic } else { RangeKind::Reserved };
            let (start, end) = (at(start), at(start.saturating_add(length).min(1023)));
            let range = range(id, kind, &start.to_string(), &end.to_string());
            drop(networks.add_ip_range(range, &none()));
        }
        Step::Vlan(fabric, vid) => {
            drop(networks.add_vlan(Vlan::new(fabric, Vid::new(vid).unwrap())));
        }
        Step::Fabric => drop(networks.add_fabric(Fabric::new(""))),
        Step::RemoveSubnet(id) => drop(networks.remove_subnet(id)),
        Step::RemoveVlan(id) => drop(networks.remove_vlan(id)),
        Step::RemoveFabric(id) => drop(networks.remove_fabric(id)),
        Step::RemoveRange(id) => drop(networks.remove_ip_range(id)),
        Step::Dhcp(id, on) => {
            if let Some(vlan) = networks.vlans().get(id) {
                drop(networks.set_vlan(id, Vlan { dhcp_on: on, ..vlan.clone() }));
            }
        }
        Step::Move(id, vlan) => {
            if let Some(subnet) = networks.subnets().get(id) {
                drop(networks.set_subnet(id, Subnet { vlan_id: vlan, ..subnet.clone() }));
            }
        }
    }
}

fn is_sound(networks: &Networks) -> Result<(), TestCaseError> {
    let mut tags = BTreeSet::new();
    for (id, vlan) in networks.vlans().iter() {
        prop_assert!(networks.fabrics().get(vlan.fabric_id).is_some());
        prop_assert!(tags.insert((vlan.fabric_id, vlan.vid)), "a tag twice");
        prop_assert!(!vlan.dhcp_on || networks.has_dynamic_range(id), "DHCP without range");
    }
    for (id, _) in networks.fabrics().iter() {
        prop_assert!(networks.default_vlan(id).is_some());
    }
    prop_assert!(networks.fabrics().get(0).is_some() && networks.vlans().get(5001).is_some());
    let mut cidrs = BTreeSet::new();
    for (_, subnet) in networks.subnets().iter() {
        prop_assert!(networks.vlans().get(subnet.vlan_id).is_some());
        prop_assert!(cidrs.insert(subnet.cidr), "a CIDR twice");
    }
    let ranges: Vec<&IpRange> = networks.ip_ranges().iter().map(|(_, range)| range).collect();
    for (index, range) in ranges.iter().enumerate() {
        let subnet = networks.subnets().get(range.subnet_id).unwrap();
        prop_assert!(Span::hosts(&subnet.cidr).encloses(&range.span().unwrap()));
        for other in &ranges[index + 1..] {
            prop_assert!(!range.span().unwrap().overlaps(&other.span().unwrap()));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_sequence_of_edits_breaks_a_rule(steps in prop::collection::vec(step(), 1..60)) {
        let mut networks = Networks::default();
        for step in steps {
            take(&mut networks, step.clone());
            is_sound(&networks)?;
        }
    }

    /// The chooser against the plain way: try every address in order.
    #[test]
    fn the_next_free_address_is_what_a_scan_finds(
        steps in prop::collection::vec(step(), 1..40),
        leased in prop::collection::btree_set((0_u16..1024).prop_map(at), 0..200),
        router in prop::option::of(0_u16..1024),
        managed in any::<bool>(),
    ) {
        let mut networks = Networks::default();
        for step in steps {
            take(&mut networks, step);
        }
        let ids: Vec<u64> = networks.subnets().iter().map(|(id, _)| id).collect();
        for id in ids {
            let subnet = networks.subnets().get(id).unwrap().clone();
            let with = Subnet { managed, gateway_ip: router.map(at), ..subnet };
            drop(networks.set_subnet(id, with));
            let subnet = networks.subnets().get(id).unwrap();
            let hosts = Span::hosts(&subnet.cidr);
            let in_range = |address: &IpAddr, kind| {
                networks.ip_ranges().iter().any(|(_, range)| {
                    range.subnet_id == id
                        && range.kind == kind
                        && range.span().unwrap().contains(address)
                })
            };
            let smaller = |address: &IpAddr| {
                networks.subnets().iter().any(|(other, it)| {
                    other != id && subnet.cidr.contains(&it.cidr) && it.cidr.contains(address)
                })
            };
            let plain = (0_u16..1024).map(at).find(|address| {
                hosts.contains(address)
                    && !leased.contains(address)
                    && subnet.gateway_ip != Some(*address)
                    && !in_range(address, RangeKind::Dynamic)
                    && in_range(address, RangeKind::Reserved) != subnet.managed
                    && !smaller(address)
            });
            prop_assert_eq!(networks.free_address(id, &leased), plain);
        }
    }

    #[test]
    fn pieces_and_gaps_together_are_the_whole_subnet_once(
        steps in prop::collection::vec(step(), 1..40),
        leased in prop::collection::btree_set((0_u16..1024).prop_map(at), 0..50),
    ) {
        let mut networks = Networks::default();
        for step in steps {
            take(&mut networks, step);
        }
        for (id, subnet) in networks.subnets().iter() {
            let mut all = networks.reserved_pieces(id, &leased);
            all.extend(networks.unreserved_pieces(id, &leased));
            all.sort_by_key(|piece| piece.span);
            let hosts = Span::hosts(&subnet.cidr);
            prop_assert_eq!(all.first().unwrap().span.first(), hosts.first());
            prop_assert_eq!(all.last().unwrap().span.last(), hosts.last());
            for pair in all.windows(2) {
                prop_assert_eq!(super::span::next(&pair[0].span.last()), Some(pair[1].span.first()));
            }
        }
    }

    #[test]
    fn a_huge_subnet_is_not_scanned(
        taken in prop::collection::btree_set(0_u64..2000, 0..300),
        base in any::<u64>(),
    ) {
        let mut networks = Networks::default();
        let network = std::net::Ipv6Addr::from_bits(u128::from(base | 0x2000) << 64);
        let id = networks
            .add_subnet(Subnet::new(ipnet::IpNet::new(network.into(), 64).unwrap(), DEFAULT_VLAN))
            .unwrap();
        let address = |low: u64| {
            IpAddr::from(std::net::Ipv6Addr::from_bits(network.to_bits() | u128::from(low)))
        };
        let leased: BTreeSet<IpAddr> = taken.iter().map(|low| address(*low)).collect();
        let expected = (1_u64..).find(|low| !taken.contains(low)).map(address);
        prop_assert_eq!(networks.free_address(id, &leased), expected);
    }

    #[test]
    fn no_specifier_makes_it_panic(text in "\\PC{0,30}") {
        drop(SubnetSpecifier::parse(&text));
    }
}
