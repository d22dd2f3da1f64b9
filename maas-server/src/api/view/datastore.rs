//! An ESXi datastore (API 2.0 `vmfs-datastores/`).

use maas_core::storage::Vmfs;
use serde_json::{Value, json};

use super::storage::{StorageView, human};

/// One of them.
pub(crate) fn one(view: &StorageView<'_>, vmfs: &Vmfs) -> Value {
    let number = view.register().group(&vmfs.name);
    let size: u64 = vmfs.devices.iter().filter_map(|device| view.storage().size_of(device)).sum();
    json!({
        "system_id": view.machine.system_id, "id": number, "uuid": view.uuid(&vmfs.name),
        "name": vmfs.name, "devices": view.volumes(&vmfs.devices), "size": size,
        "human_size": human(size),
        "filesystem": {"fstype": "vmfs6", "mount_point": format!("/vmfs/volumes/{}", vmfs.name)},
        "resource_uri": view.uri(&format!("vmfs-datastore/{number}/")),
    })
}
