//! What is wrong with a storage configuration.

mod problem;

use std::collections::{BTreeMap, BTreeSet};

pub use problem::StorageProblem;
use problem::{GPT_LAST, MBR_LAST};

use super::device::BootMethod;
use super::model::{
    Disk, EXTENDED, EncryptionKey, Partition, PartitionFlag, PartitionTable, Storage, VolumeGroup,
};
use super::size::{ALIGNMENT, END_RESERVE, INITIAL_OFFSET, MBR_LARGEST, MIB, MIN_ROOT};

/// The most volumes and mounts of one machine: a limit for those who send them, not for hardware.
const MOST: usize = 2048;
/// The longest path of a mount point in bytes.
const LONGEST_PATH: usize = 1024;

/// The most bytes of a label (`mkfs` of each type refuses more).
fn longest_label(fstype: &str) -> usize {
    match fstype {
        "fat" | "fat12" | "fat16" | "fat32" | "vfat" => 11,
        "xfs" => 12,
        "ext2" | "ext3" | "ext4" | "reiserfs" | "swap" | "jfs" => 16,
        "ntfs" => 32,
        _ => 255,
    }
}

/// The types that curtin makes.
const FSTYPES: [&str; 15] = [
    "btrfs", "ext2", "ext3", "ext4", "fat", "fat12", "fat16", "fat32", "vfat", "jfs", "ntfs",
    "reiserfs", "swap", "xfs", "zfsroot",
];

impl Storage {
    /// Everything that is wrong, for a Linux system that is to boot from it.
    #[must_use]
    pub fn check(&self) -> Vec<StorageProblem> {
        let mut problems = Vec::new();
        for disk in &self.disks {
            check_disk(disk, &mut problems);
        }
        self.check_references(&mut problems);
        self.check_names(&mut problems);
        self.check_compound(&mut problems);
        self.check_mounts(&mut problems);
        self.check_zfsroot(&mut problems);
        self.check_boot(&mut problems);
        problems
    }

