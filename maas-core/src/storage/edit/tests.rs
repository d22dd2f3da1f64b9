#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::{BlockDevice, BootMethod, Disk, LayoutRequest, Platform};
use super::*;

fn disk(name: &str) -> BlockDevice {
    BlockDevice {
        name: name.into(),
        size: 20 << 30,
        block_size: 512,
        serial: format!("S{name}"),
        model: String::new(),
        id_path: None,
        tags: Default::default(),
    }
}

/// Two disks with nothing on them.
fn blank() -> Storage {
    let platform = Platform { arch: "amd64".into(), boot_method: BootMethod::Uefi };
    let mut storage = LayoutRequest::Blank.lay_out(&[disk("sda")], None, &platform).unwrap();
    storage.disks.push(Disk::whole(disk("sdb")));
    storage
}

fn edits(json: &str) -> Vec<Edit> {
    serde_json::from_str(json).unwrap()
}

fn edited(storage: &Storage, json: &str) -> Result<Storage, EditRefusal> {
    edits(json).iter().try_fold(storage.clone(), |storage, edit| storage.edit(edit))
}

const MIRROR: &str = r#"[
    {"edit": "add_partition", "disk": "sda", "size": "512M", "bootable": true},
    {"edit": "format", "volume": "sda-part1", "fstype": "fat32"},
    {"edit": "mount", "volume": "sda-part1", "path": "/boot/efi"},
    {"edit": "add_partition", "disk": "sda", "size": "100%"},
    {"edit": "add_raid", "name": "md0", "level": 1, "devices": ["sda-part2", "sdb"]},
    {"edit": "add_volume_group", "name": "vg0", "devices": ["md0"]},
    {"edit": "add_logical_volume", "group": "vg0", "name": "root", "size": "50%"},
    {"edit": "format", "volume": "vg0-root", "fstype": "ext4"},
    {"edit": "mount", "volume": "vg0-root", "path": "/"}
]"#;

#[test]
fn a_mirror_with_lvm_is_built_step_by_step() {
    let storage = edited(&blank(), MIRROR).unwrap();
    assert_eq!(storage.check(), []);
    let request = LayoutRequest::Explicit(Box::new(storage.clone()));
    let stored = serde_json::to_string(&request).unwrap();
    let request: LayoutRequest = serde_json::from_str(&stored).unwrap();
    let devices = [disk("sda"), disk("sdb")];
    assert_eq!(request.lay_out(&devices, None, &storage.platform).unwrap(), storage);
    let mut smaller = devices.clone();
    smaller[1].size -= 1;
    assert!(request.lay_out(&smaller, None, &storage.platform).is_err());
    assert!(request.lay_out(&devices[..1], None, &storage.platform).is_err());
}

