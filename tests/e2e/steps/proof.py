"""Proves from the machine's disk what was installed."""

import json
import pathlib
import re
import subprocess

from .say import Failure, say

ROOT = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"


class Disk:
    """The disk of a machine that is off, its file systems mounted read-only."""

    def __init__(self, image, folder):
        self.image = pathlib.Path(image)
        self.folder = pathlib.Path(folder) / "disk"
        done = subprocess.run(["sfdisk", "--json", self.image], check=True,
                              stdout=subprocess.PIPE)
        self.table = json.loads(done.stdout)["partitiontable"]

    def partitions(self):
        """Each with its first byte and its length."""
        return [
            (part["type"], part["start"] * 512, part["size"] * 512)
            for part in self.table["partitions"]
        ]

    def mount(self, path, kind, offset, size):
        path.mkdir(parents=True)
        options = "loop,ro,offset=%d,sizelimit=%d" % (offset, size)
        if kind == "ext4":
            options += ",noload"
        subprocess.run(["mount", "-t", kind, "-o", options, self.image, path], check=True)
        return path

    def magic(self, offset, at, length):
        with open(self.image, "rb") as image:
            image.seek(offset + at)
            return image.read(length)

    def is_ext4(self, offset):
        return self.magic(offset, 1080, 2) == b"\x53\xef"

    def logical_volume(self, offset):
        """The first byte of the only, linear logical volume on a physical one, by LVM's own text;
        nothing when there is none."""
        if self.magic(offset, 512, 8) != b"LABELONE":
            return None
        text = self.magic(offset, 4096, 1 << 20).decode("ascii", "replace")
        texts = [match.start() for match in re.finditer(r"\w+ \{\nid = ", text)]
        newest = max(texts, key=lambda at: int(re.search(r"seqno = (\d+)", text[at:]).group(1)))
        text = text[newest:]
        numbers = [int(re.search(r"\b%s = (\d+)" % name, text).group(1))
                   for name in ("extent_size", "pe_start")]
        stripe = re.search(r'stripes = \[\s*"pv0", (\d+)', text)
        return offset + (numbers[1] + int(stripe.group(1)) * numbers[0]) * 512

    def root(self):
        for _, offset, size in self.partitions():
            if self.is_ext4(offset):
                return self.mount(self.folder / "root", "ext4", offset, size)
            volume = self.logical_volume(offset)
            if volume and self.is_ext4(volume):
                return self.mount(self.folder / "root", "ext4", volume, size + offset - volume)
        raise Failure("no root file system on the disk")


def check(name, found, holds):
    if not holds:
        raise Failure("%s: found %r" % (name, found))
    say("proof: %s" % name)


def prove(machine, folder, expected):
    """Looks on the disk for everything that the machine was told."""
    disk = Disk(machine.disk, folder)
    check("a GPT with %d partitions" % len(disk.partitions()), disk.table["label"],
          disk.table["label"] == "gpt" and disk.partitions())
    root = disk.root()
    read = lambda path: (root / path).read_text(errors="replace")  # noqa: E731
    token = read("etc/e2e-token")
    check("the token of the user data is on the disk", token, token == expected["token"])
    hostname = read("etc/hostname").strip()
    check("the host name is %s" % hostname, hostname, hostname == expected["hostname"])
    keys = read("home/tester/.ssh/authorized_keys")
    check("the user has the SSH key", keys, expected["ssh_key"].strip() in keys)
    networks = "\n".join(
        path.read_text() for path in sorted((root / "etc/netplan").glob("*.yaml")))
    check("the network configuration names %s" % expected["mac"], networks,
          expected["mac"] in networks and "ethernets:" in networks)
    mounts = read("etc/fstab")
    check("/etc/fstab mounts the root", mounts, re.search(r"^\S+ / ext4 ", mounts, re.M))
    result = json.loads(read("var/lib/cloud/data/result.json"))["v1"]
    check("cloud-init ended without errors by %s" % result["datasource"], result,
          "DataSourceMAAS" in result["datasource"] and not result["errors"])
    if machine.firmware == "uefi":
        esp = next(part for part in disk.partitions() if part[0].upper().startswith("C12A7328"))
        esp = disk.mount(disk.folder / "esp", "vfat", esp[1], esp[2])
        loaders = sorted(str(path.relative_to(esp)) for path in esp.rglob("*.efi"))
        check("a boot loader on the EFI system partition", loaders,
              any("grubx64.efi" in name.lower() for name in loaders))
    else:
        check("GRUB in the first sector", None, b"GRUB" in disk.magic(0, 0, 512))
