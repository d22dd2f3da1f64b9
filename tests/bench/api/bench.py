"""Rows B10, B11, B12 and B16 in one run: server CPU seconds, ours and the stand-in's alternating."""

import argparse
import copy
import json
import os
import pathlib
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

STANDIN = pathlib.Path(__file__).resolve().parent.parent / "standin"
TICK = os.sysconf("SC_CLK_TCK")
DIGITS = "34678abcdefghkmnpqrstwxy"
failed = []
counter = iter(range(1, 1 << 60))
turn = iter(range(1 << 60))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def processes(root):
    """The process and its children."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
                )
            except (OSError, IndexError):
                pass
    found, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found


def cpu(root):
    total = 0
    for pid in processes(root):
        try:
            rest = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            # With the threads that ended: utime, stime; of children that were waited for too.
            total += sum(int(rest[index]) for index in (11, 12, 13, 14))
        except OSError:
            pass
    return total / TICK


def resident(root, which="VmRSS"):
    total = 0
    for pid in processes(root):
        try:
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(which + ":"):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total / 1024


def sign(key):
    consumer, token, secret = key.split(":")
    return (
        f'OAuth oauth_version="1.0", oauth_signature_method="PLAINTEXT", '
        f'oauth_consumer_key="{consumer}", oauth_token="{token}", oauth_signature="%26{secret}", '
        f'oauth_nonce="{os.getpid()}{next(counter):012}", oauth_timestamp="{int(time.time())}"'
    )


def message(method, path, key, body=b""):
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    if key:
        head += f"Authorization: {sign(key)}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def exchange(port, request, keep=False):
    """Status and, if wanted, the whole answer; a new connection, as cloud-init's."""
    with socket.create_connection(("127.0.0.1", port), timeout=600) as stream:
        stream.sendall(request)
        first = stream.recv(1 << 16)
        pieces, size = [first], len(first)
        while piece := stream.recv(1 << 18):
            size += len(piece)
            if keep:
                pieces.append(piece)
    status = int(first.split(b" ", 2)[1])
    return status, (b"".join(pieces) if keep else size)


def storm(port, make, count, threads=8, expect=(200, 204)):
    """Sends `count` requests; returns the latencies."""
    latencies, wrong, lock, left = [], [], threading.Lock(), iter(range(count))

    def work():
        for number in left:
            request = make(number)
            began = time.perf_counter()
            status, _ = exchange(port, request)
            took = time.perf_counter() - began
            with lock:
                latencies.append(took)
                if status not in expect:
                    wrong.append(status)

    class Locked:
        def __init__(self, inner):
            self.inner, self.lock = inner, threading.Lock()

        def __iter__(self):
            return self

        def __next__(self):
            with self.lock:
                return next(self.inner)

    left = Locked(left)
    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong, f"{len(wrong)} unexpected answers, e.g. {wrong[:3]}"
    return sorted(latencies)


def measured(root, work):
    before = cpu(root)
    value = work()
    return cpu(root) - before, value


def wait_for(port, path="/healthz"):
    began = time.perf_counter()
    while time.perf_counter() - began < 60:
        try:
            if exchange(port, message("GET", path, None))[0] < 600:
                return
        except OSError:
            time.sleep(0.005)
    raise SystemExit(f"nothing listens on port {port}")


