"""Files below /sys and /proc as texts and numbers, and lists of names."""

import os
import re
import sys


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
