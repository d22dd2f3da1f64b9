"""What the test needs of this host."""

import os
import shutil

TOOLS = {
    "cargo": "cargo", "chroot": "coreutils", "debootstrap": "debootstrap",
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
}
UEFI_FILES = {"/usr/share/OVMF/OVMF_CODE_4M.fd": "ovmf"}
DEVICES = ("/dev/net/tun", "/dev/loop-control")


def missing(firmware):
    """What is not there, each with its remedy."""
    found = []
    if os.geteuid() != 0:
        found.append("root")
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for tool, package in TOOLS.items():
        if not shutil.which(tool, path=path):
            found.append("%s (package %s)" % (tool, package))
    files = {**FILES, **UEFI_FILES} if firmware == "uefi" else FILES
    for name, package in files.items():
        if not os.path.exists(name):
            found.append("%s (package %s)" % (name, package))
    found.extend("the device " + name for name in DEVICES if not os.path.exists(name))
    return found
