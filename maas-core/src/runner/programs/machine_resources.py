#!/usr/bin/env python3
"""Prints the machine's hardware as one JSON document (LXD `resources` 1.0 with networks).

Reads /sys and /proc and, where they are installed, lspci's and lsusb's lists of names. A file
that cannot be read leaves its value out; it never ends the program.

Python standard library only, 3.6 or later.
"""

import argparse
import json
import platform
import socket
import sys

from hardware_compute import memory, processors
from hardware_devices import gpu, pci, system, usb
from hardware_network import cards, networks
from hardware_storage import storage
from hardware_tree import Names, Tree, complain

EXTENSIONS = [
    "resources", "resources_v2", "api_os", "resources_system", "resources_usb_pci",
    "resources_cpu_socket", "resources_gpu", "resources_numa", "resources_disk_sata",
    "resources_network_firmware", "resources_disk_id", "resources_cpu_threads_numa",
    "resources_cpu_core_die", "resources_pci_iommu", "resources_network_usb",
    "resources_disk_address",
]


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
