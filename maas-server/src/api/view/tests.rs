//! The schemas of a strict client (gomaasapi, `api.md` §3.2): a missing key or another type fails
//! its whole call.

#![allow(clippy::unwrap_used)]

use maas_core::machine::hardware::{Disk, Interface, NumaNode};
use maas_core::machine::interface::edit::Settings;
use maas_core::machine::interface::{Edit, Interfaces, NetworkFacts, Node};
use maas_core::machine::{DeploymentSummary, Machine, Status};
use maas_core::storage::{BasicOptions, BcacheOptions, LayoutRequest, LvmOptions};
use proptest::prelude::*;
use serde_json::Value;

use super::machine::full;
use crate::places::Catalogue;
use crate::testing::machine;

/// What a key must hold.
#[derive(Debug, Clone, Copy)]
enum Is {
    Text,
    Number,
    Flag,
    /// A list of texts.
    Texts,
    List,
    /// An object of texts.
    TextMap,
    Object,
    /// There, but anything or null.
    Any,
    TextOrNull,
    /// Not there, or there and not null.
    NeverNull,
}

impl Is {
    fn holds(self, value: Option<&Value>) -> bool {
        let Some(value) = value else { return matches!(self, Self::NeverNull) };
        let texts = |list: &[Value]| list.iter().all(Value::is_string);
        match self {
            Self::Text => value.is_string(),
            Self::Number => value.is_u64() || value.is_i64(),
            Self::Flag => value.is_boolean(),
            Self::Texts => value.as_array().is_some_and(|list| texts(list)),
            Self::List => value.is_array(),
            Self::TextMap => {
                value.as_object().is_some_and(|map| map.values().all(Value::is_string))
            }
            Self::Object => value.is_object(),
            Self::Any => true,
            Self::TextOrNull => value.is_string() || value.is_null(),
            Self::NeverNull => !value.is_null(),
        }
    }
}

const MACHINE: &[(&str, Is)] = &[
    ("resource_uri", Is::Text),
    ("system_id", Is::Text),
    ("hostname", Is::Text),
    ("fqdn", Is::Text),
    ("osystem", Is::Text),
    ("distro_series", Is::Text),
    ("power_state", Is::Text),
    ("status_name", Is::Text),
    ("tag_names", Is::Texts),
    ("ip_addresses", Is::Texts),
    ("owner_data", Is::TextMap),
    ("hardware_info", Is::TextMap),
    ("memory", Is::Number),
    ("cpu_count", Is::Number),
    ("status", Is::Number),
    ("interface_set", Is::List),
    ("physicalblockdevice_set", Is::List),
    ("blockdevice_set", Is::List),
    ("zone", Is::Object),
    ("pool", Is::Any),
    ("architecture", Is::TextOrNull),
    ("status_message", Is::TextOrNull),
    ("boot_interface", Is::Any),
    // python-libmaas reads these as what they are.
    ("hwe_kernel", Is::TextOrNull),
    ("min_hwe_kernel", Is::TextOrNull),
    ("status_action", Is::TextOrNull),
    ("disable_ipv4", Is::Flag),
    ("locked", Is::Flag),
    ("netboot", Is::Flag),
    ("owner", Is::TextOrNull),
];

const ZONE: &[(&str, Is)] =
    &[("name", Is::Text), ("description", Is::Text), ("resource_uri", Is::Text)];

const INTERFACE: &[(&str, Is)] = &[
    ("resource_uri", Is::Text),
    ("id", Is::Number),
    ("name", Is::Text),
    ("type", Is::Text),
    ("enabled", Is::Flag),
    ("tags", Is::Any),
    ("vlan", Is::Any),
    ("links", Is::List),
    ("mac_address", Is::TextOrNull),
    ("effective_mtu", Is::Number),
    ("parents", Is::Texts),
    ("children", Is::Texts),
    ("system_id", Is::Text),
];

const LINK: &[(&str, Is)] = &[
    ("id", Is::Number),
    ("mode", Is::Text),
    ("ip_address", Is::NeverNull),
    ("subnet", Is::NeverNull),
];

const VLAN: &[(&str, Is)] = &[
    ("resource_uri", Is::Text),
    ("id", Is::Number),
    ("name", Is::TextOrNull),
    ("fabric", Is::Text),
    ("vid", Is::Number),
    ("mtu", Is::Number),
    ("dhcp_on", Is::Flag),
    ("primary_rack", Is::TextOrNull),
    ("secondary_rack", Is::TextOrNull),
];

