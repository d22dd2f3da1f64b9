//! An LVM volume group (API 2.0 `volume-groups/`).

use maas_core::storage::VolumeGroup;
use serde_json::{Value, json};

use super::block_device;
use super::storage::{StorageView, human};

/// All of them.
pub(crate) fn all(view: &StorageView<'_>) -> Vec<Value> {
    view.storage().volume_groups.iter().map(|group| one(view, group)).collect()
}

/// One of them.
pub(crate) fn one(view: &StorageView<'_>, group: &VolumeGroup) -> Value {
    let number = view.register().group(&group.name);
    let size = view.storage().group_size(group).unwrap_or(0);
    let available = view.storage().group_free(group);
    let used = size - available;
    let volumes: Vec<Value> = group
        .volumes
        .iter()
        .map(|volume| block_device::one(view, &group.volume_id(&volume.name)))
        .collect();
    json!({
        "system_id": view.machine.system_id, "id": number, "uuid": view.uuid(&group.name),
        "name": group.name, "devices": view.volumes(&group.devices), "size": size,
        "human_size": human(size), "available_size": available,
        "human_available_size": human(available), "used_size": used,
        "human_used_size": human(used), "logical_volumes": volumes,
        "resource_uri": view.uri(&format!("volume-group/{number}/")),
    })
}