    /// The id of everything that can be named.
    pub(super) fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for disk in &self.disks {
            ids.push(disk.device.name.clone());
            ids.extend(disk.partitions.iter().map(|p| disk.partition_id(p.number)));
        }
        ids.extend(self.raids.iter().map(|raid| raid.name.clone()));
        ids.extend(self.bcaches.iter().map(|bcache| bcache.name.clone()));
        for group in &self.volume_groups {
            ids.push(group.name.clone());
            ids.extend(group.volumes.iter().map(|volume| group.volume_id(&volume.name)));
        }
        ids.extend(self.encrypted.iter().map(|encrypted| encrypted.name.clone()));
        ids.extend(self.zpools.iter().map(|pool| pool.name.clone()));
        ids.extend(self.vmfs.iter().map(|vmfs| vmfs.name.clone()));
        ids
    }

    /// Every use of a volume: the user in words, and the volume's id.
    pub(super) fn uses(&self) -> Vec<(String, String)> {
        let mut uses: Vec<(String, String)> = Vec::new();
        for disk in &self.disks {
            if disk.table.is_some() {
                uses.push(("its partition table".to_owned(), disk.device.name.clone()));
            }
            for partition in &disk.partitions {
                if partition.flag.is_firmware() {
                    uses.push(("the firmware".to_owned(), disk.partition_id(partition.number)));
                }
            }
        }
        for raid in &self.raids {
            for device in raid.devices.iter().chain(&raid.spares) {
                uses.push((format!("RAID {}", raid.name), device.clone()));
            }
        }
        for bcache in &self.bcaches {
            uses.push((format!("bcache {}", bcache.name), bcache.backing.clone()));
        }
        // One cache may serve several.
        for cache in self.caches() {
            let bcache = self.bcaches.iter().find(|bcache| bcache.cache == cache);
            let user = bcache.map_or_else(
                || "a cache set".to_owned(),
                |bcache| format!("bcache {}", bcache.name),
            );
            uses.push((user, cache.to_owned()));
        }
        for group in &self.volume_groups {
            for device in &group.devices {
                uses.push((format!("volume group {}", group.name), device.clone()));
            }
        }
        for encrypted in &self.encrypted {
            let user = format!("the encrypted volume {}", encrypted.name);
            uses.push((user, encrypted.volume.clone()));
        }
        for pool in &self.zpools {
            for device in &pool.devices {
                uses.push((format!("ZFS pool {}", pool.name), device.clone()));
            }
        }
        for vmfs in &self.vmfs {
            for device in &vmfs.devices {
                uses.push((format!("datastore {}", vmfs.name), device.clone()));
            }
        }
        for filesystem in &self.filesystems {
            uses.push((format!("a {} file system", filesystem.fstype), filesystem.volume.clone()));
        }
        uses
    }

    fn check_references(&self, problems: &mut Vec<StorageProblem>) {
        let mut known = BTreeSet::new();
        for id in self.ids() {
            if !known.insert(id.clone()) {
                problems.push(StorageProblem::DuplicateName { name: id });
            }
        }
        // Groups and pools are no volumes: only what is in them can be used.
        let groups = self.volume_groups.iter().map(|group| &group.name);
        let stores = self.vmfs.iter().map(|vmfs| &vmfs.name);
        for name in groups.chain(self.zpools.iter().map(|pool| &pool.name)).chain(stores) {
            known.remove(name);
        }
        let mut used: BTreeMap<String, String> = BTreeMap::new();
        for (user, volume) in self.uses() {
            if !known.contains(&volume) {
                problems.push(StorageProblem::UnknownVolume { user, volume });
            } else if let Some(first) = used.get(&volume) {
                problems.push(StorageProblem::UsedTwice {
                    volume: volume.clone(),
                    first: first.clone(),
                    second: user,
                });
            } else {
                used.insert(volume, user);
            }
        }
    }

    fn check_names(&self, problems: &mut Vec<StorageProblem>) {
        let groups = self.volume_groups.iter();
        let volumes = groups.clone().flat_map(|group| group.volumes.iter().map(|one| &one.name));
        let names = self
            .raids
            .iter()
            .map(|raid| &raid.name)
            .chain(self.bcaches.iter().map(|bcache| &bcache.name))
            .chain(groups.map(|group| &group.name))
            .chain(volumes)
            .chain(self.encrypted.iter().map(|encrypted| &encrypted.name))
            .chain(self.zpools.iter().map(|pool| &pool.name))
            .chain(self.vmfs.iter().map(|vmfs| &vmfs.name));
        for name in names {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
            let good = (1..=64).contains(&name.len())
                && name.chars().all(plain)
                && !name.starts_with('-')
                && !matches!(name.as_str(), "." | "..");
            if !good {
                problems.push(StorageProblem::VolumeName { name: name.clone() });
            }
        }
        for pool in &self.zpools {
            for dataset in &pool.datasets {
                let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
                let part = |part: &str| !part.is_empty() && part.chars().all(plain);
                if dataset.name.len() > 128 || !dataset.name.split('/').all(part) {
                    problems.push(StorageProblem::VolumeName { name: dataset.name.clone() });
                }
            }
        }
        for encrypted in &self.encrypted {
            let usable = match &encrypted.key {
                EncryptionKey::Keyfile(path) => path != "/" && is_plain_path(path),
                // cryptsetup reads a pass phrase of up to 512 bytes.
                EncryptionKey::Key(key) => (1..=512).contains(&key.expose().len()),
            };
            if !usable {
                problems.push(StorageProblem::BadKey { name: encrypted.name.clone() });
            }
        }
        for (id, uuid) in &self.uuids {
            if !is_uuid(uuid) {
                problems.push(StorageProblem::BadUuid { id: id.clone(), uuid: uuid.clone() });
            }
        }
        let blank = |c: char| c.is_whitespace() || c.is_control();
        for filesystem in &self.filesystems {
            let options = filesystem.mount.as_ref().map(|mount| &mount.options);
            for text in options.into_iter().chain([&filesystem.label]) {
                if text.contains(blank) || text.len() > 255 {
                    problems.push(StorageProblem::BadText {
                        volume: filesystem.volume.clone(),
                        text: text.clone(),
                    });
                }
            }
        }
        for mount in &self.special_mounts {
            if mount.options.contains(blank) {
                problems.push(StorageProblem::BadText {
                    volume: mount.path.clone(),
                    text: mount.options.clone(),
                });
            }
            if !["tmpfs", "ramfs"].contains(&mount.fstype.as_str()) {
                problems.push(StorageProblem::SpecialType {
                    fstype: mount.fstype.clone(),
                    path: mount.path.clone(),
                });
            }
        }
    }

    fn check_compound(&self, problems: &mut Vec<StorageProblem>) {
        for raid in &self.raids {
            if raid.devices.len() < raid.level.fewest() {
                problems.push(StorageProblem::TooFewDevices {
                    name: raid.name.clone(),
                    level: raid.level.number(),
                    needed: raid.level.fewest(),
                    found: raid.devices.len(),
                });
            } else if self.size_of(&raid.name).is_none() {
                problems.push(StorageProblem::NoSize { name: raid.name.clone() });
            }
        }
        for bcache in &self.bcaches {
            if self.size_of(&bcache.name).is_none() {
                problems.push(StorageProblem::NoSize { name: bcache.name.clone() });
            }
        }
        for encrypted in &self.encrypted {
            if self.size_of(&encrypted.name).is_none() {
                problems.push(StorageProblem::NoSize { name: encrypted.name.clone() });
            }
        }
        for pool in &self.zpools {
            let sizes: Option<Vec<u64>> = pool.devices.iter().map(|id| self.size_of(id)).collect();
            if pool.devices.is_empty() || sizes.is_none() {
                problems.push(StorageProblem::NoSize { name: pool.name.clone() });
            }
        }
        for group in &self.volume_groups {
            let needed = group.volumes.iter().fold(0_u64, |sum, volume| {
                sum.saturating_add(volume.size.next_multiple_of(ALIGNMENT))
            });
            match self.group_size(group) {
                Some(available) if !group.devices.is_empty() => {
                    if needed > available {
                        problems.push(StorageProblem::GroupTooSmall {
                            group: group.name.clone(),
                            needed,
                            available,
                        });
                    }
                }
                _ => problems.push(StorageProblem::NoSize { name: group.name.clone() }),
            }
        }
    }

    fn check_mounts(&self, problems: &mut Vec<StorageProblem>) {
        let mut paths = BTreeSet::new();
        for (what, found) in [
            ("volumes", self.ids().len()),
            ("file systems", self.filesystems.len()),
            ("mounts without a volume", self.special_mounts.len()),
        ] {
            if found > MOST {
                let what = what.to_owned();
                problems.push(StorageProblem::TooMany { what, found, most: MOST });
            }
        }
        for filesystem in &self.filesystems {
            let most = longest_label(&filesystem.fstype);
            if filesystem.label.len() > most {
                problems.push(StorageProblem::LabelTooLong {
                    volume: filesystem.volume.clone(),
                    fstype: filesystem.fstype.clone(),
                    label: filesystem.label.chars().take(64).collect(),
                    most,
                });
            }
            if !FSTYPES.contains(&filesystem.fstype.as_str()) {
                problems.push(StorageProblem::FilesystemType {
                    volume: filesystem.volume.clone(),
                    fstype: filesystem.fstype.clone(),
                });
            }
        }
        let mounts = self
            .filesystems
            .iter()
            .filter(|filesystem| filesystem.fstype != "swap")
            .filter_map(|filesystem| filesystem.mount.as_ref())
            .map(|mount| mount.path.as_str())
            .chain(self.special_mounts.iter().map(|mount| mount.path.as_str()))
            .chain(self.zfs_mounts().map(|(_, path)| path));
        for path in mounts {
            if !is_plain_path(path) {
                problems.push(StorageProblem::BadMountPoint { path: path.to_owned() });
            }
            if !paths.insert(path) {
                problems.push(StorageProblem::MountedTwice { path: path.to_owned() });
            }
        }
    }

    /// curtin turns `zfsroot` into a pool of its own making.
    fn check_zfsroot(&self, problems: &mut Vec<StorageProblem>) {
        for filesystem in self.filesystems.iter().filter(|one| one.fstype == "zfsroot") {
            let mut not = |reason: &str| {
                problems.push(StorageProblem::ZfsRoot {
                    volume: filesystem.volume.clone(),
                    reason: reason.to_owned(),
                });
            };
            let holds = |disk: &&Disk| {
                disk.partitions.iter().any(|p| disk.partition_id(p.number) == filesystem.volume)
            };
            if filesystem.mount.as_ref().is_some_and(|mount| mount.path != "/") {
                not("it can be mounted at '/' only");
            }
            if self.disks.iter().find(holds).is_none_or(|d| d.table != Some(PartitionTable::Gpt)) {
                not("it needs a partition of a disk with a GUID partition table");
            }
        }
    }

    fn check_boot(&self, problems: &mut Vec<StorageProblem>) {
        let Some(boot_disk) = self.boot_disk() else {
            problems.push(StorageProblem::NoBootDisk);
            return;
        };
        let root = self.mounted_at("/");
        let pool = self.zfs_mounts().find(|(_, path)| *path == "/").map(|(pool, _)| pool);
        let found = match (root, pool) {
            (Some(root), _) => self.size_of(&root.volume),
            (None, Some(pool)) => pool.devices.iter().map(|id| self.size_of(id)).sum(),
            (None, None) => {
                problems.push(StorageProblem::NoRoot);
                return;
            }
        };
        if let Some(found) = found.filter(|found| *found < MIN_ROOT) {
            problems.push(StorageProblem::RootTooSmall { found });
        }
        if let Some(root) = root
            && (["swap", "ntfs"].contains(&root.fstype.as_str()) || root.fstype.contains("fat"))
        {
            problems.push(StorageProblem::RootType { fstype: root.fstype.clone() });
        }
        let mut not_bootable =
            |reason: &str| problems.push(StorageProblem::NotBootable { reason: reason.to_owned() });
        let has = |flag| boot_disk.partitions.iter().any(|partition| partition.flag == flag);
        if self.platform.needs_efi() {
            match self.mounted_at("/boot/efi") {
                // A user's own layout may serve the one firmware that the user knows.
                None if self.platform.boot_method == BootMethod::BiosOrUefi => {}
                None => not_bootable("UEFI needs an EFI system partition mounted at /boot/efi"),
                Some(efi) if !efi.fstype.contains("fat") => {
                    not_bootable("the EFI system partition must be fat32");
                }
                Some(efi) => {
                    let flagged = self.disks.iter().any(|disk| {
                        disk.partitions.iter().any(|partition| {
                            partition.flag == PartitionFlag::Boot
                                && disk.partition_id(partition.number) == efi.volume
                        })
                    });
                    if !flagged {
                        not_bootable("/boot/efi must be a partition with the boot flag");
                    }
                }
            }
        }
        for disk in &self.disks {
            let logical =
                |one: &&Partition| one.flag == PartitionFlag::Boot && disk.is_logical(one.number);
            if let Some(one) = disk.partitions.iter().find(logical) {
                let id = disk.partition_id(one.number);
                not_bootable(&format!("{id} is a logical partition, which firmware does not read"));
            }
        }
        if self.platform.needs_prep() && !has(PartitionFlag::Prep) {
            not_bootable("the boot disk needs a PReP partition");
        }
        if self.platform.needs_bios_grub() {
            match boot_disk.table {
                Some(PartitionTable::Gpt) if !has(PartitionFlag::BiosGrub) => {
                    not_bootable("BIOS with a GUID partition table needs a bios_grub partition");
                }
                None => not_bootable("the boot disk has no partition table for GRUB"),
                _ => {}
            }
        }
        // GRUB reads partitions, LVM and RAID, but no bcache, and no key.
        let boot = self.mounted_at("/boot").or(root);
        match boot.map(|boot| boot.volume.as_str()) {
            _ if self.platform.boot_method == BootMethod::Other => {}
            None => not_bootable("GRUB reads no pool of all features; /boot must be beside it"),
            Some(volume) => match self.unreadable(volume, 16) {
                Some(Unreadable::Bcache) => {
                    not_bootable(
                        "GRUB cannot read bcache; /boot must be on a partition of its own",
                    );
                }
                Some(Unreadable::Encrypted) => not_bootable(
                    "GRUB cannot read an encrypted volume; /boot must be on a partition of its own",
                ),
                None => {}
            },
        }
    }

    /// What stands between GRUB and a volume.
    fn unreadable(&self, volume: &str, depth: u8) -> Option<Unreadable> {
        let depth = depth.checked_sub(1)?;
        if self.bcaches.iter().any(|bcache| bcache.name == volume) {
            return Some(Unreadable::Bcache);
        }
        if self.encrypted.iter().any(|encrypted| encrypted.name == volume) {
            return Some(Unreadable::Encrypted);
        }
        let raid = self.raids.iter().find(|raid| raid.name == volume).map(|raid| &raid.devices);
        let holds = |group: &&VolumeGroup| {
            group.volumes.iter().any(|one| group.volume_id(&one.name) == volume)
        };
        let group = self.volume_groups.iter().find(holds).map(|group| &group.devices);
        raid.or(group)?.iter().find_map(|device| self.unreadable(device, depth))
    }
}

