//! A device (API 2.0 `devices/`).

use serde_json::{Value, json};

use super::interface;
use super::places::Places;
use crate::devices::Device;

/// The whole object.
pub(crate) fn full(device: &Device, networks: &Places) -> Value {
    let shown = interface::Shown::of_device(device, networks);
    json!({
        "system_id": device.system_id, "hostname": device.hostname,
        "fqdn": format!("{}.{}", device.hostname, device.domain),
        "domain": networks.domain(&device.domain), "description": device.description,
        "owner": device.owner, "owner_data": device.owner_data,
        "workload_annotations": device.owner_data, "parent": device.parent,
        "zone": networks.zone(&device.zone), "tag_names": device.tags,
        "address_ttl": null, "ip_addresses": shown.addresses(), "interface_set": shown.all(),
        "node_type": 1, "node_type_name": "Device",
        "resource_uri": format!("/MAAS/api/2.0/devices/{}/", device.system_id),
    })
}
