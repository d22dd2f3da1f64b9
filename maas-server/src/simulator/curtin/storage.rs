//! Applies a curtin storage configuration (v1) to the machine's disks, on paper: what block-meta
//! would refuse is refused here.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::simulator::hardware::DiskDevice;

/// Space that the partition table takes at the end and at the beginning, in bytes.
const TABLE: u64 = 1024 * 1024;

/// What the configuration makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Mount points in the order of the configuration.
    pub(super) mounts: Vec<String>,
    /// One line for each disk.
    pub(super) summary: Vec<String>,
}

/// Whether the configuration must mount `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// Files are copied to it.
    Needed,
    /// A disk image brings its own.
    InImage,
}

/// Which keys of an item name other items.
const REFERENCES: [(&str, &[&str]); 9] = [
    ("partition", &["device"]),
    ("format", &["volume"]),
    ("mount", &["device"]),
    ("lvm_volgroup", &["devices"]),
    ("lvm_partition", &["volgroup"]),
    ("raid", &["devices", "spare_devices"]),
    ("bcache", &["backing_device", "cache_device"]),
    ("dm_crypt", &["volume"]),
    ("zpool", &["vdevs"]),
];
const OTHER_TYPES: [&str; 7] =
    ["disk", "zfs", "device", "nvme_controller", "vmfs6", "vmfs7", "dasd"];
const FILE_SYSTEMS: [&str; 15] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "fat", "fat12", "fat16", "fat32", "vfat", "swap",
    "jfs", "zfsroot", "ntfs", "tmpfs",
];

/// Checks and applies `storage`; without one, curtin makes one partition by itself.
pub(super) fn apply(storage: &Value, disks: &[DiskDevice], root: Root) -> Result<Layout, String> {
    if storage.is_null() || storage == "" {
        let mounts = vec!["/".to_owned()];
        return Ok(Layout { mounts, summary: vec!["the simple layout".to_owned()] });
    }
    match &storage["version"] {
        Value::Number(version) if version.as_u64() == Some(1) => {}
        other => return Err(format!("storage version should be 1 and is {other}")),
    }
    let items = storage["config"].as_array().ok_or("storage has no list config")?;
    let mut by_id = BTreeMap::new();
    for item in items {
        let id = item["id"].as_str().ok_or_else(|| format!("a storage item has no id: {item}"))?;
        if by_id.insert(id, item).is_some() {
            return Err(format!("the storage id {id:?} is there twice"));
        }
    }
    let mut layout = Layout::default();
    let mut used: BTreeMap<&str, u64> = BTreeMap::new();
    for (id, item) in items.iter().filter_map(|item| Some((item["id"].as_str()?, item))) {
        let kind = item["type"].as_str().ok_or_else(|| format!("{id} has no type"))?;
        check_references(id, kind, item, &by_id)?;
        match kind {
            "disk" => {
                let disk = find_disk(id, item, disks)?;
                layout.summary.push(format!("{id} is {} ({} bytes)", disk.name, disk.size));
            }
            "partition" => {
                let size = size_of(id, item)?;
                let parent = item["device"].as_str().unwrap_or_default();
                let sum = used.entry(parent).or_default();
                // Logical partitions lie within the extended one.
                if item["flag"] != "logical" {
                    *sum = sum.saturating_add(size);
                }
                let end = match &item["offset"] {
                    Value::Null => *sum,
                    offset => bytes(offset)
                        .ok_or_else(|| format!("{id} has the offset {offset}, which is no size"))?
                        .saturating_add(size)
                        .max(*sum),
                };
                if let Some(room) = room_of(parent, &by_id, disks)
                    && end.saturating_add(TABLE) > room
                {
                    return Err(format!(
                        "{id} does not fit: {parent} has {room} bytes and {end} are needed"
                    ));
                }
            }
            "lvm_partition" if !item["size"].is_null() => {
                let size = size_of(id, item)?;
                let group = item["volgroup"].as_str().unwrap_or_default();
                let sum = used.entry(group).or_default();
                *sum = sum.saturating_add(size);
                let room: Option<u64> = by_id.get(group).and_then(|group| {
                    let parts = group["devices"].as_array()?;
                    parts.iter().map(|part| volume_size(part.as_str()?, &by_id, disks)).sum()
                });
                if let Some(room) = room.filter(|room| *sum > *room) {
                    return Err(format!("{id} does not fit: {group} has {room} bytes"));
                }
            }
            "format" => {
                let name = item["fstype"].as_str().unwrap_or_default();
                if !FILE_SYSTEMS.contains(&name) {
                    return Err(format!("{id} has the unknown fstype {name:?}"));
                }
            }
            "mount" => {
                if let Some(path) = item["path"].as_str().filter(|path| path.starts_with('/')) {
                    layout.mounts.push(path.to_owned());
                }
            }
            _ => {}
        }
    }
    if root == Root::Needed && !layout.mounts.iter().any(|path| path == "/") {
        return Err("the storage configuration mounts nothing at /".to_owned());
    }
    Ok(layout)
}

