"""The story: from an unknown machine to Deployed, and the proof of it."""

import base64
import os
import secrets
import subprocess
import threading
import time

from . import build, network, proof, region
from .machine import Machine, PowerService, wait
from .say import Failure, say


class MachineFailed(Failure):
    """The server says that the machine failed, and why."""


# MAAS's numbers of statuses.
NEW, COMMISSIONING, READY, DEPLOYED, ALLOCATED, DEPLOYING = 0, 1, 4, 6, 10, 9
FAILED = {2, 7, 8, 11, 13, 15, 17, 19, 20, 22, 24}

USER_DATA = """#cloud-config
write_files:
  - {path: /etc/e2e-token, content: "%(token)s", permissions: "0600"}
users:
  - default
  - name: tester
    shell: /bin/bash
    sudo: "ALL=(ALL) NOPASSWD:ALL"
    ssh_authorized_keys: ["%(ssh_key)s"]
"""


# What a rack is killed for: the files that somebody is fetching then.
DOWNLOADS = {"firmware": "/boot-initrd", "initrd": "/noble/stable/squashfs",
             "installer": "/bookworm/stable/squashfs"}

# What of a deployment's history the table at the end has.
MILESTONES = (
    ("Performing PXE boot", "boot configuration fetched"),
    ("init-local finished", "ephemeral system is up"),
    ("cmd-install: curtin", "installer starts"),
    ("stage-partitioning finished", "partitioned and formatted"),
    ("stage-extract finished", "image extracted"),
    ("stage-curthooks finished", "boot loader installed"),
    ("Node disabled netboot", "installed"),
    ("Performing local boot", "boots from disk"),
    ("Deployed the deployed", "asks for its user data: Deployed"),
)


def folder(options):
    """Where a run keeps what it leaves; each kind of run has one of its own."""
    words = ["run", options.firmware]
    words += ["pxelinux"] if options.loader == "pxelinux" else []
    words += ["http-boot"] if options.http_boot else []
    words += ["lvm"] if options.layout == "lvm" else []
    words += ["curtin"] if os.environ.get("CURTIN_TREE") else []
    words += ["kill-region"] if options.kill_region else []
    words += ["kill-rack-" + options.kill_rack] if options.kill_rack else []
    return options.work / "-".join(words)


