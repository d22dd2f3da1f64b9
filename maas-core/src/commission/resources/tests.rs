#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::machine::hardware::{Disk, Interface, InterfaceAddress, InterfaceKind};

fn sample() -> Value {
    json!({
        "api_version": "1.0",
        "api_extensions": [
            "resources", "resources_v2", "api_os", "resources_system", "resources_usb_pci"
        ],
        "environment": {"kernel_architecture": "x86_64"},
        "resources": {
            "cpu": {"architecture": "x86_64", "total": 2, "sockets": [{
                "name": "Intel(R) Xeon(R) @ 2.20GHz", "socket": 0,
                "cores": [{"core": 0, "threads": [
                    {"id": 0, "numa_node": 0, "thread": 0, "online": true},
                    {"id": 1, "numa_node": 0, "thread": 1, "online": true},
                ]}],
            }]},
            "memory": {"total": 4294967296_u64, "hugepages_size": 2097152, "nodes": [
                {"numa_node": 0, "total": 4294967296_u64, "hugepages_total": 4194304}
            ]},
            "network": {"cards": [{
                "driver": "virtio_net", "numa_node": 0, "pci_address": "0000:00:03.0",
                "vendor": "Red Hat, Inc.",
                "ports": [{
                    "id": "enp0s3", "address": "52:54:00:00:00:01", "port": 0,
                    "protocol": "ethernet", "link_detected": true,
                    "supported_modes": ["1000baseT/Full", "10000baseT/Full"], "link_speed": 1000,
                }],
            }], "total": 1},
            "storage": {"disks": [{
                "id": "vda", "device": "252:0", "type": "virtio", "read_only": false,
                "size": 10737418240_u64, "removable": false, "numa_node": 0,
                "device_path": "pci-0000:00:04.0", "block_size": 0, "rpm": 0, "serial": "",
                "device_id": "", "partitions": [],
            }], "total": 1},
            "gpu": {"cards": null, "total": 0},
            "usb": {"devices": [], "total": 0},
            "pci": {"devices": [], "total": 0},
            "system": {
                "uuid": "6F8E2A10-0000-4000-8000-000000000001", "vendor": "QEMU",
                "product": "Standard PC", "type": "virtual-machine", "firmware": null,
                "chassis": null, "motherboard": null,
            },
        },
        "networks": {"enp0s3": {
            "addresses": [
                {"family": "inet", "address": "10.0.0.5", "netmask": "24", "scope": "global"},
                {"family": "inet6", "address": "fe80::1", "netmask": "64", "scope": "link"},
            ],
            "hwaddr": "52:54:00:00:00:01", "mtu": 1500, "state": "up", "type": "broadcast",
            "bond": null, "bridge": null, "vlan": null,
        }},
    })
}

fn with_disks(disks: Value) -> Hardware {
    let mut document = sample();
    document["resources"]["storage"]["disks"] = disks;
    parse_value(&document).unwrap()
}

#[test]
fn the_smallest_document_becomes_hardware() {
    let hardware = parse(sample().to_string().as_bytes()).unwrap();
    assert_eq!(hardware.cpu_count, 2);
    assert_eq!(hardware.cpu_model.as_deref(), Some("Intel(R) Xeon(R)"));
    assert_eq!(hardware.cpu_speed, 2200);
    assert_eq!(hardware.memory, 4096);
    let node = &hardware.numa_nodes[0];
    assert_eq!((node.memory, node.cores.as_slice()), (4096, &[0, 1][..]));
    assert_eq!(node.hugepages, Some(Hugepages { page_size: 2_097_152, total: 4_194_304 }));
    assert_eq!(hardware.disks.len(), 1);
    assert_eq!(hardware.disks[0].id_path, "/dev/vda");
    assert_eq!(hardware.disks[0].block_size, 512);
    assert_eq!(hardware.disks[0].tags, ["ssd"]);
    let interface = &hardware.interfaces[0];
    assert_eq!((interface.interface_speed, interface.link_speed), (10_000, 1000));
    assert_eq!(interface.addresses.len(), 1);
    assert_eq!(interface.addresses[0].prefix, 24);
    assert_eq!(hardware.hardware_uuid.as_deref(), Some("6f8e2a10-0000-4000-8000-000000000001"));
    assert!(hardware.is_virtual);
    assert_eq!(hardware.mac_addresses().collect::<Vec<_>>(), ["52:54:00:00:00:01"]);
}

