//! The programs under the real Python of this host.

use std::path::PathBuf;
use std::process::{Command, Output};

use super::super::{MACHINE_RESOURCES, RUNNER, machine_resources_program};
use crate::commission::resources;

/// A folder with both programs that is removed at the end.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("maas-runner-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        for (name, text) in RUNNER.iter().chain(&MACHINE_RESOURCES) {
            std::fs::write(path.join(name), text).unwrap();
        }
        Self(path)
    }

    pub(super) fn python(&self, arguments: &[&str]) -> Output {
        let output = Command::new("python3")
            .args(arguments)
            .current_dir(&self.0)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether there is a Python to test with; says so when there is none.
pub(super) fn python_is_here() -> bool {
    if Command::new("python3").arg("--version").output().is_ok_and(|out| out.status.success()) {
        return true;
    }
    assert!(
        std::env::var_os("MAAS_TEST_PEERS").is_none_or(|value| value != "require"),
        "python3 is required and not here"
    );
    // Past the harness, which keeps what passing tests print to itself.
    std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("SKIPPED: python3 is not here\n"),
    )
    .ok();
    false
}

#[test]
fn this_hosts_hardware_is_printed_as_a_document_that_parses() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("resources");
    std::fs::write(folder.0.join("extra.json"), r#"{"layout": {"sda": {}}}"#).unwrap();
    let output = folder.python(&[
        "machine_resources.py",
        "--output",
        "resources.json",
        "--merge",
        "storage-extra=extra.json",
        "--merge",
        "machine-extra=missing.json",
    ]);
    let hardware = resources::parse(&output.stdout).unwrap();
    assert!(hardware.cpu_count > 0);
    assert!(hardware.memory > 0);
    assert!(!hardware.numa_nodes.is_empty());
    assert!(hardware.storage_extra.is_some() && hardware.machine_extra.is_none());
    assert_eq!(std::fs::read(folder.0.join("resources.json")).unwrap(), output.stdout);
}

#[test]
fn the_served_program_runs_by_itself() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("served");
    let path = folder.0.join("program");
    std::fs::write(&path, machine_resources_program()).unwrap();
    let output = Command::new("sh").arg(&path).args(["--root", "/nothing-here"]).output().unwrap();
    assert!(resources::parse(&output.stdout).is_ok(), "{output:?}");
}

#[test]
fn a_machine_without_sys_and_proc_still_gives_a_document_that_parses() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("bare");
    let output = folder.python(&["machine_resources.py", "--root", "nothing-here"]);
    let hardware = resources::parse(&output.stdout).unwrap();
    assert!(hardware.disks.is_empty() && hardware.interfaces.is_empty());
}

