#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use maas_netconfig::yaml::Value;
use proptest::prelude::*;

use super::super::device::BootMethod;
use super::super::model::{PartitionFlag, RaidLevel};
use super::super::size::{ALIGNMENT, EFI, END_RESERVE, MIB};
use super::*;

fn disk(name: &str, size: u64, tag: &str) -> BlockDevice {
    BlockDevice {
        name: name.into(),
        size,
        block_size: 512,
        serial: format!("S-{name}"),
        model: String::new(),
        id_path: None,
        tags: BTreeSet::from([tag.to_owned()]),
    }
}

fn platform(arch: &str, boot_method: BootMethod) -> Platform {
    Platform { arch: arch.into(), boot_method }
}

const GIB: u64 = 1 << 30;

fn ids(storage: &Storage) -> Vec<String> {
    let config = storage.curtin("m");
    config
        .as_list()
        .unwrap()
        .iter()
        .map(|entry| entry.get("id").unwrap().as_str().unwrap().to_owned())
        .collect()
}

fn entry(storage: &Storage, id: &str, key: &str) -> Option<String> {
    let config = storage.curtin("m");
    let list = config.as_list().unwrap();
    let entry = list.iter().find(|entry| entry.get("id").unwrap().as_str() == Some(id))?;
    entry.get(key).map(|value| match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string(other).unwrap(),
    })
}

// The sizes are those of a configuration that the real curtin has installed.
#[test]
fn flat_on_uefi_is_what_curtin_has_proved() {
    let size = 6 * GIB;
    let storage = LayoutRequest::default()
        .lay_out(&[disk("vda", size, "ssd")], None, &platform("amd64", BootMethod::Uefi))
        .unwrap();
    let root = align(size - 4 * MIB - MIB - EFI);
    assert_eq!(
        ids(&storage),
        [
            "vda",
            "vda-part1",
            "vda-part2",
            "vda-part1_format",
            "vda-part2_format",
            "vda-part2_mount",
            "vda-part1_mount"
        ]
    );
    assert_eq!(entry(&storage, "vda-part1", "size").unwrap(), format!("{EFI}B"));
    assert_eq!(entry(&storage, "vda-part1", "offset").unwrap(), "4194304B");
    assert_eq!(entry(&storage, "vda-part1", "flag").unwrap(), "boot");
    assert_eq!(entry(&storage, "vda-part2", "size").unwrap(), format!("{root}B"));
    assert_eq!(entry(&storage, "vda", "grub_device").unwrap(), "true");
    assert_eq!(entry(&storage, "vda-part2_mount", "path").unwrap(), "/");
    assert_eq!(storage.check(), []);
}

#[test]
fn lvm_on_bios_is_what_curtin_has_proved() {
    let size = 6 * GIB;
    let storage = LayoutRequest::Lvm(LvmOptions::default())
        .lay_out(&[disk("vda", size, "ssd")], None, &platform("amd64", BootMethod::Bios))
        .unwrap();
    let root = align(size - 4 * MIB - MIB - MIB);
    assert_eq!(entry(&storage, "vda-part1", "flag").unwrap(), "bios_grub");
    assert_eq!(entry(&storage, "vda-part1", "wipe").unwrap(), "zero");
    assert_eq!(entry(&storage, "vda-part2", "size").unwrap(), format!("{root}B"));
    assert_eq!(
        entry(&storage, "vgroot-lvroot", "size").unwrap(),
        format!("{}B", align(root - 4 * MIB))
    );
    assert_eq!(entry(&storage, "vgroot-lvroot_mount", "device").unwrap(), "vgroot-lvroot_format");
    assert_eq!(storage.check(), []);
}

fn align(size: u64) -> u64 {
    size / ALIGNMENT * ALIGNMENT
}

