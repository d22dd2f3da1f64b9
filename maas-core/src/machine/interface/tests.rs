#![allow(clippy::unwrap_used)]

mod random;

use std::collections::BTreeSet;
use std::net::IpAddr;

use maas_netconfig::model::BondMode;
use maas_netconfig::{IfName, Mac, Mtu, SourceRouting, Vid, netplan};

use super::build::Known;
use super::edit::{BondChange, Chosen, Edit, Force, NewLink, Node, Settings};
use super::*;
use crate::machine::Status;
use crate::machine::hardware::{self, Hardware, InterfaceAddress};

pub(super) const READY: Node = Node::Machine(Status::Ready);

/// Fabric 1 with untagged VLAN 1, VLAN 10 (number 2) and VLAN 20 (number 3); fabric 2 with an
/// untagged VLAN (number 4) and VLAN 10 (number 5).
pub(super) fn networks() -> NetworkFacts {
    let vlan = |vid: u16, fabric, mtu| VlanFacts {
        vid: Vid::new(vid).unwrap(),
        fabric,
        mtu: Mtu::new(mtu).unwrap(),
        dhcp_on: vid == 0,
    };
    let subnet = |cidr: &str, vlan, gateway: &str| SubnetFacts {
        cidr: cidr.parse().unwrap(),
        vlan,
        gateway: gateway.parse().ok(),
        dns_servers: vec!["10.0.0.53".parse().unwrap()],
        allow_dns: true,
        rack_dns: Vec::new(),
    };
    NetworkFacts {
        vlans: [
            (1, vlan(0, 1, 1500)),
            (2, vlan(10, 1, 1500)),
            (3, vlan(20, 1, 9000)),
            (4, vlan(0, 2, 1500)),
            (5, vlan(10, 2, 1500)),
        ]
        .into(),
        subnets: [
            (1, subnet("10.0.0.0/24", 1, "10.0.0.1")),
            (2, subnet("10.0.10.0/24", 2, "10.0.10.1")),
            (3, subnet("10.0.20.0/24", 3, "")),
            (4, subnet("10.1.0.0/24", 4, "10.1.0.1")),
            (5, subnet("fd00:0:0:1::/64", 1, "fd00:0:0:1::1")),
        ]
        .into(),
        routes: vec![RouteFacts {
            source: 1,
            destination: "172.16.0.0/16".parse().unwrap(),
            gateway: "10.0.0.254".parse().unwrap(),
            metric: 5,
        }],
        default_vlan: Some(1),
        search: vec!["corp.example".into()],
        name_servers: Vec::new(),
    }
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn mac(last: u8) -> Mac {
    Mac::new([0x52, 0x54, 0, 0, 0, last])
}

fn card(number: u8, address: Option<&str>) -> hardware::Interface {
    hardware::Interface {
        name: format!("ens{number}"),
        mac_address: Some(mac(number).to_string()),
        link_connected: true,
        interface_speed: 10_000,
        link_speed: 1_000,
        addresses: address
            .map(|ip| InterfaceAddress { address: ip.parse().unwrap(), prefix: 24 })
            .into_iter()
            .collect(),
        ..hardware::Interface::default()
    }
}

fn built(cards: Vec<hardware::Interface>) -> Interfaces {
    let hardware = Hardware { interfaces: cards, ..Hardware::default() };
    let known = Known { hardware: &hardware, macs: &BTreeSet::new(), boot_mac: None };
    Interfaces::default().rebuilt(known, &networks())
}

/// Three cards in the untagged VLAN of fabric 1, the first with AUTO.
pub(super) fn three() -> Interfaces {
    built(vec![card(1, Some("10.0.0.77")), card(2, None), card(3, None)])
}

fn id(interfaces: &Interfaces, name: &str) -> u64 {
    interfaces.by_name(name).unwrap().id
}

fn link(mode: LinkMode, subnet: Option<u64>, ip: Option<&str>) -> NewLink {
    NewLink {
        mode,
        subnet,
        ip: ip.map(|ip| ip.parse().unwrap()),
        default_gateway: Chosen::No,
        force: Force::No,
    }
}

fn done(interfaces: &Interfaces, edit: &Edit) -> Interfaces {
    interfaces.edit(edit, READY, &networks()).unwrap().0
}

fn blamed(interfaces: &Interfaces, edit: &Edit) -> &'static str {
    match interfaces.edit(edit, READY, &networks()).unwrap_err() {
        Refusal::Field { field, .. } => field,
        other => panic!("{other:?}"),
    }
}

