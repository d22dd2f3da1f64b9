//! The layouts `flat` and `lvm`, and what they share: the boot disk's first partitions.

use super::super::device::{BlockDevice, BootMethod, Platform};
use super::super::model::{
    Disk, Filesystem, LogicalVolume, Mount, PartitionFlag, PartitionTable, Storage, VolumeGroup,
};
use super::super::size::{
    ALIGNMENT, BIOS_GRUB, EFI, MBR_LARGEST, MIN_BOOT, MIN_ROOT, PREP, align_down,
};
use super::{BasicOptions, LayoutRefusal, LvmOptions, disk_named, empty};

/// The start of a layout: disks with firmware, EFI and boot partitions, and the root partition.
pub(super) struct Start {
    pub(super) storage: Storage,
    /// The root partition's id.
    pub(super) root: String,
    /// Its size.
    pub(super) root_size: u64,
}

pub(super) fn filesystem(volume: &str, fstype: &str, label: &str, path: &str) -> Filesystem {
    Filesystem {
        volume: volume.to_owned(),
        fstype: fstype.to_owned(),
        label: label.to_owned(),
        mount: Some(Mount { path: path.to_owned(), options: String::new() }),
    }
}

/// The boot disk with its table and the partition that the firmware needs.
pub(super) fn boot_disk(
    device: &BlockDevice,
    platform: &Platform,
    wanted: Option<PartitionTable>,
) -> Disk {
    let table = match wanted {
        Some(PartitionTable::Mbr) if platform.boot_method == BootMethod::Bios => {
            PartitionTable::Mbr
        }
        _ => PartitionTable::Gpt,
    };
    let mut disk = Disk { boot: true, table: Some(table), ..Disk::whole(device.clone()) };
    if platform.needs_prep() {
        disk.push(PREP, PartitionFlag::Prep);
    } else if platform.needs_bios_grub() && table == PartitionTable::Gpt {
        disk.push(BIOS_GRUB, PartitionFlag::BiosGrub);
    }
    disk
}

/// The largest partition that can come next.
fn largest(disk: &Disk) -> u64 {
    if disk.table != Some(PartitionTable::Mbr) {
        return disk.free();
    }
    // A partition can neither begin nor be counted beyond 32 bits of sectors.
    if disk.next_offset() >= MBR_LARGEST {
        return 0;
    }
    // A little less than can be counted, so that one more can begin behind it.
    disk.free().min(align_down(MBR_LARGEST, ALIGNMENT) - 2 * ALIGNMENT)
}

