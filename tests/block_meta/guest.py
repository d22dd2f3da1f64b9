"""In the emulated machine: the real `curtin block-meta` for every case, and what is there after it.

Reads /cases/NAME/curtin.yaml; writes one JSON document a line to the second serial port.
"""

import glob
import json
import os
import pathlib
import subprocess
import time

TARGET = "/target"
# For one case, on a busy host. libparted waits up to two minutes for udev, which in turn waits for
# the lock that curtin has on the disk while parted writes an MBR label.
SECONDS = 600
COLUMNS = "PATH,TYPE,SIZE,FSTYPE,LABEL,UUID,PTTYPE,PARTTYPE,SERIAL"


def output(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout.decode(errors="replace")


def quiet(*words):
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def block_meta(case):
    """Exit code and log of curtin for one case."""
    work = pathlib.Path("/work")
    for name in ("scratch", "state"):
        (work / name).mkdir(parents=True, exist_ok=True)
    os.makedirs(TARGET, exist_ok=True)
    # The only key of ours: where curtin leaves which device became of which id.
    (work / "map.yaml").write_text("storage: {device_map_path: /work/map.json}\n")
    environment = dict(
        os.environ, WORKING_DIR=str(work / "scratch"), TARGET_MOUNT_POINT=TARGET,
        OUTPUT_FSTAB=str(work / "fstab"), OUTPUT_INTERFACES=str(work / "interfaces"),
        OUTPUT_NETWORK_STATE=str(work / "network-state"), CONFIG=str(case / "curtin.yaml"),
        OUTPUT_NETWORK_CONFIG=str(work / "network"), PYTHONPATH="/curtin",
        CURTIN_REPORTSTACK="block-meta",
    )
    for name in ("fstab", "map.json"):
        (work / name).unlink(missing_ok=True)
    words = ["python3", "-m", "curtin", "-vv", "-c", str(case / "curtin.yaml"),
             "-c", str(work / "map.yaml"), "block-meta", "custom"]
    log = work / "log"
    with open(log, "wb") as file:
        try:
            done = subprocess.run(words, env=environment, stdout=file, stderr=subprocess.STDOUT,
                                  check=False, timeout=SECONDS)
            code = done.returncode
        except subprocess.TimeoutExpired:
            code = "not done after %d s" % SECONDS
    return code, log.read_text(errors="replace")


def read(path):
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return ""


def found():
    """The block devices, the mounts and the table of file systems, as this system sees them."""
    quiet("udevadm", "settle")
    devices = {}
    for line in json.loads(output("lsblk", "-J", "-b", "-l", "-o", COLUMNS) or '{"blockdevices":[]}')[
            "blockdevices"]:
        devices[os.path.realpath(line["path"])] = line
    for path, device in devices.items():
        folder = "/sys/class/block/" + os.path.basename(os.path.realpath(path))
        device["raid_level"] = read(folder + "/md/level")
        device["members"] = [os.path.basename(one) for one in glob.glob(folder + "/slaves/*")]
        device["start"] = read(folder + "/start")
        device["number"] = read(folder + "/partition")
        device["cache_mode"] = read(folder + "/bcache/cache_mode")
    mounts = json.loads(output("findmnt", "-J", "-l", "-o", "TARGET,SOURCE,FSTYPE,OPTIONS"))
    try:
        ids = json.loads(read("/work/map.json") or "{}")
    except ValueError:
        ids = {}
    for mount in mounts["filesystems"]:
        if mount["source"].startswith("/dev/"):
            mount["source"] = os.path.realpath(mount["source"].split("[")[0])
    return {
        "devices": devices, "fstab": read("/work/fstab"),
        "ids": {name: os.path.realpath(path) for name, path in ids.items() if path},
        "mounts": [one for one in mounts["filesystems"] if one["target"].startswith(TARGET)],
        "swaps": output("swapon", "--show=NAME", "--noheadings").split(),
    }


def tidy():
    """Empty disks for the next case."""
    quiet("umount", "-R", TARGET)
    quiet("swapoff", "-a")
    for _ in range(2):
        quiet("vgchange", "-an")
        for path in glob.glob("/dev/mapper/*"):
            if not path.endswith("/control"):
                quiet("dmsetup", "remove", "--force", os.path.basename(path))
        quiet("mdadm", "--stop", "--scan")
        for path in glob.glob("/sys/block/bcache*/bcache/stop"):
            quiet("sh", "-c", "echo 1 > " + path)
        for path in glob.glob("/sys/fs/bcache/*/stop"):
            quiet("sh", "-c", "echo 1 > " + path)
        quiet("udevadm", "settle")
    for disk in glob.glob("/dev/vd?"):
        quiet("blkdiscard", "-f", disk)
        quiet("partx", "-d", disk)
    quiet("udevadm", "settle")


def main():
    results = open("/dev/ttyS1", "w")
    for case in sorted(pathlib.Path("/cases").iterdir()):
        began = time.monotonic()
        code, log = block_meta(case)
        document = {"case": case.name, "code": code, "log": log[-60000:] if code else ""}
        document.update(found())
        document["seconds"] = round(time.monotonic() - began, 1)
        results.write(json.dumps(document) + "\n")
        results.flush()
        print("%s: %s, %.1f s" % (case.name, code, document["seconds"]), flush=True)
        tidy()
    results.write('{"end": true}\n')
    results.flush()


main()
