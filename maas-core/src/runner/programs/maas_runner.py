#!/usr/bin/env python3
"""Runs the region's scripts in the ephemeral operating system and reports what they say.

Started by cloud-init from the machine's user data. With credentials (from the preseed that
cloud-init saved) it fetches its scripts, runs them and signals each result. Without credentials
it enlists the machine first, which gives it credentials. It keeps no state of its own: after a
reboot in the middle the region names the scripts that are still to be run.

Python standard library only, 3.6 or later.
"""

import argparse
import os
import sys
import tarfile
import tempfile

from enlistment import Enlistment
from executor import Executor
from region import Client, Heartbeat
from scripts import KINDS, Bundle
from settings import Credentials, RunnerError, say

CONFIG_FILES = (
    "/etc/cloud/cloud.cfg.d/91_kernel_cmdline_url.cfg",
    "/etc/cloud/cloud.cfg.d/90_dpkg_maas.cfg",
)


class Run:
    def __init__(self, credentials, folder):
        self.credentials = credentials
        self.client = Client(credentials)
        self.folder = folder
        self.executor = Executor(credentials, self.client, folder)
        # Finished before the machine had credentials, by name.
        self.earlier = {}
        self.done = set()

    def bundle(self):
        reply = self.client.request(self.credentials.base + "maas-scripts")
        if reply.status == 204 or not reply.body:
            return None
        return Bundle(reply.body, self.folder)

    def start(self):
        """Runs everything; whether the region was told how it ended."""
        if not self.credentials.known and not self.enlist():
            return True
        with Heartbeat(self.client):
            return self.follow()

    def enlist(self):
        """Enlists; whether commissioning goes on."""
        enlistment = Enlistment(self.client)
        if enlistment.is_registered():
            say("this machine is known to the region already")
            return False
        bundle = self.bundle()
        scripts = bundle.scripts["commissioning"] if bundle else []
        commission = not scripts or any("bmc-config" not in script.tags for script in scripts)
        serial = [script for script in scripts if script.parallel == 0]
        self.executor.run_all(serial, report=False)
        power = next((script.power for script in serial if script.power), None)
        self.adopt(enlistment.create(commission, power))
        if not self.credentials.known:
            raise RunnerError("the region gave the enlisted machine no credentials")
        self.earlier = {script.name: script for script in serial}
        return commission

    def adopt(self, credentials):
        self.credentials = credentials
        self.client.credentials = credentials
        self.executor.credentials = credentials

    def follow(self):
        """Runs what the region has for this machine until there is nothing more."""
        bundle = None if self.earlier else self.bundle()
        if bundle is None or bundle.is_anonymous:
            # A machine that is merely known becomes one that is being commissioned.
            self.client.signal("COMMISSIONING", "Commissioning begins")
            bundle = self.bundle()
        for script in self.earlier.values():
            self.hand_over(script, bundle)
        failed = [script for script in self.earlier.values() if not script.passed]
        if failed:
            self.client.signal(
                "FAILED", "%d commissioning scripts failed to run" % len(failed)
            )
            return True
        announced = "COMMISSIONING" if self.earlier else None
        while bundle is not None:
            progress = False
            for _, kind, word in KINDS:
                scripts = [
                    script for script in bundle.scripts[kind]
                    if script.key not in self.done and not script.has_finished
                ]
                if not scripts:
                    continue
                progress = True
                if announced != word:
                    self.client.signal(word, "Running %d %s scripts" % (len(scripts), kind))
                    announced = word
                self.done.update(script.key for script in scripts)
                failed = self.executor.run_all(scripts)
                if failed:
                    say("failed: " + ", ".join(script.name for script in failed))
                    self.client.signal(
                        "FAILED", "%d %s scripts failed to run" % (len(failed), kind)
                    )
                    return True
                # What was found may call for further scripts.
                break
            if not progress:
                break
            bundle = self.bundle()
        self.client.signal("OK", "All scripts successfully ran")
        return True

    def hand_over(self, script, bundle):
        """Reports a script that ran before the machine was known."""
        for item in bundle.scripts["commissioning"] if bundle else []:
            if item.name == script.name and item.key not in self.done:
                script.result_id, script.version_id = item.result_id, item.version_id
                self.done.add(item.key)
                break
        self.executor.report(script)


def fetch(paths, name, target):
    """Saves what the metadata service has under a name, with the machine's credentials."""
    client = Client(Credentials.load(paths))
    body = client.request(client.credentials.base + name).body
    with open(target, "wb") as stream:
        stream.write(body)
    os.chmod(target, 0o700)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", action="append", help="cloud-config file to read")
    commands = parser.add_subparsers(dest="command")
    run = commands.add_parser("run", help="run the region's scripts (the default)")
    run.add_argument("folder", nargs="?", help="working folder")
    get = commands.add_parser("fetch", help="save a file of the metadata service")
    get.add_argument("name")
    get.add_argument("target")
    options = parser.parse_args(arguments)
    paths = options.config or os.environ.get("MAAS_RUNNER_CONFIG", "").split(os.pathsep)
    paths = [path for path in paths if path] or list(CONFIG_FILES)
    os.environ["MAAS_RUNNER_CONFIG"] = os.pathsep.join(paths)
    try:
        if options.command == "fetch":
            fetch(paths, options.name, options.target)
            return 0
        folder = getattr(options, "folder", None) or tempfile.mkdtemp(prefix="maas-runner-")
        os.makedirs(folder, exist_ok=True)
        return 0 if Run(Credentials.load(paths), folder).start() else 1
    except (RunnerError, ValueError, KeyError, OSError, tarfile.TarError) as error:
        say("failed: %s" % error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
