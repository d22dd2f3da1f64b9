"""Requests to the region: repeated where that helps, signed where there are keys."""

import email.utils
import io
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

from settings import RunnerError, say

# Seconds before each further try of a request; the last try is not followed by a pause.
PAUSES = (1, 1, 2, 4, 8, 16, 32)
HEARTBEAT_SECONDS = 120
REQUEST_SECONDS = 60


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