fn check_references(
    id: &str,
    kind: &str,
    item: &Value,
    by_id: &BTreeMap<&str, &Value>,
) -> Result<(), String> {
    let Some((_, keys)) = REFERENCES.iter().find(|(name, _)| *name == kind) else {
        return if OTHER_TYPES.contains(&kind) {
            Ok(())
        } else {
            Err(format!("{id} has the unknown type {kind:?}"))
        };
    };
    for key in *keys {
        let names: Vec<&str> = match &item[key] {
            Value::String(name) => vec![name],
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            // A mount of a network or memory file system names its device in `spec`.
            Value::Null
                if matches!(*key, "spare_devices" | "cache_device") || !item["spec"].is_null() =>
            {
                continue;
            }
            other => return Err(format!("{id} has {key} {other}")),
        };
        for name in names {
            if !by_id.contains_key(name) {
                return Err(format!("{id} refers to {key} {name:?}, which is not there"));
            }
        }
    }
    Ok(())
}

/// The disk that an item means: by serial, then by path.
fn find_disk<'a>(
    id: &str,
    item: &Value,
    disks: &'a [DiskDevice],
) -> Result<&'a DiskDevice, String> {
    let serial = item["serial"].as_str().filter(|serial| !serial.is_empty());
    let path = item["path"].as_str().filter(|path| !path.is_empty());
    let found = match (serial, path) {
        (None, None) => return Err(format!("{id} has neither serial nor path")),
        (Some(serial), _) if disks.iter().any(|disk| disk.serial == serial) => {
            disks.iter().find(|disk| disk.serial == serial)
        }
        (_, Some(path)) => disks.iter().find(|disk| disk.is_at(path)),
        (Some(_), None) => None,
    };
    found.ok_or_else(|| {
        let sought = serial.or(path).unwrap_or_default();
        format!("no disk of this machine is {id} ({sought:?})")
    })
}

/// How much a device has, when the configuration tells.
fn room_of(id: &str, by_id: &BTreeMap<&str, &Value>, disks: &[DiskDevice]) -> Option<u64> {
    let item = by_id.get(id)?;
    (item["type"] == "disk")
        .then(|| find_disk(id, item, disks).ok())
        .flatten()
        .map(|disk| disk.size)
}

fn volume_size(id: &str, by_id: &BTreeMap<&str, &Value>, disks: &[DiskDevice]) -> Option<u64> {
    let item = by_id.get(id)?;
    if item["type"] == "partition" { bytes(&item["size"]) } else { room_of(id, by_id, disks) }
}

fn size_of(id: &str, item: &Value) -> Result<u64, String> {
    match bytes(&item["size"]) {
        Some(size) if size > 0 => Ok(size),
        _ => Err(format!("{id} has the size {}, which is no size", item["size"])),
    }
}

