"""Proves from the machine's disk what was installed."""

import json
import pathlib
import re
import subprocess

from .say import Failure, say

ROOT = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"


class Disk:
    """The disk of a machine that is off, read without mounting: not every kernel could."""

    def __init__(self, image):
        self.image = pathlib.Path(image)
        self.table = json.loads(output("sfdisk", "--json", self.image))["partitiontable"]

    def partitions(self):
        """Each one's type and first byte."""
        return [(part["type"], part["start"] * 512) for part in self.table["partitions"]]

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
        groups = re.finditer(r'[\w.+-]+ \{\nid = "[^"]*"\nseqno = (\d+)', text)
        newest = max(groups, key=lambda match: int(match.group(1)))
        text = text[newest.start():]
        numbers = [int(re.search(r"\b%s = (\d+)" % name, text).group(1))
                   for name in ("extent_size", "pe_start")]
        stripe = re.search(r'stripes = \[\s*"pv0", (\d+)', text)
        return offset + (numbers[1] + int(stripe.group(1)) * numbers[0]) * 512

    def root(self):
        for _, offset in self.partitions():
            if self.is_ext4(offset):
                return Ext4(self.image, offset)
            volume = self.logical_volume(offset)
            if volume and self.is_ext4(volume):
                return Ext4(self.image, volume)
        raise Failure("no root file system on the disk")

    def fat_files(self, offset):
        """The paths of all files of a FAT file system."""
        return output("mdir", "-/", "-b", "-i", "%s@@%d" % (self.image, offset), "::").split("\n")


class Ext4:
    """A file system of a disk."""

    def __init__(self, image, offset):
        self.image = "%s?offset=%d" % (image, offset)

    def read(self, path):
        found = output("debugfs", "-R", "cat " + path, self.image)
        if not found:
            raise Failure("%s is empty, or not on the disk" % path)
        return found

    def names(self, folder):
        listed = output("debugfs", "-R", "ls -p " + folder, self.image)
        return sorted(line.split("/")[5] for line in listed.splitlines() if line.count("/") > 5)


def output(*words):
    done = subprocess.run(words, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise Failure("%s: %s" % (words[0], done.stderr.decode(errors="replace").strip()))
    return done.stdout.decode(errors="replace")


def check(name, found, holds):
    if not holds:
        raise Failure("%s: found %r" % (name, found))
    say("proof: %s" % name)


def prove(machine, expected):
    """Looks on the disk for everything that the machine was told."""
    disk = Disk(machine.disk)
    check("a GPT with %d partitions" % len(disk.partitions()), disk.table["label"],
          disk.table["label"] == "gpt" and disk.partitions())
    root = disk.root()
    read = root.read
    token = read("/etc/e2e-token")
    check("the token of the user data is on the disk", token, token == expected["token"])
    hostname = read("/etc/hostname").strip()
    check("the host name is %s" % hostname, hostname, hostname == expected["hostname"])
    keys = read("/home/tester/.ssh/authorized_keys")
    check("the user has the SSH key", keys, expected["ssh_key"].strip() in keys)
    networks = "\n".join(read("/etc/netplan/" + name) for name in root.names("/etc/netplan")
                         if name.endswith(".yaml"))
    check("the network configuration names %s" % expected["mac"], networks,
          expected["mac"] in networks and "ethernets:" in networks)
    mounts = read("/etc/fstab")
    check("/etc/fstab mounts the root", mounts, re.search(r"^\S+ / ext4 ", mounts, re.M))
    result = json.loads(read("/var/lib/cloud/data/result.json"))["v1"]
    check("cloud-init ended without errors by %s" % result["datasource"], result,
          "DataSourceMAAS" in result["datasource"] and not result["errors"])
    if machine.firmware == "uefi":
        esp = next(part for part in disk.partitions() if part[0].upper().startswith("C12A7328"))
        loaders = [name for name in disk.fat_files(esp[1]) if name.lower().endswith(".efi")]
        check("a boot loader on the EFI system partition", loaders,
              any("grubx64.efi" in name.lower() for name in loaders))
    else:
        check("GRUB in the first sector", None, b"GRUB" in disk.magic(0, 0, 512))
