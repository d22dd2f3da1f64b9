#!/usr/bin/env python3
"""Runs the region's scripts in the ephemeral operating system and reports what they say.

Started by cloud-init from the machine's user data. With credentials (from the preseed that
cloud-init saved) it fetches its scripts, runs them and signals each result. Without credentials
it enlists the machine first, which gives it credentials. It keeps no state of its own: after a
reboot in the middle the region names the scripts that are still to be run.

Python standard library only, 3.6 or later.
"""

import argparse
import email.utils
import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

VERSION = "2012-03-01"
CONFIG_FILES = (
    "/etc/cloud/cloud.cfg.d/91_kernel_cmdline_url.cfg",
    "/etc/cloud/cloud.cfg.d/90_dpkg_maas.cfg",
)
# Seconds before each further try of a request; the last try is not followed by a pause.
PAUSES = (1, 1, 2, 4, 8, 16, 32)
HEARTBEAT_SECONDS = 120
REQUEST_SECONDS = 60
# What is beyond is cut off, with a note: a region refuses larger uploads.
OUTPUT_LIMIT = 8 * 1024 * 1024
TIMED_OUT = 124
NOT_EXECUTABLE = 2
# Some virtual USB NICs of BMCs share this address between machines.
SHARED_MACS = ("02:00:00:00:00:02",)
# cpu, memory, storage, network, gpu; scripts of the node as a whole come last.
HARDWARE_ORDER = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 0: 5}
KINDS = (
    ("commissioning_scripts", "commissioning", "COMMISSIONING"),
    ("testing_scripts", "testing", "TESTING"),
    ("release_scripts", "release", "RELEASING"),
    ("deployment_scripts", "deployment", "DEPLOYING"),
)


class RunnerError(Exception):
    """Something that ends the run, in words for the console and the region."""


def say(text):
    print("maas-runner: " + text, flush=True)


def read_text(path):
    """A file's text without surrounding white space, or nothing."""
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""


# --- Configuration -----------------------------------------------------------------------------


def scalar(text):
    """A plain or quoted YAML scalar as text."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            return json.loads(text)
        except ValueError:
            return text[1:-1]
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return re.sub(r"\s+#.*$", "", text)


def flow_mapping(text):
    """A one-line `{key: value, ...}` of scalars."""
    found = {}
    for match in re.finditer(
        r"""([\w-]+|"[^"]*"|'[^']*')\s*:\s*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,}]*)""", text
    ):
        found[scalar(match.group(1))] = scalar(match.group(2))
    return found


def simple_mappings(text):
    """The scalars of nested block mappings by their path; enough for our own preseeds."""
    found = {}
    stack = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.match(r"""^(\s*)([\w.-]+|"[^"]*"|'[^']*')\s*:(?:\s+(.*)|\s*)$""", line)
        if not match:
            continue
        depth, key, rest = len(match.group(1)), scalar(match.group(2)), (match.group(3) or "")
        while stack and stack[-1][0] >= depth:
            stack.pop()
        path = tuple(name for _, name in stack) + (key,)
        if rest.strip().startswith("{"):
            for name, value in flow_mapping(rest.strip()[1:]).items():
                found[path + (name,)] = value
        elif rest.strip():
            found[path] = scalar(rest)
        else:
            stack.append((depth, key))
    return found


def maas_settings(text):
    """`datasource.MAAS` of a cloud-config text."""
    try:
        import yaml
    except ImportError:
        yaml = None
    if yaml is not None:
        try:
            section = yaml.safe_load(text)["datasource"]["MAAS"]
            return {key: str(value) for key, value in section.items() if value is not None}
        except (yaml.YAMLError, KeyError, TypeError, AttributeError):
            pass
    return {
        path[2]: value
        for path, value in simple_mappings(text).items()
        if len(path) == 3 and path[:2] == ("datasource", "MAAS")
    }


class Credentials:
    """Where the metadata service is, and the machine's OAuth keys when it has some."""

    def __init__(self, settings):
        self.metadata_url = settings.get("metadata_url", "")
        if not self.metadata_url:
            raise RunnerError("no metadata_url in the configuration")
        self.consumer_key = settings.get("consumer_key", "")
        self.token_key = settings.get("token_key", "")
        self.token_secret = settings.get("token_secret", "")

    @property
    def known(self):
        return bool(self.consumer_key and self.token_key and self.token_secret)

    @property
    def base(self):
        return self.metadata_url.rstrip("/") + "/" + VERSION + "/"

    @property
    def origin(self):
        parts = urllib.parse.urlsplit(self.metadata_url)
        return "%s://%s" % (parts.scheme, parts.netloc)

    def header(self, skew):
        def quoted(text):
            return urllib.parse.quote(text, safe="")

        fields = (
            ("oauth_nonce", uuid.uuid4().hex),
            ("oauth_timestamp", str(int(time.time() + skew))),
            ("oauth_version", "1.0"),
            ("oauth_signature_method", "PLAINTEXT"),
            ("oauth_consumer_key", self.consumer_key),
            ("oauth_token", self.token_key),
            ("oauth_signature", "&" + self.token_secret),
        )
        return "OAuth " + ", ".join('%s="%s"' % (key, quoted(value)) for key, value in fields)

    @classmethod
    def load(cls, paths):
        for path in paths:
            settings = maas_settings(read_text(path))
            if settings.get("metadata_url"):
                return cls(settings)
        raise RunnerError("no datasource.MAAS in " + ", ".join(paths))


# --- Requests ----------------------------------------------------------------------------------


