//! A machine's disks (API 2.0 `physicalblockdevice_set`).

use maas_core::machine::Machine;
use maas_core::machine::hardware::Disk;
use serde_json::{Value, json};

/// All disks in the order in which commissioning found them; the first is the boot disk.
pub(crate) fn all(machine: &Machine) -> Vec<Value> {
    machine
        .hardware
        .disks
        .iter()
        .enumerate()
        .map(|(index, disk)| one(machine, index, disk))
        .collect()
}

fn one(machine: &Machine, index: usize, disk: &Disk) -> Value {
    let id = index + 1;
    let system_id = &machine.system_id;
    json!({
        "system_id": system_id, "id": id, "name": disk.name, "uuid": null, "type": "physical",
        "path": format!("/dev/disk/by-dname/{}", disk.name), "model": disk.model,
        "serial": disk.serial, "id_path": disk.id_path, "size": disk.size,
        "block_size": disk.block_size, "available_size": disk.size, "used_size": 0,
        "used_for": "Unused", "tags": disk.tags, "filesystem": null, "partition_table_type": null,
        "firmware_version": disk.firmware_version, "storage_pool": null,
        "numa_node": disk.numa_node, "partitions": [],
        "resource_uri": format!("/MAAS/api/2.0/nodes/{system_id}/blockdevices/{id}/"),
    })
}
