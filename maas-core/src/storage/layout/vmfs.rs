//! The layouts `vmfs6` and `vmfs7`: the partitions of an ESXi disk image, and a datastore.

use super::super::device::{BlockDevice, Platform};
use super::super::model::{Disk, Partition, PartitionFlag, PartitionTable, Storage, Vmfs};
use super::super::size::{ALIGNMENT, INITIAL_OFFSET, MIB, align_down};
use super::{BasicOptions, LayoutRefusal, disk_named, empty};

/// A release's partitions in ascending order; a size of 0 is the datastore's, which takes the
/// rest.
pub(super) struct Table {
    partitions: &'static [(u32, u64)],
    least: u64,
}

pub(super) const VMFS6: Table = Table {
    partitions: &[
        (1, 3 * MIB),
        (2, 4096 * MIB),
        (3, 0),
        (5, 249 * MIB),
        (6, 249 * MIB),
        (7, 109 * MIB),
        (8, 285 * MIB),
        (9, 2560 * MIB),
    ],
    least: 10 << 30,
};

pub(super) const VMFS7: Table = Table {
    partitions: &[(1, 100 * MIB), (5, 4095 * MIB), (6, 4095 * MIB), (7, 25_662_832_128), (8, 0)],
    least: 32 << 30,
};

pub(super) fn vmfs(
    devices: &[BlockDevice],
    boot: &BlockDevice,
    platform: &Platform,
    options: &BasicOptions,
    table: &Table,
) -> Result<Storage, LayoutRefusal> {
    // ESXi's image is written over its boot disk; a root device elsewhere becomes the boot disk.
    let device = match &options.root_device {
        Some(name) => disk_named(devices, "root_device", name)?,
        None => boot,
    };
    let fixed: u64 = table.partitions.iter().map(|(_, size)| align_up(*size)).sum();
    let whole = Disk { table: Some(PartitionTable::Gpt), ..Disk::whole(device.clone()) };
    let most = align_down(whole.free().saturating_sub(fixed), ALIGNMENT);
    if device.size < table.least || most < ALIGNMENT {
        return Err(LayoutRefusal::TooSmall {
            disk: device.name.clone(),
            found: device.size,
            needed: table.least.max(fixed + INITIAL_OFFSET + 2 * ALIGNMENT),
        });
    }
    let datastore = match options.root_size {
        Some(size) => {
            let found = align_down(size.of(most), ALIGNMENT);
            if found < ALIGNMENT || found > most {
                return Err(LayoutRefusal::Size {
                    field: "root_size",
                    found,
                    least: ALIGNMENT,
                    most,
                });
            }
            found
        }
        None => most,
    };
    let mut disk = Disk { boot: true, ..whole };
    let mut offset = INITIAL_OFFSET;
    let mut datastore_id = String::new();
    for (number, size) in table.partitions {
        let size = if *size == 0 {
            datastore_id = disk.partition_id(*number);
            datastore
        } else {
            *size
        };
        disk.partitions.push(Partition {
            number: *number,
            offset,
            size,
            flag: PartitionFlag::None,
        });
        offset += align_up(size);
    }
    let mut storage = empty(platform, vec![disk]);
    storage.vmfs.push(Vmfs { name: "datastore1".to_owned(), devices: vec![datastore_id] });
    Ok(storage)
}

const fn align_up(size: u64) -> u64 {
    size.next_multiple_of(MIB)
}
