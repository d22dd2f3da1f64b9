#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::{
    BlockDevice, BootMethod, Disk, EncryptionKey, LayoutRequest, PartitionTable, Platform,
    VolumeRegister, Zpool,
};
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

fn parts(storage: &Storage, disk: &str) -> Vec<(u32, u64)> {
    let found = storage.disk(disk).unwrap();
    found.partitions.iter().map(|one| (one.number, one.offset >> 20)).collect()
}

#[test]
fn partitions_move_up_and_what_uses_them_follows() {
    let storage = edited(
        &blank(),
        r#"[
            {"edit": "add_partition", "disk": "sda", "size": "1G"},
            {"edit": "add_partition", "disk": "sda", "size": "2G"},
            {"edit": "add_partition", "disk": "sda", "size": "3G"},
            {"edit": "format", "volume": "sda-part2", "fstype": "xfs"},
            {"edit": "set_uuid", "id": "sda-part2_format",
             "uuid": "F74FF260-2A5B-4A36-B1B8-37F746B946BF"},
            {"edit": "add_volume_group", "name": "vg0", "devices": ["sda-part3"]}
        ]"#,
    )
    .unwrap();
    let removed = storage
        .edit_all(&edits(r#"[{"edit": "remove_partition", "partition": "sda-part1"}]"#))
        .unwrap();
    assert_eq!(parts(&removed.storage, "sda"), [(1, 4), (2, 4 + 2048)]);
    assert_eq!(removed.storage.filesystems[0].volume, "sda-part1");
    assert_eq!(removed.storage.volume_groups[0].devices, ["sda-part2"]);
    let uuid = "f74ff260-2a5b-4a36-b1b8-37f746b946bf";
    assert_eq!(removed.storage.uuid("m", "sda-part1_format"), uuid);
    assert_eq!(removed.renamed["sda-part3"], "sda-part2");
    assert_eq!(removed.storage.check(), [StorageProblem::NoRoot]);
}

#[test]
fn the_firmwares_partition_goes_where_the_boot_disk_goes() {
    let mut storage = blank();
    storage.platform = Platform { arch: "amd64".into(), boot_method: BootMethod::Bios };
    let add =
        |disk: &str| format!(r#"{{"edit": "add_partition", "disk": "{disk}", "size": "1G"}}"#);
    let storage = edited(&storage, &format!("[{}, {}]", add("sda"), add("sdb"))).unwrap();
    assert_eq!(parts(&storage, "sda"), [(1, 4), (2, 5)]);
    assert_eq!(parts(&storage, "sdb"), [(1, 4)]);
    let moved = storage.edit_all(&edits(r#"[{"edit": "set_boot_disk", "disk": "sdb"}]"#)).unwrap();
    assert_eq!(parts(&moved.storage, "sda"), [(1, 4)]);
    assert_eq!(parts(&moved.storage, "sdb"), [(1, 4), (2, 5)]);
    assert_eq!(moved.renamed["sda-part2"], "sda-part1");
    // One that is full has a rest of less than 4 MiB: room for GRUB's MiB, none for PReP's eight.
    let full = r#"[{"edit": "add_partition", "disk": "sdb", "size": "100%"},
                   {"edit": "set_boot_disk", "disk": "sdb"}]"#;
    assert!(edited(&storage, full).is_ok());
    let mut power = storage.clone();
    power.platform = Platform { arch: "ppc64el".into(), boot_method: BootMethod::OpenFirmware };
    assert!(
        matches!(edited(&power, full), Err(EditRefusal::NoRoom { wanted, .. }) if wanted == 8 << 20)
    );
    // Without any partition there is no table either.
    let none = edited(&storage, r#"[{"edit": "remove_partition", "partition": "sda-part2"}]"#);
    assert_eq!(none.unwrap().disk("sda").unwrap().table, None);
}

#[test]
fn an_mbr_table_takes_logical_partitions_from_the_fourth_on() {
    let mut storage = blank();
    storage.disks[1].table = Some(PartitionTable::Mbr);
    let add =
        Edit::AddPartition { disk: "sdb".into(), size: Size::Bytes(1 << 30), bootable: false };
    let adds = vec![add.clone(); 6];
    let storage = storage.edit_all(&adds).unwrap().storage;
    let numbers: Vec<u32> = parts(&storage, "sdb").into_iter().map(|one| one.0).collect();
    assert_eq!(numbers, [1, 2, 3, 5, 6, 7]);
    let disk = storage.disk("sdb").unwrap();
    let (offset, size) = disk.extended().unwrap();
    assert_eq!((offset >> 20, size >> 20), (4 + 3 * 1024, 3 * 1025));
    let curtin = storage.curtin("m");
    let entries = curtin.as_list().unwrap();
    let flags: Vec<Option<&str>> = entries
        .iter()
        .filter(|entry| entry.get("device").and_then(|v| v.as_str()) == Some("sdb"))
        .map(|entry| entry.get("flag").and_then(|v| v.as_str()))
        .collect();
    let logical = Some("logical");
    assert_eq!(flags, [None, None, None, Some("extended"), logical, logical, logical]);
    let removed = storage.edit(&Edit::RemovePartition { partition: "sdb-part2".into() }).unwrap();
    let numbers: Vec<u32> = parts(&removed, "sdb").into_iter().map(|one| one.0).collect();
    assert_eq!(numbers, [1, 2, 3, 5, 6]);
    // At most eleven logical ones.
    let refused = storage.edit_all(&vec![add; 9]).unwrap_err();
    assert!(matches!(refused, EditRefusal::Breaks(StorageProblem::BeyondMbr { .. })));
}

#[test]
fn encryption_and_pools_have_their_rules() {
    let base = edited(
        &blank(),
        r#"[
            {"edit": "add_partition", "disk": "sda", "size": "512M", "bootable": true},
            {"edit": "format", "volume": "sda-part1", "fstype": "fat32"},
            {"edit": "mount", "volume": "sda-part1", "path": "/boot/efi"},
            {"edit": "add_partition", "disk": "sda", "size": "1G"},
            {"edit": "add_partition", "disk": "sda", "size": "8G"}
        ]"#,
    )
    .unwrap();
    let root = r#"[
        {"edit": "add_encrypted", "name": "cryptroot", "volume": "sda-part3",
         "key": {"key": "correct horse"}},
        {"edit": "format", "volume": "cryptroot", "fstype": "ext4"},
        {"edit": "mount", "volume": "cryptroot", "path": "/"}
    ]"#;
    let encrypted = edited(&base, root).unwrap();
    assert!(matches!(encrypted.check()[..], [StorageProblem::NotBootable { .. }]));
    let boot = r#"[
        {"edit": "format", "volume": "sda-part2", "fstype": "ext4"},
        {"edit": "mount", "volume": "sda-part2", "path": "/boot"}
    ]"#;
    let encrypted = edited(&encrypted, boot).unwrap();
    assert_eq!(encrypted.check(), []);
    assert!(!format!("{encrypted:?}").contains("horse"), "a key is in no debug text");
    let told = |storage: &Storage| serde_json::to_string(&storage.curtin("m")).unwrap();
    assert!(told(&encrypted).contains("correct horse"));
    assert!(!told(&encrypted.without_keys()).contains("horse"));
    let no_key = root.replace("correct horse", "");
    assert!(matches!(
        edited(&base, &no_key).unwrap_err(),
        EditRefusal::Breaks(StorageProblem::BadKey { .. })
    ));

    let pool = r#"[
        {"edit": "add_zpool", "pool": {"name": "tank", "devices": ["sda-part3", "sdb"],
         "datasets": [{"name": "ROOT/main", "mountpoint": "/"}, {"name": "home"}]}}
    ]"#;
    let pool = edited(&edited(&base, boot).unwrap(), pool).unwrap();
    assert_eq!(pool.check(), []);
    assert!(told(&pool).contains(r#""volume":"ROOT/main""#), "{}", told(&pool));
    let used = edited(&pool, r#"[{"edit": "format", "volume": "sdb", "fstype": "ext4"}]"#);
    assert!(matches!(used.unwrap_err(), EditRefusal::Breaks(StorageProblem::UsedTwice { .. })));
    let zfsroot = r#"[{"edit": "format", "volume": "sdb", "fstype": "zfsroot"}]"#;
    assert!(matches!(
        edited(&base, zfsroot).unwrap_err(),
        EditRefusal::Breaks(StorageProblem::ZfsRoot { .. })
    ));
}

#[test]
fn names_texts_and_uuids_that_break_a_tool_are_refused() {
    let problem = |json: &str| match edited(&blank(), json).unwrap_err() {
        EditRefusal::Breaks(problem) => problem,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        problem(r#"[{"edit": "add_volume_group", "name": "a b", "devices": ["sdb"]}]"#),
        StorageProblem::VolumeName { .. }
    ));
    assert!(matches!(
        problem(
            r#"[{"edit": "format", "volume": "sdb", "fstype": "ext4"},
                {"edit": "mount", "volume": "sdb", "path": "/srv", "options": "ro 0 0"}]"#
        ),
        StorageProblem::BadText { .. }
    ));
    assert!(matches!(
        problem(
            r#"[{"edit": "format", "volume": "sdb", "fstype": "ext4"},
                {"edit": "set_uuid", "id": "sdb_format", "uuid": "1234"}]"#
        ),
        StorageProblem::BadUuid { .. }
    ));
    assert!(matches!(
        problem(
            r#"[{"edit": "format", "volume": "sdb", "fstype": "fat32", "label": "twelve-bytes"}]"#
        ),
        StorageProblem::LabelTooLong { most: 11, .. }
    ));
    let add =
        Edit::AddPartition { disk: "sdb".into(), size: Size::Bytes(4 << 20), bootable: false };
    assert!(blank().edit_all(&vec![add.clone(); 128]).is_ok());
    assert!(matches!(
        blank().edit_all(&vec![add; 129]).unwrap_err(),
        EditRefusal::Breaks(StorageProblem::BeyondGpt { .. })
    ));
    assert!(matches!(
        problem(r#"[{"edit": "mount_special", "fstype": "ext4", "path": "/x"}]"#),
        StorageProblem::SpecialType { .. }
    ));
    assert!(matches!(
        problem(r#"[{"edit": "rename", "volume": "sdb", "name": "a/b"}]"#),
        StorageProblem::DiskName { .. }
    ));
}

#[test]
fn a_cache_outlives_its_bcache_and_can_move() {
    let made = edited(
        &blank(),
        r#"[
            {"edit": "add_partition", "disk": "sdb", "size": "1G"},
            {"edit": "add_partition", "disk": "sdb", "size": "2G"},
            {"edit": "add_cache_set", "device": "sdb-part1"},
            {"edit": "add_partition", "disk": "sda", "size": "9G"},
            {"edit": "add_bcache", "name": "bcache0", "backing": "sda-part1", "cache": "sdb-part1"}
        ]"#,
    )
    .unwrap();
    assert_eq!(made.caches(), ["sdb-part1"]);
    let refused = made.edit(&Edit::RemoveCacheSet { device: "sdb-part1".into() });
    assert!(matches!(refused, Err(EditRefusal::InUse { .. })));
    let moved = made
        .edit(&Edit::MoveCacheSet { from: "sdb-part1".into(), to: "sdb-part2".into() })
        .unwrap();
    assert_eq!((moved.caches(), &*moved.bcaches[0].cache), (vec!["sdb-part2"], "sdb-part2"));
    let left = moved.edit(&Edit::RemoveCompound { name: "bcache0".into() }).unwrap();
    assert_eq!(left.caches(), ["sdb-part2"]);
    assert!(left.edit(&Edit::RemoveCacheSet { device: "sdb-part2".into() }).is_ok());
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
        volume.clone().prop_map(|device| Edit::AddCacheSet { device }),
        (volume.clone(), volume.clone()).prop_map(|(from, to)| Edit::MoveCacheSet { from, to }),
        volume.clone().prop_map(|device| Edit::RemoveCacheSet { device }),
        (volume.clone(), "[a-c]{1,2}").prop_map(|(volume, name)| Edit::Rename { volume, name }),
        volume.clone().prop_map(|volume| Edit::AddEncrypted {
            name: "crypt0".into(),
            volume,
            key: EncryptionKey::Keyfile("/run/key".into()),
        }),
        volume.clone().prop_map(|volume| Edit::AddZpool {
            pool: Zpool {
                name: "tank".into(),
                devices: vec![volume],
                mountpoint: None,
                datasets: vec![],
            }
        }),
        proptest::collection::vec(volume.clone(), 0..3).prop_map(|devices| Edit::SetMembers {
            name: "vg0".into(),
            devices,
            spares: vec![],
        }),
        volume.prop_map(|disk| Edit::SetBootDisk { disk }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_sequence_of_edits_breaks_a_configuration(
        edits in proptest::collection::vec(any_edit(), 0..25),
        boot_method in prop_oneof![Just(BootMethod::Uefi), Just(BootMethod::Bios)],
        mbr in any::<bool>(),
    ) {
        let mut storage = blank();
        storage.platform.boot_method = boot_method;
        if mbr {
            storage.disks[1].table = Some(PartitionTable::Mbr);
        }
        let mut register = VolumeRegister::default();
        register.update(&storage);
        for edit in &edits {
            if let Ok(after) = storage.edit_all(std::slice::from_ref(edit)) {
                register.rename(&after.renamed);
                storage = after.storage;
                register.update(&storage);
            }
            // A number leads to one volume and back.
            for disk in &storage.disks {
                let number = register.device(&disk.device.name);
                prop_assert_eq!(register.device_of(number), Some(disk.device.name.as_str()));
                let mut end = 0;
                for partition in &disk.partitions {
                    prop_assert!(partition.offset >= end, "{:?}", disk);
                    end = partition.offset + partition.size;
                }
                prop_assert!(end < disk.device.size);
            }
            let broken: Vec<StorageProblem> = storage
                .check()
                .into_iter()
                .filter(|problem| !matches!(
                    problem,
                    StorageProblem::NoRoot
                        | StorageProblem::NoBootDisk
                        | StorageProblem::NotBootable { .. }
                ))
                .collect();
            prop_assert!(broken.is_empty(), "{:?}", broken);
        }
        prop_assert_eq!(storage.curtin("m"), storage.curtin("m"));
    }
}
