//! A RAID (API 2.0 `raids/`).

use maas_core::storage::Raid;
use serde_json::{Value, json};

use super::block_device;
use super::storage::{StorageView, human};

/// All of them.
pub(crate) fn all(view: &StorageView<'_>) -> Vec<Value> {
    view.storage().raids.iter().map(|raid| one(view, raid)).collect()
}

/// One of them.
pub(crate) fn one(view: &StorageView<'_>, raid: &Raid) -> Value {
    let number = view.register().group(&raid.name);
    let size = view.storage().size_of(&raid.name).unwrap_or(0);
    json!({
        "system_id": view.machine.system_id, "id": number, "uuid": view.uuid(&raid.name),
        "name": raid.name, "level": format!("raid-{}", raid.level.number()),
        "devices": view.volumes(&raid.devices), "spare_devices": view.volumes(&raid.spares),
        "size": size, "human_size": human(size),
        "virtual_device": block_device::one(view, &raid.name),
        "resource_uri": view.uri(&format!("raid/{number}/")),
    })
}
