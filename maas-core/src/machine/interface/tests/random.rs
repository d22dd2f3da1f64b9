//! Random edits keep every rule, whatever their order.

use std::collections::BTreeSet;
use std::net::IpAddr;

use maas_netconfig::{Mtu, SourceRouting};
use proptest::prelude::*;

use super::super::edit::{BridgeChange, Chosen, Edit, Force, NewLink, Settings};
use super::super::{AcquiredBridges, Interfaces, Kind, LinkMode};
use super::{READY, mac, name, networks, three};

fn settings() -> impl Strategy<Value = Settings> {
    let names = prop_oneof![Just("a"), Just("b"), Just("ens1"), Just("bond0"), Just("br0")];
    (
        (
            proptest::option::of(names),
            proptest::option::of(1u8..6),
            proptest::option::of(proptest::option::of(0u64..7)),
            proptest::option::of(proptest::collection::vec(1u64..20, 0..3)),
        ),
        (
            proptest::option::of(prop_oneof![Just(600u32), Just(1500), Just(9000)]),
            proptest::option::of(any::<bool>()),
            proptest::option::of(0u32..20_000),
        ),
    )
        .prop_map(|((named, number, vlan, parents), (mtu, enabled, link_speed))| Settings {
            name: named.map(name),
            mac: number.map(mac),
            vlan,
            parents,
            mtu: mtu.map(|mtu| Mtu::new(mtu).ok()),
            enabled,
            link_speed,
            bridge: BridgeChange { stp: enabled, ..BridgeChange::default() },
            ..Settings::default()
        })
}

fn link() -> impl Strategy<Value = NewLink> {
    let modes = prop_oneof![
        Just(LinkMode::Auto),
        Just(LinkMode::Dhcp),
        Just(LinkMode::Static),
        Just(LinkMode::LinkUp)
    ];
    let ips = prop_oneof![
        (0u8..=255).prop_map(|last| IpAddr::from([10, 0, 0, last])),
        (0u8..=255).prop_map(|last| IpAddr::from([10, 0, 20, last])),
        (1u16..9).prop_map(|last| IpAddr::from([0xfd00, 0, 0, 1, 0, 0, 0, last])),
    ];
    (modes, proptest::option::of(0u64..7), proptest::option::of(ips), any::<bool>(), any::<bool>())
        .prop_map(|(mode, subnet, ip, gateway, force)| NewLink {
            mode,
            subnet,
            ip: ip.filter(|_| mode == LinkMode::Static),
            default_gateway: if gateway { Chosen::Yes } else { Chosen::No },
            force: if force { Force::Yes } else { Force::No },
        })
}

fn edit() -> impl Strategy<Value = Edit> {
    let id = 1u64..16;
    prop_oneof![
        settings().prop_map(Edit::CreatePhysical),
        settings().prop_map(Edit::CreateBond),
        settings().prop_map(Edit::CreateBridge),
        settings().prop_map(Edit::CreateVlan),
        (id.clone(), settings())
            .prop_map(|(id, settings)| Edit::Update { id, settings: Box::new(settings) }),
        id.clone().prop_map(|id| Edit::Delete { id }),
        (id.clone(), "[a-z, ]{0,3}").prop_map(|(id, tag)| Edit::AddTag { id, tag }),
        (id.clone(), "[a-z]{0,2}").prop_map(|(id, tag)| Edit::RemoveTag { id, tag }),
        (id.clone(), link()).prop_map(|(id, link)| Edit::LinkSubnet { id, link }),
        (id.clone(), link()).prop_map(|(id, link)| Edit::LinkSubnet { id, link }),
        (id.clone(), 1u64..24).prop_map(|(id, link)| Edit::UnlinkSubnet { id, link }),
        id.clone().prop_map(|id| Edit::Disconnect { id }),
        (id, proptest::option::of(1u64..24))
            .prop_map(|(id, link)| Edit::SetDefaultGateway { id, link }),
        Just(Edit::ClearDefaultGateways),
    ]
}

/// Every rule of the model at once.
fn check(it: &Interfaces) {
    let networks = networks();
    let mut numbers = BTreeSet::new();
    let mut names = BTreeSet::new();
    let mut macs = BTreeSet::new();
    for interface in it {
        assert!(numbers.insert(interface.id), "{interface:?}");
        assert!(names.insert(interface.name.clone()), "{interface:?}");
        assert!(interface.id <= it.last_id);
        for link in &interface.links {
            assert!(numbers.insert(link.id) && link.id <= it.last_id, "{link:?}");
            match link.mode {
                LinkMode::Auto | LinkMode::Static => assert!(link.subnet.is_some(), "{link:?}"),
                LinkMode::Dhcp | LinkMode::LinkUp => assert!(link.ip.is_none(), "{link:?}"),
            }
            if let Some(subnet) = link.subnet {
                let subnet = &networks.subnets[&subnet];
                assert_eq!(Some(subnet.vlan), interface.vlan, "{interface:?}");
                assert!(link.ip.is_none_or(|ip| subnet.cidr.contains(&ip)));
            }
        }
        let dhcp = interface.links.iter().filter(|link| link.mode == LinkMode::Dhcp).count();
        assert!(dhcp <= 1, "{interface:?}");
        if it.group_of(interface.id).is_some() {
            assert!(interface.links.is_empty(), "{interface:?}");
            let groups = it
                .children(interface.id)
                .filter(|child| !matches!(child.kind, Kind::Vlan { .. }))
                .count();
            assert_eq!(groups, 1);
        }
        for parent in interface.kind.parents() {
            let parent = it.by_id(*parent).unwrap();
            match &interface.kind {
                Kind::Bond { .. } => assert!(parent.is_physical() && parent.vlan == interface.vlan),
                Kind::Bridge { .. } => assert!(!matches!(parent.kind, Kind::Bridge { .. })),
                Kind::Vlan { .. } => assert!(!matches!(parent.kind, Kind::Vlan { .. })),
                Kind::Physical => panic!("{interface:?}"),
            }
        }
        match interface.kind {
            Kind::Physical => assert!(macs.insert(interface.mac.unwrap())),
            _ => assert!(!interface.kind.parents().is_empty()),
        }
    }
    let chosen = it.chosen_gateways();
    assert!([chosen.ipv4, chosen.ipv6].iter().flatten().all(|link| it.link(*link).is_some()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_edits_keep_the_rules_and_what_they_leave_can_be_deployed(
        edits in proptest::collection::vec(edit(), 1..24),
        bridged in any::<bool>(),
    ) {
        let mut it = three();
        for edit in &edits {
            if let Ok((after, id)) = it.edit(edit, READY, &networks()) {
                prop_assert!(after.last_id >= it.last_id);
                if let Some(id) = id {
                    prop_assert!(after.by_id(id).is_some());
                }
                it = after;
            }
            check(&it);
        }
        if bridged {
            it.bridge_all(AcquiredBridges::default());
            check(&it);
        }
        let network = it.network(Some(1).filter(|id| it.by_id(*id).is_some()), "maas", &networks());
        let errors: Vec<_> =
            network.validate().into_iter().filter(maas_netconfig::Problem::is_error).collect();
        prop_assert!(errors.is_empty(), "{:?}\n{:#?}", errors, it);
        prop_assert!(network.resolve(SourceRouting::Off).is_ok());
        let stored = serde_json::to_string(&it).unwrap();
        prop_assert_eq!(serde_json::from_str::<Interfaces>(&stored).unwrap(), it.clone());
        it.end_use();
        check(&it);
        prop_assert!(it.iter().all(|interface| !interface.acquired));
    }
}
