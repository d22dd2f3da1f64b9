//! The resources document (LXD `resources` 1.0 with networks) as [`Hardware`], and back.
//!
//! Strict where a value is used, tolerant where it is not: unknown members are ignored, missing
//! and null ones mean "unknown", and a used value of the wrong type or out of range is an error
//! that names its path.

mod cpu;
mod network;
mod render;
mod storage;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::json::Node;
use crate::machine::hardware::{
    Chassis, Firmware, Hardware, Hugepages, Mainboard, NumaNode, PciDevice, SystemIdentity,
    UsbDevice,
};

pub use render::render;

/// The largest resources document that is read, in bytes.
pub const DOCUMENT_LIMIT: usize = 16 * 1024 * 1024;

/// Most entries in any one list of the document.
const LIST_LIMIT: usize = 16_384;

/// Bytes in a MiB.
const MIB: u64 = 1024 * 1024;

/// The extensions of the document's schema without which it cannot be understood.
const NEEDED_EXTENSIONS: [&str; 5] =
    ["resources", "resources_v2", "api_os", "resources_system", "resources_usb_pci"];

/// Why a resources document is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResourcesError {
    /// The document is too large to be read.
    #[error("resources document of {found} bytes, at most {DOCUMENT_LIMIT} are read")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// The text is not JSON.
    #[error("resources document is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// A member that must be there is not.
    #[error("resources document lacks {path}")]
    Missing {
        /// The member's path, e.g. `resources.cpu`.
        path: String,
    },
    /// The document is of a version that is not known.
    #[error("resources document has api_version {found:?}, expected \"1.0\"")]
    Version {
        /// The version found.
        found: String,
    },
    /// The program that wrote the document lacks a part of the schema.
    #[error("resources document lacks the extension {name} in api_extensions")]
    MissingExtension {
        /// The extension's name.
        name: &'static str,
    },
    /// A value has the wrong JSON type.
    #[error("{path}: expected {expected}, found {found}")]
    WrongType {
        /// Where.
        path: String,
        /// What was expected.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A value has the right type but no meaning.
    #[error("{path}: expected {expected}, found {found:?}")]
    OutOfRange {
        /// Where.
        path: String,
        /// What was expected.
        expected: &'static str,
        /// What is there, at most 64 characters of it.
        found: String,
    },
    /// A list, object or text is too long.
    #[error("{path}: {found} entries or bytes, at most {limit} are read")]
    TooMany {
        /// Where.
        path: String,
        /// How many are there.
        found: usize,
        /// How many may be there.
        limit: usize,
    },
    /// Network interfaces are each other's parents.
    #[error("{path}: the interface is its own ancestor")]
    Cycle {
        /// The path of one of the interfaces.
        path: String,
    },
}

/// Reads a resources document, e.g. the standard output of `50-maas-01-commissioning`.
///
/// # Errors
/// [`ResourcesError`]; it names the path of the first value that is not accepted.
pub fn parse(document: &[u8]) -> Result<Hardware, ResourcesError> {
    if document.len() > DOCUMENT_LIMIT {
        return Err(ResourcesError::TooLarge { found: document.len() });
    }
    let value: Value = serde_json::from_slice(document).map_err(ResourcesError::NotJson)?;
    parse_value(&value)
}

/// Reads a resources document that is a JSON value already.
///
/// # Errors
/// As [`parse`].
pub fn parse_value(value: &Value) -> Result<Hardware, ResourcesError> {
    let root = Node::root(value);
    let version = root.get("api_version")?;
    match version.some_text()? {
        None => return Err(ResourcesError::Missing { path: "api_version".to_owned() }),
        Some(text) if text == "1.0" => {}
        Some(found) => return Err(ResourcesError::Version { found }),
    }
    let mut extensions = Vec::new();
    for item in root.get("api_extensions")?.items(LIST_LIMIT)? {
        extensions.push(item.text()?);
    }
    for name in NEEDED_EXTENSIONS {
        if !extensions.iter().any(|extension| extension == name) {
            return Err(ResourcesError::MissingExtension { name });
        }
    }
    let resources = root.get("resources")?;
    for section in ["cpu", "memory", "network", "storage"] {
        let node = resources.get(section)?;
        if node.present().is_none() {
            return Err(ResourcesError::Missing { path: node.path().to_owned() });
        }
    }

    let system = resources.get("system")?;
    let cpu = cpu::read(&resources.get("cpu")?)?;
    let memory = resources.get("memory")?;
    Ok(Hardware {
        cpu_count: cpu.count,
        cpu_model: cpu.model,
        cpu_speed: cpu.speed,
        kernel_architecture: match root
            .get("environment")?
            .get("kernel_architecture")?
            .some_text()?
        {
            Some(name) => Some(name),
            None => resources.get("cpu")?.get("architecture")?.some_text()?,
        },
        memory: memory.get("total")?.number()? / MIB,
        numa_nodes: numa_nodes(&memory, &cpu.threads)?,
        disks: storage::read(&resources.get("storage")?.get("disks")?)?,
        interfaces: network::read(
            &resources.get("network")?.get("cards")?,
            &root.get("networks")?,
        )?,
        pci_devices: pci_devices(&resources.get("pci")?.get("devices")?)?,
        usb_devices: usb_devices(&resources.get("usb")?.get("devices")?)?,
        gpus: gpus(&resources.get("gpu")?.get("cards")?)?,
        system: system_identity(&system)?,
        mainboard: mainboard(&system.get("motherboard")?)?,
        firmware: firmware(&system.get("firmware")?)?,
        chassis: chassis(&system.get("chassis")?)?,
        hardware_uuid: system.get("uuid")?.some_text()?.and_then(|text| usable_uuid(&text)),
        is_virtual: system.get("type")?.some_text()?.is_some_and(|kind| kind != "physical"),
        storage_extra: root.get("storage-extra")?.present().cloned(),
        machine_extra: root.get("machine-extra")?.present().cloned(),
    })
}

