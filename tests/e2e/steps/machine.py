"""A machine: QEMU with an empty disk, and the web service that is its power button."""

import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time

from . import network
from .say import Failure, say

OVMF = pathlib.Path("/usr/share/OVMF")
DISK_BYTES = 5 << 30
SERIAL = "E2EDISK0"


class Machine:
    """One machine; the power service starts and ends it."""

    def __init__(self, folder, firmware):
        self.folder = pathlib.Path(folder)
        self.firmware = firmware
        self.disk = self.folder / "disk.img"
        self.console = self.folder / "console.log"
        self.process = None
        self.lock = threading.Lock()
        self.power_cycles = 0
        self.cpu = 0.0
        with open(self.disk, "wb") as disk:
            disk.truncate(DISK_BYTES)
        if firmware == "uefi":
            shutil.copy(OVMF / "OVMF_VARS_4M.fd", self.folder / "vars.fd")

    def command(self):
        words = [
            "qemu-system-x86_64", "-name", "e2e", "-machine", "q35,smm=off",
            # No KVM: what works emulated works everywhere.
            "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "qemu64,-svm", "-smp", "2",
            "-m", "2048", "-nodefaults", "-display", "none", "-vga", "std",
            "-object", "rng-random,id=rng0,filename=/dev/urandom",
            "-device", "virtio-rng-pci,rng=rng0",
            "-netdev", "tap,id=n0,ifname=%s,script=no,downscript=no" % network.TAP,
            "-device", "virtio-net-pci,netdev=n0,mac=%s,bootindex=1%s" % (
                network.MAC, ",romfile=" if self.firmware == "uefi" else ""),
            "-drive", "if=none,id=d0,file=%s,format=raw,cache=unsafe,discard=unmap" % self.disk,
            "-device", "virtio-blk-pci,drive=d0,serial=%s,bootindex=2" % SERIAL,
            "-serial", "stdio",
            "-monitor", "unix:monitor,server=on,wait=off",
        ]
        if self.firmware == "uefi":
            words += [
                "-drive", "if=pflash,format=raw,unit=0,readonly=on,file=%s"
                % (OVMF / "OVMF_CODE_4M.fd"),
                "-drive", "if=pflash,format=raw,unit=1,file=%s" % (self.folder / "vars.fd"),
            ]
        return words

    def is_on(self):
        return self.process is not None and self.process.poll() is None

    def on(self):
        with self.lock:
            if self.is_on():
                return
            self.power_cycles += 1
            self.note("-- power on")
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=open(self.folder / "qemu.log", "ab"),
            )
            threading.Thread(target=self.listen, args=(self.process,), daemon=True).start()

    def off(self):
        with self.lock:
            if self.is_on():
                self.note("-- power off")
                self.process.kill()
                self.process.wait()

    def await_off(self, seconds=120):
        """Waits for the system to end by itself."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            say("the system does not end; it is switched off")
            self.off()

    def note(self, line):
        with open(self.console, "a") as console:
            console.write("%s %s\n" % (time.strftime("%H:%M:%S"), line))

    def listen(self, process):
        """Keeps the serial console, each line with its time."""
        for line in iter(process.stdout.readline, b""):
            self.note(line.decode(errors="replace").rstrip("\r\n"))
        times = os.times()
        self.cpu = times.children_user + times.children_system

    def says(self, text, after=0):
        if not self.console.exists():
            return False
        return text in self.console.read_text(errors="replace")[after:]

    def ask(self, command):
        """A command to QEMU's monitor."""
        folder = os.open(self.folder, os.O_PATH)
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(10)
            # A socket's path has at most 107 bytes, a working directory's may have more.
            monitor.connect("/proc/self/fd/%d/monitor" % folder)
            os.close(folder)
            answer = b""
            while not answer.endswith(b"(qemu) "):
                answer += monitor.recv(4096)
            monitor.sendall(command.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"(qemu) "):
                more = monitor.recv(4096)
                if not more:
                    return
                answer += more

    def photograph(self, name):
        """The screen as a PNG; its path, or nothing when there is no picture of it."""
        picture = self.folder / (name + ".png")
        try:
            self.ask("screendump %s -f png" % picture)
        except OSError as error:
            say("no picture of the screen: %s" % error)
            return None
        if not picture.exists():
            say("no picture of the screen")
            return None
        say("screen: %s" % picture)
        return picture


class PowerService:
    """What the webhook driver talks to: /on, /off and /status of one machine."""

    TOKEN = "power-token"

    def __init__(self, machine, port=8001):
        self.url = "http://127.0.0.1:%d" % port
        self.asked = []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, code, document):
                body = json.dumps(document).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                if self.headers.get("Authorization") != "Bearer " + service.TOKEN:
                    return self.answer(401, {})
                action = {"/on": machine.on, "/off": machine.off}.get(self.path)
                if action is None:
                    return self.answer(404, {})
                service.asked.append(self.path)
                action()
                return self.answer(200, {})

            def do_GET(self):
                if self.headers.get("Authorization") != "Bearer " + service.TOKEN:
                    return self.answer(401, {})
                self.answer(200, {"status": "running" if machine.is_on() else "stopped"})

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def parameters(self):
        return {
            "power_on_uri": self.url + "/on", "power_off_uri": self.url + "/off",
            "power_query_uri": self.url + "/status", "power_token": self.TOKEN,
        }


def wait(what, seconds, ready):
    """Waits until `ready()` gives something true, and returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = ready()
        if found:
            return found
        time.sleep(0.5)
    raise Failure("%s: not within %d s" % (what, seconds))
