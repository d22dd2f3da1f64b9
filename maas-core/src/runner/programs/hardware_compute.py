"""Processors and memory."""

import os
import platform
import re


def processors(tree):
    base = "/sys/devices/system/cpu"
    names, frequencies = cpuinfo(tree)
    nodes = {}
    for node in tree.names("/sys/devices/system/node"):
        if re.match(r"^node\d+$", node):
            for number in cpu_list(tree.text("/sys/devices/system/node/%s/cpulist" % node)):
                nodes[number] = int(node[4:])
    sockets, total = {}, 0
    for name in tree.names(base):
        if not re.match(r"^cpu\d+$", name):
            continue
        number, folder = int(name[3:]), base + "/" + name
        online = tree.text(folder + "/online", "1") != "0"
        if not tree.exists(folder + "/topology") and number not in names:
            continue
        package = max(0, tree.number(folder + "/topology/physical_package_id"))
        core_id = tree.number(folder + "/topology/core_id", number)
        die = max(0, tree.number(folder + "/topology/die_id"))
        socket_ = sockets.setdefault(
            package, {"socket": package, "name": "", "vendor": "", "cores": {}, "mhz": []}
        )
        name_, vendor = names.get(number, ("", ""))
        socket_["name"] = socket_["name"] or name_
        socket_["vendor"] = socket_["vendor"] or vendor
        for key, file_ in (("frequency_turbo", "max"), ("frequency_minimum", "min")):
            khz = tree.number("%s/cpufreq/cpuinfo_%s_freq" % (folder, file_))
            if khz > 0:
                socket_[key] = max(socket_.get(key, 0), khz // 1000)
        mhz = tree.number(folder + "/cpufreq/scaling_cur_freq") // 1000
        mhz = mhz or frequencies.get(number, 0)
        if mhz:
            socket_["mhz"].append(mhz)
        core = socket_["cores"].setdefault(
            (die, core_id), {"core": core_id, "die": die, "threads": []}
        )
        if mhz:
            core["frequency"] = mhz
        core["threads"].append({
            "id": number, "numa_node": nodes.get(number, 0), "thread": len(core["threads"]),
            "online": online, "isolated": False,
        })
        total += 1 if online else 0
    listed = []
    for package in sorted(sockets):
        socket_ = sockets[package]
        mhz = socket_.pop("mhz")
        if mhz:
            socket_["frequency"] = sum(mhz) // len(mhz)
        socket_["cores"] = [socket_["cores"][key] for key in sorted(socket_["cores"])]
        listed.append(socket_)
    return {
        "architecture": platform.machine(), "total": total or os.cpu_count() or 1,
        "sockets": listed,
    }


def cpuinfo(tree):
    """Model, vendor and MHz of each processor in /proc/cpuinfo."""
    names, frequencies = {}, {}
    number = 0
    vendor = ""
    for line in tree.text("/proc/cpuinfo").splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "processor" and value.isdigit():
            number, vendor = int(value), ""
            names.setdefault(number, ("", ""))
        elif key == "vendor_id":
            vendor = value
        elif key in ("model name", "Model", "cpu"):
            names[number] = (value, vendor)
        elif key in ("cpu MHz", "clock"):
            match = re.match(r"^\d+", value)
            if match:
                frequencies[number] = int(match.group())
    return names, frequencies


def cpu_list(text):
    """Numbers of `0-3,8`."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.strip().isdigit():
            found += range(int(first), int(last or first) + 1)
    return found


def kib(text, key):
    match = re.search(r"^(?:Node \d+ )?%s:\s+(\d+)(?: kB)?$" % re.escape(key), text, re.M)
    return int(match.group(1)) if match else 0


def memory(tree):
    info = tree.text("/proc/meminfo")
    page = kib(info, "Hugepagesize") * 1024
    total = installed_memory(tree) or kib(info, "MemTotal") * 1024
    nodes = []
    for node in tree.names("/sys/devices/system/node"):
        if not re.match(r"^node\d+$", node):
            continue
        own = tree.text("/sys/devices/system/node/%s/meminfo" % node)
        pages = kib(own, "HugePages_Total")
        nodes.append({
            "numa_node": int(node[4:]), "total": kib(own, "MemTotal") * 1024,
            "used": kib(own, "MemUsed") * 1024, "hugepages_total": pages * page,
            "hugepages_used": (pages - kib(own, "HugePages_Free")) * page,
        })
    if len(nodes) == 1:
        nodes[0]["total"] = total
    pages = kib(info, "HugePages_Total")
    return {
        "nodes": nodes, "total": total,
        "used": max(0, (kib(info, "MemTotal") - kib(info, "MemAvailable")) * 1024),
        "hugepages_size": page, "hugepages_total": pages * page,
        "hugepages_used": (pages - kib(info, "HugePages_Free")) * page,
    }


def installed_memory(tree):
    """Bytes of the memory blocks: the kernel's own share, that meminfo leaves out, included."""
    base = "/sys/devices/system/memory"
    size = tree.number(base + "/block_size_bytes", base=16)
    blocks = [name for name in tree.names(base) if re.match(r"^memory\d+$", name)]
    online = [name for name in blocks if tree.text("%s/%s/online" % (base, name), "1") == "1"]
    return size * len(online)
