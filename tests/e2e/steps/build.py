"""Builds what runs: the programs of this workspace and the images."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

from .say import Failure, say

E2E = pathlib.Path(__file__).resolve().parent.parent
WORKSPACE = E2E.parent.parent
STAND_IN = E2E.parent / "cloud_init" / "curtin"


def target_directory():
    named = os.environ.get("CARGO_TARGET_DIR")
    return pathlib.Path(named) if named else WORKSPACE / "target"


def program(name):
    return target_directory().resolve() / "debug" / name


def programs():
    say("builds maas-server and sstream")
    # With the words of the test command: what that has built is not built again.
    words = ["cargo", "build", "--quiet", "--workspace", "--all-features", "--bins"]
    if subprocess.run(words, check=False, cwd=WORKSPACE).returncode != 0:
        raise Failure("cargo does not build them")


def images_version():
    """What the images are made by: other scripts make other images."""
    digest = hashlib.sha256()
    for path in sorted((E2E / "image").rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(E2E)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def images_folder(work):
    return work / ("images-" + images_version())


def images(work, firmware):
    """Old ones are removed: they are large and nobody asks for them again."""
    folder = images_folder(work)
    for old in work.glob("images-*"):
        if old != folder:
            shutil.rmtree(old)
    words = [str(E2E / "image" / "build"), str(folder), firmware]
    if subprocess.run(words, check=False).returncode != 0:
        raise Failure("the images were not built; logs are in %s" % folder)


def curtin_pack(path):
    """The installer as the server hands it out: the stand-in, or the tree of CURTIN_TREE."""
    tree = os.environ.get("CURTIN_TREE")
    with tarfile.open(path, "w") as pack:
        if tree:
            tree = pathlib.Path(tree)
            if not (tree / "bin" / "curtin").is_file():
                raise Failure("CURTIN_TREE=%s has no bin/curtin" % tree)
            for name in ("curtin", "helpers"):
                if (tree / name).exists():
                    pack.add(tree / name, name)
            pack.add(tree / "bin" / "curtin", "bin/curtin-itself")
            pack.add(E2E / "curtin" / "without-archive", "bin/curtin")
            return "curtin of CURTIN_TREE"
        pack.add(E2E / "curtin" / "curtin", "bin/curtin")
        pack.add(STAND_IN, "stand_in.py")
        for name in ("disk.py", "storage.py"):
            pack.add(E2E / "curtin" / name, name)
    return "the stand-in"


def records(firmware):
    """The images as items of simplestreams, in the products of MAAS's own streams."""
    version = "20261122"
    listed = []

    def item(content, product, name, path, **fields):
        listed.append(dict(
            content_id=content, product_name=product, version_name=version, item_name=name,
            ftype=fields.pop("ftype", name), path=path, **fields,
        ))

    images_id = "com.ubuntu.maas:stable:v3:download"
    # The region runs ephemeral systems by the name of Ubuntu; this one is made from Debian.
    noble = dict(
        arch="amd64", kflavor="generic", krel="noble", label="stable", os="ubuntu",
        release="noble", release_codename="Debian in Ubuntu's place", release_title="24.04 LTS",
        subarch="ga-24.04", subarches="generic,ga-24.04", support_eol="2029-05-31",
        version="24.04",
    )
    product = "com.ubuntu.maas.stable:v3:boot:24.04:amd64:ga-24.04"
    # Of an emulated processor nobody steals secrets, and the defences cost it dearly; on a busy
    # host its timer may fail the check at boot.
    parameters = "console=tty0 console=ttyS0 nokaslr norandmaps mitigations=off no_timer_check"
    for name in ("boot-kernel", "boot-initrd", "squashfs"):
        more = {"kpackage": "linux-image-cloud-amd64", "kparams": parameters}
        item(images_id, product, name, "ephemeral/" + name, **noble,
             **(more if name == "boot-kernel" else {}))
    bookworm = dict(
        arch="amd64", label="stable", os="debian", release="bookworm",
        release_title="Debian 12", subarch="generic", subarches="generic", version="12",
    )
    item(images_id, "com.ubuntu.maas.stable:debian12:amd64", "squashfs",
         "target-%s/squashfs" % firmware, **bookworm)
    loaders_id = "com.ubuntu.maas:stable:1:bootloader-download"
    for os_name, kind, arch, package in (
        ("grub-efi-signed", "uefi", "amd64", "grub2-signed"),
        ("pxelinux", "pxe", "i386", "syslinux"),
    ):
        item(loaders_id, "com.ubuntu.maas.stable:1:%s:%s:%s" % (os_name, kind, arch), package,
             "loaders/%s.tar.xz" % kind, ftype="archive.tar.xz", arch=arch, arches=arch,
             label="stable", os=os_name, src_package=package, src_release="bookworm",
             src_version="1", **{"bootloader-type": kind})
    return listed


def stream(work, run, firmware):
    """Publishes the images; returns the stream's directory and the keyring."""
    folder = images_folder(work)
    secret, public = run / "mirror.key", run / "mirror.gpg"
    sstream = str(program("sstream"))
    subprocess.run([sstream, "keygen", "--user-id", "End-to-end <e2e@example.com>",
                    "--secret", secret, "--public", public], check=True,
                   stdout=subprocess.DEVNULL)
    (run / "items.json").write_text(json.dumps(records(firmware), indent=1))
    tree = run / "stream"
    subprocess.run([sstream, "build", "--key", secret, "--files", folder, "-o", tree,
                    run / "items.json"], check=True, stdout=subprocess.DEVNULL)
    return tree, public