const BLOCK_DEVICE: &[(&str, Is)] = &[
    ("resource_uri", Is::Text),
    ("id", Is::Number),
    ("uuid", Is::TextOrNull),
    ("name", Is::Text),
    ("model", Is::TextOrNull),
    ("id_path", Is::TextOrNull),
    ("path", Is::Text),
    ("used_for", Is::Text),
    ("tags", Is::Texts),
    ("block_size", Is::Number),
    ("used_size", Is::Number),
    ("size", Is::Number),
    ("filesystem", Is::Any),
    ("partitions", Is::List),
];

const PARTITION: &[(&str, Is)] = &[
    ("resource_uri", Is::Text),
    ("id", Is::Number),
    ("uuid", Is::TextOrNull),
    ("path", Is::Text),
    ("used_for", Is::Text),
    ("size", Is::Number),
    ("tags", Is::Texts),
    ("filesystem", Is::Any),
    // python-libmaas and gomaasclient.
    ("type", Is::Text),
    ("bootable", Is::Flag),
    ("device_id", Is::Number),
    ("system_id", Is::Text),
];

const FILESYSTEM: &[(&str, Is)] = &[
    ("fstype", Is::Text),
    ("uuid", Is::Text),
    ("label", Is::TextOrNull),
    ("mount_point", Is::TextOrNull),
    ("mount_options", Is::TextOrNull),
];

/// A block device or a partition, with everything in it.
fn check_volume(volume: &Value) {
    let is_partition = volume["type"] == "partition";
    check("volume", volume, if is_partition { PARTITION } else { BLOCK_DEVICE });
    if !volume["filesystem"].is_null() {
        check("file system", &volume["filesystem"], FILESYSTEM);
    }
    if !is_partition {
        list(volume, "partitions").iter().for_each(check_volume);
    }
}

