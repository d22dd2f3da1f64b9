//! What commissioning found in a machine, as values that layouts, constraints and views read.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The hardware of one machine; [`crate::commission::resources::parse`] makes it.
///
/// `Default` is a machine of which nothing is known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Hardware {
    /// Processor threads.
    pub cpu_count: u32,
    /// The processor's model, when all sockets hold the same one.
    pub cpu_model: Option<String>,
    /// The processor's speed in MHz; 0 when unknown.
    pub cpu_speed: u32,
    /// The kernel's name of the architecture, e.g. `x86_64`.
    pub kernel_architecture: Option<String>,
    /// Memory in MiB.
    pub memory: u64,
    /// NUMA nodes in ascending order of their index.
    pub numa_nodes: Vec<NumaNode>,
    /// Disks that an operating system may be installed on, in the order the kernel lists them.
    pub disks: Vec<Disk>,
    /// Network interfaces, parents before children.
    pub interfaces: Vec<Interface>,
    /// Devices on the PCI bus.
    pub pci_devices: Vec<PciDevice>,
    /// Devices on the USB.
    pub usb_devices: Vec<UsbDevice>,
    /// PCI addresses of the graphics cards.
    pub gpus: Vec<String>,
    /// The system as its firmware (SMBIOS) names it.
    pub system: SystemIdentity,
    /// The main board.
    pub mainboard: Mainboard,
    /// The firmware of the main board.
    pub firmware: Firmware,
    /// The chassis.
    pub chassis: Chassis,
    /// SMBIOS system UUID, lower case with hyphens; `None` when absent or a known filler.
    pub hardware_uuid: Option<String>,
    /// Whether the system is a virtual machine or a container (MAAS gives it the tag `virtual`).
    pub is_virtual: bool,
    /// A custom storage layout that a commissioning script left (`storage-extra`), unread.
    pub storage_extra: Option<serde_json::Value>,
    /// What a commissioning script said of the platform (`machine-extra`), unread.
    pub machine_extra: Option<serde_json::Value>,
}

impl Hardware {
    /// The MAC addresses of the physical interfaces, lower case with colons.
    pub fn mac_addresses(&self) -> impl Iterator<Item = &str> {
        self.interfaces
            .iter()
            .filter(|interface| interface.kind == InterfaceKind::Physical)
            .filter_map(|interface| interface.mac_address.as_deref())
    }

    /// The interface of that name.
    #[must_use]
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// All disks together, in bytes.
    #[must_use]
    pub fn storage(&self) -> u64 {
        self.disks.iter().fold(0, |sum, disk| sum.saturating_add(disk.size))
    }
}

/// One NUMA node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NumaNode {
    /// The kernel's number of the node.
    pub index: u32,
    /// Its memory in MiB.
    pub memory: u64,
    /// The numbers of its processor threads, ascending.
    pub cores: Vec<u32>,
    /// Huge pages reserved on it.
    pub hugepages: Option<Hugepages>,
}

/// Huge pages of one size on one NUMA node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hugepages {
    /// Size of one page in bytes.
    pub page_size: u64,
    /// All of them together in bytes.
    pub total: u64,
}

/// One disk that can hold an operating system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// The kernel's name without `/dev/`, e.g. `sda`.
    pub name: String,
    /// The model; empty when unknown.
    pub model: String,
    /// The serial number; empty when unknown.
    pub serial: String,
    /// A path that names this very disk at each boot: `/dev/disk/by-id/…` when the disk has a
    /// serial number, `/dev/<name>` otherwise.
    pub id_path: String,
    /// Bytes.
    pub size: u64,
    /// Bytes of one sector; never 0.
    pub block_size: u32,
    /// How it is attached, in LXD's words: `sata`, `scsi`, `nvme`, `virtio`, `usb`…
    pub attachment: String,
    /// `rotary` or `ssd`, `<n>rpm`, `sata`, `removable`, `multipath`.
    pub tags: Vec<String>,
    /// The firmware's version; empty when unknown.
    pub firmware_version: String,
    /// Revolutions per minute; 0 for a disk without moving parts.
    pub rpm: u32,
    /// The NUMA node it hangs on.
    pub numa_node: u32,
    /// Its PCI address, when it has one.
    pub pci_address: Option<String>,
}

