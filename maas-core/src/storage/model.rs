//! A storage configuration in which everything is decided.
//!
//! Volumes are named by curtin's ids: `sda`, `sda-part1`, `vgroot-lvroot`, `md0`, `bcache0`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::device::{BlockDevice, Platform};
use super::size::{ALIGNMENT, END_RESERVE, INITIAL_OFFSET, MIB, align_down};
use crate::secret::Secret;

/// All storage of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// Architecture and firmware.
    pub platform: Platform,
    /// The disks, the boot disk among them. One that is not the boot disk, has no table and is
    /// used by nothing is left alone by an installation.
    pub disks: Vec<Disk>,
    /// RAID devices.
    #[serde(default)]
    pub raids: Vec<Raid>,
    /// bcache devices.
    #[serde(default)]
    pub bcaches: Vec<Bcache>,
    /// Volumes set aside as caches that no bcache uses yet; those in use are named by
    /// [`Bcache::cache`].
    #[serde(default)]
    pub cache_sets: Vec<String>,
    /// LVM volume groups.
    #[serde(default)]
    pub volume_groups: Vec<VolumeGroup>,
    /// Encrypted volumes.
    #[serde(default)]
    pub encrypted: Vec<Encrypted>,
    /// ZFS pools.
    #[serde(default)]
    pub zpools: Vec<Zpool>,
    /// ESXi datastores.
    #[serde(default)]
    pub vmfs: Vec<Vmfs>,
    /// File systems on volumes.
    #[serde(default)]
    pub filesystems: Vec<Filesystem>,
    /// Mounts without a volume.
    #[serde(default)]
    pub special_mounts: Vec<SpecialMount>,
    /// UUIDs that a user chose, by the id of the entry: a volume's id, or `VOLUME_format` for its
    /// file system. Every other UUID is made of the machine and the id ([`Storage::uuid`]).
    #[serde(default)]
    pub uuids: BTreeMap<String, String>,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The device.
    pub device: BlockDevice,
    /// Whether the firmware boots from it.
    pub boot: bool,
    /// Its partition table; `None` when the disk is used as a whole.
    pub table: Option<PartitionTable>,
    /// Its partitions in ascending order.
    #[serde(default)]
    pub partitions: Vec<Partition>,
}

/// The kind of a partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionTable {
    /// GUID partition table.
    Gpt,
    /// Master boot record.
    Mbr,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its number in the table, from 1.
    pub number: u32,
    /// Its first byte.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// What the firmware takes it for.
    pub flag: PartitionFlag,
}

/// What the firmware takes a partition for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionFlag {
    /// Nothing special.
    None,
    /// The EFI system partition; bootable on MBR.
    Boot,
    /// GRUB's own, on BIOS with a GUID partition table.
    BiosGrub,
    /// Open Firmware's boot partition.
    Prep,
}

/// A RAID device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raid {
    /// The name, e.g. `md0`.
    pub name: String,
    /// The level.
    pub level: RaidLevel,
    /// The volumes it is made of.
    pub devices: Vec<String>,
    /// The volumes that replace a broken one.
    #[serde(default)]
    pub spares: Vec<String>,
}

/// A RAID level that curtin and mdadm know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
#[allow(missing_docs, reason = "the levels' names")]
pub enum RaidLevel {
    Raid0,
    Raid1,
    Raid5,
    Raid6,
    Raid10,
}

impl RaidLevel {
    /// The fewest devices, without spares.
    #[must_use]
    pub const fn fewest(self) -> usize {
        match self {
            Self::Raid0 | Self::Raid1 => 2,
            Self::Raid5 | Self::Raid10 => 3,
            Self::Raid6 => 4,
        }
    }

    /// The level's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Raid0 => 0,
            Self::Raid1 => 1,
            Self::Raid5 => 5,
            Self::Raid6 => 6,
            Self::Raid10 => 10,
        }
    }
}

impl TryFrom<u8> for RaidLevel {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        [Self::Raid0, Self::Raid1, Self::Raid5, Self::Raid6, Self::Raid10]
            .into_iter()
            .find(|level| level.number() == number)
            .ok_or_else(|| format!("RAID level {number} is not one of 0, 1, 5, 6, 10"))
    }
}

