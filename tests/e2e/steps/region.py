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

from . import build
from .say import Failure

API = "http://127.0.0.1:5240/MAAS/api/2.0/"


class Server:
    """`maas-server serve`, with what it logs in a file."""

    def __init__(self, folder, curtin_pack, more):
        self.folder = pathlib.Path(folder)
        self.log = self.folder / "maas-server.log"
        self.config = self.folder / "maas.toml"
        self.config.write_text(
            'data_dir = "%s"\nboot_source_url = ""\nsync_interval_minutes = 0\n'
            'curtin_pack = "%s"\nlog = "info,maas_server=debug"\n%s'
            % (self.folder / "data", curtin_pack, more)
        )
        self.process = None
        self.killed = False

    def start(self):
        stream = open(self.log, "ab")
        self.process = subprocess.Popen(
            [str(build.program("maas-server")), "serve", "--config", str(self.config)],
            stdout=stream, stderr=stream,
        )
        for _ in range(300):
            if self.process.poll() is not None:
                raise Failure("the server ended: see %s" % self.log)
            try:
                urllib.request.urlopen("http://127.0.0.1:5240/healthz", timeout=2).close()
                self.killed = False
                return
            except OSError:
                time.sleep(0.1)
        raise Failure("the server does not answer: see %s" % self.log)

    def kill(self):
        self.killed = True
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def must_run(self):
        """Fails the test when the server has ended by itself or by somebody else's hand."""
        if self.process.poll() is not None and not self.killed:
            raise Failure("the server ended with %d: see %s" % (self.process.returncode, self.log))

    def command(self, *words, stdin=""):
        done = subprocess.run(
            [str(build.program("maas-server")), *words, "--config", str(self.config)],
            input=stdin, text=True, check=True, stdout=subprocess.PIPE,
        )
        return done.stdout.strip()

    def says(self, text):
        return self.log.exists() and text in self.log.read_text(errors="replace")


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
