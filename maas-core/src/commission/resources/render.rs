//! A resources document for given hardware: what a simulated machine reports.

use serde_json::{Map, Value, json};

use super::{MIB, NEEDED_EXTENSIONS};
use crate::machine::hardware::{Disk, Hardware, Interface, InterfaceKind};

/// Writes the resources document that [`parse`](super::parse) reads back as `hardware`.
///
/// A processor model must not contain ` @`, which would be read as the speed.
#[must_use]
pub fn render(hardware: &Hardware) -> Value {
    let mut document = json!({
        "api_version": "1.0",
        "api_extensions": NEEDED_EXTENSIONS,
        "environment": {
            "kernel": "Linux",
            "kernel_architecture": hardware.kernel_architecture,
            "kernel_version": "",
            "os_name": "",
            "os_version": "",
            "server": "maas-machine-resources",
            "server_name": "",
            "server_version": "",
        },
        "resources": {
            "cpu": cpu(hardware),
            "memory": memory(hardware),
            "network": {
                "cards": cards(hardware),
                "total": hardware.interfaces.len(),
            },
            "storage": {
                "disks": hardware.disks.iter().map(disk).collect::<Vec<_>>(),
                "total": hardware.disks.len(),
            },
            "gpu": {
                "cards": hardware.gpus.iter()
                    .map(|address| json!({"pci_address": address}))
                    .collect::<Vec<_>>(),
                "total": hardware.gpus.len(),
            },
            "usb": usb(hardware),
            "pci": {"devices": hardware.pci_devices, "total": hardware.pci_devices.len()},
            "system": system(hardware),
        },
        "networks": networks(hardware),
    });
    if let Value::Object(members) = &mut document {
        for (key, extra) in
            [("storage-extra", &hardware.storage_extra), ("machine-extra", &hardware.machine_extra)]
        {
            if let Some(extra) = extra {
                members.insert(key.to_owned(), extra.clone());
            }
        }
    }
    document
}

fn cpu(hardware: &Hardware) -> Value {
    let cores: Vec<Value> = hardware
        .numa_nodes
        .iter()
        .flat_map(|node| node.cores.iter().map(move |&id| (node.index, id)))
        .enumerate()
        .map(|(core, (numa_node, id))| {
            json!({"core": core, "threads": [
                {"id": id, "numa_node": numa_node, "thread": 0, "online": true}
            ]})
        })
        .collect();
    json!({
        "architecture": hardware.kernel_architecture,
        "total": hardware.cpu_count,
        "sockets": [{
            "socket": 0,
            "name": hardware.cpu_model.as_deref().unwrap_or(""),
            "frequency_turbo": hardware.cpu_speed,
            "cores": cores,
        }],
    })
}

fn memory(hardware: &Hardware) -> Value {
    let nodes: Vec<Value> = hardware
        .numa_nodes
        .iter()
        .map(|node| {
            json!({
                "numa_node": node.index,
                "total": node.memory.saturating_mul(MIB),
                "hugepages_total": node.hugepages.map_or(0, |pages| pages.total),
            })
        })
        .collect();
    let page_size = hardware
        .numa_nodes
        .iter()
        .find_map(|node| node.hugepages.map(|pages| pages.page_size))
        .unwrap_or(0);
    json!({
        "total": hardware.memory.saturating_mul(MIB),
        "hugepages_size": page_size,
        "nodes": nodes,
    })
}

fn disk(disk: &Disk) -> Value {
    json!({
        "id": disk.name,
        "type": disk.attachment,
        "model": disk.model,
        "serial": disk.serial,
        "device_id": disk.id_path.strip_prefix("/dev/disk/by-id/").unwrap_or(""),
        "read_only": false,
        "removable": disk.tags.iter().any(|tag| tag == "removable"),
        "size": disk.size,
        "block_size": disk.block_size,
        "rpm": disk.rpm,
        "firmware_version": disk.firmware_version,
        "numa_node": disk.numa_node,
        "pci_address": disk.pci_address,
        "partitions": [],
    })
}

fn cards(hardware: &Hardware) -> Vec<Value> {
    hardware
        .interfaces
        .iter()
        .filter(|interface| interface.kind == InterfaceKind::Physical)
        .map(|interface| {
            json!({
                "vendor": interface.vendor,
                "product": interface.product,
                "firmware_version": interface.firmware_version,
                "numa_node": interface.numa_node,
                "pci_address": interface.pci_address,
                "sriov": {
                    "current_vfs": 0, "maximum_vfs": interface.sriov_max_vf, "vfs": []
                },
                "ports": [{
                    "id": interface.name,
                    "address": interface.mac_address,
                    "port": 0,
                    "protocol": "ethernet",
                    "link_detected": interface.link_connected,
                    "link_speed": interface.link_speed,
                    "supported_modes": [format!("{}baseT/Full", interface.interface_speed)],
                }],
            })
        })
        .collect()
}

fn networks(hardware: &Hardware) -> Map<String, Value> {
    hardware
        .interfaces
        .iter()
        .map(|interface| (interface.name.clone(), network(interface)))
        .collect()
}

fn network(interface: &Interface) -> Value {
    let addresses: Vec<Value> = interface
        .addresses
        .iter()
        .map(|address| {
            json!({
                "family": if address.address.is_ipv4() { "inet" } else { "inet6" },
                "address": address.address.to_string(),
                "netmask": address.prefix.to_string(),
                "scope": "global",
            })
        })
        .collect();
    let kind = interface.kind;
    json!({
        "type": "broadcast",
        "hwaddr": interface.mac_address,
        "state": if interface.link_connected { "up" } else { "down" },
        "mtu": interface.mtu.unwrap_or(0),
        "addresses": addresses,
        "bond": (kind == InterfaceKind::Bond).then(|| json!({
            "mode": interface.bond_mode, "lower_devices": interface.parents,
        })),
        "bridge": (kind == InterfaceKind::Bridge).then(|| json!({
            "upper_devices": interface.parents,
        })),
        "vlan": (kind == InterfaceKind::Vlan).then(|| json!({
            "vid": interface.vid, "lower_device": interface.parents.first(),
        })),
    })
}

fn usb(hardware: &Hardware) -> Value {
    let devices: Vec<Value> = hardware
        .usb_devices
        .iter()
        .map(|device| {
            json!({
                "vendor_id": device.vendor_id,
                "product_id": device.product_id,
                "vendor": device.vendor,
                "product": device.product,
                "bus_address": device.bus_address,
                "device_address": device.device_address,
                "interfaces": device.drivers.iter()
                    .map(|driver| json!({"driver": driver}))
                    .collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({"total": devices.len(), "devices": devices})
}

fn system(hardware: &Hardware) -> Value {
    let system = &hardware.system;
    json!({
        "uuid": hardware.hardware_uuid,
        "vendor": system.vendor,
        "product": system.product,
        "family": system.family,
        "version": system.version,
        "sku": system.sku,
        "serial": system.serial,
        "type": if hardware.is_virtual { "virtual-machine" } else { "physical" },
        "firmware": hardware.firmware,
        "chassis": {
            "vendor": hardware.chassis.vendor,
            "type": hardware.chassis.kind,
            "version": hardware.chassis.version,
            "serial": hardware.chassis.serial,
        },
        "motherboard": hardware.mainboard,
    })
}
