"""What the benches of the API measure with: processes, requests, storms of them."""

import atexit
import itertools
import os
import pathlib
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
counter = itertools.count(1)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def background(*words, **settings):
    """Starts a process that does not outlive this one, however this one ends."""
    process = subprocess.Popen(*words, **settings)
    # A second time does nothing; the masters that are used here end their children.
    atexit.register(process.terminate)
    return process


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


def storm(client, port, make, count, connections=16, expect=(200, 204)):
    """Sends `count` requests by the program `storm`; returns the latencies in order."""
    requests = [make(number) for number in range(count)]
    told = subprocess.run(
        [client, f"127.0.0.1:{port}", str(connections)], check=True, stdout=subprocess.PIPE,
        input=b"".join(b"%d\n%b" % (len(request), request) for request in requests)).stdout
    answers = [tuple(map(int, line.split())) for line in told.splitlines()]
    wrong = [status for status, _ in answers if status not in expect]
    assert len(answers) == count and not wrong, f"{len(wrong)} wrong answers, e.g. {wrong[:3]}"
    return sorted(took / 1e6 for _, took in answers)


def measured(spent, work):
    """The CPU seconds that `spent` counts during the work, and what the work gives."""
    before = spent()
    value = work()
    return spent() - before, value


def per_request(client, peer, make, count):
    """CPU seconds of each of `count` requests, and their latencies."""
    seconds, latencies = measured(peer.cpu, lambda: storm(client, peer.port, make, count))
    return seconds / count, latencies


def wait_for(port, path="/healthz"):
    began = time.perf_counter()
    while time.perf_counter() - began < 60:
        try:
            if exchange(port, message("GET", path, None))[0] < 600:
                return
        except OSError:
            time.sleep(0.005)
    raise SystemExit(f"nothing listens on port {port}")
