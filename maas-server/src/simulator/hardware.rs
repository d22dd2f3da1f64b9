//! Made-up hardware, always the same for the same seed, as commissioning sees it (the resources
//! document of boot-and-metadata §3.6).

use serde_json::{Map, Value, json};

use super::machine::{Firmware, MachineState};
use super::random::Random;

const GIB: u64 = 1 << 30;

/// A disk, as curtin looks for it and as commissioning reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DiskDevice {
    /// The kernel's name, such as `sda`.
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) serial: String,
    /// Bytes.
    pub(crate) size: u64,
    kind: &'static str,
    rpm: u64,
    pci_address: String,
}

impl DiskDevice {
    fn device_id(&self) -> String {
        match self.kind {
            "virtio" => format!("virtio-{}", self.serial),
            "nvme" => format!("nvme-{}_{}", self.model.replace(' ', "_"), self.serial),
            _ => format!("ata-{}_{}", self.model.replace(' ', "_"), self.serial),
        }
    }

    /// Whether a path names this disk.
    pub(crate) fn is_at(&self, path: &str) -> bool {
        path == format!("/dev/{}", self.name)
            || path == format!("/dev/disk/by-id/{}", self.device_id())
    }
}

/// What the machine is made as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Make {
    Virtual,
    Server,
}

struct Board {
    make: Make,
    random: Random,
}

fn board(state: &MachineState) -> Board {
    let mut random = Random::new(state.seed ^ 0x6861_7264);
    let make = if random.below(2) == 0 { Make::Virtual } else { Make::Server };
    Board { make, random }
}

/// The machine's disks; the first is the one to boot from.
pub(crate) fn disks(state: &MachineState) -> Vec<DiskDevice> {
    let Board { make, mut random } = board(state);
    let count = 1 + random.below(4);
    (0..count)
        .map(|number| {
            let letter = char::from(b'a' + u8::try_from(number).unwrap_or(0));
            let pci_address = format!("0000:00:{:02x}.0", 8 + number);
            let serial = format!("{:012X}", random.next() >> 16);
            if make == Make::Virtual {
                return DiskDevice {
                    name: format!("vd{letter}"),
                    model: String::new(),
                    serial: format!("sim{serial}"),
                    size: *random.pick(&[16, 32, 64]) * GIB,
                    kind: "virtio",
                    rpm: 0,
                    pci_address,
                };
            }
            match random.below(3) {
                0 => DiskDevice {
                    name: format!("nvme{number}n1"),
                    model: "SAMSUNG MZQL2960HCJR-00A07".to_owned(),
                    serial: format!("S64F{serial}"),
                    size: 960_197_124_096,
                    kind: "nvme",
                    rpm: 0,
                    pci_address,
                },
                1 => DiskDevice {
                    name: format!("sd{letter}"),
                    model: "INTEL SSDSC2KB480G8".to_owned(),
                    serial: format!("PHYF{serial}"),
                    size: 480_103_981_056,
                    kind: "sata",
                    rpm: 0,
                    pci_address,
                },
                _ => DiskDevice {
                    name: format!("sd{letter}"),
                    model: "ST4000NM0035-1V4107".to_owned(),
                    serial: format!("ZC1{serial}"),
                    size: 4_000_787_030_016,
                    kind: "sata",
                    rpm: 7200,
                    pci_address,
                },
            }
        })
        .collect()
}

/// The document that `50-maas-01-commissioning` prints.
pub(crate) fn resources(state: &MachineState) -> Value {
    let Board { make, mut random } = board(state);
    let (sockets, cores, cpu) = match make {
        Make::Virtual => (1, 1 + random.below(4), "QEMU Virtual CPU version 2.5+ @ 2.40GHz"),
        Make::Server => (2, 8, "Intel(R) Xeon(R) Gold 6226R CPU @ 2.90GHz"),
    };
    let memory = match make {
        Make::Virtual => *random.pick(&[2, 4, 8]) * GIB,
        Make::Server => *random.pick(&[64, 128, 256]) * GIB,
    };
    let mut thread = 0_u64;
    let sockets: Vec<Value> = (0..sockets)
        .map(|socket: u64| {
            let cores: Vec<Value> = (0..cores)
                .map(|core| {
                    let id = thread;
                    thread += 1;
                    json!({"core": core, "die": 0, "frequency": 2900, "threads": [
                        {"id": id, "numa_node": socket, "thread": 0, "online": true, "isolated": false}
                    ]})
                })
                .collect();
            json!({"name": cpu, "vendor": "GenuineIntel", "socket": socket, "frequency": 2900,
                   "frequency_minimum": 1200, "frequency_turbo": 3900, "cores": cores})
        })
        .collect();
    let nodes = sockets.len() as u64;
    let memory_nodes: Vec<Value> = (0..nodes)
        .map(|node| {
            json!({"numa_node": node, "total": memory / nodes, "used": GIB / 2,
                   "hugepages_total": 0, "hugepages_used": 0})
        })
        .collect();
    let (cards, networks) = network(state, make);
    let disks: Vec<Value> =
        disks(state).iter().enumerate().map(|(n, disk)| storage(n, disk)).collect();
    let pci = pci(state, make);
    json!({
        "api_version": "1.0",
        "api_extensions": ["resources", "resources_v2", "api_os", "resources_system",
            "resources_usb_pci", "resources_cpu_socket", "resources_gpu", "resources_numa",
            "resources_disk_sata", "resources_network_firmware", "resources_disk_id",
            "resources_cpu_threads_numa", "resources_cpu_core_die", "resources_pci_iommu",
            "resources_network_usb", "resources_disk_address"],
        "environment": {"kernel": "Linux", "kernel_architecture": "x86_64",
            "kernel_version": "6.8.0-48-generic", "os_name": "ubuntu", "os_version": "24.04",
            "server": "maas-machine-resources", "server_name": "simulated",
            "server_version": "5.21"},
        "resources": {
            "cpu": {"architecture": "x86_64", "total": thread, "sockets": sockets},
            "memory": {"total": memory, "used": GIB / 2, "hugepages_size": 2_097_152,
                "hugepages_total": 0, "hugepages_used": 0, "nodes": memory_nodes},
            "network": {"total": cards.len(), "cards": cards},
            "storage": {"total": disks.len(), "disks": disks},
            "gpu": {"cards": [], "total": 0},
            "usb": {"devices": [], "total": 0},
            "pci": {"total": pci.len(), "devices": pci},
            "system": system(state, make),
        },
        "networks": networks,
    })
}