#[test]
fn the_speed_is_the_named_one_or_the_turbo_or_the_rounded_mean() {
    let speed = |sockets: Value| {
        let mut document = sample();
        document["resources"]["cpu"]["sockets"] = sockets;
        let hardware = parse_value(&document).unwrap();
        (hardware.cpu_model, hardware.cpu_speed)
    };
    let model = |name: &str| Some(name.to_owned());
    assert_eq!(
        speed(json!([{"name": "A @ 3.40GHz"}, {"name": "A @ 3.40GHz"}])),
        (model("A"), 3400)
    );
    assert_eq!(speed(json!([{"name": "A"}, {"name": "B"}])), (None, 0));
    assert_eq!(speed(json!([{"name": "A", "frequency_turbo": 3900, "frequency": 2000}])).1, 3900);
    assert_eq!(speed(json!([{"name": "A", "frequency": 2596}])).1, 2600);
    assert_eq!(speed(json!([{"name": "A @ NaNGHz"}])), (model("A"), 0));
    assert_eq!(speed(json!([])), (None, 0));
}

#[test]
fn disks_that_cannot_hold_a_system_are_left_out() {
    let disk = |id: &str| json!({"id": id, "size": 10_000_000_000_u64, "type": "scsi"});
    let with = |id: &str, key: &str, value: Value| {
        let mut disk = disk(id);
        disk[key] = value;
        disk
    };
    let hardware = with_disks(json!([
        disk("sda"),
        with("sdb", "read_only", json!(true)),
        with("sr0", "type", json!("cdrom")),
        with("sdc", "size", json!(4 * 1024 * 1024)),
        disk("bcache0"),
        disk("loop3"),
        with("sdd", "size", json!(4 * 1024 * 1024 + 512)),
    ]));
    let names: Vec<&str> = hardware.disks.iter().map(|disk| disk.name.as_str()).collect();
    assert_eq!(names, ["sda", "sdd"]);
}

#[test]
fn a_disk_is_named_by_id_when_it_has_a_serial_number() {
    let hardware = with_disks(json!([
        {"id": "sda", "size": 9_000_000_000_u64, "serial": "S1", "device_id": "wwn-0x1", "rpm": 7200,
         "type": "sata", "removable": true},
        {"id": "sdb", "size": 9_000_000_000_u64, "serial": "", "device_id": "scsi-1"},
    ]));
    assert_eq!(hardware.disks[0].id_path, "/dev/disk/by-id/wwn-0x1");
    assert_eq!(hardware.disks[0].tags, ["rotary", "7200rpm", "sata", "removable"]);
    assert_eq!(hardware.disks[1].id_path, "/dev/sdb");
}

#[test]
fn one_unit_by_several_paths_is_one_disk() {
    let path = |id: &str, serial: &str, path: &str| json!({"id": id, "size": 9_000_000_000_u64, "serial": serial, "device_path": path});
    let hardware = with_disks(json!([
        path("sda", "S1", "pci-0000:00:05.0-fc-0x1-lun-1"),
        path("sdb", "S1", "pci-0000:00:06.0-fc-0x2-lun-1"),
        path("sdc", "S1", "pci-0000:00:06.0-fc-0x2-lun-2"),
        path("sdd", "S2", "pci-0000:00:07.0-scsi-0:0:0:1"),
        path("sde", "", "pci-0000:00:05.0-fc-0x1-lun-1"),
        path("sdf", "S1", "pci-0000:00:09.0"),
    ]));
    let seen: Vec<(&str, bool)> = hardware
        .disks
        .iter()
        .map(|disk| (disk.name.as_str(), disk.tags.iter().any(|tag| tag == "multipath")))
        .collect();
    assert_eq!(
        seen,
        [("sda", true), ("sdc", false), ("sdd", false), ("sde", false), ("sdf", false)]
    );
}

