//! The network interfaces of a machine or device (API 2.0 `interface_set`, `api.md` §4.4).

use std::collections::BTreeMap;
use std::net::IpAddr;

use maas_core::id::SystemId;
use maas_core::machine::Machine;
use maas_core::machine::hardware::Hardware;
use maas_core::machine::interface::{DefaultGateway, Interface, Interfaces, Kind, Link};
use serde_json::{Map, Value, json};

use super::json::{Json, Object, fields};
use crate::devices::Device;
use crate::networks::Snapshot;
use crate::nodes::Node;

/// Whose interfaces are shown, and what surrounds them.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    system_id: &'a SystemId,
    interfaces: &'a Interfaces,
    hardware: Option<&'a Hardware>,
    boot_mac: Option<&'a str>,
    leases: Option<&'a BTreeMap<String, IpAddr>>,
    networks: &'a Snapshot,
}

impl<'a> Shown<'a> {
    pub(crate) fn of(node: &'a Node, networks: &'a Snapshot) -> Self {
        match node {
            Node::Machine(machine) => Self::of_machine(machine, networks),
            Node::Device(device) => Self::of_device(&device.value, networks),
        }
    }

    pub(crate) fn of_machine(machine: &'a Machine, networks: &'a Snapshot) -> Self {
        Self {
            system_id: &machine.system_id,
            interfaces: &machine.interfaces,
            hardware: Some(&machine.hardware),
            boot_mac: machine.boot.boot_mac.as_deref(),
            leases: Some(&machine.boot.leases),
            networks,
        }
    }

    pub(crate) fn of_device(device: &'a Device, networks: &'a Snapshot) -> Self {
        Self {
            system_id: &device.system_id,
            interfaces: &device.interfaces,
            hardware: None,
            boot_mac: None,
            leases: None,
            networks,
        }
    }

    /// All interfaces.
    pub(crate) fn all(self) -> Vec<Value> {
        self.interfaces.iter().map(|interface| self.interface(interface).value()).collect()
    }

    /// All interfaces with their numbers, written.
    pub(super) fn written(self) -> Vec<(u64, Json)> {
        self.interfaces.iter().map(|one| (one.id, self.interface(one))).collect()
    }

    /// The interface with this number.
    pub(crate) fn one(self, id: u64) -> Option<Value> {
        self.interfaces.by_id(id).map(|interface| self.interface(interface).value())
    }

    /// The number of the interface that the machine boots from.
    pub(super) fn boot_id(self) -> Option<u64> {
        self.interfaces.boot(self.boot_mac).map(|interface| interface.id)
    }

    /// The addresses that links hold or, when none does, those that commissioning saw.
    pub(crate) fn addresses(self) -> Vec<String> {
        let held: Vec<String> = self
            .interfaces
            .links()
            .filter_map(|(_, link)| link.ip)
            .map(|ip| ip.to_string())
            .collect();
        if !held.is_empty() {
            return held;
        }
        let found = self.hardware.map_or(&[][..], |hardware| &hardware.interfaces);
        found.iter().flat_map(|it| it.addresses.iter().map(|it| it.address.to_string())).collect()
    }

    /// `default_gateways` of a machine.
    pub(crate) fn default_gateways(self) -> Value {
        let gateways = self.interfaces.default_gateways(self.boot_id(), &self.networks.places);
        let one = |it: DefaultGateway| json!({"gateway_ip": it.gateway, "link_id": it.link});
        json!({"ipv4": one(gateways.ipv4), "ipv6": one(gateways.ipv6)})
    }