class Ours:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.port = None

    def start(self):
        self.port, rack = free_port(), free_port()
        config = self.folder / "config.toml"
        config.write_text('boot_source_url = ""\nsync_interval_minutes = 0\n')
        began = time.perf_counter()
        self.process = subprocess.Popen(
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
        have = database.execute("SELECT COUNT(*), MAX(seq) FROM machine").fetchone()
        keys = {}
        for number in range(have[0], count):
            row, body = dict(first), json.loads(first["body"])
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
                       token_key=body["credentials"]["token_key"], body=json.dumps(body), version=1)
            database.execute(
                f"INSERT INTO machine ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                [row[name] for name in columns])
            database.executemany("INSERT INTO machine_mac (mac, system_id) VALUES (?, ?)",
                                 [(mac, name) for mac in macs])
            keys[name] = f"c{number:017}:t{number:017}:{secret}"
    return keys


def deploying(ours, name):
    """Puts a machine into Deploying, where status events are kept."""
    with ours.database() as database:
        body = json.loads(
            database.execute("SELECT body FROM machine WHERE system_id = ?", [name]).fetchone()[0])
        far = 4_000_000_000_000_000
        body.update(
            status="deploying", previous_status="allocated", owner="admin",
            deadline={"at": far, "waiting_for": "installer", "since": body["created"]},
            deployment={"osystem": "ubuntu", "distro_series": "noble", "hwe_kernel": "",
                        "ephemeral": False, "plan_digest": ""})
        number = 9
        database.execute(
            "UPDATE machine SET body = ?, status = ?, owner = 'admin', deadline = ?, "
            "version = version + 1 WHERE system_id = ?", [json.dumps(body), number, far, name])


class Standin:
    def __init__(self, folder):
        self.folder = folder

    def start(self, views, keys):
        self.port = free_port()
        environment = {**os.environ, "STANDIN_DB": str(self.folder / "standin.sqlite"),
                       "PYTHONPATH": str(STANDIN)}
        if views is not None:
            data = self.folder / "fill.json"
            data.write_text(json.dumps([views, keys]))
            subprocess.run(
                [sys.executable, "-c",
                 f"import json, standin; standin.fill(*json.load(open({str(data)!r})))"],
                env=environment, check=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-w", "1", "-b", f"127.0.0.1:{self.port}",
             "--log-level", "error", "--keep-alive", "0", "--timeout", "600",
             "standin:application"], env=environment)
        wait_for(self.port, "/")

    def grow(self, count):
        """Starts again with so many machines."""
        self.stop()
        environment = {**os.environ, "STANDIN_DB": str(self.folder / "standin.sqlite"),
                       "PYTHONPATH": str(STANDIN)}
        subprocess.run([sys.executable, "-c", f"import standin; standin.grow({count})"],
                       env=environment, check=True)
        self.start(None, None)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def row(name, what, value, target, good):
    mark = "ok    " if good else "MISSED"
    print(f"{name:5} {mark} {what}: {value} (target {target})", flush=True)
    if not good:
        failed.append(name)


def ratios(ours, theirs):
    pairs = [their / max(our, 1e-9) for our, their in zip(ours, theirs)]
    return statistics.median(pairs), min(pairs), max(pairs)


def per_request(root, port, make, count):
    seconds, latencies = measured(root, lambda: storm(port, make, count))
    return seconds / count, latencies


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("program")
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--requests", type=int, default=4000)
    words.add_argument("--machines", type=int, default=1000)
    words.add_argument("--many", type=int, default=10000)
    told = words.parse_args()
    program = str(pathlib.Path(told.program).resolve())
    hello = pathlib.Path(program).parent / "examples" / "hello"
    with tempfile.TemporaryDirectory(prefix="maas-bench-") as folder:
        folder = pathlib.Path(folder)
        (folder / "ours").mkdir()
        ours, standin = Ours(program, folder / "ours"), Standin(folder)
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
        if hello.exists():
            peer = subprocess.Popen([str(hello), "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
            hello_port = int(peer.stdout.readline().rsplit(":", 1)[1])
        for _ in range(told.rounds):
            make = lambda _: message("GET", path, keys[node])  # noqa: E731
            spent, latencies = per_request(ours.process.pid, ours.port, make, told.requests)
            mine.append(spent)
            late.append(latencies[int(len(latencies) * 0.99)])
            theirs.append(per_request(standin.process.pid, standin.port, make,
                                      max(200, told.requests // 10))[0])
            if hello.exists():
                bare.append(per_request(peer.pid, hello_port, make, told.requests)[0])
        middle, low, high = ratios(mine, theirs)
        row("B10", "metadata GET, new connection each: stand-in's CPU / ours",
            f"{middle:.1f} ({low:.1f}-{high:.1f}); {statistics.median(mine) * 1e6:.0f} us, p99 "
            f"{statistics.median(late) * 1e3:.1f} ms", ">= 25", middle >= 25)
        if hello.exists():
            middle, low, high = ratios(bare, mine)
            row("B10", "metadata GET: our CPU / bare hyper's", f"{middle:.1f} ({low:.1f}-{high:.1f})",
                "<= 6", middle <= 6)
            peer.terminate()
        else:
            print("B10   skipped: the bare hyper server was not built (cargo build --example hello)")

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
            mine.append(per_request(ours.process.pid, ours.port, event, told.requests // 2)[0])
            rates.append(told.requests // 2 / (time.perf_counter() - began))
            theirs.append(per_request(standin.process.pid, standin.port, event,
                                      max(100, told.requests // 20))[0])
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
    cold, answer = measured(ours.process.pid,
                            lambda: exchange(ours.port, message("GET", path, key)))
    mine, theirs = [], []
    for _ in range(rounds):
        spent, _ = measured(ours.process.pid, lambda: [
            exchange(ours.port, message("GET", path, key)) for _ in range(repeats)])
        mine.append(spent / repeats)
        theirs.append(measured(standin.process.pid,
                               lambda: exchange(standin.port, message("GET", path, key)))[0])
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
