"""The stand-in as a running process, on SQLite or on a PostgreSQL of its own."""

import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

from measure import background, cpu, free_port, wait_for

STANDIN = pathlib.Path(__file__).resolve().parent.parent / "standin"


class Postgres:
    """A PostgreSQL server of its own with the settings that it is installed with."""

    @staticmethod
    def programs():
        """The folder of its programs, or None where it is not installed."""
        folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        found = shutil.which("initdb")
        folders += [pathlib.Path(found).resolve().parent] if found else []
        return next((one for one in folders if (one / "initdb").exists()), None)

    def __init__(self, programs):
        # A path for sockets must be short.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        # It refuses to be root.
        who = pwd.getpwnam("postgres") if os.getuid() == 0 else None
        if who:
            os.chown(self.folder, who.pw_uid, who.pw_gid)
        as_whom = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []} if who else {}
        subprocess.run([programs / "initdb", "-D", "data", "-U", "maas", "-A", "trust"],
                       cwd=self.folder, stdout=subprocess.DEVNULL, check=True, **as_whom)
        self.process = background(
            [programs / "postgres", "-D", "data", "-k", self.folder, "-c", "listen_addresses="],
            cwd=self.folder, stderr=subprocess.DEVNULL, **as_whom)
        self.address = f"postgresql://maas@/postgres?host={self.folder}"
        ready = [programs / "pg_isready", "-q", "-h", self.folder, "-U", "maas"]
        began = time.perf_counter()
        while subprocess.run(ready).returncode:
            if time.perf_counter() - began > 60:
                raise SystemExit("PostgreSQL does not start")
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.folder)


class Standin:
    """On a SQLite file, or on a PostgreSQL server as MAAS."""

    def __init__(self, folder, server=None):
        self.folder, self.server = folder, server
        database = server.address if server else str(folder / "standin.sqlite")
        self.environment = {**os.environ, "STANDIN_DB": database, "PYTHONPATH": str(STANDIN)}

    def cpu(self):
        """The CPU seconds of the service and, if it has a server for it, of its database."""
        return cpu(self.process.pid) + (cpu(self.server.process.pid) if self.server else 0)

    def start(self, views, keys):
        self.port = free_port()
        if views is not None:
            data = self.folder / "fill.json"
            data.write_text(json.dumps([views, keys]))
            self.python(f"import json, standin; standin.fill(*json.load(open({str(data)!r})))")
        self.process = background(
            [sys.executable, "-m", "gunicorn", "-w", "1", "-b", f"127.0.0.1:{self.port}",
             "--log-level", "error", "--keep-alive", "0", "--timeout", "600",
             "standin:application"], env=self.environment)
        wait_for(self.port, "/")

    def grow(self, count):
        """Starts again with so many machines."""
        self.stop()
        self.python(f"import standin; standin.grow({count})")
        self.start(None, None)

    def python(self, program):
        subprocess.run([sys.executable, "-c", program], env=self.environment, check=True)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
