"""Drives a region with python-libmaas, as its users do.

    libmaas.py REGION_URL API_KEY USERNAME PASSWORD

Expects at least three machines that enlisted themselves (status New) and whose power can be
switched. Prints one line a check and exits with 1 when any failed. Two checks can only fail: they
are libmaas's own defects, which also occur against MAAS, and are listed in KNOWN.
"""

import io
import sys
import time
import traceback

from maas.client import connect, login
from maas.client.enum import (
    BlockDeviceType,
    CacheMode,
    InterfaceType,
    IPRangeType,
    LinkMode,
    NodeStatus,
    PowerState,
    RaidLevel,
)
from maas.client.viscera.boot_resources import BootResourceFileType

# What libmaas 0.6.8 cannot do against any server.
KNOWN = {
    "partition table type": "its enum is lower case, the API's word is upper case",
}

failed = []
passed = 0


class Check:
    """One named step; whatever it raises is its failure."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        global passed
        if kind is None:
            passed += 1
            print("ok    ", self.name)
        elif issubclass(kind, (KeyboardInterrupt, SystemExit)):
            return False
        elif self.name in KNOWN:
            print("known ", self.name + ":", KNOWN[self.name])
        else:
            failed.append(self.name)
            print("FAILED", self.name)
            content = getattr(error, "content", None)
            if content:
                print("       ", content.decode("utf-8", "replace")[:500])
            traceback.print_exception(kind, error, trace, limit=-4, file=sys.stdout)
        sys.stdout.flush()
        return True


def expect(found, wanted):
    if found != wanted:
        raise AssertionError("found %r, expected %r" % (found, wanted))


def refused(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except (AttributeError, NameError, TypeError):
        raise  # This program's own fault, or a missing resource.
    except Exception as error:
        return error
    raise AssertionError("not refused")


def wait_for(what, condition, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("never: " + what)


def session(url, key, username, password):
    with Check("login with a password"):
        by_password = login(url, username=username, password=password)
        expect(by_password.users.whoami().username, username)
    with Check("login with a wrong password is refused"):
        refused(login, url, username=username, password=password + "x")
    with Check("connect with a wrong key is refused"):
        wrong = connect(url, apikey="a" * 18 + ":" + "b" * 18 + ":" + "c" * 32)
        refused(wrong.users.whoami)
    client = connect(url, apikey=key)
    with Check("who am I"):
        me = client.users.whoami()
        expect((me.username, me.is_admin), (username, True))
    with Check("version"):
        version = client.version.get()
        expect(version.version.split(".")[0].isdigit(), True)
        expect("network-deployment-ubuntu" in version.capabilities, True)
    with Check("credentials are made and deleted"):
        credentials = client.account.create_credentials()
        second = connect(url, apikey=str(credentials))
        expect(second.users.whoami().username, username)
        client.account.delete_credentials(credentials)
        refused(second.users.whoami)
    return client


def settings(client):
    maas = client._origin.MAAS if hasattr(client._origin, "MAAS") else client._origin.Maas
    getters = sorted(
        name[4:] for name in dir(maas) if name.startswith("get_") and name != "get_config"
    )
    for name in getters:
        with Check("setting %s is read, written back and the same" % name):
            value = getattr(maas, "get_" + name)()
            getattr(maas, "set_" + name)(value)
            expect(getattr(maas, "get_" + name)(), value)
    with Check("a setting is changed"):
        maas.set_kernel_options("console=ttyS0 quiet")
        expect(maas.get_kernel_options(), "console=ttyS0 quiet")
        maas.set_kernel_options("")
    with Check("an unknown setting is refused"):
        refused(maas.get_config, "no_such_setting")


def users_and_keys(client):
    with Check("a user is made"):
        user = client.users.create("bob", "bob's password", email="bob@example.com")
        expect((user.username, user.is_admin), ("bob", False))
        expect("bob" in [user.username for user in client.users.list()], True)
    with Check("an SSH key is added and read"):
        key = client.ssh_keys.create(
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4Vw5lUvyDXr2F5mQvXbHzqhK0l1b9rWv0Jg0Jz6aT me"
        )
        expect(client.ssh_keys.get(key.id).key, key.key)
        expect([other.id for other in client.ssh_keys.list()], [key.id])


def places(client):
    with Check("zones"):
        zone = client.zones.create("rack-a", description="first row")
        expect(client.zones.get("rack-a").description, "first row")
        zone.description = "second row"
        zone.save()
        expect(client.zones.get("rack-a").description, "second row")
        expect({"default", "rack-a"} <= {zone.name for zone in client.zones.list()}, True)
    with Check("resource pools"):
        pool = client.resource_pools.create(name="blue", description="team blue")
        expect(client.resource_pools.get(pool.id).name, "blue")
        pool.description = "the blue team"
        pool.save()
        expect({"default", "blue"} <= {pool.name for pool in client.resource_pools.list()}, True)
    with Check("domains"):
        domain = client.domains.create("example.test", authoritative=True, ttl=60)
        expect(client.domains.get(domain.id).name, "example.test")
        domain.delete()
    with Check("spaces"):
        space = client.spaces.create(name="dmz", description="outside")
        expect(client.spaces.get(space.id).name, "dmz")
    with Check("fabrics"):
        fabric = client.fabrics.create(name="lab", description="the lab", class_type="10g")
        expect(client.fabrics.get(fabric.id).name, "lab")
        expect(client.fabrics.get_default().id, 0)
    with Check("VLANs"):
        vlan = fabric.vlans.create(20, name="storage", mtu=9000, space=space)
        expect((vlan.vid, vlan.mtu), (20, 9000))
        expect(vlan.space.name, "dmz")
        vlan.name = "store"
        vlan.save()
        fabric.refresh()
        expect([20], [vlan.vid for vlan in fabric.vlans if vlan.name == "store"])
        expect(fabric.vlans.get_default().vid, 0)
    with Check("subnets"):
        subnet = client.subnets.create(
            "10.77.0.0/24", vlan, name="store", gateway_ip="10.77.0.1",
            dns_servers=["10.77.0.2", "10.77.0.3"],
        )
        expect((subnet.cidr, subnet.gateway_ip), ("10.77.0.0/24", "10.77.0.1"))
        expect(subnet.dns_servers, ["10.77.0.2", "10.77.0.3"])
        expect(subnet.vlan.id, vlan.id)
        subnet.gateway_ip = "10.77.0.254"
        subnet.save()
        expect(client.subnets.get(subnet.id).gateway_ip, "10.77.0.254")
    with Check("a subnet that overlaps is refused"):
        refused(client.subnets.create, "10.77.0.0/24", vlan)
    with Check("IP ranges"):
        wanted = client.ip_ranges.create(
            "10.77.0.100", "10.77.0.150", type=IPRangeType.RESERVED, comment="printers"
        )
        expect(client.ip_ranges.get(wanted.id).comment, "printers")
        expect("printers" in [found.comment for found in client.ip_ranges.list()], True)
    with Check("static routes"):
        far = client.subnets.create("10.78.0.0/24", fabric.vlans.get_default())
        route = client.static_routes.create(far, subnet, "10.77.0.254", 50)
        expect(client.static_routes.get(route.id).gateway_ip, "10.77.0.254")
        route.delete()
        far.delete()
    with Check("what is deleted is gone"):
        for made in (wanted, subnet, vlan, fabric, space, zone, pool):
            made.delete()
        refused(client.zones.get, "rack-a")
        expect("lab" in [fabric.name for fabric in client.fabrics.list()], False)


def devices(client):
    with Check("devices"):
        device = client.devices.create(["52:54:00:dd:00:01"], hostname="printer")
        expect(client.devices.get(device.system_id).hostname, "printer")
        expect("printer" in [device.hostname for device in client.devices.list()], True)
        device.delete()
        expect("printer" in [device.hostname for device in client.devices.list()], False)


def images(client):
    with Check("boot sources and selections"):
        source = client.boot_sources.create(
            "http://127.0.0.1:9/nothing/", keyring_filename="/usr/share/keyrings/none.gpg"
        )
        expect(client.boot_sources.get(source.id).url, "http://127.0.0.1:9/nothing/")
        source.delete()
    first = client.boot_sources.list()[0]
    with Check("selections are listed and read"):
        selections = client._origin.BootSourceSelections.read(first)
        expect(len(selections) > 0, True)
        again = client._origin.BootSourceSelection.read(first, selections[0].id)
        expect(again.os, "ubuntu")
    with Check("a selection nobody publishes is refused"):
        refused(
            client._origin.BootSourceSelections.create, first, "ubuntu", "warty", arches=["amd64"]
        )
    with Check("boot resources are listed with their files"):
        listed = list(client.boot_resources.list())
        noble = [resource for resource in listed if resource.name == "ubuntu/noble"]
        expect(len(noble) > 0, True)
        whole = client.boot_resources.get(noble[0].id)
        expect(all(files.complete for files in whole.sets.values()), True)
    with Check("a custom image is uploaded in chunks"):
        seen = []
        content = io.BytesIO(b"x" * 10_240_000)
        image = client.boot_resources.create(
            "custom/img", "amd64/generic", content, title="Ours",
            filetype=BootResourceFileType.TGZ, progress_callback=seen.append,
        )
        expect(len(seen) > 2, True)
        whole = client.boot_resources.get(image.id)
        newest = whole.sets[max(whole.sets)]
        expect((newest.complete, newest.size), (True, 10_240_000))
    with Check("the same content is not uploaded again"):
        seen = []
        client.boot_resources.create(
            "custom/img2", "amd64/generic", content, progress_callback=seen.append
        )
        expect(seen, [])
    with Check("a custom image is deleted"):
        image.delete()
        expect(image.id in [resource.id for resource in client.boot_resources.list()], False)
    with Check("an import is started and stopped"):
        client.boot_resources.start_import()
        client.boot_resources.stop_import()


def commissioning(client):
    enlisted = wait_for(
        "three machines enlist",
        lambda: (lambda found: found if len(found) >= 3 else None)(
            [machine for machine in client.machines.list() if machine.status == NodeStatus.NEW]
        ),
    )
    ready = []
    for index, machine in enumerate(enlisted[:3]):
        with Check("machine %d is commissioned" % index):
            machine.commission(wait=True, wait_interval=0.2, testing_scripts=[])
            machine.refresh()
            expect(machine.status, NodeStatus.READY)
            expect(machine.cpus > 0 and machine.memory > 0, True)
        ready.append(machine)
    return ready


def properties(client, machine):
    with Check("a machine's properties are changed"):
        machine.hostname = "one"
        machine.save()
        expect(client.machines.get(machine.system_id).hostname, "one")
        expect(machine.fqdn.startswith("one."), True)
    with Check("a machine is found by its name"):
        expect([found.hostname for found in client.machines.list(hostnames=["one"])], ["one"])
    with Check("zone and pool of a machine"):
        machine.zone = client.zones.create("row-b")
        machine.pool = client.resource_pools.create(name="red")
        machine.save()
        again = client.machines.get(machine.system_id)
        expect((again.zone.name, again.pool.name), ("row-b", "red"))
    with Check("tags"):
        tag = client.tags.create("gpu", comment="has one", kernel_opts="iommu=pt")
        machine.tags.add(tag)
        expect(
            "gpu" in [tag.name for tag in client.machines.get(machine.system_id).tags], True
        )
        machine.tags.remove(tag)
        expect(
            "gpu" in [tag.name for tag in client.machines.get(machine.system_id).tags], False
        )
        machine.tags.add(tag)
    with Check("power parameters"):
        parameters = machine.get_power_parameters()
        expect("power_on_uri" in parameters, True)
        expect(machine.power_type, "webhook")
    with Check("details are BSON with lshw in it"):
        expect("lshw" in machine.get_details(), True)


def network(client, machine):
    nic = machine.interfaces[0]
    fabric = client.fabrics.get_default()
    vlan = fabric.vlans.get_default()
    subnet = client.subnets.create("10.99.0.0/24", vlan, gateway_ip="10.99.0.1")
    with Check("interfaces are listed and read"):
        expect(nic.id in [found.id for found in client._origin.Interfaces.read(machine)], True)
        expect(client._origin.Interface.read(machine, nic.id).mac_address, nic.mac_address)
    with Check("an interface is disconnected"):
        nic.disconnect()
        expect(len([link for link in nic.links if link.subnet is not None]), 0)
    with Check("an interface is put into a VLAN"):
        nic.vlan = vlan
        nic.save()
        expect(client._origin.Interface.read(machine, nic.id).vlan.id, vlan.id)
    with Check("an interface is linked to a subnet"):
        link = nic.links.create(LinkMode.STATIC, subnet=subnet, ip_address="10.99.0.77")
        expect((link.mode, link.ip_address), (LinkMode.STATIC, "10.99.0.77"))
        expect(link.subnet.id, subnet.id)
    with Check("the same address twice is refused"):
        refused(nic.links.create, LinkMode.STATIC, subnet=subnet, ip_address="10.99.0.77")
    with Check("a link is the default gateway"):
        link.set_as_default_gateway()
        machine.clear_default_gateways()
    with Check("a link is removed"):
        link.delete()
        again = client._origin.Interface.read(machine, nic.id)
        expect([found.ip_address for found in again.links if found.ip_address], [])
    with Check("a physical interface is added"):
        extra = machine.interfaces.create(
            InterfaceType.PHYSICAL, name="extra0", mac_address="52:54:00:ee:00:01", vlan=vlan
        )
        expect(extra.type, InterfaceType.PHYSICAL)
    with Check("a bond over two interfaces"):
        bond = machine.interfaces.create(
            InterfaceType.BOND, name="bond0", parents=[nic, extra], bond_mode="802.3ad",
            bond_miimon=200, bond_lacp_rate="fast",
        )
        expect(bond.type, InterfaceType.BOND)
        expect(bond.params["bond_mode"], "802.3ad")
        expect({parent.name for parent in bond.parents}, {nic.name, "extra0"})
    with Check("a VLAN on the bond"):
        tagged = fabric.vlans.create(30, name="tagged")
        on_vlan = machine.interfaces.create(InterfaceType.VLAN, vlan=tagged, parent=bond)
        expect(on_vlan.name, "bond0.30")
    with Check("a bridge on the bond"):
        bridge = machine.interfaces.create(
            InterfaceType.BRIDGE, name="br0", parent=bond, bridge_stp=True, bridge_fd=4
        )
        expect(bridge.type, InterfaceType.BRIDGE)
        bridge.links.create(LinkMode.AUTO, subnet=subnet)
    with Check("interfaces are deleted"):
        bridge.delete()
        on_vlan.delete()
        bond.delete()
        extra.delete()
        machine.refresh()
        expect("bond0" in [found.name for found in machine.interfaces], False)
    with Check("the interface gets an address by itself when it is deployed"):
        nic = [found for found in machine.interfaces if found.id == nic.id][0]
        nic.links.create(LinkMode.AUTO, subnet=subnet)
    return subnet


def storage(client, machine):
    disks = machine.block_devices
    disk = disks[0]
    with Check("the storage layout is blank"):
        machine._handler.set_storage_layout(system_id=machine.system_id, storage_layout="blank")
        machine.refresh()
        disk = machine.block_devices[0]
        expect(len(disk.partitions), 0)
    with Check("disks are listed and read"):
        expect(disk.type, BlockDeviceType.PHYSICAL)
        expect(client._origin.BlockDevice.read(machine, disk.id).size, disk.size)
    with Check("a disk is added, tagged and deleted"):
        added = machine.block_devices.create(
            name="sdx", model="QEMU", serial="x1", size=20 * 1000**3, block_size=512,
        )
        added.tags = ["slow"]
        added.save()
        expect(client._origin.BlockDevice.read(machine, added.id).tags, ["slow"])
        machine.refresh()
    with Check("a partition is made, formatted and mounted"):
        boot = disk.partitions.create(1000**3)
        boot.format("ext4")
        boot.mount("/boot")
        again = client._origin.Partition.read(machine, disk.id, boot.id)
        expect((again.filesystem.fstype, again.filesystem.mount_point), ("ext4", "/boot"))
        boot.umount()
        boot.unformat()
        boot.delete()
    with Check("partition table type"):
        disk.refresh()
        disk.partition_table_type
    with Check("a volume group with a logical volume"):
        part = disk.partitions.create(8 * 1000**3)
        group = machine.volume_groups.create("vg0", [part])
        volume = group.logical_volumes.create("root", 6 * 1000**3)
        volume.format("xfs")
        volume.mount("/")
        machine.refresh()
        expect([group.name for group in machine.volume_groups], ["vg0"])
        volume.unmount()
        volume.delete()
        group.delete()
        part.delete()
    with Check("a RAID"):
        added.refresh()
        parts = [added.partitions.create(2 * 1000**3) for _ in range(2)]
        raid = machine.raids.create(
            RaidLevel.RAID_1, parts, name="md0", spare_devices=[]
        )
        expect(raid.level, RaidLevel.RAID_1)
        raid.delete()
    with Check("a bcache"):
        cache_set = machine.cache_sets.create(parts[0])
        bcache = machine.bcaches.create(
            "bcache0", parts[1], cache_set, CacheMode.WRITEBACK
        )
        expect(bcache.name, "bcache0")
        bcache.delete()
        cache_set.delete()
    with Check("a disk is the boot disk"):
        disk.set_as_boot_disk()
    with Check("storage is as it was found"):
        for part in parts:
            part.delete()
        added.delete()
        machine.restore_storage_configuration()
        machine.refresh()
        expect(len(machine.block_devices[0].partitions) > 0, True)


def deployment(client, machine):
    from maas.client.viscera.machines import MachineNotFound

    with Check("nobody has a machine with that name"):
        expect(type(refused(client.machines.allocate, hostname="nope")), MachineNotFound)
    with Check("a dry run allocates nothing"):
        client.machines.allocate(hostname=machine.hostname, dry_run=True)
        machine.refresh()
        expect(machine.status, NodeStatus.READY)
    with Check("a machine is allocated by constraints"):
        got = client.machines.allocate(
            hostname=machine.hostname, cpus=1, memory=512, tags=["gpu"], zone="row-b",
            agent_name="libmaas", architectures=["amd64"],
        )
        expect((got.system_id, got.status), (machine.system_id, NodeStatus.ALLOCATED))
        expect(got.owner.username, "admin")
    with Check("a machine is deployed"):
        got.deploy(
            distro_series="noble", user_data=b"#cloud-config\npackages: [jq]\n", wait=True,
            wait_interval=0.2, comment="the first",
        )
        got.refresh()
        expect((got.status, got.power_state), (NodeStatus.DEPLOYED, PowerState.ON))
        expect((got.osystem, got.distro_series), ("ubuntu", "noble"))
    with Check("its address is one of the subnet"):
        expect([ip for ip in got.ip_addresses if ip.startswith("10.99.0.")] != [], True)
    with Check("its curtin configuration is shown"):
        expect(b"reporting" in got.get_curtin_config(), True)
    with Check("a deployed machine is locked and unlocked"):
        got.lock(comment="mine")
        expect(got.locked, True)
        refused(got.release)
        got.unlock()
        expect(got.locked, False)
    with Check("power is asked, cut and given"):
        wait_for("power ON", lambda: got.query_power_state() == PowerState.ON)
        got.power_off(wait=True, wait_interval=0.2)
        wait_for("power OFF", lambda: got.query_power_state() == PowerState.OFF)
        got.power_on(wait=True, wait_interval=0.2)
        wait_for("power ON", lambda: got.query_power_state() == PowerState.ON)
    with Check("a machine is released"):
        got.release(comment="bye", wait=True, wait_interval=0.2)
        got.refresh()
        expect((got.status, got.owner), (NodeStatus.READY, None))
        expect([ip for ip in got.ip_addresses if ip.startswith("10.99.0.")], [])


def states(client, machine):
    with Check("a machine is broken and fixed"):
        machine.mark_broken(comment="smells of smoke")
        expect(machine.status, NodeStatus.BROKEN)
        machine.mark_fixed(comment="it was the toaster")
        expect(machine.status, NodeStatus.READY)
    with Check("rescue mode is entered and left"):
        machine.enter_rescue_mode(wait=True, wait_interval=0.2)
        machine.refresh()
        expect(machine.status, NodeStatus.RESCUE_MODE)
        machine.exit_rescue_mode(wait=True, wait_interval=0.2)
        machine.refresh()
        expect(machine.status, NodeStatus.READY)
    with Check("commissioning is aborted"):
        machine.commission()
        machine.abort(comment="never mind")
        machine.refresh()
        expect(machine.status, NodeStatus.NEW)


def records(client, machine):
    with Check("events are queried and paged"):
        page = client.events.query(limit=5)
        events = list(page)
        expect(len(events), 5)
        expect(events[0].event_id > events[-1].event_id, True)
        older = page.prev()
        expect(all(event.event_id < events[-1].event_id for event in older), True)
    with Check("events of one machine"):
        for event in client.events.query(hostnames=[machine.hostname], limit=10):
            expect(event.hostname, machine.hostname)
    with Check("rack controllers"):
        list(client.rack_controllers.list())
    with Check("files"):
        list(client.files.list())
    with Check("a machine is added by hand and deleted"):
        added = client.machines.create(
            "amd64", ["52:54:00:aa:bb:01"], "manual", {}, hostname="byhand"
        )
        expect(added.hostname, "byhand")
        added.delete()
        refused(client.machines.get, added.system_id)


def main(url, key, username, password):
    client = session(url, key, username, password)
    users_and_keys(client)
    settings(client)
    places(client)
    devices(client)
    images(client)
    machines = commissioning(client)
    one = machines[0]
    properties(client, one)
    network(client, one)
    storage(client, one)
    deployment(client, one)
    states(client, machines[1])
    records(client, one)
    print("%d passed, %d failed" % (passed, len(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
