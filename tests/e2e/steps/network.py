"""The network between the server and the machine: a bridge, a tap, and who answers on it."""

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


def advertise_router():
    """A router that speaks IPv6: iPXE waits a quarter of a minute for one at every boot."""
    run("ip", "address", "add", "fd77::1/64", "dev", "br0", "nodad")
    subprocess.Popen(
        ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=br0",
         "--bind-interfaces", "--enable-ra", "--dhcp-range=fd77::,ra-only,64,10m",
         "--ra-param=br0,5,600", "--leasefile-ro"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )


def dhcp_settings(loader, http_boot, rack_is_apart):
    """The part of the server's configuration that makes it answer on this network.

    MAAS's own switch chooses between the ways in which a machine could boot. A rack of its own
    has the address on this network, and the region's one keeps to itself.
    """
    disabled = []
    if loader == "pxelinux":
        disabled.append("ipxe")
    if http_boot:
        disabled.append("uefi_amd64_tftp")
    if rack_is_apart:
        listen = 'rack_listen = "127.0.0.1:5248"\nnode_timeout_minutes = 10'
    else:
        listen = 'tftp_listen = "0.0.0.0:69"'
    return """
%s
dhcp = "dnsmasq"

[[dhcp_subnets]]
interface = "br0"
cidr = "%s"
ranges = ["10.77.0.100-10.77.0.150"]
gateway = "%s"
disabled_boot_architectures = %s
""" % (listen, PREFIX, SERVER, disabled)


def address_in(leases):
    """The machine's address by its newest lease: firmware, RAM disk and system each call
    themselves something else and get one each."""
    newest = (0, None)
    for line in leases.read_text().splitlines() if leases.exists() else []:
        match = re.match(r"(\d+) (\S+) (\S+) ", line)
        if match and match.group(2) == MAC:
            newest = max(newest, (int(match.group(1)), match.group(3)))
    return newest[1]
