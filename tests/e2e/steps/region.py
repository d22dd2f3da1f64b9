"""The server under test and its API."""

import json
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

from . import build, network
from .say import Failure

API = "http://127.0.0.1:5240/MAAS/api/2.0/"


class Program:
    """A process of `maas-server`, with what it logs in a file."""

    def __init__(self, words, log, url):
        self.words = [str(build.program("maas-server")), *words]
        self.log = pathlib.Path(log)
        self.url = url
        self.process = None
        self.killed = False

    def start(self):
        with open(self.log, "ab") as stream:
            self.process = subprocess.Popen(self.words, stdout=stream, stderr=stream)
        for _ in range(300):
            if self.process.poll() is not None:
                raise Failure("the server ended: see %s" % self.log)
            if self.answers():
                self.killed = False
                return
            time.sleep(0.1)
        raise Failure("the server does not answer: see %s" % self.log)

    def answers(self):
        try:
            urllib.request.urlopen(self.url, timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def kill(self):
        self.killed = True
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def must_run(self):
        """Fails the test when it has ended by itself or by somebody else's hand."""
        if self.process.poll() is not None and not self.killed:
            raise Failure("the server ended with %d: see %s" % (self.process.returncode, self.log))

    def says(self, text, after=0):
        if not self.log.exists():
            return False
        with open(self.log, errors="replace") as stream:
            stream.seek(after)
            return text in stream.read()

    def said(self):
        """How much it has said, in bytes."""
        return self.log.stat().st_size if self.log.exists() else 0


class Server(Program):
    """`maas-server serve`."""

    def __init__(self, folder, curtin_pack, more):
        folder = pathlib.Path(folder)
        self.config = folder / "maas.toml"
        self.config.write_text(
            'data_dir = "%s"\nboot_source_url = ""\nsync_interval_minutes = 0\n'
            'curtin_pack = "%s"\nlog = "info,maas_server=debug"\n%s'
            % (folder / "data", curtin_pack, more)
        )
        super().__init__(["serve", "--config", str(self.config)], folder / "maas-server.log",
                         "http://127.0.0.1:5240/healthz")

    def command(self, *words, stdin=""):
        done = subprocess.run(
            [str(build.program("maas-server")), *words, "--config", str(self.config)],
            input=stdin, text=True, check=True, stdout=subprocess.PIPE,
        )
        return done.stdout.strip()


class Rack(Program):
    """`maas-server rack`: what machines reach of the region, with a cache of its own."""

    def __init__(self, folder, token):
        folder = pathlib.Path(folder)
        file = folder / "rack-token"
        file.write_text(token)
        file.chmod(0o600)
        super().__init__(
            ["rack", "--region", "http://127.0.0.1:5240", "--token-file", str(file),
             "--data-dir", str(folder / "rack"), "--listen", network.SERVER + ":5248",
             "--tftp-listen", network.SERVER + ":69", "--log", "info,maas_server=debug"],
            folder / "rack.log", "http://%s:5248/ipxe.cfg" % network.SERVER,
        )

    def kill_during(self, name, seconds):
        """Kills it when it has begun to send a file whose path ends so."""
        began = self.said()
        end = time.monotonic() + seconds
        with open(self.log, errors="replace") as stream:
            stream.seek(began)
            unfinished = ""
            while time.monotonic() < end:
                unfinished += stream.read()
                *lines, unfinished = unfinished.split("\n")
                if any("method=GET" in line and name + " status=20" in line for line in lines):
                    self.kill()
                    return
                time.sleep(0.005)
        raise Failure("nobody fetched %s within %d s" % (name, seconds))


class Api:
    """The API, as one user."""

    def __init__(self, key):
        self.consumer, self.token, self.secret = key.split(":")

    def call(self, method, path, query=None, **fields):
        url = API + path
        if query:
            url += "?" + urllib.parse.urlencode(query, doseq=True)
        body = urllib.parse.urlencode(fields, doseq=True).encode() if method != "GET" else None
        request = urllib.request.Request(url, body, method=method)
        request.add_header(
            "Authorization",
            'OAuth oauth_version="1.0", oauth_signature_method="PLAINTEXT", '
            'oauth_consumer_key="%s", oauth_token="%s", oauth_signature="%%26%s", '
            'oauth_nonce="%s", oauth_timestamp="%d"'
            % (self.consumer, self.token, self.secret, uuid.uuid4().hex, time.time()),
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                text = reply.read()
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            raise Failure("%s %s: %d %s" % (method, path, error.code, text)) from None
        try:
            return json.loads(text)
        except ValueError:
            return text.decode(errors="replace")

    def get(self, path, **query):
        return self.call("GET", path, query)

    def post(self, path, op=None, **fields):
        return self.call("POST", path, {"op": op} if op else None, **fields)

    def put(self, path, **fields):
        return self.call("PUT", path, **fields)