fn network(state: &MachineState, make: Make) -> (Vec<Value>, Map<String, Value>) {
    let mut cards = Vec::new();
    let mut networks = Map::new();
    for (number, mac) in state.macs.iter().enumerate() {
        let name = match make {
            Make::Virtual => format!("enp0s{}", 3 + number),
            Make::Server => format!("eno{}", 1 + number),
        };
        // Only the first port has a cable.
        let is_first = number == 0;
        let (driver, vendor, vendor_id, product, modes, speed) = match make {
            Make::Virtual => (
                "virtio_net",
                "Red Hat, Inc.",
                "1af4",
                "Virtio network device",
                "10000baseT/Full",
                10000,
            ),
            Make::Server => (
                "ixgbe",
                "Intel Corporation",
                "8086",
                "Ethernet Controller X550",
                "10000baseT/Full",
                10000,
            ),
        };
        cards.push(json!({
            "driver": driver, "driver_version": "6.8.0", "numa_node": 0,
            "pci_address": format!("0000:00:{:02x}.0", 3 + number),
            "vendor": vendor, "vendor_id": vendor_id, "product": product, "product_id": "1563",
            "firmware_version": "0x800007b6",
            "ports": [{"id": name, "address": mac, "port": 0, "protocol": "ethernet",
                "auto_negotiation": true, "supported_modes": ["1000baseT/Full", modes],
                "supported_ports": ["twisted pair"], "transceiver_type": "internal",
                "link_detected": is_first, "link_speed": if is_first { speed } else { 0 }}],
        }));
        networks.insert(
            name,
            json!({"addresses": [], "hwaddr": mac, "mtu": 1500,
                "state": if is_first { "up" } else { "down" }, "type": "broadcast",
                "bond": null, "bridge": null, "vlan": null,
                "counters": {"bytes_received": 0, "bytes_sent": 0,
                    "packets_received": 0, "packets_sent": 0}}),
        );
    }
    (cards, networks)
}

fn storage(number: usize, disk: &DiskDevice) -> Value {
    let major = match disk.kind {
        "virtio" => 252,
        "nvme" => 259,
        _ => 8,
    };
    let bus = if disk.kind == "sata" { "-ata-1" } else { "" };
    json!({
        "id": disk.name, "device": format!("{major}:{}", number * 16), "model": disk.model,
        "type": disk.kind, "read_only": false, "size": disk.size, "removable": false,
        "numa_node": 0, "device_path": format!("pci-{}{bus}", disk.pci_address),
        "block_size": 512, "firmware_version": "", "rpm": disk.rpm, "serial": disk.serial,
        "device_id": disk.device_id(), "pci_address": disk.pci_address, "partitions": [],
    })
}

fn pci(state: &MachineState, make: Make) -> Vec<Value> {
    let device = |address: String, ids: [&str; 2], driver: &str, names: [&str; 2]| {
        json!({"pci_address": address, "vendor_id": ids[0], "product_id": ids[1],
               "driver": driver, "driver_version": "6.8.0", "numa_node": 0,
               "vendor": names[0], "product": names[1], "iommu_group": 0, "vpd": {}})
    };
    let mut found = vec![device(
        "0000:00:00.0".to_owned(),
        ["8086", "29c0"],
        "",
        ["Intel Corporation", "82G33/G31/P35/P31 Express DRAM Controller"],
    )];
    for number in 0..state.macs.len() {
        let address = format!("0000:00:{:02x}.0", 3 + number);
        found.push(match make {
            Make::Virtual => device(
                address,
                ["1af4", "1000"],
                "virtio-pci",
                ["Red Hat, Inc.", "Virtio network device"],
            ),
            Make::Server => device(
                address,
                ["8086", "1563"],
                "ixgbe",
                ["Intel Corporation", "Ethernet Controller X550"],
            ),
        });
    }
    found
}

