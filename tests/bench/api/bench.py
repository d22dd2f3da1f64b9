"""Rows B10, B11, B12 and B16 in one run: server CPU seconds, ours and the stand-in's alternating."""

import argparse
import copy
import json
import os
import pathlib
import signal
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request

from measure import (
    background, counter, cpu, exchange, free_port, measured, message, per_request, resident, sign,
)
from standin_peer import Postgres, Standin

DIGITS = "34678abcdefghkmnpqrstwxy"
failed = []
turn = iter(range(1 << 60))


class Ours:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.port = None

    def start(self):
        self.port, rack = free_port(), free_port()
        config = self.folder / "config.toml"
        config.write_text('boot_source_url = ""\nsync_interval_minutes = 0\n')
        began = time.perf_counter()
        self.process = background(
            [self.program, "serve", "--config", config, "--data-dir", self.folder, "--log", "error",
             "--region-listen", f"127.0.0.1:{self.port}", "--rack-listen", f"127.0.0.1:{rack}"],
        )
        while True:
            try:
                if exchange(self.port, message("GET", "/MAAS/api/version/", None))[0] == 200:
                    break
            except OSError:
                time.sleep(0.002)
            if time.perf_counter() - began > 60:
                raise SystemExit("maas-server does not start")
        return time.perf_counter() - began

    def cpu(self):
        return cpu(self.process.pid)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(60)

    def command(self, *words, text=None):
        return subprocess.run(
            [self.program, *words, "--data-dir", self.folder], input=text, text=True, check=True,
            capture_output=True,
        ).stdout.strip()

    def database(self):
        return sqlite3.connect(self.folder / "maas.sqlite", timeout=60)


def system_id(number):
    number, digits = 24**5 + number * 7919, ""
    for _ in range(6):
        digits, number = DIGITS[number % 24] + digits, number // 24
    return digits


