//! Edits of a storage configuration, each refused when it would break something.

use serde::{Deserialize, Serialize};

use super::check::StorageProblem;
use super::model::{
    Bcache, CacheMode, Filesystem, LogicalVolume, Mount, PartitionFlag, PartitionTable, Raid,
    RaidLevel, SpecialMount, Storage, VolumeGroup,
};
use super::size::{ALIGNMENT, Size, align_down};

/// One change. Volumes are named by their ids: `sda`, `sda-part1`, `vg0-root`, `md0`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Edit {
    /// Another disk is the one that the firmware boots.
    SetBootDisk {
        /// The disk.
        disk: String,
    },
    /// Adds a partition after the last one; the first one makes a GUID partition table.
    AddPartition {
        /// The disk.
        disk: String,
        /// The size; 100 % is all that is free.
        size: Size,
        /// Whether the firmware boots from it.
        #[serde(default)]
        bootable: bool,
    },
    /// Removes the last partition of a disk, when nothing uses it.
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
    /// Removes a volume group, RAID or bcache, when nothing uses it.
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
    /// Only the last partition of a disk can go, since the others' numbers would change.
    #[error("{partition:?} is not the last partition of its disk")]
    NotLast {
        /// The partition.
        partition: String,
    },
    /// The result would not work.
    #[error(transparent)]
    Breaks(#[from] StorageProblem),
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
        let mut after = self.clone();
        after.apply(edit)?;
        let before = self.check();
        let broken = after.check().into_iter().find(|problem| {
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
            None => Ok(after),
        }
    }

    fn apply(&mut self, edit: &Edit) -> Result<(), EditRefusal> {
        match edit {
            Edit::SetBootDisk { disk } => {
                if !self.disks.iter().any(|have| have.device.name == *disk) {
                    return Err(unknown("disk", disk));
                }
                for have in &mut self.disks {
                    have.boot = have.device.name == *disk;
                }
            }
            Edit::AddPartition { disk, size, bootable } => {
                self.add_partition(disk, *size, *bootable)?;
            }
            Edit::RemovePartition { partition } => self.remove_partition(partition)?,
            Edit::Format { volume, fstype, label } => self.filesystems.push(Filesystem {
                volume: volume.clone(),
                fstype: fstype.clone(),
                label: label.clone(),
                mount: None,
            }),
            Edit::Unformat { volume } => {
                let at = self.filesystem(volume)?;
                if let Some(mount) = self.filesystems.get(at).and_then(|fs| fs.mount.as_ref()) {
                    let by = format!("the mount at {}", mount.path);
                    return Err(EditRefusal::InUse { volume: volume.clone(), by });
                }
                self.filesystems.remove(at);
            }
            Edit::Mount { volume, path, options } => {
                let at = self.filesystem(volume)?;
                if let Some(filesystem) = self.filesystems.get_mut(at) {
                    filesystem.mount = Some(Mount { path: path.clone(), options: options.clone() });
                }
            }
            Edit::Unmount { volume } => {
                let at = self.filesystem(volume)?;
                if let Some(filesystem) = self.filesystems.get_mut(at) {
                    filesystem.mount = None;
                }
            }
            Edit::MountSpecial { fstype, path, options } => {
                self.special_mounts.push(SpecialMount {
                    fstype: fstype.clone(),
                    path: path.clone(),
                    options: options.clone(),
                });
            }
            Edit::UnmountSpecial { path } => {
                let before = self.special_mounts.len();
                self.special_mounts.retain(|mount| mount.path != *path);
                if self.special_mounts.len() == before {
                    return Err(unknown("special mount", path));
                }
            }
            Edit::AddVolumeGroup { name, devices } => self.volume_groups.push(VolumeGroup {
                name: name.clone(),
                devices: devices.clone(),
                volumes: Vec::new(),
            }),
            Edit::AddLogicalVolume { group, name, size } => {
                self.add_logical_volume(group, name, *size)?;
            }
            Edit::RemoveLogicalVolume { volume } => {
                self.unused(volume)?;
                let before: usize = self.volume_groups.iter().map(|g| g.volumes.len()).sum();
                for group in &mut self.volume_groups {
                    let prefix = format!("{}-", group.name);
                    let name = volume.strip_prefix(&prefix);
                    group.volumes.retain(|have| Some(have.name.as_str()) != name);
                }
                if self.volume_groups.iter().map(|g| g.volumes.len()).sum::<usize>() == before {
                    return Err(unknown("logical volume", volume));
                }
            }
            Edit::AddRaid { name, level, devices, spares } => self.raids.push(Raid {
                name: name.clone(),
                level: *level,
                devices: devices.clone(),
                spares: spares.clone(),
            }),
            Edit::AddBcache { name, backing, cache, mode } => self.bcaches.push(Bcache {
                name: name.clone(),
                backing: backing.clone(),
                cache: cache.clone(),
                mode: *mode,
            }),
            Edit::RemoveCompound { name } => self.remove_compound(name)?,
        }
        Ok(())
    }

    fn filesystem(&self, volume: &str) -> Result<usize, EditRefusal> {
        self.filesystems
            .iter()
            .position(|filesystem| filesystem.volume == volume)
            .ok_or_else(|| unknown("file system on", volume))
    }

    fn unused(&self, volume: &str) -> Result<(), EditRefusal> {
        match self.uses().into_iter().find(|(_, used)| used == volume) {
            Some((by, _)) => Err(EditRefusal::InUse { volume: volume.to_owned(), by }),
            None => Ok(()),
        }
    }

    fn add_partition(&mut self, name: &str, size: Size, bootable: bool) -> Result<(), EditRefusal> {
        let disk = self
            .disks
            .iter_mut()
            .find(|disk| disk.device.name == name)
            .ok_or_else(|| unknown("disk", name))?;
        disk.table.get_or_insert(PartitionTable::Gpt);
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

    fn remove_partition(&mut self, partition: &str) -> Result<(), EditRefusal> {
        self.unused(partition)?;
        let disk = self
            .disks
            .iter_mut()
            .find(|disk| {
                disk.partitions.iter().any(|have| disk.partition_id(have.number) == partition)
            })
            .ok_or_else(|| unknown("partition", partition))?;
        let last = disk.partitions.last().map(|last| disk.partition_id(last.number));
        if last.as_deref() != Some(partition) {
            return Err(EditRefusal::NotLast { partition: partition.to_owned() });
        }
        disk.partitions.pop();
        if disk.partitions.is_empty() {
            disk.table = None;
        }
        Ok(())
    }

    fn add_logical_volume(
        &mut self,
        group: &str,
        name: &str,
        size: Size,
    ) -> Result<(), EditRefusal> {
        let at = self
            .volume_groups
            .iter()
            .position(|have| have.name == group)
            .ok_or_else(|| unknown("volume group", group))?;
        let Some(found) = self.volume_groups.get(at) else {
            return Err(unknown("volume group", group));
        };
        let whole = self.group_size(found).unwrap_or(0);
        let used: u64 = found.volumes.iter().map(|volume| volume.size).sum();
        let free = whole.saturating_sub(used);
        let wanted = match size {
            Size::Percent(100) => free,
            size => align_down(size.of(whole), ALIGNMENT),
        };
        if wanted < ALIGNMENT || wanted > free {
            return Err(EditRefusal::NoRoom { name: group.to_owned(), wanted, free });
        }
        if let Some(found) = self.volume_groups.get_mut(at) {
            found.volumes.push(LogicalVolume { name: name.to_owned(), size: wanted });
        }
        Ok(())
    }

    fn remove_compound(&mut self, name: &str) -> Result<(), EditRefusal> {
        self.unused(name)?;
        if let Some(group) = self.volume_groups.iter().find(|group| group.name == name) {
            if let Some(volume) = group.volumes.first() {
                return Err(EditRefusal::InUse {
                    volume: name.to_owned(),
                    by: format!("its logical volume {}", volume.name),
                });
            }
            self.volume_groups.retain(|group| group.name != name);
            return Ok(());
        }
        let before = self.raids.len() + self.bcaches.len();
        self.raids.retain(|raid| raid.name != name);
        self.bcaches.retain(|bcache| bcache.name != name);
        if self.raids.len() + self.bcaches.len() == before {
            return Err(unknown("volume group, RAID or bcache", name));
        }
        Ok(())
    }
}

fn unknown(kind: &'static str, name: &str) -> EditRefusal {
    EditRefusal::Unknown { kind, name: name.to_owned() }
}

#[cfg(test)]
mod tests;