fn bond(interfaces: &Interfaces, parents: &[&str]) -> Edit {
    Edit::CreateBond(Settings {
        name: Some(name("bond0")),
        parents: Some(parents.iter().map(|it| id(interfaces, it)).collect()),
        bond: BondChange { mode: Some(BondMode::Ieee8023ad), ..BondChange::default() },
        ..Settings::default()
    })
}

fn vlan(parent: u64, vlan: u64) -> Edit {
    Edit::CreateVlan(Settings {
        parents: Some(vec![parent]),
        vlan: Some(Some(vlan)),
        ..Settings::default()
    })
}

#[test]
fn the_boot_interface_is_auto_where_its_subnet_is_known_and_dhcp_elsewhere() {
    let known = three();
    let first = known.by_name("ens1").unwrap();
    assert_eq!((first.links[0].mode, first.links[0].subnet), (LinkMode::Auto, Some(1)));
    assert_eq!(first.vlan, Some(1));
    assert_eq!(known.by_name("ens2").unwrap().links[0].mode, LinkMode::LinkUp);

    let unknown = built(vec![card(1, Some("192.168.7.7")), card(2, None)]);
    let first = unknown.by_name("ens1").unwrap();
    assert_eq!((first.links[0].mode, first.links[0].subnet), (LinkMode::Dhcp, None));
    let boots_from_second = Known {
        hardware: &Hardware {
            interfaces: vec![card(1, None), card(2, None)],
            ..Hardware::default()
        },
        macs: &BTreeSet::new(),
        boot_mac: Some("52:54:00:00:00:02"),
    };
    let second = Interfaces::default().rebuilt(boots_from_second, &networks());
    assert_eq!(second.by_name("ens2").unwrap().links[0].mode, LinkMode::Dhcp);
    assert_eq!(second.by_name("ens1").unwrap().links[0].mode, LinkMode::LinkUp);
}

#[test]
fn commissioning_again_keeps_numbers_and_tags_by_the_address_and_forgets_the_rest() {
    let before = three();
    let tagged = done(&before, &Edit::AddTag { id: id(&before, "ens2"), tag: "fast".into() });
    let bonded = done(&tagged, &bond(&tagged, &["ens2", "ens3"]));
    // The cards come in another order, one is gone, one is new.
    let hardware = Hardware {
        interfaces: vec![card(4, None), card(2, None), card(1, None)],
        ..Hardware::default()
    };
    let macs: BTreeSet<String> = (1..=3).map(|number| mac(number).to_string()).collect();
    let known = Known { hardware: &hardware, macs: &macs, boot_mac: Some("52:54:00:00:00:01") };
    let after = bonded.rebuilt(known, &networks());
    assert_eq!(id(&after, "ens1"), id(&before, "ens1"));
    assert_eq!(id(&after, "ens2"), id(&before, "ens2"));
    assert!(after.by_name("ens2").unwrap().tags.contains("fast"));
    assert!(after.by_name("bond0").is_none());
    assert!(before.iter().chain(&bonded).all(|old| old.id != id(&after, "ens4")));
    let lost = after.by_mac(mac(3)).unwrap();
    assert!(!lost.enabled && lost.links.is_empty(), "what is not there is not waited for");

    let kept = bonded.refreshed(known, &networks());
    assert!(kept.by_name("bond0").is_some(), "skip_networking keeps the configuration");
    assert_eq!(kept.by_name("ens1").unwrap().links, bonded.by_name("ens1").unwrap().links);
    assert!(kept.by_mac(mac(4)).is_some());
}

#[test]
fn before_commissioning_there_are_the_addresses_that_were_told() {
    let macs: BTreeSet<String> = [mac(9).to_string(), mac(8).to_string()].into();
    let known = Known { hardware: &Hardware::default(), macs: &macs, boot_mac: None };
    let told = Interfaces::default().rebuilt(known, &networks());
    let names: Vec<&str> = told.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["eth0", "eth1"]);
    assert!(told.iter().all(|it| it.enabled && it.vlan == Some(1)));
    assert_eq!(told.by_name("eth0").unwrap().mac, Some(mac(8)));
}