/// Everything before the root file system; `default_boot` is the size of `/boot` when none is
/// asked for, 0 for none.
pub(super) fn start(
    devices: &[BlockDevice],
    boot: &BlockDevice,
    platform: &Platform,
    options: &BasicOptions,
    default_boot: u64,
) -> Result<Start, LayoutRefusal> {
    let root_device = match &options.root_device {
        Some(name) => disk_named(devices, "root_device", name)?,
        None => boot,
    };
    let mut disk = boot_disk(boot, platform, options.partition_table);
    let mut filesystems = Vec::new();
    let too_small =
        |needed: u64| LayoutRefusal::TooSmall { disk: boot.name.clone(), found: boot.size, needed };
    if platform.needs_efi() {
        if disk.free() < EFI {
            return Err(too_small(EFI + MIN_ROOT));
        }
        let id = disk.push(EFI, PartitionFlag::Boot);
        filesystems.push(filesystem(&id, "fat32", "efi", "/boot/efi"));
    }
    let needs_boot = platform.arch == "arm64" && !platform.needs_efi();
    let default_boot = if needs_boot { default_boot.max(MIN_BOOT) } else { default_boot };
    let boot_size = match options.boot_size {
        Some(size) => align_down(size.of(boot.size), ALIGNMENT),
        None => default_boot,
    };
    let wants_boot = options.boot_size.is_some_and(|size| size.of(boot.size) > 0);
    if boot_size > 0 || wants_boot {
        let most = largest(&disk);
        if boot_size < MIN_BOOT || boot_size > most {
            return Err(match options.boot_size {
                Some(_) => LayoutRefusal::Size {
                    field: "boot_size",
                    found: boot_size,
                    least: MIN_BOOT,
                    most,
                },
                None => too_small(boot_size + MIN_ROOT),
            });
        }
        let id = disk.push(boot_size, PartitionFlag::None);
        filesystems.push(filesystem(&id, "ext4", "boot", "/boot"));
    }
    let mut disks = vec![disk];
    if root_device.name != boot.name {
        disks.push(Disk { table: Some(PartitionTable::Gpt), ..Disk::whole(root_device.clone()) });
    }
    let mut storage = empty(platform, disks);
    storage.filesystems = filesystems;
    let Some(root_disk) = storage.disks.last_mut() else {
        return Err(LayoutRefusal::NoBlockDevice);
    };
    let most = largest(root_disk);
    let root_size = match options.root_size {
        Some(size) => {
            let found = align_down(size.of(root_device.size), ALIGNMENT);
            // All of a disk is never free; a part of it that is not is taken as the rest.
            let found = if size == super::Size::Percent(100) { most } else { found };
            if found < MIN_ROOT || found > most {
                return Err(LayoutRefusal::Size {
                    field: "root_size",
                    found,
                    least: MIN_ROOT,
                    most,
                });
            }
            found
        }
        None => most,
    };
    if root_size < MIN_ROOT {
        return Err(LayoutRefusal::TooSmall {
            disk: root_device.name.clone(),
            found: root_device.size,
            needed: root_device.size - most + MIN_ROOT,
        });
    }
    let root = root_disk.push(root_size, PartitionFlag::None);
    Ok(Start { storage, root, root_size })
}

pub(super) fn flat(
    devices: &[BlockDevice],
    boot: &BlockDevice,
    platform: &Platform,
    options: &BasicOptions,
) -> Result<Storage, LayoutRefusal> {
    let Start { mut storage, root, .. } = start(devices, boot, platform, options, 0)?;
    storage.filesystems.push(filesystem(&root, "ext4", "root", "/"));
    Ok(storage)
}

pub(super) fn lvm(
    devices: &[BlockDevice],
    boot: &BlockDevice,
    platform: &Platform,
    options: &LvmOptions,
) -> Result<Storage, LayoutRefusal> {
    let Start { mut storage, root, root_size } = start(devices, boot, platform, &options.basic, 0)?;
    let mut group = VolumeGroup {
        name: options.vg_name.clone().unwrap_or_else(|| "vgroot".to_owned()),
        devices: vec![root],
        volumes: Vec::new(),
    };
    // What one MBR partition cannot hold, further ones do, as far as the table goes.
    if options.basic.root_size.is_none()
        && let Some(disk) = storage.disks.last_mut()
        && disk.table == Some(PartitionTable::Mbr)
    {
        while disk.partitions.len() < 4 && largest(disk) >= ALIGNMENT {
            let size = largest(disk);
            group.devices.push(disk.push(size, PartitionFlag::None));
        }
    }
    let most = storage.group_size(&group).unwrap_or(root_size);
    let size = match options.lv_size {
        Some(size) => {
            let found = align_down(size.of(most), ALIGNMENT);
            if found < MIN_ROOT || found > most {
                return Err(LayoutRefusal::Size { field: "lv_size", found, least: MIN_ROOT, most });
            }
            found
        }
        None => most,
    };
    if size < MIN_ROOT {
        return Err(LayoutRefusal::Size { field: "root_size", found: size, least: MIN_ROOT, most });
    }
    let name = options.lv_name.clone().unwrap_or_else(|| "lvroot".to_owned());
    let id = group.volume_id(&name);
    group.volumes.push(LogicalVolume { name, size });
    storage.volume_groups.push(group);
    storage.filesystems.push(filesystem(&id, "ext4", "root", "/"));
    Ok(storage)
}
