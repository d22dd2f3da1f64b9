//! The numbers by which an API names volumes, and the tags that users give to volumes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::model::Storage;

/// The numbers and tags of one machine's volumes. A number is never given again to something else.
///
/// Disks, RAIDs, bcaches, logical and encrypted volumes share one row of numbers; partitions, groups (volume
/// groups, RAIDs, bcaches and datastores as what they are made of) and caches have rows of their
/// own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeRegister {
    devices: Row,
    partitions: Row,
    groups: Row,
    caches: Row,
    tags: BTreeMap<String, BTreeSet<String>>,
}

/// One row of numbers, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Row {
    given: u32,
    numbers: BTreeMap<String, u32>,
}

impl Row {
    fn update(&mut self, names: &[String]) {
        self.numbers.retain(|name, _| names.contains(name));
        for name in names {
            if !self.numbers.contains_key(name) {
                self.given = self.given.saturating_add(1);
                self.numbers.insert(name.clone(), self.given);
            }
        }
    }

    fn rename(&mut self, renamed: &BTreeMap<String, String>) {
        self.numbers = moved(std::mem::take(&mut self.numbers), renamed);
    }

    fn name(&self, number: u32) -> Option<&str> {
        self.numbers.iter().find(|(_, have)| **have == number).map(|(name, _)| name.as_str())
    }

    fn number(&self, name: &str) -> u32 {
        self.numbers.get(name).copied().unwrap_or_default()
    }
}

/// The same under the new names. What had one of them before, and has no new one itself, is gone.
fn moved<T>(all: BTreeMap<String, T>, renamed: &BTreeMap<String, String>) -> BTreeMap<String, T> {
    let taken: BTreeSet<&String> = renamed.values().collect();
    all.into_iter()
        .filter(|(name, _)| renamed.contains_key(name) || !taken.contains(name))
        .map(|(name, value)| (renamed.get(&name).cloned().unwrap_or(name), value))
        .collect()
}

impl VolumeRegister {
    /// Gives numbers to what is new and forgets what is not there any more.
    pub fn update(&mut self, storage: &Storage) {
        let mut devices: Vec<String> =
            storage.disks.iter().map(|disk| disk.device.name.clone()).collect();
        let mut partitions = Vec::new();
        for disk in &storage.disks {
            let own = disk.partitions.iter().filter(|one| !one.flag.is_firmware());
            partitions.extend(own.map(|one| disk.partition_id(one.number)));
        }
        let raids = storage.raids.iter().map(|raid| raid.name.clone());
        let bcaches = storage.bcaches.iter().map(|bcache| bcache.name.clone());
        let mut groups: Vec<String> = raids.chain(bcaches).collect();
        devices.extend(groups.iter().cloned());
        for group in &storage.volume_groups {
            devices.extend(group.volumes.iter().map(|volume| group.volume_id(&volume.name)));
            groups.push(group.name.clone());
        }
        devices.extend(storage.encrypted.iter().map(|encrypted| encrypted.name.clone()));
        groups.extend(storage.vmfs.iter().map(|vmfs| vmfs.name.clone()));
        let caches: Vec<String> = storage.caches().into_iter().map(str::to_owned).collect();
        self.tags.retain(|id, _| devices.contains(id) || partitions.contains(id));
        self.devices.update(&devices);
        self.partitions.update(&partitions);
        self.groups.update(&groups);
        self.caches.update(&caches);
    }

    /// Lets the numbers and tags follow volumes that have other ids now; to be called before
    /// [`VolumeRegister::update`].
    pub fn rename(&mut self, renamed: &BTreeMap<String, String>) {
        if renamed.is_empty() {
            return;
        }
        for row in [&mut self.devices, &mut self.partitions, &mut self.groups, &mut self.caches] {
            row.rename(renamed);
        }
        self.tags = moved(std::mem::take(&mut self.tags), renamed);
    }

    /// The cache on `from` is on `to` now, and is the same cache.
    pub fn move_cache(&mut self, from: &str, to: &str) {
        self.caches.rename(&BTreeMap::from([(from.to_owned(), to.to_owned())]));
    }

    /// The number of a disk, RAID, bcache or logical volume; 0 for what is not there.
    #[must_use]
    pub fn device(&self, id: &str) -> u32 {
        self.devices.number(id)
    }

    /// The number of a partition; 0 for what is not there.
    #[must_use]
    pub fn partition(&self, id: &str) -> u32 {
        self.partitions.number(id)
    }

