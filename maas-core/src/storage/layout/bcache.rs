//! The layout `bcache`: the root file system on a disk cached by a faster one.

use super::super::device::{BlockDevice, Platform};
use super::super::model::{Bcache, Disk, PartitionFlag, PartitionTable, Storage};
use super::super::size::{ALIGNMENT, align_down};
use super::basic::{Start, filesystem, flat, start};
use super::{BcacheOptions, LayoutRefusal, disk_named};

/// GRUB does not read bcache, so `/boot` must be beside it.
const BOOT: u64 = 1 << 30;

pub(super) fn bcache(
    devices: &[BlockDevice],
    boot: &BlockDevice,
    platform: &Platform,
    options: &BcacheOptions,
) -> Result<Storage, LayoutRefusal> {
    let root_device = options.basic.root_device.as_deref().unwrap_or(&boot.name);
    let cache = match &options.cache_device {
        Some(name) => Some(disk_named(devices, "cache_device", name)?),
        None => devices
            .iter()
            .filter(|device| {
                device.is_ssd() && device.name != root_device && device.name != boot.name
            })
            .min_by_key(|device| device.size),
    };
    let Some(cache) = cache else {
        return flat(devices, boot, platform, &options.basic);
    };
    if cache.name == root_device || cache.name == boot.name {
        return Err(LayoutRefusal::CachesItself { disk: cache.name.clone() });
    }
    let Start { mut storage, root, .. } = start(devices, boot, platform, &options.basic, BOOT)?;
    let mut disk = Disk::whole(cache.clone());
    let cache_volume = if options.cache_no_part {
        disk.device.name.clone()
    } else {
        disk.table = Some(PartitionTable::Gpt);
        let most = disk.free();
        let size = match options.cache_size {
            Some(size) => align_down(size.of(cache.size), ALIGNMENT).min(
                // All of a disk is never free.
                if size == super::Size::Percent(100) { most } else { u64::MAX },
            ),
            None => most,
        };
        if size < ALIGNMENT || size > most {
            return Err(LayoutRefusal::Size {
                field: "cache_size",
                found: size,
                least: ALIGNMENT,
                most,
            });
        }
        disk.push(size, PartitionFlag::None)
    };
    storage.disks.push(disk);
    storage.bcaches.push(Bcache {
        name: "bcache0".to_owned(),
        backing: root,
        cache: cache_volume,
        mode: options.cache_mode,
    });
    storage.filesystems.push(filesystem("bcache0", "ext4", "root", "/"));
    Ok(storage)
}
