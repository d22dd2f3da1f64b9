//! A block device (API 2.0 `blockdevices/`): a disk, or a RAID, bcache or logical volume.

use maas_core::storage::{Disk, PartitionTable};
use serde_json::Value;

use super::json::{Json, Object, fields};
use super::partition;
use super::storage::StorageView;

/// What a partition table takes of a disk, in bytes.
const TABLE: u64 = 5 << 20;

/// The device of that id.
pub(crate) fn one(view: &StorageView<'_>, id: &str) -> Value {
    written(view, id).value()
}

/// The device of that id, written.
pub(super) fn written(view: &StorageView<'_>, id: &str) -> Json {
    let number = view.register().device(id);
    let mut object = Object::with_room(2048);
    let size = view.storage().size_of(id).unwrap_or(0);
    fields!(object,
        "system_id": view.machine.system_id, "id": number, "name": id, "size": size,
        "filesystem": view.filesystem(id), "storage_pool": (),
        "resource_uri": view.uri(&format!("blockdevices/{number}/")),
    );
    let disk = view.storage().disk(id);
    match disk {
        Some(disk) => physical(view, disk, &mut object),
        None => logical(view, id, &mut object),
    }
    let (used, available) = match disk.and_then(|disk| Some((disk, disk.table?))) {
        Some((disk, table)) => {
            let shown: Vec<Json> = disk
                .partitions
                .iter()
                .filter(|one| !one.flag.is_firmware())
                .map(|one| partition::written(view, disk, one))
                .collect();
            let word = match table {
                PartitionTable::Gpt => "GPT",
                PartitionTable::Mbr => "MBR",
            };
            let plural = if shown.len() == 1 { "" } else { "s" };
            fields!(object,
                "partition_table_type": word,
                "used_for": format!("{word} partitioned with {} partition{plural}", shown.len()),
            );
            object.list("partitions", &shown);
            (disk.partitions.iter().map(|one| one.size).sum::<u64>() + TABLE, disk.free())
        }
        None => {
            fields!(object,
                "partition_table_type": (), "used_for": view.used_for(id), "partitions": [(); 0],
            );
            let used = if view.is_unused(id) { 0 } else { size };
            (used, size - used)
        }
    };
    fields!(object, "available_size": available, "used_size": used.min(size));
    object.end()
}

fn physical(view: &StorageView<'_>, disk: &Disk, object: &mut Object) {
    let name = &disk.device.name;
    let found = view.machine.hardware.disks.iter().find(|found| found.name == *name);
    fields!(object,
        "type": "physical", "uuid": (), "path": format!("/dev/disk/by-dname/{name}"),
        "model": disk.device.model, "serial": disk.device.serial,
        "id_path": disk.device.id_path.as_deref().unwrap_or_default(),
        "block_size": disk.device.block_size, "tags": disk.device.tags,
        "firmware_version": found.map(|found| found.firmware_version.as_str()),
        "numa_node": found.map_or(0, |found| found.numa_node),
    );
}

fn logical(view: &StorageView<'_>, id: &str, object: &mut Object) {
    let groups = &view.storage().volume_groups;
    let volume = groups.iter().find_map(|group| {
        let volume = group.volumes.iter().find(|one| group.volume_id(&one.name) == id)?;
        Some(format!("/dev/{}/{}", group.name, volume.name))
    });
    fields!(object,
        "type": "virtual", "uuid": view.uuid(id),
        "path": volume.unwrap_or_else(|| format!("/dev/disk/by-dname/{id}")),
        "model": (), "serial": (), "id_path": (), "block_size": view.block_size(id),
        "tags": view.register().tags(id).collect::<Vec<_>>(), "firmware_version": (),
        "numa_node": (),
    );
}