#[test]
fn nested_interfaces_follow_their_parents() {
    let mut document = sample();
    let mac = "52:54:00:00:00:01";
    document["networks"] = json!({
        "a-vlan": {"type": "broadcast", "hwaddr": mac, "vlan": {"lower_device": "bond0", "vid": 20}},
        "bond0": {"type": "broadcast", "hwaddr": mac,
                  "bond": {"mode": "802.3ad", "lower_devices": ["enp0s3", "gone"]}},
        "a-bridge": {"type": "broadcast", "hwaddr": mac, "bridge": {"upper_devices": ["a-vlan"]}},
        "lo": {"type": "loopback", "hwaddr": "00:00:00:00:00:00"},
        "ib0": {"type": "broadcast",
                "hwaddr": "80:00:00:48:fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:00:01"},
    });
    let hardware = parse_value(&document).unwrap();
    let names: Vec<&str> = hardware.interfaces.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["enp0s3", "bond0", "a-vlan", "a-bridge"]);
    assert_eq!(hardware.interface("bond0").unwrap().parents, ["enp0s3"]);
    assert_eq!(hardware.interface("bond0").unwrap().bond_mode.as_deref(), Some("802.3ad"));
    assert_eq!(hardware.interface("a-vlan").unwrap().vid, Some(20));
}

#[test]
fn interfaces_that_are_each_others_parents_are_refused() {
    let mut document = sample();
    document["networks"]["br0"] = json!({"type": "broadcast", "hwaddr": "52:54:00:00:00:02",
        "bridge": {"upper_devices": ["br1"]}});
    document["networks"]["br1"] = json!({"type": "broadcast", "hwaddr": "52:54:00:00:00:03",
        "bridge": {"upper_devices": ["br0"]}});
    let error = parse_value(&document).unwrap_err();
    assert_eq!(error.to_string(), "networks[\"br0\"]: the interface is its own ancestor");
}

#[test]
fn an_error_names_the_path_of_the_value() {
    let broken = |pointer: &str, value: Value| {
        let mut document = sample();
        *document.pointer_mut(pointer).unwrap() = value;
        parse_value(&document).unwrap_err().to_string()
    };
    assert_eq!(
        broken("/resources/cpu/sockets/0/cores/0/threads/1/id", json!("one")),
        "resources.cpu.sockets[0].cores[0].threads[1].id: expected a whole number from 0 on, \
         found a text"
    );
    assert_eq!(
        broken("/networks/enp0s3/addresses/0/address", json!("10.0.0.300")),
        "networks[\"enp0s3\"].addresses[0].address: expected an IP address, found \"10.0.0.300\""
    );
    assert_eq!(
        broken("/resources/network/cards/0/ports/0/address", json!("52:54")),
        "resources.network.cards[0].ports[0].address: expected a MAC address of six octets, \
         found \"52:54\""
    );
    assert_eq!(
        broken("/resources/storage", Value::Null),
        "resources document lacks resources.storage"
    );
    assert_eq!(
        broken("/api_extensions/4", json!("other")),
        "resources document lacks the extension resources_usb_pci in api_extensions"
    );
    assert_eq!(
        broken("/api_version", json!("2.0")),
        "resources document has api_version \"2.0\", expected \"1.0\""
    );
    assert!(matches!(parse(b"[1, 2"), Err(ResourcesError::NotJson(_))));
    assert!(matches!(parse_value(&json!({})), Err(ResourcesError::Missing { .. })));
}