/// Bytes of `4194304`, `4194304B`, `4M`, `4MiB`, `4MB` (curtin counts all in powers of 1024).
fn bytes(size: &Value) -> Option<u64> {
    let text = match size {
        Value::Number(number) => return number.as_u64(),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    let digits =
        text.find(|sign: char| !(sign.is_ascii_digit() || sign == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().trim_end_matches("iB").trim_end_matches('B') {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift);
    }
    let parts: f64 = number.parse().ok()?;
    let value = parts * f64::from(1_u32 << (shift / 2)) * f64::from(1_u32 << (shift / 2));
    (value.is_finite() && (0.0..1e18).contains(&value)).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::simulator::hardware::disks;
    use crate::simulator::machine::MachineState;
    use proptest::prelude::*;
    use serde_json::json;

    fn one_disk() -> Vec<DiskDevice> {
        let mac = "52:54:00:12:34:56".parse().unwrap();
        disks(&MachineState::at(mac, 1, None))[..1].to_vec()
    }

    fn flat(disk: &DiskDevice, size: u64) -> Value {
        json!({"version": 1, "config": [
            {"id": "d", "type": "disk", "serial": disk.serial, "ptable": "gpt"},
            {"id": "p", "type": "partition", "device": "d", "number": 1, "offset": "4194304B",
             "size": format!("{size}B")},
            {"id": "f", "type": "format", "volume": "p", "fstype": "ext4"},
            {"id": "m", "type": "mount", "device": "f", "path": "/"},
        ]})
    }

    #[test]
    fn a_flat_layout_that_fits_is_applied() {
        let disks = one_disk();
        let layout = apply(&flat(&disks[0], 8 << 30), &disks, Root::Needed).unwrap();
        assert_eq!(layout.mounts, ["/"]);
        assert!(layout.summary[0].contains(&disks[0].name));
    }

    #[test]
    fn what_block_meta_refuses_is_refused() {
        let disks = one_disk();
        let good = flat(&disks[0], 8 << 30);
        let said = |change: &dyn Fn(&mut Value)| {
            let mut config = good.clone();
            change(&mut config);
            apply(&config, &disks, Root::Needed).unwrap_err()
        };
        let size = disks[0].size;
        assert!(said(&|c| c["config"][1]["size"] = json!(format!("{size}B"))).contains("fit"));
        assert!(said(&|c| c["config"][1]["size"] = json!("big")).contains("no size"));
        assert!(said(&|c| c["config"][1]["device"] = json!("x")).contains("not there"));
        assert!(said(&|c| c["config"][0]["serial"] = json!("x")).contains("no disk"));
        assert!(said(&|c| c["config"][0]["serial"] = Value::Null).contains("neither"));
        assert!(said(&|c| c["config"][2]["fstype"] = json!("x")).contains("fstype"));
        assert!(said(&|c| c["config"][2]["type"] = json!("x")).contains("unknown type"));
        assert!(said(&|c| c["config"][3]["path"] = json!("/srv")).contains("at /"));
        assert!(said(&|c| c["config"][3]["id"] = json!("f")).contains("twice"));
        assert!(said(&|c| c["version"] = json!(2)).contains("version"));
    }

    #[test]
    fn a_logical_volume_must_fit_its_group() {
        let disks = one_disk();
        let config = |size: &str| {
            json!({"version": 1, "config": [
                {"id": "d", "type": "disk", "path": format!("/dev/{}", disks[0].name)},
                {"id": "p", "type": "partition", "device": "d", "size": "8G"},
                {"id": "g", "type": "lvm_volgroup", "name": "g", "devices": ["p"]},
                {"id": "l", "type": "lvm_partition", "volgroup": "g", "size": size},
                {"id": "f", "type": "format", "volume": "l", "fstype": "xfs"},
                {"id": "m", "type": "mount", "device": "f", "path": "/"},
            ]})
        };
        assert!(apply(&config("7G"), &disks, Root::Needed).is_ok());
        assert!(apply(&config("9G"), &disks, Root::Needed).unwrap_err().contains("fit"));
    }

    #[test]
    fn sizes_are_read_in_curtins_units() {
        assert_eq!(bytes(&json!("4194304B")), Some(4 << 20));
        assert_eq!(bytes(&json!("4M")), Some(4 << 20));
        assert_eq!(bytes(&json!("1.5GiB")), Some(3 << 29));
        assert_eq!(bytes(&json!(512)), Some(512));
        assert_eq!(bytes(&json!("-1")), None);
        assert_eq!(bytes(&json!("99999999999999999999T")), None);
    }

    proptest! {
        #[test]
        fn any_configuration_is_read_without_panic(
            kind in "(disk|partition|format|mount|lvm_partition|lvm_volgroup|x)",
            size in "[0-9.]{0,22}[BKMGTi]{0,3}",
            offset in "[0-9]{0,20}",
            device in "[a-d]",
        ) {
            let config = json!({"version": 1, "config": [
                {"id": "a", "type": "disk", "serial": "s"},
                {"id": "b", "type": kind, "device": device, "size": size, "offset": offset,
                 "volume": device, "volgroup": "c", "devices": [device]},
                {"id": "c", "type": "lvm_volgroup", "devices": ["b", "c"]},
            ]});
            let _ = apply(&config, &one_disk(), Root::Needed);
        }
    }
}
