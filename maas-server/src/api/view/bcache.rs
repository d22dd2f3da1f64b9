//! bcaches and the caches that they use (API 2.0 `bcaches/`, `bcache-cache-sets/`).

use maas_core::storage::Bcache;
use serde_json::{Value, json};

use super::block_device;
use super::storage::{StorageView, human};

/// All bcaches.
pub(crate) fn all(view: &StorageView<'_>) -> Vec<Value> {
    view.storage().bcaches.iter().map(|bcache| one(view, bcache)).collect()
}

/// One bcache.
pub(crate) fn one(view: &StorageView<'_>, bcache: &Bcache) -> Value {
    let number = view.register().group(&bcache.name);
    let size = view.storage().size_of(&bcache.name).unwrap_or(0);
    json!({
        "system_id": view.machine.system_id, "id": number, "uuid": view.uuid(&bcache.name),
        "name": bcache.name, "cache_set": cache_set(view, &bcache.cache),
        "backing_device": view.volume(&bcache.backing), "size": size, "human_size": human(size),
        "virtual_device": block_device::one(view, &bcache.name),
        "cache_mode": bcache.mode.as_str(),
        "resource_uri": view.uri(&format!("bcache/{number}/")),
    })
}

/// All caches.
pub(crate) fn cache_sets(view: &StorageView<'_>) -> Vec<Value> {
    view.storage().caches().into_iter().map(|id| cache_set(view, id)).collect()
}

/// The cache on a volume.
pub(crate) fn cache_set(view: &StorageView<'_>, id: &str) -> Value {
    let number = view.register().cache(id);
    json!({
        "system_id": view.machine.system_id, "id": number, "name": format!("cache{number}"),
        "cache_device": view.volume(id),
        "resource_uri": view.uri(&format!("bcache-cache-set/{number}/")),
    })
}
