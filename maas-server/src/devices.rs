//! Devices: what has addresses and names but is never booted by this server (containers, switches,
//! appliances).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use maas_core::id::SystemId;
use maas_core::machine::Machine;
use maas_core::machine::interface::Interfaces;
use maas_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::addresses;
use crate::http::Problem;
use crate::region::Region;
use crate::store::{Document, DocumentError, Stored};

/// A device as the database keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// The identifier, out of the same numbers as those of machines.
    pub system_id: SystemId,
    /// The host name without the domain.
    pub hostname: String,
    /// The DNS domain.
    pub domain: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// The user who made it.
    pub owner: String,
    /// The machine that it lives on or belongs to, and with which it is deleted.
    #[serde(default)]
    pub parent: Option<SystemId>,
    /// The zone's name.
    pub zone: String,
    /// The names of its tags.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// The owner's free key-value data.
    #[serde(default)]
    pub owner_data: BTreeMap<String, String>,
    /// Its cards with their addresses.
    #[serde(default)]
    pub interfaces: Interfaces,
    /// When it was added.
    pub created: Timestamp,
}

impl Document for Device {
    const KIND: &'static str = "device";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.system_id.as_str()))
    }
}

/// Deletes a device; its addresses are free again.
pub(crate) async fn delete(region: &Region, device: &Stored<Device>) -> Result<(), Problem> {
    let mut device = device.clone();
    loop {
        match region.store.remove::<Device>(device.id, device.version).await {
            Ok(()) | Err(DocumentError::Gone { .. }) => break,
            Err(DocumentError::Conflict { .. }) => {
                let again = region.store.find::<Device>(device.id).await;
                match again.map_err(Problem::internal)? {
                    Some(newer) => device = newer,
                    None => break,
                }
            }
            Err(error) => return Err(Problem::internal(error)),
        }
    }
    addresses::release_all(region, &device.value.system_id).await;
    Ok(())
}

/// What goes with a machine that was deleted: its addresses, and the devices on it.
pub(crate) async fn machine_deleted(region: &Region, machine: &Machine) -> Result<(), Problem> {
    addresses::release_all(region, &machine.system_id).await;
    for device in region.store.list::<Device>().await.map_err(Problem::internal)? {
        if device.value.parent.as_ref() == Some(&machine.system_id) {
            delete(region, &device).await?;
        }
    }
    Ok(())
}