class Story:
    def __init__(self, options):
        self.options = options
        self.run = folder(options)
        self.token = secrets.token_hex(16)
        self.hostname = "e2e-" + secrets.token_hex(3)
        self.stages = []
        self.milestones = []
        self.killed = threading.Event()
        self.screens = []
        self.machine = self.server = self.rack = self.api = None
        self.event = 0

    def play(self):
        """Plays it; the exit status."""
        try:
            self.prepare()
            self.enlist()
            self.commission()
            self.deploy()
            self.look()
            status = 0
        except (Failure, OSError, subprocess.SubprocessError) as failure:
            say("FAILED: %s" % failure)
            self.tell_what_is_known()
            status = 1
        self.summary(status)
        return status

    def stage(self, name, began):
        took = time.monotonic() - began
        self.stages.append((name, took))
        say(name, took)

    def summary(self, status):
        print()
        for name, took in self.stages:
            print("  %-44s %7.1f s" % (name, took))
            if name == "deployed":
                for text, after in self.milestones:
                    print("    after %4d s  %s" % (after, text))
        times = os.times()
        print("  %-44s %7.1f s" % ("CPU of QEMU and everything else", times.children_user
                                   + times.children_system))
        for screen in self.screens:
            print("  screen: %s" % screen)
        print("  logs and disk: %s" % self.run)
        print("  %s %s" % (self.options.firmware, "DEPLOYED AND PROVEN" if status == 0 else "FAILED"))

    def prepare(self):
        began = time.monotonic()
        network.make()
        network.advertise_router()
        self.installer = build.curtin_pack(self.run / "curtin-pack.tar")
        say("the installer is " + self.installer)
        tree, keyring = build.stream(self.options.work, self.run, self.options.firmware)
        mirror = subprocess.Popen(
            [str(build.program("sstream")), "serve", str(tree), "--listen", "127.0.0.1:8000"],
            stdout=open(self.run / "mirror.log", "wb"), stderr=subprocess.STDOUT,
        )
        self.server = region.Server(
            self.run, self.run / "curtin-pack.tar",
            network.dhcp_settings(self.options.loader, self.options.http_boot,
                                  bool(self.options.kill_rack)),
        )
        self.server.start()
        password = secrets.token_hex(8)
        self.server.command("user", "create", "admin", "--admin", "--password-stdin",
                            stdin=password + "\n")
        self.api = region.Api(self.server.command("apikey", "admin"))
        self.stage("stream signed, server up", began)

        began = time.monotonic()
        source = self.api.post(
            "boot-sources/", url="http://127.0.0.1:8000/",
            keyring_data=base64.b64encode(keyring.read_bytes()).decode(),
        )
        for system, release in (("ubuntu", "noble"), ("debian", "bookworm")):
            self.api.post(
                "boot-sources/%d/selections/" % source["id"], os=system, release=release,
                arches="amd64", subarches="*", labels="*",
            )
        self.api.post("boot-resources/", op="import")
        wait("images", 120, lambda: len(self.api.get("boot-resources/")) >= 2)
        mirror.terminate()
        self.stage("images synchronised and verified", began)

        if self.options.kill_rack:
            began = time.monotonic()
            self.rack = region.Rack(self.run, self.server.command("rack-token", "rack-1"))
            self.rack.start()
            self.stage("a rack of its own", began)
        key = self.run / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "e2e", "-f", key],
                       check=True)
        self.ssh_key = (self.run / "key.pub").read_text().strip()
        self.machine = Machine(self.run, self.options.firmware)
        self.power = PowerService(self.machine)

    def deadline(self):
        return self.options.minutes * 60

    def known(self):
        return self.api.get("machines/%s/" % self.system_id)

    def await_status(self, wanted, seconds):
        """Follows the machine and prints every step of it."""
        last = None

        def there():
            nonlocal last
            for program in filter(None, (self.server, self.rack)):
                program.must_run()
            machine = self.known()
            self.tell_events()
            if machine["status_name"] != last:
                last = machine["status_name"]
                say("  is %s" % last)
            if machine["status"] in FAILED:
                raise MachineFailed("the machine is %s: %s" % (
                    machine["status_name"], machine.get("error_description")))
            return machine if machine["status"] == wanted else None

        return wait("status %d" % wanted, seconds, there)

    def tell_events(self):
        """Prints what was added to the machine's history."""
        events = self.api.get("events/", op="query", id=self.system_id, level="INFO",
                              after=self.event, limit=1000)["events"]
        for event in sorted(events, key=lambda event: event["id"]):
            self.event = max(self.event, event["id"])
            say("  %s %s" % (event["type"], event["description"]))

    def photograph(self, name):
        picture = self.machine.photograph(name)
        if picture:
            self.screens.append(picture)

    def picture_of_netboot(self):
        wait("a boot file", 240, lambda: self.server.says("an unknown machine netboots"))
        time.sleep(0.5)
        self.photograph("netboot")

    def enlist(self):
        began = time.monotonic()
        say("somebody presses the button of an empty machine")
        self.machine.on()
        self.picture_of_netboot()
        self.stage("firmware to the ephemeral kernel", began)
        machines = wait("enlistment", self.deadline(), lambda: self.api.get("machines/"))
        self.system_id = machines[0]["system_id"]
        say("enlisted as %s" % self.system_id)
        wait("the machine to switch itself off", self.deadline(),
             lambda: not self.machine.is_on())
        machine = self.known()
        if machine["status"] != NEW:
            raise Failure("enlisted machine is %s" % machine["status_name"])
        self.stage("enlisted and off", began)

    def commission(self):
        began = time.monotonic()
        power = {"power_parameters_" + key: value
                 for key, value in self.power.parameters().items()}
        self.api.put("machines/%s/" % self.system_id, power_type="webhook",
                     hostname=self.hostname, **power)
        self.api.post("machines/%s/" % self.system_id, op="commission")
        machine = self.await_status(READY, self.deadline())
        say("hardware: %s CPUs, %s MiB, disks %s" % (
            machine["cpu_count"], machine["memory"],
            [(disk["name"], disk["size"], disk.get("serial"))
             for disk in machine.get("blockdevice_set", [])]))
        if not 1900 <= machine["memory"] <= 2048 or machine["cpu_count"] != 2:
            raise Failure("that is not the hardware of the machine")
        self.stage("commissioned", began)

    def deploy(self):
        began = time.monotonic()
        if self.options.kill_region:
            threading.Thread(target=self.kill_region, daemon=True).start()
        if self.options.kill_rack:
            threading.Thread(target=self.kill_rack, daemon=True).start()
        try:
            self.allocate_and_deploy()
        except MachineFailed as failure:
            if not self.options.kill_rack:
                raise
            say("a failure with a name, and the machine is deployed again: %s" % failure)
            self.photograph("named-failure")
            self.stage("failed with a name", began)
            began = time.monotonic()
            self.api.post("machines/%s/" % self.system_id, op="release")
            self.await_status(READY, self.deadline())
            self.allocate_and_deploy()
        if (self.options.kill_rack or self.options.kill_region) and not self.killed.is_set():
            raise Failure("nothing was killed")
        self.stage("deployed", began)
        self.milestones = self.history()

    def allocate_and_deploy(self):
        if self.options.layout != "flat":
            self.api.post("machines/%s/" % self.system_id, op="set_storage_layout",
                          storage_layout=self.options.layout)
        self.api.post("machines/", op="allocate", system_id=self.system_id)
        user_data = USER_DATA % {"token": self.token, "ssh_key": self.ssh_key}
        self.api.post(
            "machines/%s/" % self.system_id, op="deploy", distro_series="debian/bookworm",
            user_data=base64.b64encode(user_data.encode()).decode(),
        )
        (self.run / "curtin.yaml").write_text(
            str(self.api.get("machines/%s/" % self.system_id, op="get_curtin_config")))
        self.await_deployed()

    def history(self):
        """What happened since the machine was switched on for its last deployment, and when."""
        events = self.api.get("events/", op="query", id=self.system_id, level="DEBUG",
                              limit=1000)["events"]
        found = []
        began = None
        for event in sorted(events, key=lambda event: event["id"]):
            at = time.mktime(time.strptime(event["created"], "%a, %d %b. %Y %H:%M:%S"))
            line = "%s %s" % (event["type"], event["description"])
            if line.startswith("Power cycling"):
                found, began = [], at
            for mark, text in MILESTONES:
                if began is not None and mark in line and "/builtin" not in line:
                    found.append((text, at - began))
        return found

    def await_deployed(self):
        end = time.monotonic() + self.deadline()
        while True:
            try:
                self.await_status(DEPLOYED, end - time.monotonic())
                return
            except OSError:
                # While the region is down; it comes back.
                if not self.options.kill_region or time.monotonic() > end:
                    raise
                time.sleep(1)

    def kill_region(self):
        def extracts():
            events = self.api.get("events/", op="query", id=self.system_id, level="DEBUG",
                                  limit=1000)["events"]
            return any(event["type"] == "Installing OS" for event in events)

        wait("the installer to write the image", self.deadline(), extracts)
        self.server.kill()
        say("  the region is killed")
        self.killed.set()
        time.sleep(15)
        self.server.start()
        say("  the region is started again")

    def kill_rack(self):
        name = DOWNLOADS[self.options.kill_rack]
        self.rack.kill_during(name, self.deadline())
        say("  the rack is killed while it sends %s" % name)
        self.killed.set()
        time.sleep(5)
        self.rack.start()
        say("  the rack is started again")

    def look(self):
        began = time.monotonic()
        wait("a login prompt", 300, lambda: self.machine.says(self.hostname + " login:"))
        self.photograph("login")

        def login():
            self.server.must_run()
            done = subprocess.run(
                self.ssh() + ["cloud-init status --wait > /dev/null; uname -sr; hostname; "
                              "sudo cat /etc/e2e-token"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            if done.returncode != 0:
                complaint = done.stderr.strip()
                if complaint != self.complaint:
                    say("  ssh: %s" % complaint)
                self.complaint = complaint
                return None
            return done.stdout.split("\n")

        self.complaint = None
        system, hostname, token = wait("a login over SSH", 300, login)[:3]
        say("over SSH: %s on %s, token %s" % (system, hostname, token))
        if token != self.token:
            raise Failure("the token over SSH is not the one of the user data")
        self.stage("login over SSH", began)
        began = time.monotonic()
        # The connection breaks while the system ends; whether it ended is seen at the machine.
        subprocess.run(self.ssh() + ["sudo systemctl poweroff"], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.machine.await_off()
        proof.prove(self.machine, dict(
            token=self.token, hostname=self.hostname, ssh_key=self.ssh_key, mac=network.MAC,
        ))
        self.stage("proven from the disk", began)

    def ssh(self):
        """The command by which the user of the user data logs in."""
        address = wait(
            "the machine's address", 60,
            lambda: network.address_in(self.run / "data" / "dhcp" / "leases"))
        return [
            "ssh", "-i", self.run / "key", "-o", "StrictHostKeyChecking=no", "-o",
            "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10",
            "-o", "BatchMode=yes", "tester@" + address,
        ]

    def tell_what_is_known(self):
        """What somebody who has only this output needs."""
        for name in ("maas-server.log", "rack.log", "console.log", "qemu.log"):
            path = self.run / name
            if path.exists():
                print("---- the end of %s" % name)
                print("\n".join(path.read_text(errors="replace").splitlines()[-40:]))
        if self.machine and self.machine.is_on():
            self.photograph("failure")