/// A made-up machine: two sockets, two nodes, a bond over two ports, disks of several kinds.
fn made_up_machine(folder: &Folder) -> String {
    let root = folder.0.join("root");
    let file = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let link = |path: &str, target: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    };
    let mut cpuinfo = String::new();
    for cpu in 0..4 {
        cpuinfo.push_str(&format!(
            "processor\t: {cpu}\nvendor_id\t: Acme\nmodel name\t: Acme Fast @ 3.40GHz\n\
             cpu MHz\t\t: 3400.1\nflags\t\t: fpu\n\n"
        ));
        let base = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        file(&format!("{base}/physical_package_id"), &format!("{}\n", cpu / 2));
        file(&format!("{base}/core_id"), &format!("{}\n", cpu % 2));
    }
    file("proc/cpuinfo", &cpuinfo);
    file("proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 7000000 kB\nHugepagesize: 2048 kB\n");
    for node in 0..2 {
        let base = format!("sys/devices/system/node/node{node}");
        file(&format!("{base}/cpulist"), if node == 0 { "0-1\n" } else { "2,3\n" });
        file(
            &format!("{base}/meminfo"),
            &format!(
                "Node {node} MemTotal: 4000000 kB\nNode {node} MemUsed: 1 kB\n\
                 Node {node} HugePages_Total: 2\nNode {node} HugePages_Free: 1\n"
            ),
        );
    }
    for (port, mac) in [("eno1", "52:54:00:00:00:01"), ("eno2", "52:54:00:00:00:02")] {
        let pci = format!("sys/devices/pci0000:00/0000:00:0{}.0", &port[3..]);
        file(&format!("{pci}/vendor"), "0x8086\n");
        file(&format!("{pci}/device"), "0x1528\n");
        file(&format!("{pci}/numa_node"), "1\n");
        file(&format!("{pci}/sriov_totalvfs"), "63\n");
        let net = format!("{pci}/net/{port}");
        file(&format!("{net}/address"), "52:54:00:00:00:01\n");
        file(&format!("{net}/bonding_slave/perm_hwaddr"), &format!("{mac}\n"));
        file(&format!("{net}/type"), "1\n");
        file(&format!("{net}/flags"), "0x1003\n");
        file(&format!("{net}/carrier"), "1\n");
        file(&format!("{net}/speed"), "10000\n");
        file(&format!("{net}/mtu"), "9000\n");
        link(&format!("{net}/device"), "../..");
        link(&format!("sys/class/net/{port}"), &format!("../../../{net}"));
        link(
            &format!("sys/bus/pci/devices/0000:00:0{}.0", &port[3..]),
            &format!("../../../../{pci}"),
        );
    }
    let bond = "sys/devices/virtual/net/bond0";
    file(&format!("{bond}/address"), "52:54:00:00:00:01\n");
    file(&format!("{bond}/flags"), "0x1003\n");
    file(&format!("{bond}/type"), "1\n");
    file(&format!("{bond}/mtu"), "9000\n");
    file(&format!("{bond}/bonding/mode"), "802.3ad 4\n");
    file(&format!("{bond}/bonding/slaves"), "eno1 eno2\n");
    link("sys/class/net/bond0", &format!("../../../{bond}"));
    let vlan = "sys/devices/virtual/net/bond0.30";
    file(&format!("{vlan}/address"), "52:54:00:00:00:01\n");
    file(&format!("{vlan}/flags"), "0x1003\n");
    link("sys/class/net/bond0.30", &format!("../../../{vlan}"));
    file("proc/net/vlan/bond0.30", "bond0.30  VID: 30\t REORDER_HDR: 1\nDevice: bond0\n");
    let tap = "sys/devices/virtual/net/tap0";
    file(&format!("{tap}/address"), "52:54:00:00:00:09\n");
    file(&format!("{tap}/flags"), "0x1003\n");
    file(&format!("{tap}/ifindex"), "7\n");
    file(&format!("{tap}/iflink"), "7\n");
    link("sys/class/net/tap0", &format!("../../../{tap}"));
    for (disk, above) in
        [("sda", "pci0000:00/0000:00:1f.2/ata1/host0"), ("nvme0n1", "pci/nvme/nvme0")]
    {
        let block = format!("sys/devices/{above}/block/{disk}");
        file(&format!("{block}/size"), "20971520\n");
        file(&format!("{block}/ro"), "0\n");
        file(&format!("{block}/dev"), if disk == "sda" { "8:0\n" } else { "259:0\n" });
        file(&format!("{block}/queue/rotational"), if disk == "sda" { "1\n" } else { "0\n" });
        file(&format!("{block}/queue/physical_block_size"), "4096\n");
        file(&format!("{block}/device/model"), "Spinner\n");
        file(&format!("{block}/{disk}1/partition"), "1\n");
        file(&format!("{block}/{disk}1/size"), "2048\n");
        link(&format!("sys/block/{disk}"), &format!("../../{block}"));
    }
    file("sys/block/loop0/size", "20971520\n");
    file(
        "run/udev/data/b8:0",
        "E:ID_SERIAL_SHORT=SER1\nE:ID_ATA_ROTATION_RATE_RPM=7200\nE:ID_MODEL=Spin_One\n",
    );
    link("dev/disk/by-id/ata-Spin_One_SER1", "../../sda");
    link("dev/disk/by-id/wwn-0x5000", "../../sda");
    link("dev/disk/by-id/ata-Spin_One_SER1-part1", "../../sda1");
    link("dev/disk/by-path/pci-0000:00:1f.2-ata-1", "../../sda");
    for (name, text) in [
        ("sys_vendor", "Acme"),
        ("product_name", "Rack 1"),
        ("product_uuid", "4C4C4544-0042-3510-8052-B4C04F4A3132"),
        ("chassis_type", "23"),
        ("bios_version", "1.2"),
        ("board_name", "B1"),
    ] {
        file(&format!("sys/class/dmi/id/{name}"), &format!("{text}\n"));
    }
    file(
        "usr/share/misc/pci.ids",
        "# list\n8086  Intel Corporation\n\t1528  X540-AT2\nC 00  none\n",
    );
    root.to_str().unwrap().to_owned()
}

