"""Makes an unknown machine known to the region."""

import json
import os
import re
import subprocess
import urllib.parse

from settings import Credentials, RunnerError, maas_settings, read_text, say

# Some virtual USB NICs of BMCs share this address between machines.
SHARED_MACS = ("02:00:00:00:00:02",)


def architecture():
    """The Debian name of the architecture."""
    try:
        done = subprocess.run(
            ["dpkg", "--print-architecture"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        name = done.stdout.decode().strip()
        if done.returncode == 0 and name:
            return name
    except OSError:
        pass
    names = {
        "x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64el", "armv7l": "armhf",
        "i686": "i386", "i586": "i386", "i386": "i386",
    }
    return names.get(os.uname().machine, os.uname().machine)


def boot_mac(cmdline=None):
    """The MAC address the boot loader names in BOOTIF."""
    if cmdline is None:
        cmdline = os.environ.get("DEBUG_PROC_CMDLINE") or read_text("/proc/cmdline")
    match = re.search(r"(?:^|\s)BOOTIF=(?:01-)?((?:[0-9a-fA-F]{2}[-:]){5}[0-9a-fA-F]{2})", cmdline)
    return match.group(1).lower().replace("-", ":") if match else None


def mac_addresses(root="/sys/class/net", first=None):
    """MAC addresses of the Ethernet ports, the one it booted from first."""
    ports, others = [], []
    try:
        names = sorted(os.listdir(root))
    except OSError:
        names = []
    for name in names:
        folder = os.path.join(root, name)
        mac = (read_text(folder + "/bonding_slave/perm_hwaddr") or read_text(folder + "/address"))
        mac = mac.lower()
        is_ethernet = read_text(folder + "/type") == "1"
        if not is_ethernet or not re.match(r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$", mac):
            continue
        if mac in SHARED_MACS or mac == "00:00:00:00:00:00":
            continue
        (ports if os.path.exists(folder + "/device") else others).append(mac)
    found = ([first] if first else []) + (ports or ([] if first else others))
    return sorted(set(found), key=found.index)


class Enlistment:
    """Makes an unknown machine known."""

    def __init__(self, client):
        self.client = client
        self.api = client.credentials.origin + "/MAAS/api/2.0/machines/"
        self.macs = mac_addresses(first=boot_mac())

    def is_registered(self):
        if not self.macs:
            raise RunnerError("found no network interface to enlist with")
        query = urllib.parse.urlencode(
            {"op": "is_registered", "mac_address": ",".join(self.macs)}
        )
        return json.loads(self.client.request(self.api + "?" + query, signed=False).text()) is True

    def create(self, commission, power):
        """Adds the machine; gives its credentials."""
        fields = {
            "architecture": architecture(),
            "mac_addresses": ",".join(self.macs),
            "commission": str(commission),
        }
        with_power = dict(fields)
        if power:
            with_power["power_type"] = power["power_type"]
            with_power["power_parameters"] = json.dumps(
                {key: value for key, value in power.items() if key != "power_type"}
            )
        try:
            machine = self.post(with_power)
        except RunnerError:
            if not power:
                raise
            say("trying again without the BMC")
            machine = self.post(fields)
        system_id = machine["system_id"]
        say("enlisted as " + system_id)
        preseed = self.client.request(
            "%s/MAAS/metadata/latest/by-id/%s/?op=get_preseed"
            % (self.client.credentials.origin, system_id),
            signed=False,
        ).text()
        return Credentials(maas_settings(preseed))

    def post(self, fields):
        reply = self.client.request(
            self.api, urllib.parse.urlencode(fields).encode(),
            "application/x-www-form-urlencoded", signed=False,
        )
        return json.loads(reply.text())
