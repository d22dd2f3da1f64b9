//! What a user decides about a machine before it is deployed.

use maas_netconfig::Network;
use serde::{Deserialize, Serialize};

use crate::storage::{LayoutRequest, Storage, VolumeRegister};

/// The choices that stay with a machine until it is deployed, and may be changed until then.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Configuration {
    /// The storage layout; `flat` when none was chosen.
    pub storage: Option<LayoutRequest>,
    /// The storage after an administrator's edits; wins over the layout.
    pub edited_storage: Option<Storage>,
    /// The storage after the present owner's edits; wins over everything, forgotten at release.
    pub acquired_storage: Option<Storage>,
    /// The numbers and tags of the volumes, as of the last edit.
    pub volumes: VolumeRegister,
    /// The disk that the firmware boots; the first one when none was chosen.
    pub boot_disk: Option<String>,
    /// The network; DHCP on the boot interface when none was given.
    pub network: Option<Network>,
    /// Kernel parameters that the installed system keeps.
    pub kernel_options: String,
    /// The size of the swap file in bytes, 0 for none; `None` leaves it to curtin.
    pub swap_size: Option<u64>,
}
