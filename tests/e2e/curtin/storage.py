"""curtin's storage configuration, version 1, carried out with sgdisk, mkfs, lvm and mdadm."""

import os
import re
import subprocess
import time

# Types of GPT partitions by curtin's flags.
GPT_TYPES = {
    "boot": "EF00", "bios_grub": "EF02", "prep": "4100", "lvm": "8E00", "raid": "FD00",
    "swap": "8200",
}
MBR_TYPES = {"lvm": "8e", "raid": "fd", "swap": "82", "prep": "41", "extended": "5"}
UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def run(*words, **more):
    print("+ " + " ".join(words), flush=True)
    return subprocess.run(words, check=True, **more)


def size_of(text):
    """A size in bytes: a number, with `B` or a binary unit."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([BKMGT]?)(?:i?B)?", str(text).strip())
    if not match:
        raise ValueError("not a size: %r" % text)
    return int(float(match.group(1)) * UNITS[match.group(2)])


def read(path):
    try:
        with open(path) as stream:
            return stream.read().strip()
    except OSError:
        return ""


def find_disk(item):
    """The disk's device, by what curtin looks for: serial, then path."""
    serial = item.get("serial")
    if serial:
        for name in sorted(os.listdir("/sys/block")):
            folder = "/sys/block/" + name
            listed = [read(folder + "/serial"), read(folder + "/device/serial")]
            done = subprocess.run(
                ["udevadm", "info", "--query=property", "--name=/dev/" + name],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )
            for line in done.stdout.decode().splitlines():
                key, _, value = line.partition("=")
                if key in ("ID_SERIAL", "ID_SERIAL_SHORT"):
                    listed.append(value)
            if serial in listed:
                return "/dev/" + name
    path = item.get("path")
    if path and os.path.exists(path):
        return os.path.realpath(path)
    raise ValueError("no disk has the serial %r or the path %r" % (serial, path))


def wait_for(path):
    for _ in range(100):
        if os.path.exists(path):
            return path
        subprocess.run(["udevadm", "settle", "--timeout=5"], check=False)
        time.sleep(0.1)
    raise ValueError("%s did not appear" % path)


