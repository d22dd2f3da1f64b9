//! A machine's storage: what every view of a disk, partition or volume is made from.

use maas_core::machine::{Machine, NumberedStorage};
use maas_core::storage::{Disk, Storage, VolumeRegister};
use serde::Serialize;
use serde_json::{Value, json};

use super::json::{Json, Object, fields};
use super::{block_device, partition, volume_group};

/// How deep volumes lie in volumes before it is a circle.
const DEPTH: u8 = 16;

/// A file system as the API shows it.
#[derive(Debug, Serialize)]
pub(crate) struct FilesystemView<'a> {
    fstype: &'a str,
    label: Option<&'a str>,
    uuid: String,
    mount_point: Option<&'a str>,
    mount_options: Option<&'a str>,
}

/// One machine's storage, worked out once.
pub(crate) struct StorageView<'a> {
    pub(crate) machine: &'a Machine,
    numbered: NumberedStorage,
}

impl<'a> StorageView<'a> {
    pub(crate) fn of(machine: &'a Machine) -> Self {
        Self { machine, numbered: machine.storage() }
    }

    pub(crate) const fn storage(&self) -> &Storage {
        &self.numbered.storage
    }

    pub(crate) const fn register(&self) -> &VolumeRegister {
        &self.numbered.register
    }

    /// The UUID that the installation gives to the entry.
    pub(crate) fn uuid(&self, id: &str) -> String {
        self.storage().uuid(self.machine.system_id.as_str(), id)
    }

    /// A path below the machine's own.
    pub(crate) fn uri(&self, rest: &str) -> String {
        format!("/MAAS/api/2.0/nodes/{}/{rest}", self.machine.system_id)
    }

    /// The ids of the virtual block devices.
    pub(crate) fn virtual_devices(&self) -> Vec<String> {
        let storage = self.storage();
        let raids = storage.raids.iter().map(|raid| raid.name.clone());
        let bcaches = storage.bcaches.iter().map(|bcache| bcache.name.clone());
        let logical = storage
            .volume_groups
            .iter()
            .flat_map(|group| group.volumes.iter().map(|one| group.volume_id(&one.name)));
        let encrypted = storage.encrypted.iter().map(|encrypted| encrypted.name.clone());
        raids.chain(bcaches).chain(logical).chain(encrypted).collect()
    }

    /// A block device or a partition by its id; null when there is none.
    pub(crate) fn volume(&self, id: &str) -> Value {
        for disk in &self.storage().disks {
            let mut partitions = disk.partitions.iter();
            if let Some(one) = partitions.find(|one| disk.partition_id(one.number) == id) {
                return partition::one(self, disk, one);
            }
        }
        if self.register().device(id) == 0 { Value::Null } else { block_device::one(self, id) }
    }

    pub(crate) fn volumes(&self, ids: &[String]) -> Vec<Value> {
        ids.iter().map(|id| self.volume(id)).collect()
    }

    /// Who uses a volume that has no file system of its own: MAAS's word for what it holds, and
    /// the sentence.
    fn member_of(&self, id: &str) -> Option<(&'static str, String)> {
        let storage = self.storage();
        let has = |ids: &[String]| ids.iter().any(|one| one == id);
        if let Some(group) = storage.volume_groups.iter().find(|group| has(&group.devices)) {
            return Some(("lvm-pv", format!("LVM volume for {}", group.name)));
        }
        for raid in &storage.raids {
            let level = raid.level.number();
            if has(&raid.devices) {
                return Some(("raid", format!("Active raid-{level} device for {}", raid.name)));
            }
            if has(&raid.spares) {
                let text = format!("Spare raid-{level} device for {}", raid.name);
                return Some(("raid-spare", text));
            }
        }
        if let Some(bcache) = storage.bcaches.iter().find(|bcache| bcache.backing == id) {
            return Some(("bcache-backing", format!("Backing device for {}", bcache.name)));
        }
        if storage.caches().contains(&id) {
            let text = format!("Cache device for cache{}", self.register().cache(id));
            return Some(("bcache-cache", text));
        }
        if let Some(encrypted) = storage.encrypted.iter().find(|one| one.volume == id) {
            return Some(("crypto_LUKS", format!("Encrypted volume {}", encrypted.name)));
        }
        if let Some(pool) = storage.zpools.iter().find(|pool| has(&pool.devices)) {
            return Some(("zfs_member", format!("ZFS device for {}", pool.name)));
        }
        let vmfs = storage.vmfs.iter().find(|vmfs| has(&vmfs.devices))?;
        Some(("vmfs6", format!("VMFS extent for {}", vmfs.name)))
    }