#[test]
fn a_made_up_machine_is_read_in_every_detail() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("made-up");
    let root = made_up_machine(&folder);
    let output = folder.python(&["machine_resources.py", "--root", &root]);
    let hardware = resources::parse(&output.stdout).unwrap();

    assert_eq!((hardware.cpu_count, hardware.cpu_speed), (4, 3400));
    assert_eq!(hardware.cpu_model.as_deref(), Some("Acme Fast"));
    let cores: Vec<_> = hardware.numa_nodes.iter().map(|node| node.cores.clone()).collect();
    assert_eq!(cores, [[0, 1], [2, 3]]);
    assert_eq!(hardware.numa_nodes[1].hugepages.unwrap().total, 4 << 20);
    assert_eq!(hardware.memory, 8_000_000 / 1024);

    let names: Vec<&str> = hardware.interfaces.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["eno1", "eno2", "bond0", "bond0.30"]);
    let port = hardware.interface("eno2").unwrap();
    assert_eq!(port.mac_address.as_deref(), Some("52:54:00:00:00:02"));
    assert_eq!((port.link_speed, port.numa_node, port.sriov_max_vf), (10_000, 1, 63));
    assert_eq!(port.vendor.as_deref(), Some("Intel Corporation"));
    assert_eq!(port.product.as_deref(), Some("X540-AT2"));
    assert_eq!(port.pci_address.as_deref(), Some("0000:00:02.0"));
    assert_eq!(hardware.interface("bond0").unwrap().parents, ["eno1", "eno2"]);
    assert_eq!(hardware.interface("bond0.30").unwrap().vid, Some(30));

    let disk = hardware.disks.iter().find(|disk| disk.name == "sda").unwrap();
    assert_eq!(disk.id_path, "/dev/disk/by-id/ata-Spin_One_SER1");
    assert_eq!(disk.tags, ["rotary", "7200rpm", "sata"]);
    assert_eq!((disk.size, disk.block_size, disk.model.as_str()), (10 << 30, 4096, "Spin One"));
    let nvme = hardware.disks.iter().find(|disk| disk.name == "nvme0n1").unwrap();
    assert_eq!((nvme.attachment.as_str(), nvme.id_path.as_str()), ("nvme", "/dev/nvme0n1"));
    assert_eq!(hardware.disks.len(), 2);

    assert_eq!(hardware.system.vendor, "Acme");
    assert_eq!(hardware.chassis.kind, "Rack Mount Chassis");
    assert_eq!(hardware.hardware_uuid.as_deref(), Some("4c4c4544-0042-3510-8052-b4c04f4a3132"));
    assert!(!hardware.is_virtual);
}

#[test]
fn the_runner_reads_preseeds_with_and_without_a_yaml_module() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("preseeds");
    std::fs::write(
        folder.0.join("check.py"),
        r##"
import sys
if sys.argv[1] == "without":
    sys.modules["yaml"] = None
from settings import maas_settings

EXPECTED = {
    "metadata_url": "http://[fd00::1]:5248/MAAS/metadata/", "consumer_key": "CK:1",
    "token_key": "t'k", "token_secret": "12345678901234567890",
}
BLOCK = """#cloud-config#cloud-config
# a comment
apt:
  sources_list: |
    deb http://archive/ main
datasource:
  MAAS:
    metadata_url: "http://[fd00::1]:5248/MAAS/metadata/"
    consumer_key: CK:1
    token_key: 't''k'
    token_secret: '12345678901234567890'
reporting:
  maas:
    consumer_key: other
"""
FLOW = """#cloud-config
datasource:
  MAAS: {metadata_url: "http://[fd00::1]:5248/MAAS/metadata/", consumer_key: 'CK:1', token_key: "t'k", token_secret: '12345678901234567890'}
manage_etc_hosts: true
"""
for text in (BLOCK, FLOW):
    found = maas_settings(text)
    assert found == EXPECTED, found
assert maas_settings("#cloud-config\nx: 1\n") == {}
assert maas_settings(": : [") == {}
"##,
    )
    .unwrap();
    folder.python(&["check.py", "without"]);
    folder.python(&["check.py", "with"]);
}

#[test]
fn the_runner_names_disks_bmcs_and_boot_interfaces_right() {
    if !python_is_here() {
        return;
    }
    let folder = Folder::new("pieces");
    std::fs::write(
        folder.0.join("check.py"),
        r#"
import enlistment
import scripts

item = {
    "name": "x", "path": "testing/x", "parameters": {
        "storage": {"type": "storage", "value": {"name": "sdz", "serial": "", "id_path": ""}},
        "interface": {"type": "interface", "value": {"name": "eno1"}},
        "depth": {"type": "string", "value": "a b", "argument_format": "-d {input}"},
        "plain": {"type": "string", "default": "v"},
        "unset": {"type": "string"},
    },
}
found = scripts.Script(item, "testing", "/r", "/o").arguments()
assert found == ["-d", "a b", "--interface=eno1", "--plain=v", "--storage=/dev/sdz"], found

assert enlistment.boot_mac("ro BOOTIF=01-52-54-00-AA-00-01 quiet") == "52:54:00:aa:00:01"
assert enlistment.boot_mac("ro quiet") is None
assert scripts.bmc_settings('{"power_type": "ipmi", "power_user": "u"}')["power_user"] == "u"
assert scripts.bmc_settings("power_type: ipmi\npower_pass: 'p: q'\n")["power_pass"] == "p: q"
assert scripts.bmc_settings("") is None and scripts.bmc_settings("nothing") is None
assert enlistment.mac_addresses("/nowhere", "52:54:00:00:00:01") == ["52:54:00:00:00:01"]
"#,
    )
    .unwrap();
    folder.python(&["check.py"]);
}
