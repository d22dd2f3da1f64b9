#![allow(clippy::unwrap_used)]

use super::super::*;
use super::*;

fn disk(name: &str, gib: u64) -> BlockDevice {
    BlockDevice {
        name: name.into(),
        size: gib << 30,
        block_size: 512,
        serial: format!("S{name}"),
        model: "M".into(),
        id_path: None,
        tags: BTreeSet::new(),
    }
}

fn platform(boot_method: BootMethod) -> Platform {
    Platform { arch: "amd64".into(), boot_method }
}

fn flat(boot_method: BootMethod) -> Storage {
    LayoutRequest::default()
        .lay_out(&[disk("sda", 20), disk("sdb", 20)], None, &platform(boot_method))
        .unwrap()
}

#[test]
fn a_layout_has_no_problems() {
    assert_eq!(flat(BootMethod::Bios).check(), []);
    assert_eq!(flat(BootMethod::Uefi).check(), []);
}

#[test]
fn partitions_must_fit_their_disk_in_order() {
    let mut storage = flat(BootMethod::Bios);
    storage.disks[0].partitions[1].size = 21 << 30;
    assert!(matches!(storage.check()[..], [StorageProblem::OffTheDisk { .. }]));
    let mut storage = flat(BootMethod::Bios);
    storage.disks[0].partitions[0].size = 8 << 20;
    assert!(matches!(storage.check()[..], [StorageProblem::Overlap { .. }]));
    let mut storage = flat(BootMethod::Bios);
    storage.disks[0].partitions[1].offset += 4096;
    storage.disks[0].partitions[1].size -= 1 << 20;
    assert!(matches!(storage.check()[..], [StorageProblem::Unaligned { .. }]));
    let mut storage = flat(BootMethod::Bios);
    storage.disks[0].partitions[1].offset = u64::MAX - 4096;
    assert!(!storage.check().is_empty());
}

#[test]
fn a_volume_has_one_use() {
    let mut storage = flat(BootMethod::Bios);
    storage.volume_groups.push(VolumeGroup {
        name: "vg0".into(),
        devices: vec!["sda-part2".into()],
        volumes: vec![],
    });
    assert!(matches!(storage.check()[..], [StorageProblem::UsedTwice { .. }]));
    let mut storage = flat(BootMethod::Bios);
    storage.filesystems[0].volume = "sda-part1".into();
    assert!(storage.check().iter().any(|p| matches!(p, StorageProblem::UsedTwice { .. })));
    storage.filesystems[0].volume = "sda".into();
    assert!(storage.check().iter().any(|p| matches!(p, StorageProblem::UsedTwice { .. })));
    storage.filesystems[0].volume = "sdz".into();
    assert!(storage.check().iter().any(|p| matches!(p, StorageProblem::UnknownVolume { .. })));
}

#[test]
fn something_must_be_mounted_at_the_root_and_once() {
    let mut storage = flat(BootMethod::Bios);
    storage.filesystems[0].mount = None;
    assert_eq!(storage.check(), [StorageProblem::NoRoot]);
    let mut storage = flat(BootMethod::Bios);
    storage.special_mounts.push(SpecialMount {
        fstype: "tmpfs".into(),
        path: "/".into(),
        options: String::new(),
    });
    assert_eq!(storage.check(), [StorageProblem::MountedTwice { path: "/".into() }]);
    let mut storage = flat(BootMethod::Bios);
    storage.filesystems[0].fstype = "fat32".into();
    assert_eq!(storage.check(), [StorageProblem::RootType { fstype: "fat32".into() }]);
}

#[test]
fn the_firmware_must_find_its_partition() {
    let mut storage = flat(BootMethod::Bios);
    storage.platform.boot_method = BootMethod::Uefi;
    assert!(matches!(storage.check()[..], [StorageProblem::NotBootable { .. }]));
    let mut storage = flat(BootMethod::Uefi);
    storage.platform.boot_method = BootMethod::Bios;
    assert!(matches!(storage.check()[..], [StorageProblem::NotBootable { .. }]));
    let mut storage = flat(BootMethod::Uefi);
    storage.filesystems[0].fstype = "ext4".into();
    assert!(matches!(storage.check()[..], [StorageProblem::NotBootable { .. }]));
    storage.disks[0].boot = false;
    assert_eq!(storage.check(), [StorageProblem::NoBootDisk]);
}

#[test]
fn a_layout_for_one_firmware_is_enough_when_the_firmware_is_not_known() {
    let mut storage = flat(BootMethod::Bios);
    storage.platform.boot_method = BootMethod::BiosOrUefi;
    assert_eq!(storage.check(), []);
}

#[test]
fn compound_volumes_are_counted() {
    let mut storage = flat(BootMethod::Bios);
    storage.disks.push(Disk::whole(disk("sdb", 20)));
    storage.raids.push(Raid {
        name: "md0".into(),
        level: RaidLevel::Raid1,
        devices: vec!["sdb".into()],
        spares: vec![],
    });
    assert!(matches!(storage.check()[..], [StorageProblem::TooFewDevices { .. }]));
    storage.raids[0].devices.push("md0".into());
    assert!(storage.check().contains(&StorageProblem::NoSize { name: "md0".into() }));
    let mut storage = flat(BootMethod::Bios);
    storage.disks.push(Disk::whole(disk("sdb", 20)));
    storage.volume_groups.push(VolumeGroup {
        name: "vg0".into(),
        devices: vec!["sdb".into()],
        volumes: vec![LogicalVolume { name: "a".into(), size: 20 << 30 }],
    });
    assert!(matches!(storage.check()[..], [StorageProblem::GroupTooSmall { .. }]));
}
