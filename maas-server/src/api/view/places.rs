//! Where a machine is: domain, pool, zone and the network that every interface starts in.

use serde_json::{Value, json};

/// MAAS's number of the untagged VLAN of the first fabric; clients look for it.
pub(crate) const DEFAULT_VLAN: u64 = 5001;

/// MAAS's word for the space of networks that belong to none.
pub(crate) const SPACE: &str = "undefined";

/// A DNS domain.
pub(crate) fn domain(name: &str) -> Value {
    json!({
        "id": 0, "name": name, "authoritative": true, "ttl": null, "is_default": true,
        "resource_record_count": 0, "resource_uri": "/MAAS/api/2.0/domains/0/",
    })
}

/// A zone.
pub(crate) fn zone(name: &str) -> Value {
    json!({
        "id": 1, "name": name, "description": "",
        "resource_uri": format!("/MAAS/api/2.0/zones/{name}/"),
    })
}

/// A resource pool.
pub(crate) fn pool(name: &str) -> Value {
    json!({
        "id": 0, "name": name, "description": if name == "default" { "Default pool" } else { "" },
        "resource_uri": "/MAAS/api/2.0/resourcepool/0/",
    })
}

/// The untagged VLAN of the first fabric.
pub(crate) fn default_vlan() -> Value {
    json!({
        "id": DEFAULT_VLAN, "name": "untagged", "vid": 0, "fabric": "fabric-0", "fabric_id": 0,
        "mtu": 1500, "dhcp_on": true, "external_dhcp": null, "relay_vlan": null,
        "primary_rack": null, "secondary_rack": null, "space": SPACE,
        "resource_uri": format!("/MAAS/api/2.0/vlans/{DEFAULT_VLAN}/"),
    })
}
