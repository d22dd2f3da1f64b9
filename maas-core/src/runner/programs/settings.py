"""What cloud-init saved of the preseed: where the region is and the machine's keys."""

import json
import re
import time
import urllib.parse
import uuid

VERSION = "2012-03-01"


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
