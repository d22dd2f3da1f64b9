"""A real disk: what a storage, network and boot configuration of curtin becomes on it."""

import http.client
import os
import re
import subprocess
import sys
import time
import urllib.request

import yaml

from stand_in import check_network, check_storage, cloudconfig
from storage import Storage

# What a command in the installed system needs of the running one.
SHARED = ("dev", "proc", "run", "sys")
EFIVARS = "sys/firmware/efi/efivars"


def run(*words, **more):
    print("+ " + " ".join(words), flush=True)
    return subprocess.run(words, check=True, **more)


def in_target(root, words, **more):
    """Runs a command in the installed system, which sees the running one's devices."""
    mounted = []
    try:
        for name in SHARED:
            run("mount", "--bind", "/" + name, root + "/" + name)
            mounted.append(name)
        if os.path.isdir("/" + EFIVARS) and os.listdir("/" + EFIVARS):
            run("mount", "--bind", "/" + EFIVARS, root + "/" + EFIVARS)
            mounted.append(EFIVARS)
        environment = dict(
            os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C.UTF-8",
            PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        return run("chroot", root, *words, env=environment, **more)
    finally:
        for name in reversed(mounted):
            run("umount", root + "/" + name)


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as stream:
        stream.write(text)
    os.chmod(path, mode)


class RealDisk:
    """Partitions, file systems, files and a boot loader on the machine's own disks."""

    def __init__(self, root):
        self.root = root
        self.storage = None

    def does_not_run(self, command):
        return False

    def partition(self, config):
        check_storage(config.get("storage"))
        self.storage = Storage(config["storage"]["config"])
        self.storage.make()
        self.storage.mount(self.root)

    def network(self, config):
        check_network(config.get("network"))

    def extract(self, source):
        kind, _, rest = source.partition(":")
        if kind == "cp":
            self.copy(rest[2:])
        elif kind in ("fsimage", "squashfs"):
            image = "/run/image.squashfs"
            fetch(rest, image)
            # Half the time of a copy from where it is mounted.
            run("unsquashfs", "-no-progress", "-quiet", "-force", "-dest", self.root, image)
            os.unlink(image)
        elif kind in ("tgz", "tbz", "txz") or source.endswith((".tar.gz", ".tgz")):
            self.unpack(rest if kind in ("tgz", "tbz", "txz") else source, kind)
        else:
            raise ValueError("the stand-in does not install from %s" % source)

    def copy(self, tree):
        run("rsync", "--archive", "--hard-links", "--acls", "--xattrs", "--sparse",
            "--one-file-system", tree + "/", self.root + "/")

    def unpack(self, url, kind):
        letter = {"tbz": "--bzip2", "txz": "--xz"}.get(kind, "--gzip")
        words = ["tar", "--extract", letter, "--xattrs", "--xattrs-include=*",
                 "--numeric-owner", "--directory", self.root]
        with subprocess.Popen(words, stdin=subprocess.PIPE) as tar:
            fetch_into(url, tar.stdin)
            tar.stdin.close()
            if tar.wait() != 0:
                raise ValueError("tar ended with %d" % tar.returncode)

    def configure(self, config):
        for name in SHARED:
            os.makedirs("%s/%s" % (self.root, name), exist_ok=True)
        write(self.root + "/etc/fstab", self.storage.fstab())
        cloudconfig(config, self.root)
        # As curtin does where cloud-init knows networks: handed on, cloud-init renders it.
        write(
            self.root + "/etc/cloud/cloud.cfg.d/50-curtin-networking.cfg",
            yaml.safe_dump({"network": config["network"]}), 0o600,
        )
        for name, text in sorted((config.get("write_files") or {}).items()):
            path = self.root + "/" + text["path"].lstrip("/")
            write(path, text["content"], int(str(text.get("permissions", "0644")), 8))
        for _, text in sorted((config.get("debconf_selections") or {}).items()):
            in_target(self.root, ["debconf-set-selections"], input=text.encode())
        if (config.get("kernel") or {}).get("install", True):
            raise ValueError("the stand-in installs no kernel package: the image brings its own")
        self.grub(config)

    def grub(self, config):
        with open("/proc/cmdline") as stream:
            _, _, kept = stream.read().partition(" --- ")
        # The loader's own parameters come after those of the region.
        kept = re.sub(r"\b(BOOTIF|initrd)=\S+", "", kept).strip()
        if kept:
            write(self.root + "/etc/default/grub.d/50-curtin-settings.cfg",
                  'GRUB_CMDLINE_LINUX_DEFAULT="%s"\n' % kept)
        if self.storage.needs_initramfs:
            if self.storage.arrays:
                listed = run("mdadm", "--detail", "--scan", stdout=subprocess.PIPE).stdout
                write(self.root + "/etc/mdadm/mdadm.conf", listed.decode())
            in_target(self.root, ["update-initramfs", "-u", "-k", "all"])
        if os.path.isdir("/sys/firmware/efi"):
            # Also where a disk without an entry in the firmware is looked at.
            for more in (["--bootloader-id=debian"], ["--removable"]):
                in_target(self.root, [
                    "grub-install", "--target=x86_64-efi", "--efi-directory=/boot/efi",
                    "--no-nvram", "--recheck",
                ] + more)
        else:
            for disk in self.storage.grub_disks():
                in_target(self.root, ["grub-install", "--target=i386-pc", "--recheck", disk])
        in_target(self.root, ["update-grub"])

    def finish(self):
        self.storage.unmount(self.root)


def fetch(url, path):
    with open(path, "wb") as stream:
        fetch_into(url, stream)


def fetch_into(url, stream):
    """Goes on where a broken transfer ended: a rack may be started anew meanwhile."""
    had, expected, complaint = 0, None, None
    for pause in (1, 2, 4, 8, 16, 0):
        try:
            request = urllib.request.Request(url, headers={"Range": "bytes=%d-" % had})
            with urllib.request.urlopen(request, timeout=60) as reply:
                rest = int(reply.headers["Content-Length"])
                if expected is None:
                    expected = rest
                if reply.status != 206 or had + rest != expected:
                    raise ValueError("%s: %d bytes with %d, not the rest of %d after %d"
                                     % (url, rest, reply.status, expected, had))
                for chunk in iter(lambda: reply.read(1 << 20), b""):
                    stream.write(chunk)
                    had += len(chunk)
            if had == expected:
                print("fetched %d bytes of %s" % (had, url), file=sys.stderr, flush=True)
                return
            complaint = "it ended after %d of %d bytes" % (had, expected)
        except (OSError, http.client.HTTPException) as error:
            complaint = str(error)
        print("%s: %s; again in %d s" % (url, complaint, pause), file=sys.stderr, flush=True)
        time.sleep(pause)
    raise ValueError("%s: %s" % (url, complaint))