def populate(ours, count):
    """Copies the one machine that is there, with five interfaces and six disks each."""
    with ours.database() as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(machine)")]
        rows = database.execute(f"SELECT {', '.join(columns)} FROM machine ORDER BY seq LIMIT 1")
        first = dict(zip(columns, rows.fetchone()))
        (text,) = database.execute("SELECT body FROM machine_body WHERE system_id = ?",
                                   [first["system_id"]]).fetchone()
        have = database.execute("SELECT COUNT(*), MAX(seq) FROM machine").fetchone()
        keys = {}
        for number in range(have[0], count):
            row, body = dict(first), json.loads(text)
            name = system_id(number)
            secret = f"{number:032}"
            body["system_id"], body["hostname"] = name, f"bench-{number}"
            macs = [f"52:54:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}:{one:02x}"
                    for one in range(5)]
            body["mac_addresses"] = macs
            body["boot"]["boot_mac"] = macs[0]
            body["credentials"] = {"consumer_key": f"c{number:017}", "token_key": f"t{number:017}",
                                   "token_secret": secret}
            hardware = body["hardware"]
            hardware["cpu_count"], hardware["memory"] = 16, 65536
            hardware["interfaces"] = [
                {"name": f"eth{one}", "mac_address": mac, "link_connected": True,
                 "interface_speed": 10000, "link_speed": 10000, "vendor": "Intel Corporation",
                 "product": "Ethernet Controller X710", "firmware_version": "7.10"}
                for one, mac in enumerate(macs)]
            hardware["disks"] = [
                {"name": f"sd{letter}", "model": "SAMSUNG MZ7LH960", "serial": f"S{number}{letter}",
                 "id_path": f"/dev/disk/by-id/wwn-0x{number:012x}{letter}", "size": 960197124096,
                 "block_size": 4096, "tags": ["ssd"], "firmware_version": "HXT7404Q"}
                for letter in "abcdef"]
            row.update(system_id=name, seq=have[1] + 1 + number, hostname=body["hostname"],
                       token_key=body["credentials"]["token_key"], progress="", version=1)
            database.execute(
                f"INSERT INTO machine ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                [row[name] for name in columns])
            database.execute("INSERT INTO machine_body (system_id, body) VALUES (?, ?)",
                             [name, json.dumps(body)])
            database.executemany("INSERT INTO machine_mac (mac, system_id) VALUES (?, ?)",
                                 [(mac, name) for mac in macs])
            keys[name] = f"c{number:017}:t{number:017}:{secret}"
    return keys


def deploying(ours, name):
    """Puts a machine into Deploying, where status events are kept."""
    with ours.database() as database:
        body = json.loads(
            database.execute("SELECT body FROM machine_body WHERE system_id = ?",
                             [name]).fetchone()[0])
        far = 4_000_000_000_000_000
        body.update(
            status="deploying", previous_status="allocated", owner="admin",
            deadline={"at": far, "waiting_for": "installer", "since": body["created"]},
            deployment={"osystem": "ubuntu", "distro_series": "noble", "hwe_kernel": "",
                        "ephemeral": False, "plan_digest": ""})
        number = 9
        database.execute(
            "UPDATE machine SET progress = '', status = ?, owner = 'admin', deadline = ?, "
            "version = version + 1 WHERE system_id = ?", [number, far, name])
        database.execute("UPDATE machine_body SET body = ? WHERE system_id = ?",
                         [json.dumps(body), name])


def row(name, what, value, target, good):
    mark = "ok    " if good else "MISSED"
    print(f"{name:5} {mark} {what}: {value} (target {target})", flush=True)
    if not good:
        failed.append(name)


def ratios(ours, theirs):
    pairs = [their / max(our, 1e-9) for our, their in zip(ours, theirs)]
    return statistics.median(pairs), min(pairs), max(pairs)


class Hello:
    """The bare hyper server."""

    def __init__(self, program):
        self.process = background([str(program), "127.0.0.1:0"], stdout=subprocess.PIPE,
                                        text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def cpu(self):
        return cpu(self.process.pid)


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("program")
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--requests", type=int, default=4000)
    words.add_argument("--machines", type=int, default=1000)
    words.add_argument("--many", type=int, default=10000)
    words.add_argument("--standin-database", choices=("postgresql", "sqlite"),
                       default="postgresql" if Postgres.programs() else "sqlite",
                       help="PostgreSQL where it is installed: MAAS runs on nothing else")
    told = words.parse_args()
    program = str(pathlib.Path(told.program).resolve())
    hello, client = (pathlib.Path(program).parent / "examples" / name for name in ("hello", "storm"))
    if not client.exists():
        raise SystemExit(f"{client} is missing: cargo build --release --example storm")
    with tempfile.TemporaryDirectory(prefix="maas-bench-") as folder:
        folder = pathlib.Path(folder)
        (folder / "ours").mkdir()
        server = Postgres(Postgres.programs()) if told.standin_database == "postgresql" else None
        print(f"the stand-in's database: {told.standin_database}", flush=True)
        ours, standin = Ours(program, folder / "ours"), Standin(folder, server)
        ours.start()
        ours.stop()
        ours.command("user", "create", "admin", "--admin", "--password-stdin", text="bench\n")
        key = ours.command("apikey", "admin").split()[-1]
        ours.start()
        request = urllib.request.Request(
            f"http://127.0.0.1:{ours.port}/MAAS/api/2.0/machines/",
            b"architecture=amd64&hostname=first&mac_addresses=52:54:ff:ff:ff:ff&power_type=manual"
            b"&commission=false", {"Authorization": sign(key)})
        urllib.request.urlopen(request).read()
        ours.stop()
        keys = populate(ours, told.machines)
        node = next(iter(keys))
        start = statistics.median(restart(ours) for _ in range(5))
        time.sleep(2)
        idle = resident(ours.process.pid)
        size = os.path.getsize(program) / 1e6
        row("B16", f"start to the first 200, idle RSS with {told.machines} machines, program",
            f"{start * 1000:.0f} ms, {idle:.1f} MB, {size:.1f} MB", "200 ms, 48 MB",
            start <= 0.2 and idle <= 48)

        views = json.loads(fetch(ours.port, key))
        # Machines that are installed at the same time, each of which reports one event after another.
        busy = list(keys)[:64]
        standin.start(copy.deepcopy(views), {"": key, **{name: keys[name] for name in busy}})

        # B10
        path = "/MAAS/metadata/2012-03-01/meta-data/instance-id"
        assert fetch(ours.port, keys[node], path) == fetch(standin.port, keys[node], path)
        mine, theirs, bare, late = [], [], [], []
        peer = Hello(hello)
        for _ in range(told.rounds):
            make = lambda _: message("GET", path, keys[node])  # noqa: E731
            spent, latencies = per_request(client, ours, make, told.requests)
            mine.append(spent)
            late.append(latencies[int(len(latencies) * 0.99)])
            theirs.append(per_request(client, standin, make, max(200, told.requests // 10))[0])
            bare.append(per_request(client, peer, make, told.requests)[0])
        middle, low, high = ratios(mine, theirs)
        row("B10", "metadata GET, new connection each: stand-in's CPU / ours",
            f"{middle:.1f} ({low:.1f}-{high:.1f}); {statistics.median(mine) * 1e6:.0f} us, p99 "
            f"{statistics.median(late) * 1e3:.1f} ms", ">= 25", middle >= 25)
        middle, low, high = ratios(bare, mine)
        row("B10", "metadata GET: our CPU / bare hyper's", f"{middle:.1f} ({low:.1f}-{high:.1f})",
            "<= 6", middle <= 6)
        peer.process.terminate()

        # B11
        ours.stop()
        for name in busy:
            deploying(ours, name)
        ours.start()

        def event(_):
            name = busy[next(turn) % len(busy)]
            return message("POST", f"/MAAS/metadata/status/{name}", keys[name], json.dumps({
                "event_type": "start", "origin": "curtin", "timestamp": time.time(),
                "name": f"cmd-install/stage-{next(counter)}",
                "description": "curtin command install"}).encode())

        mine, theirs, rates = [], [], []
        for _ in range(told.rounds):
            began = time.perf_counter()
            mine.append(per_request(client, ours, event, told.requests // 2)[0])
            rates.append(told.requests // 2 / (time.perf_counter() - began))
            count = max(100, told.requests // 20)
            theirs.append(per_request(client, standin, event, count)[0])
        middle, low, high = ratios(mine, theirs)
        row("B11", "status POST, committed before the 204: stand-in's CPU / ours",
            f"{middle:.1f} ({low:.1f}-{high:.1f}); {statistics.median(mine) * 1e6:.0f} us, "
            f"{statistics.median(rates):.0f}/s with this client", ">= 30", middle >= 30)
        lost = kill_nine(ours, busy, event)
        row("B11", "events answered with 204 and gone after kill -9", lost, "0", lost == 0)

        # B12
        for count in (told.machines, told.many):
            ours.stop()
            populate(ours, count)
            ours.start()
            if count == told.many:
                standin.grow(count)
            lists(told, ours, standin, key, count)
        ours.stop()
        standin.stop()
        if server:
            server.stop()
    if failed:
        raise SystemExit(f"missed: {', '.join(failed)}")


def restart(ours):
    if ours.process.poll() is None:
        ours.stop()
    return ours.start()


def fetch(port, key, path="/MAAS/api/2.0/machines/"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}",
                                     headers={"Authorization": sign(key)})
    return urllib.request.urlopen(request).read()


def kill_nine(ours, busy, event):
    """How many of the answered events the database does not have after a kill -9."""

    def count():
        with ours.database() as database:
            marks = ", ".join("?" * len(busy))
            return database.execute(f"SELECT COUNT(*) FROM record WHERE system_id IN ({marks})",
                                    busy).fetchone()[0]

    before, answered, stop = count(), [], threading.Event()

    def work():
        while not stop.is_set():
            try:
                if exchange(ours.port, event(0))[0] == 204:
                    answered.append(1)
            except (OSError, IndexError, ValueError):
                return

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    time.sleep(2)
    ours.stop(signal.SIGKILL)
    stop.set()
    for worker in workers:
        worker.join()
    kept = count() - before
    ours.start()
    print(f"B11          {len(answered)} events were answered, {kept} are kept")
    return max(0, len(answered) - kept)


def lists(told, ours, standin, key, count):
    path = "/MAAS/api/2.0/machines/"
    # A large list is long enough to be measured once.
    rounds, repeats = (told.rounds, 4) if count <= 2000 else (min(2, told.rounds), 1)
    before = resident(ours.process.pid)
    cold, answer = measured(ours.cpu, lambda: exchange(ours.port, message("GET", path, key)))
    mine, theirs = [], []
    for _ in range(rounds):
        spent, _ = measured(ours.cpu, lambda: [
            exchange(ours.port, message("GET", path, key)) for _ in range(repeats)])
        mine.append(spent / repeats)
        theirs.append(measured(
            standin.cpu, lambda: exchange(standin.port, message("GET", path, key)))[0])
    growth = resident(ours.process.pid, "VmHWM") - before
    status, size = answer
    assert status == 200
    print(f"B12          {count} machines: {size / 1e6:.1f} MB, first time {cold:.3f} s CPU, then "
          f"{statistics.median(mine):.4f} s")
    middle, low, high = ratios(mine, theirs)
    row("B12", f"list of {count}: stand-in's CPU / ours, repeated",
        f"{middle:.1f} ({low:.1f}-{high:.1f})", ">= 20", middle >= 20)
    row("B12", f"list of {count}: stand-in's CPU / ours, first time after a start",
        f"{statistics.median(theirs) / max(cold, 1e-9):.1f}", "told, no target", True)
    row("B12", f"list of {count}: growth of memory", f"{growth:.1f} MB", "<= 64 MB", growth <= 64)


if __name__ == "__main__":
    main()