/// Joins the nodes that hold memory and those that hold processors.
fn numa_nodes(memory: &Node<'_>, threads: &[cpu::Thread]) -> Result<Vec<NumaNode>, ResourcesError> {
    let page_size = memory.get("hugepages_size")?.number()?;
    let mut nodes: Vec<NumaNode> = Vec::new();
    for item in memory.get("nodes")?.items(LIST_LIMIT)? {
        let index = item.get("numa_node")?.small()?;
        if nodes.iter().any(|node| node.index == index) {
            return Err(item
                .get("numa_node")?
                .out_of_range("a node named once", &index.to_string()));
        }
        let total = item.get("hugepages_total")?.number()?;
        nodes.push(NumaNode {
            index,
            memory: item.get("total")?.number()? / MIB,
            cores: Vec::new(),
            hugepages: (total > 0 && page_size > 0).then_some(Hugepages { page_size, total }),
        });
    }
    if nodes.is_empty() {
        nodes
            .push(NumaNode { memory: memory.get("total")?.number()? / MIB, ..NumaNode::default() });
    }
    for thread in threads {
        let at = match nodes.iter().position(|node| node.index == thread.numa_node) {
            Some(at) => at,
            None => {
                nodes.push(NumaNode { index: thread.numa_node, ..NumaNode::default() });
                nodes.len() - 1
            }
        };
        nodes[at].cores.push(thread.id);
    }
    nodes.sort_by_key(|node| node.index);
    for node in &mut nodes {
        node.cores.sort_unstable();
        node.cores.dedup();
    }
    Ok(nodes)
}

fn pci_devices(list: &Node<'_>) -> Result<Vec<PciDevice>, ResourcesError> {
    list.items(LIST_LIMIT)?
        .iter()
        .map(|item| {
            Ok(PciDevice {
                vendor_id: item.get("vendor_id")?.text()?,
                product_id: item.get("product_id")?.text()?,
                vendor: item.get("vendor")?.text()?,
                product: item.get("product")?.text()?,
                pci_address: item.get("pci_address")?.text()?,
                driver: item.get("driver")?.text()?,
                numa_node: item.get("numa_node")?.small()?,
            })
        })
        .collect()
}

fn usb_devices(list: &Node<'_>) -> Result<Vec<UsbDevice>, ResourcesError> {
    list.items(LIST_LIMIT)?
        .iter()
        .map(|item| {
            let mut drivers = Vec::new();
            for interface in item.get("interfaces")?.items(LIST_LIMIT)? {
                if let Some(driver) = interface.get("driver")?.some_text()?
                    && !drivers.contains(&driver)
                {
                    drivers.push(driver);
                }
            }
            Ok(UsbDevice {
                vendor_id: item.get("vendor_id")?.text()?,
                product_id: item.get("product_id")?.text()?,
                vendor: item.get("vendor")?.text()?,
                product: item.get("product")?.text()?,
                bus_address: item.get("bus_address")?.small()?,
                device_address: item.get("device_address")?.small()?,
                drivers,
            })
        })
        .collect()
}

fn gpus(cards: &Node<'_>) -> Result<Vec<String>, ResourcesError> {
    let mut addresses = Vec::new();
    for card in cards.items(LIST_LIMIT)? {
        addresses.extend(card.get("pci_address")?.some_text()?);
    }
    Ok(addresses)
}

fn system_identity(system: &Node<'_>) -> Result<SystemIdentity, ResourcesError> {
    Ok(SystemIdentity {
        vendor: system.get("vendor")?.text()?,
        product: system.get("product")?.text()?,
        family: system.get("family")?.text()?,
        version: system.get("version")?.text()?,
        sku: system.get("sku")?.text()?,
        serial: system.get("serial")?.text()?,
    })
}

fn mainboard(board: &Node<'_>) -> Result<Mainboard, ResourcesError> {
    Ok(Mainboard {
        vendor: board.get("vendor")?.text()?,
        product: board.get("product")?.text()?,
        version: board.get("version")?.text()?,
        serial: board.get("serial")?.text()?,
    })
}

fn firmware(firmware: &Node<'_>) -> Result<Firmware, ResourcesError> {
    Ok(Firmware {
        vendor: firmware.get("vendor")?.text()?,
        date: firmware.get("date")?.text()?,
        version: firmware.get("version")?.text()?,
    })
}

fn chassis(chassis: &Node<'_>) -> Result<Chassis, ResourcesError> {
    Ok(Chassis {
        vendor: chassis.get("vendor")?.text()?,
        kind: chassis.get("type")?.text()?,
        version: chassis.get("version")?.text()?,
        serial: chassis.get("serial")?.text()?,
    })
}

/// The UUID in lower case, unless it is none or one that firmware writes into every machine.
fn usable_uuid(text: &str) -> Option<String> {
    let uuid = text.to_ascii_lowercase();
    let groups: Vec<&str> = uuid.split('-').collect();
    let shape = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit());
    let filler = groups.concat().bytes().all(|byte| byte == b'0')
        || groups.concat().bytes().all(|byte| byte == b'f');
    (shape && !filler).then_some(uuid)
}
