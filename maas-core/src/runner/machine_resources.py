#!/usr/bin/env python3
"""Prints the machine's hardware as one JSON document (LXD `resources` 1.0 with networks).

Reads /sys and /proc and, where they are installed, lspci's and lsusb's lists of names. A file
that cannot be read leaves its value out; it never ends the program.

Python standard library only, 3.6 or later.
"""

import argparse
import fcntl
import glob
import json
import os
import platform
import re
import socket
import struct
import subprocess
import sys

EXTENSIONS = [
    "resources", "resources_v2", "api_os", "resources_system", "resources_usb_pci",
    "resources_cpu_socket", "resources_gpu", "resources_numa", "resources_disk_sata",
    "resources_network_firmware", "resources_disk_id", "resources_cpu_threads_numa",
    "resources_cpu_core_die", "resources_pci_iommu", "resources_network_usb",
    "resources_disk_address",
]
MIB = 1024 * 1024
CHASSIS = {
    1: "Other", 2: "Unknown", 3: "Desktop", 4: "Low Profile Desktop", 5: "Pizza Box",
    6: "Mini Tower", 7: "Tower", 8: "Portable", 9: "Laptop", 10: "Notebook", 11: "Hand Held",
    12: "Docking Station", 13: "All in One", 14: "Sub Notebook", 15: "Space-saving",
    16: "Lunch Box", 17: "Main Server Chassis", 18: "Expansion Chassis", 19: "SubChassis",
    20: "Bus Expansion Chassis", 21: "Peripheral Chassis", 22: "RAID Chassis",
    23: "Rack Mount Chassis", 24: "Sealed-case PC", 25: "Multi-system chassis",
    26: "Compact PCI", 27: "Advanced TCA", 28: "Blade", 29: "Blade Enclosure", 30: "Tablet",
    31: "Convertible", 32: "Detachable", 33: "IoT Gateway", 34: "Embedded PC", 35: "Mini PC",
    36: "Stick PC",
}
VIRTUAL_VENDORS = (
    "qemu", "vmware", "innotek", "xen", "microsoft corporation virtual", "amazon ec2", "google",
    "bochs", "parallels", "openstack", "digitalocean", "apple virtualization", "firecracker",
    "cloud hypervisor", "kvm",
)
# Bits of ETHTOOL_GSET's `supported`, and the modes they stand for.
ETHTOOL_MODES = {
    0: "10baseT/Half", 1: "10baseT/Full", 2: "100baseT/Half", 3: "100baseT/Full",
    4: "1000baseT/Half", 5: "1000baseT/Full", 12: "10000baseT/Full", 15: "2500baseX/Full",
    17: "1000baseKX/Full", 18: "10000baseKX4/Full", 19: "10000baseKR/Full",
    21: "20000baseMLD2/Full", 22: "20000baseKR2/Full", 23: "40000baseKR4/Full",
    24: "40000baseCR4/Full", 25: "40000baseSR4/Full", 26: "40000baseLR4/Full",
}


class Tree:
    """The file system below a root; the root is for tests."""

    def __init__(self, root):
        self.root = root

    def at(self, path):
        return self.root.rstrip("/") + path

    def text(self, path, default=""):
        try:
            with open(self.at(path), "rb") as stream:
                return stream.read(1 << 20).decode("utf-8", "replace").strip("\0 \t\r\n")
        except OSError:
            return default

    def number(self, path, default=0, base=10):
        try:
            return int(self.text(path), base)
        except ValueError:
            return default

    def names(self, path):
        try:
            return sorted(os.listdir(self.at(path)), key=natural)
        except OSError:
            return []

    def exists(self, path):
        return os.path.exists(self.at(path))

    def link(self, path):
        """The last part of a symbolic link's target."""
        try:
            return os.path.basename(os.readlink(self.at(path)))
        except OSError:
            return ""

    def real(self, path):
        return os.path.realpath(self.at(path))


