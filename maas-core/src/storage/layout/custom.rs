//! The layout `custom`: a document, as a commissioning script may leave it (`storage-extra`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::device::{BlockDevice, Platform};
use super::super::model::{
    Bcache, CacheMode, Dataset, Disk, Encrypted, EncryptionKey, Filesystem, LogicalVolume, Mount,
    PartitionFlag, PartitionTable, Raid, RaidLevel, SpecialMount, Storage, VolumeGroup, Zpool,
};
use super::super::size::{ALIGNMENT, BIOS_GRUB, PREP, Size, align_down};
use super::{LayoutRefusal, empty};

/// A layout document: volumes by name, and what is mounted where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomLayout {
    /// The volumes.
    #[serde(default)]
    pub layout: BTreeMap<String, CustomDevice>,
    /// The mounts, by path.
    #[serde(default)]
    pub mounts: BTreeMap<String, CustomMount>,
}

/// A volume of a layout document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum CustomDevice {
    /// A disk of the machine.
    Disk {
        /// Its partition table; none for a disk that is used as a whole.
        #[serde(default)]
        ptable: Option<PartitionTable>,
        /// Whether it is the boot disk.
        #[serde(default)]
        boot: bool,
        /// Its partitions.
        #[serde(default)]
        partitions: Vec<CustomPartition>,
        /// The file system on the whole disk.
        #[serde(default)]
        fs: Option<String>,
    },
    /// A volume group.
    Lvm {
        /// Its physical volumes.
        members: Vec<String>,
        /// Its logical volumes.
        #[serde(default)]
        volumes: Vec<CustomVolume>,
    },
    /// A RAID.
    Raid {
        /// The level.
        level: RaidLevel,
        /// Its devices.
        members: Vec<String>,
        /// Its spare devices.
        #[serde(default)]
        spares: Vec<String>,
        /// The file system on it.
        #[serde(default)]
        fs: Option<String>,
    },
    /// A bcache.
    Bcache {
        /// The fast device.
        #[serde(rename = "cache-device")]
        cache_device: String,
        /// The slow device.
        #[serde(rename = "backing-device")]
        backing_device: String,
        /// When data reaches the slow device.
        #[serde(rename = "cache-mode", default)]
        cache_mode: CacheMode,
        /// The file system on it.
        #[serde(default)]
        fs: Option<String>,
    },
    /// An encrypted volume; an extension of ours.
    Crypt {
        /// The volume that holds the encrypted content.
        member: String,
        /// The path of the key file in the ephemeral OS. A document that commissioning uploads is
        /// no place for a key itself.
        keyfile: String,
        /// The file system in it.
        #[serde(default)]
        fs: Option<String>,
    },
    /// A ZFS pool; an extension of ours.
    Zpool {
        /// The volumes it is made of.
        members: Vec<String>,
        /// Where the pool itself is mounted.
        #[serde(default)]
        mountpoint: Option<String>,
        /// Its datasets.
        #[serde(default)]
        datasets: Vec<Dataset>,
    },
    /// A file system without a volume.
    Special {
        /// `tmpfs`, `ramfs`.
        fs: String,
    },
}

/// A partition of a layout document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomPartition {
    /// Its name in the document, e.g. `sda1`.
    pub name: String,
    /// Its size.
    pub size: Size,
    /// The file system on it.
    #[serde(default)]
    pub fs: Option<String>,
    /// Whether the firmware boots from it.
    #[serde(default)]
    pub bootable: bool,
}

/// A logical volume of a layout document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomVolume {
    /// Its name in the document and in its group.
    pub name: String,
    /// Its size.
    pub size: Size,
    /// The file system on it.
    #[serde(default)]
    pub fs: Option<String>,
}

/// A mount of a layout document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomMount {
    /// The volume's name in the document.
    pub device: String,
    /// `mount`'s options.
    #[serde(default)]
    pub options: String,
}

fn refuse(path: impl Into<String>, problem: impl Into<String>) -> LayoutRefusal {
    LayoutRefusal::Document { path: path.into(), problem: problem.into() }
}