#[test]
fn power_and_arm_have_their_own_first_partitions() {
    let power = LayoutRequest::default()
        .lay_out(&[disk("sda", 8 * GIB, "")], None, &platform("ppc64el", BootMethod::OpenFirmware))
        .unwrap();
    assert_eq!(power.disks[0].partitions[0].flag, PartitionFlag::Prep);
    assert_eq!(power.disks[0].partitions[0].size, 8 * MIB);
    assert_eq!(entry(&power, "sda", "grub_device"), None);
    assert_eq!(entry(&power, "sda-part1", "grub_device").unwrap(), "true");
    assert_eq!(power.check(), []);
    let arm = LayoutRequest::default()
        .lay_out(&[disk("sda", 8 * GIB, "")], None, &platform("arm64", BootMethod::Other))
        .unwrap();
    assert_eq!(arm.mounted_at("/boot").unwrap().label, "boot");
    assert_eq!(arm.check(), []);
}

#[test]
fn firmware_that_nobody_knows_gets_what_either_kind_needs() {
    for method in ["ipxe", ""] {
        let boot_method = BootMethod::from_maas(method, "amd64");
        assert_eq!(boot_method, BootMethod::BiosOrUefi);
        let storage = LayoutRequest::default()
            .lay_out(&[disk("sda", 8 * GIB, "")], None, &platform("amd64", boot_method))
            .unwrap();
        let flags: Vec<PartitionFlag> =
            storage.disks[0].partitions.iter().map(|partition| partition.flag).collect();
        assert_eq!(flags, [PartitionFlag::BiosGrub, PartitionFlag::Boot, PartitionFlag::None]);
        assert_eq!(storage.check(), []);
    }
    assert_eq!(BootMethod::from_maas("pxe", "amd64"), BootMethod::Bios);
    assert_eq!(BootMethod::from_maas("uefi", "amd64"), BootMethod::Uefi);
    assert_eq!(BootMethod::from_maas("", "arm64"), BootMethod::Uefi);
    assert_eq!(BootMethod::from_maas("ipxe", "ppc64el"), BootMethod::OpenFirmware);
}

#[test]
fn an_mbr_table_caps_the_root_and_gives_lvm_the_rest() {
    let large = 3 << 40;
    let basic = BasicOptions { partition_table: Some(PartitionTable::Mbr), ..Default::default() };
    let bios = platform("amd64", BootMethod::Bios);
    let flat =
        LayoutRequest::Flat(basic.clone()).lay_out(&[disk("sda", large, "")], None, &bios).unwrap();
    assert!(flat.size_of("sda-part1").unwrap() < 2 << 40);
    assert_eq!(flat.check(), []);
    let lvm = LayoutRequest::Lvm(LvmOptions { basic, ..Default::default() })
        .lay_out(&[disk("sda", large, "")], None, &bios)
        .unwrap();
    assert!(lvm.size_of("vgroot-lvroot").unwrap() > large - GIB);
    assert_eq!(lvm.check(), []);
}

#[test]
fn bcache_takes_the_smallest_ssd_and_falls_back_to_flat() {
    let disks =
        [disk("sda", 20 * GIB, "rotary"), disk("sdb", 9 * GIB, "ssd"), disk("sdc", 8 * GIB, "ssd")];
    let bios = platform("amd64", BootMethod::Bios);
    let request = LayoutRequest::Bcache(BcacheOptions::default());
    let storage = request.lay_out(&disks, None, &bios).unwrap();
    assert_eq!(storage.bcaches[0].cache, "sdc-part1");
    assert_eq!(storage.mounted_at("/").unwrap().volume, "bcache0");
    assert!(storage.mounted_at("/boot").is_some());
    assert_eq!(storage.check(), []);
    let order = ids(&storage);
    let at = |id: &str| order.iter().position(|have| have == id).unwrap();
    assert!(at("sdc-part1") < at("bcache0") && at("bcache0") < at("bcache0_format"));
    let flat = request.lay_out(&disks[..1], None, &bios).unwrap();
    assert!(flat.bcaches.is_empty());
    let itself = LayoutRequest::Bcache(BcacheOptions {
        cache_device: Some("sda".into()),
        ..Default::default()
    });
    assert!(matches!(itself.lay_out(&disks, None, &bios), Err(LayoutRefusal::CachesItself { .. })));
}

