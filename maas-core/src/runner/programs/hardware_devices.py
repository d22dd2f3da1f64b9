"""Buses and the system as its firmware names it."""

import platform
import re

from hardware_tree import numa_node

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