impl From<RaidLevel> for u8 {
    fn from(level: RaidLevel) -> Self {
        level.number()
    }
}

/// A bcache device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bcache {
    /// The name, e.g. `bcache0`.
    pub name: String,
    /// The slow, large volume.
    pub backing: String,
    /// The fast, small volume.
    pub cache: String,
    /// When written data reaches the slow volume.
    pub mode: CacheMode,
}

/// When data written to a bcache reaches its backing device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    /// At once, and into the cache.
    #[default]
    Writethrough,
    /// Later.
    Writeback,
    /// At once, past the cache.
    Writearound,
}

impl CacheMode {
    /// curtin's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Writethrough => "writethrough",
            Self::Writeback => "writeback",
            Self::Writearound => "writearound",
        }
    }
}

/// An LVM volume group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeGroup {
    /// The name, e.g. `vgroot`.
    pub name: String,
    /// Its physical volumes.
    pub devices: Vec<String>,
    /// Its logical volumes.
    pub volumes: Vec<LogicalVolume>,
}

/// An LVM logical volume; its id is `GROUP-NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogicalVolume {
    /// The name within its group.
    pub name: String,
    /// Its size in bytes, a multiple of 4 MiB.
    pub size: u64,
}

/// A volume whose content is encrypted with LUKS (curtin `dm_crypt`). The installed system asks
/// for the key on its console at every boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encrypted {
    /// The name of the volume with the clear content, e.g. `cryptroot`.
    pub name: String,
    /// The volume that holds the encrypted content.
    pub volume: String,
    /// The key.
    pub key: EncryptionKey,
}

/// Where the key of an encrypted volume comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncryptionKey {
    /// A file of the ephemeral OS by its absolute path; an early command may put it there.
    Keyfile(String),
    /// The key itself. It becomes a part of the installer's configuration.
    Key(Secret<String>),
}

/// A ZFS pool that spreads over its devices (curtin `zpool`; it makes no mirrors).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zpool {
    /// The pool's name, e.g. `tank`.
    pub name: String,
    /// The volumes it is made of.
    pub devices: Vec<String>,
    /// Where the pool itself is mounted.
    #[serde(default)]
    pub mountpoint: Option<String>,
    /// Its datasets.
    #[serde(default)]
    pub datasets: Vec<Dataset>,
}

/// A dataset of a ZFS pool (curtin `zfs`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its name below the pool, e.g. `home` or `ROOT/main`.
    pub name: String,
    /// Where it is mounted.
    #[serde(default)]
    pub mountpoint: Option<String>,
}

/// An ESXi datastore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vmfs {
    /// The datastore's name.
    pub name: String,
    /// The partitions it spans.
    pub devices: Vec<String>,
}

/// A file system on a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// The volume's id.
    pub volume: String,
    /// curtin's word: `ext4`, `fat32`, `xfs`, `btrfs`, `swap`…
    pub fstype: String,
    /// The label; empty for none.
    #[serde(default)]
    pub label: String,
    /// Where it is mounted.
    #[serde(default)]
    pub mount: Option<Mount>,
}

/// Where and how a file system is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The absolute path; `none` for swap.
    pub path: String,
    /// `mount`'s options; empty for the defaults.
    #[serde(default)]
    pub options: String,
}

/// A mount without a volume, e.g. tmpfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecialMount {
    /// `tmpfs`, `ramfs`.
    pub fstype: String,
    /// The absolute path.
    pub path: String,
    /// `mount`'s options.
    #[serde(default)]
    pub options: String,
}

impl Disk {
    /// A disk that is used as a whole, or not at all.
    #[must_use]
    pub const fn whole(device: BlockDevice) -> Self {
        Self { device, boot: false, table: None, partitions: Vec::new() }
    }

    /// The id of one of its partitions.
    #[must_use]
    pub fn partition_id(&self, number: u32) -> String {
        format!("{}-part{number}", self.device.name)
    }