#[test]
fn too_much_of_anything_is_refused() {
    let mut document = sample();
    document["resources"]["pci"]["devices"] = Value::Array(vec![json!({}); LIST_LIMIT + 1]);
    let error = parse_value(&document).unwrap_err();
    assert!(
        matches!(error, ResourcesError::TooMany { ref path, .. } if path == "resources.pci.devices")
    );
    assert!(matches!(parse(&vec![b' '; DOCUMENT_LIMIT + 1]), Err(ResourcesError::TooLarge { .. })));
}

#[test]
fn uuids_that_firmware_invents_are_none() {
    let uuid = |text: &str| {
        let mut document = sample();
        document["resources"]["system"]["uuid"] = json!(text);
        parse_value(&document).unwrap().hardware_uuid
    };
    assert_eq!(uuid("00000000-0000-0000-0000-000000000000"), None);
    assert_eq!(uuid("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"), None);
    assert_eq!(uuid("Not Settable"), None);
    assert!(uuid("4c4c4544-0042-3510-8052-b4c04f4a3132").is_some());
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9]{0,7}"
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[A-Za-z0-9][A-Za-z0-9 .(),_-]{0,14}[A-Za-z0-9]"]
}

fn some_word() -> impl Strategy<Value = Option<String>> {
    word().prop_map(|word| Some(word).filter(|word| !word.is_empty()))
}

fn address() -> impl Strategy<Value = InterfaceAddress> {
    prop_oneof![
        (any::<u32>(), 0u8..=32).prop_map(|(bits, prefix)| InterfaceAddress {
            address: Ipv4Addr::from(bits).into(),
            prefix
        }),
        (any::<u128>(), 0u8..=128).prop_map(|(bits, prefix)| InterfaceAddress {
            address: Ipv6Addr::from(bits).into(),
            prefix
        }),
    ]
}

prop_compose! {
    fn port()(
        name in name(),
        mac in any::<[u8; 6]>(),
        link_connected: bool,
        speed in 0u32..100_000,
        mtu in proptest::option::of(1u32..9001),
        vendor in some_word(),
        product in some_word(),
        firmware_version in some_word(),
        numa_node in 0u32..4,
        sriov_max_vf in 0u32..64,
        addresses in proptest::collection::vec(address(), 0..3),
    ) -> Interface {
        let mac: Vec<String> = mac.iter().map(|octet| format!("{octet:02x}")).collect();
        Interface {
            name,
            kind: InterfaceKind::Physical,
            mac_address: Some(mac.join(":")),
            link_connected,
            interface_speed: speed,
            link_speed: if link_connected { speed / 2 } else { 0 },
            mtu,
            vendor,
            product,
            firmware_version,
            numa_node,
            sriov_max_vf,
            pci_address: Some("0000:00:03.0".to_owned()),
            addresses,
            ..Interface::default()
        }
    }
}

prop_compose! {
    fn disk()(
        name in name(),
        model in word(),
        serial in word(),
        size in 5_000_000u64..1 << 50,
        block_size in prop_oneof![Just(512u32), Just(4096)],
        attachment in prop_oneof![Just("sata"), Just("nvme"), Just("virtio")],
        removable: bool,
        rpm in prop_oneof![Just(0u32), Just(7200), Just(15000)],
        numa_node in 0u32..4,
    ) -> Disk {
        let mut tags = Vec::new();
        if rpm > 0 {
            tags.extend(["rotary".to_owned(), format!("{rpm}rpm")]);
        } else {
            tags.push("ssd".to_owned());
        }
        if attachment == "sata" {
            tags.push("sata".to_owned());
        }
        if removable {
            tags.push("removable".to_owned());
        }
        let id_path = if serial.is_empty() {
            format!("/dev/{name}")
        } else {
            format!("/dev/disk/by-id/disk-{name}")
        };
        Disk {
            id_path,
            name,
            model,
            serial,
            size,
            block_size,
            attachment: attachment.to_owned(),
            tags,
            rpm,
            numa_node,
            ..Disk::default()
        }
    }
}