def natural(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def complain(what, error):
    print("machine-resources: %s: %s" % (what, error), file=sys.stderr)


def numa_node(tree, folder):
    # The kernel says -1 where there is one node only.
    return max(0, tree.number(folder + "/numa_node"))


def pci_address(tree, folder):
    """The nearest PCI function above a device."""
    found = re.findall(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", tree.real(folder))
    return found[-1] if found else ""


def usb_address(tree, folder):
    """`bus:device` of the nearest USB device above a device."""
    path = tree.real(folder)
    while len(path) > len(tree.root) + 1 and path != "/":
        bus, device = (Tree("").text(path + "/" + name) for name in ("busnum", "devnum"))
        if bus and device:
            return "%s:%s" % (bus, device)
        path = os.path.dirname(path)
    return ""


class Names:
    """Names of vendors and products in hwdata's list format."""

    def __init__(self, tree, files):
        self.vendors, self.products = {}, {}
        for path in files:
            if not tree.exists(path):
                continue
            vendor = None
            try:
                with open(tree.at(path), encoding="utf-8", errors="replace") as stream:
                    for line in stream:
                        if line.startswith("C "):
                            break
                        match = re.match(r"^(\t?)([0-9a-f]{4})\s+(.*)$", line)
                        if not match:
                            continue
                        if not match.group(1):
                            vendor = match.group(2)
                            self.vendors[vendor] = match.group(3).strip()
                        elif vendor:
                            self.products[vendor, match.group(2)] = match.group(3).strip()
            except OSError as error:
                complain(path, error)
            break

    def vendor(self, number):
        return self.vendors.get(number, "")

    def product(self, vendor, number):
        return self.products.get((vendor, number), "")


# --- Processors and memory ---------------------------------------------------------------------


def processors(tree):
    base = "/sys/devices/system/cpu"
    names, frequencies = cpuinfo(tree)
    nodes = {}
    for node in tree.names("/sys/devices/system/node"):
        if re.match(r"^node\d+$", node):
            for number in cpu_list(tree.text("/sys/devices/system/node/%s/cpulist" % node)):
                nodes[number] = int(node[4:])
    sockets, total = {}, 0
    for name in tree.names(base):
        if not re.match(r"^cpu\d+$", name):
            continue
        number, folder = int(name[3:]), base + "/" + name
        online = tree.text(folder + "/online", "1") != "0"
        if not tree.exists(folder + "/topology") and number not in names:
            continue
        package = max(0, tree.number(folder + "/topology/physical_package_id"))
        core_id = tree.number(folder + "/topology/core_id", number)
        die = max(0, tree.number(folder + "/topology/die_id"))
        socket_ = sockets.setdefault(
            package, {"socket": package, "name": "", "vendor": "", "cores": {}, "mhz": []}
        )
        name_, vendor = names.get(number, ("", ""))
        socket_["name"] = socket_["name"] or name_
        socket_["vendor"] = socket_["vendor"] or vendor
        for key, file_ in (("frequency_turbo", "max"), ("frequency_minimum", "min")):
            khz = tree.number("%s/cpufreq/cpuinfo_%s_freq" % (folder, file_))
            if khz > 0:
                socket_[key] = max(socket_.get(key, 0), khz // 1000)
        mhz = tree.number(folder + "/cpufreq/scaling_cur_freq") // 1000
        mhz = mhz or frequencies.get(number, 0)
        if mhz:
            socket_["mhz"].append(mhz)
        core = socket_["cores"].setdefault(
            (die, core_id), {"core": core_id, "die": die, "threads": []}
        )
        if mhz:
            core["frequency"] = mhz
        core["threads"].append({
            "id": number, "numa_node": nodes.get(number, 0), "thread": len(core["threads"]),
            "online": online, "isolated": False,
        })
        total += 1 if online else 0
    listed = []
    for package in sorted(sockets):
        socket_ = sockets[package]
        mhz = socket_.pop("mhz")
        if mhz:
            socket_["frequency"] = sum(mhz) // len(mhz)
        socket_["cores"] = [socket_["cores"][key] for key in sorted(socket_["cores"])]
        listed.append(socket_)
    return {
        "architecture": platform.machine(), "total": total or os.cpu_count() or 1,
        "sockets": listed,
    }


def cpuinfo(tree):
    """Model, vendor and MHz of each processor in /proc/cpuinfo."""
    names, frequencies = {}, {}
    number = 0
    vendor = ""
    for line in tree.text("/proc/cpuinfo").splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "processor" and value.isdigit():
            number, vendor = int(value), ""
            names.setdefault(number, ("", ""))
        elif key == "vendor_id":
            vendor = value
        elif key in ("model name", "Model", "cpu"):
            names[number] = (value, vendor)
        elif key in ("cpu MHz", "clock"):
            match = re.match(r"^\d+", value)
            if match:
                frequencies[number] = int(match.group())
    return names, frequencies


def cpu_list(text):
    """Numbers of `0-3,8`."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.strip().isdigit():
            found += range(int(first), int(last or first) + 1)
    return found


def kib(text, key):
    match = re.search(r"^(?:Node \d+ )?%s:\s+(\d+)(?: kB)?$" % re.escape(key), text, re.M)
    return int(match.group(1)) if match else 0


def memory(tree):
    info = tree.text("/proc/meminfo")
    page = kib(info, "Hugepagesize") * 1024
    total = installed_memory(tree) or kib(info, "MemTotal") * 1024
    nodes = []
    for node in tree.names("/sys/devices/system/node"):
        if not re.match(r"^node\d+$", node):
            continue
        own = tree.text("/sys/devices/system/node/%s/meminfo" % node)
        pages = kib(own, "HugePages_Total")
        nodes.append({
            "numa_node": int(node[4:]), "total": kib(own, "MemTotal") * 1024,
            "used": kib(own, "MemUsed") * 1024, "hugepages_total": pages * page,
            "hugepages_used": (pages - kib(own, "HugePages_Free")) * page,
        })
    if len(nodes) == 1:
        nodes[0]["total"] = total
    pages = kib(info, "HugePages_Total")
    return {
        "nodes": nodes, "total": total,
        "used": max(0, (kib(info, "MemTotal") - kib(info, "MemAvailable")) * 1024),
        "hugepages_size": page, "hugepages_total": pages * page,
        "hugepages_used": (pages - kib(info, "HugePages_Free")) * page,
    }


def installed_memory(tree):
    """Bytes of the memory blocks: the kernel's own share, that meminfo leaves out, included."""
    base = "/sys/devices/system/memory"
    size = tree.number(base + "/block_size_bytes", base=16)
    blocks = [name for name in tree.names(base) if re.match(r"^memory\d+$", name)]
    online = [name for name in blocks if tree.text("%s/%s/online" % (base, name), "1") == "1"]
    return size * len(online)


# --- Network -----------------------------------------------------------------------------------


def cards(tree, names):
    found = {}
    for name in tree.names("/sys/class/net"):
        folder = "/sys/class/net/" + name
        device = folder + "/device"
        if not tree.exists(device):
            continue
        pci, usb = pci_address(tree, device), usb_address(tree, device)
        key = tree.real(device) if not pci or usb else pci
        pci_folder = "/sys/bus/pci/devices/" + pci
        vendor = tree.text(pci_folder + "/vendor")[2:] if pci else ""
        product = tree.text(pci_folder + "/device")[2:] if pci else ""
        card = found.setdefault(key, {
            "driver": tree.link(device + "/driver"), "driver_version": platform.release(),
            "numa_node": numa_node(tree, pci_folder if pci else device),
            "pci_address": pci, "vendor_id": vendor, "product_id": product,
            "vendor": names.vendor(vendor), "product": names.product(vendor, product),
            "firmware_version": driver_info(tree, name), "ports": [],
        })
        if usb:
            card["usb_address"] = usb
            card["pci_address"] = ""
        most = tree.number(device + "/sriov_totalvfs")
        if most > 0:
            card["sriov"] = {
                "current_vfs": tree.number(device + "/sriov_numvfs"), "maximum_vfs": most,
                "vfs": [],
            }
        card["ports"].append(port(tree, name, folder))
    return {"cards": list(found.values()), "total": len(found)}


def port(tree, name, folder):
    kind = tree.number(folder + "/type")
    up = tree.text(folder + "/carrier") == "1"
    modes, speed = link_modes(tree, name)
    speed = speed or max(0, tree.number(folder + "/speed"))
    if not modes and speed:
        modes = ["%dbaseT/Full" % speed]
    mac = tree.text(folder + "/bonding_slave/perm_hwaddr") or tree.text(folder + "/address")
    found = {
        "id": name, "address": mac.lower(),
        "port": max(tree.number(folder + "/dev_port"), tree.number(folder + "/dev_id", base=16)),
        "protocol": {1: "ethernet", 32: "infiniband"}.get(kind, "unknown"),
        "auto_negotiation": False, "link_detected": up, "supported_modes": modes,
    }
    if up and speed:
        found["link_speed"] = speed
        found["link_duplex"] = tree.text(folder + "/duplex", "full")
    return found


def ethtool(name, request):
    """Asks the kernel for an ethtool structure; nothing when it has none."""
    import array

    data = array.array("B", request)
    address, _ = data.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        packed = struct.pack("16sP", name.encode()[:15], address)
        fcntl.ioctl(control.fileno(), 0x8946, packed + b"\0" * 16)
    return data.tobytes()


def link_modes(tree, name):
    """Supported modes and the speed in Mbit/s."""
    if tree.root:
        return [], 0
    try:
        reply = ethtool(name, struct.pack("<I", 1) + b"\0" * 40)
    except OSError:
        return [], 0
    supported = struct.unpack_from("=I", reply, 4)[0]
    speed = struct.unpack_from("=H", reply, 12)[0] | struct.unpack_from("=H", reply, 28)[0] << 16
    modes = [mode for bit, mode in sorted(ETHTOOL_MODES.items()) if supported >> bit & 1]
    return modes, speed if speed not in (0, 0xFFFF, 0xFFFFFFFF) else 0


def driver_info(tree, name):
    """The firmware's version as the driver tells it."""
    if tree.root:
        return ""
    try:
        reply = ethtool(name, struct.pack("<I", 3) + b"\0" * 192)
    except OSError:
        return ""
    text = reply[68:100].split(b"\0")[0].decode("ascii", "replace").strip()
    return "" if text in ("N/A", "n/a") else text


def networks(tree):
    addresses = interface_addresses(tree)
    found = {}
    for name in tree.names("/sys/class/net"):
        folder = "/sys/class/net/" + name
        if not tree.exists(folder + "/address"):
            continue
        flags = tree.number(folder + "/flags", base=16)
        kind = "loopback" if flags & 8 else "point-to-point" if flags & 16 else "broadcast"
        bond, bridge = bond_of(tree, folder), bridge_of(tree, folder)
        vlan = vlan_of(tree, name)
        if kind == "broadcast" and not (
            bond or bridge or vlan or tree.exists(folder + "/device") or container_port(tree, folder)
        ):
            # Taps, dummies, one side of a pair: nothing of the machine.
            continue
        found[name] = {
            "addresses": addresses.get(name, []),
            "hwaddr": tree.text(folder + "/address").lower(), "mtu": tree.number(folder + "/mtu"),
            "state": "up" if flags & 1 else "down", "type": kind,
            "bond": bond, "bridge": bridge, "vlan": vlan,
            "counters": {
                key: tree.number("%s/statistics/%s" % (folder, key))
                for key in ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")
            },
        }
    return found


def container_port(tree, folder):
    """Whether it is a container's own end of a pair: its peer is in another namespace."""
    return tree.text(folder + "/iflink") != tree.text(folder + "/ifindex") and not tree.names(
        folder + "/lower"
    ) and tree.link(folder).startswith("eth")


def bond_of(tree, folder):
    base = folder + "/bonding"
    if not tree.exists(base):
        return None
    return {
        "mode": (tree.text(base + "/mode").split() or [""])[0],
        "transmit_policy": (tree.text(base + "/xmit_hash_policy").split() or [""])[0],
        "up_delay": tree.number(base + "/updelay"), "down_delay": tree.number(base + "/downdelay"),
        "mii_frequency": tree.number(base + "/miimon"),
        "mii_state": tree.text(base + "/mii_status"),
        "lower_devices": tree.text(base + "/slaves").split(),
    }


def bridge_of(tree, folder):
    base = folder + "/bridge"
    if not tree.exists(base):
        return None
    return {
        "id": tree.text(base + "/bridge_id"), "stp": tree.number(base + "/stp_state") != 0,
        "forward_delay": tree.number(base + "/forward_delay") // 100,
        "vlan_default": tree.number(base + "/default_pvid"),
        "vlan_filtering": tree.number(base + "/vlan_filtering") != 0,
        "upper_devices": tree.names(folder + "/brif"),
    }


def vlan_of(tree, name):
    text = tree.text("/proc/net/vlan/" + name)
    vid = re.search(r"VID:\s*(\d+)", text)
    lower = re.search(r"^Device:\s*(\S+)", text, re.M)
    if not (vid and lower):
        return None
    return {"lower_device": lower.group(1), "vid": int(vid.group(1))}


def interface_addresses(tree):
    """Addresses by interface, from ip(8) and else from /proc and the kernel."""
    found = {}
    if tree.root:
        return found
    try:
        done = subprocess.run(
            ["ip", "-j", "address"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        listed = json.loads(done.stdout.decode("utf-8", "replace")) if done.returncode == 0 else []
    except (OSError, ValueError):
        listed = []
    for interface in listed:
        for item in interface.get("addr_info") or []:
            if item.get("local"):
                found.setdefault(interface.get("ifname"), []).append({
                    "family": item.get("family", ""), "address": item["local"],
                    "netmask": str(item.get("prefixlen", "")), "scope": item.get("scope", ""),
                })
    return found or addresses_without_tools(tree)


def addresses_without_tools(tree):
    found = {}
    for line in tree.text("/proc/net/if_inet6").splitlines():
        parts = line.split()
        if len(parts) == 6:
            scope = {"00": "global", "10": "host", "20": "link"}.get(parts[3], "global")
            address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(parts[0]))
            found.setdefault(parts[5], []).append({
                "family": "inet6", "address": address, "netmask": str(int(parts[2], 16)),
                "scope": scope,
            })
    for name in tree.names("/sys/class/net"):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                packed = struct.pack("256s", name.encode()[:15])
                address = fcntl.ioctl(control.fileno(), 0x8915, packed)[20:24]
                mask = fcntl.ioctl(control.fileno(), 0x891B, packed)[20:24]
        except OSError:
            continue
        found.setdefault(name, []).append({
            "family": "inet", "address": socket.inet_ntoa(address),
            "netmask": str(bin(int.from_bytes(mask, "big")).count("1")),
            "scope": "host" if address[0] == 127 else "global",
        })
    return found


# --- Storage -----------------------------------------------------------------------------------


def storage(tree):
    by_id, by_path = disk_links(tree, "by-id"), disk_links(tree, "by-path")
    disks = []
    for name in tree.names("/sys/block"):
        folder = "/sys/block/" + name
        if name.startswith(("loop", "ram", "zram", "md", "dm-", "nbd", "fd")):
            continue
        if not tree.exists(folder + "/device"):
            continue
        try:
            disks.append(disk(tree, name, folder, by_id, by_path))
        except (OSError, ValueError, KeyError) as error:
            complain(name, error)
    return {"disks": disks, "total": len(disks)}


def disk_links(tree, kind):
    """Names below /dev/disk by kernel name, the most telling first."""
    found = {}
    folder = "/dev/disk/" + kind
    for link in tree.names(folder):
        found.setdefault(tree.link(folder + "/" + link), []).append(link)
    for links in found.values():
        links.sort(key=lambda link: (link.startswith(("wwn-", "nvme-eui", "lvm-", "dm-")), link))
    return found


def disk(tree, name, folder, by_id, by_path):
    real = tree.real(folder)
    device = folder + "/device"
    properties = udev_properties(tree, tree.text(folder + "/dev"))
    read_only = tree.number(folder + "/ro") != 0
    if name.startswith("nvme") or "/nvme/" in real:
        kind = "nvme"
    elif name.startswith("sr") or properties.get("ID_CDROM") == "1":
        kind = "cdrom"
    elif name.startswith("mmcblk"):
        kind = "mmc"
    elif "/virtio" in real:
        kind = "virtio"
    elif "/usb" in real:
        kind = "usb"
    elif "/ata" in real:
        kind = "sata"
    elif name.startswith("xvd"):
        kind = "xen"
    else:
        kind = "scsi"
    rotational = tree.text(folder + "/queue/rotational") == "1"
    rpm = 0
    try:
        rpm = int(properties.get("ID_ATA_ROTATION_RATE_RPM", "0"))
    except ValueError:
        pass
    if rpm == 0 and rotational and kind in ("sata", "scsi"):
        rpm = 1
    serial = (
        properties.get("ID_SCSI_SERIAL") or properties.get("ID_SERIAL_SHORT")
        or tree.text(folder + "/serial") or tree.text(device + "/serial")
        or vital_product_serial(tree, device)
    )
    links = by_id.get(name, [])
    device_id = next((link for link in links if not re.search(r"-part\d+$", link)), "")
    partitions = []
    for part in tree.names(folder):
        inner = folder + "/" + part
        if tree.exists(inner + "/partition"):
            partitions.append({
                "id": part, "device": tree.text(inner + "/dev"),
                "read_only": tree.number(inner + "/ro") != 0,
                "size": tree.number(inner + "/size") * 512,
                "partition": tree.number(inner + "/partition"),
            })
    found = {
        "id": name, "device": tree.text(folder + "/dev"), "type": kind, "read_only": read_only,
        "model": properties.get("ID_MODEL", "").replace("_", " ").strip()
        or tree.text(device + "/model"),
        "serial": serial.strip(), "size": tree.number(folder + "/size") * 512,
        "removable": tree.text(folder + "/removable") == "1", "rpm": rpm,
        "numa_node": max(0, numa_node_of(tree, device)),
        "block_size": tree.number(folder + "/queue/physical_block_size")
        or tree.number(folder + "/queue/logical_block_size") or 512,
        "firmware_version": tree.text(device + "/firmware_rev") or tree.text(device + "/rev"),
        "device_id": device_id, "device_path": (by_path.get(name) or [""])[0],
        "wwn": properties.get("ID_WWN", ""), "partitions": partitions,
    }
    pci, usb = pci_address(tree, device), usb_address(tree, device)
    if usb:
        found["usb_address"] = usb
    elif pci:
        found["pci_address"] = pci
    return found


def numa_node_of(tree, device):
    pci = pci_address(tree, device)
    return numa_node(tree, "/sys/bus/pci/devices/" + pci if pci else device)


def udev_properties(tree, number):
    """What udev wrote down of a block device."""
    found = {}
    for line in tree.text("/run/udev/data/b" + number).splitlines():
        if line.startswith("E:") and "=" in line:
            key, value = line[2:].split("=", 1)
            found[key] = value
    return found


def vital_product_serial(tree, device):
    """The serial number of SCSI's vital product data, page 0x80."""
    try:
        with open(tree.at(device + "/vpd_pg80"), "rb") as stream:
            return stream.read(512)[4:].decode("ascii", "replace").strip("\0 ")
    except OSError:
        return ""


# --- Buses -------------------------------------------------------------------------------------


def pci(tree, names):
    devices = []
    for address in tree.names("/sys/bus/pci/devices"):
        folder = "/sys/bus/pci/devices/" + address
        vendor, product = (tree.text(folder + "/" + key)[2:] for key in ("vendor", "device"))
        driver = tree.link(folder + "/driver")
        group = tree.link(folder + "/iommu_group")
        devices.append({
            "driver": driver, "driver_version": platform.release() if driver else "",
            "numa_node": numa_node(tree, folder), "pci_address": address, "vendor_id": vendor,
            "product_id": product, "vendor": names.vendor(vendor),
            "product": names.product(vendor, product),
            "iommu_group": int(group) if group.isdigit() else 0, "vpd": {},
        })
    return {"devices": devices, "total": len(devices)}


def gpu(tree, names):
    found = []
    for device in pci(tree, names)["devices"]:
        # Display controllers; a server's plain VGA of the BMC is among them.
        if tree.text("/sys/bus/pci/devices/%s/class" % device["pci_address"]).startswith("0x03"):
            found.append({
                key: device[key] for key in (
                    "driver", "driver_version", "numa_node", "pci_address", "vendor",
                    "vendor_id", "product", "product_id",
                )
            })
    return {"cards": found, "total": len(found)}


def usb(tree, names):
    devices = []
    for entry in tree.names("/sys/bus/usb/devices"):
        folder = "/sys/bus/usb/devices/" + entry
        vendor, product = tree.text(folder + "/idVendor"), tree.text(folder + "/idProduct")
        if not vendor:
            continue
        interfaces = []
        for part in tree.names(folder):
            inner = folder + "/" + part
            if ":" in part and tree.exists(inner + "/bInterfaceNumber"):
                interfaces.append({
                    "class_id": tree.number(inner + "/bInterfaceClass", base=16),
                    "driver": tree.link(inner + "/driver"),
                    "number": tree.number(inner + "/bInterfaceNumber", base=16),
                })
        if interfaces and all(item["class_id"] == 9 for item in interfaces):
            # Hubs connect devices; they are none.
            continue
        devices.append({
            "bus_address": tree.number(folder + "/busnum"),
            "device_address": tree.number(folder + "/devnum"), "interfaces": interfaces,
            "vendor_id": vendor, "product_id": product,
            "vendor": tree.text(folder + "/manufacturer") or names.vendor(vendor),
            "product": tree.text(folder + "/product") or names.product(vendor, product),
            "serial": tree.text(folder + "/serial"),
        })
    return {"devices": devices, "total": len(devices)}


# --- System ------------------------------------------------------------------------------------


def system(tree):
    def dmi(name):
        return tree.text("/sys/class/dmi/id/" + name)

    chassis = tree.number("/sys/class/dmi/id/chassis_type")
    product = dmi("product_name") or tree.text("/proc/device-tree/model")
    return {
        "uuid": dmi("product_uuid").lower(), "vendor": dmi("sys_vendor"), "product": product,
        "family": dmi("product_family"), "version": dmi("product_version"),
        "sku": dmi("product_sku"),
        "serial": dmi("product_serial") or tree.text("/proc/device-tree/serial-number"),
        "type": system_type(tree, dmi("sys_vendor"), product),
        "firmware": {
            "vendor": dmi("bios_vendor"), "date": dmi("bios_date"), "version": dmi("bios_version"),
        },
        "chassis": {
            "vendor": dmi("chassis_vendor"), "type": CHASSIS.get(chassis, ""),
            "serial": dmi("chassis_serial"), "version": dmi("chassis_version"),
        },
        "motherboard": {
            "vendor": dmi("board_vendor"), "product": dmi("board_name"),
            "serial": dmi("board_serial"), "version": dmi("board_version"),
        },
    }


def system_type(tree, vendor, product):
    if tree.exists("/run/systemd/container") or tree.exists("/.dockerenv"):
        return "container"
    identity = (vendor + " " + product).lower()
    if any(name in identity for name in VIRTUAL_VENDORS) or "virtual machine" in identity:
        return "virtual-machine"
    if re.search(r"^flags\s*:.*\bhypervisor\b", tree.text("/proc/cpuinfo"), re.M):
        return "virtual-machine"
    if tree.exists("/sys/hypervisor/type") or tree.exists("/proc/device-tree/hypervisor"):
        return "virtual-machine"
    return "physical"


def environment(tree):
    release = {}
    for line in tree.text("/etc/os-release").splitlines():
        key, _, value = line.partition("=")
        release[key] = value.strip().strip('"')
    return {
        "kernel": platform.system(), "kernel_architecture": platform.machine(),
        "kernel_version": platform.release(), "os_name": release.get("ID", ""),
        "os_version": release.get("VERSION_ID", ""), "server": "maas-machine-resources",
        "server_name": socket.gethostname(), "server_version": "1.0",
    }


def section(name, fallback, function, *arguments):
    """One part of the document; its failure is not the failure of the others."""
    try:
        return function(*arguments)
    except Exception as error:
        complain(name, error)
        return fallback


def document(tree):
    nothing = {"total": 0}
    pci_names = section("pci.ids", None, Names, tree, (
        "/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids",
    )) or Names(tree, ())
    usb_names = section("usb.ids", None, Names, tree, (
        "/usr/share/misc/usb.ids", "/usr/share/hwdata/usb.ids", "/var/lib/usbutils/usb.ids",
    )) or Names(tree, ())
    return {
        "api_version": "1.0",
        "api_extensions": EXTENSIONS,
        "environment": section("environment", {}, environment, tree),
        "resources": {
            "cpu": section("cpu", dict(nothing, sockets=[]), processors, tree),
            "memory": section("memory", dict(nothing, nodes=[]), memory, tree),
            "network": section("network", dict(nothing, cards=[]), cards, tree, pci_names),
            "storage": section("storage", dict(nothing, disks=[]), storage, tree),
            "gpu": section("gpu", dict(nothing, cards=[]), gpu, tree, pci_names),
            "pci": section("pci", dict(nothing, devices=[]), pci, tree, pci_names),
            "usb": section("usb", dict(nothing, devices=[]), usb, tree, usb_names),
            "system": section("system", {}, system, tree),
        },
        "networks": section("networks", {}, networks, tree),
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default="", help="read below this folder instead of /")
    parser.add_argument("--output", help="write the document to this file too")
    parser.add_argument(
        "--merge", action="append", default=[], metavar="NAME=FILE",
        help="add a JSON file, when it is there, under a name",
    )
    options = parser.parse_args(arguments)
    found = document(Tree(options.root.rstrip("/")))
    for item in options.merge:
        name, _, path = item.partition("=")
        try:
            with open(path, encoding="utf-8") as stream:
                found[name] = json.load(stream)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            complain(path, error)
    text = json.dumps(found, indent=1, sort_keys=True)
    if options.output:
        with open(options.output, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