/// What GRUB cannot read through.
enum Unreadable {
    Bcache,
    Encrypted,
}

fn check_disk(disk: &Disk, problems: &mut Vec<StorageProblem>) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:!".contains(c);
    if disk.device.name.is_empty() || !disk.device.name.chars().all(plain) {
        problems.push(StorageProblem::DiskName { disk: disk.device.name.clone() });
    }
    let mut previous: Option<(String, u64)> = None;
    for partition in &disk.partitions {
        let id = disk.partition_id(partition.number);
        let end = partition.offset.checked_add(partition.size);
        let last = disk.device.size.saturating_sub(END_RESERVE);
        let outside = partition.offset < INITIAL_OFFSET.min(MIB)
            || partition.size < MIB
            || end.is_none_or(|end| end > last);
        if outside {
            problems.push(StorageProblem::OffTheDisk {
                partition: id.clone(),
                offset: partition.offset,
                size: partition.size,
                disk_size: disk.device.size,
            });
        }
        if !partition.offset.is_multiple_of(MIB) {
            problems.push(StorageProblem::Unaligned { partition: id.clone() });
        }
        if disk.table == Some(PartitionTable::Mbr)
            && (partition.number == EXTENDED
                || partition.number > MBR_LAST
                || partition.size > MBR_LARGEST
                || partition.offset >= MBR_LARGEST)
        {
            problems.push(StorageProblem::BeyondMbr { partition: id.clone() });
        }
        if disk.table == Some(PartitionTable::Gpt) && partition.number > GPT_LAST {
            problems.push(StorageProblem::BeyondGpt { partition: id.clone() });
        }
        if let Some((first, end)) = &previous
            && partition.offset < *end
        {
            problems.push(StorageProblem::Overlap { first: first.clone(), second: id.clone() });
        }
        previous = Some((id, end.unwrap_or(u64::MAX)));
    }
}

/// Whether a text is a UUID in its usual form.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && groups.iter().all(|group| group.chars().all(|c| c.is_ascii_hexdigit()))
}

fn is_plain_path(path: &str) -> bool {
    path == "/"
        || (path.starts_with('/')
            && path.len() <= LONGEST_PATH
            && !path.contains(char::is_whitespace)
            && path
                .split('/')
                .skip(1)
                .all(|part| !matches!(part, "" | "." | "..") && !part.contains(char::is_control)))
}

#[cfg(test)]
mod tests;