fn unique<T>(items: Vec<T>, key: impl Fn(&T) -> String) -> Vec<T> {
    let mut seen = std::collections::BTreeSet::new();
    items
        .into_iter()
        .filter(|item| {
            let key = key(item);
            // These names mean something else.
            !key.starts_with("loop") && !key.starts_with("bcache") && seen.insert(key)
        })
        .collect()
}

prop_compose! {
    fn hardware()(
        ports in proptest::collection::vec(port(), 0..4),
        disks in proptest::collection::vec(disk(), 0..4),
        memories in proptest::collection::vec((0u64..1 << 30, 0u64..3), 1..4),
        cpu_count in 0u32..512,
        cpu_speed in 0u32..6000,
        cpu_model in some_word(),
        vendor in word(),
        product in word(),
        board in word(),
        bios in word(),
        chassis in word(),
        uuid in proptest::option::of(1u128..u128::MAX),
        is_virtual: bool,
        vid in 1u16..=4094,
    ) -> Hardware {
        let mut interfaces = unique(ports, |port| port.name.clone());
        // "zz-" sorts last, where rendering keeps it, and no generated name begins so.
        if let [first, second, ..] = interfaces.as_slice() {
            let bond = Interface {
                name: "zz-bond".to_owned(),
                kind: InterfaceKind::Bond,
                mac_address: first.mac_address.clone(),
                parents: vec![first.name.clone(), second.name.clone()],
                bond_mode: Some("active-backup".to_owned()),
                link_connected: true,
                ..Interface::default()
            };
            let vlan = Interface {
                name: "zz-vlan".to_owned(),
                kind: InterfaceKind::Vlan,
                mac_address: first.mac_address.clone(),
                parents: vec![bond.name.clone()],
                vid: Some(vid),
                ..Interface::default()
            };
            interfaces.extend([bond, vlan]);
        }
        let uuid = uuid.map(|bits| {
            let hex = format!("{bits:032x}");
            format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
        });
        Hardware {
            cpu_count,
            cpu_model,
            cpu_speed,
            kernel_architecture: Some("x86_64".to_owned()),
            memory: memories.iter().map(|(memory, _)| memory).sum(),
            numa_nodes: memories
                .iter()
                .zip(0..)
                .map(|(&(memory, pages), index)| NumaNode {
                    index,
                    memory,
                    cores: vec![index * 2, index * 2 + 1],
                    hugepages: (pages > 0).then_some(Hugepages {
                        page_size: 1 << 21,
                        total: pages << 21,
                    }),
                })
                .collect(),
            disks: unique(disks, |disk| disk.name.clone()),
            interfaces,
            gpus: vec!["0000:01:00.0".to_owned()],
            system: SystemIdentity { vendor, product, ..SystemIdentity::default() },
            mainboard: Mainboard { vendor: board, ..Mainboard::default() },
            firmware: Firmware { version: bios, ..Firmware::default() },
            chassis: Chassis { kind: chassis, ..Chassis::default() },
            hardware_uuid: uuid,
            is_virtual,
            ..Hardware::default()
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The paths of all values in a document.
fn pointers(value: &Value, base: &str, found: &mut Vec<String>) {
    found.push(base.to_owned());
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                pointers(member, &format!("{base}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{base}/{index}"), found);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_rendered_parses_back(hardware in hardware()) {
        let document = render(&hardware).to_string();
        prop_assert_eq!(parse(document.as_bytes()).unwrap(), hardware);
    }

    #[test]
    fn any_value_anywhere_is_read_or_refused(
        place in any::<prop::sample::Index>(),
        value in any_json(),
    ) {
        let mut document = sample();
        let mut places = Vec::new();
        pointers(&document, "", &mut places);
        *document.pointer_mut(&places[place.index(places.len())]).unwrap() = value;
        let _ = parse_value(&document);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(parse(&bytes).is_err());
    }
}