    /// The number of the partition that would come after those that there are.
    fn next_number(&self) -> u32 {
        let next = self.partitions.last().map_or(0, |last| last.number) + 1;
        // The fourth entry of an MBR is the extended partition, in which logical ones begin at 5.
        if self.table == Some(PartitionTable::Mbr) && next == EXTENDED { next + 1 } else { next }
    }

    /// Where the next partition begins; a logical one comes behind its own boot record.
    pub(super) fn next_offset(&self) -> u64 {
        let end = self.partitions.last().map_or(INITIAL_OFFSET, |last| last.offset + last.size);
        if self.is_logical(self.next_number()) { end + MIB } else { end }
    }

    /// Whether the partition of that number lies within the extended one.
    #[must_use]
    pub fn is_logical(&self, number: u32) -> bool {
        self.table == Some(PartitionTable::Mbr) && number > EXTENDED
    }

    /// The extended partition of an MBR table with logical ones: its first byte and its size.
    #[must_use]
    pub fn extended(&self) -> Option<(u64, u64)> {
        let first = self.partitions.iter().find(|one| self.is_logical(one.number))?;
        let last = self.partitions.last()?;
        let offset = first.offset.checked_sub(MIB)?;
        Some((offset, last.offset.checked_add(last.size)?.checked_sub(offset)?))
    }

    /// What is left for one more partition in bytes, aligned.
    #[must_use]
    pub fn free(&self) -> u64 {
        let end = self.device.size.saturating_sub(END_RESERVE);
        align_down(end.saturating_sub(self.next_offset()), ALIGNMENT)
    }

    /// Adds a partition at the end; the caller has seen to it that it fits.
    pub(super) fn push(&mut self, size: u64, flag: PartitionFlag) -> String {
        let (number, offset) = (self.next_number(), self.next_offset());
        self.partitions.push(Partition { number, offset, size, flag });
        self.partition_id(number)
    }

    /// Puts the partitions one behind the other again; what was numbered otherwise before is in
    /// the answer, old number first.
    pub(super) fn repack(&mut self) -> Vec<(u32, u32)> {
        let partitions = std::mem::take(&mut self.partitions);
        let mut renumbered = Vec::new();
        for partition in partitions {
            self.push(partition.size, partition.flag);
            if let Some(now) = self.partitions.last()
                && now.number != partition.number
            {
                renumbered.push((partition.number, now.number));
            }
        }
        renumbered
    }
}

impl PartitionFlag {
    /// Whether the partition is the firmware's own: no file system belongs on it, and it comes and
    /// goes with the boot disk.
    #[must_use]
    pub const fn is_firmware(self) -> bool {
        matches!(self, Self::BiosGrub | Self::Prep)
    }
}

/// What LUKS version 2 keeps at the beginning of a volume.
const LUKS_HEADER: u64 = 16 * MIB;

/// The number of the extended partition of an MBR table.
pub(super) const EXTENDED: u32 = 4;

impl VolumeGroup {
    /// The id of one of its volumes.
    #[must_use]
    pub fn volume_id(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }
}

impl Storage {
    /// These disks and nothing on them.
    #[must_use]
    pub const fn empty(platform: Platform, disks: Vec<Disk>) -> Self {
        Self {
            platform,
            disks,
            raids: Vec::new(),
            bcaches: Vec::new(),
            cache_sets: Vec::new(),
            volume_groups: Vec::new(),
            encrypted: Vec::new(),
            zpools: Vec::new(),
            vmfs: Vec::new(),
            filesystems: Vec::new(),
            special_mounts: Vec::new(),
            uuids: BTreeMap::new(),
        }
    }

    /// The disk that the firmware boots.
    #[must_use]
    pub fn boot_disk(&self) -> Option<&Disk> {
        self.disks.iter().find(|disk| disk.boot)
    }

    /// The file system mounted at a path.
    #[must_use]
    pub fn mounted_at(&self, path: &str) -> Option<&Filesystem> {
        self.filesystems
            .iter()
            .find(|filesystem| filesystem.mount.as_ref().is_some_and(|mount| mount.path == path))
    }