class Reply:
    def __init__(self, status, body):
        self.status = status
        self.body = body

    def text(self):
        return self.body.decode("utf-8", "replace")


class Client:
    """Speaks to the region; repeats what may succeed later and corrects a wrong clock."""

    def __init__(self, credentials, pause=time.sleep):
        self.credentials = credentials
        self.pause = pause
        self.skew = 0
        # The region is reached directly: a proxy is for packages.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def request(self, url, data=None, content_type=None, signed=True, tries=len(PAUSES) + 1):
        last = None
        for attempt in range(tries):
            if attempt:
                self.pause(PAUSES[min(attempt - 1, len(PAUSES) - 1)])
            headers = {"User-Agent": "maas-runner", "Accept": "*/*"}
            if content_type:
                headers["Content-Type"] = content_type
            if signed and self.credentials.known:
                headers["Authorization"] = self.credentials.header(self.skew)
            try:
                with self.opener.open(
                    urllib.request.Request(url, data=data, headers=headers),
                    timeout=REQUEST_SECONDS,
                ) as reply:
                    return Reply(reply.status, reply.read())
            except urllib.error.HTTPError as error:
                body = error.read()
                last = "%s answered %d: %s" % (
                    url, error.code, body[:200].decode("utf-8", "replace").strip(),
                )
                if error.code in (401, 403):
                    if not self.correct_clock(error.headers.get("Date")):
                        break
                elif error.code < 500 and error.code not in (408, 425, 429):
                    break
            except (OSError, urllib.error.URLError, socket.timeout) as error:
                last = "%s: %s" % (url, error)
            say(last)
        raise RunnerError(last)

    def correct_clock(self, date):
        """Takes the region's clock over; whether that changed anything worth another try."""
        try:
            theirs = email.utils.parsedate_to_datetime(date).timestamp()
        except (TypeError, ValueError, IndexError):
            return False
        skew = int(theirs - time.time())
        changed = abs(skew - self.skew) > 5
        self.skew = skew
        return changed

    def signal(self, status, error="", files=None, **fields):
        """One signal; files are (name, bytes)."""
        values = [("op", "signal"), ("status", status), ("error", error)]
        values += [(key, str(value)) for key, value in fields.items() if value is not None]
        body, content_type = multipart(values, files or ())
        reply = self.request(self.credentials.base, body, content_type)
        if reply.status != 200:
            raise RunnerError("the signal %s was answered with %d" % (status, reply.status))


def multipart(values, files):
    boundary = uuid.uuid4().hex
    out = io.BytesIO()

    def part(name, content, filename=None, content_type=None):
        disposition = 'Content-Disposition: form-data; name="%s"' % name
        if filename is not None:
            disposition += '; filename="%s"' % filename
        out.write(("--%s\r\n%s\r\n" % (boundary, disposition)).encode())
        if content_type:
            out.write(("Content-Type: %s\r\n" % content_type).encode())
        out.write(b"\r\n" + content + b"\r\n")

    for name, value in values:
        part(name, value.encode("utf-8"))
    for name, content in files:
        part(name, content, name, "application/octet-stream")
    out.write(("--%s--\r\n" % boundary).encode())
    return out.getvalue(), "multipart/form-data; boundary=" + boundary


class Heartbeat:
    """Tells the region every two minutes that the machine is alive."""

    def __init__(self, client, seconds=HEARTBEAT_SECONDS):
        self.client = client
        self.seconds = seconds
        self.started = time.monotonic()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.beat, daemon=True)

    def beat(self):
        while not self.stopped.wait(self.seconds):
            elapsed = int(time.monotonic() - self.started)
            clock = "%d:%02d:%02d" % (elapsed // 3600, elapsed // 60 % 60, elapsed % 60)
            try:
                self.client.signal("WORKING", "Elapsed time (real): " + clock)
            except RunnerError as error:
                say("heartbeat: %s" % error)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()


# --- Scripts -----------------------------------------------------------------------------------


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

    def files(self):
        found = []
        for name, path in (
            (self.name, self.combined),
            (self.name + ".out", self.stdout),
            (self.name + ".err", self.stderr),
            (self.name + ".yaml", self.result),
        ):
            try:
                with open(path, "rb") as stream:
                    content = stream.read(OUTPUT_LIMIT + 1)
            except OSError:
                continue
            if len(content) > OUTPUT_LIMIT:
                content = content[:OUTPUT_LIMIT] + b"\n[output cut off by the runner]\n"
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


class Executor:
    """Runs scripts of one kind in the right order and reports each."""

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
        try:
            self.client.signal(
                "TIMEDOUT" if script.exit_status == TIMED_OUT else "WORKING",
                "Finished %s: %s" % (script.name, script.exit_status),
                files=script.files(),
                name=script.name,
                script_result_id=script.result_id,
                script_version_id=script.version_id,
                exit_status=script.exit_status,
                runtime=None if script.runtime is None else "%.3f" % script.runtime,
                power_type=power.get("power_type"),
                power_parameters=json.dumps(parameters) if power else None,
            )
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
            "MAAS_RUNNER": os.path.abspath(__file__),
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


def bmc_settings(text):
    """The BMC that a script found, or nothing."""
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        found = {path[0]: v for path, v in simple_mappings(text).items() if len(path) == 1}
    return found if isinstance(found, dict) and found.get("power_type") else None


# --- Enlistment --------------------------------------------------------------------------------


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
        if read_text(folder + "/type") != "1" or not re.match(r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$", mac):
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


# --- The whole run -----------------------------------------------------------------------------


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
        if bundle is None:
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