fn system(state: &MachineState, make: Make) -> Value {
    let serial = state.uuid.get(..8).unwrap_or_default().to_ascii_uppercase();
    let firmware = match state.firmware {
        Firmware::GrubUefiHttp => {
            json!({"vendor": "EDK II", "date": "02/06/2015", "version": "0.0.0"})
        }
        _ => json!({"vendor": "SeaBIOS", "date": "04/01/2014", "version": "1.16.2-1"}),
    };
    match make {
        Make::Virtual => json!({
            "uuid": state.uuid, "vendor": "QEMU", "product": "Standard PC (Q35 + ICH9, 2009)",
            "family": "", "version": "pc-q35-7.2", "sku": "", "serial": "",
            "type": "virtual-machine", "firmware": firmware,
            "chassis": {"vendor": "QEMU", "type": "Other", "serial": "", "version": "pc-q35-7.2"},
            "motherboard": null,
        }),
        Make::Server => json!({
            "uuid": state.uuid, "vendor": "Dell Inc.", "product": "PowerEdge R640",
            "family": "PowerEdge", "version": "", "sku": "SKU=NotProvided;ModelName=PowerEdge R640",
            "serial": serial, "type": "physical", "firmware": firmware,
            "chassis": {"vendor": "Dell Inc.", "type": "Rack Mount Chassis", "serial": serial, "version": ""},
            "motherboard": {"vendor": "Dell Inc.", "product": "0W23H8", "serial": format!(".{serial}."), "version": "A02"},
        }),
    }
}

/// What `lshw -xml` prints, in its shortest form.
pub(crate) fn lshw(state: &MachineState) -> String {
    let system = system(state, board(state).make);
    format!(
        "<?xml version=\"1.0\" standalone=\"yes\" ?>\n<list>\n<node id=\"simulated\" claimed=\"true\" \
         class=\"system\" handle=\"DMI:0100\">\n <product>{}</product>\n <vendor>{}</vendor>\n \
         <configuration>\n  <setting id=\"uuid\" value=\"{}\" />\n </configuration>\n</node>\n</list>",
        system["product"].as_str().unwrap_or_default(),
        system["vendor"].as_str().unwrap_or_default(),
        state.uuid,
    )
}

/// The kernel's names for the hardware, one on each line.
pub(crate) fn modaliases(state: &MachineState) -> String {
    let devices = pci(state, board(state).make);
    let lines: Vec<String> = devices
        .iter()
        .map(|device| {
            let id = |key| device[key].as_str().unwrap_or_default().to_ascii_uppercase();
            format!(
                "pci:v0000{}d0000{}sv00000000sd00000000bc02sc00i00",
                id("vendor_id"),
                id("product_id")
            )
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::simulator::machine::{nth_firmware, nth_mac};

    fn machine(n: u32) -> MachineState {
        MachineState::at(nth_mac(1, n), 1, Some(nth_firmware(1, n)))
    }

    #[test]
    fn the_document_names_the_machines_own_ports_and_disks() {
        for n in 0..40 {
            let state = machine(n);
            let document = resources(&state);
            let cards = document["resources"]["network"]["cards"].as_array().unwrap();
            let macs: Vec<_> =
                cards.iter().map(|card| card["ports"][0]["address"].as_str().unwrap()).collect();
            let own: Vec<String> = state.macs.iter().map(ToString::to_string).collect();
            assert_eq!(macs, own);
            assert_eq!(document["networks"].as_object().unwrap().len(), own.len());
            let disks = document["resources"]["storage"]["disks"].as_array().unwrap().len();
            assert!((1..=4).contains(&disks));
            let sockets = document["resources"]["cpu"]["sockets"].as_array().unwrap();
            let threads: usize = sockets.iter().map(|s| s["cores"].as_array().unwrap().len()).sum();
            assert_eq!(document["resources"]["cpu"]["total"], threads);
            assert_eq!(document["resources"]["system"]["uuid"], state.uuid.as_str());
        }
    }

    #[test]
    fn both_makes_occur_and_a_machine_never_changes() {
        let vendor = |n| resources(&machine(n))["resources"]["system"]["vendor"].clone();
        let vendors: Vec<_> = (0..40).map(vendor).collect();
        assert!(vendors.contains(&"QEMU".into()) && vendors.contains(&"Dell Inc.".into()));
        assert_eq!(resources(&machine(5)), resources(&machine(5)));
    }

    #[test]
    fn disks_are_found_by_both_of_their_paths() {
        for n in 0..20 {
            for disk in disks(&machine(n)) {
                assert!(disk.is_at(&format!("/dev/{}", disk.name)));
                assert!(disk.is_at(&format!("/dev/disk/by-id/{}", disk.device_id())));
                assert!(!disk.is_at("/dev/other"));
            }
        }
    }
}
