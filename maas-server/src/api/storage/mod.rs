//! The storage of a machine (API 2.0 `nodes/{system_id}/…`): one file per resource.

mod bcaches;
mod block_devices;
mod cache_sets;
mod change;
mod datastores;
mod filesystems;
mod forms;
mod machine;
mod members;
mod partitions;
mod raids;
mod refused;
mod volume_groups;

use crate::http::Operation;
use crate::region::Region;

/// Every operation on storage.
pub(super) fn operations() -> Vec<Operation<Region>> {
    [
        block_devices::operations(),
        partitions::operations(),
        volume_groups::operations(),
        raids::operations(),
        cache_sets::operations(),
        bcaches::operations(),
        datastores::operations(),
        machine::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