/// One network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// The kernel's name.
    pub name: String,
    /// What it is.
    pub kind: InterfaceKind,
    /// Lower case with colons.
    pub mac_address: Option<String>,
    /// Whether the link has a carrier.
    pub link_connected: bool,
    /// The fastest mode of the interface in Mbit/s; 0 when unknown.
    pub interface_speed: u32,
    /// The speed of the link in Mbit/s; 0 when unknown or not connected.
    pub link_speed: u32,
    /// Bytes; `None` when the machine did not say.
    pub mtu: Option<u32>,
    /// The vendor's name.
    pub vendor: Option<String>,
    /// The product's name.
    pub product: Option<String>,
    /// The firmware's version.
    pub firmware_version: Option<String>,
    /// The NUMA node its card hangs on.
    pub numa_node: u32,
    /// How many virtual functions the card can make; 0 without SR-IOV.
    pub sriov_max_vf: u32,
    /// The card's PCI address, when it has one.
    pub pci_address: Option<String>,
    /// Names of the interfaces below it: a bond's members, a bridge's ports, a VLAN's carrier.
    pub parents: Vec<String>,
    /// The VLAN id of a VLAN interface, 1 to 4094.
    pub vid: Option<u16>,
    /// The mode of a bond, e.g. `802.3ad`.
    pub bond_mode: Option<String>,
    /// Its addresses of global scope.
    pub addresses: Vec<InterfaceAddress>,
}

/// What a network interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterfaceKind {
    /// A port of a card.
    #[default]
    Physical,
    /// Several interfaces as one.
    Bond,
    /// A switch in the kernel.
    Bridge,
    /// A tagged network on another interface.
    Vlan,
}

/// An address of an interface with the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// Bits of the network part: 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub prefix: u8,
}

/// One device on the PCI bus.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PciDevice {
    /// Four hexadecimal digits.
    pub vendor_id: String,
    /// Four hexadecimal digits.
    pub product_id: String,
    /// The vendor's name; empty when unknown.
    pub vendor: String,
    /// The product's name; empty when unknown.
    pub product: String,
    /// Domain, bus, device and function, e.g. `0000:00:03.0`.
    pub pci_address: String,
    /// The kernel driver bound to it; empty for none.
    pub driver: String,
    /// The NUMA node it hangs on.
    pub numa_node: u32,
}

/// One device on the USB.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UsbDevice {
    /// Four hexadecimal digits.
    pub vendor_id: String,
    /// Four hexadecimal digits.
    pub product_id: String,
    /// The vendor's name; empty when unknown.
    pub vendor: String,
    /// The product's name; empty when unknown.
    pub product: String,
    /// Number of the bus.
    pub bus_address: u32,
    /// Number on the bus.
    pub device_address: u32,
    /// The drivers of its interfaces, without repetition.
    pub drivers: Vec<String>,
}

/// The system as SMBIOS names it; empty where unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are SMBIOS's own")]
pub struct SystemIdentity {
    pub vendor: String,
    pub product: String,
    pub family: String,
    pub version: String,
    pub sku: String,
    pub serial: String,
}

/// The main board as SMBIOS names it; empty where unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are SMBIOS's own")]
pub struct Mainboard {
    pub vendor: String,
    pub product: String,
    pub version: String,
    pub serial: String,
}

/// The main board's firmware as SMBIOS names it; empty where unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are SMBIOS's own")]
pub struct Firmware {
    pub vendor: String,
    pub date: String,
    pub version: String,
}

/// The chassis as SMBIOS names it; empty where unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are SMBIOS's own")]
pub struct Chassis {
    pub vendor: String,
    pub kind: String,
    pub version: String,
    pub serial: String,
}
