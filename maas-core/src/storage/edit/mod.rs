//! Edits of a storage configuration, each refused when it would break something.

mod compound;
mod filesystem;
mod partition;
mod rename;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::StorageProblem;
use super::device::BlockDevice;
use super::model::{CacheMode, Disk, EncryptionKey, RaidLevel, Storage, Zpool};
use super::size::{ALIGNMENT, Size};

/// One change. Volumes are named by their ids: `sda`, `sda-part1`, `vg0-root`, `md0`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Edit {
    /// The machine has one disk more.
    AddDisk {
        /// The disk, empty.
        device: BlockDevice,
    },
    /// The machine has this disk no more, on which nothing is.
    RemoveDisk {
        /// The disk.
        disk: String,
    },
    /// Another disk is the one that the firmware boots; the firmware's own partition goes there.
    SetBootDisk {
        /// The disk.
        disk: String,
    },
    /// Gives a disk, RAID, bcache, volume group, datastore or logical volume another name.
    Rename {
        /// Its id.
        volume: String,
        /// The new name; of a logical volume without its group.
        name: String,
    },
    /// Gives something a UUID instead of the one that is made for it.
    SetUuid {
        /// The volume's id, or `VOLUME_format` for the file system on it.
        id: String,
        /// The UUID.
        uuid: String,
    },
    /// Adds a partition after the last one; the first one makes a GUID partition table, and on the
    /// boot disk the partition that the firmware needs.
    AddPartition {
        /// The disk.
        disk: String,
        /// The size; 100 % is all that is free.
        size: Size,
        /// Whether the firmware boots from it.
        #[serde(default)]
        bootable: bool,
    },
    /// Removes a partition, when nothing uses it; those behind it move up by one.
    RemovePartition {
        /// The partition.
        partition: String,
    },
    /// Makes a file system.
    Format {
        /// The volume.
        volume: String,
        /// `ext4`, `xfs`, `fat32`, `swap`…
        fstype: String,
        /// The label.
        #[serde(default)]
        label: String,
    },
    /// Takes a file system away, when it is not mounted.
    Unformat {
        /// The volume.
        volume: String,
    },
    /// Mounts a file system.
    Mount {
        /// The volume.
        volume: String,
        /// The absolute path; `none` for swap.
        path: String,
        /// `mount`'s options.
        #[serde(default)]
        options: String,
    },
    /// Does not mount a file system any more.
    Unmount {
        /// The volume.
        volume: String,
    },
    /// Mounts a file system that has no volume.
    MountSpecial {
        /// `tmpfs`, `ramfs`.
        fstype: String,
        /// The absolute path.
        path: String,
        /// `mount`'s options.
        #[serde(default)]
        options: String,
    },
    /// Does not mount a file system without volume any more.
    UnmountSpecial {
        /// The path.
        path: String,
    },
    /// Makes a volume group.
    AddVolumeGroup {
        /// Its name.
        name: String,
        /// Its physical volumes.
        devices: Vec<String>,
    },
    /// Makes a logical volume.
    AddLogicalVolume {
        /// The group.
        group: String,
        /// The volume's name in it.
        name: String,
        /// The size; 100 % is all that is free.
        size: Size,
    },
    /// Removes a logical volume, when nothing uses it.
    RemoveLogicalVolume {
        /// The volume's id.
        volume: String,
    },
    /// Makes a logical volume smaller or larger.
    ResizeLogicalVolume {
        /// The volume's id.
        volume: String,
        /// The new size; 100 % is what it has and all that is free.
        size: Size,
    },
    /// Makes a RAID.
    AddRaid {
        /// Its name.
        name: String,
        /// The level.
        level: RaidLevel,
        /// Its devices.
        devices: Vec<String>,
        /// Its spare devices.
        #[serde(default)]
        spares: Vec<String>,
    },
    /// Makes a bcache.
    AddBcache {
        /// Its name.
        name: String,
        /// The slow device.
        backing: String,
        /// The fast device.
        cache: String,
        /// When data reaches the slow device.
        #[serde(default)]
        mode: CacheMode,
    },
    /// Lets a bcache be made of other volumes, or write otherwise.
    ChangeBcache {
        /// Its name.
        name: String,
        /// The slow device.
        backing: String,
        /// The fast device.
        cache: String,
        /// When data reaches the slow device.
        mode: CacheMode,
    },
    /// Sets a volume aside as a cache.
    AddCacheSet {
        /// The volume.
        device: String,
    },
    /// Puts a cache, with everything that it caches, on another volume.
    MoveCacheSet {
        /// The volume it is on.
        from: String,
        /// The volume it shall be on.
        to: String,
    },
    /// Does not set a volume aside as a cache any more, when no bcache uses it.
    RemoveCacheSet {
        /// The volume.
        device: String,
    },
    /// Encrypts a volume.
    AddEncrypted {
        /// The name of the volume with the clear content.
        name: String,
        /// The volume that holds the encrypted content.
        volume: String,
        /// The key.
        key: EncryptionKey,
    },
    /// Makes a ZFS pool.
    AddZpool {
        /// The pool.
        pool: Zpool,
    },
    /// Makes an ESXi datastore.
    AddDatastore {
        /// Its name.
        name: String,
        /// The partitions it spans.
        devices: Vec<String>,
    },
    /// Lets a volume group, RAID or datastore be made of other volumes.
    SetMembers {
        /// Its name.
        name: String,
        /// The volumes it is made of.
        devices: Vec<String>,
        /// The spare ones of a RAID.
        #[serde(default)]
        spares: Vec<String>,
    },
    /// Removes a volume group, RAID, bcache, encrypted volume, pool or datastore, when nothing uses it.
    RemoveCompound {
        /// Its name.
        name: String,
    },
}