#[test]
fn edits_are_refused_by_status_with_the_sentence_that_clients_know() {
    let edit = Edit::Disconnect { id: 1 };
    for status in Status::ALL {
        let result = three().edit(&edit, Node::Machine(status), &networks());
        let allowed = matches!(
            status,
            Status::New
                | Status::Ready
                | Status::FailedTesting
                | Status::Allocated
                | Status::Broken
        );
        assert_eq!(result.is_ok(), allowed, "{status}");
    }
    let refusal = three().edit(&edit, Node::Machine(Status::Deployed), &networks()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "Cannot disconnect interface because the machine is not New, Ready, Allocated, or Broken."
    );
}

#[test]
fn a_link_needs_what_its_mode_needs() {
    let it = three();
    let second = id(&it, "ens2");
    let edit = |link| Edit::LinkSubnet { id: second, link };
    for mode in [LinkMode::Auto, LinkMode::Static] {
        let refused = it.edit(&edit(link(mode, None, None)), READY, &networks()).unwrap_err();
        let expected =
            Refusal::Field { field: "subnet", message: "This field is required.".to_owned() };
        assert_eq!(refused, expected);
    }
    for (subnet, ip, field) in [
        (99, None, "subnet"),
        (4, None, "subnet"),
        (1, Some("10.9.9.9"), "ip_address"),
        (1, Some("10.0.0.0"), "ip_address"),
        (1, Some("10.0.0.255"), "ip_address"),
        (1, Some("10.0.0.1"), "ip_address"),
    ] {
        let edit = edit(link(LinkMode::Static, Some(subnet), ip));
        assert_eq!(blamed(&it, &edit), field, "{subnet} {ip:?}");
    }
    assert_eq!(blamed(&it, &edit(link(LinkMode::Auto, Some(1), Some("10.0.0.9")))), "ip_address");
    let no_gateway =
        NewLink { default_gateway: Chosen::Yes, ..link(LinkMode::Dhcp, Some(1), None) };
    assert_eq!(blamed(&it, &edit(no_gateway)), "default_gateway");
    assert_eq!(it.edit(&Edit::Delete { id: 99 }, READY, &networks()), Err(Refusal::NoInterface));
}

#[test]
fn an_interface_has_one_dhcp_link_and_link_up_only_alone() {
    let it = three();
    let second = id(&it, "ens2");
    let edit = |link| Edit::LinkSubnet { id: second, link };
    let dhcp = edit(link(LinkMode::Dhcp, None, None));
    let with = done(&it, &dhcp);
    assert_eq!(with.by_id(second).unwrap().links.len(), 1, "link_up gave way");
    assert_eq!(blamed(&with, &dhcp), "mode");
    let up = link(LinkMode::LinkUp, None, None);
    assert_eq!(blamed(&with, &edit(up)), "mode");
    let forced = done(&with, &edit(NewLink { force: Force::Yes, ..up }));
    let modes: Vec<LinkMode> =
        forced.by_id(second).unwrap().links.iter().map(|link| link.mode).collect();
    assert_eq!(modes, [LinkMode::LinkUp]);
}

#[test]
fn force_moves_the_interface_into_the_subnets_vlan() {
    let it = three();
    let second = id(&it, "ens2");
    let wanted = link(LinkMode::Auto, Some(4), None);
    assert_eq!(blamed(&it, &Edit::LinkSubnet { id: second, link: wanted }), "subnet");
    let forced = NewLink { force: Force::Yes, ..wanted };
    let after = done(&it, &Edit::LinkSubnet { id: second, link: forced });
    assert_eq!(after.by_id(second).unwrap().vlan, Some(4));
    let cut = done(&after, &Edit::Disconnect { id: second });
    assert_eq!(
        (cut.by_id(second).unwrap().vlan, cut.by_id(second).unwrap().links.len()),
        (None, 0)
    );
    // What is not plugged in is plugged in by its first link.
    let linked = done(&cut, &Edit::LinkSubnet { id: second, link: wanted });
    assert_eq!(linked.by_id(second).unwrap().vlan, Some(4));
}

