//! A device (API 2.0 `devices/`).

use serde_json::{Value, json};

use super::interface;
use crate::devices::Device;
use crate::places::Catalogue;

/// The whole object.
pub(crate) fn full(device: &Device, catalogue: &Catalogue) -> Value {
    let shown = interface::Shown::of_device(device, catalogue.networks());
    json!({
        "system_id": device.system_id, "hostname": device.hostname,
        "fqdn": format!("{}.{}", device.hostname, device.domain),
        "domain": catalogue.networks().domain(&device.domain), "description": device.description,
        "owner": device.owner, "owner_data": device.owner_data,
        "workload_annotations": device.owner_data, "parent": device.parent,
        "zone": catalogue.zone(&device.zone), "tag_names": device.tags,
        "address_ttl": null, "ip_addresses": shown.addresses(), "interface_set": shown.all(),
        "node_type": 1, "node_type_name": "Device",
        "resource_uri": format!("/MAAS/api/2.0/devices/{}/", device.system_id),
    })
}
