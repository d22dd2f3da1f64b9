"""What the test needs of this host."""

import os
import shutil
import subprocess

TOOLS = {
    "cargo": None, "chroot": "coreutils", "debootstrap": "debootstrap", "debugfs": "e2fsprogs",
    "grub-mkimage": "grub-common", "ip": "iproute2", "mksquashfs": "squashfs-tools",
    "mount": "mount", "qemu-system-x86_64": "qemu-system-x86", "sfdisk": "fdisk",
    "ssh": "openssh-client", "ssh-keygen": "openssh-client", "unshare": "util-linux",
    "xz": "xz-utils", "dnsmasq": "dnsmasq-base",
}
FILES = {
    "/usr/lib/PXELINUX/lpxelinux.0": "pxelinux",
    "/usr/lib/syslinux/modules/bios/chain.c32": "syslinux-common",
    "/usr/lib/grub/x86_64-efi/tftp.mod": "grub-efi-amd64-bin",
    "/usr/lib/ipxe/qemu/pxe-virtio.rom": "ipxe-qemu",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
UEFI_FILES = {"/usr/share/OVMF/OVMF_CODE_4M.fd": "ovmf", "/usr/bin/mdir": "mtools"}
# What the kernel must allow, tried in namespaces of their own; each with the words that fail.
PROBES = {
    "network, mount and process namespaces":
        ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "true"],
    "a bridge and a tap device":
        ["unshare", "--net", "sh", "-c",
         "ip link add br0 type bridge && ip tuntap add dev tap0 mode tap"],
}


def missing(firmware):
    """What is not there, and the command that brings it."""
    if os.geteuid() != 0:
        return ["root"]
    found, packages = [], set()
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    files = {**FILES, **UEFI_FILES} if firmware == "uefi" else FILES
    for name, package in {**TOOLS, **files}.items():
        there = os.path.exists(name) if name.startswith("/") else shutil.which(name, path=path)
        if not there:
            found.append(name)
            packages.add(package)
    if packages - {None}:
        found.append("apt-get install " + " ".join(sorted(packages - {None})))
    if not found:
        found = [what for what, words in PROBES.items() if not works(words)]
    return found


def works(words):
    try:
        return subprocess.run(words, check=False, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False