#[test]
fn a_bond_takes_over_its_members() {
    let it = three();
    let with = done(&it, &bond(&it, &["ens1", "ens2"]));
    let made = with.by_name("bond0").unwrap();
    assert_eq!((made.mac, made.vlan), (Some(mac(1)), Some(1)));
    assert_eq!(made.links[0].mode, LinkMode::LinkUp);
    assert!(with.by_name("ens1").unwrap().links.is_empty());
    let Kind::Bond { params, .. } = &made.kind else { panic!() };
    assert_eq!((params.mode, params.miimon), (BondMode::Ieee8023ad, Some(100)));
    // Members cannot be linked, bonded or moved; the name is taken.
    let first = id(&with, "ens1");
    let dhcp = link(LinkMode::Dhcp, None, None);
    assert_eq!(blamed(&with, &Edit::LinkSubnet { id: first, link: dhcp }), "__all__");
    assert_eq!(blamed(&with, &bond(&with, &["ens3"])), "name");
    let mut again = bond(&with, &["ens1"]);
    if let Edit::CreateBond(settings) = &mut again {
        settings.name = Some(name("bond1"));
    }
    assert_eq!(blamed(&with, &again), "parents");
    let moved = Settings { vlan: Some(Some(4)), ..Settings::default() };
    let edit = |id| Edit::Update { id, settings: Box::new(moved.clone()) };
    assert_eq!(blamed(&with, &edit(first)), "vlan");
    let moved = done(&with, &edit(made.id));
    assert_eq!(moved.by_id(first).unwrap().vlan, Some(4), "members follow their bond");
    // Members that are left are on their own again.
    let gone = done(&with, &Edit::Delete { id: made.id });
    assert_eq!(gone.by_id(first).unwrap().links[0].mode, LinkMode::LinkUp);
}

#[test]
fn members_of_a_bond_are_cards_of_one_vlan() {
    let it = three();
    let tagged = done(&it, &vlan(id(&it, "ens2"), 2));
    assert_eq!(blamed(&tagged, &bond(&tagged, &["ens2.10"])), "parents");
    assert_eq!(blamed(&tagged, &bond(&tagged, &["ens2", "ens3"])), "parents");
    assert_eq!(blamed(&it, &bond(&it, &[])), "parents");
    let elsewhere = Settings { vlan: Some(Some(4)), ..Settings::default() };
    let moved = done(&it, &Edit::Update { id: id(&it, "ens3"), settings: Box::new(elsewhere) });
    assert_eq!(blamed(&moved, &bond(&moved, &["ens2", "ens3"])), "parents");
}

#[test]
fn interfaces_follow_a_vlan_that_is_deleted() {
    let it = three();
    let second = id(&it, "ens2");
    let with = done(&it, &vlan(second, 2));
    let mut left = with.clone();
    assert!(!left.leave_vlan(3, Some(1)));
    assert_eq!(left, with);
    assert!(left.leave_vlan(2, Some(1)));
    assert!(left.by_name("ens2.10").is_none());
    assert_eq!(left.by_id(second).unwrap().vlan, Some(1));
    assert!(left.leave_vlan(1, Some(4)));
    assert!(left.iter().all(|interface| interface.vlan == Some(4)));
}

#[test]
fn a_vlan_interface_carries_a_tag_of_its_parents_fabric_once() {
    let it = three();
    let second = id(&it, "ens2");
    let with = done(&it, &vlan(second, 2));
    let made = with.by_name("ens2.10").unwrap();
    assert_eq!(with.mac_of(made), Some(mac(2)));
    assert_eq!(made.links[0].mode, LinkMode::LinkUp);
    assert_eq!(blamed(&with, &vlan(second, 2)), "name");
    let named = |parent, number| {
        let Edit::CreateVlan(settings) = vlan(parent, number) else { panic!() };
        Edit::CreateVlan(Settings { name: Some(name("other")), ..settings })
    };
    assert_eq!(blamed(&with, &named(second, 2)), "vlan");
    assert_eq!(blamed(&it, &vlan(second, 1)), "vlan");
    assert_eq!(blamed(&it, &vlan(second, 5)), "vlan");
    assert_eq!(blamed(&with, &vlan(made.id, 3)), "parents");
    let bonded = done(&it, &bond(&it, &["ens2", "ens3"]));
    assert_eq!(blamed(&bonded, &vlan(second, 2)), "parents");
    // The card goes, and with it what it carries.
    let gone = done(&with, &Edit::Delete { id: second });
    assert!(gone.by_name("ens2.10").is_none());
    // A card cannot leave the fabric of what it carries.
    let moved = Settings { vlan: Some(Some(4)), ..Settings::default() };
    assert_eq!(blamed(&with, &Edit::Update { id: second, settings: Box::new(moved) }), "vlan");
}