#[test]
fn esxi_has_its_own_partitions() {
    let uefi = platform("amd64", BootMethod::Uefi);
    for (request, least, datastore) in [
        (LayoutRequest::Vmfs6(BasicOptions::default()), 10 * GIB, "sda-part3"),
        (LayoutRequest::Vmfs7(BasicOptions::default()), 32 * GIB, "sda-part8"),
    ] {
        assert!(matches!(
            request.lay_out(&[disk("sda", least - 1, "")], None, &uefi),
            Err(LayoutRefusal::TooSmall { .. })
        ));
        let storage = request.lay_out(&[disk("sda", 64 * GIB, "")], None, &uefi).unwrap();
        assert_eq!(storage.vmfs[0].devices, [datastore]);
        assert_eq!(entry(&storage, "datastore1", "type").unwrap(), "vmfs6");
        assert_eq!(storage.check(), [super::super::StorageProblem::NoRoot]);
    }
}

#[test]
fn refusals_name_the_option() {
    let bios = platform("amd64", BootMethod::Bios);
    let sda = [disk("sda", 8 * GIB, "")];
    let flat = |options| LayoutRequest::Flat(options).lay_out(&sda, None, &bios).unwrap_err();
    assert!(matches!(
        flat(BasicOptions { boot_size: Some(Size::Bytes(1 << 20)), ..Default::default() }),
        LayoutRefusal::Size { field: "boot_size", .. }
    ));
    assert!(matches!(
        flat(BasicOptions { root_size: Some(Size::Bytes(9 * GIB)), ..Default::default() }),
        LayoutRefusal::Size { field: "root_size", .. }
    ));
    assert!(matches!(
        flat(BasicOptions { boot_size: Some(Size::Bytes(6 * GIB)), ..Default::default() }),
        LayoutRefusal::TooSmall { .. }
    ));
    assert!(matches!(
        flat(BasicOptions { root_device: Some("sdz".into()), ..Default::default() }),
        LayoutRefusal::UnknownDisk { field: "root_device", .. }
    ));
    let default = LayoutRequest::default();
    assert_eq!(default.lay_out(&[], None, &bios), Err(LayoutRefusal::NoBlockDevice));
    assert!(matches!(
        default.lay_out(&sda, Some("sdz"), &bios),
        Err(LayoutRefusal::NoBootDisk { .. })
    ));
    let lvm =
        LayoutRequest::Lvm(LvmOptions { lv_size: Some(Size::Bytes(1)), ..Default::default() });
    assert!(matches!(
        lvm.lay_out(&sda, None, &bios),
        Err(LayoutRefusal::Size { field: "lv_size", .. })
    ));
}

const DOCUMENT: &str = r#"{
  "layout": {
    "sda": {"type": "disk", "ptable": "gpt", "boot": true, "partitions": [
      {"name": "sda1", "fs": "vfat", "size": "512M", "bootable": true},
      {"name": "sda2", "size": "100%"}]},
    "sdb": {"type": "disk", "ptable": "gpt", "partitions": [{"name": "sdb1", "size": "100%"}]},
    "md0": {"type": "raid", "level": 1, "members": ["sda2", "sdb1"]},
    "vg0": {"type": "lvm", "members": ["md0"], "volumes": [
      {"name": "root", "size": "6G", "fs": "ext4"},
      {"name": "swap", "size": "1G", "fs": "swap"},
      {"name": "data", "size": "100%", "fs": "xfs"}]},
    "scratch": {"type": "special", "fs": "tmpfs"}
  },
  "mounts": {
    "/": {"device": "root", "options": "noatime"},
    "/boot/efi": {"device": "sda1"},
    "/srv": {"device": "data"},
    "/tmp": {"device": "scratch", "options": "size=1G"}
  }
}"#;

#[test]
fn a_document_lays_out_lvm_on_raid() {
    let request = LayoutRequest::Custom(serde_json::from_str(DOCUMENT).unwrap());
    let disks = [disk("sda", 20 * GIB, ""), disk("sdb", 20 * GIB, "")];
    let storage = request.lay_out(&disks, None, &platform("amd64", BootMethod::Uefi)).unwrap();
    assert_eq!(storage.check(), []);
    assert_eq!(storage.raids[0].level, RaidLevel::Raid1);
    assert_eq!(storage.mounted_at("/").unwrap().volume, "vg0-root");
    let order = ids(&storage);
    let at = |id: &str| order.iter().position(|have| have == id).unwrap();
    assert!(at("sdb-part1") < at("md0") && at("md0") < at("vg0") && at("vg0") < at("vg0-root"));
    assert_eq!(entry(&storage, "vg0-root_mount", "options").unwrap(), "noatime");
    assert_eq!(entry(&storage, "tmp_mount", "fstype").unwrap(), "tmpfs");
    assert_eq!(entry(&storage, "vg0-swap_mount", "path").unwrap(), "none");
}