    fn interface(self, interface: &Interface) -> Json {
        let (system_id, id) = (self.system_id, interface.id);
        let names = |ids: &[u64]| -> Vec<&str> {
            ids.iter()
                .filter_map(|id| self.interfaces.by_id(*id))
                .map(|it| it.name.as_str())
                .collect()
        };
        let children: Vec<&str> =
            self.interfaces.children(id).map(|child| child.name.as_str()).collect();
        let links: Vec<Json> = interface.links.iter().map(|link| self.link(link)).collect();
        let card = &interface.card;
        let mut object = Object::with_room(2048);
        fields!(object,
            "system_id": system_id, "id": id, "name": interface.name,
            "type": interface.kind.word(), "mac_address": self.interfaces.mac_of(interface),
            "parents": names(interface.kind.parents()), "children": children,
            "tags": interface.tags, "enabled": self.interfaces.is_enabled(interface),
        );
        match interface.vlan {
            Some(vlan) => object.json("vlan", &self.networks.vlan_written(vlan)),
            None => object.field("vlan", &()),
        }
        object.list("links", &links);
        fields!(object,
            "params": params(interface), "discovered": self.discovered(interface),
            "effective_mtu": self.interfaces.effective_mtu(interface, &self.networks.places),
            "vendor": card.vendor, "product": card.product,
            "firmware_version": card.firmware_version, "link_connected": card.link_connected,
            "interface_speed": card.interface_speed, "link_speed": card.link_speed,
            "numa_node": card.numa_node, "sriov_max_vf": card.sriov_max_vf,
            "resource_uri": format!("/MAAS/api/2.0/nodes/{system_id}/interfaces/{id}/"),
        );
        object.end()
    }

    /// A link; what it has not is left out, because clients refuse null.
    fn link(self, link: &Link) -> Json {
        let mut object = Object::with_room(1024);
        fields!(object, "id": link.id, "mode": link.mode.word());
        if let Some(ip) = link.ip {
            object.field("ip_address", &ip);
        }
        if let Some(subnet) = link.subnet.and_then(|id| self.networks.subnet_written(id)) {
            object.json("subnet", &subnet);
        }
        object.end()
    }

    /// What DHCP gave a card that has no fixed address, or commissioning saw on it.
    fn discovered(self, interface: &Interface) -> Value {
        let (Some(hardware), Some(mac)) = (self.hardware, interface.mac) else {
            return Value::Null;
        };
        if !matches!(interface.kind, Kind::Physical)
            || interface.links.iter().any(|l| l.ip.is_some())
        {
            return Value::Null;
        }
        let mac = mac.to_string();
        // What DHCP gave it last is newer than what commissioning saw.
        let leased = self.leases.and_then(|leases| leases.get(&mac)).copied();
        let found: Vec<IpAddr> = match leased {
            Some(address) => vec![address],
            None => hardware
                .interfaces
                .iter()
                .filter(|found| found.mac_address.as_deref() == Some(mac.as_str()))
                .flat_map(|found| found.addresses.iter().map(|address| address.address))
                .collect(),
        };
        let seen: Vec<Value> = found
            .into_iter()
            .map(|address| {
                let mut shown = Map::new();
                shown.insert("ip_address".to_owned(), json!(address));
                if let Some((id, _)) = self.networks.places.subnet_of(address) {
                    shown.insert("subnet".to_owned(), self.networks.subnet(id));
                }
                Value::Object(shown)
            })
            .collect();
        if seen.is_empty() { Value::Null } else { Value::Array(seen) }
    }
}

/// The parameters of a bond or a bridge, an MTU of its own; `""` when there are none.
fn params(interface: &Interface) -> Value {
    let mut shown = Map::new();
    let mut add = |name: &str, value: Value| {
        if !value.is_null() {
            shown.insert(name.to_owned(), value);
        }
    };
    match &interface.kind {
        Kind::Bond { params, .. } => {
            add("bond_mode", json!(params.mode));
            add("bond_miimon", json!(params.miimon));
            add("bond_downdelay", json!(params.downdelay));
            add("bond_updelay", json!(params.updelay));
            add("bond_num_grat_arp", json!(params.num_grat_arp));
            add("bond_lacp_rate", json!(params.lacp_rate));
            add("bond_xmit_hash_policy", json!(params.xmit_hash_policy));
        }
        Kind::Bridge { bridge, params, .. } => {
            add("bridge_type", json!(bridge));
            add("bridge_stp", json!(params.stp));
            add("bridge_fd", json!(params.forward_delay));
        }
        Kind::Physical | Kind::Vlan { .. } => {}
    }
    add("mtu", json!(interface.mtu));
    add("accept-ra", json!(interface.accept_ra));
    if shown.is_empty() { json!("") } else { Value::Object(shown) }
}