#[test]
fn an_mtu_too_small_for_ipv6_is_refused_before_a_deployment_would_fail() {
    let it = three();
    let first = id(&it, "ens1");
    let wanted = link(LinkMode::Static, Some(5), Some("fd00:0:0:1::9"));
    let with = done(&it, &Edit::LinkSubnet { id: first, link: wanted });
    let small = Settings { mtu: Some(Some(Mtu::new(1000).unwrap())), ..Settings::default() };
    assert_eq!(blamed(&with, &Edit::Update { id: first, settings: Box::new(small) }), "__all__");
}

#[test]
fn default_gateways_are_chosen_and_cleared() {
    let it = three();
    let second = id(&it, "ens2");
    assert_eq!(it.default_gateways(None, &networks()).ipv4.gateway, "10.0.0.1".parse().ok());
    let none = Edit::SetDefaultGateway { id: second, link: None };
    assert_eq!(blamed(&it, &none), "__all__");
    let four = NewLink { force: Force::Yes, ..link(LinkMode::Auto, Some(4), None) };
    let with = done(&it, &Edit::LinkSubnet { id: second, link: four });
    let with = done(&with, &none);
    let gateways = with.default_gateways(None, &networks());
    assert_eq!(gateways.ipv4.gateway, "10.1.0.1".parse().ok());
    assert_eq!(gateways.ipv4.link, Some(with.by_id(second).unwrap().links[0].id));
    let network = with.network(None, "", &networks());
    assert_eq!(network.gateways.ipv4.unwrap().interface.as_str(), "ens2");
    let cleared = with
        .edit(&Edit::ClearDefaultGateways, Node::Machine(Status::Deployed), &networks())
        .unwrap()
        .0;
    assert_eq!(cleared.default_gateways(None, &networks()).ipv4.link, None);
    let unlinked = with.by_id(second).unwrap().links[0].id;
    let unlinked = done(&with, &Edit::UnlinkSubnet { id: second, link: unlinked });
    assert_eq!(unlinked.chosen_gateways(), GatewayLinks::default());
}

#[test]
fn devices_have_cards_with_static_links_only() {
    let one = |edit: &Edit, it: &Interfaces| it.edit(edit, Node::Device, &networks());
    let card = Edit::CreatePhysical(Settings { mac: Some(mac(1)), ..Settings::default() });
    let (device, id) = one(&card, &Interfaces::default()).unwrap();
    let id = id.unwrap();
    assert_eq!(device.by_id(id).unwrap().name.as_str(), "eth0");
    let wanted = link(LinkMode::Auto, Some(1), None);
    assert!(one(&Edit::LinkSubnet { id, link: wanted }, &device).is_err());
    let wanted = link(LinkMode::Static, Some(1), Some("10.0.0.9"));
    let (device, _) = one(&Edit::LinkSubnet { id, link: wanted }, &device).unwrap();
    assert_eq!(device.held().len(), 1);
    let refused = one(&Edit::CreateBond(Settings::default()), &device).unwrap_err();
    assert!(matches!(refused, Refusal::NotForDevices { .. }));
}