    /// The file system on a volume.
    #[must_use]
    pub fn filesystem_on(&self, volume: &str) -> Option<&Filesystem> {
        self.filesystems.iter().find(|filesystem| filesystem.volume == volume)
    }

    /// The disk of that name.
    #[must_use]
    pub fn disk(&self, name: &str) -> Option<&Disk> {
        self.disks.iter().find(|disk| disk.device.name == name)
    }

    /// The same without keys, for people and programs to look at.
    #[must_use]
    pub fn without_keys(&self) -> Self {
        let mut shown = self.clone();
        for encrypted in &mut shown.encrypted {
            if let EncryptionKey::Key(key) = &mut encrypted.key {
                *key = Secret::new("[redacted]".to_owned());
            }
        }
        shown
    }

    /// What is mounted by a ZFS pool or one of its datasets: the pool, and the path.
    pub fn zfs_mounts(&self) -> impl Iterator<Item = (&Zpool, &str)> {
        self.zpools.iter().flat_map(|pool| {
            let datasets = pool.datasets.iter().filter_map(|one| one.mountpoint.as_deref());
            pool.mountpoint.as_deref().into_iter().chain(datasets).map(move |path| (pool, path))
        })
    }

    /// The volumes that caches lie on, each once: first those that are in use.
    #[must_use]
    pub fn caches(&self) -> Vec<&str> {
        let mut caches: Vec<&str> = Vec::new();
        let in_use = self.bcaches.iter().map(|bcache| &bcache.cache);
        for cache in in_use.chain(&self.cache_sets) {
            if !caches.contains(&cache.as_str()) {
                caches.push(cache);
            }
        }
        caches
    }

    /// The size of a volume in bytes, with what LVM, RAID and bcache take for themselves taken
    /// off; `None` for an id that does not exist or depends on itself.
    #[must_use]
    pub fn size_of(&self, id: &str) -> Option<u64> {
        self.size_within(id, 16)
    }

    fn size_within(&self, id: &str, depth: u8) -> Option<u64> {
        let depth = depth.checked_sub(1)?;
        for disk in &self.disks {
            if disk.device.name == id {
                return Some(disk.device.size);
            }
            for partition in &disk.partitions {
                if disk.partition_id(partition.number) == id {
                    return Some(partition.size);
                }
            }
        }
        if let Some(raid) = self.raids.iter().find(|raid| raid.name == id) {
            let sizes: Option<Vec<u64>> =
                raid.devices.iter().map(|device| self.size_within(device, depth)).collect();
            let sizes = sizes?;
            let count = u64::try_from(sizes.len()).ok()?;
            // mdadm keeps up to 128 MiB at the beginning of each member.
            let least = sizes.iter().min()?.saturating_sub(128 << 20);
            return match raid.level {
                RaidLevel::Raid0 => least.checked_mul(count),
                RaidLevel::Raid1 => Some(least),
                RaidLevel::Raid5 => least.checked_mul(count.saturating_sub(1)),
                RaidLevel::Raid6 => least.checked_mul(count.saturating_sub(2)),
                RaidLevel::Raid10 => least.checked_mul(count).map(|all| all / 2),
            };
        }
        if let Some(bcache) = self.bcaches.iter().find(|bcache| bcache.name == id) {
            return Some(self.size_within(&bcache.backing, depth)?.saturating_sub(8 << 10));
        }
        if let Some(encrypted) = self.encrypted.iter().find(|encrypted| encrypted.name == id) {
            return Some(self.size_within(&encrypted.volume, depth)?.saturating_sub(LUKS_HEADER));
        }
        self.volume_groups.iter().find_map(|group| {
            group
                .volumes
                .iter()
                .find(|volume| group.volume_id(&volume.name) == id)
                .map(|volume| volume.size)
        })
    }

    /// What a volume group can hold: each physical volume less LVM's own 4 MiB, in whole extents.
    #[must_use]
    pub fn group_size(&self, group: &VolumeGroup) -> Option<u64> {
        group
            .devices
            .iter()
            .map(|device| {
                let size = self.size_of(device)?;
                Some(align_down(size.saturating_sub(ALIGNMENT), ALIGNMENT))
            })
            .sum()
    }
}