impl CustomLayout {
    pub(super) fn lay_out(
        &self,
        devices: &[BlockDevice],
        boot: &BlockDevice,
        platform: &Platform,
    ) -> Result<Storage, LayoutRefusal> {
        let mut storage = empty(platform, Vec::new());
        // Document names are short (`sda1`); curtin's ids are not (`sda-part1`).
        let mut ids: BTreeMap<String, String> = BTreeMap::new();
        let mut formats: Vec<(String, String)> = Vec::new();
        self.disks(devices, boot, platform, &mut storage, &mut ids)?;
        for (name, device) in &self.layout {
            if !matches!(device, CustomDevice::Disk { .. } | CustomDevice::Special { .. }) {
                ids.insert(name.clone(), name.clone());
            }
            if let CustomDevice::Lvm { volumes, .. } = device {
                for volume in volumes {
                    ids.insert(volume.name.clone(), format!("{name}-{}", volume.name));
                }
            }
        }
        self.raids_and_caches(&ids, &mut storage)?;
        self.groups(&ids, &mut storage)?;
        for (name, device) in &self.layout {
            let fs = match device {
                CustomDevice::Disk { fs, partitions, .. } => {
                    for partition in partitions {
                        formats.extend(partition.fs.clone().map(|fs| (partition.name.clone(), fs)));
                    }
                    fs
                }
                CustomDevice::Lvm { volumes, .. } => {
                    for volume in volumes {
                        formats.extend(volume.fs.clone().map(|fs| (volume.name.clone(), fs)));
                    }
                    &None
                }
                CustomDevice::Raid { fs, .. }
                | CustomDevice::Bcache { fs, .. }
                | CustomDevice::Crypt { fs, .. } => fs,
                CustomDevice::Special { .. } | CustomDevice::Zpool { .. } => &None,
            };
            formats.extend(fs.clone().map(|fs| (name.clone(), fs)));
        }
        for (name, fs) in formats {
            let mount = self.mounts.iter().find(|(_, mount)| mount.device == name);
            storage.filesystems.push(Filesystem {
                volume: look_up(&ids, "layout", &name)?,
                // The firmware reads FAT by its size's own kind; `vfat` lets mkfs guess.
                fstype: if fs == "vfat" { "fat32".to_owned() } else { fs.clone() },
                label: String::new(),
                mount: match mount {
                    Some((path, mount)) => {
                        Some(Mount { path: path.clone(), options: mount.options.clone() })
                    }
                    // Swap is used without being mounted anywhere.
                    None if fs == "swap" => {
                        Some(Mount { path: "none".to_owned(), options: String::new() })
                    }
                    None => None,
                },
            });
        }
        self.other_mounts(&ids, &mut storage)?;
        Ok(storage)
    }

    fn disks(
        &self,
        devices: &[BlockDevice],
        boot: &BlockDevice,
        platform: &Platform,
        storage: &mut Storage,
        ids: &mut BTreeMap<String, String>,
    ) -> Result<(), LayoutRefusal> {
        let marked = self
            .layout
            .iter()
            .find(|(_, device)| matches!(device, CustomDevice::Disk { boot: true, .. }));
        let boot_name = marked.map_or(boot.name.as_str(), |(name, _)| name.as_str());
        for (name, device) in &self.layout {
            let CustomDevice::Disk { ptable, partitions, .. } = device else { continue };
            let path = format!("layout.{name}");
            let found = devices
                .iter()
                .find(|device| device.name == *name)
                .ok_or_else(|| refuse(&path, "the machine has no such disk"))?;
            let mut disk =
                Disk { boot: name == boot_name, table: *ptable, ..Disk::whole(found.clone()) };
            if disk.table.is_none() && !partitions.is_empty() {
                return Err(refuse(&path, "partitions need a ptable: gpt or mbr"));
            }
            if disk.boot && disk.table == Some(PartitionTable::Gpt) {
                if platform.needs_prep() {
                    disk.push(PREP, PartitionFlag::Prep);
                } else if platform.needs_bios_grub() {
                    disk.push(BIOS_GRUB, PartitionFlag::BiosGrub);
                }
            }
            for (at, partition) in partitions.iter().enumerate() {
                let wanted = partition.size.of(found.size);
                let most = disk.free();
                let size = match partition.size {
                    Size::Percent(100) => most,
                    _ => align_down(wanted, ALIGNMENT),
                };
                if size < ALIGNMENT || size > most {
                    return Err(refuse(
                        format!("{path}.partitions[{at}].size"),
                        format!("{wanted} bytes; there is room for {ALIGNMENT} to {most}"),
                    ));
                }
                let flag =
                    if partition.bootable { PartitionFlag::Boot } else { PartitionFlag::None };
                let id = disk.push(size, flag);
                if ids.insert(partition.name.clone(), id).is_some() {
                    return Err(refuse(
                        format!("{path}.partitions[{at}].name"),
                        format!("{:?} is given twice", partition.name),
                    ));
                }
            }
            ids.insert(name.clone(), name.clone());
            storage.disks.push(disk);
        }
        if !storage.disks.iter().any(|disk| disk.boot) {
            return Err(refuse("layout", format!("the boot disk {boot_name} is not in it")));
        }
        Ok(())
    }

