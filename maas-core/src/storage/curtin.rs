//! Storage in curtin's form: storage configuration version 1.

use std::collections::BTreeSet;

use maas_netconfig::yaml::{Map, Value};

use super::model::{
    Disk, EXTENDED, EncryptionKey, Partition, PartitionFlag, PartitionTable, Storage,
};
use crate::deploy::sha256_hex;

/// The entries of one volume with what they need to come before them.
struct Entry {
    id: String,
    needs: Vec<String>,
    map: Map,
}

impl Storage {
    /// The list below `storage: {version: 1, config: …}`: disks, partitions, compound volumes
    /// each after what they are made of, file systems, mounts from the root outwards.
    ///
    /// `seed` is anything that tells this machine from others; it makes the UUIDs.
    #[must_use]
    pub fn curtin(&self, seed: &str) -> Value {
        let mut config: Vec<Value> = Vec::new();
        let mut known: BTreeSet<String> = BTreeSet::new();
        // What lies on a disk that nothing was decided about is not ours to wipe.
        let disks: Vec<&Disk> = self.disks.iter().filter(|disk| self.touches(disk)).collect();
        for disk in &disks {
            known.insert(disk.device.name.clone());
            config.push(Value::Map(self.disk_entry(disk)));
        }
        for disk in &disks {
            let mut extended = disk.extended();
            for partition in &disk.partitions {
                if disk.is_logical(partition.number)
                    && let Some((_, size)) = extended.take()
                {
                    config.push(Value::Map(extended_entry(disk, size)));
                }
                known.insert(disk.partition_id(partition.number));
                config.push(Value::Map(self.partition_entry(disk, partition, seed)));
            }
        }
        let mut compound = self.compound(seed);
        while !compound.is_empty() {
            let ready = |entry: &Entry| entry.needs.iter().all(|need| known.contains(need));
            // What depends on itself cannot come in order; `check` has refused it.
            let at = compound.iter().position(ready).unwrap_or(0);
            let entry = compound.remove(at);
            known.insert(entry.id);
            config.push(Value::Map(entry.map));
        }
        for filesystem in &self.filesystems {
            let mut map = Map::new();
            map.insert("id", format!("{}_format", filesystem.volume));
            map.insert("type", "format");
            map.insert("fstype", filesystem.fstype.as_str());
            map.insert("uuid", self.uuid(seed, &format!("{}_format", filesystem.volume)));
            if !filesystem.label.is_empty() {
                map.insert("label", filesystem.label.as_str());
            }
            map.insert("volume", filesystem.volume.as_str());
            config.push(Value::Map(map));
        }
        let mut mounts: Vec<(&str, Map)> = Vec::new();
        for filesystem in &self.filesystems {
            if let Some(mount) = &filesystem.mount {
                let mut map = Map::new();
                map.insert("id", format!("{}_mount", filesystem.volume));
                map.insert("type", "mount");
                map.insert("device", format!("{}_format", filesystem.volume));
                map.insert("path", mount.path.as_str());
                map.insert("options", mount.options.as_str());
                mounts.push((&mount.path, map));
            }
        }
        for mount in &self.special_mounts {
            let mut map = Map::new();
            let id = mount.path.trim_start_matches('/').replace('/', "-");
            map.insert("id", format!("{id}_mount"));
            map.insert("type", "mount");
            map.insert("spec", mount.fstype.as_str());
            map.insert("fstype", mount.fstype.as_str());
            map.insert("path", mount.path.as_str());
            map.insert("options", mount.options.as_str());
            mounts.push((&mount.path, map));
        }
        // A path sorts after every path it lies below; swap's `none` sorts last.
        mounts.sort_by(|a, b| a.0.cmp(b.0));
        config.extend(mounts.into_iter().map(|(_, map)| Value::Map(map)));
        Value::List(config)
    }

    /// Whether an installation writes to the disk: it is the boot disk, has a table, or is a part
    /// of something.
    #[must_use]
    pub fn touches(&self, disk: &Disk) -> bool {
        disk.boot
            || disk.table.is_some()
            || self.uses().iter().any(|(_, volume)| *volume == disk.device.name)
    }

    /// The UUID of a partition, volume group or logical volume by its id, or of the file system on
    /// a volume by `VOLUME_format`: what the user chose, or one made of `seed` and the id.
    #[must_use]
    pub fn uuid(&self, seed: &str, id: &str) -> String {
        self.uuids.get(id).cloned().unwrap_or_else(|| uuid(seed, id))
    }

    fn disk_entry(&self, disk: &Disk) -> Map {
        let device = &disk.device;
        let mut map = Map::new();
        map.insert("id", device.name.as_str());
        map.insert("name", device.name.as_str());
        map.insert("type", "disk");
        map.insert("wipe", "superblock");
        if device.serial.is_empty() {
            map.insert("path", device.path());
        } else {
            if !device.model.is_empty() {
                map.insert("model", device.model.as_str());
            }
            map.insert("serial", device.serial.as_str());
        }
        if let Some(table) = disk.table {
            map.insert(
                "ptable",
                match table {
                    PartitionTable::Gpt => "gpt",
                    PartitionTable::Mbr => "msdos",
                },
            );
        }
        if disk.boot && !self.platform.needs_prep() {
            map.insert("grub_device", true);
        }
        map
    }

