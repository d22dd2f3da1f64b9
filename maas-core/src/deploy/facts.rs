//! What a plan needs to know of a machine's hardware.

use maas_netconfig::Mac;
use serde::{Deserialize, Serialize};

use crate::machine::hardware::{Hardware, InterfaceKind};
use crate::storage::BlockDevice;

/// What commissioning found, as far as a deployment depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The disks, in the order the kernel lists them.
    pub block_devices: Vec<BlockDevice>,
    /// The physical network interfaces.
    pub interfaces: Vec<NetworkInterface>,
    /// A layout document that a commissioning script left (`storage-extra`), unread.
    pub storage_extra: Option<serde_json::Value>,
}

/// A physical network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkInterface {
    /// The kernel's name.
    pub name: String,
    /// Its MAC address.
    pub mac: Mac,
}

impl From<&Hardware> for Facts {
    fn from(hardware: &Hardware) -> Self {
        let block_devices = hardware
            .disks
            .iter()
            .map(|disk| BlockDevice {
                name: disk.name.clone(),
                size: disk.size,
                block_size: disk.block_size,
                serial: disk.serial.clone(),
                model: disk.model.clone(),
                id_path: (!disk.id_path.is_empty()).then(|| disk.id_path.clone()),
                tags: disk.tags.iter().cloned().collect(),
            })
            .collect();
        let interfaces = hardware
            .interfaces
            .iter()
            .filter(|interface| interface.kind == InterfaceKind::Physical)
            .filter_map(|interface| {
                let mac = interface.mac_address.as_deref()?.parse().ok()?;
                Some(NetworkInterface { name: interface.name.clone(), mac })
            })
            .collect();
        Self { block_devices, interfaces, storage_extra: hardware.storage_extra.clone() }
    }
}
