//! Who holds an address: the machines and devices behind leases.

use std::collections::BTreeMap;

use maas_core::id::SystemId;
use maas_core::ipam::{Holder, Lease};
use maas_core::machine::Machine;
use serde_json::{Value, json};

use super::super::view::interface::Shown;
use super::super::view::machine::fqdn;
use crate::devices::Device;
use crate::http::Problem;
use crate::networks::Snapshot;
use crate::region::Region;
use crate::store::{MachineFilter, Stored};

/// The nodes that hold some addresses.
#[derive(Debug, Default)]
pub(super) struct Holders {
    machines: BTreeMap<SystemId, Machine>,
    devices: BTreeMap<SystemId, Device>,
}

impl Holders {
    /// How many leases are looked up at once: their machines are held in memory.
    pub(super) const AT_ONCE: usize = 1024;

    /// The nodes behind these leases; two queries at most.
    pub(super) async fn load(region: &Region, leases: &[Stored<Lease>]) -> Result<Self, Problem> {
        let ids = || leases.iter().filter_map(|lease| lease.value.holder.system_id());
        let mut wanted: Vec<SystemId> = ids().cloned().collect();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() {
            return Ok(Self::default());
        }
        let filter = MachineFilter { ids: wanted, ..MachineFilter::all() };
        let machines = region.store.machines(&filter).await.map_err(Problem::internal)?;
        let machines: BTreeMap<_, _> =
            machines.into_iter().map(|machine| (machine.system_id.clone(), machine)).collect();
        let mut devices = BTreeMap::new();
        if ids().any(|id| !machines.contains_key(id)) {
            let all = region.store.list::<Device>().await.map_err(Problem::internal)?;
            devices.extend(all.into_iter().map(|one| (one.value.system_id.clone(), one.value)));
        }
        Ok(Self { machines, devices })
    }

    /// `node_summary` of an address, when a node holds it.
    pub(super) fn summary(&self, lease: &Lease) -> Option<Value> {
        let id = lease.holder.system_id()?;
        if let Some(machine) = self.machines.get(id) {
            return Some(json!({
                "system_id": id, "node_type": 0, "fqdn": fqdn(machine),
                "hostname": machine.hostname, "is_container": false,
            }));
        }
        let device = self.devices.get(id)?;
        Some(json!({
            "system_id": id, "node_type": 1,
            "fqdn": format!("{}.{}", device.hostname, device.domain),
            "hostname": device.hostname, "is_container": device.parent.is_some(),
        }))
    }

    /// The interface that has the address. A reservation for a MAC address is shown with that.
    pub(super) fn interfaces(&self, lease: &Lease, networks: &Snapshot) -> Vec<Value> {
        match &lease.holder {
            Holder::Link { system_id, interface, .. } => {
                let shown = match (self.machines.get(system_id), self.devices.get(system_id)) {
                    (Some(machine), _) => Shown::of_machine(machine, networks),
                    (None, Some(device)) => Shown::of_device(device, networks),
                    (None, None) => return Vec::new(),
                };
                shown.one(*interface).into_iter().collect()
            }
            Holder::Reservation { mac_address: Some(mac), .. } => vec![json!({
                "system_id": null, "type": "unknown", "name": "eth0", "mac_address": mac,
                "enabled": true, "tags": [], "parents": [], "children": [], "links": [],
                "vlan": null, "params": "", "effective_mtu": 1500,
            })],
            _ => Vec::new(),
        }
    }
}