#[test]
fn a_document_survives_storage_inside_its_request() {
    let request = LayoutRequest::Custom(serde_json::from_str(DOCUMENT).unwrap());
    let json = serde_json::to_string(&request).unwrap();
    assert_eq!(serde_json::from_str::<LayoutRequest>(&json).unwrap(), request);
    let yaml = maas_netconfig::yaml::to_string(&request).unwrap();
    assert_eq!(maas_netconfig::yaml::from_str::<LayoutRequest>(&yaml).unwrap(), request);
}

#[test]
fn a_document_is_refused_where_it_is_wrong() {
    let disks = [disk("sda", 20 * GIB, ""), disk("sdb", 20 * GIB, "")];
    let path = |from: &str, to: &str| {
        let text = DOCUMENT.replace(from, to);
        assert_ne!(text, DOCUMENT);
        let request = LayoutRequest::Custom(serde_json::from_str(&text).unwrap());
        match request.lay_out(&disks, None, &platform("amd64", BootMethod::Uefi)) {
            Err(LayoutRefusal::Document { path, .. }) => path,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(path("\"512M\"", "\"900G\""), "layout.sda.partitions[0].size");
    assert_eq!(path("\"6G\"", "\"60G\""), "layout.vg0.volumes[0].size");
    assert_eq!(path("[\"sda2\", \"sdb1\"]", "[\"sda2\", \"sdz\"]"), "layout.md0.members");
    assert_eq!(path("[\"md0\"]", "[\"root\"]"), "layout.vg0");
    assert_eq!(path("\"sdb\": {", "\"sdc\": {"), "layout.sdc");
    assert_eq!(path("{\"device\": \"data\"}", "{\"device\": \"sdb1\"}"), "mounts./srv");
}

fn any_layout() -> impl Strategy<Value = LayoutRequest> {
    let size = prop_oneof![
        Just(None),
        (0_u64..80 << 30).prop_map(|b| Some(Size::Bytes(b))),
        (1_u8..=100).prop_map(|p| Some(Size::Percent(p))),
    ];
    let basic = (
        size.clone(),
        size.clone(),
        prop_oneof![Just(None), Just(Some("sda".to_owned())), Just(Some("sdb".to_owned()))],
        prop_oneof![Just(None), Just(Some(PartitionTable::Mbr)), Just(Some(PartitionTable::Gpt))],
    )
        .prop_map(|(boot_size, root_size, root_device, partition_table)| BasicOptions {
            boot_size,
            root_size,
            root_device,
            partition_table,
        });
    prop_oneof![
        basic.clone().prop_map(LayoutRequest::Flat),
        (basic.clone(), size.clone()).prop_map(|(basic, lv_size)| LayoutRequest::Lvm(LvmOptions {
            basic,
            lv_size,
            ..Default::default()
        })),
        (basic.clone(), size, any::<bool>()).prop_map(|(basic, cache_size, cache_no_part)| {
            LayoutRequest::Bcache(BcacheOptions {
                basic,
                cache_size,
                cache_no_part,
                ..Default::default()
            })
        }),
        basic.clone().prop_map(LayoutRequest::Vmfs6),
        basic.prop_map(LayoutRequest::Vmfs7),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn partitions_are_aligned_and_never_overlap_or_leave_the_disk(
        request in any_layout(),
        sizes in proptest::collection::vec(prop_oneof![0_u64..100 << 30, 0_u64..5 << 40], 0..4),
        tags in proptest::collection::vec(prop_oneof![Just("ssd"), Just("rotary")], 4),
        arch in prop_oneof![Just("amd64"), Just("arm64"), Just("ppc64el")],
        boot_method in prop_oneof![
            Just(BootMethod::Bios), Just(BootMethod::Uefi), Just(BootMethod::OpenFirmware),
            Just(BootMethod::BiosOrUefi), Just(BootMethod::Other)
        ],
    ) {
        let disks: Vec<BlockDevice> = sizes
            .iter()
            .zip(["sda", "sdb", "sdc", "sdd"])
            .zip(&tags)
            .map(|((size, name), tag)| disk(name, *size, tag))
            .collect();
        if let Ok(storage) = request.lay_out(&disks, None, &platform(arch, boot_method)) {
            for disk in &storage.disks {
                let mut end = 4 * MIB;
                for partition in &disk.partitions {
                    prop_assert!(partition.offset >= end);
                    prop_assert!(partition.offset.is_multiple_of(MIB));
                    end = partition.offset + partition.size;
                }
                prop_assert!(end <= disk.device.size - END_RESERVE || disk.partitions.is_empty());
            }
            let problems = storage.check();
            if request.is_vmfs() {
                prop_assert!(problems.iter().all(|p| *p == super::super::StorageProblem::NoRoot));
            } else {
                prop_assert!(problems.is_empty(), "{:?}", problems);
            }
            prop_assert_eq!(storage.curtin("m"), storage.curtin("m"));
        }
    }

    #[test]
    fn requests_survive_storage(request in any_layout()) {
        let json = serde_json::to_string(&request).unwrap();
        prop_assert_eq!(serde_json::from_str::<LayoutRequest>(&json).unwrap(), request);
    }

    #[test]
    fn a_document_is_laid_out_or_refused_by_name(
        sizes in proptest::collection::vec(
            prop_oneof![
                (1_u64..30).prop_map(|gib| format!("{gib}G")),
                (1_u8..=100).prop_map(|part| format!("{part}%")),
                (0_u64..9).prop_map(|mib| format!("{mib}M")),
            ],
            8,
        ),
        members in proptest::collection::vec(
            prop_oneof![
                Just("a1"), Just("a2"), Just("b1"), Just("b4"), Just("sdb"), Just("md0"),
                Just("vg0"), Just("root"), Just("crypt"), Just("cached"), Just("nothing"),
            ],
            9,
        ),
        table in prop_oneof![Just("gpt"), Just("mbr")],
        level in prop_oneof![Just(0_u8), Just(1), Just(5)],
        fs in prop_oneof![Just("ext4"), Just("swap"), Just("zfsroot"), Just("tape")],
    ) {
        let partition = |name: &str, at: usize| serde_json::json!({"name": name, "size": sizes[at]});
        let document = serde_json::json!({
            "layout": {
                "sda": {"type": "disk", "ptable": "gpt", "boot": true,
                        "partitions": [partition("a1", 0), partition("a2", 1)]},
                "sdb": {"type": "disk", "ptable": table,
                        "partitions": [partition("b1", 2), partition("b2", 3), partition("b3", 4),
                                       partition("b4", 5), partition("b5", 6)]},
                "md0": {"type": "raid", "level": level, "members": [members[0], members[1]]},
                "cached": {"type": "bcache", "cache-device": members[2],
                           "backing-device": members[3]},
                "crypt": {"type": "crypt", "member": members[4], "keyfile": "/run/key"},
                "tank": {"type": "zpool", "members": [members[5]], "mountpoint": "/srv"},
                "vg0": {"type": "lvm", "members": [members[6]],
                        "volumes": [{"name": "root", "size": sizes[7], "fs": fs}]}
            },
            "mounts": {"/": {"device": members[7]}, "/home": {"device": members[8]}}
        });
        let request = LayoutRequest::Custom(serde_json::from_value(document).unwrap());
        let disks = [disk("sda", 40 * GIB, ""), disk("sdb", 40 * GIB, "")];
        match request.lay_out(&disks, None, &platform("amd64", BootMethod::Uefi)) {
            Err(refusal) => prop_assert!(!refusal.to_string().is_empty()),
            Ok(storage) => {
                for problem in storage.check() {
                    prop_assert!(!problem.to_string().is_empty());
                }
                prop_assert_eq!(storage.curtin("m"), storage.curtin("m"));
            }
        }
    }
}