    /// The file system on a volume, or what the volume is formatted as to be a part of something;
    /// null when it is neither.
    pub(super) fn filesystem<'v>(&'v self, id: &str) -> Option<FilesystemView<'v>> {
        let uuid = || self.uuid(&format!("{id}_format"));
        if let Some(filesystem) = self.storage().filesystem_on(id) {
            let mount = filesystem.mount.as_ref();
            return Some(FilesystemView {
                fstype: &filesystem.fstype,
                label: Some(&filesystem.label),
                uuid: uuid(),
                mount_point: mount.map(|mount| mount.path.as_str()),
                mount_options: mount
                    .map(|mount| mount.options.as_str())
                    .filter(|text| !text.is_empty()),
            });
        }
        let (fstype, _) = self.member_of(id)?;
        Some(FilesystemView {
            fstype,
            label: None,
            uuid: uuid(),
            mount_point: None,
            mount_options: None,
        })
    }

    /// What a volume is used for, in MAAS's words.
    pub(crate) fn used_for(&self, id: &str) -> String {
        if let Some(filesystem) = self.storage().filesystem_on(id) {
            return match &filesystem.mount {
                Some(mount) => {
                    format!("{} formatted filesystem mounted at {}", filesystem.fstype, mount.path)
                }
                None => format!("Unmounted {} formatted filesystem", filesystem.fstype),
            };
        }
        self.member_of(id).map_or_else(|| "Unused".to_owned(), |(_, text)| text)
    }

    /// Whether nothing uses the volume.
    pub(crate) fn is_unused(&self, id: &str) -> bool {
        self.storage().filesystem_on(id).is_none() && self.member_of(id).is_none()
    }

    /// The sector size of a volume in bytes: the largest of the disks below it.
    pub(crate) fn block_size(&self, id: &str) -> u32 {
        self.block_size_within(id, DEPTH).unwrap_or(512)
    }

    fn block_size_within(&self, id: &str, depth: u8) -> Option<u32> {
        let depth = depth.checked_sub(1)?;
        let storage = self.storage();
        for disk in &storage.disks {
            let mut ids = disk.partitions.iter().map(|one| disk.partition_id(one.number));
            if disk.device.name == id || ids.any(|one| one == id) {
                return Some(disk.device.block_size);
            }
        }
        let below: Vec<&String> =
            if let Some(raid) = storage.raids.iter().find(|raid| raid.name == id) {
                raid.devices.iter().collect()
            } else if let Some(bcache) = storage.bcaches.iter().find(|bcache| bcache.name == id) {
                vec![&bcache.backing]
            } else if let Some(one) = storage.encrypted.iter().find(|one| one.name == id) {
                vec![&one.volume]
            } else {
                let holds = |group: &&maas_core::storage::VolumeGroup| {
                    group.volumes.iter().any(|one| group.volume_id(&one.name) == id)
                };
                storage.volume_groups.iter().find(holds)?.devices.iter().collect()
            };
        below.into_iter().filter_map(|one| self.block_size_within(one, depth)).max()
    }

    /// Adds the machine's own fields of storage. Every block device is written once, wherever it
    /// is shown.
    pub(super) fn write(&self, object: &mut Object) {
        let storage = self.storage();
        let physical: Vec<Json> = storage
            .disks
            .iter()
            .map(|disk| block_device::written(self, &disk.device.name))
            .collect();
        let logical: Vec<Json> =
            self.virtual_devices().iter().map(|id| block_device::written(self, id)).collect();
        let boot = storage.boot_disk().and_then(|boot| {
            let is_it = |disk: &Disk| disk.device.name == boot.device.name;
            physical.get(storage.disks.iter().position(is_it)?)
        });
        match boot {
            Some(boot) => object.json("boot_disk", boot),
            None => object.field("boot_disk", &()),
        }
        object.list("blockdevice_set", physical.iter().chain(&logical));
        object.list("physicalblockdevice_set", &physical);
        object.list("virtualblockdevice_set", &logical);
        let special: Vec<Value> = storage
            .special_mounts
            .iter()
            .map(|mount| {
                json!({
                    "fstype": mount.fstype, "label": "",
                    "uuid": self.uuid(&format!("{}_mount", mount.path)),
                    "mount_point": mount.path,
                    "mount_options": Some(&mount.options).filter(|text| !text.is_empty()),
                })
            })
            .collect();
        fields!(object,
            "volume_groups": volume_group::all(self), "raids": super::raid::all(self),
            "cache_sets": super::bcache::cache_sets(self), "bcaches": super::bcache::all(self),
            "special_filesystems": special,
        );
    }
}

/// Bytes in words, by powers of 1000, as MAAS shows them: `4.2 MB`.
#[allow(clippy::cast_precision_loss, reason = "for people to read")]
pub(crate) fn human(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let mut number = bytes as f64;
    let mut unit = "kB";
    for larger in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        number /= 1000.0;
        unit = larger;
        if number < 1000.0 {
            break;
        }
    }
    format!("{number:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn bytes_are_read_by_people() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (4_194_304, "4.2 MB"),
            (42_949_672_960, "42.9 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
