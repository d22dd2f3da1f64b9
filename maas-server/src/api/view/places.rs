//! Where a machine is: domain, pool and zone.

use serde_json::{Value, json};

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