#[test]
fn what_protects_a_user_is_refused_by_name() {
    let storage = edited(&blank(), MIRROR).unwrap();
    let refused = |json: &str| edited(&storage, json).unwrap_err();
    assert!(matches!(
        refused(r#"[{"edit": "remove_partition", "partition": "sda-part2"}]"#),
        EditRefusal::InUse { .. }
    ));
    assert!(matches!(
        refused(r#"[{"edit": "format", "volume": "sdb", "fstype": "ext4"}]"#),
        EditRefusal::Breaks(StorageProblem::UsedTwice { .. })
    ));
    assert!(matches!(
        refused(r#"[{"edit": "format", "volume": "sdz", "fstype": "ext4"}]"#),
        EditRefusal::Breaks(StorageProblem::UnknownVolume { .. })
    ));
    assert!(matches!(
        refused(r#"[{"edit": "mount_special", "fstype": "tmpfs", "path": "/"}]"#),
        EditRefusal::Breaks(StorageProblem::MountedTwice { .. })
    ));
    assert!(matches!(
        refused(r#"[{"edit": "add_logical_volume", "group": "vg0", "name": "b", "size": "90%"}]"#),
        EditRefusal::NoRoom { .. }
    ));
    assert!(matches!(
        refused(r#"[{"edit": "add_partition", "disk": "sda", "size": "1G"}]"#),
        EditRefusal::NoRoom { .. }
    ));
    assert!(matches!(
        refused(r#"[{"edit": "unformat", "volume": "vg0-root"}]"#),
        EditRefusal::InUse { .. }
    ));
    assert!(matches!(
        refused(r#"[{"edit": "remove_compound", "name": "vg0"}]"#),
        EditRefusal::InUse { .. }
    ));
    assert!(matches!(
        refused(r#"[{"edit": "remove_compound", "name": "md0"}]"#),
        EditRefusal::InUse { .. }
    ));
    assert!(matches!(
        refused(r#"[{"edit": "set_boot_disk", "disk": "sdz"}]"#),
        EditRefusal::Unknown { .. }
    ));
}

#[test]
fn everything_can_be_taken_back() {
    let storage = edited(&blank(), MIRROR).unwrap();
    let back = edited(
        &storage,
        r#"[
            {"edit": "unmount", "volume": "vg0-root"},
            {"edit": "unformat", "volume": "vg0-root"},
            {"edit": "remove_logical_volume", "volume": "vg0-root"},
            {"edit": "remove_compound", "name": "vg0"},
            {"edit": "remove_compound", "name": "md0"},
            {"edit": "remove_partition", "partition": "sda-part2"},
            {"edit": "unmount", "volume": "sda-part1"},
            {"edit": "unformat", "volume": "sda-part1"},
            {"edit": "remove_partition", "partition": "sda-part1"}
        ]"#,
    )
    .unwrap();
    assert_eq!(back, blank());
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let volume = prop_oneof![
        Just("sda".to_owned()),
        Just("sdb".to_owned()),
        Just("sda-part1".to_owned()),
        Just("sda-part2".to_owned()),
        Just("sdb-part1".to_owned()),
        Just("md0".to_owned()),
        Just("vg0".to_owned()),
        Just("vg0-a".to_owned()),
        Just("bcache0".to_owned()),
    ];
    let size =
        prop_oneof![(1_u8..=100).prop_map(Size::Percent), (0_u64..30 << 30).prop_map(Size::Bytes)];
    let path = prop_oneof![Just("/".to_owned()), Just("/srv".to_owned()), Just("x".to_owned())];
    prop_oneof![
        (volume.clone(), size.clone(), any::<bool>())
            .prop_map(|(disk, size, bootable)| Edit::AddPartition { disk, size, bootable }),
        volume.clone().prop_map(|partition| Edit::RemovePartition { partition }),
        volume.clone().prop_map(|volume| Edit::Format {
            volume,
            fstype: "ext4".into(),
            label: String::new()
        }),
        volume.clone().prop_map(|volume| Edit::Unformat { volume }),
        (volume.clone(), path).prop_map(|(volume, path)| Edit::Mount {
            volume,
            path,
            options: String::new()
        }),
        volume.clone().prop_map(|volume| Edit::Unmount { volume }),
        proptest::collection::vec(volume.clone(), 0..3)
            .prop_map(|devices| Edit::AddVolumeGroup { name: "vg0".into(), devices }),
        size.prop_map(|size| Edit::AddLogicalVolume {
            group: "vg0".into(),
            name: "a".into(),
            size
        }),
        volume.clone().prop_map(|volume| Edit::RemoveLogicalVolume { volume }),
        proptest::collection::vec(volume.clone(), 0..4).prop_map(|devices| Edit::AddRaid {
            name: "md0".into(),
            level: RaidLevel::Raid1,
            devices,
            spares: vec![],
        }),
        (volume.clone(), volume.clone()).prop_map(|(backing, cache)| Edit::AddBcache {
            name: "bcache0".into(),
            backing,
            cache,
            mode: CacheMode::Writeback,
        }),
        volume.clone().prop_map(|name| Edit::RemoveCompound { name }),
        volume.prop_map(|disk| Edit::SetBootDisk { disk }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_sequence_of_edits_breaks_a_configuration(
        edits in proptest::collection::vec(any_edit(), 0..25)
    ) {
        let mut storage = blank();
        for edit in &edits {
            if let Ok(after) = storage.edit(edit) {
                storage = after;
            }
            let broken: Vec<StorageProblem> = storage
                .check()
                .into_iter()
                .filter(|problem| !matches!(
                    problem,
                    StorageProblem::NoRoot | StorageProblem::NotBootable { .. }
                ))
                .collect();
            prop_assert!(broken.is_empty(), "{:?}", broken);
        }
        prop_assert_eq!(storage.curtin("m"), storage.curtin("m"));
    }
}
