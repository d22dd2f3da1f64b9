"""Network cards and interfaces."""

import array
import fcntl
import json
import platform
import re
import socket
import struct
import subprocess

from hardware_tree import numa_node, pci_address, usb_address

# Bits of ETHTOOL_GSET's `supported`, and the modes they stand for.
ETHTOOL_MODES = {
    0: "10baseT/Half", 1: "10baseT/Full", 2: "100baseT/Half", 3: "100baseT/Full",
    4: "1000baseT/Half", 5: "1000baseT/Full", 12: "10000baseT/Full", 15: "2500baseX/Full",
    17: "1000baseKX/Full", 18: "10000baseKX4/Full", 19: "10000baseKR/Full",
    21: "20000baseMLD2/Full", 22: "20000baseKR2/Full", 23: "40000baseKR4/Full",
    24: "40000baseCR4/Full", 25: "40000baseSR4/Full", 26: "40000baseLR4/Full",
}


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
        is_port = tree.exists(folder + "/device") or container_port(tree, folder)
        if kind == "broadcast" and not (bond or bridge or vlan or is_port):
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
