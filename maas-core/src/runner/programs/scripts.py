"""Scripts as the region sends them, and what came of them."""

import io
import json
import os
import shlex
import shutil
import tarfile
import tempfile

from settings import read_text, simple_mappings

# What is beyond is cut off, with a note; the second limit is for a region that refused the first.
OUTPUT_LIMITS = (8 * 1024 * 1024, 64 * 1024)
# cpu, memory, storage, network, gpu; scripts of the node as a whole come last.
HARDWARE_ORDER = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 0: 5}
KINDS = (
    ("commissioning_scripts", "commissioning", "COMMISSIONING"),
    ("testing_scripts", "testing", "TESTING"),
    ("release_scripts", "release", "RELEASING"),
    ("deployment_scripts", "deployment", "DEPLOYING"),
)


class Script:
    """One script to be run, and afterwards what came of it."""

    def __init__(self, item, kind, root, folder):
        self.name = item["name"]
        self.kind = kind
        self.path = os.path.join(root, item["path"])
        self.result_id = item.get("script_result_id")
        self.version_id = item.get("script_version_id")
        self.timeout = float(item.get("timeout_seconds") or 0)
        self.parallel = int(item.get("parallel") or 0)
        self.hardware_type = int(item.get("hardware_type") or 0)
        self.parameters = item.get("parameters") or {}
        self.packages = item.get("packages") or {}
        self.has_started = bool(item.get("has_started"))
        self.has_finished = bool(item.get("has_finished"))
        self.tags = item.get("tags") or []
        suffix = self.name + ("" if self.result_id is None else "." + str(self.result_id))
        self.combined = os.path.join(folder, suffix)
        self.stdout = self.combined + ".out"
        self.stderr = self.combined + ".err"
        self.result = self.combined + ".yaml"
        self.bmc_config = self.combined + ".bmc"
        self.download = os.path.join(folder, "download-" + suffix)
        self.exit_status = None
        self.runtime = None
        self.power = None

    @property
    def key(self):
        return self.name if self.result_id is None else (self.name, self.result_id)

    @property
    def order(self):
        return (HARDWARE_ORDER.get(self.hardware_type, 9), self.name, str(self.result_id))

    @property
    def passed(self):
        # A script that skips itself says so in its result document and exits with 0.
        return self.exit_status == 0

    def files(self, limit):
        """What it wrote, as (name, bytes)."""
        found = []
        for name, path in (
            (self.name, self.combined),
            (self.name + ".out", self.stdout),
            (self.name + ".err", self.stderr),
            (self.name + ".yaml", self.result),
        ):
            try:
                with open(path, "rb") as stream:
                    content = stream.read(limit + 1)
            except OSError:
                continue
            if len(content) > limit:
                content = content[:limit] + b"\n[output cut off by the runner]\n"
            found.append((name, content))
        return found

    def arguments(self):
        """Parameters as command line arguments."""
        found = []
        for key, parameter in sorted(self.parameters.items()):
            if not isinstance(parameter, dict):
                found.append("--%s=%s" % (key, parameter))
                continue
            kind = parameter.get("type", "")
            value = parameter.get("value", parameter.get("default"))
            if value is None or value == "":
                continue
            words = {"input": value, "name": "", "path": "", "model": "", "serial": ""}
            form = parameter.get("argument_format")
            if isinstance(value, dict):
                words.update({k: v for k, v in value.items() if isinstance(v, (str, int, float))})
            if kind == "storage":
                words["path"] = disk_path(words)
                form = form or "--storage={path}"
            elif kind == "interface":
                form = form or "--interface={name}"
            form = form or "--%s={input}" % key
            for word, replacement in words.items():
                form = form.replace("{%s}" % word, shlex.quote(str(replacement)))
            found += shlex.split(form)
        return found


def disk_path(words):
    """The device of a disk that the region names; kernel names may differ between boots."""
    path = words.get("id_path") or ""
    if path and os.path.exists(path):
        return path
    serial = str(words.get("serial") or "")
    if serial and os.path.isdir("/sys/block"):
        for name in sorted(os.listdir("/sys/block")):
            for place in ("serial", "device/serial", "device/vpd_pg80"):
                if read_text("/sys/block/%s/%s" % (name, place)).strip("\0 ").endswith(serial):
                    return "/dev/" + name
    return path or "/dev/" + str(words.get("name") or words.get("input") or "")


class Bundle:
    """The scripts of one maas-scripts answer."""

    def __init__(self, archive, folder):
        self.root = tempfile.mkdtemp(dir=folder)
        outputs = os.path.join(folder, "out")
        os.makedirs(outputs, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:*") as tar:
            for member in tar.getmembers():
                self.unpack(tar, member)
        earlier = os.path.join(self.root, "out")
        if os.path.isdir(earlier):
            for name in os.listdir(earlier):
                target = os.path.join(outputs, name)
                if not os.path.exists(target):
                    shutil.copyfile(os.path.join(earlier, name), target)
        index = json.loads(read_text(os.path.join(self.root, "index.json")) or "{}").get("1.0", {})
        self.scripts = {
            kind: [Script(item, kind, self.root, outputs) for item in index.get(group) or []]
            for group, kind, _ in KINDS
        }

    @property
    def is_anonymous(self):
        """Whether the region sent what it sends to machines it does not know."""
        return any(s.result_id is None for scripts in self.scripts.values() for s in scripts)

    def unpack(self, tar, member):
        """One plain file below the folder; anything else has no business in the archive."""
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if not member.isfile() or not parts or ".." in parts:
            return
        target = os.path.join(self.root, *parts)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with tar.extractfile(member) as source, open(target, "wb") as sink:
            shutil.copyfileobj(source, sink)
        os.chmod(target, 0o755 if member.mode & 0o100 else 0o644)


def bmc_settings(text):
    """The BMC that a script found, or nothing."""
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        found = {path[0]: v for path, v in simple_mappings(text).items() if len(path) == 1}
    return found if isinstance(found, dict) and found.get("power_type") else None