#[test]
fn everything_at_once_renders_as_netplan() {
    let it = three();
    let it = done(&it, &bond(&it, &["ens2", "ens3"]));
    let bond0 = id(&it, "bond0");
    let it = done(&it, &vlan(bond0, 3));
    let carried = id(&it, "bond0.20");
    let it = done(
        &it,
        &Edit::CreateBridge(Settings {
            name: Some(name("br0")),
            parents: Some(vec![carried]),
            ..Settings::default()
        }),
    );
    let mut it = done(
        &it,
        &Edit::LinkSubnet {
            id: id(&it, "br0"),
            link: link(LinkMode::Static, Some(3), Some("10.0.20.5")),
        },
    );
    let (auto, _) = {
        let mut wanting = it.without_address(LinkMode::Auto);
        let (_, link, subnet) = wanting.next().unwrap();
        assert_eq!((subnet, wanting.next()), (1, None));
        (link.id, subnet)
    };
    it.assign(auto, "10.0.0.20".parse().unwrap());
    let network = it.network(Some(id(&it, "ens1")), "lab.example", &networks());
    let topology = network.resolve(SourceRouting::Off).unwrap();
    let rendered = netplan::render(&topology);
    assert!(rendered.losses.is_empty(), "{:?}", rendered.losses);
    let expected = include_str!("tests/everything.yaml");
    assert_eq!(rendered.to_yaml(), expected);
    assert_eq!(it.effective_mtu(it.by_name("ens2").unwrap(), &networks()), 9000);
}

#[test]
fn bridges_of_a_use_come_and_go_with_it() {
    let before = three();
    let mut it = before.clone();
    it.bridge_all(AcquiredBridges::default());
    let bridge = it.by_name("br-ens1").unwrap();
    assert!(bridge.acquired);
    assert_eq!(bridge.links, before.by_name("ens1").unwrap().links);
    assert!(it.by_name("br-ens2").is_none(), "only configured interfaces are bridged");
    let auto = bridge.links[0].id;
    it.assign(auto, "10.0.0.20".parse::<IpAddr>().unwrap());
    assert_eq!(it.network(None, "", &networks()).validate(), []);
    it.end_use();
    assert_eq!(it.list, before.list);
}

#[test]
fn long_names_make_short_bridges() {
    let mut found = card(1, Some("10.0.0.77"));
    for (on, expected) in [
        ("eth0", "br-eth0"),
        ("enp0s31f6u1u", "br-enp0s31f6u1u"),
        ("enp0s31f6u1u2", "b-p0s31f6u1u2"),
        ("wan-enp0s31f6u1", "b-2f1e67-1f6u1"),
    ] {
        on.clone_into(&mut found.name);
        let mut it = built(vec![found.clone()]);
        it.bridge_all(AcquiredBridges::default());
        let name = it.iter().find(|it| it.acquired).unwrap().name.to_string();
        if on.len() < 15 {
            assert_eq!(name, expected);
        } else {
            let (head, tail) = (name.get(..2).unwrap(), name.get(8..).unwrap());
            assert_eq!((head, tail), ("b-", "-31f6u1"));
        }
    }
}

#[test]
fn what_was_stored_before_interfaces_were_still_loads() {
    let mut machine = crate::machine::lifecycle::tests::machine();
    let mut value = serde_json::to_value(&machine).unwrap();
    let members = value.as_object_mut().unwrap();
    members.remove("interfaces").unwrap();
    members.remove("skip_networking").unwrap();
    let mut old: crate::machine::Machine = serde_json::from_value(value).unwrap();
    assert!(old.interfaces.is_unborn());
    old.ensure_interfaces(&NetworkFacts::default());
    machine.ensure_interfaces(&NetworkFacts::default());
    assert_eq!(old, machine);
}

#[test]
fn a_network_given_as_a_whole_locks_the_interfaces_until_it_is_taken_back() {
    let mut machine = crate::machine::lifecycle::tests::machine();
    machine.mac_addresses = [mac(1).to_string()].into();
    machine.interfaces = Interfaces::default().into();
    machine.ensure_interfaces(&networks());
    machine.status = Status::Ready;
    machine.configuration.network = Some(maas_netconfig::Network::default());
    let id = machine.interfaces.iter().next().unwrap().id;
    let edit = Edit::Disconnect { id };
    assert_eq!(machine.edit_interfaces(&edit, &networks()), Err(Refusal::NetworkGiven));
    machine.restore_network(&networks()).unwrap();
    machine.edit_interfaces(&edit, &networks()).unwrap();
    let other = Settings { mac: Some(mac(7)), ..Settings::default() };
    machine.edit_interfaces(&Edit::Update { id, settings: Box::new(other) }, &networks()).unwrap();
    assert_eq!(Vec::from_iter(machine.mac_addresses), [mac(7).to_string()]);
}