    fn raids_and_caches(
        &self,
        ids: &BTreeMap<String, String>,
        storage: &mut Storage,
    ) -> Result<(), LayoutRefusal> {
        for (name, device) in &self.layout {
            let path = format!("layout.{name}");
            match device {
                CustomDevice::Raid { level, members, spares, .. } => storage.raids.push(Raid {
                    name: name.clone(),
                    level: *level,
                    devices: look_up_all(ids, &format!("{path}.members"), members)?,
                    spares: look_up_all(ids, &format!("{path}.spares"), spares)?,
                }),
                CustomDevice::Bcache { cache_device, backing_device, cache_mode, .. } => {
                    storage.bcaches.push(Bcache {
                        name: name.clone(),
                        backing: look_up(ids, &format!("{path}.backing-device"), backing_device)?,
                        cache: look_up(ids, &format!("{path}.cache-device"), cache_device)?,
                        mode: *cache_mode,
                    });
                }
                CustomDevice::Crypt { member, keyfile, .. } => storage.encrypted.push(Encrypted {
                    name: name.clone(),
                    volume: look_up(ids, &format!("{path}.member"), member)?,
                    key: EncryptionKey::Keyfile(keyfile.clone()),
                }),
                CustomDevice::Zpool { members, mountpoint, datasets } => {
                    storage.zpools.push(Zpool {
                        name: name.clone(),
                        devices: look_up_all(ids, &format!("{path}.members"), members)?,
                        mountpoint: mountpoint.clone(),
                        datasets: datasets.clone(),
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn groups(
        &self,
        ids: &BTreeMap<String, String>,
        storage: &mut Storage,
    ) -> Result<(), LayoutRefusal> {
        // Groups of groups' volumes are possible, so sizes are known only from the inside out.
        let mut pending: Vec<(&String, &Vec<String>, &Vec<CustomVolume>)> = self
            .layout
            .iter()
            .filter_map(|(name, device)| match device {
                CustomDevice::Lvm { members, volumes } => Some((name, members, volumes)),
                _ => None,
            })
            .collect();
        while !pending.is_empty() {
            let before = pending.len();
            let mut later = Vec::new();
            for (name, members, volumes) in pending {
                let path = format!("layout.{name}");
                let mut group = VolumeGroup {
                    name: name.clone(),
                    devices: look_up_all(ids, &format!("{path}.members"), members)?,
                    volumes: Vec::new(),
                };
                let Some(whole) = storage.group_size(&group) else {
                    later.push((name, members, volumes));
                    continue;
                };
                let mut free = whole;
                for (at, volume) in volumes.iter().enumerate() {
                    let size = match volume.size {
                        Size::Percent(100) => free,
                        size => align_down(size.of(whole), ALIGNMENT),
                    };
                    if size < ALIGNMENT || size > free {
                        return Err(refuse(
                            format!("{path}.volumes[{at}].size"),
                            format!("{size} bytes; there is room for {ALIGNMENT} to {free}"),
                        ));
                    }
                    free -= size;
                    group.volumes.push(LogicalVolume { name: volume.name.clone(), size });
                }
                storage.volume_groups.push(group);
            }
            if later.len() == before {
                let name = later.first().map_or_else(String::new, |(name, ..)| (*name).clone());
                return Err(refuse(format!("layout.{name}"), "it is made of itself"));
            }
            pending = later;
        }
        Ok(())
    }

    fn other_mounts(
        &self,
        ids: &BTreeMap<String, String>,
        storage: &mut Storage,
    ) -> Result<(), LayoutRefusal> {
        for (path, mount) in &self.mounts {
            let at = format!("mounts.{path}");
            if let Some(CustomDevice::Special { fs }) = self.layout.get(&mount.device) {
                storage.special_mounts.push(SpecialMount {
                    fstype: fs.clone(),
                    path: path.clone(),
                    options: mount.options.clone(),
                });
                continue;
            }
            let volume = look_up(ids, &at, &mount.device)?;
            let mounted_here = storage.filesystems.iter().any(|filesystem| {
                filesystem.volume == volume
                    && filesystem.mount.as_ref().is_some_and(|mount| mount.path == *path)
            });
            if !mounted_here {
                return Err(refuse(
                    at,
                    format!("{:?} has no file system, or is mounted elsewhere", mount.device),
                ));
            }
        }
        Ok(())
    }
}

fn look_up(
    ids: &BTreeMap<String, String>,
    path: &str,
    name: &str,
) -> Result<String, LayoutRefusal> {
    ids.get(name).cloned().ok_or_else(|| refuse(path, format!("there is no volume {name:?}")))
}

fn look_up_all(
    ids: &BTreeMap<String, String>,
    path: &str,
    names: &[String],
) -> Result<Vec<String>, LayoutRefusal> {
    names.iter().map(|name| look_up(ids, path, name)).collect()
}
