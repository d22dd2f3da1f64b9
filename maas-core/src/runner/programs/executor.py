"""Runs scripts in the right order and reports each."""

import json
import os
import shutil
import signal
import subprocess
import tarfile
import threading
import time
import urllib.parse
import urllib.request

from region import REQUEST_SECONDS
from scripts import OUTPUT_LIMITS, bmc_settings
from settings import RunnerError, read_text, say

TIMED_OUT = 124
NOT_EXECUTABLE = 2


class Executor:
    """Runs scripts for a machine; without credentials nothing is reported."""

    def __init__(self, credentials, client, folder):
        self.credentials = credentials
        self.client = client
        self.folder = folder
        self.updated_packages = False
        self.installing = threading.Lock()

    def run_all(self, scripts, report=True, after=None):
        """Runs all; returns those that failed."""
        ordered = sorted(scripts, key=lambda script: script.order)
        for script in ordered:
            if script.parallel == 0:
                self.run_one(script, report)
                if after:
                    after(script)
        names = []
        for script in ordered:
            if script.parallel == 1 and script.name not in names:
                names.append(script.name)
        for name in names:
            self.together([s for s in ordered if s.parallel == 1 and s.name == name], report)
        self.together([script for script in ordered if script.parallel >= 2], report)
        return [script for script in ordered if not script.passed]

    def together(self, scripts, report):
        threads = [
            threading.Thread(target=self.run_one, args=(script, report)) for script in scripts
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def run_one(self, script, report=True):
        try:
            self.prepare_and_run(script, report)
        except Exception as error:  # One script must not end the others.
            self.fail(script, "the runner could not run it: %s" % error, 1)
        if report:
            self.report(script)

    def prepare_and_run(self, script, report):
        os.makedirs(script.download, exist_ok=True)
        if any(script.packages.get(kind) for kind in ("apt", "snap", "url")):
            if report:
                self.tell("INSTALLING", "Installing dependencies of " + script.name, script)
            status, log = self.install(script)
            if status != 0:
                self.fail(script, log, status)
                return
        if report:
            self.tell("WORKING", "Starting " + script.name, script)
        say("running " + script.name)
        self.execute(script)
        say("%s ended with %s after %.1f s" % (script.name, script.exit_status, script.runtime))

    def tell(self, status, error, script):
        try:
            self.client.signal(
                status, error, name=script.name, script_result_id=script.result_id,
                script_version_id=script.version_id,
            )
        except RunnerError as error:
            say(str(error))

    def report(self, script):
        power = script.power or {}
        parameters = {key: value for key, value in power.items() if key != "power_type"}
        for limit in OUTPUT_LIMITS:
            try:
                self.client.signal(
                    "TIMEDOUT" if script.exit_status == TIMED_OUT else "WORKING",
                    "Finished %s: %s" % (script.name, script.exit_status),
                    files=script.files(limit),
                    name=script.name,
                    script_result_id=script.result_id,
                    script_version_id=script.version_id,
                    exit_status=script.exit_status,
                    runtime=None if script.runtime is None else "%.3f" % script.runtime,
                    power_type=power.get("power_type"),
                    power_parameters=json.dumps(parameters) if power else None,
                )
                return
            except RunnerError as error:
                say(str(error))

    def fail(self, script, text, status):
        content = text.encode("utf-8", "replace") + b"\n"
        for path in (script.combined, script.stderr):
            with open(path, "ab") as stream:
                stream.write(content)
        script.exit_status = status
        if script.runtime is None:
            script.runtime = 0.0

    def install(self, script):
        """Installs what a script needs; gives the exit status and what was printed."""
        with self.installing:
            log = []
            status = 0
            environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C.UTF-8")

            def command(*words):
                done = subprocess.run(
                    words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, env=environment,
                )
                log.append(done.stdout.decode("utf-8", "replace"))
                return done.returncode

            apt = [name for name in script.packages.get("apt") or [] if not is_installed(name)]
            options = ("-o", "DPkg::Lock::Timeout=120", "-qy")
            if apt:
                if not self.updated_packages:
                    command("apt-get", *(options + ("update",)))
                    self.updated_packages = True
                status = command(
                    "apt-get", *(options + ("--no-install-recommends", "install") + tuple(apt))
                )
            for item in script.packages.get("snap") or []:
                item = item if isinstance(item, dict) else {"name": item}
                words = ["snap", "install", str(item.get("name"))]
                if item.get("channel"):
                    words.append("--channel=" + str(item["channel"]))
                if item.get("mode"):
                    words.append("--" + str(item["mode"]))
                status = status or command(*words)
            for url in script.packages.get("url") or []:
                status = status or self.download(script, url, log, command)
            return status, "".join(log)

    def download(self, script, url, log, command):
        target = os.path.join(script.download, os.path.basename(urllib.parse.urlsplit(url).path))
        try:
            with urllib.request.urlopen(url, timeout=REQUEST_SECONDS) as source:
                with open(target, "wb") as sink:
                    shutil.copyfileobj(source, sink)
        except (OSError, ValueError) as error:
            log.append("%s: %s\n" % (url, error))
            return 1
        if target.endswith(".deb"):
            return command("apt-get", "-qy", "install", target)
        if tarfile.is_tarfile(target):
            return command("tar", "-xf", target, "-C", script.download)
        return 0

    def environment(self, script):
        here = os.path.dirname(os.path.abspath(__file__))
        environment = dict(os.environ)
        environment.update({
            "MAAS_BASE_URL": self.credentials.origin,
            "MAAS_RESOURCES_FILE": os.path.join(self.folder, "resources.json"),
            "MAAS_MACHINE_EXTRA_FILE": "/machine-extra.json",
            "MAAS_STORAGE_CONFIG_FILE": "/storage-config.json",
            "MAAS_RUNNER": os.path.join(here, "maas_runner.py"),
            "MAAS_RUNNER_DIR": here,
            "OUTPUT_COMBINED_PATH": script.combined,
            "OUTPUT_STDOUT_PATH": script.stdout,
            "OUTPUT_STDERR_PATH": script.stderr,
            "RESULT_PATH": script.result,
            "DOWNLOAD_PATH": script.download,
            "BMC_CONFIG_PATH": script.bmc_config,
            "RUNTIME": str(script.timeout),
            "HAS_STARTED": str(script.has_started),
            "LC_ALL": "C.UTF-8",
        })
        environment.setdefault("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        return environment

    def execute(self, script):
        began = time.monotonic()
        lock = threading.Lock()
        with open(script.combined, "ab") as combined, open(script.stdout, "ab") as stdout, \
                open(script.stderr, "ab") as stderr:
            try:
                process = subprocess.Popen(
                    [script.path] + script.arguments(), stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=script.download,
                    env=self.environment(script), start_new_session=True,
                )
            except OSError as error:
                text = ("could not execute %s: %s\n" % (script.name, error)).encode()
                combined.write(text)
                stderr.write(text)
                script.exit_status, script.runtime = NOT_EXECUTABLE, 0.0
                return

            def copy(source, sink):
                for chunk in iter(lambda: os.read(source.fileno(), 65536), b""):
                    with lock:
                        for stream in (sink, combined):
                            stream.write(chunk)
                            stream.flush()

            threads = [
                threading.Thread(target=copy, args=pair, daemon=True)
                for pair in ((process.stdout, stdout), (process.stderr, stderr))
            ]
            for thread in threads:
                thread.start()
            try:
                script.exit_status = process.wait(script.timeout if script.timeout > 0 else None)
                if script.exit_status < 0:
                    script.exit_status = 128 - script.exit_status
            except subprocess.TimeoutExpired:
                end_group(process)
                script.exit_status = TIMED_OUT
            # A background child may hold the pipes open for ever.
            for thread in threads:
                thread.join(5)
            with lock:
                pass
            process.stdout.close()
            process.stderr.close()
        script.runtime = time.monotonic() - began
        if script.passed:
            script.power = bmc_settings(read_text(script.bmc_config))


def end_group(process):
    """Ends a script with all that it started."""
    for number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
        except OSError:
            pass
        try:
            process.wait(patience)
            return
        except subprocess.TimeoutExpired:
            continue


def is_installed(package):
    try:
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${db:Status-Status}", package],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
    except OSError:
        return False
    return done.stdout.strip() == b"installed"
