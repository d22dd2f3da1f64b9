//! A partition (API 2.0 `blockdevices/{id}/partitions/`).

use maas_core::storage::{Disk, Partition, PartitionFlag};
use serde_json::Value;

use super::json::{Json, Object, fields};
use super::storage::StorageView;

/// The partition of a disk.
pub(crate) fn one(view: &StorageView<'_>, disk: &Disk, partition: &Partition) -> Value {
    written(view, disk, partition).value()
}

/// The partition of a disk, written.
pub(super) fn written(view: &StorageView<'_>, disk: &Disk, partition: &Partition) -> Json {
    let id = disk.partition_id(partition.number);
    let (number, device) =
        (view.register().partition(&id), view.register().device(&disk.device.name));
    let mut object = Object::with_room(768);
    fields!(object,
        "system_id": view.machine.system_id, "device_id": device, "id": number,
        "uuid": view.uuid(&id), "path": format!("/dev/disk/by-dname/{id}"), "type": "partition",
        "size": partition.size, "bootable": partition.flag == PartitionFlag::Boot,
        "filesystem": view.filesystem(&id), "used_for": view.used_for(&id),
        "tags": view.register().tags(&id).collect::<Vec<_>>(),
        "resource_uri": view.uri(&format!("blockdevices/{device}/partition/{number}")),
    );
    object.end()
}