    /// The number of a volume group, RAID, bcache or datastore; 0 for what is not there.
    #[must_use]
    pub fn group(&self, name: &str) -> u32 {
        self.groups.number(name)
    }

    /// The number of the cache on a volume; 0 for what is not there.
    #[must_use]
    pub fn cache(&self, id: &str) -> u32 {
        self.caches.number(id)
    }

    /// The disk, RAID, bcache or logical volume of that number.
    #[must_use]
    pub fn device_of(&self, number: u32) -> Option<&str> {
        self.devices.name(number)
    }

    /// The partition of that number.
    #[must_use]
    pub fn partition_of(&self, number: u32) -> Option<&str> {
        self.partitions.name(number)
    }

    /// The volume group, RAID, bcache or datastore of that number.
    #[must_use]
    pub fn group_of(&self, number: u32) -> Option<&str> {
        self.groups.name(number)
    }

    /// The volume that the cache of that number lies on.
    #[must_use]
    pub fn cache_of(&self, number: u32) -> Option<&str> {
        self.caches.name(number)
    }

    /// The tags of a partition or of a device that is no disk.
    pub fn tags(&self, id: &str) -> impl Iterator<Item = &str> {
        self.tags.get(id).into_iter().flatten().map(String::as_str)
    }

    /// The tags of a volume, to be changed.
    pub fn tags_mut(&mut self, id: &str) -> &mut BTreeSet<String> {
        self.tags.entry(id.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{BlockDevice, BootMethod, Edit, LayoutRequest, Platform, Size};
    use super::*;

    fn storage() -> Storage {
        let disk = BlockDevice {
            name: "sda".into(),
            size: 20 << 30,
            block_size: 512,
            serial: "S".into(),
            model: String::new(),
            id_path: None,
            tags: BTreeSet::new(),
        };
        let platform = Platform { arch: "amd64".into(), boot_method: BootMethod::Bios };
        LayoutRequest::Blank.lay_out(&[disk], None, &platform).unwrap()
    }

    #[test]
    fn a_number_follows_its_volume_and_is_never_given_again() {
        let add = |size| Edit::AddPartition { disk: "sda".into(), size, bootable: false };
        let gib = Size::Bytes(1 << 30);
        let edited = storage().edit_all(&[add(gib), add(gib), add(gib)]).unwrap();
        let mut register = VolumeRegister::default();
        register.update(&edited.storage);
        let numbers = ["sda-part2", "sda-part3", "sda-part4"].map(|id| register.partition(id));
        assert_eq!(numbers, [1, 2, 3], "the firmware's own partition has none");
        register.tags_mut("sda-part4").insert("fast".to_owned());

        let remove = Edit::RemovePartition { partition: "sda-part3".into() };
        let edited = edited.storage.edit_all(&[remove]).unwrap();
        register.rename(&edited.renamed);
        register.update(&edited.storage);
        assert_eq!((register.partition("sda-part2"), register.partition("sda-part3")), (1, 3));
        assert_eq!(register.tags("sda-part3").collect::<Vec<_>>(), ["fast"]);
        assert_eq!(register.partition_of(2), None);

        let edited = edited.storage.edit_all(&[add(gib)]).unwrap();
        register.update(&edited.storage);
        assert_eq!(register.partition("sda-part4"), 4);
        assert_eq!(register.device_of(1), Some("sda"));
    }

    #[test]
    fn the_tenth_partition_becomes_the_ninth_with_its_own_number() {
        let add =
            Edit::AddPartition { disk: "sda".into(), size: Size::Bytes(1 << 30), bootable: false };
        let edited = storage().edit_all(&vec![add; 12]).unwrap();
        let mut register = VolumeRegister::default();
        register.update(&edited.storage);
        let numbers: Vec<u32> =
            (3..=13).map(|at| register.partition(&format!("sda-part{at}"))).collect();
        register.tags_mut("sda-part2").insert("gone".to_owned());
        let remove = Edit::RemovePartition { partition: "sda-part2".into() };
        let edited = edited.storage.edit_all(&[remove]).unwrap();
        register.rename(&edited.renamed);
        register.update(&edited.storage);
        for (at, number) in (2..).zip(numbers) {
            assert_eq!(register.partition(&format!("sda-part{at}")), number);
        }
        assert_eq!(register.tags("sda-part2").count(), 0);
    }
}
