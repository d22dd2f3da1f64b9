//! A machine's network interfaces (API 2.0 `interface_set`).

use maas_core::machine::Machine;
use maas_core::machine::hardware::{Interface, InterfaceKind};
use serde_json::{Value, json};

use super::places::Places;

/// All interfaces; before commissioning, those that the MAC addresses tell of.
pub(crate) fn all(machine: &Machine, places: &Places) -> Vec<Value> {
    let found = &machine.hardware.interfaces;
    if found.is_empty() {
        return machine
            .mac_addresses
            .iter()
            .enumerate()
            .map(|(index, mac)| {
                let interface = Interface {
                    name: format!("eth{index}"),
                    mac_address: Some(mac.clone()),
                    ..Interface::default()
                };
                one(machine, places, index, &interface)
            })
            .collect();
    }
    found
        .iter()
        .enumerate()
        .map(|(index, interface)| one(machine, places, index, interface))
        .collect()
}

/// The interface that the machine boots from, or null.
pub(crate) fn boot(machine: &Machine, places: &Places) -> Value {
    let Some(boot) = machine
        .boot
        .boot_mac
        .as_deref()
        .or_else(|| machine.mac_addresses.iter().next().map(String::as_str))
    else {
        return Value::Null;
    };
    all(machine, places)
        .into_iter()
        .find(|interface| interface["mac_address"].as_str() == Some(boot))
        .unwrap_or(Value::Null)
}

fn one(machine: &Machine, places: &Places, index: usize, interface: &Interface) -> Value {
    let id = index + 1;
    let system_id = &machine.system_id;
    let boots = interface.mac_address.is_some() && interface.mac_address == machine.boot.boot_mac;
    // What the deployed system gets until the operator says otherwise: DHCP on the boot interface.
    let mode = if boots { "dhcp" } else { "link_up" };
    let children: Vec<&str> = machine
        .hardware
        .interfaces
        .iter()
        .filter(|other| other.parents.contains(&interface.name))
        .map(|other| other.name.as_str())
        .collect();
    json!({
        "system_id": system_id, "id": id, "name": interface.name, "type": kind(interface.kind),
        "mac_address": interface.mac_address, "parents": interface.parents, "children": children,
        "tags": [], "enabled": true, "vlan": places.default_vlan(),
        "links": [{"id": id, "mode": mode}], "params": "", "discovered": null,
        "effective_mtu": interface.mtu.unwrap_or(1500), "vendor": interface.vendor,
        "product": interface.product, "firmware_version": interface.firmware_version,
        "link_connected": interface.link_connected, "interface_speed": interface.interface_speed,
        "link_speed": interface.link_speed, "numa_node": interface.numa_node,
        "sriov_max_vf": interface.sriov_max_vf,
        "resource_uri": format!("/MAAS/api/2.0/nodes/{system_id}/interfaces/{id}/"),
    })
}

const fn kind(kind: InterfaceKind) -> &'static str {
    match kind {
        InterfaceKind::Bond => "bond",
        InterfaceKind::Bridge => "bridge",
        InterfaceKind::Vlan => "vlan",
        _ => "physical",
    }
}