fn check(what: &str, value: &Value, schema: &[(&str, Is)]) {
    for (key, is) in schema {
        let found = value.get(key);
        assert!(is.holds(found), "{what}: {key}: expected {is:?}, found {found:?}");
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap()
}

fn check_machine(machine: &Machine) -> Value {
    let view = full(machine, &Catalogue::empty());
    check("machine", &view, MACHINE);
    check("zone", &view["zone"], ZONE);
    check("pool", &view["pool"], ZONE);
    for interface in list(&view, "interface_set") {
        check("interface", interface, INTERFACE);
        check("vlan", &interface["vlan"], VLAN);
        for link in list(interface, "links") {
            check("link", link, LINK);
        }
    }
    for set in ["physicalblockdevice_set", "virtualblockdevice_set", "blockdevice_set"] {
        list(&view, set).iter().for_each(check_volume);
    }
    for group in list(&view, "volume_groups") {
        list(group, "devices").iter().for_each(check_volume);
        list(group, "logical_volumes").iter().for_each(check_volume);
    }
    view
}

/// A machine with something in every field.
fn complete() -> Machine {
    let mut machine = machine(1);
    machine.status = Status::Deployed;
    machine.owner = Some("alice".to_owned());
    machine.tags.insert("virtual".to_owned());
    machine.owner_data.insert("k".to_owned(), "v".to_owned());
    machine.hardware_uuid = Some("00000000-0000-0000-0000-000000000001".to_owned());
    machine.boot.boot_mac = Some("52:54:00:00:00:01".to_owned());
    machine.deployment = Some(DeploymentSummary {
        osystem: "ubuntu".to_owned(),
        distro_series: "noble".to_owned(),
        hwe_kernel: "hwe-24.04".to_owned(),
        ephemeral: false,
        plan_digest: String::new(),
        arrival: maas_core::machine::Arrival::UserData,
    });
    let hardware = &mut machine.hardware;
    hardware.cpu_count = 4;
    hardware.memory = 4096;
    hardware.numa_nodes = vec![NumaNode::default()];
    hardware.disks = vec![
        Disk { name: "sda".to_owned(), size: 20_000_000_000, block_size: 512, ..Disk::default() },
        Disk { name: "sdb".to_owned(), tags: vec!["ssd".to_owned()], ..Disk::default() },
    ];
    hardware.interfaces = vec![Interface {
        name: "eth0".to_owned(),
        mac_address: Some("52:54:00:00:00:01".to_owned()),
        ..Interface::default()
    }];
    let facts = NetworkFacts::from(&maas_core::ipam::Networks::default());
    let found = machine.hardware.clone();
    machine.learn(&found, &facts);
    let bridge = Edit::CreateBridge(Settings {
        name: Some("br0".parse().unwrap()),
        parents: machine.interfaces.iter().next().map(|parent| vec![parent.id]),
        ..Settings::default()
    });
    let ready = Node::Machine(Status::Ready);
    machine.interfaces = machine.interfaces.edit(&bridge, ready, &facts).unwrap().0.into();
    machine
}

#[test]
fn a_machine_of_which_nothing_is_known_has_every_key() {
    let view = check_machine(&machine(1));
    assert_eq!(view["architecture"], "amd64/generic");
    assert_eq!(list(&view, "interface_set").len(), 1, "its MAC address tells of one interface");
    assert_eq!(view["boot_interface"]["mac_address"], "52:54:00:00:00:01");
    assert_eq!(view["osystem"], "");
    let mut bare = machine(2);
    bare.mac_addresses.clear();
    bare.interfaces = Interfaces::default().into();
    assert!(check_machine(&bare)["boot_interface"].is_null());
}

#[test]
fn a_machine_with_everything_has_every_key() {
    let view = check_machine(&complete());
    assert_eq!(view["status_name"], "Deployed");
    assert_eq!(view["boot_interface"]["children"], serde_json::json!(["br0"]));
    assert_eq!(list(&view, "interface_set").len(), 2);
    assert_eq!(view["storage"], 20_000.0);
    assert_eq!(view["boot_disk"]["name"], "sda");
    assert!(!view.to_string().contains("secret"), "credentials are nobody's business");
}

#[test]
fn every_layout_has_every_key() {
    for layout in [
        LayoutRequest::Lvm(LvmOptions::default()),
        LayoutRequest::Bcache(BcacheOptions::default()),
        LayoutRequest::Vmfs6(BasicOptions::default()),
        LayoutRequest::Blank,
    ] {
        let mut machine = complete();
        for disk in &mut machine.hardware.disks {
            disk.size = 64 << 30;
            disk.block_size = 4096;
        }
        machine.choose_layout(Some(layout.clone())).unwrap();
        let view = check_machine(&machine);
        let is = |key: &str| !list(&view, key).is_empty();
        assert_eq!(is("volume_groups"), matches!(layout, LayoutRequest::Lvm(_)));
        assert_eq!(is("cache_sets"), matches!(layout, LayoutRequest::Bcache(_)));
    }
}

#[test]
fn every_status_has_every_key() {
    for status in Status::ALL {
        check_machine(&Machine { status, ..complete() });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn whatever_is_unknown_of_a_machine_it_has_every_key(
        bits in any::<u64>(),
        status in 0..Status::ALL.len(),
        counts in (0..4usize, 0..4usize),
        text in proptest::option::of("\\PC{0,12}"),
    ) {
        let flag = |bit: u32| bits & (1 << bit) != 0;
        let some = |bit: u32| text.clone().filter(|_| flag(bit));
        let mut machine = complete();
        machine.status = Status::ALL[status];
        machine.owner = some(0);
        machine.hardware_uuid = some(1);
        machine.boot.boot_mac = some(2);
        machine.description = some(3).unwrap_or_default();
        machine.min_hwe_kernel = some(4).unwrap_or_default();
        machine.status_message = some(5).unwrap_or_default();
        if flag(6) {
            machine.deployment = None;
        }
        if flag(7) {
            machine.mac_addresses.clear();
        }
        if let Some(text) = some(8) {
            machine.owner_data.insert(text.clone(), text);
        }
        let hardware = &mut machine.hardware;
        hardware.cpu_model = some(9);
        hardware.interfaces.truncate(counts.0);
        for interface in &mut hardware.interfaces {
            interface.mac_address = some(10);
            interface.vendor = some(11);
            interface.product = some(12);
            interface.firmware_version = some(13);
            interface.mtu = flag(14).then_some(9000);
        }
        hardware.disks.truncate(counts.1);
        for disk in &mut hardware.disks {
            disk.model = some(15).unwrap_or_default();
            disk.pci_address = some(16);
        }
        check_machine(&machine);
    }
}
