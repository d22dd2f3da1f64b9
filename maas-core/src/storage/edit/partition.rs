//! Edits of disks and partitions.

use std::collections::BTreeMap;

use super::super::model::{Disk, Partition, PartitionFlag, PartitionTable, Storage};
use super::super::size::{ALIGNMENT, BIOS_GRUB, END_RESERVE, PREP, Size, align_down};
use super::{EditRefusal, unknown};

impl Storage {
    pub(super) fn require_disk(&self, name: &str) -> Result<&Disk, EditRefusal> {
        self.disk(name).ok_or_else(|| unknown("disk", name))
    }

    pub(super) fn add_partition(
        &mut self,
        name: &str,
        size: Size,
        bootable: bool,
    ) -> Result<(), EditRefusal> {
        let firmware = self.firmware_partition();
        let disk = self
            .disks
            .iter_mut()
            .find(|disk| disk.device.name == name)
            .ok_or_else(|| unknown("disk", name))?;
        if disk.table.is_none() {
            disk.table = Some(PartitionTable::Gpt);
            if let (true, Some((size, flag))) = (disk.boot, firmware) {
                disk.push(size, flag);
            }
        }
        let free = disk.free();
        let wanted = match size {
            Size::Percent(100) => free,
            size => align_down(size.of(disk.device.size), ALIGNMENT),
        };
        if wanted < ALIGNMENT || wanted > free {
            return Err(EditRefusal::NoRoom { name: name.to_owned(), wanted, free });
        }
        disk.push(wanted, if bootable { PartitionFlag::Boot } else { PartitionFlag::None });
        Ok(())
    }

    pub(super) fn remove_partition(
        &mut self,
        partition: &str,
    ) -> Result<BTreeMap<String, String>, EditRefusal> {
        self.unused(partition)?;
        let numbered = !self.vmfs.is_empty();
        let found = self.disks.iter_mut().find_map(|disk| {
            let at = disk
                .partitions
                .iter()
                .position(|have| disk.partition_id(have.number) == partition)?;
            Some((disk, at))
        });
        let (disk, at) = found.ok_or_else(|| unknown("partition", partition))?;
        if numbered && at + 1 != disk.partitions.len() {
            return Err(EditRefusal::NotLast { partition: partition.to_owned() });
        }
        disk.partitions.remove(at);
        if disk.partitions.iter().all(|left| left.flag.is_firmware()) {
            disk.partitions.clear();
            disk.table = None;
        }
        let renamed = if numbered { BTreeMap::new() } else { repacked(disk) };
        self.uuids.remove(partition);
        self.apply_renames(&renamed);
        Ok(renamed)
    }

    pub(super) fn set_boot_disk(
        &mut self,
        name: &str,
    ) -> Result<BTreeMap<String, String>, EditRefusal> {
        self.require_disk(name)?;
        let firmware = self.firmware_partition();
        let numbered = !self.vmfs.is_empty();
        let mut renamed = BTreeMap::new();
        for disk in &mut self.disks {
            disk.boot = disk.device.name == name;
            if disk.table != Some(PartitionTable::Gpt) || numbered {
                continue;
            }
            let has = disk.partitions.iter().any(|one| one.flag.is_firmware());
            match firmware {
                Some((size, flag)) if disk.boot && !has => {
                    disk.partitions.insert(0, Partition { number: 0, offset: 0, size, flag });
                }
                _ if !disk.boot && has => disk.partitions.retain(|one| !one.flag.is_firmware()),
                _ => continue,
            }
            if disk.partitions.is_empty() {
                disk.table = None;
            }
            renamed.extend(repacked(disk));
            let last = disk.device.size.saturating_sub(END_RESERVE);
            let end = disk.partitions.last().map_or(0, |last| last.offset + last.size);
            if end > last {
                let wanted = firmware.map_or(0, |one| one.0);
                let free = last.saturating_sub(end.saturating_sub(wanted));
                return Err(EditRefusal::NoRoom { name: name.to_owned(), wanted, free });
            }
        }
        self.apply_renames(&renamed);
        Ok(renamed)
    }

    /// The partition that the firmware needs on a boot disk with a GUID partition table.
    fn firmware_partition(&self) -> Option<(u64, PartitionFlag)> {
        if self.platform.needs_prep() {
            Some((PREP, PartitionFlag::Prep))
        } else if self.platform.needs_bios_grub() {
            Some((BIOS_GRUB, PartitionFlag::BiosGrub))
        } else {
            None
        }
    }
}

/// Closes gaps; ids that change with it are in the answer.
fn repacked(disk: &mut Disk) -> BTreeMap<String, String> {
    let renumbered = disk.repack();
    renumbered
        .into_iter()
        .filter(|(before, _)| *before != 0)
        .map(|(before, now)| (disk.partition_id(before), disk.partition_id(now)))
        .collect()
}