/// Why an edit is refused; nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EditRefusal {
    /// There is no such thing.
    #[error("there is no {kind} {name:?}")]
    Unknown {
        /// `disk`, `partition`, `file system`…
        kind: &'static str,
        /// The name that was given.
        name: String,
    },
    /// Something uses it.
    #[error("{volume:?} is used by {by}")]
    InUse {
        /// The volume.
        volume: String,
        /// What uses it.
        by: String,
    },
    /// There is not enough room.
    #[error("{wanted} bytes are wanted on {name:?}; {free} are free, and {ALIGNMENT} is the least")]
    NoRoom {
        /// The disk or group.
        name: String,
        /// The bytes that are wanted.
        wanted: u64,
        /// The bytes that are free.
        free: u64,
    },
    /// Of ESXi's partitions only the last one can go: their numbers mean something.
    #[error("{partition:?} is not the last partition of its disk")]
    NotLast {
        /// The partition.
        partition: String,
    },
    /// The volume has a file system already.
    #[error("{volume:?} has a file system already: {fstype}")]
    Formatted {
        /// The volume.
        volume: String,
        /// The type of the file system.
        fstype: String,
    },
    /// The volume's file system is mounted already.
    #[error("{volume:?} is mounted already, at {path:?}")]
    Mounted {
        /// The volume.
        volume: String,
        /// Where it is mounted.
        path: String,
    },
    /// The result would not work.
    #[error(transparent)]
    Breaks(#[from] StorageProblem),
}

/// A configuration after an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The configuration.
    pub storage: Storage,
    /// What has another id now: the old id, and the new one.
    pub renamed: BTreeMap<String, String>,
}

impl Storage {
    /// The configuration after an edit.
    ///
    /// What is merely unfinished (no root yet, not bootable yet) is no reason to refuse; a
    /// deployment looks at that ([`Storage::check`]).
    ///
    /// # Errors
    ///
    /// [`EditRefusal`] for what does not exist, does not fit, is in use, or would break
    /// something else.
    pub fn edit(&self, edit: &Edit) -> Result<Self, EditRefusal> {
        self.edit_all(std::slice::from_ref(edit)).map(|edited| edited.storage)
    }

    /// The configuration after several edits that belong together: only what comes out in the end
    /// must work.
    ///
    /// # Errors
    ///
    /// As [`Storage::edit`]; none of the edits is done then.
    pub fn edit_all(&self, edits: &[Edit]) -> Result<Edited, EditRefusal> {
        let mut edited = Edited { storage: self.clone(), renamed: BTreeMap::new() };
        for edit in edits {
            let renamed = edited.storage.apply(edit)?;
            rename::compose(&mut edited.renamed, &renamed);
        }
        let before = self.check();
        let broken = edited.storage.check().into_iter().find(|problem| {
            let unfinished = matches!(
                problem,
                StorageProblem::NoRoot
                    | StorageProblem::NoBootDisk
                    | StorageProblem::NotBootable { .. }
            );
            !unfinished && !before.contains(problem)
        });
        match broken {
            Some(problem) => Err(problem.into()),
            None => Ok(edited),
        }
    }

    fn apply(&mut self, edit: &Edit) -> Result<BTreeMap<String, String>, EditRefusal> {
        match edit {
            Edit::AddDisk { device } => {
                let boot = self.disks.is_empty();
                self.disks.push(Disk { boot, ..Disk::whole(device.clone()) });
            }
            Edit::RemoveDisk { disk } => {
                self.unused(disk)?;
                self.require_disk(disk)?;
                self.disks.retain(|have| have.device.name != *disk);
            }
            Edit::SetBootDisk { disk } => return self.set_boot_disk(disk),
            Edit::Rename { volume, name } => return self.rename(volume, name),
            Edit::SetUuid { id, uuid } => {
                let volume = id.strip_suffix("_format").unwrap_or(id);
                if !self.ids().iter().any(|have| have == volume) {
                    return Err(unknown("volume", volume));
                }
                self.uuids.insert(id.clone(), uuid.to_ascii_lowercase());
            }
            Edit::AddPartition { disk, size, bootable } => {
                self.add_partition(disk, *size, *bootable)?;
            }
            Edit::RemovePartition { partition } => return self.remove_partition(partition),
            Edit::Format { .. }
            | Edit::Unformat { .. }
            | Edit::Mount { .. }
            | Edit::Unmount { .. }
            | Edit::MountSpecial { .. }
            | Edit::UnmountSpecial { .. } => self.apply_to_filesystems(edit)?,
            _ => self.apply_to_compound(edit)?,
        }
        Ok(BTreeMap::new())
    }

    /// Refuses when anything uses the volume.
    fn unused(&self, volume: &str) -> Result<(), EditRefusal> {
        match self.uses().into_iter().find(|(_, used)| used == volume) {
            Some((by, _)) => Err(EditRefusal::InUse { volume: volume.to_owned(), by }),
            None => Ok(()),
        }
    }
}

fn unknown(kind: &'static str, name: &str) -> EditRefusal {
    EditRefusal::Unknown { kind, name: name.to_owned() }
}

#[cfg(test)]
mod tests;