    fn partition_entry(&self, disk: &Disk, partition: &Partition, seed: &str) -> Map {
        let id = disk.partition_id(partition.number);
        let mut map = Map::new();
        map.insert("id", id.as_str());
        if partition.flag != PartitionFlag::BiosGrub {
            map.insert("name", id.as_str());
            map.insert("uuid", self.uuid(seed, &id));
        }
        map.insert("type", "partition");
        map.insert("number", partition.number);
        // Version 1 places a partition after the one before it; only the first has an offset.
        if partition.number == 1 {
            map.insert("offset", bytes(partition.offset));
        }
        map.insert("size", bytes(partition.size));
        map.insert("device", disk.device.name.as_str());
        let (wipe, flag) = match partition.flag {
            _ if disk.is_logical(partition.number) => ("superblock", Some("logical")),
            PartitionFlag::None => ("superblock", None),
            PartitionFlag::Boot => ("superblock", Some("boot")),
            PartitionFlag::BiosGrub => ("zero", Some("bios_grub")),
            PartitionFlag::Prep => ("zero", Some("prep")),
        };
        map.insert("wipe", wipe);
        if let Some(flag) = flag {
            map.insert("flag", flag);
        }
        if partition.flag == PartitionFlag::Prep {
            map.insert("grub_device", true);
        }
        map
    }

    fn compound(&self, seed: &str) -> Vec<Entry> {
        let mut entries = Vec::new();
        for raid in &self.raids {
            let mut map = entry(&raid.name, "raid");
            map.insert("raidlevel", i64::from(raid.level.number()));
            map.insert("devices", Value::list(raid.devices.iter().map(String::as_str)));
            map.insert("spare_devices", Value::list(raid.spares.iter().map(String::as_str)));
            let needs = raid.devices.iter().chain(&raid.spares).cloned().collect();
            entries.push(Entry { id: raid.name.clone(), needs, map });
        }
        for bcache in &self.bcaches {
            let mut map = entry(&bcache.name, "bcache");
            map.insert("backing_device", bcache.backing.as_str());
            map.insert("cache_device", bcache.cache.as_str());
            map.insert("cache_mode", bcache.mode.as_str());
            let needs = vec![bcache.backing.clone(), bcache.cache.clone()];
            entries.push(Entry { id: bcache.name.clone(), needs, map });
        }
        for group in &self.volume_groups {
            let mut map = entry(&group.name, "lvm_volgroup");
            map.insert("uuid", self.uuid(seed, &group.name));
            map.insert("devices", Value::list(group.devices.iter().map(String::as_str)));
            entries.push(Entry { id: group.name.clone(), needs: group.devices.clone(), map });
            for volume in &group.volumes {
                let id = group.volume_id(&volume.name);
                let mut map = Map::new();
                map.insert("id", id.as_str());
                map.insert("name", volume.name.as_str());
                map.insert("type", "lvm_partition");
                map.insert("volgroup", group.name.as_str());
                map.insert("size", bytes(volume.size));
                entries.push(Entry { id, needs: vec![group.name.clone()], map });
            }
        }
        for encrypted in &self.encrypted {
            let mut map = Map::new();
            map.insert("id", encrypted.name.as_str());
            map.insert("type", "dm_crypt");
            map.insert("dm_name", encrypted.name.as_str());
            map.insert("volume", encrypted.volume.as_str());
            match &encrypted.key {
                EncryptionKey::Keyfile(path) => map.insert("keyfile", path.as_str()),
                EncryptionKey::Key(key) => map.insert("key", key.expose().as_str()),
            };
            let needs = vec![encrypted.volume.clone()];
            entries.push(Entry { id: encrypted.name.clone(), needs, map });
        }
        for pool in &self.zpools {
            let mut map = Map::new();
            map.insert("id", pool.name.as_str());
            map.insert("type", "zpool");
            map.insert("pool", pool.name.as_str());
            map.insert("vdevs", Value::list(pool.devices.iter().map(String::as_str)));
            map.insert("mountpoint", pool.mountpoint.as_deref().unwrap_or("none"));
            entries.push(Entry { id: pool.name.clone(), needs: pool.devices.clone(), map });
            for dataset in &pool.datasets {
                let id = format!("{}-{}", pool.name, dataset.name.replace('/', "-"));
                let mountpoint = dataset.mountpoint.as_deref().unwrap_or("none");
                let mut map = Map::new();
                map.insert("id", id.as_str());
                map.insert("type", "zfs");
                map.insert("pool", pool.name.as_str());
                map.insert("volume", dataset.name.as_str());
                map.insert("properties", Value::map([("mountpoint", Value::from(mountpoint))]));
                entries.push(Entry { id, needs: vec![pool.name.clone()], map });
            }
        }
        for vmfs in &self.vmfs {
            let mut map = entry(&vmfs.name, "vmfs6");
            map.insert("devices", Value::list(vmfs.devices.iter().map(String::as_str)));
            entries.push(Entry { id: vmfs.name.clone(), needs: vmfs.devices.clone(), map });
        }
        entries
    }
}

fn entry(name: &str, kind: &str) -> Map {
    Map::from_iter([
        ("id", Value::from(name)),
        ("name", Value::from(name)),
        ("type", Value::from(kind)),
    ])
}

fn extended_entry(disk: &Disk, size: u64) -> Map {
    let id = disk.partition_id(EXTENDED);
    let mut map = entry(&id, "partition");
    map.insert("number", EXTENDED);
    map.insert("size", bytes(size));
    map.insert("device", disk.device.name.as_str());
    map.insert("flag", "extended");
    map
}

fn bytes(size: u64) -> String {
    format!("{size}B")
}

/// A UUID (version 8: made by its application) from the machine and the name.
fn uuid(seed: &str, name: &str) -> String {
    let hex = sha256_hex(format!("{seed}\0{name}").as_bytes());
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-8{}-a{}-{}", part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30))
}
