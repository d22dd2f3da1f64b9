//! A block device (API 2.0 `blockdevices/`): a disk, or a RAID, bcache or logical volume.

use maas_core::storage::{Disk, PartitionTable};
use serde_json::{Map, Value, json};

use super::partition;
use super::storage::StorageView;

/// What a partition table takes of a disk, in bytes.
const TABLE: u64 = 5 << 20;

/// The device of that id.
pub(crate) fn one(view: &StorageView<'_>, id: &str) -> Value {
    let number = view.register().device(id);
    let mut object = Map::new();
    let size = view.storage().size_of(id).unwrap_or(0);
    let mut used = if view.is_unused(id) { 0 } else { size };
    let mut available = size - used;
    let mut fields = |fields: Value| {
        if let Value::Object(fields) = fields {
            object.extend(fields);
        }
    };
    fields(json!({
        "system_id": view.machine.system_id, "id": number, "name": id, "size": size,
        "filesystem": view.filesystem(id), "used_for": view.used_for(id), "storage_pool": null,
        "partition_table_type": null, "partitions": [],
        "resource_uri": view.uri(&format!("blockdevices/{number}/")),
    }));
    match view.storage().disk(id) {
        Some(disk) => {
            fields(physical(view, disk));
            if let Some(table) = disk.table {
                let shown: Vec<Value> = disk
                    .partitions
                    .iter()
                    .filter(|one| !one.flag.is_firmware())
                    .map(|one| partition::one(view, disk, one))
                    .collect();
                let word = match table {
                    PartitionTable::Gpt => "GPT",
                    PartitionTable::Mbr => "MBR",
                };
                let plural = if shown.len() == 1 { "" } else { "s" };
                available = disk.free();
                used = disk.partitions.iter().map(|one| one.size).sum::<u64>() + TABLE;
                fields(json!({
                    "partition_table_type": word,
                    "used_for":
                        format!("{word} partitioned with {} partition{plural}", shown.len()),
                    "partitions": shown,
                }));
            }
        }
        None => fields(logical(view, id)),
    }
    fields(json!({"available_size": available, "used_size": used.min(size)}));
    Value::Object(object)
}

fn physical(view: &StorageView<'_>, disk: &Disk) -> Value {
    let name = &disk.device.name;
    let found = view.machine.hardware.disks.iter().find(|found| found.name == *name);
    json!({
        "type": "physical", "uuid": null, "path": format!("/dev/disk/by-dname/{name}"),
        "model": disk.device.model, "serial": disk.device.serial,
        "id_path": disk.device.id_path.as_deref().unwrap_or_default(),
        "block_size": disk.device.block_size, "tags": disk.device.tags,
        "firmware_version": found.map(|found| found.firmware_version.as_str()),
        "numa_node": found.map_or(0, |found| found.numa_node),
    })
}

fn logical(view: &StorageView<'_>, id: &str) -> Value {
    let groups = &view.storage().volume_groups;
    let volume = groups.iter().find_map(|group| {
        let volume = group.volumes.iter().find(|one| group.volume_id(&one.name) == id)?;
        Some(format!("/dev/{}/{}", group.name, volume.name))
    });
    json!({
        "type": "virtual", "uuid": view.uuid(id),
        "path": volume.unwrap_or_else(|| format!("/dev/disk/by-dname/{id}")),
        "model": null, "serial": null, "id_path": null, "block_size": view.block_size(id),
        "tags": view.register().tags(id).collect::<Vec<_>>(), "firmware_version": null,
        "numa_node": null,
    })
}
