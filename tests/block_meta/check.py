"""What a storage configuration promises, against what curtin left on the disks."""

# What GPT and MBR call a partition of each flag; any other partition has none of these.
GPT = {
    "boot": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
    "bios_grub": "21686148-6449-6e6f-744e-656564454649",
    "prep": "9e1a2d38-c612-4316-aa26-8b49521e5a8b",
}
SPECIAL = ("tmpfs", "ramfs")


def size(text):
    return int(str(text).removesuffix("B"))


class Found:
    """What was there after one case; `wrong` collects what is not as it was asked for."""

    def __init__(self, result, config):
        self.result = result
        self.config = {entry["id"]: entry for entry in config}
        self.wrong = []

    def expect(self, entry, what, asked, found):
        if asked != found:
            self.wrong.append("%s %s: %s is %r, not %r" % (
                entry["type"], entry["id"], what, found, asked))

    def path(self, identifier):
        return self.result["ids"].get(identifier)

    def device(self, identifier):
        return self.result["devices"].get(self.path(identifier), {})

    def disk(self, entry):
        device = self.device(entry["id"])
        self.expect(entry, "serial", entry.get("serial"), device.get("serial"))
        if "ptable" in entry:
            asked = "gpt" if entry["ptable"] == "gpt" else "dos"
            self.expect(entry, "ptable", asked, device.get("pttype"))

    def partition(self, entry):
        device, flag = self.device(entry["id"]), entry.get("flag")
        self.expect(entry, "number", int(entry["number"]), int(device.get("number") or 0))
        if flag == "extended":
            return
        self.expect(entry, "size", size(entry["size"]), int(device.get("size") or 0))
        # `offset` is not compared: curtin's storage version 1 does not read it, and puts partitions
        # one behind the other from the first MiB on. What counts is that they all have room.
        self.expect(entry, "start", 0, int(device.get("start") or 1) * 512 % (1 << 20))
        kind = (device.get("parttype") or "").lower()
        if self.config[entry["device"]]["ptable"] == "gpt":
            if flag in GPT:
                self.expect(entry, "kind", GPT[flag], kind)
            elif kind in GPT.values():
                self.expect(entry, "kind", "none with a flag", kind)

    def format(self, entry):
        device = self.device(entry["volume"])
        kind = {"fat32": "vfat", "fat16": "vfat"}.get(entry["fstype"], entry["fstype"])
        self.expect(entry, "fstype", kind, device.get("fstype"))
        if "uuid" in entry and kind != "vfat":
            self.expect(entry, "uuid", entry["uuid"], device.get("uuid"))
        if entry.get("label"):
            self.expect(entry, "label", entry["label"], device.get("label"))

    def raid(self, entry):
        device = self.device(entry["id"])
        level = "raid%s" % str(entry["raidlevel"]).removeprefix("raid")
        self.expect(entry, "level", level, device.get("raid_level"))
        members = [self.path(one) or "" for one in entry["devices"]]
        self.expect(entry, "members", sorted(one.rpartition("/")[2] for one in members),
                    sorted(device.get("members", [])))

    def lvm_partition(self, entry):
        device = self.device(entry["id"])
        self.expect(entry, "type", "lvm", device.get("type"))
        if "size" in entry:
            self.expect(entry, "size", size(entry["size"]), int(device.get("size") or 0))

    def dm_crypt(self, entry):
        device, below = self.device(entry["id"]), self.device(entry["volume"])
        self.expect(entry, "type", "crypt", device.get("type"))
        self.expect(entry, "what it lies on", "crypto_LUKS", below.get("fstype"))

    def bcache(self, entry):
        device = self.device(entry["id"])
        self.expect(entry, "is there", True, bool(device))
        modes = device.get("cache_mode", "")
        self.expect(entry, "cache mode", "[%s]" % entry["cache_mode"],
                    next((word for word in modes.split() if word.startswith("[")), modes))

    def mount(self, entry):
        path = entry.get("path")
        if entry.get("fstype") in SPECIAL:
            self.expect(entry, "fstab", True, any(
                line.split()[1:3] == [path, entry["fstype"]] for line in self.table()))
            return
        form = self.config[entry["device"]]
        if form["fstype"] == "swap":
            self.expect(entry, "fstab", True,
                        any(line.split()[2:3] == ["swap"] for line in self.table()))
            return
        target = ("/target" + path).rstrip("/")
        here = {one["target"]: one["source"] for one in self.result["mounts"]}
        source = here.get(target, "")
        devices = self.result["devices"]
        asked = devices.get(self.path(form["volume"]), {}).get("uuid")
        self.expect(entry, "mounted", asked, devices.get(source, {}).get("uuid"))
        self.expect(entry, "fstab", True,
                    any(line.split()[1:2] == [path] for line in self.table()))

    def table(self):
        lines = self.result["fstab"].splitlines()
        return [line for line in lines if line.strip() and not line.startswith("#")]


def problems(result, config):
    """Everything that is not as the configuration says; nothing when all is."""
    if result["code"] != 0:
        return ["curtin ended with %s:\n%s" % (result["code"], result["log"][-3000:])]
    found = Found(result, config)
    # A group has no device of its own.
    kinds = {"disk", "partition", "format", "raid", "lvm_partition", "bcache", "dm_crypt", "mount"}
    for entry in config:
        if entry["type"] in kinds:
            getattr(found, entry["type"])(entry)
        elif entry["type"] != "lvm_volgroup":
            found.wrong.append("%s: nobody looks at a %s" % (entry["id"], entry["type"]))
    return found.wrong