class Storage:
    """The items of a configuration and what became of them."""

    def __init__(self, items):
        self.items = items
        self.by_id = {item["id"]: item for item in items}
        self.devices = {}
        self.arrays = []

    def make(self):
        """Makes everything, in the order in which it is listed."""
        makers = {
            "disk": self.disk, "partition": self.make_partition, "lvm_volgroup": self.volgroup,
            "lvm_partition": self.logical_volume, "raid": self.raid, "format": self.format,
            "mount": lambda item: None,
        }
        for item in self.items:
            if item["type"] not in makers:
                raise ValueError("the stand-in makes no %s" % item["type"])
            makers[item["type"]](item)

    def disk(self, item):
        device = find_disk(item)
        self.devices[item["id"]] = device
        if item.get("wipe"):
            run("wipefs", "--all", "--force", device)
        if item.get("ptable") == "gpt":
            run("sgdisk", "--zap-all", "--set-alignment=1", device, stderr=subprocess.STDOUT)
            run("sgdisk", "--clear", device)
        elif item.get("ptable") in ("msdos", "dos"):
            run("sfdisk", "--quiet", "--wipe=always", device, input=b"label: dos\n")

    def make_partition(self, item):
        disk = self.by_id[item["device"]]
        device = self.devices[disk["id"]]
        number, size = int(item["number"]), size_of(item["size"])
        flag = item.get("flag", "")
        start = size_of(item["offset"]) // 512 if "offset" in item else None
        if disk.get("ptable") == "gpt":
            first = "0" if start is None else str(start)
            end = "+%dK" % (size // 1024) if start is None else str(start + size // 512 - 1)
            words = ["--set-alignment=1", "--new=%d:%s:%s" % (number, first, end),
                     "--typecode=%d:%s" % (number, GPT_TYPES.get(flag, "8300"))]
            if item.get("uuid"):
                words.append("--partition-guid=%d:%s" % (number, item["uuid"]))
            run("sgdisk", *words, device)
        else:
            line = "size=%d, type=%s" % (size // 512, MBR_TYPES.get(flag, "83"))
            if start is not None:
                line = "start=%d, %s" % (start, line)
            if flag == "boot":
                line += ", bootable"
            run("sfdisk", "--quiet", "--append", "--no-reread", device, input=line.encode())
        # The kernel takes no whole new table while somebody, udev for one, looks at a partition.
        run("udevadm", "settle", "--timeout=30")
        run("partx", "--update", device)
        separator = "p" if device[-1].isdigit() else ""
        path = wait_for("%s%s%d" % (device, separator, number))
        self.devices[item["id"]] = path
        wipe = item.get("wipe")
        if wipe == "superblock":
            run("wipefs", "--all", "--force", path)
        elif wipe == "zero":
            run("dd", "if=/dev/zero", "of=" + path, "bs=1M", "count=%d" % max(1, size >> 20),
                "conv=fsync", "status=none")

    def volgroup(self, item):
        parts = [self.devices[name] for name in item["devices"]]
        run("pvcreate", "--yes", "-ff", *parts)
        run("vgcreate", "--yes", item["name"], *parts)
        self.devices[item["id"]] = item["name"]

    def logical_volume(self, item):
        group = self.devices[item["volgroup"]]
        wanted = ["--extents", "100%FREE"]
        if item.get("size"):
            wanted = ["--size", "%db" % size_of(item["size"])]
        run("lvcreate", "--yes", "--wipesignatures", "y", "--name", item["name"], *wanted, group)
        self.devices[item["id"]] = wait_for("/dev/%s/%s" % (group, item["name"]))

    def raid(self, item):
        parts = [self.devices[name] for name in item["devices"]]
        spares = [self.devices[name] for name in item.get("spare_devices") or []]
        path = "/dev/md/" + item["name"]
        words = ["mdadm", "--create", path, "--run", "--homehost=any", "--metadata=1.2",
                 "--level=%s" % item["raidlevel"], "--raid-devices=%d" % len(parts)]
        if spares:
            words.append("--spare-devices=%d" % len(spares))
        run(*words, *parts, *spares)
        self.arrays.append(path)
        self.devices[item["id"]] = wait_for(path)

    def format(self, item):
        device = self.devices[item["volume"]]
        kind, label, uuid = item["fstype"], item.get("label"), item.get("uuid")
        if kind in ("ext2", "ext3", "ext4"):
            words = ["mkfs." + kind, "-q", "-F"] + (["-L", label] if label else [])
            words += ["-U", uuid] if uuid else []
        elif kind in ("fat", "fat12", "fat16", "fat32", "vfat"):
            words = ["mkfs.vfat"] + (["-F", kind[3:]] if kind[3:].isdigit() else [])
            words += ["-n", label] if label else []
        elif kind == "swap":
            words = ["mkswap"] + (["-L", label] if label else []) + (["-U", uuid] if uuid else [])
        else:
            raise ValueError("the stand-in makes no %s" % kind)
        run(*words, device)
        self.devices[item["id"]] = device

    def mounts(self):
        """Mounts with a path, the outer ones first."""
        found = [item for item in self.items if item["type"] == "mount"]
        return sorted(found, key=lambda item: item.get("path") or "")

    def mount(self, root):
        os.makedirs(root, exist_ok=True)
        for item in self.mounts():
            path = item.get("path")
            if not path or path == "none":
                continue
            folder = root + path.rstrip("/")
            os.makedirs(folder, exist_ok=True)
            run("mount", self.devices[item["device"]], folder)

    def unmount(self, root):
        run("sync")
        run("umount", "--recursive", root)

    def fstab(self):
        lines = []
        for item in self.mounts():
            device = self.devices[item["device"]]
            kind = self.by_id[item["device"]]["fstype"]
            kind = "vfat" if kind.startswith("fat") else kind
            uuid = subprocess.run(
                ["blkid", "--output", "value", "--match-tag", "UUID", device],
                check=True, stdout=subprocess.PIPE,
            ).stdout.decode().strip()
            path = item.get("path") or "none"
            options = item.get("options") or "defaults"
            last = 0 if kind == "swap" else 1
            lines.append("UUID=%s %s %s %s 0 %d\n" % (uuid, path, kind, options, last))
        return "".join(lines)

    @property
    def needs_initramfs(self):
        """Whether the root is found only with the help of what this installation made."""
        return bool(self.arrays)

    def grub_disks(self):
        return [
            self.devices[item["id"]] for item in self.items
            if item["type"] == "disk" and item.get("grub_device")
        ]
