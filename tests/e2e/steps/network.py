"""The network between the server and the machine: a bridge, a tap and DHCP."""

import pathlib
import re
import subprocess

SERVER = "10.77.0.1"
PREFIX = "10.77.0.0/24"
TAP = "tap0"
MAC = "52:54:00:77:00:01"


def run(*words):
    subprocess.run(words, check=True)


def make():
    """A bridge with the server's address, and the machine's cable in it."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0", "stp_state", "0")
    run("ip", "address", "add", SERVER + "/24", "dev", "br0")
    run("ip", "link", "set", "br0", "up")
    run("ip", "tuntap", "add", "dev", TAP, "mode", "tap")
    run("ip", "link", "set", TAP, "master", "br0", "up")


class Dhcp:
    """dnsmasq that tells every kind of firmware where the rack is."""

    def __init__(self, folder, rack_files, loader, http_boot):
        self.leases = pathlib.Path(folder) / "leases"
        rack = "http://%s:5248" % SERVER
        lines = [
            "port=0", "interface=br0", "bind-interfaces", "no-ping", "log-dhcp", "no-hosts",
            "dhcp-leasefile=%s" % self.leases,
            "dhcp-range=10.77.0.100,10.77.0.150,255.255.255.0,10m",
            "dhcp-option=option:router,%s" % SERVER,
            "enable-tftp", "tftp-root=%s" % rack_files,
            "dhcp-userclass=set:ipxe,iPXE",
            "dhcp-match=set:bios,option:client-arch,0",
            "dhcp-match=set:efi,option:client-arch,7",
            "dhcp-match=set:efi,option:client-arch,9",
            "dhcp-match=set:http,option:client-arch,16",
            "dhcp-option-force=tag:http,60,HTTPClient",
            "dhcp-boot=tag:http,%s/images/bootx64.efi" % rack,
            "dhcp-boot=tag:efi,tag:!http,bootx64.efi",
        ]
        if loader == "pxelinux":
            lines += ["dhcp-boot=tag:bios,lpxelinux.0",
                      "dhcp-option-force=tag:bios,210,%s/" % rack]
        else:
            lines += ["dhcp-boot=tag:bios,tag:ipxe,%s/ipxe.cfg" % rack,
                      "dhcp-boot=tag:bios,tag:!ipxe,undionly.kpxe"]
        if http_boot:
            lines.append("dhcp-ignore=tag:efi")
        config = pathlib.Path(folder) / "dnsmasq.conf"
        config.write_text("\n".join(lines) + "\n")
        log = open(pathlib.Path(folder) / "dnsmasq.log", "wb")
        self.process = subprocess.Popen(
            ["dnsmasq", "--no-daemon", "--conf-file=%s" % config], stdout=log, stderr=log,
        )

    def address(self):
        """The machine's address by its newest lease: firmware, RAM disk and system each call
        themselves something else and get one each."""
        newest = (0, None)
        for line in self.leases.read_text().splitlines() if self.leases.exists() else []:
            match = re.match(r"(\d+) (\S+) (\S+) ", line)
            if match and match.group(2) == MAC:
                newest = max(newest, (int(match.group(1)), match.group(3)))
        return newest[1]
