"""The deployments whose storage is made: descriptions as `render_deployment` reads them."""

GIB = 1 << 30
DISKS = 4
DISK_BYTES = 10 * GIB
# In the emulated machine.
KEYFILE = "/key"


def partition(name, size, fs=None, bootable=False):
    return {"name": name, "size": size, "bootable": bootable, **({"fs": fs} if fs else {})}


def disk(*partitions, boot=False, ptable="gpt"):
    return {"type": "disk", "ptable": ptable, "boot": boot, "partitions": list(partitions)}


def custom(layout, mounts):
    return {"storage_layout": "custom", "layout": layout,
            "mounts": {path: {"device": device} for path, device in mounts.items()}}


def mirror(level, count, fs="ext4"):
    """A RAID over the first disks, each with a small partition first, and /boot beside it."""
    disks = {
        "vd" + letter: disk(partition("boot-" + letter, "1G", "ext4" if letter == "a" else None),
                            partition("part-" + letter, "4G"), boot=letter == "a")
        for letter in "abcd"[:count]
    }
    members = ["part-" + letter for letter in "abcd"[:count]]
    return custom({**disks, "md0": {"type": "raid", "level": level, "members": members, "fs": fs}},
                  {"/": "md0", "/boot": "boot-a"})


def raid_with_lvm(boot_method):
    efi = boot_method == "uefi"
    first = [partition("efi", "512M", "vfat", True)] if efi else []
    return custom({
        "vda": disk(*first, partition("boot", "1G", "ext4"), partition("left", "100%"), boot=True),
        "vdb": disk(partition("right", "6G")),
        "md0": {"type": "raid", "level": 1, "members": ["left", "right"]},
        "vg0": {"type": "lvm", "members": ["md0"], "volumes": [
            {"name": "root", "size": "3G", "fs": "ext4"},
            {"name": "srv", "size": "100%", "fs": "xfs"}]},
        "scratch": {"type": "special", "fs": "tmpfs"},
    }, {"/": "root", "/srv": "srv", "/boot": "boot", "/tmp": "scratch",
        **({"/boot/efi": "efi"} if efi else {})})


# Name: boot method, how many disks, storage.
CASES = {
    "flat-bios": ("pxe", 1, {"storage_layout": "flat"}),
    "flat-uefi": ("uefi", 1, {"storage_layout": "flat"}),
    "flat-bios-mbr": ("pxe", 1, {"storage_layout": "flat", "partition_table": "mbr"}),
    "flat-boot-size": ("uefi", 2, {"storage_layout": "flat", "boot_size": "1G",
                                   "root_size": "5G"}),
    "lvm-bios": ("pxe", 1, {"storage_layout": "lvm"}),
    "lvm-uefi": ("uefi", 2, {"storage_layout": "lvm", "vg_name": "system", "lv_name": "base",
                             "lv_size": "4G"}),
    "bcache-bios": ("pxe", 2, {"storage_layout": "bcache", "cache_device": "vdb",
                               "cache_size": "2G", "cache_mode": "writeback"}),
    "bcache-uefi": ("uefi", 2, {"storage_layout": "bcache", "cache_device": "vdb"}),
    "raid1-lvm-bios": ("pxe", 2, raid_with_lvm("pxe")),
    "raid1-lvm-uefi": ("uefi", 2, raid_with_lvm("uefi")),
    "raid0-bios": ("pxe", 2, mirror(0, 2)),
    "raid1-bios": ("pxe", 2, mirror(1, 2)),
    "raid5-bios": ("pxe", 3, mirror(5, 3, "xfs")),
    "raid6-bios": ("pxe", 4, mirror(6, 4)),
    "raid10-bios": ("pxe", 4, mirror(10, 4, "btrfs")),
    "crypt-lvm": ("uefi", 1, custom({
        "vda": disk(partition("efi", "512M", "vfat", True), partition("boot", "1G", "ext4"),
                    partition("closed", "100%"), boot=True),
        "open": {"type": "crypt", "member": "closed", "keyfile": KEYFILE},
        "vg0": {"type": "lvm", "members": ["open"], "volumes": [
            {"name": "root", "size": "4G", "fs": "ext4"}]},
    }, {"/": "root", "/boot": "boot", "/boot/efi": "efi"})),
    "mbr-logical": ("pxe", 1, custom({"vda": disk(
        partition("a", "1G", "ext4"), partition("b", "1G", "ext4"), partition("c", "1G", "swap"),
        partition("d", "4G", "ext4"), partition("e", "100%", "xfs"), boot=True, ptable="mbr")},
        {"/": "d", "/boot": "a", "/srv": "e", "none": "c"})),
}


def description(name):
    boot_method, disks, storage = CASES[name]
    return {
        "machine": {
            "system_id": "b4chep", "hostname": name, "domain": "lab.example",
            "architecture": "amd64/generic", "boot_method": boot_method,
            "disks": [{"name": "vd" + letter, "size": DISK_BYTES, "serial": serial(number),
                       "model": "", "tags": ["ssd"] if number else ["rotary"]}
                      for number, letter in enumerate("abcd"[:disks])],
            "interfaces": [{"name": "eno1", "mac": "52:54:00:aa:00:01"}],
        },
        "rack": "10.20.0.2",
        "images": [{
            "os": "ubuntu", "release": "noble", "arch": "amd64", "subarch": "ga-24.04",
            "kflavor": "generic", "kpackage": "linux-generic",
            "files": {"boot-kernel": "aa" * 32, "boot-initrd": "bb" * 32, "squashfs": "cc" * 32},
        }],
        "options": {"osystem": "ubuntu", "distro_series": "noble", "storage": storage},
    }


def serial(number):
    return "BLOCKMETA%d" % number
