"""Disks and their partitions."""

import re

from hardware_tree import complain, numa_node, pci_address, usb_address


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
